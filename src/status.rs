//! What the landing page and the service manager are shown of the senders.
//!
//! **Invariants.** No address of a recipient, no secret; written by one task
//! and read without a lock.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Notify;

/// The state of every sender.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// When this was so.
    pub at: Timestamp,
    /// The senders, in a stable order.
    pub senders: Vec<SenderStatus>,
    /// What has happened lately, the newest first.
    pub events: Vec<EventStatus>,
    /// Counters wait, since the ledger cannot be written.
    pub is_ledger_failing: bool,
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
    /// Whether the sender holds a token; `None` if that is not known.
    pub is_verified: Option<bool>,
    /// When the token ends, if the server told it.
    pub verified_until: Option<Timestamp>,
    /// What a human has to do, if something.
    pub remedy: Option<String>,
    /// The last good poll is too old for its numbers to be shown, or there was
    /// none.
    pub is_stale: bool,
    /// There was a good poll.
    pub has_numbers: bool,
    /// Label `state` and the number of transfers in it.
    pub states: Vec<(&'static str, u64)>,
}

/// Something that happened to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStatus {
    /// When it was seen.
    pub at: Timestamp,
    /// Label `server`.
    pub server: String,
    /// Label `sender`.
    pub sender: String,
    /// Label `tracking_id`.
    pub tracking_id: String,
    /// What happened.
    pub what: String,
    /// Whether somebody should look after it.
    pub is_trouble: bool,
}

impl Status {
    /// In one line: how many senders are up.
    pub fn summary(&self) -> String {
        let up = self.senders.iter().filter(|sender| sender.up == Some(true));
        let all = self.senders.len();
        format!("{} of {all} senders up", up.count())
    }
}

/// Where the newest status hangs.
#[derive(Debug, Default)]
pub struct Board {
    newest: ArcSwap<Status>,
    news: Notify,
}

impl Board {
    /// Hangs a newer status.
    pub fn put(&self, status: Status) {
        self.newest.store(Arc::new(status));
        self.news.notify_one();
    }

    /// The newest status.
    pub fn read(&self) -> Arc<Status> {
        self.newest.load_full()
    }

    /// Waits until a newer status hangs than at the last wait; for one reader.
    pub async fn changed(&self) {
        self.news.notified().await;
    }
}
