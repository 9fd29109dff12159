//! Which mails a transfer causes.
//!
//! **Invariants.** What the simulator sends by itself causes no mails. A mail
//! to an address that ends in `.invalid` cannot be delivered, and shows as a
//! failure if the status has one for it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    letter::{Letter, PasswordMode, SimRecipient, Switch},
    mailbox::Kind,
    transfer::{Happening, Origin, SimTransfer, Stage},
    world::World,
};

/// The host that no mail reaches (RFC 2606).
const NOWHERE: &str = ".invalid";

/// Sends the mails that `happening` causes.
pub(super) fn tell(world: &mut World, position: usize, happening: &Happening, at: Timestamp) {
    let transfer = world.transfers.get(position);
    let Some(transfer) = transfer.filter(|transfer| transfer.origin != Origin::Chance) else {
        return;
    };
    let switch = |switch| transfer.letter.has(switch);
    match happening {
        Happening::Entered(Stage::Active) => {
            let (recipients, sender) = (
                switch(Switch::SendRecipientNotification),
                switch(Switch::SendUploadSummary),
            );
            if recipients {
                invite(world, position, at);
            }
            if sender {
                sum_up(world, position, at);
            }
        }
        Happening::Entered(Stage::Failed) if switch(Switch::SendUploadSummary) => {
            sum_up(world, position, at);
        }
        Happening::Entered(stage) if stage.is_deleted() && switch(Switch::SendDownloadSummary) => {
            to_sender(world, position, Kind::DownloadSummary, at);
        }
        Happening::Retrieved { .. } if switch(Switch::SendDownloadNotifications) => {
            to_sender(world, position, Kind::DownloadNotification, at);
        }
        Happening::Retrieved { .. }
        | Happening::RecipientNotificationFailed(_)
        | Happening::SenderNotificationFailed
        | Happening::EmlFailed
        | Happening::FileRemoved { .. }
        | Happening::Entered(_)
        | Happening::Expired
        | Happening::Forgotten => {}
    }
}

/// Sends `kind` to the sender, who may not be reachable.
pub(super) fn to_sender(world: &mut World, position: usize, kind: Kind, at: Timestamp) {
    let Some(transfer) = world.transfers.get(position) else {
        return;
    };
    let sender = world.senders.get(transfer.sender);
    if let Some(to) = sender.filter(|to| !to.ends_with(NOWHERE)) {
        world.mailboxes.send(to, kind, at, base(transfer));
    }
}

/// Sends `kind` to every recipient who can be reached.
pub(super) fn to_recipients(world: &mut World, position: usize, kind: Kind, at: Timestamp) {
    let Some(transfer) = world.transfers.get(position) else {
        return;
    };
    let reached = transfer
        .recipients
        .iter()
        .filter(|r| !r.mail.ends_with(NOWHERE));
    for recipient in reached {
        world
            .mailboxes
            .send(&recipient.mail, kind, at, base(transfer));
    }
}

fn invite(world: &mut World, position: usize, at: Timestamp) {
    let mut failed = Vec::new();
    let Some(transfer) = world.transfers.get(position) else {
        return;
    };
    for (n, recipient) in transfer.recipients.iter().enumerate() {
        if recipient.mail.ends_with(NOWHERE) {
            failed.push(n);
            continue;
        }
        let mut mail = base(transfer);
        mail.insert("transferId".to_owned(), json!(recipient.id));
        let url = download_url(&world.base_url, &transfer.letter, recipient);
        mail.insert("downloadUrl".to_owned(), json!(url));
        let kind = Kind::RecipientNotification;
        world.mailboxes.send(&recipient.mail, kind, at, mail);
    }
    for n in failed {
        drop(world.happen(position, &Happening::RecipientNotificationFailed(n), at));
    }
}

fn sum_up(world: &mut World, position: usize, at: Timestamp) {
    let transfer = world.transfers.get(position);
    let sender = transfer.and_then(|transfer| world.senders.get(transfer.sender));
    if sender.is_some_and(|to| to.ends_with(NOWHERE)) {
        drop(world.happen(position, &Happening::SenderNotificationFailed, at));
    }
    to_sender(world, position, Kind::UploadSummary, at);
}

/// Where a person fetches the files, with the password only where none is
/// asked for (contract 4.1).
pub(super) fn download_url(base_url: &str, letter: &Letter, recipient: &SimRecipient) -> String {
    let url = format!("{base_url}/download?id={}", recipient.id);
    if letter.mode == PasswordMode::Unasked {
        format!("{url}&password={}", recipient.password)
    } else {
        url
    }
}

/// What every mail about a transfer tells.
fn base(transfer: &SimTransfer) -> Map<String, Value> {
    let letter = &transfer.letter;
    let told = [
        ("trackingId", json!(transfer.id)),
        ("subject", json!(letter.subject)),
        ("body", json!(letter.body)),
    ];
    let message = letter.revocation.as_ref();
    let message = message.map(|message| ("message", json!(message)));
    let told = told.into_iter().chain(message);
    told.map(|(name, value)| (name.to_owned(), value)).collect()
}
