//! The toxics of one direction of one connection, in the order of their adding.
//!
//! Owns the handing over from stage to stage. It must never lose, double or
//! reorder an item, whatever is added or removed meanwhile.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use super::{
    item::Item,
    toxics::{Stage, ToxicId},
};

#[derive(Default)]
pub(super) struct Chain {
    stages: Vec<(ToxicId, Box<dyn Stage>)>,
}

impl Chain {
    pub(super) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Adds a stage at the end.
    pub(super) fn add(&mut self, id: ToxicId, stage: Box<dyn Stage>) {
        self.stages.push((id, stage));
    }

    /// Removes a toxic's stage. What it held goes to the stage after it, or is
    /// returned, to be delivered, if it was the last.
    pub(super) fn remove(&mut self, id: ToxicId) -> VecDeque<Item> {
        let Some(place) = self.stages.iter().position(|(known, _)| *known == id) else {
            return VecDeque::new();
        };
        let (_, mut stage) = self.stages.remove(place);
        let released = stage.release();
        let Some((_, next)) = self.stages.get_mut(place) else {
            return released;
        };
        released.into_iter().for_each(|item| next.push(item));
        VecDeque::new()
    }

    /// Whether the first stage takes more.
    pub(super) fn has_room(&self) -> bool {
        self.stages
            .first()
            .is_none_or(|(_, stage)| stage.has_room())
    }

    /// Gives an item to the first stage, or back if there is none.
    pub(super) fn push(&mut self, item: Item) -> Option<Item> {
        match self.stages.first_mut() {
            Some((_, stage)) => {
                stage.push(item);
                None
            }
            None => Some(item),
        }
    }

    /// Whether a stage wants the connection reset.
    pub(super) fn wants_reset(&mut self, cx: &mut Context<'_>) -> bool {
        self.stages
            .iter_mut()
            .any(|(_, stage)| stage.poll_reset(cx).is_ready())
    }

    /// Whether no stage keeps the service from being reached.
    pub(super) fn may_dial(&mut self, cx: &mut Context<'_>) -> bool {
        // All are asked, so that each has the waker.
        self.stages
            .iter_mut()
            .fold(true, |may, (_, stage)| stage.may_dial(cx).is_ready() && may)
    }

    /// The next item that has passed all stages.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        loop {
            let mut moved = false;
            // From the back, so that room that is made there is used in front.
            for place in (1..self.stages.len()).rev() {
                let (before, after) = self.stages.split_at_mut(place);
                let (giver, taker) = (&mut before[place - 1].1, &mut after[0].1);
                while taker.has_room()
                    && let Poll::Ready(item) = giver.poll_next(cx)
                {
                    taker.push(item);
                    moved = true;
                }
            }
            let Some((_, last)) = self.stages.last_mut() else {
                return Poll::Pending;
            };
            if let Poll::Ready(item) = last.poll_next(cx) {
                return Poll::Ready(item);
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }
}
