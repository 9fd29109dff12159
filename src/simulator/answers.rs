//! The JSON of the answers, written from the contract, sections 3 to 5.
//!
//! **Invariants.** Every member the contract names is there; lists inside an
//! answer are shuffled at each answer, since their order means nothing.

use jiff::{Timestamp, tz::Offset};
use rand::{rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use super::{
    bulk,
    letter::{Content, Kind, Letter, PasswordMode, Security, SimFile, SimRecipient, Switch, Way},
    post,
    quirk::{Quirk, Quirks},
    scan,
    transfer::{SimTransfer, Stage},
};

/// What an answer needs beside the transfer.
pub(super) struct Frame<'a> {
    pub(super) viewer: Viewer<'a>,
    pub(super) base_url: &'a str,
    pub(super) reader: &'a Reader,
    pub(super) quirks: &'a Quirks,
    pub(super) dice: &'a mut StdRng,
}

/// How an answer was asked for.
#[derive(Debug)]
pub(super) struct Reader {
    /// The language of what people read.
    pub(super) language: &'static str,
    pub(super) token: Option<String>,
    /// The general parameters as a query.
    pub(super) query: String,
}

/// For whom an answer is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Viewer<'a> {
    /// The sender, with the address as it was asked for.
    Sender(&'a str),
    /// One of the recipients, who sees neither the others nor what would open
    /// the transfer (contract 5.2).
    Recipient { address: &'a str, sender: &'a str },
}

impl Viewer<'_> {
    /// The address of the transfer's sender.
    fn sender(&self) -> &str {
        match self {
            Self::Sender(sender) | Self::Recipient { sender, .. } => sender,
        }
    }

    fn sees(&self, recipient: &SimRecipient) -> bool {
        match self {
            Self::Sender(_) => true,
            Self::Recipient { address, .. } => recipient.mail.eq_ignore_ascii_case(address),
        }
    }
}

