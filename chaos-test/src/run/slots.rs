//! What is known of each sample of a monitor, by its number. Each is settled once, and what
//! comes later, such as an answer after the deadline, changes nothing.

use std::ops::Range;
use std::time::Duration;

use crate::model::sample::Sample;

/// One sample.
#[derive(Debug, PartialEq)]
pub(super) enum Slot {
    /// It was due, and its probe has not begun.
    Due,
    /// Its probe began at this time, since the context started.
    Sent(Duration),
    /// Settled: it was answered, or took too long.
    Answered(Sample),
    /// Settled: it was never sent. That says nothing about the system under test.
    Unsent,
}

impl Slot {
    pub(super) fn is_settled(&self) -> bool {
        matches!(self, Self::Answered(_) | Self::Unsent)
    }
}

/// All samples that were due so far.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<Slot>);

impl Slots {
    /// One more is due.
    pub(super) fn due(&mut self) {
        self.0.push(Slot::Due);
    }

    pub(super) fn get(&self, number: usize) -> Option<&Slot> {
        self.0.get(number)
    }

    /// What is known now. False where it was settled before.
    pub(super) fn set(&mut self, number: usize, known: Slot) -> bool {
        match self.0.get_mut(number) {
            Some(slot) if !slot.is_settled() => {
                *slot = known;
                true
            }
            _ => false,
        }
    }

    /// The first number from `next` on that is not settled. A waiter that begins there the
    /// next time looks at each sample once.
    pub(super) fn settled_until(&self, next: usize) -> usize {
        let rest = self.0.get(next..).unwrap_or_default();
        let settled = rest.iter().take_while(|slot| slot.is_settled());
        next + settled.count()
    }

    /// How many of a range were sent and wait for their answers.
    pub(super) fn waiting(&self, range: Range<usize>) -> usize {
        let end = range.end.min(self.0.len());
        let slots = self.0.get(range.start.min(end)..end).unwrap_or_default();
        let sent = slots.iter().filter(|slot| matches!(slot, Slot::Sent(_)));
        sent.count()
    }

    /// The answered ones of a range, and how many of it were not sent.
    pub(super) fn answered(&self, range: Range<usize>) -> (Vec<Sample>, usize) {
        let slots = self.0.get(range).unwrap_or_default();
        let samples = answered(slots).cloned().collect();
        let unsent = slots.iter().filter(|slot| **slot == Slot::Unsent);
        (samples, unsent.count())
    }

    /// The latest that are settled, so many; nothing where there are fewer, or one of them was
    /// not sent.
    pub(super) fn latest(&self, count: usize) -> Option<Vec<&Sample>> {
        let settled = self.0.iter().rev().filter(|slot| slot.is_settled());
        let latest: Vec<&Sample> = settled
            .take(count)
            .map_while(|slot| match slot {
                Slot::Answered(sample) => Some(sample),
                _ => None,
            })
            .collect();
        (latest.len() == count).then_some(latest)
    }

    /// Those of a range that are answered by now.
    pub(super) fn answered_of(&self, range: Range<usize>) -> Vec<Sample> {
        let end = range.end.min(self.0.len());
        let slots = self.0.get(range.start.min(end)..end).unwrap_or_default();
        answered(slots).cloned().collect()
    }

    /// When those of a range that wait for their answers were sent.
    pub(super) fn waiting_of(&self, range: Range<usize>) -> Vec<Duration> {
        let end = range.end.min(self.0.len());
        let slots = self.0.get(range.start.min(end)..end).unwrap_or_default();
        let sent = slots.iter().filter_map(|slot| match slot {
            Slot::Sent(sent) => Some(*sent),
            _ => None,
        });
        sent.collect()
    }

    /// How many were sent after one instant and until another.
    pub(super) fn sent_between(&self, after: Duration, until: Duration) -> usize {
        let sent = self.0.iter().filter_map(|slot| match slot {
            Slot::Sent(sent) => Some(*sent),
            Slot::Answered(sample) => Some(sample.sent),
            Slot::Due | Slot::Unsent => None,
        });
        sent.filter(|sent| after < *sent && *sent <= until).count()
    }

    /// All that are answered.
    pub(super) fn all(&self) -> Vec<Sample> {
        answered(&self.0).cloned().collect()
    }
}

fn answered(slots: &[Slot]) -> impl Iterator<Item = &Sample> {
    slots.iter().filter_map(|slot| match slot {
        Slot::Answered(sample) => Some(sample),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::Reading;
    use crate::model::units::ms;

    fn answer(at: u64) -> Slot {
        Slot::Answered(Sample {
            at: ms(at),
            sent: ms(at),
            latency: ms(1),
            reading: Reading::Good(None),
        })
    }

    #[test]
    fn the_latest_are_those_that_are_settled_last() {
        let mut slots = four();
        assert_eq!(slots.latest(1), None);
        for number in 0..3 {
            slots.set(number, answer(number as u64 * 10));
        }
        let at = |slots: &Slots, count| {
            let latest = slots.latest(count)?;
            Some(latest.iter().map(|one| one.at).collect::<Vec<_>>())
        };
        // The fourth still waits for its answer.
        assert_eq!(at(&slots, 2), Some(vec![ms(20), ms(10)]));
        assert_eq!(at(&slots, 4), None);
        slots.set(3, Slot::Unsent);
        assert_eq!(at(&slots, 1), None);
    }

    fn four() -> Slots {
        let mut slots = Slots::default();
        (0..4).for_each(|_| slots.due());
        slots
    }

    #[test]
    fn a_sample_is_settled_once() {
        let mut slots = four();
        assert!(slots.set(0, Slot::Sent(ms(1))));
        assert!(slots.set(0, answer(0)));
        assert!(!slots.set(0, answer(9)));
        assert!(slots.set(1, Slot::Unsent));
        assert!(!slots.set(1, Slot::Sent(ms(9))));
        assert!(!slots.set(7, answer(9)));
        assert_eq!(slots.get(0), Some(&answer(0)));
    }

    #[test]
    fn a_waiter_goes_on_where_it_was() {
        let mut slots = four();
        slots.set(1, answer(1));
        assert_eq!(slots.settled_until(0), 0);
        slots.set(0, Slot::Unsent);
        assert_eq!(slots.settled_until(0), 2);
        assert_eq!(slots.settled_until(2), 2);
        assert_eq!(slots.settled_until(9), 9);
    }

    #[test]
    fn samples_that_were_not_sent_are_counted_and_no_answers() {
        let mut slots = four();
        slots.set(0, answer(0));
        slots.set(1, Slot::Unsent);
        slots.set(2, answer(2));
        let (samples, unsent) = slots.answered(0..3);
        assert_eq!((samples.len(), unsent), (2, 1));
        let (samples, unsent) = slots.answered(5..5);
        assert_eq!((samples.len(), unsent), (0, 0));
    }
}
