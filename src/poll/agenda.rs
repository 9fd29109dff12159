//! What one sender's rounds have to do: which transfers are watched, and when
//! each is due.
//!
//! **Invariants.** Only what can still change is due. What left the listing
//! after it ended is forgotten, so the agenda is bounded by what the server
//! lists and the configuration names.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rand::Rng;
use tokio::time::Instant;

use super::{SenderPlan, policy::jittered, queue::Queue};
use crate::model::{State, TrackingId, Transfer};

/// The agenda of one sender.
#[derive(Debug)]
pub(super) struct Agenda {
    pub(super) plan: SenderPlan,
    watched: HashMap<TrackingId, Watched>,
    due: Queue<TrackingId>,
    next_listing: Instant,
    has_listed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    state: Option<State>,
    reads: u32,
}

impl Agenda {
    /// The agenda at the start: the first listing and every named transfer.
    pub(super) fn new(plan: SenderPlan, now: Instant) -> Self {
        let mut agenda = Self {
            watched: HashMap::new(),
            due: Queue::default(),
            next_listing: now,
            has_listed: false,
            plan,
        };
        for id in agenda.plan.named.clone() {
            agenda.watched.insert(id.clone(), Watched::default());
            agenda.due.push(now, id);
        }
        agenda
    }

    /// Whether this round begins with a listing.
    pub(super) fn listing_due(&self, now: Instant) -> bool {
        self.plan.discover && self.next_listing <= now + self.slack()
    }

    /// Takes the transfers that are due, or will be so soon that another round
    /// for them would only cost requests.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<TrackingId> {
        let until = now + self.slack();
        std::iter::from_fn(|| self.due.pop_due(until).map(|(_, id)| id)).collect()
    }

    /// When the next round has something to do; a sender without any work has
    /// its verification refreshed at its interval.
    pub(super) fn next_round(&self, now: Instant, rng: &mut impl Rng) -> Instant {
        let regular = now + jittered(self.plan.intervals.normal, rng);
        let listing = self.plan.discover.then_some(self.next_listing);
        [listing, self.due.next_due(), Some(regular)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(regular)
            .max(now)
    }

    /// Takes in a listing: what is new, has changed or is missing is due at
    /// once. The answer is the listing without what is too old to be watched.
    pub(super) fn listed(
        &mut self,
        listing: Vec<Transfer>,
        server_now: Timestamp,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<Transfer> {
        self.next_listing = now + jittered(self.plan.intervals.normal, rng);
        let oldest = self.oldest_day(server_now);
        let kept: Vec<_> = listing
            .into_iter()
            .filter(|transfer| self.is_young(&transfer.id, oldest))
            .collect();
        for transfer in &kept {
            self.list_one(transfer, now);
        }
        self.look_for_missing(&kept, now);
        self.has_listed = true;
        kept
    }

    /// Takes in a single reading.
    pub(super) fn inspected(&mut self, reading: &Transfer, now: Instant, rng: &mut impl Rng) {
        let watched = self.watched.entry(reading.id.clone()).or_default();
        let state = reading.state.or(watched.state);
        watched.reads = if watched.state == state {
            watched.reads.saturating_add(1)
        } else {
            0
        };
        watched.state = state;
        let delay = self.plan.intervals.until_next_read(state, watched.reads);
        tracing::debug!(
            server = self.plan.id.server(),
            sender = self.plan.label,
            tracking_id = reading.id.as_str(),
            state = state.map_or("untold", State::label),
            next_read_seconds = delay.map(|delay| delay.as_secs()),
            "read a transfer"
        );
        match delay {
            Some(delay) => self
                .due
                .push(now + jittered(delay, rng), reading.id.clone()),
            None => self.due.remove(&reading.id),
        }
    }

    /// Takes in that the server does not know the transfer. A named one that
    /// was never found may still come; one that vanished may still return.
    pub(super) fn gone(&mut self, id: &TrackingId, now: Instant, rng: &mut impl Rng) {
        let was_found = self.watched.get(id).is_some_and(|w| w.state.is_some());
        let is_named = self.plan.named.contains(id);
        let normal = self.plan.intervals.normal;
        let delay = if was_found {
            self.plan.intervals.rare.max(normal)
        } else {
            normal
        };
        if is_named {
            self.due.push(now + jittered(delay, rng), id.clone());
        } else {
            self.watched.remove(id);
        }
    }

    /// Takes in that a read failed, or was not made because the round failed:
    /// it is due again with the next regular round.
    pub(super) fn postpone(&mut self, id: TrackingId, now: Instant) {
        self.due.push(now + self.plan.intervals.normal, id);
    }

    /// Takes in that the listing failed.
    pub(super) fn postpone_listing(&mut self, now: Instant) {
        self.next_listing = now + self.plan.intervals.normal;
    }

    fn list_one(&mut self, transfer: &Transfer, now: Instant) {
        let Some(watched) = self.watched.get_mut(&transfer.id) else {
            self.watch(transfer, now);
            return;
        };
        let has_changed = transfer.state.is_some() && transfer.state != watched.state;
        let had_ended = watched.state.is_some_and(State::is_final);
        // The state is left as it was read: the read that is due now tells.
        if has_changed && !had_ended {
            self.due.push(now, transfer.id.clone());
        }
    }

    fn watch(&mut self, transfer: &Transfer, now: Instant) {
        // What had ended before we began to watch is counted, never read; a
        // transfer that came and ended between two listings is read once.
        let ended_before = !self.has_listed && transfer.state.is_some_and(State::is_final);
        let watched = Watched {
            state: transfer.state.filter(|_| ended_before),
            reads: 0,
        };
        self.watched.insert(transfer.id.clone(), watched);
        if !ended_before {
            self.due.push(now, transfer.id.clone());
        }
    }

    /// Only a single read says that a transfer vanished, so what the listing
    /// misses is read; what had ended is forgotten.
    fn look_for_missing(&mut self, listing: &[Transfer], now: Instant) {
        let listed: HashSet<_> = listing.iter().map(|transfer| &transfer.id).collect();
        let named = &self.plan.named;
        let missing: Vec<_> = self
            .watched
            .iter()
            .filter(|(id, _)| !listed.contains(id) && !named.contains(id))
            .map(|(id, watched)| (id.clone(), *watched))
            .collect();
        for (id, watched) in missing {
            if watched.state.is_some_and(State::is_final) {
                self.watched.remove(&id);
            } else {
                self.due.push(now, id);
            }
        }
    }

    fn is_young(&self, id: &TrackingId, oldest: Option<Date>) -> bool {
        let is_old = match (id.started_on(), oldest) {
            (Some(day), Some(oldest)) => day < oldest,
            _ => false,
        };
        !is_old || self.plan.named.contains(id)
    }

    /// The first day that `max_age` keeps, with a day of tolerance for the
    /// unknown zone of the id's date.
    fn oldest_day(&self, server_now: Timestamp) -> Option<Date> {
        let age = SignedDuration::try_from(self.plan.max_age?).ok()?;
        let oldest = server_now.checked_sub(age).ok()?;
        let day = TimeZone::UTC.to_datetime(oldest).date();
        day.checked_sub(1.day()).ok()
    }

    /// Jitter puts what is due each interval up to a fifth of it apart; that
    /// much early, a job belongs to this round.
    fn slack(&self) -> std::time::Duration {
        self.plan.intervals.normal / 5
    }
}
