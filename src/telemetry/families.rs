//! What the exporter's own families are called and mean.
//!
//! **Invariants.** A name, label or HELP text of a family of ours is written
//! here and nowhere else.

use crate::metric::{Kind, Metric};

/// Every family of this module, by name: the order in which the registry
/// gathers them.
pub const METRICS: &[&Metric] = &[
    &BREAKER_OPEN,
    &API_REQUEST_DURATION,
    &API_REQUESTS,
    &API_VERSION,
    &BUILD_INFO,
    &RELOAD_TIME,
    &RELOAD_SUCCESSFUL,
    &LAST_POLL,
    &LAST_SUCCESSFUL_POLL,
    &LEDGER_COMMIT_DURATION,
    &LEDGER_COMMIT_FAILURES,
    &LEDGER_COMMITS,
    &LEDGER_SIZE,
    &POLL_DURATION,
    &POLL_FAILURES,
    &POLL_INTERVAL,
    &POLLS,
    &REJECTED_ITEMS,
    &SCHEDULE_LAG,
    &CLOCK_OFFSET,
    &UNKNOWN_VALUES,
];

/// `cryptshare_exporter_last_poll_timestamp_seconds`.
pub const LAST_POLL: Metric = Metric {
    name: "cryptshare_exporter_last_poll_timestamp_seconds",
    help: "When the last poll ended, good or not.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_exporter_last_successful_poll_timestamp_seconds`.
pub const LAST_SUCCESSFUL_POLL: Metric = Metric {
    name: "cryptshare_exporter_last_successful_poll_timestamp_seconds",
    help: "When the last good poll ended.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_exporter_poll_interval_seconds`.
pub const POLL_INTERVAL: Metric = Metric {
    name: "cryptshare_exporter_poll_interval_seconds",
    help: "The configured interval between two polls.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_exporter_poll_duration_seconds`.
pub const POLL_DURATION: Metric = Metric {
    name: "cryptshare_exporter_poll_duration_seconds",
    help: "How long the last poll took.",
    kind: Kind::Gauge,
    labels: &["server", "sender"],
};

/// `cryptshare_exporter_polls_total`.
pub const POLLS: Metric = Metric {
    name: "cryptshare_exporter_polls_total",
    help: "Polls ended, good or not.",
    kind: Kind::Counter,
    labels: &["server", "sender"],
};

/// `cryptshare_exporter_poll_failures_total`.
pub const POLL_FAILURES: Metric = Metric {
    name: "cryptshare_exporter_poll_failures_total",
    help: "Polls that failed, and polls with single reads that failed, by reason.",
    kind: Kind::Counter,
    labels: &["server", "sender", "reason"],
};

/// `cryptshare_exporter_api_requests_total`.
pub const API_REQUESTS: Metric = Metric {
    name: "cryptshare_exporter_api_requests_total",
    help: "Requests to the server by endpoint and HTTP status; none if no answer came.",
    kind: Kind::Counter,
    labels: &["server", "endpoint", "code"],
};

/// `cryptshare_exporter_api_request_duration_seconds`.
pub const API_REQUEST_DURATION: Metric = Metric {
    name: "cryptshare_exporter_api_request_duration_seconds",
    help: "How long requests to the server took, bodies included.",
    kind: Kind::Histogram,
    labels: &["server", "endpoint"],
};

/// `cryptshare_exporter_api_breaker_open`.
pub const BREAKER_OPEN: Metric = Metric {
    name: "cryptshare_exporter_api_breaker_open",
    help: "1 while the server has failed so often that it is asked by single probes alone, else 0.",
    kind: Kind::Gauge,
    labels: &["server"],
};

/// `cryptshare_exporter_api_version_info`.
pub const API_VERSION: Metric = Metric {
    name: "cryptshare_exporter_api_version_info",
    help: "The minor version of the REST API that requests ask for (X-CS-MinimumMinorApiVersion), as of the last answer.",
    kind: Kind::Info,
    labels: &["server", "minor"],
};

/// `cryptshare_exporter_server_clock_offset_seconds`.
pub const CLOCK_OFFSET: Metric = Metric {
    name: "cryptshare_exporter_server_clock_offset_seconds",
    help: "The server's clock (Date header) minus ours, as of the last answer.",
    kind: Kind::Gauge,
    labels: &["server"],
};

/// `cryptshare_exporter_ledger_commits_total`.
pub const LEDGER_COMMITS: Metric = Metric {
    name: "cryptshare_exporter_ledger_commits_total",
    help: "Transactions in which the ledger was made durable.",
    kind: Kind::Counter,
    labels: &[],
};

/// `cryptshare_exporter_ledger_commit_failures_total`.
pub const LEDGER_COMMIT_FAILURES: Metric = Metric {
    name: "cryptshare_exporter_ledger_commit_failures_total",
    help: "Transactions of the ledger that failed; counters wait until one succeeds.",
    kind: Kind::Counter,
    labels: &[],
};

/// `cryptshare_exporter_ledger_commit_duration_seconds`.
pub const LEDGER_COMMIT_DURATION: Metric = Metric {
    name: "cryptshare_exporter_ledger_commit_duration_seconds",
    help: "How long transactions of the ledger took, good or not.",
    kind: Kind::Histogram,
    labels: &[],
};

/// `cryptshare_exporter_ledger_size_bytes`.
pub const LEDGER_SIZE: Metric = Metric {
    name: "cryptshare_exporter_ledger_size_bytes",
    help: "The size of the ledger's file; absent without a state directory.",
    kind: Kind::Gauge,
    labels: &[],
};

/// `cryptshare_exporter_schedule_lag_seconds`.
pub const SCHEDULE_LAG: Metric = Metric {
    name: "cryptshare_exporter_schedule_lag_seconds",
    help: "How late polls began.",
    kind: Kind::Histogram,
    labels: &[],
};

/// `cryptshare_exporter_rejected_items_total`.
pub const REJECTED_ITEMS: Metric = Metric {
    name: "cryptshare_exporter_rejected_items_total",
    help: "Items of answers that could not be understood and were left out.",
    kind: Kind::Counter,
    labels: &["server", "reason"],
};

/// `cryptshare_exporter_unknown_values_total`.
pub const UNKNOWN_VALUES: Metric = Metric {
    name: "cryptshare_exporter_unknown_values_total",
    help: "Words of the server that this exporter does not know.",
    kind: Kind::Counter,
    labels: &["server", "field"],
};

/// `cryptshare_exporter_config_last_reload_successful`.
pub const RELOAD_SUCCESSFUL: Metric = Metric {
    name: "cryptshare_exporter_config_last_reload_successful",
    help: "1 if the configuration was last loaded with success, 0 if it had problems and the one before stays.",
    kind: Kind::Gauge,
    labels: &[],
};

/// `cryptshare_exporter_config_last_reload_success_timestamp_seconds`.
pub const RELOAD_TIME: Metric = Metric {
    name: "cryptshare_exporter_config_last_reload_success_timestamp_seconds",
    help: "When the configuration was last loaded with success.",
    kind: Kind::Gauge,
    labels: &[],
};

/// `cryptshare_exporter_build_info`.
pub const BUILD_INFO: Metric = Metric {
    name: "cryptshare_exporter_build_info",
    help: "The version of this exporter, its revision and its compiler.",
    kind: Kind::Info,
    labels: &["version", "revision", "rustc"],
};
