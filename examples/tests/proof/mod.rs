//! Proves a hypothesis: again and again it holds on the sound victim, and fails on each weakened
//! one, for the named reason.
//!
//! An ordinary run of the tests tries each weakened victim once; the hypothesis itself is a test
//! of its own. More runs, beside busy neighbours, come from the environment:
//!
//! | variable | means |
//! |---|---|
//! | `PROOF_SOUND`, `PROOF_QUICK` | how often the sound victim is broken; in quick tests |
//! | `PROOF_WEAKENED` | how often each weakened one |
//! | `PROOF_JOBS` | how many of these run at a time, 3 by default |
//! | `PROOF_NEIGHBOURS` | how many busy neighbours there are, one for each core by default |
//! | `CHAOS_FULL=1` | 200, 3,000 and 50 times |

mod neighbours;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chaos_test::{Event, Journal, Outcome, RunStatus, Verdict};
use chaos_test_fixtures::rerun::Rerun;

/// How often a weakened victim may be begun with that could not even be broken. It has nothing
/// against a busy machine, and may fail before the fault: that says nothing, so it goes again.
const TRIES: usize = 3;
/// How many failures are shown whole.
const SHOWN: usize = 3;

/// A test of this program, and what takes its victim's protection away.
#[derive(Debug)]
pub struct Hypothesis {
    test: &'static str,
    quick: bool,
    weakened: Vec<(&'static str, &'static str)>,
}

/// How often each kind of run is made.
#[derive(Debug, Clone, Copy)]
struct Runs {
    sound: usize,
    quick: usize,
    weakened: usize,
}

/// The hypothesis of the test with this path.
pub fn hypothesis(test: &'static str) -> Hypothesis {
    Hypothesis {
        test,
        quick: false,
        weakened: Vec::new(),
    }
}

impl Hypothesis {
    /// Its test takes about a second.
    #[allow(dead_code, reason = "not every program has one")]
    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }

    /// It has to deviate with this switch off, and its reason to contain this text.
    pub fn fails_without(mut self, switch: &'static str, reason: &'static str) -> Self {
        self.weakened.push((switch, reason));
        self
    }

    /// Runs all of it, prints one line, and fails if anything was not as it has to be.
    pub fn holds(self) {
        let runs = Runs::from_environment();
        let sound = if self.quick { runs.quick } else { runs.sound };
        let _neighbours = (sound > 0).then(neighbours::busy);
        let mut line = format!("| `{}` |", self.test);
        let mut wrong = String::new();
        if sound > 0 {
            let all = Repeated::of(sound, || run(self.test, None), held);
            let _ = write!(
                line,
                " {} of {sound} held{}, {} each |",
                all.right,
                all.aside(),
                all.mean()
            );
            wrong += &all.wrong("the sound victim");
        }
        for (switch, reason) in &self.weakened {
            let again = AtomicUsize::new(0);
            let mut all = Repeated::of(
                runs.weakened,
                || begun(self.test, switch, &again),
                |outcome| deviated(outcome, reason),
            );
            all.again = again.into_inner();
            let _ = write!(
                line,
                " `{switch}=off`: {} of {} failed{} |",
                all.right,
                runs.weakened,
                all.aside(),
            );
            wrong += &all.wrong(&format!("{switch}=off"));
        }
        say(&line);
        assert!(wrong.is_empty(), "{}:\n{wrong}", self.test);
    }
}

