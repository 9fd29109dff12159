//! Why a call failed.
//!
//! **Invariants.** Classified once, here and in `transport`; never carries an
//! address, a secret or more of a URL than its origin.

use std::{error::Error as StdError, time::Duration};

use crate::model::Reason;

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {detail}")]
pub struct Error {
    action: &'static str,
    detail: String,
    reason: Reason,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// The closed class of the failure.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// How long the server asked to wait (`Retry-After`).
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(super) fn new(action: &'static str, reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            action,
            detail: detail.into(),
            reason,
            retry_after: None,
            source: None,
        }
    }

    pub(super) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub(super) const fn wait(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    pub(super) const fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }
}
