//! Instants as engines write them, and which of what a container printed is of its latest start.

use testcontainers::bollard::models::ContainerInspectResponse;

/// How far behind the end of a start what that printed may be stamped: engines read it a little
/// later than it was printed.
const LATE: i128 = 50_000_000;

/// An instant in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(i128);

impl Stamp {
    /// Of RFC 3339, or as the crates for time show it that the engine's client may have been built
    /// with.
    fn read(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut next = |end: &[char]| {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: i128 = rest[..length].parse().ok()?;
            rest = match end {
                [] => &rest[length..],
                end => rest[length..].strip_prefix(end)?,
            };
            Some(number)
        };
        let (year, month, day) = (next(&['-'])?, next(&['-'])?, next(&['T', ' '])?);
        let (hour, minute, second) = (next(&[':'])?, next(&[':'])?, next(&[])?);
        let (nanos, rest) = fraction(rest);
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        Some(Self(
            (seconds - offset(rest)) * 1_000_000_000 + nanos.unwrap_or(0),
        ))
    }

    /// The same, of what is only known to the second: the last instant of that.
    fn read_latest(text: &str) -> Option<Self> {
        let read = Self::read(text)?;
        let in_whole = text.split(['T', ' ']).nth(1)?.find('.').is_none();
        Some(if in_whole {
            Self(read.0 + 999_999_999)
        } else {
            read
        })
    }

    /// From which instant on what a container prints is of the start that runs. It is not the
    /// instant of that start: an engine writes that down once the start is done, and a program
    /// may have printed that it is ready by then. None where the engine does not say.
    pub(super) fn first_of_start(found: &ContainerInspectResponse) -> Option<Self> {
        let state = found.state.as_ref()?;
        let started = Self::read(&state.started_at.as_ref()?.to_string())?;
        let ended = state.finished_at.as_ref();
        Some(match ended.and_then(|at| Self::read(&at.to_string())) {
            Some(ended) => between(ended, started),
            None => started,
        })
    }
}

/// Between the end of one start and the instant of the next one, nearer to that end.
fn between(ended: Stamp, started: Stamp) -> Stamp {
    if ended >= started {
        // Somebody has set the clock.
        return started;
    }
    Stamp(ended.0 + LATE.min((started.0 - ended.0) / 2))
}

/// The fraction of a second that a text begins with, in nanoseconds, and what follows.
fn fraction(text: &str) -> (Option<i128>, &str) {
    let Some(digits) = text.strip_prefix('.') else {
        return (None, text);
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let nanos = format!("{:0<9}", &digits[..length.min(9)]).parse().ok();
    (nanos, &digits[length..])
}

/// The offset of a zone from UTC in seconds, where a text begins with one: `Z`, `+01:00`, and the
/// same behind a space.
fn offset(text: &str) -> i128 {
    let text = text.trim_start();
    let sign = match text.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return 0,
    };
    let parts = text[1..].split(':').take(3);
    let parts = parts.map(|part| part.parse::<i128>().unwrap_or(0));
    let seconds = parts.zip([3_600, 60, 1]).map(|(part, unit)| part * unit);
    sign * seconds.sum::<i128>()
}