impl Runs {
    fn from_environment() -> Self {
        let full = std::env::var_os("CHAOS_FULL").is_some_and(|value| value == "1");
        let or = |name, ordinary, many| number(name).unwrap_or(if full { many } else { ordinary });
        Self {
            sound: or("PROOF_SOUND", 0, 200),
            quick: or("PROOF_QUICK", 0, 3000),
            weakened: or("PROOF_WEAKENED", 1, 50),
        }
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is `{text}`, and has to be a number")))
}

/// What one run came to.
enum Came {
    /// To what it has to.
    Right,
    /// What it needs is missing; then its own test is skipped, too, and under CHAOS_REQUIRE it
    /// fails, here and there.
    Skipped(String),
    /// To something else.
    Wrong(String),
}

/// What many runs came to.
struct Repeated {
    right: usize,
    skipped: usize,
    /// How many were begun once more, because nothing could be broken.
    again: usize,
    /// Reasons without their figures, and how often each came.
    reasons: BTreeMap<String, usize>,
    shown: Vec<String>,
    took: Duration,
    runs: usize,
}

impl Repeated {
    fn of(
        runs: usize,
        run: impl Fn() -> Result<Outcome, String> + Sync,
        judge: impl Fn(&Outcome) -> Came + Sync,
    ) -> Self {
        let all = Mutex::new(Self {
            right: 0,
            skipped: 0,
            again: 0,
            reasons: BTreeMap::new(),
            shown: Vec::new(),
            took: Duration::ZERO,
            runs,
        });
        let begun = AtomicUsize::new(0);
        let jobs = number("PROOF_JOBS").unwrap_or(3);
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, runs.max(1)) {
                scope.spawn(|| {
                    while begun.fetch_add(1, Ordering::Relaxed) < runs {
                        let since = Instant::now();
                        let came = match run() {
                            Ok(outcome) => judge(&outcome),
                            Err(why) => Came::Wrong(why),
                        };
                        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                        all.took += since.elapsed();
                        all.count(came);
                    }
                });
            }
        });
        all.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&mut self, came: Came) {
        match came {
            Came::Right => self.right += 1,
            Came::Skipped(why) => {
                if self.skipped == 0 {
                    say(&format!("SKIPPED: {why}"));
                }
                self.skipped += 1;
            }
            Came::Wrong(why) => {
                let first = why.lines().next().unwrap_or_default();
                let without_figures = first.replace(|letter: char| letter.is_ascii_digit(), "#");
                *self.reasons.entry(without_figures).or_default() += 1;
                if self.shown.len() < SHOWN {
                    self.shown.push(why);
                }
            }
        }
    }

    /// What else there is to say, if there is.
    fn aside(&self) -> String {
        let mut aside = String::new();
        for (count, what) in [(self.skipped, "skipped"), (self.again, "begun again")] {
            if count > 0 {
                let _ = write!(aside, " ({count} {what})");
            }
        }
        aside
    }

    fn mean(&self) -> String {
        let runs = u32::try_from(self.runs.max(1)).unwrap_or(u32::MAX);
        format!("{:.1} s", (self.took / runs).as_secs_f64())
    }

    fn wrong(&self, what: &str) -> String {
        if self.reasons.is_empty() {
            return String::new();
        }
        let wrong = self.runs - self.right - self.skipped;
        let mut text = format!("{what}: {wrong} of {} runs went wrong\n", self.runs);
        for (reason, times) in &self.reasons {
            let _ = writeln!(text, "  {times} times: {reason}");
        }
        for shown in &self.shown {
            let _ = writeln!(text, "{shown}\n");
        }
        text
    }
}

/// Runs one test of this program as a child, with a protection of its victim switched off or
/// none, and returns how that ended.
fn run(test: &str, switched_off: Option<&str>) -> Result<Outcome, String> {
    let child = Rerun::of(test);
    let child = match switched_off {
        Some(switch) => child.env(switch, "off"),
        None => child,
    }
    .run();
    let journals = child.journals();
    let [journal] = journals.as_slice() else {
        let count = journals.len();
        return Err(format!("it left {count} journals:\n{}", child.output()));
    };
    let journal = Journal::read(journal).map_err(|error| error.to_string())?;
    let mut records = journal.records.into_iter().map(|record| record.event);
    match records.next_back() {
        Some(Event::Finished { outcome }) => Ok(outcome),
        other => Err(format!("it did not finish: {other:?}\n{}", child.output())),
    }
}

/// As [`run`] on a weakened victim, until something could be broken.
fn begun(test: &str, switched_off: &str, again: &AtomicUsize) -> Result<Outcome, String> {
    for _ in 1..TRIES {
        let outcome = run(test, Some(switched_off))?;
        if !matches!(outcome.status, RunStatus::Errored(_)) {
            return Ok(outcome);
        }
        again.fetch_add(1, Ordering::Relaxed);
    }
    run(test, Some(switched_off))
}

fn held(outcome: &Outcome) -> Came {
    if let Some(why) = outcome.skipped() {
        return Came::Skipped(why.to_owned());
    }
    if outcome.passed() {
        return Came::Right;
    }
    Came::Wrong(match &outcome.verdict {
        Verdict::Deviated(why) | Verdict::Unknown(why) => format!("{why}\n{outcome:?}"),
        _ => format!("{outcome:?}"),
    })
}

fn deviated(outcome: &Outcome, reason: &str) -> Came {
    if let Some(why) = outcome.skipped() {
        return Came::Skipped(why.to_owned());
    }
    match &outcome.verdict {
        Verdict::Deviated(why) if why.contains(reason) => Came::Right,
        Verdict::Deviated(why) => Came::Wrong(format!("it deviated, but not for {reason}: {why}")),
        Verdict::Held => Came::Wrong("it held".to_owned()),
        _ => Came::Wrong(format!("{outcome:?}")),
    }
}

/// Past the capture of the test runner.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
