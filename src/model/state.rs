//! Closed vocabularies: life-cycle states, retrieval methods, failure reasons.
//!
//! **Invariants.** Every enum is closed and every label value comes from its
//! `label()`; an unknown wire word becomes `Other` and is never lost.

/// The life-cycle state of a transfer (`status.state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Finalized, not available yet.
    Processing,
    /// Available to its recipients, also between expiration and cleanup.
    Active,
    /// All files were removed during processing.
    Failed,
    /// Expired, and the cleanup task has run.
    DeletedByExpiration,
    /// Revoked by its sender.
    DeletedByRevocation,
    /// Deleted by an administrator in the transfer log.
    DeletedByAdmin,
    /// Deleted after too many wrong passwords.
    DeletedBySecurity,
    /// Sent with version 5.7.0 or older.
    Unknown,
    /// A session that is not finalized (only seen in lists).
    Pending,
    /// A word that this exporter does not know.
    Other,
}

impl State {
    /// Every state, in the order of the life-cycle.
    pub const ALL: [Self; 10] = [
        Self::Processing,
        Self::Active,
        Self::Failed,
        Self::DeletedByExpiration,
        Self::DeletedByRevocation,
        Self::DeletedByAdmin,
        Self::DeletedBySecurity,
        Self::Unknown,
        Self::Pending,
        Self::Other,
    ];

    /// The states in which an active transfer can end.
    pub const DELETED: [Self; 4] = [
        Self::DeletedByExpiration,
        Self::DeletedByRevocation,
        Self::DeletedByAdmin,
        Self::DeletedBySecurity,
    ];

    /// The label value: the life-cycle word in lower case.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::DeletedByExpiration => "deleted_by_expiration",
            Self::DeletedByRevocation => "deleted_by_revocation",
            Self::DeletedByAdmin => "deleted_by_admin",
            Self::DeletedBySecurity => "deleted_by_security",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Other => "other",
        }
    }

    /// The state that `word` names in any casing (contract 4.4); `Other` for
    /// an unknown word.
    ///
    /// ```
    /// use cryptshare_exporter::model::State;
    ///
    /// assert_eq!(State::from_word("Deleted_by_admin"), State::DeletedByAdmin);
    /// assert_eq!(State::from_word("ARCHIVED"), State::Other);
    /// ```
    pub fn from_word(word: &str) -> Self {
        let known = |state: &Self| state.label().eq_ignore_ascii_case(word.trim());
        Self::ALL.into_iter().find(known).unwrap_or(Self::Other)
    }

    /// Whether no transition leaves this state (contract, section 7).
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Failed) || self.is_deleted()
    }

    /// Whether this is one of the four `deleted_by_*` states.
    pub const fn is_deleted(self) -> bool {
        matches!(
            self,
            Self::DeletedByExpiration
                | Self::DeletedByRevocation
                | Self::DeletedByAdmin
                | Self::DeletedBySecurity
        )
    }

    /// The states that being in this one proves to have been passed, itself
    /// last: `active` was `processing` before, a deleted one was both.
    pub const fn implied(self) -> &'static [Self] {
        match self {
            Self::Processing => &[Self::Processing],
            Self::Active => &[Self::Processing, Self::Active],
            Self::Failed => &[Self::Processing, Self::Failed],
            Self::DeletedByExpiration => {
                &[Self::Processing, Self::Active, Self::DeletedByExpiration]
            }
            Self::DeletedByRevocation => {
                &[Self::Processing, Self::Active, Self::DeletedByRevocation]
            }
            Self::DeletedByAdmin => &[Self::Processing, Self::Active, Self::DeletedByAdmin],
            Self::DeletedBySecurity => &[Self::Processing, Self::Active, Self::DeletedBySecurity],
            Self::Unknown => &[Self::Unknown],
            Self::Pending => &[Self::Pending],
            Self::Other => &[Self::Other],
        }
    }
}

/// A set of states; which ones a transfer has been seen or proven to pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct States(u16);