/// From the first day of 1970: Howard Hinnant's `days_from_civil`, which counts years from March,
/// so that the leap day is the last one. Years from 1 on.
fn days(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A line without the stamp that the engine puts before it, where it is of a start; all of it
/// where nobody asked for stamps.
pub(super) fn since(line: &[u8], first: Option<Stamp>) -> Option<&[u8]> {
    let Some(first) = first else {
        return Some(line);
    };
    let space = line.iter().position(|byte| *byte == b' ');
    let stamp = space.and_then(|space| {
        let text = std::str::from_utf8(&line[..space]).ok()?;
        // Some engines write whole seconds.
        Some((Stamp::read_latest(text)?, space))
    });
    match stamp {
        Some((stamp, space)) => (stamp >= first).then(|| &line[space + 1..]),
        None => Some(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Stamp {
        Stamp::read(text).unwrap()
    }

    #[test]
    fn what_is_older_than_a_start_is_left_out() {
        let first = Some(at("2026-11-21T23:01:25.5Z"));
        let line = |stamp: &str| format!("{stamp} ready\n").into_bytes();
        let seen = |stamp: &str| since(&line(stamp), first).map(<[u8]>::to_vec);
        let ready = Some(b"ready\n".to_vec());
        assert_eq!(seen("2026-11-21T23:01:25.499999999Z"), None);
        assert_eq!(seen("2026-11-21T23:01:25.500000001Z"), ready);
        assert_eq!(seen("2026-11-21T23:01:26Z"), ready);
        assert_eq!(seen("2026-11-21T23:01:24Z"), None);
        // Some engines write whole seconds: it may be of the start.
        assert_eq!(seen("2026-11-21T23:01:25Z"), ready);
        assert_eq!(seen("2026-11-22T01:01:26+02:00"), ready);
        assert_eq!(seen("2026-11-22T01:01:24.9+02:00"), None);
        let unstamped = &b"no stamp here"[..];
        assert_eq!(since(unstamped, first), Some(unstamped));
        let whole = line("2026-11-21T23:01:25Z");
        assert_eq!(since(&whole, None), Some(&whole[..]));
    }

    #[test]
    fn instants_are_read_however_they_are_written() {
        assert_eq!(
            at("2026-11-21T03:01:25.5Z"),
            at("2026-11-21 3:01:25.5 +00:00:00")
        );
        assert_eq!(at("1970-01-01T00:00:00Z"), Stamp(0));
        assert_eq!(at("1970-01-01T01:30:00.5+01:30").0, 500_000_000);
        assert_eq!(at("1969-12-31 23:00:00 -01:00:00"), Stamp(0));
        assert_eq!(
            at("2026-11-22T10:01:04.72076024Z").0,
            1_795_341_664_720_760_240
        );
        let leap = at("2024-03-01T00:00:00Z").0 - at("2024-02-28T00:00:00Z").0;
        assert_eq!(leap, 2 * 86_400_000_000_000);
        // What engines write where something has never happened.
        assert!(at("0001-01-01T00:00:00Z") < at("1969-12-31T23:59:59Z"));
        for nonsense in [
            "",
            "ready",
            "2026-11-21",
            "2026-11-21T1",
            "-1-1T1:1:1",
            "é-1-1T1:1:1",
        ] {
            assert_eq!(Stamp::read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_an_engine_says_of_a_container_tells_the_first_instant() {
        let found = |state: &str| -> ContainerInspectResponse {
            serde_json::from_str(&format!("{{\"State\":{state}}}")).unwrap()
        };
        let first = |state: &str| Stamp::first_of_start(&found(state));
        let again = first(
            r#"{"StartedAt":"2026-11-22T10:01:04.72076024Z",
                "FinishedAt":"2026-11-22T10:01:03.894430461Z"}"#,
        );
        assert_eq!(again, Some(at("2026-11-22T10:01:03.944430461Z")));
        let once = first(r#"{"StartedAt":"2026-11-22T10:01:04Z"}"#);
        assert_eq!(once, Some(at("2026-11-22T10:01:04Z")));
        assert_eq!(first("{}"), None);
    }

    #[test]
    fn a_start_prints_before_its_engine_has_written_down_its_instant() {
        // As an engine has told it.
        let ended = at("2026-11-22T10:01:03.894430461Z");
        let started = at("2026-11-22T10:01:04.72076024Z");
        let first = between(ended, started);
        assert!(
            first > at("2026-11-22T10:01:03.895Z"),
            "printed before its end"
        );
        assert!(first < at("2026-11-22T10:01:04.7176478Z"), "of the start");
        // One quick after the other.
        let soon = at("2026-11-22T10:01:03.904430461Z");
        assert!(first > soon && between(ended, soon) > ended && between(ended, soon) < soon);
        assert_eq!(between(started, ended), ended);
        let never = at("0001-01-01T00:00:00Z");
        assert!(between(never, started) < at("1970-01-01T00:00:00Z"));
    }
}
