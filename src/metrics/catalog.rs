//! Every family, each one `const`, in the order of `/metrics`.
//!
//! The exporter's own families are in `telemetry`, those of its process in
//! `process`; [`groups`] has them together.
//!
//! **Invariants.** A name, a label or a HELP text of a family about transfers
//! is written here and nowhere else.

use crate::{
    metric::{Kind, Metric},
    process, telemetry,
};

/// Families that have their labels and their rules in common.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// When they are there, for people.
    pub rules: &'static str,
    /// The families, in order.
    pub families: Vec<&'static Metric>,
}

/// Every family that `/metrics` can show, in order.
pub fn groups() -> [Group; 5] {
    let group = |title, rules, families: &[&'static Metric]| Group {
        title,
        rules,
        families: families.to_vec(),
    };
    let own = [&[&TRANSFERS_NOT_EXPORTED], telemetry::METRICS].concat();
    [
        group("By sender", SENDER_RULES, SENDER_FAMILIES),
        group("By transfer", TRANSFER_RULES, TRANSFER_FAMILIES),
        group("By recipient", RECIPIENT_RULES, RECIPIENT_FAMILIES),
        group("About the exporter", OWN_RULES, &own),
        group("Process", PROCESS_RULES, process::METRICS),
    ]
}

/// Every family that `/metrics` can show, in order.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    groups().into_iter().flat_map(|group| group.families)
}

const SENDER_RULES: &str = "\
Counters stand from the start with all their children. Gauges are absent until the sender's first
poll, and vanish together when the last good poll is older than `stale_after`; only `cryptshare_up`,
`cryptshare_verified` and its expiry stay. `sender` is the sender's `name`, else its address.";

const TRANSFER_RULES: &str = "\
Only with `[metrics] transfers`, and at most `max_transfers`: first those that the configuration
names, then those with a failure or a warning, then those that can still change, by nearest
expiration, then the newest ended. Senders share the places fairly, and who has one keeps it until a
higher class needs it. A value that the server did not tell is absent. Ended transfers leave after
`keep_ended`, those of a sender whose last good poll is older than `stale_after` at once.";

const RECIPIENT_RULES: &str = "\
Only with `[metrics] recipient_labels = \"hash\"` or `\"plain\"`, only of transfers that are shown,
and at most `max_recipients`, shared as above. `recipient` is the address in lower case, or the
first 12 hexadecimal digits of its HMAC-SHA-256.";

const OWN_RULES: &str = "They stay whatever the server answers.";

const PROCESS_RULES: &str = "A value that cannot be read is absent.";

/// The families by sender.
pub const SENDER_FAMILIES: &[&Metric] = &[
    &UP,
    &VERIFIED,
    &VERIFICATION_EXPIRY,
    &TRANSFERS,
    &OVERDUE,
    &UNRETRIEVED,
    &EXPIRING_UNRETRIEVED,
    &WITH_WARNINGS,
    &WITH_FAILURES,
    &OLDEST_PROCESSING,
    &NOT_FOUND,
    &RETRIEVALS,
    &RECIPIENT_NOTIFICATION_FAILURES,
    &SENDER_NOTIFICATION_FAILURES,
    &EML_CREATION_FAILURES,
    &FILES_REMOVED,
    &STATE_TRANSITIONS,
    &ENDED_UNRETRIEVED,
    &VANISHED,
    &PROCESSING_DURATION,
];

/// The families by transfer.
pub const TRANSFER_FAMILIES: &[&Metric] = &[
    &TRANSFER_INFO,
    &TRANSFER_STATE,
    &TRANSFER_EXPIRATION,
    &TRANSFER_FILES,
    &TRANSFER_FILES_REMOVED,
    &TRANSFER_SIZE,
    &TRANSFER_RECIPIENTS,
    &TRANSFER_RECIPIENTS_RETRIEVED,
    &TRANSFER_NOTIFICATIONS_FAILED,
    &TRANSFER_SENDER_NOTIFICATION_FAILED,
    &TRANSFER_EML_CREATION_FAILED,
    &TRANSFER_WARNINGS,
    &TRANSFER_RETRIEVALS,
    &TRANSFER_LAST_RETRIEVAL,
];

/// The families by recipient.
pub const RECIPIENT_FAMILIES: &[&Metric] = &[&RECIPIENT_RETRIEVALS, &RECIPIENT_NOTIFICATION_FAILED];