impl States {
    /// Adds `state`; `true` if it was not in the set.
    pub fn insert(&mut self, state: State) -> bool {
        let bit = Self::bit(state);
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Whether `state` is in the set.
    pub const fn contains(self, state: State) -> bool {
        self.0 & Self::bit(state) != 0
    }

    const fn bit(state: State) -> u16 {
        match state {
            State::Processing => 1,
            State::Active => 1 << 1,
            State::Failed => 1 << 2,
            State::DeletedByExpiration => 1 << 3,
            State::DeletedByRevocation => 1 << 4,
            State::DeletedByAdmin => 1 << 5,
            State::DeletedBySecurity => 1 << 6,
            State::Unknown => 1 << 7,
            State::Pending => 1 << 8,
            State::Other => 1 << 9,
        }
    }
}

/// How a file was retrieved (`retrievalMethod`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Downloaded.
    Downloaded,
    /// Viewed in the Web App's content viewer.
    Viewed,
    /// A word that this exporter does not know.
    Other,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Downloaded, Self::Viewed, Self::Other];

    /// The label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Downloaded => "downloaded",
            Self::Viewed => "viewed",
            Self::Other => "other",
        }
    }

    /// The method that `word` names in any casing; `Other` for an unknown one.
    pub fn from_word(word: &str) -> Self {
        let known = |method: &Self| method.label().eq_ignore_ascii_case(word.trim());
        Self::ALL.into_iter().find(known).unwrap_or(Self::Other)
    }
}

/// Why a request brought no answer that could be used. It alone drives retry,
/// log level, runbook and the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No connection, or one that was cut before or in a body.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// A deadline passed.
    Timeout,
    /// 401 that outlived one renewal of the token.
    Unauthorized,
    /// The renewal of the token was refused (403/3002).
    NotVerified,
    /// The REST API is not licensed (403/3001), or something forbids it and does
    /// not say why (403 without a code).
    NotLicensed,
    /// The server does not speak the requested version (404/2004 or 406).
    Version,
    /// Too many requests (429).
    Throttled,
    /// The transfer does not exist (404/2003).
    NotFound,
    /// The server rejected the request (any other 4xx).
    Rejected,
    /// The server answered with a redirect that is not followed.
    Redirected,
    /// The server failed (5xx).
    Server,
    /// The answer is not what the contract says.
    Malformed,
    /// The answer is larger than `max_response_bytes`.
    TooLarge,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::Unreachable,
        Self::Tls,
        Self::Timeout,
        Self::Unauthorized,
        Self::NotVerified,
        Self::NotLicensed,
        Self::Version,
        Self::Throttled,
        Self::NotFound,
        Self::Rejected,
        Self::Redirected,
        Self::Server,
        Self::Malformed,
        Self::TooLarge,
    ];

    /// The label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::NotVerified => "not_verified",
            Self::NotLicensed => "not_licensed",
            Self::Version => "version",
            Self::Throttled => "throttled",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Redirected => "redirected",
            Self::Server => "server",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
        }
    }

    /// Whom the failure concerns: it decides who is asked less.
    pub const fn concerns(self) -> Concern {
        match self {
            Self::Unreachable
            | Self::Tls
            | Self::Timeout
            | Self::NotLicensed
            | Self::Version
            | Self::Throttled
            | Self::Redirected
            | Self::Server => Concern::Server,
            Self::Unauthorized | Self::NotVerified => Concern::Sender,
            Self::NotFound | Self::Rejected | Self::Malformed | Self::TooLarge => Concern::Request,
        }
    }
}

/// Whom a failure concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Everybody who asks this server.
    Server,
    /// The sender in whose name was asked.
    Sender,
    /// The one thing that was asked for.
    Request,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_back_from_its_word_in_any_casing() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.label()), state);
            assert_eq!(State::from_word(&state.label().to_uppercase()), state);
        }
        assert_eq!(State::from_word("Deleted_by_admin"), State::DeletedByAdmin);
        assert_eq!(State::from_word("ARCHIVED"), State::Other);
    }

    #[test]
    fn a_state_implies_itself_last() {
        for state in State::ALL {
            assert_eq!(state.implied().last(), Some(&state));
        }
    }
}
