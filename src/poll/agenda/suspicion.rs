//! Listings that miss too much to be believed at once.
//!
//! A server in maintenance may list nothing, or a part. Some of what is missing
//! is asked for singly: if one of these lives, the listing was wrong.
//!
//! **Invariants.** Under suspicion nothing is gone before the whole sample is.

use std::collections::HashSet;

use rand::{Rng, seq::SliceRandom};
use tokio::time::Instant;

use super::{Agenda, Watched};
use crate::model::{State, TrackingId};

/// A listing may miss so many transfers that have not ended, or a tenth of
/// them, before it is suspect.
const TOLERATED: usize = 20;

/// So many of what a suspect listing misses are asked for.
const SAMPLE: usize = 20;

/// A listing that misses too much to be believed at once.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    /// Asked for, and not answered yet.
    sample: HashSet<TrackingId>,
    /// Not asked for before the sample is answered.
    held: Vec<TrackingId>,
    /// Those of the sample that the server does not know.
    gone: Vec<TrackingId>,
}

impl Suspicion {
    fn concerns(&self, id: &TrackingId) -> bool {
        self.sample.contains(id)
    }

    /// One of the sample is gone; the answer is whether all of it is.
    fn take_gone(&mut self, id: TrackingId) -> bool {
        self.sample.remove(&id);
        self.gone.push(id);
        self.sample.is_empty()
    }
}

impl Agenda {
    /// Takes in that the server does not know the transfer; the answer is which
    /// transfers are gone by that. Under suspicion that is settled only once
    /// the whole sample is gone.
    pub(in crate::poll) fn gone(
        &mut self,
        id: TrackingId,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<TrackingId> {
        let gone = match self.suspicion.as_mut() {
            Some(suspicion) if suspicion.concerns(&id) => {
                if !suspicion.take_gone(id.clone()) {
                    // Asked for again, should the sample never be answered.
                    self.push_regular(self.next_full, id);
                    return Vec::new();
                }
                let settled = self.suspicion.take().unwrap_or_default();
                for id in settled.held {
                    self.push_quick(now, id);
                }
                settled.gone
            }
            Some(_) | None => vec![id],
        };
        for id in &gone {
            self.forget(id, now, rng);
        }
        gone
    }

    /// How many transfers that have not ended a listing may miss before it is
    /// suspect.
    pub(super) fn tolerance(&self) -> usize {
        let lives = |watched: &&Watched| !watched.state.is_some_and(State::is_final);
        let living = self.watched.values().filter(lives).count();
        TOLERATED.max(living / 10)
    }

    /// Asks for some of what the listing misses. The rest waits for them, but
    /// for what is read singly anyway.
    pub(super) fn suspect(
        &mut self,
        mut missing: Vec<TrackingId>,
        now: Instant,
        rng: &mut impl Rng,
    ) {
        tracing::warn!(
            server = self.plan.id.server(),
            sender = self.plan.label,
            missing = missing.len(),
            "a listing misses many transfers; some of them are asked for"
        );
        missing.shuffle(rng);
        let held = missing.split_off(missing.len().min(SAMPLE));
        for id in &missing {
            self.push_quick(now, id.clone());
        }
        let is_in_bulk = |id: &&TrackingId| self.watched.get(id).is_some_and(|w| w.is_in_bulk);
        let postponed: Vec<_> = held.iter().filter(is_in_bulk).cloned().collect();
        for id in postponed {
            // Behind the horizon of this round.
            self.push_regular(self.next_full, id);
        }
        self.suspicion = Some(Suspicion {
            sample: missing.into_iter().collect(),
            held,
            gone: Vec::new(),
        });
    }

    /// A transfer lives; if it is one of the sample, the listing was wrong and
    /// nothing vanishes.
    pub(super) fn note_alive(&mut self, id: &TrackingId) {
        let suspicion = self.suspicion.take_if(|suspicion| suspicion.concerns(id));
        for id in suspicion.into_iter().flat_map(|suspicion| suspicion.gone) {
            self.push_regular(self.next_full, id);
        }
    }
}
