//! What is remembered of one sender.
//!
//! **Invariants.** A record is dropped only long after the server stopped
//! listing it, so that what returns is recognized.

mod baseline;
mod labels;
mod persist;
mod shown;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

use baseline::Baseline;

use super::{Counters, Happened, Origin, Presence, Watching, recipients::Labels};
use crate::model::{
    ById, Discover, Event, Record, Round, Scope, State, TrackingId, Transfer, View, merge,
    record::Tally,
};

/// A record that the server no longer lists keeps its marks this long.
const KEEP_MARKS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A baseline waits so many readings for the lists.
const MUTE_READINGS: u8 = 3;

/// The memory of one sender.
#[derive(Debug, Default)]
pub struct Book {
    /// What happened since we began to watch, the newest included.
    pub(super) newest: Counters,
    /// What of it is durable.
    counters: Counters,
    /// How the rounds go; `None` before the first one has ended.
    pub presence: Option<Presence>,
    watching: Watching,
    /// Boxed, since a tree whose keys came in order is half empty.
    entries: BTreeMap<TrackingId, Box<Entry>>,
    /// The revision of the entry that changed last.
    revision: u64,
    baseline: Baseline,
    /// Since when the configuration does not watch the sender.
    unwatched_since: Option<Timestamp>,
    /// Transfers that changed since the last commit, those dropped included.
    touched: BTreeSet<TrackingId>,
    /// What is watched, or the baseline, changed since the last commit.
    is_touched: bool,
}

/// One transfer in the book.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may come with any other"
)]
#[derive(Debug, Default)]
pub struct Entry {
    /// What is remembered.
    pub record: Record,
    /// The first single reading is still to come and counts nothing.
    baseline_due: bool,
    /// The transfer had ended when the first listing showed it.
    ended_before: bool,
    /// Since when neither the listing nor a reading shows it.
    absent_since: Option<Timestamp>,
    vanished: bool,
    /// The state that the last single reading told. A listing that tells an end
    /// is not the last word: only a single reading tells all.
    read_state: Option<State>,
    /// It is named no more, and not discovered: what was under way when that
    /// ended does not bring it back.
    released: bool,
    /// Baseline readings that did not tell the lists.
    mute_readings: u8,
    /// The labels of recipients by recipient id.
    recipient_labels: ById<Box<str>>,
    /// Retrievals since the last commit, by recipient id.
    pending: BTreeMap<Box<str>, Tally>,
    /// Grows with each change of what may be shown.
    revision: u64,
}

impl Entry {
    /// The first reading that tells the lists is the baseline, or one that shows
    /// that nothing can have been retrieved yet. Where none comes, the server
    /// may well write nothing for empty lists.
    fn note_baseline(&mut self, reading: &Transfer) {
        let is_early = matches!(reading.state, Some(State::Processing | State::Pending));
        let is_good = reading.tells_lists() || is_early;
        if is_good || self.mute_readings >= MUTE_READINGS {
            self.baseline_due = false;
        } else if self.baseline_due {
            self.mute_readings += 1;
        }
    }

    fn note_pending(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Retrieved {
                recipient,
                method,
                times,
                ..
            } = event
            {
                let pending = self.pending.entry(recipient.clone()).or_default();
                pending.add(*method, *times);
            }
        }
    }

    /// What of this can change without an event.
    fn outline(&self) -> impl PartialEq + use<> {
        let marks = (self.baseline_due, self.ended_before, self.vanished);
        (self.record.outline(), marks, self.absent_since)
    }
}

impl Book {
    /// Watches this from now on. A wider scope makes the next listing a
    /// baseline for what only it admits.
    pub(super) fn watch(&mut self, watching: Watching, at: Timestamp) {
        self.baseline.follow(watching.scope);
        if self.unwatched_since.take().is_some() {
            self.begin_anew();
        }
        self.is_touched |= watching.scope != self.watching.scope;
        let before = std::mem::replace(&mut self.watching, watching);
        self.release(&before, at);
        self.forget_old(at);
    }

