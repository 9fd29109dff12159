//! The oracle: what has really happened.
//!
//! **Invariants.** Counted where it happens, never derived from an answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    transfer::{Happening, SimTransfer, Stage, Way},
    world::World,
};

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

/// The whole truth, of each sender and each transfer.
pub(super) fn of_world(world: &World) -> Value {
    let mut transfers = vec![Map::new(); world.senders().len()];
    for transfer in &world.transfers {
        if let Some(own) = transfers.get_mut(transfer.sender) {
            own.insert(transfer.id.clone(), of_transfer(transfer));
        }
    }
    let with_totals = world.senders().iter().zip(&world.totals).zip(transfers);
    let senders: Map<_, _> = with_totals
        .map(|((address, totals), transfers)| {
            let verified_until = world.tokens.newest_of(address);
            let told = json!({
                "totals": totals,
                "verified_until": verified_until.map(text),
                "transfers": transfers,
            });
            (address.clone(), told)
        })
        .collect();
    json!({"now": text(world.now()), "totals": world.grand_totals, "senders": senders})
}

/// The totals alone: what a test asks for again and again.
pub(super) fn totals(world: &World) -> Value {
    let by_address = world.senders().iter().zip(&world.totals);
    let senders: BTreeMap<_, _> = by_address.collect();
    json!({"totals": world.grand_totals, "senders": senders})
}

fn of_transfer(transfer: &SimTransfer) -> Value {
    let failed = transfer.recipients.iter().filter(|r| r.notification_failed);
    let retrieved = transfer.recipients.iter();
    let retrieved = retrieved.filter(|r| !r.retrievals.is_empty());
    let removals: Vec<_> = transfer
        .files
        .iter()
        .filter_map(|file| Some(json!({"file": file.id, "cause": file.removed.as_ref()?})))
        .collect();
    let passed: Vec<_> = transfer.passed.iter().map(|stage| stage.label()).collect();
    let count = |way: Way| {
        transfer
            .retrievals()
            .filter(|(_, by, _)| *by == way)
            .count()
    };
    let retrievals: BTreeMap<_, _> = Way::ALL.map(|way| (way.label(), count(way))).into();
    json!({
        "state": transfer.stage.label(),
        "states_passed": passed,
        "retrievals": retrievals,
        "recipients_retrieved": retrieved.count(),
        "last_retrieval": transfer.retrievals().map(|(_, _, at)| *at).max().map(text),
        "failures": {
            "recipient_notification": failed.count(),
            "sender_notification": transfer.sender_notification_failed,
            "eml": transfer.eml_failed,
        },
        "warnings": transfer.warns(),
        "removals": removals,
        "files": transfer.files.len(),
        "recipients": transfer.recipients.len(),
        "size": transfer.files.iter().map(|file| file.size).sum::<u64>(),
        "expires_at": text(transfer.expires_at),
        "forgotten": transfer.forgotten,
    })
}

fn text(at: Timestamp) -> String {
    at.to_string()
}
