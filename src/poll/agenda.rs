//! What one sender's rounds have to do: which transfers are watched, and when
//! each is due.
//!
//! A *full* round comes at the sender's interval: it lists, and reads what is
//! due by then. Between two of them, *quick* rounds read what changes by the
//! second: transfers that are being processed, that are new or have changed.
//!
//! **Invariants.** Only what can still change is due. What left the listing
//! after it ended is forgotten, so the agenda is bounded by what the server
//! lists and the configuration names. Neither quick nor regular reads can
//! starve the others.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use rand::{Rng, seq::SliceRandom};
use tokio::time::Instant;

use super::{SenderPlan, policy::jittered, queue::Queue};
use crate::{
    cryptshare::{Extent, Listing},
    model::{State, TrackingId, Transfer},
};

/// The last read of an ended transfer is repeated so often where it does not
/// tell the lists, which a server may leave out.
const MUTE_READS: u32 = 3;

/// A listing may miss so many transfers that have not ended, or a tenth of
/// them, before it is suspect.
const TOLERATED: usize = 20;

/// So many of what a suspect listing misses are asked for.
const SAMPLE: usize = 20;

/// A listing that misses too much to be believed at once.
#[derive(Debug, Default)]
struct Suspicion {
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

/// The agenda of one sender.
#[derive(Debug)]
pub(super) struct Agenda {
    pub(super) plan: SenderPlan,
    watched: HashMap<TrackingId, Watched>,
    /// Due at their own time, also between two full rounds.
    quick: Queue<TrackingId>,
    /// Due with the full round that is nearest to their time.
    regular: Queue<TrackingId>,
    quick_is_next: bool,
    next_full: Instant,
    /// When everything is listed again.
    next_listing: Instant,
    suspicion: Option<Suspicion>,
    /// Regular reads due until then belong to the round under way.
    horizon: Option<Instant>,
    has_listed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    state: Option<State>,
    reads: u32,
    /// The last listing had it.
    is_listed: bool,
    /// Its last reading came with a listing, so that it is not read singly as
    /// long as listings have it.
    is_in_bulk: bool,
    /// It has been told that the server does not know this named transfer.
    is_told_missing: bool,
}

impl Watched {
    /// Takes in a reading; the answer is the state and how many reads in a row
    /// have shown it before.
    fn note(&mut self, told: Option<State>) -> (Option<State>, u32) {
        let state = told.or(self.state);
        self.reads = if self.state == state {
            self.reads.saturating_add(1)
        } else {
            0
        };
        self.state = state;
        (state, self.reads)
    }
}

impl Agenda {
    /// The agenda at the start: a full round, in which every named transfer is
    /// due, and every other one that is known and has not ended.
    pub(super) fn new(mut plan: SenderPlan, now: Instant) -> Self {
        let known = plan.known.take().unwrap_or_default();
        let mut agenda = Self {
            watched: HashMap::new(),
            quick: Queue::default(),
            regular: Queue::default(),
            quick_is_next: true,
            next_full: now,
            next_listing: now,
            suspicion: None,
            horizon: None,
            has_listed: known.has_listed,
            plan,
        };
        for (id, state) in known.transfers {
            if !state.is_some_and(State::is_final) {
                agenda.regular.push(now, id.clone());
            }
            let watched = Watched {
                state,
                ..Watched::default()
            };
            agenda.watched.insert(id, watched);
        }
        for id in agenda.plan.named.clone() {
            let watched = agenda.watched.entry(id.clone()).or_default();
            if !watched.state.is_some_and(State::is_final) {
                agenda.regular.push(now, id);
            }
        }
        agenda
    }

    /// Begins a round; the answer is whether it is a full one.
    pub(super) fn begin(&mut self, now: Instant, rng: &mut impl Rng) -> bool {
        let is_full = self.next_full <= now;
        self.horizon = is_full.then(|| now + self.slack());
        if is_full {
            self.next_full = now + jittered(self.plan.intervals.normal, rng);
        }
        is_full
    }

