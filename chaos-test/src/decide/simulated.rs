//! What comparing with a baseline promises, on made-up systems whose truth is known: where
//! the true change is just the limit, each of the two answers comes in at most 2.5 % of all
//! tests (at 95 %), however few samples there are. The one exception is `promised`.
//!
//! `CHAOS_FULL=1 cargo test --release -p chaos-test --lib simulated -- --nocapture` draws more
//! often, for more samples, and prints the tables in the README; without `CHAOS_FULL` a part
//! of it runs.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::model::event::Met;
use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::{percent, secs};

use super::delta::Delta;
use super::measures::{error_rate, latency, throughput};
use super::statistics::{P50, P95, P99, Percentile, Summary};

/// How a made-up system answers.
#[derive(Debug, Clone, Copy)]
enum System {
    Lognormal,
    Exponential,
    /// With so heavy a tail that there is no variance.
    Pareto,
    /// One in ten takes ten times as long.
    Bimodal,
    /// Like `Bimodal`, but those that take long come in stalls, five in a row on average.
    Stalls,
    /// Lognormal, and each answer has so much in common with the one before.
    Autoregressive(f64),
    /// Some fail, each by itself.
    Failures,
    /// Some fail, five in a row on average.
    Bursts,
}

/// What is compared of it.
#[derive(Debug, Clone, Copy)]
enum Compared {
    /// A latency, which the fault makes half as long again.
    Latency(Percentile),
    /// An error rate, which rises from 1 % to 5 %.
    ErrorRate,
    /// Throughput, which drops by 20 % from 98 %.
    Throughput,
}

const SCENARIOS: [(System, Compared); 16] = [
    (System::Lognormal, Compared::Latency(P50)),
    (System::Lognormal, Compared::Latency(P95)),
    (System::Lognormal, Compared::Latency(P99)),
    (System::Exponential, Compared::Latency(P50)),
    (System::Exponential, Compared::Latency(P95)),
    (System::Pareto, Compared::Latency(P50)),
    (System::Pareto, Compared::Latency(P95)),
    (System::Bimodal, Compared::Latency(P95)),
    (System::Autoregressive(0.5), Compared::Latency(P50)),
    (System::Autoregressive(0.5), Compared::Latency(P95)),
    (System::Autoregressive(0.8), Compared::Latency(P50)),
    (System::Stalls, Compared::Latency(P50)),
    (System::Stalls, Compared::Latency(P95)),
    (System::Failures, Compared::ErrorRate),
    (System::Bursts, Compared::ErrorRate),
    (System::Failures, Compared::Throughput),
];

/// How strong the fault is.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It does nothing.
    None,
    /// It does what is just tolerated.
    Limit,
    /// It does twice as much.
    Double,
}

impl Compared {
    /// How often a sample fails before the fault, and under it.
    fn failing(self, fault: Option<Fault>) -> f64 {
        let (before, limit) = match self {
            Self::Latency(_) => return 0.0,
            Self::ErrorRate => (0.01, 0.05),
            Self::Throughput => (0.02, 1.0 - 0.98 * 0.8),
        };
        match fault {
            None | Some(Fault::None) => before,
            Some(Fault::Limit) => limit,
            Some(Fault::Double) => 2.0 * limit - before,
        }
    }

    /// How much longer an answer takes.
    fn times(self, fault: Option<Fault>) -> f64 {
        match (self, fault) {
            (Self::Latency(_), Some(Fault::Limit)) => 1.5,
            (Self::Latency(_), Some(Fault::Double)) => 2.0,
            _ => 1.0,
        }
    }

    /// The ways to tolerate just what `Fault::Limit` does.
    fn tolerances(self, system: System) -> Vec<Delta> {
        match self {
            Self::Latency(at) => {
                let by = Duration::from_secs_f64(0.5 * system.percentile(at));
                vec![
                    latency(at).rises_at_most(by),
                    latency(at).rises_at_most(percent(50)),
                ]
            }
            Self::ErrorRate => vec![error_rate().rises_at_most(percent(4))],
            Self::Throughput => vec![throughput().drops_at_most(percent(20))],
        }
    }
}

