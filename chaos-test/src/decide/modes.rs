//! When a tolerance has to hold: before, after, during faults, all the time.

use std::fmt;
use std::time::Duration;

use crate::model::event::Met;
use crate::model::sample::Window;
use crate::model::units::human;

use super::phases::{Phase, in_force, under};
use super::tolerance::Judgement;

/// When a tolerance has to hold. These are the modes of LitmusChaos' probes: SOT, EOT, Edge,
/// Continuous and OnChaos, which is there in two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until the first fault (SOT). A sample that it met still waiting does not count.
    Before,
    /// Once everything is lifted and steady again, at the end of the test (EOT).
    After,
    /// Both (Edge).
    Edges,
    /// In each piece of the test, from the declaration to the body's end (Continuous).
    Continuously,
    /// Over the whole of each fault (OnChaos, judged once for each fault).
    DuringFaults,
    /// In each piece of the time in which a fault is in force (OnChaos).
    OnFault,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before the first fault",
            Self::After => "after the last fault",
            Self::Edges => "before the first fault and after the last",
            Self::Continuously => "continuously",
            Self::DuringFaults => "during each fault",
            Self::OnFault => "on fault",
        })
    }
}

/// A time to look at, and the faults of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub window: Window,
    /// Which faults were in force when it began.
    pub under: String,
}

/// Windows that are judged on their own, or together as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looks {
    /// What they are, in words.
    pub what: String,
    /// The windows; none is no data, for this reason.
    pub windows: Result<Vec<Look>, String>,
    /// Whether a sample that was still waiting at a window's end does not count: the fault that
    /// began there may have caught it.
    pub answered_within: bool,
}

/// What is known of a test at its end.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    /// When the check was declared.
    pub declared: Duration,
    /// When the body ended.
    pub ended: Duration,
    /// The end of the test, when everything is lifted and steady.
    pub after: Window,
    /// Its faults.
    pub phases: &'a [Phase],
}

/// Where to look in this mode, in pieces of this length.
#[must_use]
pub fn looks(mode: Mode, piece: Duration, course: Course<'_>) -> Vec<Looks> {
    let Course {
        declared,
        ended,
        after,
        phases,
    } = course;
    let one = |what: String, from: Duration, to: Duration| Looks {
        what,
        windows: Ok(vec![look(phases, from, to)]),
        answered_within: false,
    };
    let before = || {
        let first = phases.first().map_or(ended, |phase| phase.begun);
        if first <= declared {
            return Looks {
                what: Mode::Before.to_string(),
                windows: Err(format!(
                    "\"{}\" was injected before this was declared",
                    phases[0].fault
                )),
                answered_within: true,
            };
        }
        Looks {
            answered_within: true,
            ..one(Mode::Before.to_string(), declared, first)
        }
    };
    let at_end = || one(Mode::After.to_string(), after.from, after.to);
    let never = || Err("no fault was in force since this was declared".to_owned());
    let in_force_since = || {
        phases
            .iter()
            .map(|phase| {
                (
                    phase,
                    phase.begun.max(declared),
                    phase.lifted.unwrap_or(ended),
                )
            })
            .filter(|(_, from, to)| from < to)
    };
    match mode {
        Mode::Before => vec![before()],
        Mode::After => vec![at_end()],
        Mode::Edges => vec![before(), at_end()],
        Mode::Continuously => vec![Looks {
            what: mode.to_string(),
            windows: Ok(pieces(phases, declared, ended, piece)),
            answered_within: false,
        }],
        Mode::DuringFaults => {
            let each: Vec<Looks> = in_force_since()
                .map(|(phase, from, to)| one(format!("under \"{}\"", phase.fault), from, to))
                .collect();
            if each.is_empty() {
                return vec![Looks {
                    what: mode.to_string(),
                    windows: never(),
                    answered_within: false,
                }];
            }
            each
        }
        Mode::OnFault => {
            let mut times: Vec<(Duration, Duration)> = Vec::new();
            for (_, from, to) in in_force_since() {
                match times.last_mut() {
                    Some((_, end)) if from <= *end => *end = (*end).max(to),
                    _ => times.push((from, to)),
                }
            }
            let windows: Vec<Look> = times
                .into_iter()
                .flat_map(|(from, to)| pieces(phases, from, to, piece))
                .collect();
            vec![Looks {
                what: mode.to_string(),
                windows: if windows.is_empty() {
                    never()
                } else {
                    Ok(windows)
                },
                answered_within: false,
            }]
        }
    }
}