/// `cryptshare_up`.
pub const UP: Metric = Metric {
    name: "cryptshare_up",
    help: "1 if the sender's last poll could talk to the server, else 0.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_verified`.
pub const VERIFIED: Metric = Metric {
    name: "cryptshare_verified",
    help: "1 if the sender holds a verification token that has not ended (validUntil), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_verification_expiry_timestamp_seconds`.
pub const VERIFICATION_EXPIRY: Metric = Metric {
    name: "cryptshare_verification_expiry_timestamp_seconds",
    help: "When the verification token ends (validUntil), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_transfers`.
pub const TRANSFERS: Metric = Metric {
    name: "cryptshare_transfers",
    help: "Transfers in each state (status.state) that the server lists or the configuration or a watch file names, as of the last poll; where only active ones are discovered, ended ones for `keep_ended`.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "state"],
};

/// `cryptshare_transfers_overdue`.
pub const OVERDUE: Metric = Metric {
    name: "cryptshare_transfers_overdue",
    help: "Active transfers whose expirationDate has passed (the cleanup task has not run), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_transfers_unretrieved`.
pub const UNRETRIEVED: Metric = Metric {
    name: "cryptshare_transfers_unretrieved",
    help: "Active transfers of which no recipient has retrieved anything (fileDownloads), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_transfers_expiring_unretrieved`.
pub const EXPIRING_UNRETRIEVED: Metric = Metric {
    name: "cryptshare_transfers_expiring_unretrieved",
    help: "Active transfers without any retrieval whose expirationDate comes within expiring_within, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_transfers_with_warnings`.
pub const WITH_WARNINGS: Metric = Metric {
    name: "cryptshare_transfers_with_warnings",
    help: "Active or processing transfers with warnings or any of its four causes, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_transfers_with_failures`.
pub const WITH_FAILURES: Metric = Metric {
    name: "cryptshare_transfers_with_failures",
    help: "Active transfers with recipients[].notificationFailed, sender.notificationFailed, files[].removed or emlCreationFailed, by kind, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "kind"],
};

/// `cryptshare_transfers_oldest_processing_timestamp_seconds`.
pub const OLDEST_PROCESSING: Metric = Metric {
    name: "cryptshare_transfers_oldest_processing_timestamp_seconds",
    help: "When the transfer that has been processing (status.state) for longest was first seen so; absent when none is, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_transfers_not_found`.
pub const NOT_FOUND: Metric = Metric {
    name: "cryptshare_transfers_not_found",
    help: "Transfers that the configuration or a watch file names and the server has never shown, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_retrievals_total`.
pub const RETRIEVALS: Metric = Metric {
    name: "cryptshare_retrievals_total",
    help: "New entries in fileDownloads[].downloads[] by retrievalMethod, as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender", "method"],
};

/// `cryptshare_recipient_notification_failures_total`.
pub const RECIPIENT_NOTIFICATION_FAILURES: Metric = Metric {
    name: "cryptshare_recipient_notification_failures_total",
    help: "Mails to recipients that could not be sent (recipients[].notificationFailed), as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender"],
};

/// `cryptshare_sender_notification_failures_total`.
pub const SENDER_NOTIFICATION_FAILURES: Metric = Metric {
    name: "cryptshare_sender_notification_failures_total",
    help: "Upload summaries that could not be sent (sender.notificationFailed), as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender"],
};

/// `cryptshare_eml_creation_failures_total`.
pub const EML_CREATION_FAILURES: Metric = Metric {
    name: "cryptshare_eml_creation_failures_total",
    help: "Confidential messages that could not be created (emlCreationFailed), as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender"],
};

/// `cryptshare_files_removed_total`.
pub const FILES_REMOVED: Metric = Metric {
    name: "cryptshare_files_removed_total",
    help: "Files that the server took out of transfers (files[].removed) by the configured class of removalCause, as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender", "cause"],
};

/// `cryptshare_state_transitions_total`.
pub const STATE_TRANSITIONS: Metric = Metric {
    name: "cryptshare_state_transitions_total",
    help: "Entries of transfers into each state (status.state), those proven to have been passed included, as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender", "state"],
};

/// `cryptshare_transfers_ended_unretrieved_total`.
pub const ENDED_UNRETRIEVED: Metric = Metric {
    name: "cryptshare_transfers_ended_unretrieved_total",
    help: "Transfers that left active for this state (status.state) with no retrieval (fileDownloads) by anyone, as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender", "state"],
};

/// `cryptshare_transfers_vanished_total`.
pub const VANISHED: Metric = Metric {
    name: "cryptshare_transfers_vanished_total",
    help: "Transfers that had not ended and that the server no longer knows (404 with code 2003), as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender"],
};

/// `cryptshare_processing_duration_seconds`.
pub const PROCESSING_DURATION: Metric = Metric {
    name: "cryptshare_processing_duration_seconds",
    help: "Time from first seen processing (status.state) to first seen gone on, wrong by up to the poll interval, as of the last poll.",
    kind: Kind::Histogram,
    labels: &["server", "sender"],
};

/// `cryptshare_transfer_info`.
pub const TRANSFER_INFO: Metric = Metric {
    name: "cryptshare_transfer_info",
    help: "The transfer and its name in the configuration or a watch file, as of the last poll.",
    kind: Kind::Info,
    labels: &["server", "sender", "tracking_id", "name"],
};

/// `cryptshare_transfer_state`.
pub const TRANSFER_STATE: Metric = Metric {
    name: "cryptshare_transfer_state",
    help: "1 for the present state (status.state), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id", "state"],
};

