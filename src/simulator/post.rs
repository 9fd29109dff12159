//! Which mails a transfer causes.
//!
//! **Invariants.** What the simulator sends by itself causes no mails. A mail
//! to an address that ends in `.invalid` cannot be delivered, and shows as a
//! failure if the status has one for it.

use serde_json::{Map, Value, json};

use super::{
    letter::{Letter, PasswordMode, SimRecipient, Switch},
    mailbox::Kind,
    transfer::{Happening, Origin, SimTransfer, Stage},
};

/// The host that no mail reaches (RFC 2606).
const NOWHERE: &str = ".invalid";

/// What the post does.
#[derive(Debug)]
pub(super) enum Delivery {
    /// A mail arrives.
    Mail {
        to: String,
        kind: Kind,
        text: Map<String, Value>,
    },
    /// Nobody is reached, which shows.
    Failure(Happening),
}

/// The mails about one transfer.
pub(super) struct Post<'a> {
    pub(super) transfer: &'a SimTransfer,
    /// The sender's address.
    pub(super) sender: &'a str,
    pub(super) base_url: &'a str,
}

impl Post<'_> {
    /// What `happening` causes.
    pub(super) fn after(&self, happening: &Happening) -> Vec<Delivery> {
        if self.transfer.origin == Origin::Chance {
            return Vec::new();
        }
        let switch = |switch| self.transfer.letter.has(switch);
        match happening {
            Happening::Entered(Stage::Active) => {
                let mut all = Vec::new();
                if switch(Switch::SendRecipientNotification) {
                    all.extend(self.invitations());
                }
                if switch(Switch::SendUploadSummary) {
                    all.extend(self.summary());
                }
                all
            }
            Happening::Entered(Stage::Failed) if switch(Switch::SendUploadSummary) => {
                self.summary()
            }
            Happening::Entered(stage)
                if stage.is_deleted() && switch(Switch::SendDownloadSummary) =>
            {
                self.to_sender(Kind::DownloadSummary)
            }
            Happening::Retrieved { .. } if switch(Switch::SendDownloadNotifications) => {
                self.to_sender(Kind::DownloadNotification)
            }
            Happening::Retrieved { .. }
            | Happening::RecipientNotificationFailed(_)
            | Happening::SenderNotificationFailed
            | Happening::EmlFailed
            | Happening::FileRemoved { .. }
            | Happening::Entered(_)
            | Happening::Expired
            | Happening::Forgotten => Vec::new(),
        }
    }

    /// `kind` to the sender, who may not be reachable.
    pub(super) fn to_sender(&self, kind: Kind) -> Vec<Delivery> {
        let reached = Some(self.sender).filter(|to| !to.ends_with(NOWHERE));
        let mail = reached.map(|to| self.mail(to, kind));
        mail.into_iter().collect()
    }

    /// `kind` to every recipient who can be reached.
    pub(super) fn to_recipients(&self, kind: Kind) -> Vec<Delivery> {
        let all = self.transfer.recipients.iter();
        let reached = all.filter(|recipient| !recipient.mail.ends_with(NOWHERE));
        reached.map(|to| self.mail(&to.mail, kind)).collect()
    }

    fn mail(&self, to: &str, kind: Kind) -> Delivery {
        Delivery::Mail {
            to: to.to_owned(),
            kind,
            text: base(self.transfer),
        }
    }

    fn invitations(&self) -> impl Iterator<Item = Delivery> {
        let recipients = self.transfer.recipients.iter().enumerate();
        recipients.map(|(n, recipient)| {
            if recipient.mail.ends_with(NOWHERE) {
                return Delivery::Failure(Happening::RecipientNotificationFailed(n));
            }
            let url = download_url(self.base_url, &self.transfer.letter, recipient);
            let mut text = base(self.transfer);
            text.insert("transferId".to_owned(), json!(recipient.id));
            text.insert("downloadUrl".to_owned(), json!(url));
            Delivery::Mail {
                to: recipient.mail.clone(),
                kind: Kind::RecipientNotification,
                text,
            }
        })
    }

    fn summary(&self) -> Vec<Delivery> {
        if self.sender.ends_with(NOWHERE) {
            return vec![Delivery::Failure(Happening::SenderNotificationFailed)];
        }
        self.to_sender(Kind::UploadSummary)
    }
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