impl Frame<'_> {
    /// `data` of Transfer Status.
    pub(super) fn status(&mut self, transfer: &SimTransfer) -> Value {
        let viewer = self.viewer;
        let seen = transfer.recipients.iter().filter(|r| viewer.sees(r));
        let recipients = seen.map(|r| self.recipient_status(transfer, r)).collect();
        let file = |file| file_status(file, self.reader.language);
        let files = transfer.files.iter().map(file).collect();
        json!({
            "transfer": self.session(transfer),
            "status": {
                "state": self.word(transfer.stage.word()),
                "warnings": transfer.warns(),
                "emlCreationFailed": transfer.eml_failed,
                "sender": {
                    "email": self.viewer.sender(),
                    "notificationFailed": transfer.sender_notification_failed,
                },
                "files": self.status_list(transfer, files),
                "recipients": self.status_list(transfer, recipients),
            },
        })
    }

    /// One item of the 1.8 list, its recipients in the short form.
    pub(super) fn list_item(&mut self, transfer: &SimTransfer) -> Value {
        let is_full = self.shows(Quirk::FullListRecipients);
        let recipient = |recipient: &SimRecipient| {
            if is_full {
                return self.recipient_status(transfer, recipient);
            }
            json!({"mail": recipient.mail, "id": recipient.id})
        };
        let recipients = transfer.recipients.iter().map(recipient).collect();
        json!({
            "trackingId": transfer.id,
            "state": self.word(transfer.stage.word()),
            "recipients": self.status_list(transfer, recipients),
            "href": format!("/api/users/{}/transfers/{}", self.viewer.sender(), transfer.id),
        })
    }

    /// One item of `sent-` or `received-transfers` with all its members: the
    /// status and the id (contract 5.2).
    pub(super) fn item(&mut self, transfer: &SimTransfer) -> Value {
        let mut item = self.status(transfer);
        if let Some(members) = item.as_object_mut() {
            members.insert("trackingId".to_owned(), json!(transfer.id));
        }
        if matches!(self.viewer, Viewer::Recipient { .. }) {
            bulk::strip(&mut item);
        }
        if self.shows(Quirk::BulkWithoutLists) {
            bulk::thin(&mut item);
        }
        item
    }

    /// `data.transfer`: the session's fields (contract 4.2).
    pub(super) fn session(&mut self, transfer: &SimTransfer) -> Value {
        let letter = &transfer.letter;
        let recipients = self.recipients(transfer);
        let file = |file| self.session_file(transfer, file);
        let files = transfer.files.iter().map(file).collect();
        let is_over = transfer.stage.is_deleted();
        let mut session = json!({
            "sender": {"name": letter.sender_name, "phone": letter.sender_phone},
            "recipients": recipients,
            "files": self.list(transfer, files),
            "fileChecksumAlgorithm": self.algorithm(&letter.algorithm),
            "expirationDate": self.expiration(transfer.expires_at),
            "securityMode": security(letter),
            "notificationMessage": {
                "subject": letter.subject.as_ref().filter(|_| !is_over),
                "body": letter.body,
            },
            "senderLanguage": letter.sender_language,
            "recipientLanguage": letter.recipient_language,
            "classificationId": letter.classification,
            "confidentialMessageFileId": letter.message_file,
        });
        if let Some(members) = session.as_object_mut() {
            let switches = Switch::ALL.map(|switch| (switch.word(), letter.has(switch)));
            members.extend(switches.map(|(name, is_on)| (name.to_owned(), json!(is_on))));
        }
        session
    }

    fn recipients(&mut self, transfer: &SimTransfer) -> Value {
        let viewer = self.viewer;
        let own = |kind| {
            let seen = transfer.recipients.iter().filter(|r| viewer.sees(r));
            let own = seen.filter(|recipient| recipient.kind == kind);
            let own = own.map(|recipient| json!({"mail": recipient.mail}));
            (kind.word().to_owned(), self.list(transfer, own.collect()))
        };
        Value::Object(Kind::ALL.map(own).into_iter().collect())
    }

    fn session_file(&self, transfer: &SimTransfer, file: &SimFile) -> Value {
        let is_removed = file.removed.is_some();
        let state = match (is_removed, transfer.stage) {
            (true, _) => "REMOVED",
            (false, _) if file.content == Content::Awaited => "INITIALIZED",
            (false, Stage::Pending | Stage::Processing) => "UPLOADED",
            (false, _) => "ACTIVE",
        };
        let path = format!(
            "/api/users/{}/transfer-sessions/{}/files/{}",
            self.viewer.sender(),
            transfer.id,
            file.id,
        );
        let href = format!("{path}?{}", self.reader.query);
        json!({
            "id": file.id,
            "fileName": file.name,
            "size": file.size,
            "checksum": file.checksum,
            "state": state,
            "href": (!is_removed).then_some(href),
        })
    }

    fn recipient_status(&mut self, transfer: &SimTransfer, recipient: &SimRecipient) -> Value {
        let without_removed = self.shows(Quirk::RemovedFilesUnlisted);
        let files = transfer.files.iter().enumerate();
        let files = files.filter(|(_, file)| !without_removed || file.removed.is_none());
        let downloads = files.map(|(index, file)| {
            let of_file = recipient.retrievals.iter().filter(|(at, ..)| *at == index);
            let entries = of_file
                .map(|(_, way, at)| self.retrieval(*way, *at))
                .collect();
            json!({"id": file.id, "downloads": self.list(transfer, entries)})
        });
        let downloads = downloads.collect();
        json!({
            "mail": recipient.mail,
            "id": recipient.id,
            "downloadUrl": self.download_url(transfer, recipient),
            "notificationFailed": recipient.notification_failed,
            "fileDownloads": self.list(transfer, downloads),
        })
    }

    /// The address of the download. Where no password is asked for it holds one,
    /// and only the token that the transfer was finalized with gets to see it
    /// (contract, section 4).
    fn download_url(&mut self, transfer: &SimTransfer, recipient: &SimRecipient) -> Option<String> {
        let letter = &transfer.letter;
        let is_told = letter.mode != PasswordMode::Unasked
            || (self.reader.token.is_some() && self.reader.token == transfer.sent_with)
            || self.shows(Quirk::UrlsForAnyToken);
        is_told.then(|| post::download_url(self.base_url, letter, recipient))
    }

    /// A list in any order, or null where that is the quirk. Once a transfer
    /// has ended its lists are told: nothing would bring them back.
    fn list(&mut self, transfer: &SimTransfer, mut items: Vec<Value>) -> Value {
        if transfer.stage.lives() && self.shows(Quirk::NullLists) {
            return Value::Null;
        }
        items.shuffle(self.dice);
        Value::Array(items)
    }

    /// The same for what is told of the status, which may have nothing in it
    /// before processing has ended.
    fn status_list(&mut self, transfer: &SimTransfer, mut items: Vec<Value>) -> Value {
        if transfer.stage == Stage::Processing && self.shows(Quirk::EmptyWhileProcessing) {
            items.clear();
        }
        self.list(transfer, items)
    }

    /// Whether `quirk` shows this time.
    fn shows(&mut self, quirk: Quirk) -> bool {
        self.quirks.shows(quirk, self.dice)
    }

    fn retrieval(&mut self, way: Way, at: Timestamp) -> Value {
        json!({"downloadDate": self.date(at), "retrievalMethod": self.word(way.word())})
    }

    /// A word of an enum, in the casing of the server.
    fn word(&mut self, word: &str) -> String {
        let mut letters = word.chars();
        if self.shows(Quirk::LowerWords) {
            return word.to_lowercase();
        }
        match letters
            .next()
            .filter(|_| self.shows(Quirk::CapitalizedWords))
        {
            Some(first) => format!("{first}{}", letters.as_str().to_lowercase()),
            None => word.to_owned(),
        }
    }

    fn date(&mut self, at: Timestamp) -> String {
        if self.shows(Quirk::DatesInUtc) {
            return format!("{at:.0}");
        }
        let local = Offset::constant(2).to_datetime(at);
        if self.shows(Quirk::DatesWithFraction) {
            return format!("{local:.3}+02:00");
        }
        if self.shows(Quirk::DatesWithCompactZone) {
            return format!("{local:.0}+0200");
        }
        date(at)
    }

    fn expiration(&mut self, at: Timestamp) -> Option<String> {
        (!self.shows(Quirk::NullExpiration)).then(|| self.date(at))
    }

    fn algorithm(&mut self, name: &str) -> String {
        if self.shows(Quirk::DashedAlgorithm) {
            return name.replacen("SHA", "SHA-", 1).replace("--", "-");
        }
        name.to_owned()
    }
}

/// The mode, and for one-time passwords who has chosen them.
fn security(letter: &Letter) -> Value {
    let config = match letter.security {
        Security::OneTimePassword => {
            json!({"passwordMode": letter.mode.word(), "password": letter.password})
        }
        Security::Quick | Security::Eid => Value::Null,
    };
    json!({"name": letter.security.word(), "config": config})
}

/// The cause in the language that was asked for, as far as the server has it.
fn file_status(file: &SimFile, language: &str) -> Value {
    let cause = file.removed.as_deref();
    let cause = cause.map(|cause| scan::in_language(cause, language));
    json!({
        "id": file.id,
        "removed": file.removed.is_some(),
        "removalCause": cause,
    })
}

/// `2020-10-09T11:51:46+02:00` (contract 4.3).
pub(super) fn date(at: Timestamp) -> String {
    let summer = Offset::constant(2);
    let local = summer.to_datetime(at);
    format!("{local:.0}+02:00")
}