    /// What is named no more leaves, unless it is discovered. It keeps its
    /// marks, so that it is recognized if it is named again.
    fn release(&mut self, before: &Watching, at: Timestamp) {
        let Watching { scope, named, .. } = &self.watching;
        for (id, entry) in &mut self.entries {
            let was_only_named = entry.released || before.named.contains_key(id);
            let is_discovered = scope.discovers() && (!was_only_named || scope.admits(id, at));
            entry.released = !is_discovered && !named.contains_key(id);
            if entry.released && entry.absent_since.is_none() {
                entry.absent_since = Some(at);
                self.touched.insert(id.clone());
            }
        }
    }

    /// A sender that comes back counts on, but not what happened meanwhile.
    fn begin_anew(&mut self) {
        self.is_touched = true;
        self.baseline = Baseline::default();
        for (id, entry) in &mut self.entries {
            entry.baseline_due = true;
            self.touched.insert(id.clone());
        }
    }

    /// The configuration does not watch the sender any more.
    pub(super) fn unwatch(&mut self, at: Timestamp) {
        self.is_touched |= self.unwatched_since.is_none();
        self.unwatched_since.get_or_insert(at);
        self.presence = None;
    }

    /// Since when the configuration does not watch the sender; `None` if it
    /// does.
    pub const fn unwatched_since(&self) -> Option<Timestamp> {
        self.unwatched_since
    }

    /// How many transfers are in the book, those that the server no longer
    /// knows included.
    pub fn remembered(&self) -> usize {
        self.entries.len()
    }

    /// Whether the configuration watches the sender.
    pub(super) const fn is_watched(&self) -> bool {
        self.unwatched_since.is_none()
    }

    /// Whether the sender was watched so long ago that it is forgotten.
    pub(super) fn is_forgotten(&self, at: Timestamp) -> bool {
        self.unwatched_since
            .is_some_and(|since| at.duration_since(since) >= KEEP_MARKS)
    }

