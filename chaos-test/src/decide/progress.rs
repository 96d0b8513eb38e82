//! What is shown of what takes long, and when: one line on a terminal, a line now and then
//! elsewhere, and nothing at all before two seconds are over.

use std::collections::BTreeMap;
use std::time::Duration;

/// What takes less is not worth a word.
const SHOWN_AFTER: Duration = Duration::from_secs(2);
/// How often the line on a terminal is written anew.
const REFRESHED_EVERY: Duration = Duration::from_secs(1);
/// How often a line is written elsewhere, and after how long the first one.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Whether anything is to be shown, as the variable says.
///
/// # Errors
///
/// If it says neither yes nor no; then it is shown.
pub fn is_wanted(variable: &str) -> Result<bool, String> {
    match variable.trim().to_ascii_lowercase().as_str() {
        "" | "on" | "1" | "yes" | "true" => Ok(true),
        "off" | "0" | "no" | "false" => Ok(false),
        _ => Err("it is neither `on` nor `off`".to_owned()),
    }
}

/// Something that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    /// The test that it is for; empty where it is for all of them.
    pub test: String,
    /// What it is, as in "baseline of checkout".
    pub what: String,
    /// Since when.
    pub since: Duration,
    /// Whether whoever does it writes lines of its own.
    pub says_itself: bool,
}

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a terminal of so many columns, in one line that changes.
    Terminal {
        /// How many.
        columns: usize,
    },
    /// Anywhere else, in lines that stay.
    Lines,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// The line is to read so.
    Draw(String),
    /// The line is to go.
    Erase,
    /// A line is to be written.
    Say(String),
}

/// What was shown so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    drawn: bool,
    said: Option<Duration>,
}

/// What is to be done now, and when to look again where nothing begins or ends before; never,
/// where nothing goes on.
#[must_use]
pub fn step(
    doing: &[Doing],
    place: Place,
    shown: &mut Shown,
    now: Duration,
) -> (Act, Option<Duration>) {
    match place {
        Place::Terminal { columns } => {
            let line = told(doing, now, SHOWN_AFTER, |_| true);
            let next = match line {
                Some(_) => Some(now + REFRESHED_EVERY),
                None => oldest(doing).map(|since| since + SHOWN_AFTER),
            };
            let was_drawn = std::mem::replace(&mut shown.drawn, line.is_some());
            let act = match line {
                Some(line) => Act::Draw(cut(&line, columns.saturating_sub(1))),
                None if was_drawn => Act::Erase,
                None => Act::Nothing,
            };
            (act, next)
        }
        Place::Lines => {
            if std::mem::take(&mut shown.drawn) {
                // It was a terminal that could spare a row.
                return (Act::Erase, Some(now));
            }
            let earliest = shown.said.map_or(Duration::ZERO, |said| said + SAID_EVERY);
            let quiet = |doing: &Doing| !doing.says_itself;
            if now >= earliest
                && let Some(line) = told(doing, now, SAID_EVERY, quiet)
            {
                shown.said = Some(now);
                return (Act::Say(line), Some(now + SAID_EVERY));
            }
            let due = doing.iter().filter(|doing| quiet(doing));
            let due = due.map(|doing| doing.since + SAID_EVERY).min();
            (Act::Nothing, due.map(|due| due.max(earliest)))
        }
    }
}

fn oldest(doing: &[Doing]) -> Option<Duration> {
    doing.iter().map(|doing| doing.since).min()
}

/// The line that tells of all that takes longer than a time: what the only test does; else how
/// many tests there are, and what the one does that has taken longest.
fn told(
    doing: &[Doing],
    now: Duration,
    longer_than: Duration,
    counts: impl Fn(&Doing) -> bool,
) -> Option<String> {
    let lasts = |doing: &Doing| now.saturating_sub(doing.since);
    let mut tests: BTreeMap<&str, &Doing> = BTreeMap::new();
    for one in doing.iter().filter(|one| counts(one)) {
        if lasts(one) < longer_than {
            continue;
        }
        // Of things within each other the innermost says most: it began last.
        let shown = tests.entry(&one.test).or_insert(one);
        if one.since >= shown.since {
            *shown = one;
        }
    }
    let longest = tests.values().max_by_key(|one| lasts(one))?;
    let test = match longest.test.as_str() {
        "" => String::new(),
        test => format!("{test}: "),
    };
    let line = format!("{test}{}, {} s", longest.what, lasts(longest).as_secs());
    let line = match tests.len() {
        1 => format!("chaos-test: {line}"),
        count => format!("chaos-test: {count} tests wait, the longest: {line}"),
    };
    // Names are what somebody wrote, and a terminal would obey them.
    Some(line.replace(char::is_control, " "))
}

