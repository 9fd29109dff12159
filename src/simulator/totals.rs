//! How often each thing has happened: counted where it happens.
//!
//! **Invariants.** Never derived from an answer.

use std::collections::BTreeMap;

use serde::Serialize;

use super::letter::Way;
use super::transfer::{Happening, SimTransfer, Stage};

/// How often each thing has happened.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Totals {
    appeared: u64,
    retrievals: BTreeMap<&'static str, u64>,
    recipient_notification_failures: u64,
    sender_notification_failures: u64,
    eml_creation_failures: u64,
    files_removed: u64,
    files_removed_by_cause: BTreeMap<String, u64>,
    state_transitions: BTreeMap<String, u64>,
    ended_unretrieved: BTreeMap<String, u64>,
    forgotten: u64,
    /// Those of the forgotten that had not ended.
    vanished: u64,
}

impl Totals {
    /// Every child at zero.
    pub(super) fn zero() -> Self {
        let states = |stages: &[Stage]| stages.iter().map(|s| (s.label(), 0)).collect();
        let deleted: Vec<_> = Stage::ALL.into_iter().filter(|s| s.is_deleted()).collect();
        Self {
            retrievals: Way::ALL.map(|way| (way.label(), 0)).into(),
            state_transitions: states(&Stage::ALL),
            ended_unretrieved: states(&deleted),
            ..Self::default()
        }
    }

    /// Counts what has just happened to `transfer`.
    pub(super) fn count(&mut self, happening: &Happening, transfer: &SimTransfer) {
        match happening {
            Happening::Retrieved { way, .. } => {
                *self.retrievals.entry(way.label()).or_default() += 1;
            }
            Happening::RecipientNotificationFailed(_) => self.recipient_notification_failures += 1,
            Happening::SenderNotificationFailed => self.sender_notification_failures += 1,
            Happening::EmlFailed => self.eml_creation_failures += 1,
            Happening::FileRemoved { cause, .. } => {
                self.files_removed += 1;
                *self
                    .files_removed_by_cause
                    .entry(cause.clone())
                    .or_default() += 1;
            }
            Happening::Entered(stage) => self.enter(*stage, transfer),
            Happening::Expired => {}
            Happening::Forgotten => {
                self.forgotten += 1;
                self.vanished += u64::from(!transfer.stage.is_final());
            }
        }
    }

    /// Counts a transfer that has just been created.
    pub(super) fn appear(&mut self, transfer: &SimTransfer) {
        self.appeared += 1;
        self.enter(transfer.stage, transfer);
    }

    fn enter(&mut self, stage: Stage, transfer: &SimTransfer) {
        *self.state_transitions.entry(stage.label()).or_default() += 1;
        let retrieved = transfer.recipients.iter().any(|r| !r.retrievals.is_empty());
        if stage.is_deleted() && !retrieved {
            *self.ended_unretrieved.entry(stage.label()).or_default() += 1;
        }
    }
}
