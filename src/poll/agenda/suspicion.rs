//! Listings that miss too much to be believed at once.
//!
//! A server in maintenance may list nothing, or a part. Some of what is missing
//! is asked for singly, first one and then the rest of a sample: if any of them
//! lives, the listing was wrong. So a wrong listing costs one request.
//!
//! **Invariants.** Of what a suspect listing misses nothing is gone before the
//! whole sample is, and nothing at all in a round that found one of it alive.

use std::collections::{BTreeSet, HashSet};

use rand::{
    Rng,
    seq::{IndexedRandom, IteratorRandom},
};
use tokio::time::Instant;

use super::{Agenda, Watched};
use crate::model::{State, TrackingId};

/// A listing may miss so many transfers, or a tenth of them, before it is
/// suspect.
const TOLERATED: usize = 20;

/// So many of what a suspect listing misses must be gone.
const SAMPLE: usize = 20;

/// A listing that misses too much to be believed at once.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    /// Asked for, and not answered yet.
    asked: HashSet<TrackingId>,
    /// Not asked for by now.
    waiting: BTreeSet<TrackingId>,
    /// What the server does not know.
    gone: BTreeSet<TrackingId>,
    /// One of them lives.
    is_refuted: bool,
}

impl Suspicion {
    fn concerns(&self, id: &TrackingId) -> bool {
        self.asked.contains(id) || self.waiting.contains(id) || self.gone.contains(id)
    }

    /// One of them is gone; the answer is whether more are to be asked for, or
    /// all is said.
    fn take_gone(&mut self, id: TrackingId) -> Step {
        self.asked.remove(&id);
        self.waiting.remove(&id);
        self.gone.insert(id);
        if self.is_refuted || !self.asked.is_empty() {
            Step::Wait
        } else if self.gone.len() >= SAMPLE || self.waiting.is_empty() {
            Step::Settle
        } else {
            Step::AskMore
        }
    }

    /// Chooses some of those that wait to be asked for.
    fn choose(&mut self, most: usize, rng: &mut impl Rng) -> Vec<TrackingId> {
        let chosen = self.waiting.iter().cloned().sample(rng, most);
        for id in &chosen {
            self.waiting.remove(id);
        }
        self.asked.extend(chosen.iter().cloned());
        chosen
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Wait,
    AskMore,
    Settle,
}

/// How many of so many transfers a listing may miss.
pub(super) fn tolerated(all: usize) -> usize {
    TOLERATED.max(all / 10)
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
        self.under_way.remove(&id);
        let suspicion = self.suspicion.as_mut();
        let Some(suspicion) = suspicion.filter(|suspicion| suspicion.concerns(&id)) else {
            self.forget(&id, now, rng);
            return vec![id];
        };
        let step = suspicion.take_gone(id.clone());
        if step == Step::Settle {
            return self.settle(now, rng);
        }
        let more = match step {
            Step::AskMore => suspicion.choose(SAMPLE - suspicion.gone.len(), rng),
            Step::Wait | Step::Settle => Vec::new(),
        };
        for id in more {
            self.push_quick(now, id);
        }
        // Asked for again, should the sample never be answered.
        self.push_regular(now + self.plan.intervals.normal, id);
        Vec::new()
    }

    /// The whole sample is gone: the listing was right, and what else it misses
    /// is read singly.
    fn settle(&mut self, now: Instant, rng: &mut impl Rng) -> Vec<TrackingId> {
        let settled = self.suspicion.take().unwrap_or_default();
        for id in settled.waiting {
            self.push_quick(now, id);
        }
        for id in &settled.gone {
            self.forget(id, now, rng);
        }
        settled.gone.into_iter().collect()
    }

    /// How many transfers that have not ended a listing may miss before it is
    /// suspect.
    pub(super) fn tolerance(&self) -> usize {
        let lives = |watched: &&Watched| !watched.state.is_some_and(State::is_final);
        let living = self.watched.values().filter(lives).count();
        tolerated(living)
    }

    /// Asks for one of what the listing misses, the one that was asked for the
    /// last time if there is such a one. The rest waits, but for what is due
    /// anyway because no listing tells it.
    pub(super) fn suspect(&mut self, missing: Vec<TrackingId>, now: Instant, rng: &mut impl Rng) {
        tracing::warn!(
            server = self.plan.id.server(),
            sender = self.plan.label,
            missing = missing.len(),
            "a listing misses many transfers; some of them are asked for"
        );
        let is_missing = |id: &TrackingId| missing.binary_search(id).is_ok();
        let witness = self.witness.take().filter(is_missing);
        let first = witness.or_else(|| missing.choose(rng).cloned());
        for id in &missing {
            if self.watched.get(id).is_some_and(|one| one.is_in_bulk) {
                self.forget_due(id);
            }
        }
        let mut suspicion = Suspicion {
            waiting: missing.into_iter().collect(),
            ..Suspicion::default()
        };
        if let Some(first) = first {
            suspicion.waiting.remove(&first);
            suspicion.asked.insert(first.clone());
            self.witness = Some(first.clone());
            self.push_quick(now, first);
        }
        self.suspicion = Some(suspicion);
    }

    /// A transfer lives; if it is one that a suspect listing misses, the
    /// listing was wrong and nothing vanishes. The answer is whether it is one.
    pub(super) fn note_alive(&mut self, id: &TrackingId) -> bool {
        let suspicion = self.suspicion.as_mut();
        let suspicion = suspicion.filter(|suspicion| suspicion.concerns(id));
        let is_witness = suspicion.is_some();
        if let Some(suspicion) = suspicion {
            suspicion.is_refuted = true;
            self.witness = Some(id.clone());
        }
        is_witness
    }

    /// A wrong listing says nothing about the rounds after it.
    pub(super) fn end_refuted(&mut self) {
        self.suspicion.take_if(|suspicion| suspicion.is_refuted);
    }
}
