//! Where each field and each state of the vendor's page *Transfer Status* is to
//! be seen.
//!
//! The fields of `transfer` that the page only alludes to ("the same general
//! transfer information as the Transfer Session State endpoint") are listed one
//! by one (contract 4.2).
//!
//! **Invariants.** A row without a metric and without a log field says why.

use super::catalog::{
    EML_CREATION_FAILURES, ENDED_UNRETRIEVED, EXPIRING_UNRETRIEVED, FILES_REMOVED,
    OLDEST_PROCESSING, OVERDUE, PROCESSING_DURATION, RECIPIENT_NOTIFICATION_FAILED,
    RECIPIENT_NOTIFICATION_FAILURES, RECIPIENT_RETRIEVALS, RETRIEVALS,
    SENDER_NOTIFICATION_FAILURES, STATE_TRANSITIONS, TRANSFER_EML_CREATION_FAILED,
    TRANSFER_EXPIRATION, TRANSFER_FILES, TRANSFER_FILES_REMOVED, TRANSFER_INFO,
    TRANSFER_LAST_RETRIEVAL, TRANSFER_NOTIFICATIONS_FAILED, TRANSFER_RECIPIENTS,
    TRANSFER_RECIPIENTS_RETRIEVED, TRANSFER_RETRIEVALS, TRANSFER_SENDER_NOTIFICATION_FAILED,
    TRANSFER_SIZE, TRANSFER_STATE, TRANSFER_WARNINGS, TRANSFERS, UNRETRIEVED, UP,
    VERIFICATION_EXPIRY, VERIFIED, WITH_FAILURES, WITH_WARNINGS,
};
use crate::{metric::Metric, telemetry};

/// One thing that the page tells.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The field, state or rule, as the page spells it.
    pub word: &'static str,
    /// The families that show it.
    pub metrics: &'static [&'static Metric],
    /// The fields of log lines that show it.
    pub logs: &'static [&'static str],
    /// How it is shown, or why not.
    pub note: &'static str,
}

const fn row(
    word: &'static str,
    metrics: &'static [&'static Metric],
    logs: &'static [&'static str],
    note: &'static str,
) -> Row {
    Row {
        word,
        metrics,
        logs,
        note,
    }
}

/// Every row of the table, in the order of the page.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [REQUEST, TRANSFER, RETRIEVAL, STATES, LIFE_CYCLE, STATUS]
        .into_iter()
        .flatten()
}

const SECRET: &str = "not read: a secret";
const PERSONAL: &str = "not read: personal data";
const CONTENT: &str = "not read: the content is nobody's business";
const CONSTANT: &str = "not read: chosen by the sender, and nothing that happens";

const REQUEST: &[Row] = &[
    row(
        "verified sender addresses",
        &[&VERIFIED, &VERIFICATION_EXPIRY],
        &["reason"],
        "a sender that is not verified fails with reason `not_verified` or `unauthorized`",
    ),
    row(
        "`GET` .../users/`<sender email-address>`/...",
        &[&UP],
        &["sender"],
        "label `sender`: the configured name, else the address",
    ),
    row(
        ".../transfers/`<tracking-id>`",
        &[&TRANSFER_INFO],
        &["tracking_id"],
        "label `tracking_id` of every family by transfer and by recipient",
    ),
    row(
        "`Accept-Language`",
        &[],
        &["cause"],
        "configuration key `language`: the language of removal causes in logs",
    ),
];

