//! What testcontainers keeps to itself and shows only in its `Debug` form: read from there,
//! because there is no other way to it. Whatever is not understood is an error.

use testcontainers::core::{ContainerPort, IntoContainerPort};

use super::parts::{Condition, Copy, CopySource, Stream};
use crate::error::{Error, Kind};

/// Refuses what a request asks for and nobody but testcontainers could do.
pub(super) fn refuse_hidden(request: &str) -> Result<(), Error> {
    let hidden = [
        (
            ", ulimits: Some(",
            "`with_ulimit`",
            "set `ulimits` with `with_host_config_modifier`",
        ),
        (
            ", host_port_exposures: Some(",
            "`with_exposed_host_port`",
            "give the container the address of a link: `address_for_containers`",
        ),
        (
            ", reusable: Always",
            "`with_reuse`",
            "a container belongs to its context; share it by a fixture",
        ),
        (
            ", reusable: CurrentSession",
            "`with_reuse`",
            "a container belongs to its context; share it by a fixture",
        ),
        (
            ", device_requests: Some(",
            "`with_device_requests`",
            "set `device_requests` with `with_host_config_modifier`",
        ),
    ];
    for (sign, what, instead) in hidden {
        if request.contains(sign) {
            return Err(Error::new(
                Kind::Usage,
                format!("{what} cannot be taken over from testcontainers"),
            )
            .help(instead));
        }
    }
    Ok(())
}

/// `LogWaitStrategy { source: StdOut, message: b"ready", times: 1 }`
pub(super) fn printed(written: &str) -> Result<Condition, Error> {
    let wrong = || unreadable("a condition on a log", written);
    let mut text = Text(written);
    text.skip("LogWaitStrategy { source: ").ok_or_else(wrong)?;
    let source = text.until(", message: ").ok_or_else(wrong)?;
    let stream = match source {
        "StdOut" => Stream::Out,
        "StdErr" => Stream::Err,
        "BothStd" => Stream::Both,
        _ => return Err(wrong()),
    };
    let message = text.bytes().ok_or_else(wrong)?;
    text.skip(", times: ").ok_or_else(wrong)?;
    let times = text.until(" }").ok_or_else(wrong)?;
    Ok(Condition::Printed {
        stream,
        message,
        times: times.parse().map_err(|_| wrong())?,
    })
}

/// `ExitWaitStrategy { expected_code: Some(0), poll_interval: 100ms }`
pub(super) fn exited(written: &str) -> Result<Condition, Error> {
    let wrong = || unreadable("a condition on an exit code", written);
    let mut text = Text(written);
    text.skip("ExitWaitStrategy { expected_code: ")
        .ok_or_else(wrong)?;
    let code = text.until(", ").ok_or_else(wrong)?;
    match code {
        "None" => Ok(Condition::Exited(None)),
        code => {
            let code = code
                .strip_prefix("Some(")
                .and_then(|code| code.strip_suffix(')'))
                .and_then(|code| code.parse().ok());
            Ok(Condition::Exited(Some(code.ok_or_else(wrong)?)))
        }
    }
}

/// `PortMapping { host_port: 8080, container_port: Tcp(80) }`
pub(super) fn port_mapping(written: &str) -> Result<(u16, ContainerPort), Error> {
    let wrong = || unreadable("a mapped port", written);
    let mut text = Text(written);
    text.skip("PortMapping { host_port: ").ok_or_else(wrong)?;
    let host = text.until(", container_port: ").ok_or_else(wrong)?;
    let kind = text.until("(").ok_or_else(wrong)?;
    let port: u16 = text
        .until(")")
        .and_then(|port| port.parse().ok())
        .ok_or_else(wrong)?;
    let port = match kind {
        "Tcp" => port.tcp(),
        "Udp" => port.udp(),
        "Sctp" => port.sctp(),
        _ => return Err(wrong()),
    };
    Ok((host.parse().map_err(|_| wrong())?, port))
}

/// `CopyToContainer { target: CopyTargetOptions { target: "/a", mode: Some(420) }, source:
/// Data([1, 2]) }`
pub(super) fn copy(written: &str) -> Result<Copy, Error> {
    let wrong = || unreadable("a file to copy", written);
    let mut text = Text(written);
    text.skip("CopyToContainer { target: CopyTargetOptions { target: ")
        .ok_or_else(wrong)?;
    let target = text.string().ok_or_else(wrong)?;
    text.skip(", mode: ").ok_or_else(wrong)?;
    let mode = match text.until(" }, source: ").ok_or_else(wrong)? {
        "None" => None,
        mode => Some(
            mode.strip_prefix("Some(")
                .and_then(|mode| mode.strip_suffix(')'))
                .and_then(|mode| mode.parse().ok())
                .ok_or_else(wrong)?,
        ),
    };
    let source = match text.until("(").ok_or_else(wrong)? {
        "File" => CopySource::File(text.string().ok_or_else(wrong)?.into()),
        "Data" => {
            text.skip("[").ok_or_else(wrong)?;
            let numbers = text.until("]").ok_or_else(wrong)?;
            let numbers = numbers.split(", ").filter(|number| !number.is_empty());
            let data = numbers.map(str::parse).collect::<Result<_, _>>();
            CopySource::Data(data.map_err(|_| wrong())?)
        }
        _ => return Err(wrong()),
    };
    text.skip(") }").ok_or_else(wrong)?;
    Ok(Copy {
        target,
        mode,
        source,
    })
}

