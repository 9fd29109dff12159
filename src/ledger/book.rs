//! What is remembered of one sender.
//!
//! **Invariants.** A record is dropped only long after the server stopped
//! listing it, so that what returns is recognized.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{Counters, Happened, Presence};
use crate::model::{Event, Record, Round, TrackingId, Transfer, merge};

/// A record that the server no longer lists keeps its marks this long.
const KEEP_MARKS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The memory of one sender.
#[derive(Debug, Default)]
pub struct Book {
    /// What happened since we began to watch.
    pub counters: Counters,
    /// How the rounds go; `None` before the first one has ended.
    pub presence: Option<Presence>,
    named: BTreeSet<TrackingId>,
    entries: BTreeMap<TrackingId, Entry>,
    has_listed: bool,
}

/// One transfer in the book.
#[derive(Debug, Default)]
pub struct Entry {
    /// What is remembered.
    pub record: Record,
    /// The first single reading is still to come and counts nothing.
    baseline_due: bool,
    /// Since when neither the listing nor a reading shows it.
    absent_since: Option<Timestamp>,
    vanished: bool,
}

impl Book {
    pub(super) fn new(named: Vec<TrackingId>) -> Self {
        Self {
            named: named.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The transfers that the server knows, in a stable order.
    pub fn present(&self) -> impl Iterator<Item = (&TrackingId, &Record)> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.absent_since.is_none())
            .map(|(id, entry)| (id, &entry.record))
    }

    /// Whether the configuration names the transfer.
    pub fn is_named(&self, id: &TrackingId) -> bool {
        self.named.contains(id)
    }

    /// How many transfers the configuration names that were never found.
    pub fn not_found(&self) -> usize {
        let missing = |id: &&TrackingId| !self.entries.contains_key(*id);
        self.named.iter().filter(missing).count()
    }

    pub(super) fn list(&mut self, listing: Vec<Transfer>, at: Timestamp) -> Happened {
        let mut happened = Vec::new();
        let listed: HashSet<_> = listing.iter().map(|reading| reading.id.clone()).collect();
        for reading in listing {
            let is_baseline = !self.has_listed;
            let events = self.merge(&reading, at, is_baseline);
            happened.extend(events.into_iter().map(|event| (reading.id.clone(), event)));
        }
        self.has_listed = true;
        self.settle_missing(&listed, at);
        happened
    }

    pub(super) fn inspect(&mut self, reading: &Transfer, at: Timestamp) -> Happened {
        let is_baseline = self.is_named(&reading.id) && !self.is_known_new(&reading.id);
        let events = self.merge(reading, at, is_baseline);
        if let Some(entry) = self.entries.get_mut(&reading.id) {
            entry.baseline_due = false;
        }
        let named = |event| (reading.id.clone(), event);
        events.into_iter().map(named).collect()
    }

    /// The server says that it does not know `id`. That is a loss if the
    /// transfer was known and had not ended.
    pub(super) fn lose(&mut self, id: &TrackingId, at: Timestamp) -> Happened {
        let Some(entry) = self.entries.get_mut(id) else {
            return Vec::new();
        };
        entry.absent_since.get_or_insert(at);
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
        self.presence = Some(Presence { round, at, good_at });
    }

    /// Folds the reading into its entry. While the entry's baseline is due,
    /// what the reading shows is remembered and not counted.
    fn merge(&mut self, reading: &Transfer, at: Timestamp, is_baseline: bool) -> Vec<Event> {
        let known = self.entries.remove(&reading.id);
        let is_new = known.is_none();
        let mut entry = known.unwrap_or_default();
        entry.baseline_due |= is_new && is_baseline;
        let before = (!is_new).then_some(entry.record);
        let (record, events) = merge(before, reading, at);
        entry.record = record;
        entry.absent_since = None;
        let counts = !entry.baseline_due;
        self.entries.insert(reading.id.clone(), entry);
        if counts { events } else { Vec::new() }
    }

    /// Whether the transfer came by a listing after the first one: then all
    /// it shows counts, whoever else names it.
    fn is_known_new(&self, id: &TrackingId) -> bool {
        self.entries
            .get(id)
            .is_some_and(|entry| !entry.baseline_due)
    }

    /// What ended and left the listing leaves the gauges; what did not end is
    /// read singly, and stays until that read says it is gone.
    fn settle_missing(&mut self, listed: &HashSet<TrackingId>, at: Timestamp) {
        let named = &self.named;
        for (id, entry) in &mut self.entries {
            let is_missing = !listed.contains(id) && !named.contains(id);
            if is_missing && entry.record.has_ended() {
                entry.absent_since.get_or_insert(at);
            }
        }
        self.entries.retain(|_, entry| {
            entry
                .absent_since
                .is_none_or(|since| at.duration_since(since) < KEEP_MARKS)
        });
    }
}
