//! Listings that miss too much to be believed at once.
//!
//! A server in maintenance may list nothing, or a part. Some of what is missing
//! is asked for singly, first one and then the rest of a sample: if any of them
//! has not ended, the listing was wrong. So a wrong listing costs one request.
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
use crate::model::{State, TrackingId, Transfer};

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
    /// How many have ended, which no listing of what lives needs to tell.
    ended: usize,
    /// One of them lives.
    is_refuted: bool,
}

impl Suspicion {
    fn concerns(&self, id: &TrackingId) -> bool {
        self.asked.contains(id) || self.waiting.contains(id) || self.gone.contains(id)
    }

    /// One of them is answered; the next step if it is one that the listing was
    /// right about.
    fn take(&mut self, id: &TrackingId, answer: Answer) -> Step {
        self.asked.remove(id);
        self.waiting.remove(id);
        match answer {
            Answer::Lives => self.is_refuted = true,
            Answer::Ended => self.ended += 1,
            Answer::Gone => drop(self.gone.insert(id.clone())),
        }
        let wanted = SAMPLE.saturating_sub(self.gone.len() + self.ended);
        if self.is_refuted || !self.asked.is_empty() {
            Step::Wait
        } else if wanted == 0 || self.waiting.is_empty() {
            Step::Settle
        } else {
            Step::Ask(wanted)
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
enum Answer {
    Lives,
    Ended,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Wait,
    /// For so many more.
    Ask(usize),
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
        if !self.is_suspected(&id) {
            self.forget(&id, now, rng);
            return vec![id];
        }
        // Asked for again, should the sample never be answered.
        self.push_regular(now + self.plan.intervals.normal, id.clone());
        self.answer(&id, Answer::Gone, now, rng)
    }

    /// Takes in that a transfer is known to the server; the answer is whether it
    /// lives although a suspect listing misses it, and which are gone by that.
    pub(super) fn found(
        &mut self,
        reading: &Transfer,
        now: Instant,
        rng: &mut impl Rng,
    ) -> (bool, Vec<TrackingId>) {
        if !self.is_suspected(&reading.id) {
            return (false, Vec::new());
        }
        if reading.state.is_some_and(State::is_final) {
            let gone = self.answer(&reading.id, Answer::Ended, now, rng);
            return (false, gone);
        }
        self.witness = Some(reading.id.clone());
        self.tell_wrong(reading, now);
        let gone = self.answer(&reading.id, Answer::Lives, now, rng);
        (true, gone)
    }

    fn is_suspected(&self, id: &TrackingId) -> bool {
        let suspicion = self.suspicion.as_ref();
        suspicion.is_some_and(|suspicion| suspicion.concerns(id))
    }

    /// One of what a suspect listing misses is answered; what is gone by that.
    fn answer(
        &mut self,
        id: &TrackingId,
        answer: Answer,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<TrackingId> {
        let Some(suspicion) = self.suspicion.as_mut() else {
            return Vec::new();
        };
        match suspicion.take(id, answer) {
            Step::Wait => Vec::new(),
            Step::Settle => self.settle(now, rng),
            Step::Ask(wanted) => {
                for id in suspicion.choose(wanted, rng) {
                    self.push_quick(now, id);
                }
                Vec::new()
            }
        }
    }

    /// The whole sample has ended or is gone: the listing was right, and what
    /// else it misses is read singly.
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

    /// Whether a listing that misses so many transfers that have not ended is
    /// suspect. It always is if there were some, and it has none.
    pub(super) fn is_suspect(&self, missing: usize) -> bool {
        let lives = |watched: &&Watched| !watched.state.is_some_and(State::is_final);
        let living = self.watched.values().filter(lives).count();
        missing > tolerated(living) || (missing > 1 && missing == living)
    }

    /// Asks for one of what the listing misses, the one that was asked for the
    /// last time if there is such a one. The rest waits, but for what is due
    /// anyway because no listing tells it.
    pub(super) fn suspect(&mut self, missing: Vec<TrackingId>, now: Instant, rng: &mut impl Rng) {
        let (server, sender) = (self.plan.id.server(), &self.plan.label);
        let count = missing.len();
        tracing::debug!(server, sender, count, "a listing misses many transfers");
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

    /// One line when listings begin to be wrong.
    fn tell_wrong(&mut self, witness: &Transfer, now: Instant) {
        if self.wrong_since.is_some() {
            return;
        }
        self.wrong_since = Some(now);
        tracing::warn!(
            server = self.plan.id.server(),
            sender = self.plan.label,
            tracking_id = witness.id.as_str(),
            "a listing misses transfers that live, and is not believed"
        );
    }

    /// One line when listings can be believed again.
    pub(super) fn tell_right(&mut self, now: Instant) {
        let Some(since) = self.wrong_since.take() else {
            return;
        };
        let (server, sender) = (self.plan.id.server(), &self.plan.label);
        let seconds = now.duration_since(since).as_secs();
        tracing::info!(server, sender, seconds, "listings are believed again");
    }

    /// A wrong listing says nothing about the rounds after it.
    pub(super) fn end_refuted(&mut self) {
        self.suspicion.take_if(|suspicion| suspicion.is_refuted);
    }
}
