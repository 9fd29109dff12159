//! The families by transfer, and which transfers are shown.
//!
//! **Invariants.** Never more transfers than the cap; named ones first.

use jiff::{SignedDuration, Timestamp};

use super::{Settings, Shown, catalog, senders::seconds};
use crate::{
    exposition::{Family, Sample, Value},
    metric::Metric,
    model::{Method, Record, State, TrackingId},
};

/// One transfer that is shown.
struct Row<'a> {
    labels: Vec<(&'static str, String)>,
    name: &'a str,
    record: &'a Record,
}

/// A candidate for a place, the most important first.
struct Candidate<'a> {
    rank: (u8, i128),
    sender: usize,
    id: &'a TrackingId,
    record: &'a Record,
}

pub(super) fn families(shown: &[Shown<'_>], settings: &Settings) -> Vec<Family> {
    let (chosen, left_out) = choose(shown, settings.max_transfers);
    let rows: Vec<_> = chosen.into_iter().map(|c| row(shown, &c)).collect();
    let mut families = vec![info(&rows), state(&rows)];
    families.extend(details(&rows));
    families.push(retrievals(&rows));
    let last = |r: &Row<'_>| r.record.last_retrieval.map(seconds).map(Value::Number);
    families.push(gauge(&rows, &catalog::TRANSFER_LAST_RETRIEVAL, last));
    families.push(not_exported(shown, &left_out));
    families
}

/// The candidates that have a place, in the order of sender and id, and how
/// many of each sender have none.
fn choose<'a>(shown: &[Shown<'a>], most: usize) -> (Vec<Candidate<'a>>, Vec<usize>) {
    let mut candidates = Vec::new();
    for (sender, s) in shown.iter().enumerate().filter(|(_, s)| !s.is_stale) {
        candidates.extend(
            s.book
                .present()
                .filter_map(|(id, record)| candidate(s, sender, id, record)),
        );
    }
    let mut left_out = vec![0; shown.len()];
    if most > 0 && candidates.len() > most {
        candidates.sort_by(|a, b| (a.rank, a.sender, a.id).cmp(&(b.rank, b.sender, b.id)));
        for candidate in candidates.drain(most..) {
            if let Some(count) = left_out.get_mut(candidate.sender) {
                *count += 1;
            }
        }
        candidates.sort_by(|a, b| (a.sender, a.id).cmp(&(b.sender, b.id)));
    }
    (candidates, left_out)
}

/// Ended transfers leave after `keep_ended`, and those that had ended before we
/// began to watch are never shown; both stay while the configuration names
/// them.
fn candidate<'a>(
    s: &Shown<'a>,
    sender: usize,
    id: &'a TrackingId,
    record: &'a Record,
) -> Option<Candidate<'a>> {
    let is_named = s.book.is_named(id);
    if record.has_ended() && !is_named && (s.book.had_ended(id) || has_lapsed(s, record)) {
        return None;
    }
    let moment = |at: Option<Timestamp>| at.map_or(i128::MAX, Timestamp::as_nanosecond);
    let rank = match record.state {
        _ if is_named => (0, 0),
        _ if record.has_warning() => (1, 0),
        Some(state) if state.is_final() => (3, moment(record.ended_at).saturating_neg()),
        Some(_) | None => (2, moment(record.told.expires_at)),
    };
    Some(Candidate {
        rank,
        sender,
        id,
        record,
    })
}

fn has_lapsed(s: &Shown<'_>, record: &Record) -> bool {
    let keep = SignedDuration::try_from(s.view.keep_ended).unwrap_or(SignedDuration::MAX);
    let presence = s.book.presence.map(|presence| presence.at);
    match (record.ended_at, presence) {
        (Some(ended), Some(now)) => now.duration_since(ended) > keep,
        _ => false,
    }
}

fn row<'a>(shown: &'a [Shown<'a>], candidate: &Candidate<'a>) -> Row<'a> {
    let s = shown.get(candidate.sender);
    let mut labels = s.map(Shown::labels).unwrap_or_default();
    labels.push(("tracking_id", candidate.id.to_string()));
    let name = s.and_then(|s| s.view.names.get(candidate.id));
    Row {
        labels,
        name: name.map_or("", String::as_str),
        record: candidate.record,
    }
}

fn info(rows: &[Row<'_>]) -> Family {
    let samples = rows.iter().map(|row| {
        let mut labels = row.labels.clone();
        labels.push(("name", row.name.to_owned()));
        Sample::new(labels, Value::Count(1))
    });
    Family::new(&catalog::TRANSFER_INFO, samples.collect())
}

fn state(rows: &[Row<'_>]) -> Family {
    let samples = rows.iter().filter_map(|row| {
        let mut labels = row.labels.clone();
        labels.push(("state", row.record.state.map(State::label)?.to_owned()));
        Some(Sample::new(labels, Value::Count(1)))
    });
    Family::new(&catalog::TRANSFER_STATE, samples.collect())
}

fn details(rows: &[Row<'_>]) -> Vec<Family> {
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
        .map(|(metric, read)| gauge(rows, metric, |row| read(row.record)))
        .collect()
}

fn retrievals(rows: &[Row<'_>]) -> Family {
    let known = rows.iter().filter(|row| row.record.told.retrievals);
    let samples = known.flat_map(|row| {
        let tally = row.record.retrievals();
        Method::ALL.map(|method| {
            let mut labels = row.labels.clone();
            labels.push(("method", method.label().to_owned()));
            Sample::new(labels, Value::Count(tally.get(method)))
        })
    });
    Family::new(&catalog::TRANSFER_RETRIEVALS, samples.collect())
}

fn not_exported(shown: &[Shown<'_>], left_out: &[usize]) -> Family {
    let samples = shown.iter().zip(left_out).map(|(s, count)| {
        let count = u64::try_from(*count).unwrap_or(u64::MAX);
        Sample::new(s.labels(), Value::Count(count))
    });
    Family::new(&catalog::TRANSFERS_NOT_EXPORTED, samples.collect())
}

fn gauge(
    rows: &[Row<'_>],
    metric: &'static Metric,
    value: impl Fn(&Row<'_>) -> Option<Value>,
) -> Family {
    let one = |row| value(row).map(|value| Sample::new(row.labels.clone(), value));
    Family::new(metric, rows.iter().filter_map(one).collect())
}

fn flag(is_set: bool) -> Value {
    Value::Count(u64::from(is_set))
}
