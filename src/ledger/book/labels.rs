//! The labels of recipients when the configuration asks for others.
//!
//! **Invariants.** What the configuration does not ask for is not kept.

use super::Book;

impl Book {
    /// Drops the labels that are not of the kind that is asked for now; a reading
    /// brings others.
    pub(in crate::ledger) fn keep_labels(&mut self, is_kept: impl Fn(&str) -> bool) {
        for (id, entry) in &mut self.entries {
            let labels = &mut entry.recipient_labels;
            if labels.values().all(|label| is_kept(label)) {
                continue;
            }
            let kept = labels.iter().filter(|(_, label)| is_kept(label));
            *labels = kept.map(|(id, label)| (id.into(), label.clone())).collect();
            self.revision += 1;
            entry.revision = self.revision;
            self.touched.insert(id.clone());
        }
    }
}
