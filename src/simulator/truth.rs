//! The oracle: what has really happened.
//!
//! **Invariants.** Counted where it happens, never derived from an answer.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::transfer::{Happening, SimTransfer, Stage, Way};

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
}

impl Totals {
    /// Every child at zero.
    pub(super) fn zero() -> Self {
        let states = |stages: &[Stage]| stages.iter().map(|s| (s.label(), 0)).collect();
        let deleted: Vec<_> = Stage::ALL.into_iter().filter(|s| s.is_deleted()).collect();
        Self {
            retrievals: [("downloaded", 0), ("viewed", 0)].into(),
            state_transitions: states(&Stage::ALL),
            ended_unretrieved: states(&deleted),
            ..Self::default()
        }
    }

    /// Counts what has just happened to `transfer`.
    pub(super) fn count(&mut self, happening: &Happening, transfer: &SimTransfer) {
        match happening {
            Happening::Retrieved { way, .. } => {
                *self.retrievals.entry(way_label(*way)).or_default() += 1;
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
            Happening::Forgotten => self.forgotten += 1,
        }
    }

    /// Counts a transfer that has just been created.
    pub(super) fn appear(&mut self, transfer: &SimTransfer) {
        self.appeared += 1;
        self.enter(Stage::Processing, transfer);
    }

    fn enter(&mut self, stage: Stage, transfer: &SimTransfer) {
        *self.state_transitions.entry(stage.label()).or_default() += 1;
        let retrieved = transfer.recipients.iter().any(|r| !r.retrievals.is_empty());
        if stage.is_deleted() && !retrieved {
            *self.ended_unretrieved.entry(stage.label()).or_default() += 1;
        }
    }
}

/// The truth about one transfer.
pub(super) fn of_transfer(transfer: &SimTransfer) -> Value {
    let failed = transfer.recipients.iter().filter(|r| r.notification_failed);
    let removals: Vec<_> = transfer
        .files
        .iter()
        .filter_map(|file| Some(json!({"file": file.id, "cause": file.removed.as_ref()?})))
        .collect();
    let passed: Vec<_> = transfer.passed.iter().map(|stage| stage.label()).collect();
    json!({
        "state": transfer.stage.label(),
        "states_passed": passed,
        "retrievals": {
            "downloaded": transfer.retrievals(Way::Downloaded),
            "viewed": transfer.retrievals(Way::Viewed),
        },
        "failures": {
            "recipient_notification": failed.count(),
            "sender_notification": transfer.sender_notification_failed,
            "eml": transfer.eml_failed,
        },
        "removals": removals,
        "files": transfer.files.len(),
        "recipients": transfer.recipients.len(),
        "size": transfer.files.iter().map(|file| file.size).sum::<u64>(),
        "expires_at": transfer.expires_at.to_string(),
        "forgotten": transfer.forgotten,
    })
}

const fn way_label(way: Way) -> &'static str {
    match way {
        Way::Downloaded => "downloaded",
        Way::Viewed => "viewed",
    }
}