const TRANSFER: &[Row] = &[
    row("transfer.sender.name", &[], &[], PERSONAL),
    row("transfer.sender.phone", &[], &[], PERSONAL),
    row(
        "transfer.recipients.to[] .cc[] .bcc[]",
        &[],
        &[],
        "not read: `status.recipients[]` has all of them",
    ),
    row(
        "transfer.files[].id",
        &[],
        &[],
        "not read: `status.files[].id` is the same",
    ),
    row("transfer.files[].fileName", &[], &[], CONTENT),
    row("transfer.files[].size", &[&TRANSFER_SIZE], &[], "their sum"),
    row("transfer.files[].checksum", &[], &[], CONTENT),
    row(
        "transfer.files[].state",
        &[],
        &[],
        "not read: `status.files[].removed` tells the one that matters",
    ),
    row("transfer.files[].href", &[], &[], SECRET),
    row("transfer.fileChecksumAlgorithm", &[], &[], CONSTANT),
    row(
        "transfer.expirationDate",
        &[&TRANSFER_EXPIRATION, &OVERDUE, &EXPIRING_UNRETRIEVED],
        &[],
        "against the server's clock",
    ),
    row("transfer.securityMode.name", &[], &[], CONSTANT),
    row(
        "transfer.securityMode.config.passwordMode",
        &[],
        &[],
        CONSTANT,
    ),
    row("transfer.securityMode.config.password", &[], &[], SECRET),
    row(
        "transfer.notificationMessage.subject .body",
        &[],
        &[],
        CONTENT,
    ),
    row("transfer.senderLanguage", &[], &[], CONSTANT),
    row("transfer.recipientLanguage", &[], &[], CONSTANT),
    row("transfer.showFileNames", &[], &[], CONSTANT),
    row("transfer.showZipFileContent", &[], &[], CONSTANT),
    row("transfer.sendDownloadNotifications", &[], &[], CONSTANT),
    row("transfer.sendDownloadSummary", &[], &[], CONSTANT),
    row(
        "transfer.sendRecipientNotification",
        &[],
        &[],
        "not read: without it `notificationFailed` stays false",
    ),
    row(
        "transfer.sendUploadSummary",
        &[],
        &[],
        "not read: without it `sender.notificationFailed` stays false",
    ),
    row("transfer.classificationId", &[], &[], CONSTANT),
    row("transfer.confidentialMessageFileId", &[], &[], CONSTANT),
];

const RETRIEVAL: &[Row] = &[
    row(
        "status.recipients[].fileDownloads[]",
        &[
            &TRANSFER_RECIPIENTS_RETRIEVED,
            &UNRETRIEVED,
            &EXPIRING_UNRETRIEVED,
            &ENDED_UNRETRIEVED,
        ],
        &["recipient_id"],
        "a list that is null or absent is not known, not empty",
    ),
    row(
        "FileDownload.id",
        &[],
        &["file_id"],
        "no label: by file there would be a series for each file of each recipient",
    ),
    row(
        "FileDownload.downloads[]",
        &[&RETRIEVALS, &TRANSFER_RETRIEVALS, &RECIPIENT_RETRIEVALS],
        &["times"],
        "each entry is one retrieval",
    ),
    row(
        "Download.downloadDate",
        &[&TRANSFER_LAST_RETRIEVAL],
        &[],
        "the newest one",
    ),
    row(
        "Download.retrievalMethod",
        &[
            &RETRIEVALS,
            &TRANSFER_RETRIEVALS,
            &RECIPIENT_RETRIEVALS,
            &telemetry::UNKNOWN_VALUES,
        ],
        &["method"],
        "label `method`; another word is `other` and counted as unknown",
    ),
    row(
        "retrievalMethod Downloaded",
        &[&RETRIEVALS, &TRANSFER_RETRIEVALS, &RECIPIENT_RETRIEVALS],
        &["method"],
        "`method=\"downloaded\"`",
    ),
    row(
        "retrievalMethod viewed in Content Viewer",
        &[&RETRIEVALS, &TRANSFER_RETRIEVALS, &RECIPIENT_RETRIEVALS],
        &["method"],
        "`method=\"viewed\"`",
    ),
];

const STATES: &[Row] = &[
    row(
        "Active",
        &[&TRANSFERS, &TRANSFER_STATE, &STATE_TRANSITIONS],
        &["state"],
        "`state=\"active\"`",
    ),
    row(
        "Deleted_by_expiration",
        &[
            &TRANSFERS,
            &TRANSFER_STATE,
            &STATE_TRANSITIONS,
            &ENDED_UNRETRIEVED,
        ],
        &["state"],
        "`state=\"deleted_by_expiration\"`",
    ),
    row(
        "Deleted_by_revocation",
        &[
            &TRANSFERS,
            &TRANSFER_STATE,
            &STATE_TRANSITIONS,
            &ENDED_UNRETRIEVED,
        ],
        &["state"],
        "`state=\"deleted_by_revocation\"`",
    ),
    row(
        "Deleted_by_admin",
        &[
            &TRANSFERS,
            &TRANSFER_STATE,
            &STATE_TRANSITIONS,
            &ENDED_UNRETRIEVED,
        ],
        &["state"],
        "`state=\"deleted_by_admin\"`",
    ),
    row(
        "Deleted_by_security",
        &[
            &TRANSFERS,
            &TRANSFER_STATE,
            &STATE_TRANSITIONS,
            &ENDED_UNRETRIEVED,
        ],
        &["state"],
        "`state=\"deleted_by_security\"`",
    ),
    row(
        "Processing",
        &[
            &TRANSFERS,
            &TRANSFER_STATE,
            &STATE_TRANSITIONS,
            &OLDEST_PROCESSING,
        ],
        &["state"],
        "`state=\"processing\"`",
    ),
    row(
        "Failed",
        &[&TRANSFERS, &TRANSFER_STATE, &STATE_TRANSITIONS],
        &["state"],
        "`state=\"failed\"`",
    ),
    row(
        "Unknown",
        &[&TRANSFERS, &TRANSFER_STATE, &STATE_TRANSITIONS],
        &["state"],
        "`state=\"unknown\"`: sent with version 5.7.0 or older",
    ),
    row(
        "any other state",
        &[
            &TRANSFERS,
            &TRANSFER_STATE,
            &STATE_TRANSITIONS,
            &telemetry::UNKNOWN_VALUES,
        ],
        &["state"],
        "`pending`, which lists may tell, and `other`, which is counted as unknown",
    ),
];

