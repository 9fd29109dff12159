//! What is remembered of one transfer.
//!
//! A record keeps two kinds of things. *Marks* only ever rise: the largest
//! number of retrievals seen for each recipient, file and method, failures and
//! removals as sticky bits, the states passed. The *told* values are the last
//! ones the server told, for gauges.
//!
//! **Invariants.** Marks change in [`super::lifecycle::merge`] alone, and never
//! fall.

use jiff::Timestamp;

use super::{
    by_id::ById,
    state::{Method, State, States},
};

/// The memory of one transfer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The values last told.
    pub told: Told,
    /// The states the transfer is known to have passed.
    pub passed: States,
    /// The last life-cycle word seen.
    pub state: Option<State>,
    /// The first life-cycle word seen.
    pub first_state: Option<State>,
    /// Its processing, once it was seen.
    pub processing: Option<Processing>,
    /// When the transfer was first seen in a final state.
    pub ended_at: Option<Timestamp>,
    /// By recipient id.
    pub recipients: ById<RecipientMark>,
    /// By file id.
    pub files: ById<FileMark>,
    /// The upload summary could not be sent.
    pub sender_notification_failed: bool,
    /// The confidential message could not be created.
    pub eml_creation_failed: bool,
    /// The end has been judged: retrieved, or not retrieved by anyone.
    pub end_judged: bool,
    /// The newest `downloadDate` seen.
    pub last_retrieval: Option<Timestamp>,
}

/// The values last told; `None` where the server never told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// `status.warnings`.
    pub warnings: Option<bool>,
    /// `status.emlCreationFailed`.
    pub eml_creation_failed: Option<bool>,
    /// `status.sender.notificationFailed`.
    pub sender_notification_failed: Option<bool>,
    /// How many entries `status.files[]` has.
    pub files: Option<u64>,
    /// How many of them are removed.
    pub files_removed: Option<u64>,
    /// How many entries `status.recipients[]` has.
    pub recipients: Option<u64>,
    /// How many of them have `notificationFailed`.
    pub notifications_failed: Option<u64>,
    /// `transfer.expirationDate`.
    pub expires_at: Option<Timestamp>,
    /// The sum of `transfer.files[].size`.
    pub size_bytes: Option<u64>,
    /// Whether any reading told the retrievals.
    pub retrievals: bool,
}

/// The processing of a transfer, as our reads saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processing {
    /// When the transfer was first seen processing.
    pub since: Timestamp,
    /// How long it took has been told.
    pub is_told: bool,
}

/// What is remembered of one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientMark {
    /// The mail to this recipient has failed once.
    pub notification_failed: bool,
    /// `notificationFailed` as it was last told.
    pub notification_told: Option<bool>,
    /// By the id of each file that was retrieved: the largest number of entries
    /// seen in one reading.
    pub retrievals: ById<Tally>,
}

impl RecipientMark {
    /// Whether this recipient has retrieved anything.
    pub fn has_retrieved(&self) -> bool {
        self.retrievals.values().any(|tally| tally.total() > 0)
    }

    /// All retrievals of all files, by method.
    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for tally in self.retrievals.values() {
            sum.add_all(*tally);
        }
        sum
    }
}

/// What is remembered of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileMark {
    /// The server has taken the file out of the transfer.
    pub removed: bool,
}

/// Retrievals by method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    downloaded: u64,
    viewed: u64,
    other: u64,
}

impl Tally {
    /// The number of retrievals by `method`.
    pub const fn get(self, method: Method) -> u64 {
        match method {
            Method::Downloaded => self.downloaded,
            Method::Viewed => self.viewed,
            Method::Other => self.other,
        }
    }

    /// Counts `times` more retrievals by `method`.
    pub const fn add(&mut self, method: Method, times: u64) {
        let field = self.field(method);
        *field = field.saturating_add(times);
    }

    /// Counts all retrievals of `other`, too.
    pub fn add_all(&mut self, other: Self) {
        for method in Method::ALL {
            self.add(method, other.get(method));
        }
    }

    /// Raises the number for `method` to `count`; the answer is by how much.
    pub fn raise(&mut self, method: Method, count: u64) -> u64 {
        let field = self.field(method);
        let risen = count.saturating_sub(*field);
        *field = (*field).max(count);
        risen
    }

    /// What is left without `other`.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self {
            downloaded: self.downloaded.saturating_sub(other.downloaded),
            viewed: self.viewed.saturating_sub(other.viewed),
            other: self.other.saturating_sub(other.other),
        }
    }

    /// All retrievals.
    pub const fn total(self) -> u64 {
        self.downloaded
            .saturating_add(self.viewed)
            .saturating_add(self.other)
    }

    const fn field(&mut self, method: Method) -> &mut u64 {
        match method {
            Method::Downloaded => &mut self.downloaded,
            Method::Viewed => &mut self.viewed,
            Method::Other => &mut self.other,
        }
    }
}

/// What of a record can change without an event, to see whether it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    told: Told,
    passed: States,
    states: (Option<State>, Option<State>),
    processing: Option<Processing>,
    times: (Option<Timestamp>, Option<Timestamp>),
    end_judged: bool,
    sizes: (usize, usize),
    /// Of what was last told of each recipient's notification.
    notifications: u64,
}

impl Record {
    /// The outline: two records with one outline, between which no event
    /// happened, are the same.
    pub fn outline(&self) -> Outline {
        Outline {
            told: self.told,
            passed: self.passed,
            states: (self.state, self.first_state),
            processing: self.processing,
            times: (self.ended_at, self.last_retrieval),
            end_judged: self.end_judged,
            sizes: (self.recipients.count(), self.files.count()),
            notifications: self.notifications(),
        }
    }

    /// A digest of `notificationFailed` of all recipients: two may change places
    /// while the number of failures stays.
    fn notifications(&self) -> u64 {
        let told = self.recipients.values().map(|mark| mark.notification_told);
        told.fold(0, |digest: u64, told| {
            let digit = told.map_or(0, |failed| 1 + u64::from(failed));
            digest.wrapping_mul(31).wrapping_add(digit)
        })
    }

    /// All retrievals of all files by all recipients, by method.
    pub fn retrievals(&self) -> Tally {
        let mut sum = Tally::default();
        for recipient in self.recipients.values() {
            sum.add_all(recipient.tally());
        }
        sum
    }

    /// Whether any recipient has retrieved something. Where a date of it is
    /// known, nobody needs to be asked.
    pub fn is_retrieved(&self) -> bool {
        let mut recipients = self.recipients.values();
        self.last_retrieval.is_some() || recipients.any(RecipientMark::has_retrieved)
    }

    /// How many recipients have retrieved something.
    pub fn recipients_retrieved(&self) -> usize {
        let retrieved = |r: &&RecipientMark| r.has_retrieved();
        self.recipients.values().filter(retrieved).count()
    }

    /// Whether the last known state is final.
    pub fn has_ended(&self) -> bool {
        self.state.is_some_and(State::is_final)
    }

    /// Whether the server warns, or tells any of the four causes of a warning.
    pub fn has_warning(&self) -> bool {
        let any = |count: Option<u64>| count.is_some_and(|n| n > 0);
        self.told.warnings == Some(true)
            || self.told.eml_creation_failed == Some(true)
            || self.told.sender_notification_failed == Some(true)
            || any(self.told.files_removed)
            || any(self.told.notifications_failed)
    }
}
