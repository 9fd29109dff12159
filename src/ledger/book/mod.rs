//! What is remembered of one sender.
//!
//! **Invariants.** A record is dropped only long after the server stopped
//! listing it, so that what returns is recognized.

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{Counters, Happened, Origin, Presence, Watching, recipients::Labels};
use crate::model::{
    Event, Record, Round, Scope, TrackingId, Transfer, merge, record::RecipientMark,
};

/// A record that the server no longer lists keeps its marks this long.
const KEEP_MARKS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The memory of one sender.
#[derive(Debug, Default)]
pub struct Book {
    /// What happened since we began to watch.
    pub counters: Counters,
    /// How the rounds go; `None` before the first one has ended.
    pub presence: Option<Presence>,
    watching: Watching,
    entries: BTreeMap<TrackingId, Entry>,
    baseline: Baseline,
}

/// Whether the next listing is a baseline.
#[derive(Debug, Clone, Copy)]
enum Baseline {
    /// It is one for every id that is unknown and outside of the scope of the
    /// listings before.
    Due { listed: Scope },
    /// Whatever comes is new.
    Taken,
}

impl Default for Baseline {
    fn default() -> Self {
        Self::Due {
            listed: Scope::default(),
        }
    }
}

impl Baseline {
    fn covers(self, id: &TrackingId, at: Timestamp) -> bool {
        match self {
            Self::Due { listed } => !listed.admits(id, at),
            Self::Taken => false,
        }
    }
}

/// One transfer in the book.
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
    /// The labels of recipients by recipient id.
    recipient_labels: BTreeMap<Box<str>, Box<str>>,
}

impl Book {
    /// Watches this from now on. A wider scope makes the next listing a
    /// baseline for what only it admits.
    pub(super) fn watch(&mut self, watching: Watching) {
        let listed = self.watching.scope;
        let is_taken = matches!(self.baseline, Baseline::Taken);
        if is_taken && watching.scope.is_wider_than(&listed) {
            self.baseline = Baseline::Due { listed };
        }
        self.watching = watching;
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
        self.watching.named.contains_key(id)
    }

    /// Whether the transfer had ended before we began to watch.
    pub fn had_ended(&self, id: &TrackingId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.ended_before)
    }

    /// The recipients of a transfer that have a label, each with what is
    /// remembered of it.
    pub fn recipients(&self, id: &TrackingId) -> impl Iterator<Item = (&str, &RecipientMark)> {
        self.entries.get(id).into_iter().flat_map(|entry| {
            let label = |(id, mark)| Some((&**entry.recipient_labels.get(id)?, mark));
            entry.record.recipients.iter().filter_map(label)
        })
    }

    /// Keeps the labels of a transfer's recipients beside its record.
    pub(super) fn label_recipients(&mut self, id: &TrackingId, labels: Labels) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.recipient_labels.extend(labels);
        }
    }

    /// How many transfers the configuration names that were never found.
    pub fn not_found(&self) -> usize {
        let missing = |id: &&TrackingId| !self.entries.contains_key(*id);
        self.watching.named.keys().filter(missing).count()
    }

    pub(super) fn list(&mut self, listing: Vec<Transfer>, at: Timestamp) -> Happened {
        let mut happened = Vec::new();
        let listed: HashSet<_> = listing.iter().map(|reading| reading.id.clone()).collect();
        for reading in listing {
            let is_baseline = self.baseline.covers(&reading.id, at);
            let events = self.merge(&reading, at, is_baseline);
            happened.extend(events.into_iter().map(|event| (reading.id.clone(), event)));
        }
        self.baseline = Baseline::Taken;
        self.settle_missing(&listed, at);
        happened
    }

    pub(super) fn inspect(&mut self, reading: &Transfer, at: Timestamp) -> Happened {
        let origin = self.watching.named.get(&reading.id);
        let is_baseline = origin == Some(&Origin::Configured) && !self.is_known_new(&reading.id);
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
        entry.ended_before |= is_new && is_baseline && entry.record.has_ended();
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
        let named = &self.watching.named;
        for (id, entry) in &mut self.entries {
            let is_missing = !listed.contains(id) && !named.contains_key(id);
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

#[cfg(test)]
mod tests;