impl System {
    /// The true latency at a percentile, in seconds.
    fn percentile(self, at: Percentile) -> f64 {
        let share = at.as_fraction();
        // One in ten lies between 80 and 120 ms, the others between 8 and 12 ms.
        let two_modes = if share <= 0.9 {
            0.008 + 0.004 * share / 0.9
        } else {
            0.08 + 0.04 * (share - 0.9) / 0.1
        };
        let normal = match at {
            P50 => 0.0,
            P95 => 1.644_853_627,
            P99 => 2.326_347_874,
            _ => unreachable!("no scenario compares {at}"),
        };
        match self {
            Self::Lognormal | Self::Autoregressive(_) => 0.01 * f64::exp(normal),
            Self::Exponential => -0.01 * (1.0 - share).ln(),
            Self::Pareto => 0.01 * (1.0 - share).powf(-1.0 / 1.5),
            Self::Bimodal | Self::Stalls => two_modes,
            Self::Failures | Self::Bursts => 0.01,
        }
    }

    /// A window of it; with `None` its baseline.
    fn window(
        self,
        samples: usize,
        compared: Compared,
        fault: Option<Fault>,
        chance: &mut Chance,
    ) -> Summary {
        let failing = compared.failing(fault);
        let mut normal = chance.normal();
        // Whether a stall or a burst is on.
        let share = if matches!(self, Self::Stalls) {
            0.1
        } else {
            failing
        };
        let mut bad = chance.uniform() < share;
        let mut seen = Vec::with_capacity(samples);
        for number in 0..samples {
            // One in five ends it, and so many begin one that the share stays.
            let turns = if bad {
                0.2
            } else {
                0.2 * share / (1.0 - share)
            };
            bad ^= chance.uniform() < turns;
            let two_modes = |slow: bool, chance: &mut Chance| {
                let fast = 0.008 + 0.004 * chance.uniform();
                if slow { fast * 10.0 } else { fast }
            };
            let seconds = match self {
                Self::Lognormal => 0.01 * chance.normal().exp(),
                Self::Exponential => -0.01 * chance.uniform().ln(),
                Self::Pareto => 0.01 * chance.uniform().powf(-1.0 / 1.5),
                Self::Bimodal => {
                    let slow = chance.uniform() < 0.1;
                    two_modes(slow, chance)
                }
                Self::Stalls => two_modes(bad, chance),
                Self::Autoregressive(common) => {
                    normal = common * normal + (1.0 - common * common).sqrt() * chance.normal();
                    0.01 * normal.exp()
                }
                Self::Failures | Self::Bursts => 0.01,
            };
            let fails = match self {
                Self::Bursts => bad,
                Self::Failures => chance.uniform() < failing,
                _ => false,
            };
            let at = Duration::from_millis(20) * number as u32;
            seen.push(Sample {
                at,
                sent: at,
                latency: Duration::from_secs_f64(seconds * compared.times(fault)),
                reading: if fails {
                    Reading::Bad("refused".to_owned())
                } else {
                    Reading::Good(None)
                },
            });
        }
        let window = Window {
            from: secs(0),
            to: secs(10_000),
        };
        Summary::of(&seen, window)
    }
}

/// Bursts of failures that were not seen cannot be known of: a window must hold some of them,
/// ten on average in a thousand samples.
fn promised((system, _): (System, Compared), samples: usize) -> bool {
    !matches!(system, System::Bursts) || samples >= 1000
}

struct Chance(ChaCha8Rng);

impl Chance {
    /// Above 0 and below 1.
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, after Box and Muller.
    fn normal(&mut self) -> f64 {
        let length = (-2.0 * self.uniform().ln()).sqrt();
        length * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// In how many percent of all tests something was answered.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    met: f64,
    missed: f64,
}

/// What is answered, for each way to tolerate the same.
fn answers(
    (system, compared): (System, Compared),
    fault: Fault,
    samples: usize,
    tests: usize,
) -> Vec<Answers> {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(samples as u64));
    let tolerances = compared.tolerances(system);
    let mut answers = vec![Answers::default(); tolerances.len()];
    let one = 100.0 / tests as f64;
    for _ in 0..tests {
        let baseline = system.window(samples, compared, None, &mut chance);
        let window = system.window(samples, compared, Some(fault), &mut chance);
        for (tolerance, answers) in tolerances.iter().zip(&mut answers) {
            match tolerance.decide(&baseline, &window) {
                Met::Yes => answers.met += one,
                Met::No => answers.missed += one,
                Met::NoData | Met::NotJudged => {}
            }
        }
    }
    answers
}