fn look(phases: &[Phase], from: Duration, to: Duration) -> Look {
    Look {
        window: Window { from, to },
        under: under(&in_force(phases, from)),
    }
}

/// All of a time in pieces of this length; what is left at the end belongs to the last piece.
fn pieces(phases: &[Phase], from: Duration, to: Duration, piece: Duration) -> Vec<Look> {
    let length = to.saturating_sub(from);
    let count = (length.as_nanos() / piece.as_nanos().max(1)).max(1);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (0..count)
        .map(|index| {
            let end = if index + 1 == count {
                to
            } else {
                from + piece * (index + 1)
            };
            look(phases, from + piece * index, end)
        })
        .collect()
}

/// Makes one judgement of those of several windows: the worst of them, and how many are like
/// that.
#[must_use]
pub fn together(what: String, judged: Vec<(Look, Judgement)>) -> Judgement {
    let count = judged.len();
    let with = |met: Met| {
        judged
            .iter()
            .filter(move |(_, judgement)| judgement.met == met)
    };
    let length = judged
        .first()
        .map_or(Duration::ZERO, |(look, _)| look.window.length());
    let worst = [Met::No, Met::NoData, Met::Yes]
        .into_iter()
        .find(|met| with(*met).next().is_some())
        .unwrap_or(Met::NoData);
    let Some((look, judgement)) = with(worst).next() else {
        return Judgement {
            what,
            expected: "a time to look at".to_owned(),
            actual: "there was none".to_owned(),
            met: Met::NoData,
            measured: Vec::new(),
            evidence: Vec::new(),
        };
    };
    let actual = if count == 1 {
        judgement.actual.clone()
    } else {
        let of_them = with(worst).count();
        let at = format!("{:.3} s", look.window.from.as_secs_f64());
        let (under, actual) = (&look.under, &judgement.actual);
        match worst {
            Met::Yes => format!(
                "in all {count} pieces of {}, the first: {actual}",
                human(length)
            ),
            Met::No => format!(
                "not in {of_them} of {count} pieces of {}, the first at {at}{under}: {actual}",
                human(length)
            ),
            Met::NoData | Met::NotJudged => format!(
                "cannot be told in {of_them} of {count} pieces of {}, the first at {at}{under}: \
                 {actual}",
                human(length)
            ),
        }
    };
    Judgement {
        what,
        expected: judgement.expected.clone(),
        actual,
        met: worst,
        measured: judged
            .iter()
            .flat_map(|(_, judgement)| judgement.measured.clone())
            .collect(),
        evidence: judgement.evidence.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::phases::{phases, tests::faults};
    use crate::model::units::ms;

    /// Windows as `100-200, 200-350`, in milliseconds.
    fn windows(mode: Mode, declared: u64, faulted: &[(&str, u64, Option<u64>)]) -> Vec<String> {
        let phases = phases(&faults(faulted));
        let course = Course {
            declared: ms(declared),
            ended: ms(1000),
            after: Window {
                from: ms(1100),
                to: ms(1200),
            },
            phases: &phases,
        };
        looks(mode, ms(100), course)
            .into_iter()
            .map(|looks| {
                let windows = match looks.windows {
                    Err(why) => why,
                    Ok(windows) => {
                        let shown = windows.iter().map(|look| {
                            let Window { from, to } = look.window;
                            format!("{}-{}{}", from.as_millis(), to.as_millis(), look.under)
                        });
                        shown.collect::<Vec<_>>().join(", ")
                    }
                };
                format!("{}: {windows}", looks.what)
            })
            .collect()
    }

    #[test]
    fn each_mode_has_its_time() {
        let two: &[(&str, u64, Option<u64>)] = &[
            ("kill", 200, Some(350)),
            ("slow", 300, Some(520)),
            ("stop", 800, None),
        ];
        for (mode, declared, faulted, expected) in [
            (
                Mode::Before,
                50,
                two,
                vec!["before the first fault: 50-200"],
            ),
            (
                Mode::Before,
                250,
                two,
                vec!["before the first fault: \"kill\" was injected before this was declared"],
            ),
            (
                Mode::Before,
                50,
                &[],
                vec!["before the first fault: 50-1000"],
            ),
            // One that could not be lifted shows.
            (
                Mode::After,
                50,
                two,
                vec!["after the last fault: 1100-1200 under \"stop\""],
            ),
            (
                Mode::Edges,
                50,
                two,
                vec![
                    "before the first fault: 50-200",
                    "after the last fault: 1100-1200 under \"stop\"",
                ],
            ),
            (
                Mode::Continuously,
                650,
                two,
                vec!["continuously: 650-750, 750-850, 850-1000 under \"stop\""],
            ),
            (
                Mode::Continuously,
                950,
                two,
                vec!["continuously: 950-1000 under \"stop\""],
            ),
            (
                Mode::DuringFaults,
                250,
                two,
                vec![
                    "under \"kill\": 250-350 under \"kill\"",
                    "under \"slow\": 300-520 under \"kill\", \"slow\"",
                    "under \"stop\": 800-1000 under \"stop\"",
                ],
            ),
            (
                Mode::DuringFaults,
                50,
                &[],
                vec!["during each fault: no fault was in force since this was declared"],
            ),
            (
                Mode::OnFault,
                50,
                two,
                vec![
                    "on fault: 200-300 under \"kill\", 300-400 under \"kill\", \"slow\", \
                     400-520 under \"slow\", 800-900 under \"stop\", 900-1000 under \"stop\"",
                ],
            ),
            (
                Mode::OnFault,
                600,
                &two[..2],
                vec!["on fault: no fault was in force since this was declared"],
            ),
        ] {
            assert_eq!(windows(mode, declared, faulted), expected, "{mode}");
        }
    }

    #[test]
    fn the_worst_piece_decides_and_says_where_it_is() {
        let piece = |from: u64, under: &str, met: Met, actual: &str| {
            (
                Look {
                    window: Window {
                        from: ms(from),
                        to: ms(from + 100),
                    },
                    under: under.to_owned(),
                },
                Judgement {
                    what: String::new(),
                    expected: "at most 1 %".into(),
                    actual: actual.to_owned(),
                    met,
                    measured: Vec::new(),
                    evidence: Vec::new(),
                },
            )
        };
        let (good, bad) = (
            || piece(0, "", Met::Yes, "0 %"),
            || piece(200, " under \"kill\"", Met::No, "7 %"),
        );
        let unknown = || piece(100, "", Met::NoData, "no data (0 samples)");
        for (pieces, met, actual) in [
            (vec![good()], Met::Yes, "0 %"),
            (
                vec![good(), good()],
                Met::Yes,
                "in all 2 pieces of 100 ms, the first: 0 %",
            ),
            (
                vec![good(), unknown(), bad(), bad()],
                Met::No,
                "not in 2 of 4 pieces of 100 ms, the first at 0.200 s under \"kill\": 7 %",
            ),
            (
                vec![good(), unknown()],
                Met::NoData,
                "cannot be told in 1 of 2 pieces of 100 ms, the first at 0.100 s: no data (0 \
                 samples)",
            ),
            (vec![], Met::NoData, "there was none"),
        ] {
            let judgement = together("error rate".into(), pieces);
            assert_eq!((judgement.met, judgement.actual.as_str()), (met, actual));
        }
    }
}
