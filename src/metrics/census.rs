//! What the gauges of a sender count.
//!
//! **Invariants.** Each transfer is looked at once for all of them: to fetch its
//! record takes longer than to judge it.

use jiff::{SignedDuration, Timestamp};

use super::{Shown, StateCounts};
use crate::model::{Record, State, record::Told};

/// A label, and whether a transfer is under it.
type Kind = (&'static str, fn(&Told) -> bool);

/// The failures of an active transfer.
const FAILURES: [Kind; 4] = [
    ("recipient_notification", |told| {
        told.notifications_failed.is_some_and(|n| n > 0)
    }),
    ("sender_notification", |told| {
        told.sender_notification_failed == Some(true)
    }),
    ("file_removed", |told| {
        told.files_removed.is_some_and(|n| n > 0)
    }),
    ("eml", |told| told.eml_creation_failed == Some(true)),
];

/// Numbers of transfers that the server knows.
#[derive(Default)]
pub(super) struct Census {
    states: StateCounts,
    pub(super) overdue: u64,
    pub(super) unretrieved: u64,
    pub(super) expiring_unretrieved: u64,
    pub(super) with_warnings: u64,
    with_failures: [u64; FAILURES.len()],
    /// Since when that is processing which does so the longest.
    pub(super) oldest_processing: Option<Timestamp>,
}

impl Census {
    /// Those of the sender; what expires `within` is expiring.
    pub(super) fn of(s: &Shown<'_>, within: SignedDuration) -> Self {
        let mut census = Self::default();
        for (_, entry) in s.book.present() {
            census.take(&entry.record, s.now, within);
        }
        census
    }

    /// By label of the state.
    pub(super) fn states(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.states.iter();
        counts.map(|(state, count)| (state.label(), count))
    }

    /// Those that have failed, by kind of the failure.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let kinds = FAILURES.iter().map(|(kind, _)| *kind);
        kinds.zip(self.with_failures)
    }

    fn take(&mut self, record: &Record, now: Timestamp, within: SignedDuration) {
        let Some(state) = record.state else {
            return;
        };
        self.states.add(state);
        if state == State::Processing {
            self.take_processing(record);
        } else if state == State::Active {
            self.take_active(record, now, within);
        }
    }

    fn take_processing(&mut self, record: &Record) {
        self.with_warnings += u64::from(record.has_warning());
        if let Some(processing) = record.processing {
            let oldest = self.oldest_processing.get_or_insert(processing.since);
            *oldest = processing.since.min(*oldest);
        }
    }

    fn take_active(&mut self, record: &Record, now: Timestamp, within: SignedDuration) {
        let told = &record.told;
        let left = told.expires_at.map(|at| at.duration_since(now));
        let is_overdue = left.is_some_and(|left| left <= SignedDuration::ZERO);
        let is_expiring = !is_overdue && left.is_some_and(|left| left <= within);
        // Every recipient's list is known to be empty.
        let is_unretrieved = told.retrievals && !record.is_retrieved();
        self.overdue += u64::from(is_overdue);
        self.unretrieved += u64::from(is_unretrieved);
        self.expiring_unretrieved += u64::from(is_expiring && is_unretrieved);
        self.with_warnings += u64::from(record.has_warning());
        for (count, (_, has_failed)) in self.with_failures.iter_mut().zip(FAILURES) {
            *count += u64::from(has_failed(told));
        }
    }
}