fn table(title: &str, sizes: &[usize], row: impl Fn((System, Compared), usize) -> String) {
    let mut text = format!("\n{title}\n\n| | |");
    for size in sizes {
        text += &format!(" {size} |");
    }
    text += &format!("\n|---|---|{}\n", "---:|".repeat(sizes.len()));
    for (system, compared) in SCENARIOS {
        let what = match compared {
            Compared::Latency(at) => at.to_string(),
            Compared::ErrorRate => "error rate".to_owned(),
            Compared::Throughput => "throughput".to_owned(),
        };
        text += &format!("| {system:?} | {what} |");
        for &size in sizes {
            text += &format!(" {} |", row((system, compared), size));
        }
        text += "\n";
    }
    eprintln!("{text}");
}

fn full() -> bool {
    std::env::var_os("CHAOS_FULL").is_some_and(|set| !set.is_empty())
}

#[test]
fn simulated_neither_answer_comes_too_often_where_the_truth_is_the_limit() {
    let (sizes, tests): (&[usize], usize) = if full() {
        (&[20, 50, 100, 250, 1000, 10_000], 4000)
    } else {
        (&[20, 100], 100)
    };
    let tests = |size: usize| if size > 1000 { tests / 4 } else { tests };
    let too_often = std::cell::RefCell::new(Vec::new());
    table(
        "told wrongly, in %: met / missed",
        sizes,
        |scenario, size| {
            let answers = answers(scenario, Fault::Limit, size, tests(size));
            let met = answers
                .iter()
                .map(|answers| answers.met)
                .fold(0.0, f64::max);
            let missed = answers
                .iter()
                .map(|answers| answers.missed)
                .fold(0.0, f64::max);
            // What so many tests may show above the truth, in one of some thousand.
            let chance = 3.5 * (2.5 * 97.5 / tests(size) as f64).sqrt();
            if promised(scenario, size) && met.max(missed) > 2.5 + chance {
                let case = format!("{scenario:?} at {size}: met {met} %, missed {missed} %");
                too_often.borrow_mut().push(case);
            }
            format!("{met:.1} / {missed:.1}")
        },
    );
    let too_often = too_often.into_inner();
    assert!(too_often.is_empty(), "{}", too_often.join("\n"));
}

#[test]
fn simulated_what_is_clear_is_told() {
    let tests = if full() { 1000 } else { 50 };
    let tests = |size: usize| if size > 1000 { tests / 4 } else { tests };
    let rates = |scenario, size| {
        let none = answers(scenario, Fault::None, size, tests(size));
        let double = answers(scenario, Fault::Double, size, tests(size));
        let least = |rates: &mut dyn Iterator<Item = f64>| rates.fold(100.0, f64::min);
        Answers {
            met: least(&mut none.iter().map(|answers| answers.met)),
            missed: least(&mut double.iter().map(|answers| answers.missed)),
        }
    };
    if full() {
        table(
            "told rightly, in %: met without a fault / missed where it does twice what is tolerated",
            &[20, 50, 100, 250, 1000, 10_000],
            |scenario, size| {
                let rates = rates(scenario, size);
                format!("{:.0} / {:.0}", rates.met, rates.missed)
            },
        );
    }
    // With enough samples each is clear, and with twenty no p95 is.
    let enough = rates((System::Lognormal, Compared::Latency(P50)), 250);
    assert!(enough.met > 80.0 && enough.missed > 40.0, "{enough:?}");
    let too_few = rates((System::Exponential, Compared::Latency(P95)), 20);
    assert_eq!((too_few.met, too_few.missed), (0.0, 0.0));
}
