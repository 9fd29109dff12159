//! What of an entry may be shown.
//!
//! **Invariants.** No retrieval is told before it is durable. Whatever changes
//! what is told here gives the entry a new revision.

use super::Entry;
use crate::model::record::{RecipientMark, Tally};

impl Entry {
    /// In one life of the exporter no two entries of a sender have one revision,
    /// and an entry that keeps it shows the same.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the transfer had ended before we began to watch.
    pub const fn had_ended(&self) -> bool {
        self.ended_before
    }

    /// All retrievals, as far as they are durable: what may be shown.
    pub fn retrievals(&self) -> Tally {
        let mut pending = Tally::default();
        for tally in self.pending.values() {
            pending.add_all(*tally);
        }
        self.record.retrievals().less(pending)
    }

    /// The recipients that have a label, each with what is remembered of it and
    /// with its retrievals as far as they are durable.
    pub fn recipients(&self) -> impl Iterator<Item = (&str, &RecipientMark, Tally)> {
        let labels = self.recipient_labels.iter();
        labels.filter_map(|(id, label)| {
            let mark = self.record.recipients.get(id)?;
            Some((label.as_ref(), mark, self.durable_tally(id, mark)))
        })
    }

    fn durable_tally(&self, recipient: &str, mark: &RecipientMark) -> Tally {
        let pending = self.pending.get(recipient).copied();
        mark.tally().less(pending.unwrap_or_default())
    }
}
