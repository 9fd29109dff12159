//! What the landing page shows of the senders.
//!
//! **Invariants.** No address of a recipient, no secret; written by one task
//! and read without a lock.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

/// The state of every sender.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The senders, in a stable order.
    pub senders: Vec<SenderStatus>,
}

/// The state of one sender.
#[derive(Debug, Clone)]
pub struct SenderStatus {
    /// Label `server`.
    pub server: String,
    /// Label `sender`.
    pub sender: String,
    /// Whether the last poll was good; `None` before the first one.
    pub up: Option<bool>,
    /// When the last poll ended.
    pub last_poll: Option<Timestamp>,
    /// Label `reason` of the last poll's failure.
    pub failure: Option<&'static str>,
    /// What a human has to do, if something.
    pub remedy: Option<String>,
    /// The last good poll is too old for its numbers to be shown.
    pub is_stale: bool,
    /// Label `state` and the number of transfers in it.
    pub states: Vec<(&'static str, u64)>,
}

/// Where the newest status hangs.
#[derive(Debug, Default)]
pub struct Board(ArcSwap<Status>);

impl Board {
    /// Hangs a newer status.
    pub fn put(&self, status: Status) {
        self.0.store(Arc::new(status));
    }

    /// The newest status.
    pub fn read(&self) -> Arc<Status> {
        self.0.load_full()
    }
}
