//! The mails that the server has sent, for whoever has no mail server.
//!
//! **Invariants.** Oldest first; a box keeps its newest mails.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// More than a test reads, and little to remember.
const MOST: usize = 1_000;

/// By address in lower case.
#[derive(Debug, Default)]
pub(super) struct Mailboxes(HashMap<String, Vec<Value>>);

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Verification,
    RecipientNotification,
    UploadSummary,
    DownloadNotification,
    DownloadSummary,
    Revocation,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::RecipientNotification => "recipient_notification",
            Self::UploadSummary => "upload_summary",
            Self::DownloadNotification => "download_notification",
            Self::DownloadSummary => "download_summary",
            Self::Revocation => "revocation",
        }
    }
}

impl Mailboxes {
    /// Sends a mail that tells `more` beside what each tells.
    pub(super) fn send(&mut self, to: &str, kind: Kind, at: Timestamp, more: Map<String, Value>) {
        let mut mail = more;
        mail.insert("to".to_owned(), json!(to));
        mail.insert("kind".to_owned(), json!(kind.word()));
        mail.insert("date".to_owned(), json!(format!("{at:.0}")));
        let mails = self.0.entry(to.to_lowercase()).or_default();
        mails.push(Value::Object(mail));
        mails.drain(..mails.len().saturating_sub(MOST));
    }

    /// The mails to `address`, oldest first.
    pub(super) fn of(&self, address: &str) -> &[Value] {
        let mails = self.0.get(&address.to_lowercase());
        mails.map_or(&[], Vec::as_slice)
    }
}