    /// Takes the transfer that is most urgently due in this round.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<TrackingId> {
        let horizon = self.horizon.map(|horizon| horizon.max(now));
        let mut quick = || self.quick.pop_due(now);
        let mut regular = || horizon.and_then(|until| self.regular.pop_due(until));
        let taken = if self.quick_is_next {
            quick().or_else(regular)
        } else {
            regular().or_else(quick)
        };
        self.quick_is_next = !self.quick_is_next;
        taken.map(|(_, id)| id)
    }

    /// Whether [`Self::take_due`] has something.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let is = |next: Option<Instant>, until| next.is_some_and(|next| next <= until);
        let horizon = self.horizon.map(|horizon| horizon.max(now));
        is(self.quick.next_due(), now) || horizon.is_some_and(|h| is(self.regular.next_due(), h))
    }

    /// When the next round has something to do.
    pub(super) fn next_round(&self) -> Instant {
        let quick = self.quick.next_due();
        quick.map_or(self.next_full, |quick| quick.min(self.next_full))
    }

    /// Lets nothing happen before `at`, and then a full round.
    pub(super) fn resume_at(&mut self, at: Instant) {
        self.next_full = at;
    }

    /// How much this round lists.
    pub(super) fn extent(&self, now: Instant) -> Extent {
        if self.next_listing <= now + self.slack() {
            Extent::All
        } else {
            Extent::Changing
        }
    }

    /// Whether a listing of this extent goes on where it finds the transfer.
    pub(super) fn is_news(&self, id: &TrackingId, extent: Extent, server_now: Timestamp) -> bool {
        let is_looked_for = extent == Extent::All || !self.watched.contains_key(id);
        is_looked_for && self.plan.scope.admits(id, server_now)
    }

    /// Takes in a page of a listing: what is told whole is read with it, what
    /// else is new or has changed is due at once. The answer is the page
    /// without what is too old to be watched.
    pub(super) fn seen(
        &mut self,
        mut page: Vec<Transfer>,
        server_now: Timestamp,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<Transfer> {
        let (scope, named) = (self.plan.scope, &self.plan.named);
        page.retain(|one| scope.admits(&one.id, server_now) || named.contains(&one.id));
        for transfer in &page {
            if transfer.is_whole() {
                self.list_whole(transfer, now, rng);
            } else {
                self.list_one(transfer, now);
            }
        }
        page
    }

    /// Takes in the end of a listing with these ids: what it misses is read
    /// singly. The answer is whether it is believed.
    pub(super) fn listed(
        &mut self,
        ids: &[TrackingId],
        listing: &Listing,
        now: Instant,
        rng: &mut impl Rng,
    ) -> bool {
        if !listing.is_complete() && !listing.selects() {
            return false;
        }
        let listed: HashSet<_> = ids.iter().collect();
        let missing = self.missing(&listed, listing.is_complete());
        let is_suspect = missing.len() > self.tolerance();
        if is_suspect {
            self.suspect(missing, now, rng);
        } else {
            self.suspicion = None;
            for id in missing {
                self.push_quick(now, id);
            }
        }
        let is_believed = listing.is_complete() && !is_suspect;
        if is_believed {
            self.drop_ended(&listed);
            self.has_listed = true;
            self.next_listing = now + jittered(self.plan.intervals.listing, rng);
        }
        is_believed
    }

    /// Takes in a single reading.
    pub(super) fn inspected(&mut self, reading: &Transfer, now: Instant, rng: &mut impl Rng) {
        if self
            .suspicion
            .as_ref()
            .is_some_and(|s| s.concerns(&reading.id))
        {
            self.trust();
        }
        let watched = self.watched.entry(reading.id.clone()).or_default();
        watched.is_in_bulk = false;
        if std::mem::take(&mut watched.is_told_missing) {
            self.plan.tell_named(&reading.id, true);
        }
        let (state, reads) = watched.note(reading.state);
        let mut delay = self.plan.intervals.until_next_read(state, reads);
        if delay.is_none() && !reading.tells_lists() && reads < MUTE_READS {
            delay = Some(self.plan.intervals.normal);
        }
        self.plan.tell_decision(&reading.id, state, delay);
        let (id, normal) = (reading.id.clone(), self.plan.intervals.normal);
        match delay {
            None => self.forget_due(&id),
            Some(delay) if delay < normal => self.push_quick(now + jittered(delay, rng), id),
            // The round has its jitter already.
            Some(delay) if delay == normal => self.push_regular(now + delay, id),
            Some(delay) => self.push_regular(now + jittered(delay, rng), id),
        }
    }

    /// Takes in that the server does not know the transfer; the answer is which
    /// transfers are gone by that. Under suspicion that is settled only once
    /// the whole sample is gone.
    pub(super) fn gone(
        &mut self,
        id: TrackingId,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<TrackingId> {
        let gone = match self.suspicion.as_mut() {
            Some(suspicion) if suspicion.concerns(&id) => {
                if !suspicion.take_gone(id) {
                    return Vec::new();
                }
                let settled = self.suspicion.take().unwrap_or_default();
                settled
                    .held
                    .into_iter()
                    .for_each(|id| self.push_quick(now, id));
                settled.gone
            }
            Some(_) | None => vec![id],
        };
        for id in &gone {
            self.forget(id, now, rng);
        }
        gone
    }

    /// A named transfer that was never found may still come; one that vanished
    /// may still return.
    fn forget(&mut self, id: &TrackingId, now: Instant, rng: &mut impl Rng) {
        if !self.plan.named.contains(id) {
            self.watched.remove(id);
            return;
        }
        let watched = self.watched.entry(id.clone()).or_default();
        let was_found = watched.state.is_some();
        if !was_found && !std::mem::replace(&mut watched.is_told_missing, true) {
            self.plan.tell_named(id, false);
        }
        let normal = self.plan.intervals.normal;
        let delay = if was_found {
            jittered(self.plan.intervals.rare.max(normal), rng)
        } else {
            normal
        };
        self.push_regular(now + delay, id.clone());
    }

    /// Takes in that a read failed: it is due again with the next full round.
    pub(super) fn postpone(&mut self, id: TrackingId, now: Instant) {
        self.push_regular(now + self.plan.intervals.normal, id);
    }

    /// Postpones everything that is due.
    pub(super) fn postpone_due(&mut self, now: Instant) {
        while let Some(id) = self.take_due(now) {
            // Later than the horizon, so that the loop ends.
            let at = now + self.plan.intervals.normal;
            self.push_regular(at, id);
        }
    }

    fn push_quick(&mut self, at: Instant, id: TrackingId) {
        self.regular.remove(&id);
        self.quick.push(at, id);
    }

    fn push_regular(&mut self, at: Instant, id: TrackingId) {
        self.quick.remove(&id);
        self.regular.push(at, id);
    }

    fn forget_due(&mut self, id: &TrackingId) {
        self.quick.remove(id);
        self.regular.remove(id);
    }

    fn list_one(&mut self, transfer: &Transfer, now: Instant) {
        let Some(watched) = self.watched.get_mut(&transfer.id) else {
            self.watch(transfer, now);
            return;
        };
        watched.is_listed = true;
        let has_changed = transfer.state.is_some() && transfer.state != watched.state;
        let had_ended = watched.state.is_some_and(State::is_final);
        // The state is left as it was read: the read that is due now tells.
        if has_changed && !had_ended {
            self.push_quick(now, transfer.id.clone());
        }
    }

    fn watch(&mut self, transfer: &Transfer, now: Instant) {
        // What had ended before we began to watch is counted, never read; a
        // transfer that came and ended between two listings is read once.
        let ended_before = !self.has_listed && transfer.state.is_some_and(State::is_final);
        let watched = Watched {
            state: transfer.state.filter(|_| ended_before),
            is_listed: true,
            ..Watched::default()
        };
        self.watched.insert(transfer.id.clone(), watched);
        if !ended_before {
            self.push_quick(now, transfer.id.clone());
        }
    }

    /// A reading that came with a listing and tells all. It is due again with
    /// the next full round, whose listing puts it off.
    fn list_whole(&mut self, transfer: &Transfer, now: Instant, rng: &mut impl Rng) {
        let is_new = !self.watched.contains_key(&transfer.id);
        if is_new {
            self.watch(transfer, now);
        }
        let known = self.watched.get_mut(&transfer.id);
        let has_ended = known.is_some_and(|watched| {
            watched.is_listed = true;
            watched.state.is_some_and(State::is_final)
        });
        if has_ended {
            return;
        }
        self.inspected(transfer, now, rng);
        if let Some(watched) = self.watched.get_mut(&transfer.id) {
            watched.is_in_bulk = true;
        }
        if transfer.state == Some(State::Active) {
            self.push_regular(self.next_full, transfer.id.clone());
        }
        // What does not change later is read singly once.
        let is_poor = transfer.expires_at.is_none() || transfer.size_bytes.is_none();
        if is_new && is_poor {
            self.push_quick(now, transfer.id.clone());
        }
    }

    /// What had not ended and is not in the listing. Only a single read says
    /// that it vanished. A named transfer need not be listed at all, so it
    /// counts when the listing loses it.
    fn missing(&mut self, listed: &HashSet<&TrackingId>, is_complete: bool) -> Vec<TrackingId> {
        let named = &self.plan.named;
        let mut missing = Vec::new();
        for (id, watched) in &mut self.watched {
            if listed.contains(id) || watched.state.is_some_and(State::is_final) {
                continue;
            }
            let is_expected = if is_complete {
                std::mem::take(&mut watched.is_listed) || !named.contains(id)
            } else {
                watched.is_in_bulk && watched.state == Some(State::Active)
            };
            if is_expected {
                missing.push(id.clone());
            }
        }
        missing.sort();
        missing
    }

    /// How many transfers that have not ended a listing may miss before it is
    /// suspect.
    fn tolerance(&self) -> usize {
        let lives = |watched: &&Watched| !watched.state.is_some_and(State::is_final);
        let living = self.watched.values().filter(lives).count();
        TOLERATED.max(living / 10)
    }

    /// Asks for some of what the listing misses. The rest waits for them, but
    /// for what is read singly anyway.
    fn suspect(&mut self, mut missing: Vec<TrackingId>, now: Instant, rng: &mut impl Rng) {
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
        let is_in_bulk = |id: &TrackingId| self.watched.get(id).is_some_and(|w| w.is_in_bulk);
        let held: Vec<_> = held.into_iter().filter(is_in_bulk).collect();
        for id in &held {
            // Behind the horizon of this round.
            self.push_regular(self.next_full, id.clone());
        }
        self.suspicion = Some(Suspicion {
            sample: missing.into_iter().collect(),
            held,
            gone: Vec::new(),
        });
    }

    /// One of the sample lives, so the listing was wrong and nothing vanishes.
    fn trust(&mut self) {
        if let Some(suspicion) = self.suspicion.take() {
            for id in suspicion.gone {
                self.push_regular(self.next_full, id);
            }
        }
    }

    /// What had ended and left the listing is forgotten.
    fn drop_ended(&mut self, listed: &HashSet<&TrackingId>) {
        let named = &self.plan.named;
        self.watched.retain(|id, watched| {
            let has_ended = watched.state.is_some_and(State::is_final);
            !has_ended || listed.contains(id) || named.contains(id)
        });
    }

    /// A full round comes up to a tenth early; what is due that soon after it
    /// belongs to it, and what took a while to read as well.
    fn slack(&self) -> Duration {
        self.plan.intervals.normal / 5
    }
}

impl SenderPlan {
    /// One line when a transfer that the configuration names is not there, and
    /// one when it comes.
    fn tell_named(&self, id: &TrackingId, is_found: bool) {
        let (server, sender, tracking_id) = (self.id.server(), &self.label, id.as_str());
        if is_found {
            tracing::info!(server, sender, tracking_id, "a named transfer was found");
        } else {
            tracing::warn!(server, sender, tracking_id, "a named transfer is not found");
        }
    }

    fn tell_decision(&self, id: &TrackingId, state: Option<State>, delay: Option<Duration>) {
        tracing::debug!(
            server = self.id.server(),
            sender = self.label,
            tracking_id = id.as_str(),
            state = state.map_or("untold", State::label),
            next_read_seconds = delay.map(|delay| delay.as_secs()),
            "read a transfer"
        );
    }
}
