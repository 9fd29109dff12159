//! The families by transfer, and which transfers are shown.
//!
//! **Invariants.** Never more transfers than the cap; who keeps a place is
//! decided by [`cap`] alone.

use jiff::SignedDuration;

use super::{
    METHODS, Settings, Shown,
    cap::{self, Holders},
    catalog,
    columns::{Column, Take, Tell, flag},
    row::{Room, Row},
    senders::seconds,
};
use crate::{
    exposition::{Family, Sample, Value},
    ledger::Entry,
    metric::Metric,
    model::{Record, TrackingId},
};

/// Puts the transfers that have a place in the room, and counts those of each
/// sender that have none. Of each sender those come first that have ended, and
/// of these and of the others the lowest tracking id.
pub(super) fn choose<'a>(
    shown: &'a [Shown<'a>],
    settings: &Settings,
    places: &mut Holders,
    room: &mut Room<'a>,
) -> Vec<u64> {
    let Room { rows, living } = room;
    let fresh = shown.iter().enumerate().filter(|(_, s)| !s.is_stale);
    for (sender, s) in fresh.filter(|_| settings.transfers) {
        for (id, entry) in s.book.present().filter(|present| is_shown(s, *present)) {
            let row = Row {
                shown: s,
                id,
                entry,
                revision: entry.revision(),
                has_ended: entry.record.has_ended(),
                recipients: Vec::new(),
                sender,
                is_shown: places.has((s.id, id)),
            };
            let own = if row.has_ended {
                &mut *rows
            } else {
                &mut *living
            };
            own.push(row);
        }
        rows.append(living);
    }
    let mut left_out = vec![0; shown.len()];
    let most = settings.max_transfers;
    if most > 0 && rows.len() > most {
        cut(rows, most, &mut left_out);
    }
    places.clear();
    // Without a cap nobody needs to be remembered.
    for row in rows.iter().filter(|_| most > 0) {
        places.add((row.shown.id, row.id));
    }
    left_out
}

/// Leaves those that get one of `most` places, and counts the others by sender.
fn cut(rows: &mut Vec<Row<'_>>, most: usize, left_out: &mut [u64]) {
    let candidates: Vec<_> = rows.iter().map(Row::candidate).collect();
    let mut taken = cap::choose(&candidates, most).into_iter();
    rows.retain(|row| {
        let is_taken = taken.next().unwrap_or_default();
        if let Some(count) = left_out.get_mut(row.sender) {
            *count += u64::from(!is_taken);
        }
        is_taken
    });
}

/// Ended transfers leave after `keep_ended`, and those that had ended before we
/// began to watch are never shown; both stay while the configuration names
/// them.
fn is_shown(s: &Shown<'_>, (id, entry): (&TrackingId, &Entry)) -> bool {
    let record = &entry.record;
    let is_over = || entry.had_ended() || has_lapsed(s, record);
    !record.has_ended() || !is_over() || s.book.is_named(id)
}

fn has_lapsed(s: &Shown<'_>, record: &Record) -> bool {
    let keep = SignedDuration::try_from(s.view.keep_ended).unwrap_or(SignedDuration::MAX);
    let presence = s.book.presence.map(|presence| presence.at);
    match (record.ended_at, presence) {
        (Some(ended), Some(now)) => now.duration_since(ended) > keep,
        _ => false,
    }
}

/// The families by transfer, in the order of the catalog.
pub(super) const COLUMNS: [Column; 14] = [
    Column {
        metric: &catalog::TRANSFER_INFO,
        tell: Tell::Some(|row, take| take(&[("name", row.name())], Value::Count(1))),
    },
    Column {
        metric: &catalog::TRANSFER_STATE,
        tell: Tell::Some(|row, take| {
            if let Some(state) = row.record().state {
                take(&[("state", state.label())], Value::Count(1));
            }
        }),
    },
    one(&catalog::TRANSFER_EXPIRATION, |row| {
        row.told().expires_at.map(seconds).map(Value::Number)
    }),
    one(&catalog::TRANSFER_FILES, |row| {
        row.told().files.map(Value::Count)
    }),
    one(&catalog::TRANSFER_FILES_REMOVED, |row| {
        row.told().files_removed.map(Value::Count)
    }),
    one(&catalog::TRANSFER_SIZE, |row| {
        row.told().size_bytes.map(Value::Count)
    }),
    one(&catalog::TRANSFER_RECIPIENTS, |row| {
        row.told().recipients.map(Value::Count)
    }),
    one(&catalog::TRANSFER_RECIPIENTS_RETRIEVED, |row| {
        let count = u64::try_from(row.record().recipients_retrieved()).ok();
        count.filter(|_| row.told().retrievals).map(Value::Count)
    }),
    one(&catalog::TRANSFER_NOTIFICATIONS_FAILED, |row| {
        row.told().notifications_failed.map(Value::Count)
    }),
    one(&catalog::TRANSFER_SENDER_NOTIFICATION_FAILED, |row| {
        row.told().sender_notification_failed.map(flag)
    }),
    one(&catalog::TRANSFER_EML_CREATION_FAILED, |row| {
        row.told().eml_creation_failed.map(flag)
    }),
    one(&catalog::TRANSFER_WARNINGS, |row| {
        row.told().warnings.map(flag)
    }),
    Column {
        metric: &catalog::TRANSFER_RETRIEVALS,
        tell: Tell::Some(retrievals),
    },
    one(&catalog::TRANSFER_LAST_RETRIEVAL, |row| {
        row.record().last_retrieval.map(seconds).map(Value::Number)
    }),
];

const fn one(metric: &'static Metric, value: fn(&Row<'_>) -> Option<Value>) -> Column {
    Column {
        metric,
        tell: Tell::One(value),
    }
}

fn retrievals<'a>(row: &Row<'a>, take: Take<'_, 'a>) {
    if row.told().retrievals {
        let tally = row.entry.retrievals();
        for method in METHODS {
            let count = Value::Count(tally.get(method));
            take(&[("method", method.label())], count);
        }
    }
}

pub(super) fn not_exported<'a>(shown: &'a [Shown<'a>], left_out: &[u64]) -> Family<'a> {
    let samples = shown.iter().zip(left_out);
    let samples = samples.map(|(s, count)| Sample::new(s.labels(), Value::Count(*count)));
    Family::new(&catalog::TRANSFERS_NOT_EXPORTED, samples.collect())
}
