//! What a listing means for the agenda.
//!
//! **Invariants.** Only a single read says that a transfer vanished: what a
//! listing misses is due. What came whole with a listing is not read singly.

use std::collections::HashSet;

use jiff::Timestamp;
use rand::Rng;
use tokio::time::Instant;

use super::{Agenda, Watched, jittered};
use crate::{
    cryptshare::{Extent, Listing},
    model::{State, TrackingId, Transfer},
};

impl Agenda {
    /// How much this round lists.
    pub(in crate::poll) fn extent(&self, now: Instant) -> Extent {
        if self.next_listing <= now + self.slack() {
            Extent::All
        } else {
            Extent::Changing
        }
    }

    /// Whether a listing of this extent goes on where it finds the transfer.
    pub(in crate::poll) fn is_news(
        &self,
        id: &TrackingId,
        extent: Extent,
        server_now: Timestamp,
    ) -> bool {
        let is_looked_for = extent == Extent::All || !self.watched.contains_key(id);
        is_looked_for && self.plan.scope.admits(id, server_now)
    }

    /// Takes in a page of a listing: what is told whole is read with it, what
    /// else is new or has changed is due at once. The answer is the page
    /// without what is too old to be watched.
    pub(in crate::poll) fn seen(
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
    pub(in crate::poll) fn listed(
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

    /// What had ended and left the listing is forgotten.
    fn drop_ended(&mut self, listed: &HashSet<&TrackingId>) {
        let named = &self.plan.named;
        self.watched.retain(|id, watched| {
            let has_ended = watched.state.is_some_and(State::is_final);
            !has_ended || listed.contains(id) || named.contains(id)
        });
    }
}
