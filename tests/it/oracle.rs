//! What `/metrics` must show when the simulator's truth is this: every series
//! by sender and by transfer, each with its value.
//!
//! Computed from the truth and the catalog's words alone, so nothing of the
//! exporter judges itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::rig::Sample;

const STATES: [&str; 10] = [
    "processing",
    "active",
    "failed",
    "deleted_by_expiration",
    "deleted_by_revocation",
    "deleted_by_admin",
    "deleted_by_security",
    "unknown",
    "pending",
    "other",
];

const DELETED: [&str; 4] = [
    "deleted_by_expiration",
    "deleted_by_revocation",
    "deleted_by_admin",
    "deleted_by_security",
];

/// Families whose values depend on when the exporter looked: bounded by the
/// story, not here.
pub const BOUNDED: [&str; 2] = [
    "cryptshare_transfers_oldest_processing_timestamp_seconds",
    "cryptshare_processing_duration_seconds",
];

/// Series and their values.
pub type Series = BTreeMap<String, f64>;

/// What the exporter was told, and what it found when it came.
pub struct Watch {
    /// Transfers that had ended before: not shown by transfer unless named.
    pub ended_before: BTreeSet<String>,
    /// Names from the configuration by tracking id.
    pub named: BTreeMap<String, String>,
    /// Whose transfer the configuration names although there is none.
    pub missed_by: String,
}

/// The truth about one transfer.
#[derive(Debug, Deserialize)]
pub struct Told {
    pub state: String,
    pub forgotten: bool,
    retrievals: BTreeMap<String, f64>,
    recipients_retrieved: f64,
    last_retrieval: Option<String>,
    failures: Failures,
    warnings: bool,
    removals: Vec<Value>,
    files: f64,
    recipients: f64,
    size: f64,
    expires_at: String,
}

#[derive(Debug, Deserialize)]
struct Failures {
    recipient_notification: f64,
    sender_notification: bool,
    eml: bool,
}

impl Told {
    /// Whether nothing leaves its state.
    pub fn has_ended(&self) -> bool {
        self.state == "failed" || DELETED.contains(&self.state.as_str())
    }

    /// When it expires, in seconds.
    pub fn expires_at(&self) -> i64 {
        seconds(&self.expires_at)
    }

    fn is_retrieved(&self) -> bool {
        self.recipients_retrieved > 0.0
    }
}

/// The transfers of a sender by id.
pub fn transfers(told: &Value) -> BTreeMap<String, Told> {
    Deserialize::deserialize(&told["transfers"]).unwrap()
}

/// A date of the truth in seconds, as the API tells it.
pub fn seconds(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

/// Every series that must be shown.
pub fn expected(truth: &Value, watch: &Watch) -> Series {
    let now = seconds(truth["now"].as_str().unwrap());
    let mut series = Series::new();
    for (sender, told) in truth["senders"].as_object().unwrap() {
        let mut own = Own {
            labels: vec![("server", "sim"), ("sender", sender)],
            series: &mut series,
        };
        let transfers = transfers(told);
        counters(&mut own, &told["totals"]);
        health(&mut own, told);
        own.add(
            "cryptshare_transfers_not_found",
            &[],
            number(usize::from(*sender == watch.missed_by)),
        );
        gauges(&mut own, &transfers, now);
        for (id, told) in &transfers {
            let is_old = watch.ended_before.contains(id) && !watch.named.contains_key(id);
            if !told.forgotten && !is_old {
                let name = watch.named.get(id).map_or("", String::as_str);
                by_transfer(&mut own, (id, name), told);
            }
        }
    }
    series
}

/// The counters by sender among the series: what must have happened often.
pub fn counters_by_sender(series: &Series) -> impl Iterator<Item = (&String, f64)> {
    let is = |name: &String| {
        let family = name.split('{').next().unwrap();
        family.ends_with("_total") && !family.starts_with("cryptshare_transfer_")
    };
    let counters = series.iter().filter(move |(name, _)| is(name));
    counters.map(|(name, count)| (name, *count))
}

/// The families that the oracle knows, as far as `samples` have them.
pub fn shown(samples: &[Sample]) -> Series {
    let foreign = |name: &str| {
        name.starts_with("cryptshare_exporter_")
            || !name.starts_with("cryptshare_")
            || BOUNDED.iter().any(|bounded| name.starts_with(bounded))
    };
    let own = samples.iter().filter(|sample| !foreign(&sample.name));
    own.map(|sample| {
        let labels = sample.labels.iter();
        let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
        (series_name(&sample.name, labels.collect()), sample.value)
    })
    .collect()
}

/// What differs, each with its name and both values.
pub fn differences(expected: &Series, shown: &Series) -> Vec<String> {
    let names: BTreeSet<_> = expected.keys().chain(shown.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| expected.get(*name) != shown.get(*name));
    let value = |value: Option<&f64>| value.map_or_else(|| "none".to_owned(), f64::to_string);
    differing
        .map(|name| {
            let (truth, seen) = (value(expected.get(name)), value(shown.get(name)));
            format!("{name} is {seen}, the truth is {truth}")
        })
        .collect()
}

/// The series of one sender in the making.
struct Own<'a> {
    labels: Vec<(&'a str, &'a str)>,
    series: &'a mut Series,
}

impl Own<'_> {
    fn add(&mut self, name: &str, more: &[(&str, &str)], value: f64) {
        let labels = self.labels.iter().chain(more).copied().collect();
        self.series.insert(series_name(name, labels), value);
    }
}

