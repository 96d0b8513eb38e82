//! What became of records: those that were written before, held against those that are read
//! afterwards.
//!
//! The model is the set checker of Jepsen (`jepsen.checker/set`): a write that was acknowledged
//! must be read in the end, one whose outcome nobody knows may be, and nothing else must be
//! there. Its words are `lost`, `unexpected`, and `recovered` for what nobody knew.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use crate::model::event::Met;
use crate::model::measure::Measure;
use crate::model::units::Percent;

use super::tolerance::Judgement;

/// How many keys of each anomaly a message shows.
const SHOWN: usize = 5;
/// From how many characters on a key is cut in a message.
const LONGEST_KEY: usize = 80;

/// One way in which records can be wrong. Made by [`lost`], [`duplicated`], [`changed`],
/// [`out_of_order`] and [`unexpected`].
///
/// ```
/// use chaos_test::{Comparison, duplicated, lost, percent};
/// let written = [(17, "teapot"), (18, "cup")];
/// let read = [(18, "cup"), (18, "cup")];
/// let orders = Comparison::of(&written, &[], &read);
/// assert_eq!((orders.count(lost()), orders.count(duplicated())), (1, 1));
/// let tolerated = lost().at_most(percent(1)); // of the records that were acknowledged
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "say how many are tolerated, with `at_most`"]
pub struct Anomaly(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Lost,
    Duplicated,
    Changed,
    OutOfOrder,
    Unexpected,
}

/// Records whose write was acknowledged and that are not read.
///
/// ```
/// use chaos_test::{lost, percent};
/// let tolerance = lost().at_most(0);
/// let tolerance = lost().at_most(percent(1));
/// ```
pub fn lost() -> Anomaly {
    Anomaly(Kind::Lost)
}

/// Records that are read more often than they were written. Each further copy counts.
///
/// ```
/// let tolerance = chaos_test::duplicated().at_most(0);
/// ```
pub fn duplicated() -> Anomaly {
    Anomaly(Kind::Duplicated)
}

/// Records that are read with a value that was not written under their key.
///
/// ```
/// let tolerance = chaos_test::changed().at_most(0);
/// ```
pub fn changed() -> Anomaly {
    Anomaly(Kind::Changed)
}

/// Records that are not read in the order in which they were written: as many as would have
/// to be moved to put all in order. A copy that comes later than the record is no disorder.
///
/// ```
/// let tolerance = chaos_test::out_of_order().at_most(0);
/// ```
pub fn out_of_order() -> Anomaly {
    Anomaly(Kind::OutOfOrder)
}

/// Records that are read and that nobody wrote.
///
/// ```
/// let tolerance = chaos_test::unexpected().at_most(0);
/// ```
pub fn unexpected() -> Anomaly {
    Anomaly(Kind::Unexpected)
}

impl Anomaly {
    /// At most so many records, or at most this share: of the records whose write was
    /// acknowledged, or, of [`unexpected`] ones, of those that are read.
    pub fn at_most(self, amount: impl Into<Amount>) -> RecordTolerance {
        RecordTolerance {
            anomaly: self,
            limit: amount.into(),
        }
    }
}

/// How many records: a number of them, or a share.
///
/// ```
/// use chaos_test::{Amount, percent};
/// assert_eq!(Amount::from(3).to_string(), "at most 3");
/// assert_eq!(Amount::from(percent(1)).to_string(), "at most 1 %");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// This share.
    Share(Percent),
}

impl From<usize> for Amount {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<Percent> for Amount {
    fn from(share: Percent) -> Self {
        Self::Share(share)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(0) => f.write_str("none"),
            Self::Count(count) => write!(f, "at most {count}"),
            Self::Share(share) => write!(f, "at most {share}"),
        }
    }
}

/// How much of an [`Anomaly`] is tolerated.
///
/// ```
/// use chaos_test::{Comparison, Met, lost};
/// let orders = Comparison::of(&[(17, "teapot"), (18, "cup")], &[], &[(18, "cup")]);
/// assert_eq!(lost().at_most(0).judge("orders", &orders).met, Met::No);
/// assert_eq!(lost().at_most(1).judge("orders", &orders).met, Met::Yes);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use = "a tolerance judges nothing until it is passed to `expect`"]
pub struct RecordTolerance {
    anomaly: Anomaly,
    limit: Amount,
}

