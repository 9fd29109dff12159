//! Protection against guessed passwords (contract, section 7).
//!
//! **Invariants.** A lock blocks one recipient and shows in no status; a
//! deletion ends the transfer for everybody.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What happens after too many wrong passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Off,
    Lock,
    Delete,
}

/// What the administrator has set.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Protection {
    mode: Mode,
    /// So many wrong passwords in a row are too many.
    attempts: u32,
    lock_minutes: u32,
}

impl Default for Protection {
    fn default() -> Self {
        Self {
            mode: Mode::Lock,
            attempts: 5,
            lock_minutes: 10,
        }
    }
}

/// What a wrong password leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Wrong,
    Locked,
    Deleted,
}

/// By recipient's transfer id, how often the password was wrong, and until
/// when the recipient is locked out.
#[derive(Debug, Default)]
pub(super) struct Guard(HashMap<String, (u32, Option<Timestamp>)>);

impl Guard {
    /// Whether the recipient is locked out.
    pub(super) fn is_locked(&self, id: &str, now: Timestamp) -> bool {
        let until = self.0.get(id).and_then(|(_, until)| *until);
        until.is_some_and(|until| now < until)
    }

    /// The password was right.
    pub(super) fn right(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// The password was wrong.
    pub(super) fn wrong(&mut self, id: &str, protection: Protection, now: Timestamp) -> Verdict {
        let (count, until) = self.0.entry(id.to_owned()).or_default();
        *count += 1;
        if *count < protection.attempts {
            return Verdict::Wrong;
        }
        *count = 0;
        match protection.mode {
            Mode::Off => Verdict::Wrong,
            Mode::Delete => Verdict::Deleted,
            Mode::Lock => {
                let lock = SignedDuration::from_mins(i64::from(protection.lock_minutes));
                *until = now.checked_add(lock).ok();
                Verdict::Locked
            }
        }
    }
}
