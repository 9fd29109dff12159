//! What one sender's rounds have to do: which transfers are watched, and when
//! each is due.
//!
//! A *full* round comes at the sender's interval: it lists, and reads what is
//! due by then. Between two of them, *quick* rounds read what changes by the
//! second: transfers that are being processed, that are new or have changed.
//! Where the newest page tells many of them whole, it is asked for instead.
//!
//! **Invariants.** Only what can still change is due. What left the listing
//! after it ended is forgotten, so the agenda is bounded by what the server
//! lists and what is named. Neither quick nor regular reads can
//! starve the others.

mod listing;
mod suspicion;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use rand::Rng;
use tokio::time::Instant;

use super::{
    SenderPlan,
    policy::{Turn, jittered, spread},
    queue::Queue,
};
use crate::model::{Discover, State, TrackingId, Transfer, View};
pub(super) use listing::Progress;
use suspicion::Suspicion;

/// The last read of an ended transfer is repeated so often where it does not
/// tell the lists, which a server may leave out.
const MUTE_READS: u32 = 3;

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
    /// Asked for at this moment: whatever comes of it decides.
    under_way: HashSet<TrackingId>,
    next_full: Instant,
    /// When everything is listed again.
    next_listing: Instant,
    /// A listing of everything that failed on its way.
    unfinished: Option<Progress>,
    suspicion: Option<Suspicion>,
    /// Since when listings miss what lives; it has been told.
    wrong_since: Option<Instant>,
    /// The last listing of everything had lost much of what has ended.
    is_in_doubt: bool,
    /// There is more than is watched; it has been told.
    is_beyond: bool,
    /// What showed that a listing was wrong: it is asked for first the next
    /// time.
    witness: Option<TrackingId>,
    /// Regular reads due until then belong to the round under way.
    horizon: Option<Instant>,
    /// What the listings so far had in view: whatever of that is not watched is
    /// new.
    listed: View,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may come with any other"
)]
#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    state: Option<State>,
    reads: u32,
    /// The last listing had it.
    is_listed: bool,
    /// Its last reading came with a listing, and the next one will: it is not
    /// due, but it is missed where a listing does not have it.
    is_in_bulk: bool,
    /// Its last listing told it whole.
    is_told_whole: bool,
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
            under_way: HashSet::new(),
            next_full: now,
            next_listing: now,
            unfinished: None,
            suspicion: None,
            wrong_since: None,
            is_in_doubt: false,
            is_beyond: false,
            witness: None,
            horizon: None,
            listed: known.listed,
            plan,
        };
        for (id, state) in known.transfers {
            if !state.is_some_and(State::is_final) {
                agenda.regular.push(now, id.clone());
            } else if agenda.is_over(&id) {
                continue;
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

    /// Follows another plan from now on. What is named anew is due at once;
    /// what is named no more is forgotten, unless it is discovered.
    pub(super) fn replan(
        &mut self,
        plan: SenderPlan,
        server_now: Timestamp,
        now: Instant,
        rng: &mut impl Rng,
    ) {
        let (scope, named) = (plan.scope, plan.named.clone());
        let has_other_intervals = plan.intervals != self.plan.intervals;
        if scope != self.plan.scope {
            self.next_listing = now;
            self.unfinished = None;
        }
        let before = std::mem::replace(&mut self.plan, plan).named;
        if has_other_intervals {
            self.hasten(now, rng);
        }
        if !scope.discovers() {
            self.keep_named();
        }
        for id in before.difference(&named) {
            if !scope.admits(id, server_now) {
                self.drop_watched(id);
            }
        }
        for id in named.difference(&before) {
            let watched = self.watched.entry(id.clone()).or_default();
            if !watched.state.is_some_and(State::is_final) {
                self.push_quick(now, id.clone());
            }
        }
    }

    /// No wait that began under other intervals is longer than these allow.
    fn hasten(&mut self, now: Instant, rng: &mut impl Rng) {
        let intervals = self.plan.intervals;
        let next_full = now + spread(intervals.normal, rng);
        self.next_full = self.next_full.min(next_full);
        let next_listing = now + spread(intervals.listing, rng);
        self.next_listing = self.next_listing.min(next_listing);
        for (id, watched) in &self.watched {
            let turn = intervals.next_read(watched.state, watched.reads);
            if let Some(delay) = turn.after {
                // What is due each interval comes with the next full round.
                let is_rare = delay > intervals.normal;
                let regular = if is_rare { now + delay } else { self.next_full };
                self.regular.hasten(regular, id);
                self.quick.hasten(now + delay, id);
            }
        }
    }

    /// Nothing is discovered any more.
    fn keep_named(&mut self) {
        let named = &self.plan.named;
        let dropped: Vec<_> = self
            .watched
            .extract_if(|id, _| !named.contains(id))
            .collect();
        for (id, _) in dropped {
            self.drop_watched(&id);
        }
    }

    fn drop_watched(&mut self, id: &TrackingId) {
        self.watched.remove(id);
        self.under_way.remove(id);
        self.forget_due(id);
    }

    /// Whether nothing more will be learned of a transfer that has ended: it is
    /// not named, and only what lives is discovered.
    fn is_over(&self, id: &TrackingId) -> bool {
        self.plan.scope.discover == Discover::Active && !self.plan.named.contains(id)
    }

    /// Begins a round; the answer is whether it is a full one.
    pub(super) fn begin(&mut self, now: Instant, rng: &mut impl Rng) -> bool {
        let is_full = self.next_full <= now;
        self.horizon = is_full.then(|| now + self.slack());
        if is_full {
            self.next_full = now + jittered(self.plan.intervals.normal, rng);
            self.end_refuted();
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
        let (_, id) = taken?;
        self.under_way.insert(id.clone());
        Some(id)
    }

    /// Whether the transfer was asked for and is watched still: of another one no
    /// answer is wanted.
    pub(super) fn waits_for(&self, id: &TrackingId) -> bool {
        self.under_way.contains(id)
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

    /// When the next full round is due.
    pub(super) const fn next_full(&self) -> Instant {
        self.next_full
    }

    /// Lets nothing happen before `at`, and then a full round.
    pub(super) fn resume_at(&mut self, at: Instant) {
        self.next_full = at;
    }

    /// Takes in a single reading; the answer is which transfers are gone by
    /// that.
    pub(super) fn inspected(
        &mut self,
        reading: &Transfer,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<TrackingId> {
        self.under_way.remove(&reading.id);
        let (is_witness, gone) = self.found(reading, now, rng);
        self.note(reading, is_witness, now, rng);
        gone
    }

    fn note(&mut self, reading: &Transfer, is_witness: bool, now: Instant, rng: &mut impl Rng) {
        let watched = self.watched.entry(reading.id.clone()).or_default();
        watched.is_in_bulk &= is_witness;
        let waits = watched.is_in_bulk;
        if std::mem::take(&mut watched.is_told_missing) {
            self.plan.tell_named(&reading.id, true);
        }
        let (state, reads) = watched.note(reading.state);
        let mut turn = self.plan.intervals.next_read(state, reads);
        if turn.after.is_none() && !reading.tells_lists() && reads < MUTE_READS {
            turn = Turn::new(self.plan.intervals.normal, "its end was told without lists");
        }
        if waits && turn.after.is_some() {
            turn = Turn::never("the next listing may have it again");
        }
        self.plan.tell_decision(&reading.id, state, turn);
        self.put_off(reading.id.clone(), turn, now, rng);
    }

    fn put_off(&mut self, id: TrackingId, turn: Turn, now: Instant, rng: &mut impl Rng) {
        let normal = self.plan.intervals.normal;
        match turn.after {
            None => self.forget_due(&id),
            Some(delay) if delay < normal => self.push_quick(now + jittered(delay, rng), id),
            // The round has its jitter already.
            Some(delay) if delay == normal => self.push_regular(now + delay, id),
            Some(delay) => self.push_regular(now + jittered(delay, rng), id),
        }
    }

    /// A named transfer that was never found may still come; one that vanished
    /// may still return.
    fn forget(&mut self, id: &TrackingId, now: Instant, rng: &mut impl Rng) {
        if !self.plan.named.contains(id) {
            self.watched.remove(id);
            self.forget_due(id);
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
        self.under_way.remove(&id);
        self.push_regular(now + self.plan.intervals.normal, id);
    }

    /// Postpones everything that is due.
    pub(super) fn postpone_due(&mut self, now: Instant) {
        while let Some(id) = self.take_due(now) {
            // Later than the horizon, so that the loop ends.
            self.postpone(id, now);
        }
    }

    fn push_quick(&mut self, at: Instant, id: TrackingId) {
        if self.under_way.contains(&id) {
            return;
        }
        self.regular.remove(&id);
        self.quick.push(at, id);
    }

    fn push_regular(&mut self, at: Instant, id: TrackingId) {
        if self.under_way.contains(&id) {
            return;
        }
        self.quick.remove(&id);
        self.regular.push(at, id);
    }

    fn forget_due(&mut self, id: &TrackingId) {
        self.quick.remove(id);
        self.regular.remove(id);
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

    fn tell_decision(&self, id: &TrackingId, state: Option<State>, turn: Turn) {
        tracing::debug!(
            server = self.id.server(),
            sender = self.label,
            tracking_id = id.as_str(),
            state = state.map_or("untold", State::label),
            next_read_seconds = turn.after.map(|delay| delay.as_secs_f64()),
            why = turn.why,
            "read a transfer"
        );
    }
}
