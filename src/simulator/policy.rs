//! What the administrator permits (contract, section 6).
//!
//! **Invariants.** Plain settings; set through the control API alone.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{guard::Protection, letter::PasswordMode, transfer::Schedule};

/// The first minor version whose policy tells of file types.
const FILE_TYPES: u32 = 11;

/// What is permitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Policy {
    /// Whether the REST API is licensed.
    pub(super) licensed: bool,
    /// Addresses, or hosts as `@example.org`, that may not send.
    denied_senders: Vec<String>,
    /// The same for who may not receive.
    denied_recipients: Vec<String>,
    pub(super) max_retention_days: u32,
    pub(super) max_total_bytes: u64,
    /// Endings of files that are removed.
    pub(super) denied_file_types: Vec<String>,
    pub(super) min_password_length: usize,
    /// Against guessed passwords.
    pub(super) protection: Protection,
    /// The cleanup task runs so often; none: an hour after each expiration.
    cleanup_every_minutes: Option<u32>,
    /// An ended transfer is forgotten so long after its end.
    forget_after_hours: u32,
    /// A session that nobody has touched for so long is dropped.
    session_hours: u32,
    /// More open sessions at the same time are refused.
    pub(super) max_sessions: usize,
    /// Whether clients may send their logs.
    pub(super) remote_logging: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            licensed: true,
            denied_senders: Vec::new(),
            denied_recipients: Vec::new(),
            max_retention_days: 30,
            max_total_bytes: 2 * 1024 * 1024 * 1024,
            denied_file_types: vec!["exe".to_owned()],
            min_password_length: 8,
            protection: Protection::default(),
            cleanup_every_minutes: None,
            forget_after_hours: 14 * 24,
            session_hours: 24,
            max_sessions: 1_000,
            remote_logging: false,
        }
    }
}

impl Policy {
    pub(super) fn schedule(&self) -> Schedule {
        Schedule {
            cleanup_every: self
                .cleanup_every_minutes
                .map(|every| i64::from(every) * 60),
            forget_after: SignedDuration::from_hours(i64::from(self.forget_after_hours)),
        }
    }

    pub(super) fn session_term(&self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.session_hours))
    }

    pub(super) fn lets_send(&self, address: &str) -> bool {
        !holds(&self.denied_senders, address)
    }

    pub(super) fn lets_receive(&self, address: &str) -> bool {
        !holds(&self.denied_recipients, address)
    }

    /// `settings` of the policy, as version `minor` tells them.
    pub(super) fn settings(&self, minor: u32) -> Value {
        let modes = PasswordMode::ALL.map(PasswordMode::word);
        let mut settings = json!({
            "maxRetentionPeriod": self.max_retention_days,
            "maxTotalSize": self.max_total_bytes,
            "showFileNamesDefault": true,
            "showFileNamesChangeable": true,
            "showZipFileContentDefault": false,
            "sendDownloadNotificationsDefault": true,
            "sendDownloadNotificationsChangeable": true,
            "recipientNotificationEditable": true,
            "confidentialMessageAllowed": true,
            "confidentialMessageRequired": false,
            "securityModes": [
                {"name": "ONE_TIME_PASSWORD", "config": {"allowedPasswordModes": modes}},
            ],
        });
        if let Some(members) = settings.as_object_mut().filter(|_| minor >= FILE_TYPES) {
            let types = &self.denied_file_types;
            let filter = json!({"listMode": "DENY", "fileTypes": types});
            let filter = if types.is_empty() {
                Value::Null
            } else {
                filter
            };
            members.insert("fileTypeFilterConfig".to_owned(), filter);
        }
        settings
    }

    /// The rules of passwords: name, details, and whether `password` keeps it.
    pub(super) fn password_rules(&self, password: &str) -> [(&'static str, Value, bool); 4] {
        let least = self.min_password_length;
        let has = |what: fn(char) -> bool| password.contains(what);
        let is_long = password.chars().count() >= least;
        [
            ("minimumLengthRequired", json!({"length": least}), is_long),
            ("upperCaseRequired", json!({}), has(char::is_uppercase)),
            ("lowerCaseRequired", json!({}), has(char::is_lowercase)),
            ("digitsRequired", json!({}), has(char::is_numeric)),
        ]
    }
}

fn holds(list: &[String], address: &str) -> bool {
    let address = address.to_lowercase();
    list.iter().any(|denied| {
        let denied = denied.to_lowercase();
        denied == address || (denied.starts_with('@') && address.ends_with(&denied))
    })
}