/// A request that cannot be taken over.
fn unreadable(what: &str, written: &str) -> Error {
    let start: String = written.chars().take(200).collect();
    Error::new(
        Kind::Usage,
        format!("this version of testcontainers writes {what} in a way that is not understood: {start}"),
    )
    .help("a version 0.28 of testcontainers is; or give `Container` a check of its own with `.ready(..)`")
}

/// What is left to read.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, after) = self.0.split_once(end)?;
        self.0 = after;
        Some(before)
    }

    /// A string as `Debug` writes it; behind its closing quote afterwards.
    fn string(&mut self) -> Option<String> {
        self.skip("\"")?;
        let mut value = String::new();
        let mut chars = self.0.char_indices();
        loop {
            let (at, char) = chars.next()?;
            match char {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                '\\' => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    't' => value.push('\t'),
                    '0' => value.push('\0'),
                    'u' => {
                        let mut code = String::new();
                        for (_, char) in chars.by_ref().skip(1) {
                            if char == '}' {
                                break;
                            }
                            code.push(char);
                        }
                        value.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                    }
                    escaped @ ('\\' | '"' | '\'') => value.push(escaped),
                    // `\x..` stands for a byte that is no UTF-8: such a path cannot be told.
                    _ => return None,
                },
                char => value.push(char),
            }
        }
    }

    /// Bytes as the crate `bytes` writes them: `b"..."`.
    fn bytes(&mut self) -> Option<Vec<u8>> {
        self.skip("b\"")?;
        let mut value = Vec::new();
        let mut rest = self.0.bytes().enumerate();
        loop {
            let (at, byte) = rest.next()?;
            match byte {
                b'"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                b'\\' => match rest.next()?.1 {
                    b'n' => value.push(b'\n'),
                    b'r' => value.push(b'\r'),
                    b't' => value.push(b'\t'),
                    b'0' => value.push(0),
                    b'x' => {
                        let digits = [rest.next()?.1, rest.next()?.1];
                        let digits = std::str::from_utf8(&digits).ok()?.to_owned();
                        value.push(u8::from_str_radix(&digits, 16).ok()?);
                    }
                    escaped => value.push(escaped),
                },
                byte => value.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use testcontainers::core::wait::{ExitWaitStrategy, LogWaitStrategy};
    use testcontainers::core::{CopyDataSource, CopyToContainer};
    use testcontainers::{ContainerRequest, GenericImage, ImageExt};

    use super::*;

    #[test]
    fn a_condition_on_a_log_is_read_whatever_its_message_holds() {
        for message in [
            b"ready".as_slice(),
            b"a \"quoted\" \\ and , times: 7 }",
            b"\x00\x01\xff\n\r\t'",
            "gr\u{fc}n \u{1f980}".as_bytes(),
            b"",
        ] {
            let strategies = [
                (LogWaitStrategy::stdout(message), Stream::Out),
                (LogWaitStrategy::stderr(message), Stream::Err),
                (LogWaitStrategy::stdout_or_stderr(message), Stream::Both),
            ];
            for (strategy, expected) in strategies {
                let strategy = strategy.with_times(3);
                match printed(&format!("{strategy:?}")).unwrap() {
                    Condition::Printed {
                        stream,
                        message: read,
                        times: 3,
                    } => assert_eq!((stream, read.as_slice()), (expected, message)),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(printed("LogWaitStrategy { lines: 1 }").is_err());
    }

    #[test]
    fn a_condition_on_an_exit_code_is_read() {
        for code in [None, Some(0), Some(-1), Some(137)] {
            let mut strategy = ExitWaitStrategy::new();
            if let Some(code) = code {
                strategy = strategy.with_exit_code(code);
            }
            match exited(&format!("{strategy:?}")).unwrap() {
                Condition::Exited(read) => assert_eq!(read, code),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_mapped_port_is_read() {
        let request: ContainerRequest<GenericImage> =
            GenericImage::new("a", "b").with_mapped_port(8080, 53.udp());
        let mapping = request.ports().unwrap().first().unwrap();
        let read = port_mapping(&format!("{mapping:?}")).unwrap();
        assert_eq!(read, (8080, 53.udp()));
    }

    #[test]
    fn a_file_to_copy_is_read() {
        let odd = "/a \"b\" \\ \u{e9}\n";
        let sources = [
            (
                CopyDataSource::Data(vec![0, 255, 7]),
                CopySource::Data(vec![0, 255, 7]),
            ),
            (
                CopyDataSource::Data(Vec::new()),
                CopySource::Data(Vec::new()),
            ),
            (
                CopyDataSource::File(odd.into()),
                CopySource::File(odd.into()),
            ),
        ];
        for (source, expected) in sources {
            let written = format!("{:?}", CopyToContainer::new(source, odd));
            // What sets a mode is not exported.
            let with_mode = written.replace("mode: None", "mode: Some(416)");
            for (written, mode) in [(written, None), (with_mode, Some(0o640))] {
                let read = copy(&written).unwrap();
                let expected = Copy {
                    target: odd.to_owned(),
                    mode,
                    source: expected.clone(),
                };
                assert_eq!(read, expected);
            }
        }
    }

    #[test]
    fn what_only_testcontainers_could_do_is_refused() {
        let plain = GenericImage::new("a", "b").with_env_var("A", "b");
        refuse_hidden(&format!("{plain:?}")).unwrap();
        let limited = plain.with_ulimit("nofile", 10, None);
        let error = refuse_hidden(&format!("{limited:?}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("with_ulimit") && error.contains("with_host_config_modifier"));
    }
}