    /// The counters as far as they are durable: what may be shown.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The transfers that the server knows, in a stable order.
    pub fn present(&self) -> impl Iterator<Item = (&TrackingId, &Entry)> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.absent_since.is_none())
            .map(|(id, entry)| (id, entry.as_ref()))
    }

    #[cfg(test)]
    pub(super) fn entry(&self, id: &TrackingId) -> Option<&Entry> {
        self.entries.get(id).map(AsRef::as_ref)
    }

    /// What the listings so far had in view: whatever of that is not in the book
    /// is new.
    pub const fn listed(&self) -> View {
        self.baseline.seen()
    }

    /// The transfers that the server knows, each with the state up to which all
    /// is known of it: one that had ended before we began to watch is never
    /// read.
    pub fn known(&self) -> impl Iterator<Item = (&TrackingId, Option<State>)> {
        let entries = self.entries.iter();
        let present = entries.filter(|(_, entry)| entry.absent_since.is_none());
        present.map(|(id, entry)| {
            let before = entry.record.state.filter(|_| entry.ended_before);
            (id, entry.read_state.or(before))
        })
    }

    /// Whether the configuration names the transfer.
    pub fn is_named(&self, id: &TrackingId) -> bool {
        self.watching.named.contains_key(id)
    }

    /// Whether the transfer had ended before we began to watch.
    pub(super) fn had_ended(&self, id: &TrackingId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.ended_before)
    }

    /// Keeps the labels of a transfer's recipients beside its record.
    pub(super) fn label_recipients(&mut self, id: &TrackingId, labels: &Labels) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let known = entry.recipient_labels.count();
        let mut is_new = false;
        let keep = |kept: &mut Box<str>, (_, label): &(_, Box<str>)| {
            is_new |= kept != label;
            kept.clone_from(label);
        };
        entry
            .recipient_labels
            .fold(labels.iter(), |(id, _)| id, keep);
        if is_new {
            self.revision += 1;
            entry.revision = self.revision;
        }
        if entry.recipient_labels.count() > known {
            self.touched.insert(id.clone());
        }
    }

    /// How many transfers the configuration names that were never found.
    pub fn not_found(&self) -> usize {
        let missing = |id: &&TrackingId| !self.entries.contains_key(*id);
        self.watching.named.keys().filter(missing).count()
    }

    /// A page of a listing. What it tells whole is as good as a single reading.
    pub(super) fn see(&mut self, page: Vec<Transfer>, at: Timestamp) -> Happened {
        let mut happened = Vec::new();
        for reading in page {
            if !self.concerns_us(&reading.id) || self.is_over(&reading) {
                continue;
            }
            let is_baseline = self.baseline.covers(&reading, at) || self.is_called(&reading, at);
            let events = self.merge(&reading, at, is_baseline);
            if reading.is_whole() && !self.had_ended(&reading.id) {
                self.note_reading(&reading);
            }
            happened.extend(events.into_iter().map(|event| (reading.id.clone(), event)));
        }
        happened
    }

    /// Whether the reading tells of an end that is none of ours: only what lives
    /// is discovered, and this had ended before, or has been shown for long
    /// enough.
    fn is_over(&self, reading: &Transfer) -> bool {
        let known = self.entries.get(&reading.id);
        let is_shown = known.is_some_and(|entry| entry.absent_since.is_none());
        self.watching.scope.discover == Discover::Active
            && reading.state.is_some_and(State::is_final)
            && !self.is_named(&reading.id)
            && !is_shown
    }

    /// Whether we see it for no other reason than that the configuration names
    /// it: then its past is none of ours.
    fn is_called(&self, reading: &Transfer, at: Timestamp) -> bool {
        let Watching { scope, named, .. } = &self.watching;
        named.get(&reading.id) == Some(&Origin::Configured) && !scope.admits_reading(reading, at)
    }

    /// The end of a listing: what it did not show is not listed. One that began
    /// under another scope says nothing of what is watched now.
    pub(super) fn end_listing(
        &mut self,
        ids: Vec<TrackingId>,
        (scope, ended): (Scope, Timestamp),
        at: Timestamp,
    ) {
        if scope != self.watching.scope {
            return;
        }
        self.is_touched |= self.baseline.take(scope, ended);
        self.settle_missing(&ids.into_iter().collect(), at);
    }

    pub(super) fn inspect(&mut self, reading: &Transfer, at: Timestamp) -> Happened {
        if !self.concerns_us(&reading.id) {
            return Vec::new();
        }
        let origin = self.watching.named.get(&reading.id);
        let is_old = self.watching.scope.discovers() && self.baseline.is_from_before(&reading.id);
        let is_configured = origin == Some(&Origin::Configured);
        let is_baseline = is_old || is_configured && !self.is_known_new(&reading.id);
        let events = self.merge(reading, at, is_baseline);
        self.note_reading(reading);
        let named = |event| (reading.id.clone(), event);
        events.into_iter().map(named).collect()
    }

    /// The reading tells as much as there is to be told.
    fn note_reading(&mut self, reading: &Transfer) {
        let Some(entry) = self.entries.get_mut(&reading.id) else {
            return;
        };
        let before = (entry.baseline_due, entry.read_state);
        entry.note_baseline(reading);
        entry.read_state = reading.state.or(entry.read_state);
        if (entry.baseline_due, entry.read_state) != before {
            self.touched.insert(reading.id.clone());
        }
    }

    /// The server says that it does not know `id`. That is a loss if the
    /// transfer was known and had not ended.
    pub(super) fn lose(&mut self, id: &TrackingId, at: Timestamp) -> Happened {
        let concerns_us = self.concerns_us(id);
        let Some(entry) = self.entries.get_mut(id).filter(|_| concerns_us) else {
            return Vec::new();
        };
        entry.absent_since.get_or_insert(at);
        self.touched.insert(id.clone());
        if entry.vanished || entry.record.has_ended() {
            return Vec::new();
        }
        entry.vanished = true;
        vec![(id.clone(), Event::Vanished)]
    }

    pub(super) fn note_round(&mut self, round: Round, at: Timestamp) {
        let before = self.presence.and_then(|presence| presence.good_at);
        let good_at = match round.failure {
            None => Some(at),
            Some(_) => before,
        };
        self.retire(at);
        self.presence = Some(Presence {
            round,
            at,
            good_at,
            is_restored: false,
        });
    }

    /// Folds the reading into its entry. While the entry's baseline is due,
    /// what the reading shows is remembered and not counted.
    fn merge(&mut self, reading: &Transfer, at: Timestamp, is_baseline: bool) -> Vec<Event> {
        let is_new = !self.entries.contains_key(&reading.id);
        let entry = self.entries.entry(reading.id.clone()).or_default();
        entry.baseline_due |= is_new && is_baseline;
        let outline = entry.outline();
        let before = (!is_new).then(|| std::mem::take(&mut entry.record));
        let (record, events) = merge(before, reading, at);
        entry.record = record;
        entry.ended_before |= is_new && is_baseline && entry.record.has_ended();
        entry.absent_since = None;
        entry.note_pending(&events);
        if is_new || !events.is_empty() || entry.outline() != outline {
            self.revision += 1;
            entry.revision = self.revision;
            self.touched.insert(reading.id.clone());
        }
        if entry.baseline_due {
            Vec::new()
        } else {
            events
        }
    }

    /// Whether the transfer is watched still, now that an observation of it
    /// arrives.
    fn concerns_us(&self, id: &TrackingId) -> bool {
        let Watching { scope, named, .. } = &self.watching;
        let is_released = || self.entries.get(id).is_some_and(|entry| entry.released);
        named.contains_key(id) || (scope.discovers() && !is_released())
    }

    /// Whether the transfer came by a listing after the first one: then all
    /// it shows counts, whoever else names it.
    fn is_known_new(&self, id: &TrackingId) -> bool {
        self.entries
            .get(id)
            .is_some_and(|entry| !entry.baseline_due)
    }

    /// What ended and left the listing leaves the gauges; what did not end is
    /// read singly, and stays until that read says it is gone. A listing of what
    /// lives does not tell what has ended.
    fn settle_missing(&mut self, listed: &HashSet<TrackingId>, at: Timestamp) {
        if self.watching.scope.discover == Discover::Everything {
            self.leave(at, |id, entry| {
                !listed.contains(id) && entry.record.has_ended()
            });
        }
        self.forget_old(at);
    }

    /// Where only what lives is discovered, no listing tells of what has ended:
    /// it leaves the gauges after a while.
    fn retire(&mut self, at: Timestamp) {
        if self.watching.scope.discover == Discover::Active {
            let keep = SignedDuration::try_from(self.watching.keep_ended);
            let keep = keep.unwrap_or(SignedDuration::MAX);
            let is_old = |ended: Timestamp| at.duration_since(ended) >= keep;
            self.leave(at, |_, entry| {
                entry.record.has_ended() && entry.record.ended_at.is_none_or(is_old)
            });
        }
    }

    /// What is not named and `is_over` leaves the gauges.
    fn leave(&mut self, at: Timestamp, is_over: impl Fn(&TrackingId, &Entry) -> bool) {
        let named = &self.watching.named;
        for (id, entry) in &mut self.entries {
            let is_present = entry.absent_since.is_none() && !named.contains_key(id);
            if is_present && is_over(id, entry) {
                entry.absent_since = Some(at);
                self.touched.insert(id.clone());
            }
        }
    }

    /// Drops what has been absent for long.
    fn forget_old(&mut self, at: Timestamp) {
        let is_old = |since| at.duration_since(since) >= KEEP_MARKS;
        let dropped = self
            .entries
            .extract_if(.., |_, entry| entry.absent_since.is_some_and(is_old));
        self.touched.extend(dropped.map(|(id, _)| id));
    }
}

#[cfg(test)]
mod tests;