/// `cryptshare_transfer_expiration_timestamp_seconds`.
pub const TRANSFER_EXPIRATION: Metric = Metric {
    name: "cryptshare_transfer_expiration_timestamp_seconds",
    help: "When the transfer expires (expirationDate), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_files`.
pub const TRANSFER_FILES: Metric = Metric {
    name: "cryptshare_transfer_files",
    help: "Files of the transfer (status.files[]), removed ones included, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_files_removed`.
pub const TRANSFER_FILES_REMOVED: Metric = Metric {
    name: "cryptshare_transfer_files_removed",
    help: "Files that the server took out (files[].removed), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_size_bytes`.
pub const TRANSFER_SIZE: Metric = Metric {
    name: "cryptshare_transfer_size_bytes",
    help: "Sum of transfer.files[].size, removed files included, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_recipients`.
pub const TRANSFER_RECIPIENTS: Metric = Metric {
    name: "cryptshare_transfer_recipients",
    help: "Recipients of the transfer (status.recipients[]), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_recipients_retrieved`.
pub const TRANSFER_RECIPIENTS_RETRIEVED: Metric = Metric {
    name: "cryptshare_transfer_recipients_retrieved",
    help: "Recipients who have retrieved something (fileDownloads), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_recipient_notifications_failed`.
pub const TRANSFER_NOTIFICATIONS_FAILED: Metric = Metric {
    name: "cryptshare_transfer_recipient_notifications_failed",
    help: "Recipients whose mail could not be sent (notificationFailed), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_sender_notification_failed`.
pub const TRANSFER_SENDER_NOTIFICATION_FAILED: Metric = Metric {
    name: "cryptshare_transfer_sender_notification_failed",
    help: "1 if the upload summary could not be sent (sender.notificationFailed), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_eml_creation_failed`.
pub const TRANSFER_EML_CREATION_FAILED: Metric = Metric {
    name: "cryptshare_transfer_eml_creation_failed",
    help: "1 if the confidential message could not be created (emlCreationFailed), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_warnings`.
pub const TRANSFER_WARNINGS: Metric = Metric {
    name: "cryptshare_transfer_warnings",
    help: "1 if the server warns (warnings), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_transfer_retrievals_total`.
pub const TRANSFER_RETRIEVALS: Metric = Metric {
    name: "cryptshare_transfer_retrievals_total",
    help: "The largest number of entries seen in downloads[] by retrievalMethod, those from before we watched included, as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender", "tracking_id", "method"],
};

/// `cryptshare_transfer_last_retrieval_timestamp_seconds`.
pub const TRANSFER_LAST_RETRIEVAL: Metric = Metric {
    name: "cryptshare_transfer_last_retrieval_timestamp_seconds",
    help: "The newest downloadDate, as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id"],
};

/// `cryptshare_recipient_retrievals_total`.
pub const RECIPIENT_RETRIEVALS: Metric = Metric {
    name: "cryptshare_recipient_retrievals_total",
    help: "The largest number of entries seen in the recipient's downloads[] by retrievalMethod, those from before we watched included, as of the last poll.",
    kind: Kind::Counter,
    labels: &["server", "sender", "tracking_id", "recipient", "method"],
};

/// `cryptshare_recipient_notification_failed`.
pub const RECIPIENT_NOTIFICATION_FAILED: Metric = Metric {
    name: "cryptshare_recipient_notification_failed",
    help: "1 if the mail to the recipient could not be sent (recipients[].notificationFailed), as of the last poll.",
    kind: Kind::Gauge,
    labels: &["server", "sender", "tracking_id", "recipient"],
};

/// `cryptshare_exporter_transfers_not_exported`.
pub const TRANSFERS_NOT_EXPORTED: Metric = Metric {
    name: "cryptshare_exporter_transfers_not_exported",
    help: "Transfers of the sender that have no families of their own because of max_transfers.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};