fn series_name(name: &str, mut labels: Vec<(&str, &str)>) -> String {
    labels.sort_unstable();
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    format!("{name}{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn counters(own: &mut Own<'_>, totals: &Value) {
    let total = |place: &str| totals.pointer(place).and_then(Value::as_f64).unwrap();
    for (name, place) in [
        (
            "cryptshare_recipient_notification_failures_total",
            "/recipient_notification_failures",
        ),
        (
            "cryptshare_sender_notification_failures_total",
            "/sender_notification_failures",
        ),
        (
            "cryptshare_eml_creation_failures_total",
            "/eml_creation_failures",
        ),
        ("cryptshare_transfers_vanished_total", "/vanished"),
    ] {
        own.add(name, &[], total(place));
    }
    for method in ["downloaded", "viewed", "other"] {
        let count = total(&format!("/retrievals/{method}"));
        own.add("cryptshare_retrievals_total", &[("method", method)], count);
    }
    for state in STATES {
        let count = total(&format!("/state_transitions/{state}"));
        let name = "cryptshare_state_transitions_total";
        own.add(name, &[("state", state)], count);
    }
    for state in DELETED {
        let count = total(&format!("/ended_unretrieved/{state}"));
        let name = "cryptshare_transfers_ended_unretrieved_total";
        own.add(name, &[("state", state)], count);
    }
    let mut removed = BTreeMap::from([("malware", 0.0), ("file_type", 0.0), ("other", 0.0)]);
    for (cause, count) in totals["files_removed_by_cause"].as_object().unwrap() {
        let label = match cause.as_str() {
            cause if cause.contains("virus") => "malware",
            cause if cause.contains("type of file") => "file_type",
            _ => "other",
        };
        *removed.get_mut(label).unwrap() += count.as_f64().unwrap();
    }
    for (cause, count) in removed {
        own.add("cryptshare_files_removed_total", &[("cause", cause)], count);
    }
}

fn health(own: &mut Own<'_>, told: &Value) {
    own.add("cryptshare_up", &[], 1.0);
    own.add("cryptshare_verified", &[], 1.0);
    let until = told["verified_until"].as_str().map(seconds).map(moment);
    let name = "cryptshare_verification_expiry_timestamp_seconds";
    own.add(name, &[], until.unwrap_or_default());
}

fn gauges(own: &mut Own<'_>, transfers: &BTreeMap<String, Told>, now: i64) {
    const DAY: i64 = 86_400;
    let known = || transfers.values().filter(|told| !told.forgotten);
    let count = |is: &dyn Fn(&Told) -> bool| number(known().filter(|told| is(told)).count());
    for state in STATES {
        let in_state = count(&|told| told.state == state);
        own.add("cryptshare_transfers", &[("state", state)], in_state);
    }
    let active = |told: &Told| told.state == "active";
    let unretrieved = |told: &Told| active(told) && !told.is_retrieved();
    let left = |told: &Told| told.expires_at() - now;
    for (name, value) in [
        (
            "cryptshare_transfers_overdue",
            count(&|t| active(t) && left(t) <= 0),
        ),
        ("cryptshare_transfers_unretrieved", count(&unretrieved)),
        (
            "cryptshare_transfers_expiring_unretrieved",
            count(&|t| unretrieved(t) && left(t) > 0 && left(t) <= DAY),
        ),
        (
            "cryptshare_transfers_with_warnings",
            count(&|t| (active(t) || t.state == "processing") && t.warnings),
        ),
    ] {
        own.add(name, &[], value);
    }
    for (kind, value) in [
        (
            "recipient_notification",
            count(&|t| active(t) && t.failures.recipient_notification > 0.0),
        ),
        (
            "sender_notification",
            count(&|t| active(t) && t.failures.sender_notification),
        ),
        (
            "file_removed",
            count(&|t| active(t) && !t.removals.is_empty()),
        ),
        ("eml", count(&|t| active(t) && t.failures.eml)),
    ] {
        let name = "cryptshare_transfers_with_failures";
        own.add(name, &[("kind", kind)], value);
    }
}

fn by_transfer(own: &mut Own<'_>, (id, name): (&str, &str), told: &Told) {
    let flag = |is: bool| f64::from(u8::from(is));
    let with = |more| [("tracking_id", id), more];
    let info = "cryptshare_transfer_info";
    own.add(info, &with(("name", name)), 1.0);
    let state = with(("state", told.state.as_str()));
    own.add("cryptshare_transfer_state", &state, 1.0);
    for (method, count) in &told.retrievals {
        let family = "cryptshare_transfer_retrievals_total";
        own.add(family, &with(("method", method.as_str())), *count);
    }
    let failures = &told.failures;
    for (family, value) in [
        ("expiration_timestamp_seconds", moment(told.expires_at())),
        ("files", told.files),
        ("files_removed", number(told.removals.len())),
        ("size_bytes", told.size),
        ("recipients", told.recipients),
        ("recipients_retrieved", told.recipients_retrieved),
        (
            "recipient_notifications_failed",
            failures.recipient_notification,
        ),
        (
            "sender_notification_failed",
            flag(failures.sender_notification),
        ),
        ("eml_creation_failed", flag(failures.eml)),
        ("warnings", flag(told.warnings)),
    ] {
        let family = format!("cryptshare_transfer_{family}");
        own.add(&family, &[("tracking_id", id)], value);
    }
    if let Some(at) = &told.last_retrieval {
        let family = "cryptshare_transfer_last_retrieval_timestamp_seconds";
        own.add(family, &[("tracking_id", id)], moment(seconds(at)));
    }
}

/// Counts in a test are small, so nothing is lost.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Seconds since 1970 as `/metrics` has them; good until 2106.
fn moment(seconds: i64) -> f64 {
    f64::from(u32::try_from(seconds).unwrap())
}
