//! What placeholders in a program's arguments and environment stand for. It only makes text of
//! text.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::error::{Error, Kind};

/// What placeholders stand for.
pub(in crate::run) struct Filled<'a> {
    /// As users know it, and where it really is.
    pub(in crate::run) ports: &'a [(u16, u16)],
    pub(in crate::run) scratch: Option<&'a Path>,
}

impl Filled<'_> {
    pub(in crate::run) fn fill(&self, text: &OsStr) -> Result<OsString, Error> {
        // What is not text can hold no placeholder of ours that matters.
        let Some(text) = text.to_str() else {
            return Ok(text.to_owned());
        };
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{port") {
            filled.push_str(before);
            let (port, after) = self.port(text, after)?;
            filled.push_str(&port.to_string());
            rest = after;
        }
        filled.push_str(rest);
        if let Some(scratch) = self.scratch {
            filled = filled.replace("{dir}", &scratch.to_string_lossy());
        }
        Ok(filled.into())
    }

    fn port<'t>(&self, text: &str, after: &'t str) -> Result<(u16, &'t str), Error> {
        let wrong = |why: String| Err(Error::new(Kind::Usage, format!("in `{text}`: {why}")));
        let Some((inside, after)) = after.split_once('}') else {
            return wrong("`{port` has no closing brace".to_owned());
        };
        let known: Vec<String> = self
            .ports
            .iter()
            .map(|(known, _)| known.to_string())
            .collect();
        let port = match inside.strip_prefix(':') {
            None if inside.is_empty() => self.ports.first(),
            None => {
                return wrong(format!(
                    "`{{port{inside}}}` is neither `{{port}}` nor `{{port:6379}}`"
                ));
            }
            Some(number) => self
                .ports
                .iter()
                .find(|(known, _)| known.to_string() == number),
        };
        match port {
            Some((_, port)) => Ok((*port, after)),
            None => wrong(format!(
                "`{{port{inside}}}` is not one of its ports ({}); declare it with `.listens(..)`",
                known.join(", ")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let filled = Filled {
            ports: &[(6379, 40001), (8080, 40002)],
            scratch: Some(Path::new("/s")),
        };
        filled
            .fill(OsStr::new(text))
            .map(|text| text.into_string().unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn placeholders_are_filled_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("--port={port}", "--port=40001"),
            ("{port:8080},{port:6379}", "40002,40001"),
            ("{dir}/data", "/s/data"),
            ("{other}", "{other}"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_wrong_placeholder_names_what_there_is() {
        for (text, expected) in [
            (
                "{port:1}",
                "in `{port:1}`: `{port:1}` is not one of its ports (6379, 8080)",
            ),
            ("{port", "has no closing brace"),
            ("{ports}", "is neither `{port}` nor `{port:6379}`"),
        ] {
            let error = fill(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
