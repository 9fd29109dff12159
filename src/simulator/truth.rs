//! The oracle: what has really happened.
//!
//! **Invariants.** Counted where it happens, never derived from an answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{letter::Way, transfer::SimTransfer, world::World};

/// The whole truth, of each sender and each transfer.
pub(super) fn of_world(world: &World) -> Value {
    let mut transfers = vec![Map::new(); world.senders().len()];
    for transfer in &world.transfers {
        if let Some(own) = transfers.get_mut(transfer.sender) {
            own.insert(transfer.id.clone(), of_transfer(transfer));
        }
    }
    let verified = world.tokens.newest();
    let with_totals = world.senders().iter().zip(&world.totals).zip(transfers);
    let senders: Map<_, _> = with_totals
        .map(|((address, totals), transfers)| {
            let verified_until = verified.get(address.to_lowercase().as_str());
            let told = json!({
                "totals": totals,
                "verified_until": verified_until.copied().map(text),
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
