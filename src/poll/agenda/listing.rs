//! What a listing means for the agenda.
//!
//! **Invariants.** Only a single read says that a transfer vanished: what a
//! listing misses is due. What came whole with a listing is not read singly.

use std::collections::HashSet;

use jiff::Timestamp;
use rand::Rng;
use tokio::time::Instant;

use super::{Agenda, Watched, suspicion::tolerated};
use crate::{
    cryptshare::{Extent, Interest, Listing},
    model::{Discover, State, TrackingId, Transfer},
    poll::policy::{Turn, jittered},
};

/// A listing on its way, and what it told so far.
#[derive(Debug)]
pub(in crate::poll) struct Progress {
    pub(in crate::poll) listing: Listing,
    pub(in crate::poll) ids: Vec<TrackingId>,
    began: Instant,
}

/// From so many reads on, a page in their place is less of a burden.
const WORTH_A_PAGE: usize = 5;

/// So many transfers of a sender are watched: twice what a listing may tell, so
/// that a server that always lists others fills neither memory nor ledger.
const MOST_WATCHED: usize = 200_000;

impl Progress {
    /// A listing of which nothing was read yet.
    pub(in crate::poll) fn new(extent: Extent, now: Instant) -> Self {
        Self {
            listing: Listing::new(extent),
            ids: Vec::new(),
            began: now,
        }
    }
}

impl Agenda {
    /// Whether a page of the newest transfers, which are those that are being
    /// processed, is likely to tell what many reads would.
    pub(in crate::poll) fn prefers_a_page(&self, now: Instant) -> bool {
        self.plan.scope.discovers() && self.told_by_pages(now).count() >= WORTH_A_PAGE
    }

    /// What is being processed and due about now, and was told whole by the last
    /// listing that had it.
    fn told_by_pages(&self, now: Instant) -> impl Iterator<Item = &TrackingId> {
        let about_now = now + self.plan.intervals.processing / 5;
        self.quick.due_by(about_now).filter(|id| {
            let watched = self.watched.get(*id);
            let is_processed = |one: &&Watched| one.state == Some(State::Processing);
            watched
                .filter(is_processed)
                .is_some_and(|one| one.is_told_whole)
        })
    }

    /// Takes in that a page has told what it could: what it should have told and
    /// did not is read singly, until a listing has it again.
    pub(in crate::poll) fn page_ended(&mut self, now: Instant) {
        let missed: Vec<_> = self.told_by_pages(now).cloned().collect();
        for id in missed {
            if let Some(watched) = self.watched.get_mut(&id) {
                watched.is_told_whole = false;
            }
        }
    }

    /// The listing of this round.
    pub(in crate::poll) fn begin_listing(&mut self, now: Instant) -> Progress {
        let longest = self.plan.intervals.listing;
        let unfinished = self.unfinished.take();
        let unfinished = unfinished.filter(|one| now.duration_since(one.began) < longest);
        unfinished.unwrap_or_else(|| Progress::new(self.extent(now), now))
    }

    /// Takes in that the listing failed. One of everything is gone on with in
    /// the next round: on a server that fails now and then, a long one would
    /// never come to its end. What changes is told better by another one.
    pub(in crate::poll) fn break_listing(&mut self, progress: Progress) {
        if progress.listing.extent() != Extent::Changing && !progress.ids.is_empty() {
            self.unfinished = Some(progress);
        }
    }

    /// How much this round lists.
    fn extent(&self, now: Instant) -> Extent {
        if self.next_listing > now + self.slack() {
            Extent::Changing
        } else if self.plan.scope.discover == Discover::Active {
            Extent::Living
        } else {
            Extent::All
        }
    }

    /// How far a listing goes on for the sake of this transfer.
    pub(in crate::poll) fn judge(&self, listed: &Transfer, server_now: Timestamp) -> Interest {
        if !self.plan.scope.admits(&listed.id, server_now) {
            Interest::Outside
        } else if self.watched.contains_key(&listed.id) || !self.wants(listed, server_now) {
            Interest::Known
        } else {
            Interest::New
        }
    }

    /// Whether the transfer is watched from now on, if it is not yet.
    fn wants(&self, listed: &Transfer, server_now: Timestamp) -> bool {
        let scope = &self.plan.scope;
        scope.admits_reading(listed, server_now) || self.plan.named.contains(&listed.id)
    }

