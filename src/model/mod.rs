//! The language of transfers: what an answer says, what is remembered of it,
//! and what happened between two of them.
//!
//! A [`Transfer`] is one reading. Members that the server may leave out are
//! `Option`: `None` means *not told*, never zero and never empty (contract,
//! section 8, rows 9 and 12). [`lifecycle::merge`] folds readings into a
//! [`Record`] and says what happened as [`Event`]s.
//!
//! **Invariants.** Pure: no I/O, no clock, no serialization; nothing here knows
//! REST, Prometheus or the disk.

pub mod by_id;
pub mod identity;
pub mod lifecycle;
pub mod record;
pub mod scope;
pub mod state;

use std::fmt;

use jiff::Timestamp;

pub use by_id::ById;
pub use identity::{InvalidTrackingId, SenderId, TrackingId};
pub use lifecycle::{Event, merge};
pub use record::Record;
pub use scope::{Discover, Scope, View};
pub use state::{Concern, Method, Reason, State};

/// What one answer of the server told about one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The transfer's tracking id.
    pub id: TrackingId,
    /// `status.state`.
    pub state: Option<State>,
    /// `status.warnings`.
    pub warnings: Option<bool>,
    /// `status.emlCreationFailed`.
    pub eml_creation_failed: Option<bool>,
    /// `status.sender.notificationFailed`.
    pub sender_notification_failed: Option<bool>,
    /// `status.files[]`.
    pub files: Option<Vec<File>>,
    /// `status.recipients[]`.
    pub recipients: Option<Vec<Recipient>>,
    /// `transfer.expirationDate`; a date that cannot be read is not told.
    pub expires_at: Option<Timestamp>,
    /// The sum of `transfer.files[].size` in bytes, removed files included;
    /// not told unless every size is.
    pub size_bytes: Option<u64>,
}

impl Transfer {
    /// Whether the lists are told: a reading without them is no last word, and
    /// no beginning either.
    pub const fn tells_lists(&self) -> bool {
        self.recipients.is_some() && self.files.is_some()
    }

    /// Whether everything that can still change is told, so that a single read
    /// would tell no more.
    pub fn is_whole(&self) -> bool {
        let is_told = |recipient: &Recipient| {
            let downloads = recipient.downloads.as_ref();
            let lists = downloads.is_some_and(|d| d.iter().all(|of| of.retrievals.is_some()));
            lists && recipient.notification_failed.is_some()
        };
        let recipients = self.recipients.as_ref();
        self.state.is_some()
            && self.warnings.is_some()
            && self.eml_creation_failed.is_some()
            && self.sender_notification_failed.is_some()
            && self.files.is_some()
            && recipients.is_some_and(|recipients| recipients.iter().all(is_told))
    }

    /// A reading that tells nothing but the id.
    pub fn untold(id: TrackingId) -> Self {
        Self {
            id,
            state: None,
            warnings: None,
            eml_creation_failed: None,
            sender_notification_failed: None,
            files: None,
            recipients: None,
            expires_at: None,
            size_bytes: None,
        }
    }
}

/// One entry of `status.files[]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The file's id.
    pub id: Box<str>,
    /// Whether the server took the file out of the transfer.
    pub removed: Option<bool>,
    /// Why, in the language asked for; free text for humans.
    pub removal_cause: Option<Box<str>>,
}

/// One entry of `status.recipients[]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The recipient's transfer id.
    pub id: Box<str>,
    /// `mail`: the address. It is personal data: no record keeps it, and it is
    /// in no log above debug.
    pub mail: Option<Box<str>>,
    /// Whether the mail to this recipient could not be sent.
    pub notification_failed: Option<bool>,
    /// `fileDownloads[]`.
    pub downloads: Option<Vec<FileDownloads>>,
}

/// Addresses are personal data, so a recipient shows only its id.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient")
            .field("id", &self.id)
            .field("notification_failed", &self.notification_failed)
            .field("downloads", &self.downloads)
            .finish_non_exhaustive()
    }
}

/// What one recipient has retrieved of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDownloads {
    /// The file's id.
    pub file: Box<str>,
    /// One entry for each retrieval; `None` if the list was not told.
    pub retrievals: Option<Vec<Retrieval>>,
}

/// One retrieval: a download, or a view in the Web App's content viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retrieval {
    /// `downloadDate`; a bad date does not void its retrieval.
    pub at: Option<Timestamp>,
    /// `retrievalMethod`.
    pub method: Method,
}

/// What the poller learned, in the order in which it learned it.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Whom it concerns.
    pub sender: SenderId,
    /// When the answer came.
    pub at: Timestamp,
    /// What was learned.
    pub finding: Finding,
}

/// The content of an [`Observation`].
#[derive(Debug, Clone)]
pub enum Finding {
    /// A page of a listing.
    Seen(Vec<Transfer>),
    /// The end of a listing: these are all transfers of the scope that the
    /// server lists.
    Listed {
        /// The transfers.
        ids: Vec<TrackingId>,
        /// When it ended: by the server's clock or ours, whichever is behind. If
        /// one of them is wrong, what is new is not taken for old.
        ended: Timestamp,
        /// The scope of the listing: the one that is watched now may be another.
        scope: Scope,
    },
    /// A single reading of one transfer.
    Inspected(Transfer),
    /// The server no longer knows the transfer (404 with code 2003).
    Gone(TrackingId),
    /// A round of the sender is over.
    RoundEnded(Round),
}

/// The outcome of a round: a listing and the single reads that were due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Why the round could not talk to the server, if it could not.
    pub failure: Option<Reason>,
    /// The server's clock minus ours, in seconds, as far as it is known.
    pub clock_offset: Option<f64>,
    /// Until when the sender's verification token is valid, if it holds one.
    pub verified_until: Verification,
}

/// Whether the sender may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Not known yet: the server has not been reached.
    Unknown,
    /// The sender holds no valid token.
    Missing,
    /// The sender holds a valid token.
    Valid {
        /// `validUntil`, if the server told it.
        until: Option<Timestamp>,
        /// It ends soon, and nobody but a human can renew it.
        needs_human: bool,
    },
}