/// How records that were read compare with those that were written.
///
/// ```
/// use chaos_test::{Comparison, changed, lost, unexpected};
/// let acknowledged = [(17, "teapot"), (18, "cup")];
/// let timed_out = [(19, "spoon")]; // may be there or not
/// let orders = Comparison::of(&acknowledged, &timed_out, &[(18, "mug"), (19, "spoon")]);
/// assert_eq!(orders.first_keys(lost()), ["17"]);
/// assert_eq!(orders.count(changed()), 1);
/// assert_eq!(orders.count(unexpected()), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    acknowledged: usize,
    read: usize,
    /// Of those that are read, how many were written.
    known: usize,
    /// How many of them have a place in the order of writing.
    ordered: usize,
    found: BTreeMap<Anomaly, Found>,
}

/// The records of one anomaly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    count: usize,
    /// The keys of the first of them.
    first: Vec<String>,
}

/// One record of one side, with its place there.
struct Entry<'a, K, V> {
    key: &'a K,
    value: &'a V,
    side: Side,
    place: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Acknowledged,
    Uncertain,
    Read,
}

/// Something that is wrong with one key, and where it is to be told.
struct Wrong<'a, K> {
    anomaly: Anomaly,
    key: &'a K,
    /// In the order of writing where it was written, else in that of reading.
    place: usize,
    count: usize,
}

impl Comparison {
    /// Compares. It takes `n log n` steps for `n` records, as long as few records share a key.
    #[must_use]
    pub fn of<K: Ord + Debug, V: PartialEq>(
        acknowledged: &[(K, V)],
        uncertain: &[(K, V)],
        read: &[(K, V)],
    ) -> Self {
        let mut entries = Vec::with_capacity(acknowledged.len() + uncertain.len() + read.len());
        for (side, records) in [
            (Side::Acknowledged, acknowledged),
            (Side::Uncertain, uncertain),
            (Side::Read, read),
        ] {
            for (place, (key, value)) in records.iter().enumerate() {
                entries.push(Entry {
                    key,
                    value,
                    side,
                    place,
                });
            }
        }
        // Stable: records of one key stay by side, and in their order.
        entries.sort_by(|a, b| a.key.cmp(b.key));
        let mut wrong: Vec<Wrong<'_, K>> = Vec::new();
        let mut known = 0;
        // Of what is read and has a place in the order of writing: both places, and the key.
        let mut order: Vec<(usize, usize, &K)> = Vec::new();
        for group in entries.chunk_by(|a, b| a.key == b.key) {
            let of = |side: Side| {
                let begin = group.partition_point(|entry| entry.side < side);
                let end = group.partition_point(|entry| entry.side <= side);
                &group[begin..end]
            };
            let (sure, unsure, read) =
                (of(Side::Acknowledged), of(Side::Uncertain), of(Side::Read));
            let written = &group[..sure.len() + unsure.len()];
            known += if written.is_empty() { 0 } else { read.len() };
            compare(written, sure.len(), read, &mut wrong);
            // Where a write of the key may have failed, nobody knows which one is read.
            if unsure.is_empty() {
                let pairs = read.iter().zip(sure);
                order.extend(pairs.map(|(read, sure)| (read.place, sure.place, read.key)));
            }
        }
        order.sort_unstable_by_key(|(read, ..)| *read);
        let written: Vec<usize> = order.iter().map(|(_, written, _)| *written).collect();
        for index in outside_longest_rise(&written) {
            wrong.push(Wrong {
                anomaly: out_of_order(),
                key: order[index].2,
                place: order[index].0,
                count: 1,
            });
        }
        wrong.sort_by_key(|wrong| (wrong.anomaly, wrong.place));
        let mut found: BTreeMap<Anomaly, Found> = BTreeMap::new();
        for wrong in wrong {
            let found = found.entry(wrong.anomaly).or_default();
            found.count += wrong.count;
            if found.first.len() < SHOWN {
                found.first.push(shown(wrong.key));
            }
        }
        Self {
            acknowledged: acknowledged.len(),
            read: read.len(),
            known,
            ordered: order.len(),
            found,
        }
    }

    /// How many records are wrong in one way.
    #[must_use]
    pub fn count(&self, anomaly: Anomaly) -> usize {
        self.found.get(&anomaly).map_or(0, |found| found.count)
    }

    /// The keys of the first records that are wrong in one way, by `Debug`: at most five.
    #[must_use]
    pub fn first_keys(&self, anomaly: Anomaly) -> &[String] {
        self.found.get(&anomaly).map_or(&[], |found| &found.first)
    }