const LIFE_CYCLE: &[Row] = &[
    row(
        "finalized, then processing",
        &[&STATE_TRANSITIONS, &OLDEST_PROCESSING],
        &["state"],
        "also counted if it was over before we looked",
    ),
    row(
        "processing, then active: at least one file was processed correctly",
        &[&STATE_TRANSITIONS, &PROCESSING_DURATION],
        &["state", "seconds"],
        "",
    ),
    row(
        "processing, then failed: all files have been removed",
        &[&STATE_TRANSITIONS, &PROCESSING_DURATION, &FILES_REMOVED],
        &["state", "seconds", "cause"],
        "",
    ),
    row(
        "active although expired, until the Cleanup Task has run",
        &[&OVERDUE],
        &[],
        "",
    ),
    row(
        "active, then revoked, deleted by security or admin, or cleaned up",
        &[&STATE_TRANSITIONS, &ENDED_UNRETRIEVED],
        &["state"],
        "",
    ),
];

const STATUS: &[Row] = &[
    row(
        "status.state",
        &[&TRANSFERS, &TRANSFER_STATE, &STATE_TRANSITIONS],
        &["state"],
        "label `state`, in lower case",
    ),
    row(
        "status.recipients[].mail",
        &[&RECIPIENT_RETRIEVALS, &RECIPIENT_NOTIFICATION_FAILED],
        &["recipient"],
        "label `recipient`, only if `recipient_labels` says so; else not kept; in logs at debug only",
    ),
    row("status.recipients[].downloadUrl", &[], &[], SECRET),
    row(
        "status.recipients[].id",
        &[&TRANSFER_RECIPIENTS],
        &["recipient_id"],
        "no label: it is new for each transfer; in logs at debug only",
    ),
    row(
        "status.recipients[].notificationFailed",
        &[
            &RECIPIENT_NOTIFICATION_FAILURES,
            &WITH_FAILURES,
            &TRANSFER_NOTIFICATIONS_FAILED,
            &RECIPIENT_NOTIFICATION_FAILED,
        ],
        &["recipient_id"],
        "",
    ),
    row(
        "status.warnings",
        &[&WITH_WARNINGS, &TRANSFER_WARNINGS],
        &[],
        "no log line: its four causes have theirs",
    ),
    row(
        "status.emlCreationFailed",
        &[
            &EML_CREATION_FAILURES,
            &WITH_FAILURES,
            &TRANSFER_EML_CREATION_FAILED,
        ],
        &["tracking_id"],
        "",
    ),
    row(
        "status.sender.notificationFailed",
        &[
            &SENDER_NOTIFICATION_FAILURES,
            &WITH_FAILURES,
            &TRANSFER_SENDER_NOTIFICATION_FAILED,
        ],
        &["tracking_id"],
        "",
    ),
    row(
        "status.sender.email",
        &[],
        &[],
        "not read: it is the sender that asks",
    ),
    row(
        "status.files[].id",
        &[&TRANSFER_FILES],
        &["file_id"],
        "no label, as above",
    ),
    row(
        "status.files[].removed",
        &[&FILES_REMOVED, &WITH_FAILURES, &TRANSFER_FILES_REMOVED],
        &["file_id"],
        "",
    ),
    row(
        "status.files[].removalCause",
        &[&FILES_REMOVED],
        &["cause"],
        "label `cause` by `removal_causes`, else `other`; in full in the log",
    ),
];
