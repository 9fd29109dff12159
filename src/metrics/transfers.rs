//! The families by transfer, and which transfers are shown.
//!
//! **Invariants.** Never more transfers than the cap; who keeps a place is
//! decided by [`cap`] alone.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    METHODS, Settings, Shown,
    cap::{self, Candidate, Class},
    catalog,
    senders::seconds,
};
use crate::{
    exposition::{Family, Sample, Value},
    ledger::Entry,
    metric::Metric,
    model::{Record, SenderId, State, TrackingId},
};

/// The transfers that have a place.
pub(super) type Places = HashMap<SenderId, HashSet<TrackingId>>;

/// One transfer that is shown, or would be if it had a place.
pub(super) struct Row<'a> {
    pub(super) shown: &'a Shown<'a>,
    pub(super) id: &'a TrackingId,
    pub(super) entry: &'a Entry,
    /// The labels of the recipients that are shown, in order.
    pub(super) recipients: Vec<&'a str>,
    /// How it stands among those who want a place.
    pub(super) candidate: Candidate,
}

impl<'a> Row<'a> {
    pub(super) fn labels(&self) -> [(&'static str, &'a str); 3] {
        let [server, sender] = self.shown.labels();
        [server, sender, ("tracking_id", self.id.as_str())]
    }

    fn with(&self, name: &'static str, value: &'a str) -> [(&'static str, &'a str); 4] {
        let [server, sender, id] = self.labels();
        [server, sender, id, (name, value)]
    }

    /// The name that the configuration or a watch file gives it.
    pub(super) fn name(&self) -> &'a str {
        let name = self.shown.view.names.get(self.id);
        name.map_or("", String::as_str)
    }

    fn record(&self) -> &'a Record {
        &self.entry.record
    }
}

/// The transfers that have a place, and how many of each sender have none. Of
/// each sender those come first that have ended, and of these and of the others
/// the lowest tracking id.
pub(super) fn choose<'a>(
    shown: &'a [Shown<'a>],
    settings: &Settings,
    places: &mut Places,
) -> (Vec<Row<'a>>, Vec<u64>) {
    let mut rows = Vec::new();
    let fresh = shown.iter().enumerate().filter(|(_, s)| !s.is_stale);
    for (sender, s) in fresh.filter(|_| settings.transfers) {
        let before = places.get(s.id);
        let present = s.book.present();
        rows.extend(present.filter_map(|(id, entry)| {
            let is_shown = before.is_some_and(|before| before.contains(id));
            row(s, (id, entry), sender, is_shown)
        }));
    }
    let candidates: Vec<_> = rows.iter().map(|row| row.candidate).collect();
    let taken = cap::choose(&candidates, settings.max_transfers);
    let mut left_out = vec![0; shown.len()];
    for (candidate, _) in candidates.iter().zip(&taken).filter(|(_, taken)| !**taken) {
        if let Some(count) = left_out.get_mut(candidate.sender) {
            *count += 1;
        }
    }
    let mut taken = taken.into_iter();
    rows.retain(|_| taken.next().unwrap_or_default());
    places.clear();
    // Without a cap nobody needs to be remembered.
    for row in rows.iter().filter(|_| settings.max_transfers > 0) {
        let own = places.entry(row.shown.id.clone()).or_default();
        own.insert(row.id.clone());
    }
    rows.sort_by_key(|row| (row.candidate.sender, !row.record().has_ended()));
    (rows, left_out)
}

pub(super) fn families<'a>(rows: &[Row<'a>]) -> Vec<Family<'a>> {
    let mut families = vec![info(rows), state(rows)];
    families.extend(details(rows));
    families.push(retrievals(rows));
    let last = |r: &Row<'_>| r.record().last_retrieval.map(seconds).map(Value::Number);
    families.push(gauge(rows, &catalog::TRANSFER_LAST_RETRIEVAL, last));
    families
}

/// Ended transfers leave after `keep_ended`, and those that had ended before we
/// began to watch are never shown; both stay while the configuration names
/// them.
fn row<'a>(
    s: &'a Shown<'a>,
    (id, entry): (&'a TrackingId, &'a Entry),
    sender: usize,
    is_shown: bool,
) -> Option<Row<'a>> {
    let record = &entry.record;
    let is_named = s.book.is_named(id);
    if record.has_ended() && !is_named && (entry.had_ended() || has_lapsed(s, record)) {
        return None;
    }
    let class = match record.state {
        _ if is_named => Class::Named,
        _ if has_trouble(record) => Class::Troubled,
        Some(state) if state.is_final() => Class::Ended,
        Some(_) | None => Class::Active,
    };
    Some(Row {
        shown: s,
        id,
        entry,
        recipients: Vec::new(),
        candidate: Candidate {
            class,
            rank: rank(record),
            sender,
            is_shown,
        },
    })
}

