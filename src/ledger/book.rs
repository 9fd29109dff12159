//! What is remembered of one sender.
//!
//! **Invariants.** A record is dropped only long after the server stopped
//! listing it, so that what returns is recognized.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{Counters, Happened, Presence, recipients::Labels};
use crate::model::{Event, Record, Round, TrackingId, Transfer, merge, record::RecipientMark};

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
    /// The transfer had ended when the first listing showed it.
    ended_before: bool,
    /// Since when neither the listing nor a reading shows it.
    absent_since: Option<Timestamp>,
    vanished: bool,
    /// The labels of recipients by recipient id.
    recipient_labels: BTreeMap<Box<str>, Box<str>>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{State, Verification};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_775_000_000 + seconds).unwrap()
    }

    fn reading(id: &str, state: State) -> Transfer {
        Transfer {
            state: Some(state),
            recipients: Some(Vec::new()),
            ..Transfer::untold(TrackingId::parse(id).unwrap())
        }
    }

    fn failing(id: &str, state: State) -> Transfer {
        Transfer {
            eml_creation_failed: Some(true),
            ..reading(id, state)
        }
    }

    #[test]
    fn a_first_listing_and_the_first_reading_of_each_are_the_baseline() {
        let mut book = Book::new(Vec::new());
        assert_eq!(book.list(vec![reading("a", State::Active)], at(0)), vec![]);
        assert_eq!(book.inspect(&failing("a", State::Active), at(9)), vec![]);
        assert_eq!(book.inspect(&failing("a", State::Active), at(10)), vec![]);
        let ended = book.inspect(&failing("a", State::DeletedByAdmin), at(11));
        assert_eq!(ended.len(), 2, "{ended:?}");
    }

    #[test]
    fn what_appears_later_counts_from_its_beginning() {
        let mut book = Book::new(Vec::new());
        book.list(Vec::new(), at(0));
        let listed = book.list(vec![reading("b", State::Active)], at(1));
        assert_eq!(listed.len(), 3, "{listed:?}");
        let inspected = book.inspect(&failing("b", State::Active), at(2));
        assert_eq!(inspected.len(), 1, "{inspected:?}");
    }

    #[test]
    fn a_named_transfer_that_is_discovered_later_is_new() {
        let named = TrackingId::parse("c").unwrap();
        let mut book = Book::new(vec![named]);
        book.list(Vec::new(), at(0));
        assert_eq!(book.not_found(), 1);
        assert_eq!(book.list(vec![reading("c", State::Active)], at(1)).len(), 3);
        assert_eq!(book.inspect(&failing("c", State::Active), at(2)).len(), 1);
        assert_eq!(book.not_found(), 0);
    }

    #[test]
    fn a_vanished_transfer_counts_once_and_revives_without_events() {
        let mut book = Book::new(Vec::new());
        book.list(Vec::new(), at(0));
        book.list(vec![reading("d", State::Active)], at(1));
        let id = TrackingId::parse("d").unwrap();
        assert_eq!(book.lose(&id, at(2)), vec![(id.clone(), Event::Vanished)]);
        assert_eq!(book.present().count(), 0);
        assert_eq!(book.lose(&id, at(3)), vec![]);
        assert_eq!(book.inspect(&reading("d", State::Active), at(4)), vec![]);
        assert_eq!(book.present().count(), 1);
        assert_eq!(book.lose(&id, at(5)), vec![]);
    }

    #[test]
    fn an_ended_transfer_that_leaves_the_list_is_forgotten_after_90_days() {
        let mut book = Book::new(Vec::new());
        book.list(vec![reading("e", State::Failed)], at(0));
        assert_eq!(book.list(Vec::new(), at(1)), vec![]);
        assert_eq!((book.present().count(), book.entries.len()), (0, 1));
        book.list(Vec::new(), at(91 * 86_400));
        assert_eq!(book.entries.len(), 0);
    }

    #[test]
    fn the_last_good_round_is_remembered_through_failures() {
        let mut book = Book::new(Vec::new());
        let round = |failure| Round {
            failure,
            clock_offset: None,
            verified_until: Verification::Unknown,
        };
        book.note_round(round(None), at(1));
        book.note_round(round(Some(crate::model::Reason::Timeout)), at(2));
        let presence = book.presence.unwrap();
        assert_eq!((presence.at, presence.good_at), (at(2), Some(at(1))));
    }
}