/// At most so many columns, its end kept, because it is what changes.
fn cut(line: &str, columns: usize) -> String {
    let length = line.chars().count();
    if length <= columns {
        return line.to_owned();
    }
    let end = columns.min(12);
    let begin = columns.saturating_sub(end + 3);
    let first: String = line.chars().take(begin).collect();
    let last: String = line.chars().skip(length - end).collect();
    format!("{first}...{last}").chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::{ms, secs};

    const TERMINAL: Place = Place::Terminal { columns: 80 };

    fn doing(test: &str, what: &str, since: Duration) -> Doing {
        Doing {
            test: test.into(),
            what: what.into(),
            since,
            says_itself: false,
        }
    }

    #[test]
    fn only_a_clear_word_switches_it_off() {
        for (text, expected) in [
            ("", Some(true)),
            ("on", Some(true)),
            ("off", Some(false)),
            (" OFF ", Some(false)),
            ("0", Some(false)),
            ("of", None),
        ] {
            assert_eq!(is_wanted(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_shown_before_two_seconds_are_over() {
        let mut shown = Shown::default();
        let all = [doing("a", "baseline of shop", secs(5))];
        let look = (Act::Nothing, Some(secs(7)));
        assert_eq!(step(&all, TERMINAL, &mut shown, ms(6_999)), look);
        assert_eq!(
            step(&all, TERMINAL, &mut shown, secs(7)),
            (
                Act::Draw("chaos-test: a: baseline of shop, 2 s".into()),
                Some(secs(8))
            )
        );
        assert_eq!(
            step(&[], TERMINAL, &mut shown, ms(7_100)),
            (Act::Erase, None)
        );
        assert_eq!(
            step(&[], TERMINAL, &mut shown, ms(7_200)),
            (Act::Nothing, None)
        );
    }

    #[test]
    fn the_innermost_is_shown_of_each_test_and_the_longest_of_all() {
        let all = [
            doing("a", "fixture database", secs(0)),
            doing("a", "building image database", secs(1)),
            doing("b", "its turn", secs(3)),
            doing("c", "too short", secs(9)),
        ];
        let (act, _) = step(&all, TERMINAL, &mut Shown::default(), secs(10));
        let line = "chaos-test: 2 tests wait, the longest: a: building image database, 9 s";
        assert_eq!(act, Act::Draw(line.into()));
        let narrow = Place::Terminal { columns: 40 };
        let (act, _) = step(&all, narrow, &mut Shown::default(), secs(10));
        let Act::Draw(line) = act else {
            panic!("{act:?}")
        };
        assert_eq!(line, "chaos-test: 2 tests wait...atabase, 9 s");
    }

    #[test]
    fn elsewhere_there_is_a_line_every_ten_seconds() {
        let mut shown = Shown::default();
        let all = [doing("a", "baseline of shop", secs(1))];
        let mut said = Vec::new();
        let mut now = secs(1);
        while now < secs(40) {
            let (act, next) = step(&all, Place::Lines, &mut shown, now);
            if let Act::Say(line) = act {
                said.push(line);
            }
            now = next.expect("it goes on");
        }
        let line = |seconds| format!("chaos-test: a: baseline of shop, {seconds} s");
        assert_eq!(said, [line(10), line(20), line(30)]);
        // Another one that begins meanwhile waits for its turn.
        let all = [doing("b", "its turn", secs(25))];
        let (act, next) = step(&all, Place::Lines, &mut shown, secs(36));
        assert_eq!((act, next), (Act::Nothing, Some(secs(41))));
    }

    #[test]
    fn who_writes_lines_of_its_own_is_only_drawn() {
        let mut all = [doing("a", "its turn", secs(0))];
        all[0].says_itself = true;
        let lines = step(&all, Place::Lines, &mut Shown::default(), secs(30));
        assert_eq!(lines, (Act::Nothing, None));
        let (act, _) = step(&all, TERMINAL, &mut Shown::default(), secs(30));
        assert_eq!(act, Act::Draw("chaos-test: a: its turn, 30 s".into()));
    }
}