    /// Takes in a page of a listing: what is told whole is read with it, what
    /// else is new or has changed is due at once. The answer is the page
    /// without what is not watched.
    pub(in crate::poll) fn seen(
        &mut self,
        mut page: Vec<Transfer>,
        server_now: Timestamp,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<Transfer> {
        let has_room = self.watched.len() < MOST_WATCHED;
        let mut is_beyond = false;
        page.retain(|one| {
            let is_old = !self.plan.scope.admits(&one.id, server_now);
            let is_watched = !is_old && self.watched.contains_key(&one.id);
            let is_wanted = !is_watched && self.wants(one, server_now);
            is_beyond |= is_wanted && !has_room;
            is_watched || is_wanted && has_room
        });
        if is_beyond {
            self.tell_beyond();
        }
        for transfer in &page {
            let is_new = !self.watched.contains_key(&transfer.id);
            if is_new {
                self.watch(transfer, server_now, now);
            }
            if transfer.is_whole() {
                self.list_whole(transfer, is_new, now, rng);
            } else if !is_new {
                self.list_one(transfer, now);
            }
        }
        page
    }

    /// Takes in the end of a listing: what it misses is read singly. The answer
    /// is whether it is believed to have told everything by the time at which it
    /// `ended`.
    pub(in crate::poll) fn listed(
        &mut self,
        progress: &Progress,
        ended: Timestamp,
        now: Instant,
        rng: &mut impl Rng,
    ) -> bool {
        let Progress { listing, ids, .. } = progress;
        if listing.is_cut() {
            self.tell_beyond();
            // The next one would be no better.
            self.next_listing = now + jittered(self.plan.intervals.listing, rng);
        } else if listing.is_complete() && self.watched.len() < MOST_WATCHED {
            self.is_beyond = false;
        }
        let listed: HashSet<_> = ids.iter().collect();
        if self.plan.scope.discover == Discover::Active {
            self.drop_ended(&listed);
        }
        if !listing.has_all_living() {
            self.read_singly(&listed, now);
            return false;
        }
        let missing = self.missing(&listed, listing.is_complete());
        let is_suspect = self.is_suspect(missing.len());
        if is_suspect {
            self.suspect(missing, now, rng);
        } else {
            self.suspicion = None;
            self.tell_right(now);
            for id in missing {
                self.push_quick(now, id);
            }
        }
        let is_full = listing.is_complete() || listing.extent() != Extent::Changing;
        if is_full {
            // Also if it is not believed: a long one each round would be a storm.
            self.next_listing = now + jittered(self.plan.intervals.listing, rng);
        }
        let is_believed = is_full && !is_suspect && !self.doubts(&listed, now);
        if is_believed {
            self.drop_ended(&listed);
            self.listed = self.listed.after(self.plan.scope, ended);
        }
        is_believed
    }

    /// One line when the sender has more than is listed, or than is watched.
    fn tell_beyond(&mut self) {
        if std::mem::replace(&mut self.is_beyond, true) {
            return;
        }
        let (server, sender) = (self.plan.id.server(), &self.plan.label);
        tracing::warn!(
            server,
            sender,
            "the sender has more transfers than can be watched; watch a part, by discover = \"active\" or max_age"
        );
    }

    fn list_one(&mut self, transfer: &Transfer, now: Instant) {
        let Some(watched) = self.watched.get_mut(&transfer.id) else {
            return;
        };
        watched.is_listed = true;
        watched.is_told_whole = false;
        let has_changed = transfer.state.is_some() && transfer.state != watched.state;
        let had_ended = watched.state.is_some_and(State::is_final);
        // The state is left as it was read: the read that is due now tells.
        let is_due = has_changed || std::mem::take(&mut watched.is_in_bulk);
        if is_due && !had_ended {
            self.push_quick(now, transfer.id.clone());
        }
    }

    fn watch(&mut self, transfer: &Transfer, server_now: Timestamp, now: Instant) {
        // What had ended before we began to watch is counted, never read; a
        // transfer that came and ended between two listings is read once.
        let has_ended = transfer.state.is_some_and(State::is_final);
        let ended_before = has_ended && !self.listed.had(transfer, server_now);
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

    /// A reading that came with a listing and tells all.
    fn list_whole(&mut self, transfer: &Transfer, is_new: bool, now: Instant, rng: &mut impl Rng) {
        let known = self.watched.get_mut(&transfer.id);
        let has_ended = known.is_some_and(|watched| {
            watched.is_listed = true;
            watched.is_told_whole = true;
            watched.state.is_some_and(State::is_final)
        });
        if has_ended {
            return;
        }
        self.note(transfer, false, now, rng);
        if transfer.state != Some(State::Active) {
            return;
        }
        if let Some(watched) = self.watched.get_mut(&transfer.id) {
            watched.is_in_bulk = true;
        }
        // What does not change later is read singly once.
        let is_poor = transfer.expires_at.is_none() || transfer.size_bytes.is_none();
        if is_new && is_poor {
            self.push_quick(now, transfer.id.clone());
        } else {
            self.forget_due(&transfer.id);
            let turn = Turn::never("listings tell all of it");
            self.plan.tell_decision(&transfer.id, transfer.state, turn);
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
            let was_listed = is_complete && std::mem::take(&mut watched.is_listed);
            let is_expected = was_listed || is_complete && !named.contains(id);
            if is_expected || watched.is_in_bulk {
                missing.push(id.clone());
            }
        }
        missing.sort();
        missing
    }

    /// A listing that does not tell of all that lives: what came in bulk before
    /// and is not in it is due like anything else.
    fn read_singly(&mut self, listed: &HashSet<&TrackingId>, now: Instant) {
        let mut due = Vec::new();
        for (id, watched) in &mut self.watched {
            if !listed.contains(id) && std::mem::take(&mut watched.is_in_bulk) {
                due.push(id.clone());
            }
        }
        for id in due {
            self.push_regular(now, id);
        }
    }

    /// Whether a listing misses so much of what has ended that it is repeated
    /// before it is believed: one page that came empty would be enough.
    fn doubts(&mut self, listed: &HashSet<&TrackingId>, now: Instant) -> bool {
        let ended = self.watched.iter();
        let ended = ended.filter(|(_, watched)| watched.state.is_some_and(State::is_final));
        let is_missing = |id: &TrackingId| !listed.contains(id) && !self.is_over(id);
        let (mut all, mut missing) = (0, 0);
        for (id, _) in ended {
            all += 1;
            missing += usize::from(is_missing(id));
        }
        let is_odd = missing > tolerated(all);
        self.is_in_doubt = is_odd && !self.is_in_doubt;
        if self.is_in_doubt {
            self.next_listing = now;
        }
        self.is_in_doubt
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
