//! What a transfer consists of: recipients, files, and what the sender wrote
//! and chose (contract 4.2).
//!
//! **Invariants.** Plain data; what may become of it is the transfer's to say.

use bytes::Bytes;
use jiff::Timestamp;

/// How a recipient is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    To,
    Cc,
    Bcc,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::To, Self::Cc, Self::Bcc];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::Cc => "cc",
            Self::Bcc => "bcc",
        }
    }
}

/// How a file was retrieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Downloaded,
    Viewed,
    /// A word that no client knows.
    Printed,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Downloaded, Self::Viewed, Self::Printed];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Downloaded => "DOWNLOADED",
            Self::Viewed => "VIEWED",
            Self::Printed => "PRINTED",
        }
    }

    /// What a client should call it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Downloaded => "downloaded",
            Self::Viewed => "viewed",
            Self::Printed => "other",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct SimRecipient {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) mail: String,
    /// What the download URL carries where no password is asked for.
    pub(super) password: String,
    pub(super) notification_failed: bool,
    /// File index, way and date of each retrieval.
    pub(super) retrievals: Vec<(usize, Way, Timestamp)>,
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nobody has sent any: they are made up when they are asked for.
    MadeUp,
    /// They are still to be uploaded.
    Awaited,
    Uploaded(Bytes),
}

#[derive(Debug, Clone)]
pub(super) struct SimFile {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) size: u64,
    /// In hexadecimal digits, as the sender told it.
    pub(super) checksum: Option<String>,
    pub(super) content: Content,
    pub(super) removed: Option<String>,
}

impl SimFile {
    /// Forgets the bytes.
    pub(super) fn clear(&mut self) {
        if matches!(self.content, Content::Uploaded(_)) {
            self.content = Content::Uploaded(Bytes::new());
        }
    }
}

/// Whether a recipient needs a password, and who has chosen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PasswordMode {
    Unasked,
    Generated,
    Manual,
}

impl PasswordMode {
    pub(super) const ALL: [Self; 3] = [Self::Unasked, Self::Generated, Self::Manual];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Unasked => "NONE",
            Self::Generated => "GENERATED",
            Self::Manual => "MANUAL",
        }
    }
}

/// How the transfer is secured (contract 1.3 names the last two).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    OneTimePassword,
    Quick,
    Eid,
}

impl Security {
    pub(super) const ALL: [Self; 3] = [Self::OneTimePassword, Self::Quick, Self::Eid];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::OneTimePassword => "ONE_TIME_PASSWORD",
            Self::Quick => "QUICK",
            Self::Eid => "EID",
        }
    }
}

/// The switches of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    ShowFileNames,
    ShowZipFileContent,
    SendDownloadNotifications,
    SendDownloadSummary,
    SendRecipientNotification,
    SendUploadSummary,
}

impl Switch {
    pub(super) const ALL: [Self; 6] = [
        Self::ShowFileNames,
        Self::ShowZipFileContent,
        Self::SendDownloadNotifications,
        Self::SendDownloadSummary,
        Self::SendRecipientNotification,
        Self::SendUploadSummary,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::ShowFileNames => "showFileNames",
            Self::ShowZipFileContent => "showZipFileContent",
            Self::SendDownloadNotifications => "sendDownloadNotifications",
            Self::SendDownloadSummary => "sendDownloadSummary",
            Self::SendRecipientNotification => "sendRecipientNotification",
            Self::SendUploadSummary => "sendUploadSummary",
        }
    }
}

/// What the sender wrote and chose.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) sender_name: String,
    pub(super) sender_phone: String,
    pub(super) subject: Option<String>,
    pub(super) body: Option<String>,
    pub(super) security: Security,
    pub(super) mode: PasswordMode,
    pub(super) password: Option<String>,
    pub(super) sender_language: String,
    pub(super) recipient_language: String,
    /// The switches that are on.
    pub(super) switches: Vec<Switch>,
    pub(super) classification: Option<String>,
    /// The file that is the confidential message.
    pub(super) message_file: Option<String>,
    pub(super) algorithm: String,
    /// What the sender says of a revocation.
    pub(super) revocation: Option<String>,
}

impl Letter {
    pub(super) fn has(&self, switch: Switch) -> bool {
        self.switches.contains(&switch)
    }

    pub(super) fn set(&mut self, switch: Switch, is_on: bool) {
        self.switches.retain(|on| *on != switch);
        if is_on {
            self.switches.push(switch);
        }
    }
}
