//! What a listing shows for the first time: news, or the past.
//!
//! **Invariants.** What was sent after the first listing had ended is news, as
//! long as no more is watched than before.

use jiff::Timestamp;

use crate::model::{Scope, TrackingId, Transfer, View};

/// What the next listing begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Baseline {
    /// It is a baseline for every id that is unknown and was not in view.
    is_due: bool,
    seen: View,
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            is_due: true,
            seen: View::default(),
        }
    }
}

impl Baseline {
    /// That of an earlier life: the scope of the listings so far if one is due,
    /// and what was `watched`.
    pub(super) fn restored(due: Option<Scope>, watched: Scope, since: Option<Timestamp>) -> Self {
        let scope = due.unwrap_or(watched);
        Self {
            is_due: due.is_some(),
            seen: View { scope, since },
        }
    }

    /// The scope of the listings so far, if the next one is a baseline.
    pub(super) fn due(&self) -> Option<Scope> {
        self.is_due.then_some(self.seen.scope)
    }

    /// What the listings so far had in view.
    pub(super) const fn seen(&self) -> View {
        self.seen
    }

    /// Whether what an unknown transfer shows at `at` is the past.
    pub(super) fn covers(&self, reading: &Transfer, at: Timestamp) -> bool {
        if self.is_due {
            !self.seen.had(reading, at)
        } else {
            self.is_from_before(&reading.id)
        }
    }

    /// Whether the transfer was there when the first listing ended, though that
    /// did not show it.
    pub(super) fn is_from_before(&self, id: &TrackingId) -> bool {
        self.seen.is_from_before(id)
    }

    /// This scope is watched from now on.
    pub(super) fn follow(&mut self, scope: Scope) {
        if self.is_due {
            return;
        }
        if scope.is_wider_than(&self.seen.scope) {
            self.is_due = true;
        } else {
            self.seen.scope = scope;
        }
    }

    /// A listing of this scope has ended; the answer is whether it was due.
    pub(super) fn take(&mut self, scope: Scope, ended: Timestamp) -> bool {
        let was_due = std::mem::take(&mut self.is_due);
        if was_due {
            self.seen = self.seen.after(scope, ended);
        }
        was_due
    }
}