fn has_trouble(record: &Record) -> bool {
    record.has_warning() || record.state == Some(State::Failed)
}

/// The nearest expiration first, then what tells none, then the newest end.
fn rank(record: &Record) -> i128 {
    let last = Timestamp::MAX.as_nanosecond();
    let none = last + 1;
    match record.ended_at {
        Some(at) if record.has_ended() => none + 1 + (last - at.as_nanosecond()),
        Some(_) | None => record
            .told
            .expires_at
            .map_or(none, Timestamp::as_nanosecond),
    }
}

fn has_lapsed(s: &Shown<'_>, record: &Record) -> bool {
    let keep = SignedDuration::try_from(s.view.keep_ended).unwrap_or(SignedDuration::MAX);
    let presence = s.book.presence.map(|presence| presence.at);
    match (record.ended_at, presence) {
        (Some(ended), Some(now)) => now.duration_since(ended) > keep,
        _ => false,
    }
}

fn info<'a>(rows: &[Row<'a>]) -> Family<'a> {
    let samples = rows
        .iter()
        .map(|row| Sample::new(row.with("name", row.name()), Value::Count(1)));
    Family::new(&catalog::TRANSFER_INFO, samples.collect())
}

fn state<'a>(rows: &[Row<'a>]) -> Family<'a> {
    let samples = rows.iter().filter_map(|row| {
        let labels = row.with("state", row.record().state?.label());
        Some(Sample::new(labels, Value::Count(1)))
    });
    Family::new(&catalog::TRANSFER_STATE, samples.collect())
}

fn details<'a>(rows: &[Row<'a>]) -> Vec<Family<'a>> {
    type Read = fn(&Record) -> Option<Value>;
    const DETAILS: [(&Metric, Read); 10] = [
        (&catalog::TRANSFER_EXPIRATION, |r| {
            r.told.expires_at.map(seconds).map(Value::Number)
        }),
        (&catalog::TRANSFER_FILES, |r| r.told.files.map(Value::Count)),
        (&catalog::TRANSFER_FILES_REMOVED, |r| {
            r.told.files_removed.map(Value::Count)
        }),
        (&catalog::TRANSFER_SIZE, |r| {
            r.told.size_bytes.map(Value::Count)
        }),
        (&catalog::TRANSFER_RECIPIENTS, |r| {
            r.told.recipients.map(Value::Count)
        }),
        (&catalog::TRANSFER_RECIPIENTS_RETRIEVED, |r| {
            let count = u64::try_from(r.recipients_retrieved()).ok();
            count.filter(|_| r.told.retrievals).map(Value::Count)
        }),
        (&catalog::TRANSFER_NOTIFICATIONS_FAILED, |r| {
            r.told.notifications_failed.map(Value::Count)
        }),
        (&catalog::TRANSFER_SENDER_NOTIFICATION_FAILED, |r| {
            r.told.sender_notification_failed.map(flag)
        }),
        (&catalog::TRANSFER_EML_CREATION_FAILED, |r| {
            r.told.eml_creation_failed.map(flag)
        }),
        (&catalog::TRANSFER_WARNINGS, |r| r.told.warnings.map(flag)),
    ];
    DETAILS
        .iter()
        .map(|(metric, read)| gauge(rows, metric, |row| read(row.record())))
        .collect()
}

fn retrievals<'a>(rows: &[Row<'a>]) -> Family<'a> {
    let known = rows.iter().filter(|row| row.record().told.retrievals);
    let samples = known.flat_map(|row| {
        let tally = row.entry.retrievals();
        METHODS.map(|method| {
            let labels = row.with("method", method.label());
            Sample::new(labels, Value::Count(tally.get(method)))
        })
    });
    Family::new(&catalog::TRANSFER_RETRIEVALS, samples.collect())
}

pub(super) fn not_exported<'a>(shown: &'a [Shown<'a>], left_out: &[u64]) -> Family<'a> {
    let samples = shown.iter().zip(left_out);
    let samples = samples.map(|(s, count)| Sample::new(s.labels(), Value::Count(*count)));
    Family::new(&catalog::TRANSFERS_NOT_EXPORTED, samples.collect())
}

fn gauge<'a>(
    rows: &[Row<'a>],
    metric: &'static Metric,
    value: impl Fn(&Row<'a>) -> Option<Value>,
) -> Family<'a> {
    let one = |row: &Row<'a>| value(row).map(|value| Sample::new(row.labels(), value));
    Family::new(metric, rows.iter().filter_map(one).collect())
}

pub(super) fn flag(is_set: bool) -> Value {
    Value::Count(u64::from(is_set))
}