    /// Why there is nothing to judge an anomaly by, if so.
    fn no_data(&self, anomaly: Anomaly) -> Option<&'static str> {
        match anomaly.0 {
            _ if self.acknowledged == 0 => Some("no record was written before"),
            Kind::Lost => None,
            Kind::Unexpected if self.read == 0 => Some("no record was read"),
            Kind::Duplicated | Kind::Changed if self.known == 0 => {
                Some("none of the written records was read")
            }
            Kind::OutOfOrder if self.ordered < 2 => {
                Some("an order needs two of the written records")
            }
            _ => None,
        }
    }
}

/// What is wrong with the records of one key.
fn compare<'a, K, V: PartialEq>(
    written: &[Entry<'a, K, V>],
    sure: usize,
    read: &[Entry<'a, K, V>],
    wrong: &mut Vec<Wrong<'a, K>>,
) {
    let Some(first) = written.first() else {
        wrong.extend(read.iter().map(|read| Wrong {
            anomaly: unexpected(),
            key: read.key,
            place: read.place,
            count: 1,
        }));
        return;
    };
    let was_written = |value: &V| written.iter().any(|entry| entry.value == value);
    let changes = read.iter().filter(|entry| !was_written(entry.value));
    for (anomaly, count) in [
        (lost(), sure.saturating_sub(read.len())),
        (duplicated(), read.len().saturating_sub(written.len())),
        (changed(), changes.count()),
    ] {
        if count > 0 {
            wrong.push(Wrong {
                anomaly,
                key: first.key,
                place: first.place,
                count,
            });
        }
    }
}

/// The places that are not part of the longest rising sequence: the fewest that would have to
/// be moved.
fn outside_longest_rise(numbers: &[usize]) -> Vec<usize> {
    // For each length of a rise, the place of the lowest number that ends one.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; numbers.len()];
    for (place, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] < *number);
        before[place] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = place,
            None => ends.push(place),
        }
    }
    let mut inside = vec![false; numbers.len()];
    let mut next = ends.last().copied();
    while let Some(place) = next {
        inside[place] = true;
        next = before[place];
    }
    (0..numbers.len()).filter(|place| !inside[*place]).collect()
}

fn shown(key: &impl Debug) -> String {
    let key = format!("{key:?}");
    match key.char_indices().nth(LONGEST_KEY) {
        Some((end, _)) => format!("{}...", &key[..end]),
        None => key,
    }
}

impl RecordTolerance {
    /// Judges the records of a name.
    #[must_use]
    pub fn judge(&self, name: &str, records: &Comparison) -> Judgement {
        let anomaly = self.anomaly;
        let (of, all) = match anomaly.0 {
            Kind::Unexpected => ("read", records.read),
            _ => ("acknowledged", records.acknowledged),
        };
        let count = records.count(anomaly);
        // An empty side is no data, so that nothing is divided by it.
        let share = count as f64 / all.max(1) as f64;
        let within = match self.limit {
            Amount::Count(limit) => count <= limit,
            // What is lost in turning a share into a number must not decide.
            Amount::Share(limit) => share <= limit.as_fraction() * (1.0 + 1e-12),
        };
        let no_data = records.no_data(anomaly);
        let actual = match no_data {
            Some(why) => format!("no data: {why}"),
            None if count == 0 => format!("none of {all} {of}"),
            None => {
                let keys = records.first_keys(anomaly);
                let more = match count.saturating_sub(keys.len()) {
                    0 => "",
                    _ => ", ...",
                };
                format!(
                    "{count} of {all} {of} ({}): {}{more}",
                    Percent::from_fraction(share),
                    keys.join(", ")
                )
            }
        };
        Judgement {
            what: format!("{anomaly} of {name}"),
            expected: self.limit.to_string(),
            actual,
            met: match (no_data, within) {
                (Some(_), _) => Met::NoData,
                (None, true) => Met::Yes,
                (None, false) => Met::No,
            },
            measured: match no_data {
                Some(_) => Vec::new(),
                None => [("", count as f64), ("%", share)]
                    .map(|(unit, number)| Measure {
                        of: vec![name.to_owned()],
                        ..Measure::new(format!("{}{unit}", anomaly.key()), number, true)
                    })
                    .into(),
            },
            evidence: Vec::new(),
        }
    }
}

impl Anomaly {
    /// As `expects(..)` calls it.
    fn key(self) -> &'static str {
        match self.0 {
            Kind::Lost => "lost",
            Kind::Duplicated => "duplicated",
            Kind::Changed => "changed",
            Kind::OutOfOrder => "out_of_order",
            Kind::Unexpected => "unexpected",
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Lost => "lost records",
            Kind::Duplicated => "duplicated records",
            Kind::Changed => "changed records",
            Kind::OutOfOrder => "out-of-order records",
            Kind::Unexpected => "unexpected records",
        })
    }
}

#[cfg(test)]
mod tests;
