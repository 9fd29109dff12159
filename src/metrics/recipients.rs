//! The families by recipient, of transfers that are shown.
//!
//! Two recipients of a transfer with one address have one label, so they are
//! one series: their retrievals sum up, and a failure of either is one.
//!
//! **Invariants.** A recipient without a label is not shown; the label is the
//! ledger's. Never more recipients than the cap.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    METHODS,
    cap::{self, Candidate},
    catalog,
    columns::{Column, Take, Tell},
    transfers::{Row, flag},
};
use crate::{
    exposition::Value,
    model::{SenderId, TrackingId, record::Tally},
};

/// The labels of the recipients that have a place.
pub(super) type Places = HashMap<SenderId, HashMap<TrackingId, BTreeSet<Box<str>>>>;

/// One recipient that is shown.
struct Person<'a> {
    label: &'a str,
    tally: Tally,
    notification_failed: Option<bool>,
}

/// Gives places to the recipients of `rows`, and remembers who has one.
pub(super) fn choose(rows: &mut [Row<'_>], most: usize, places: &mut Places) {
    let mut candidates = Vec::new();
    for row in &mut *rows {
        let labels = row.entry.recipients().map(|(label, ..)| label);
        row.recipients.extend(labels);
        row.recipients.sort_unstable();
        row.recipients.dedup();
        let own = places.get(row.shown.id).and_then(|own| own.get(row.id));
        candidates.extend(row.recipients.iter().map(|label| Candidate {
            is_shown: own.is_some_and(|labels| labels.contains(*label)),
            ..row.candidate()
        }));
    }
    let mut taken = cap::choose(&candidates, most).into_iter();
    places.clear();
    for row in rows {
        row.recipients.retain(|_| taken.next().unwrap_or_default());
        // Without a cap nobody needs to be remembered.
        if most > 0 && !row.recipients.is_empty() {
            let own = places.entry(row.shown.id.clone()).or_default();
            let labels = row.recipients.iter().map(|label| (*label).into());
            own.insert(row.id.clone(), labels.collect());
        }
    }
}

fn people_of<'a>(row: &Row<'a>) -> impl Iterator<Item = Person<'a>> {
    let begin = |label: &&'a str| {
        let person = Person {
            label,
            tally: Tally::default(),
            notification_failed: None,
        };
        (*label, person)
    };
    let mut people: BTreeMap<_, _> = row.recipients.iter().map(begin).collect();
    for (label, mark, tally) in row.entry.recipients() {
        if let Some(person) = people.get_mut(label) {
            person.tally.add_all(tally);
            // `Some(true)` is the greatest, and what was not told the least.
            person.notification_failed = person.notification_failed.max(mark.notification_told);
        }
    }
    people.into_values()
}

/// The families by recipient, in the order of the catalog.
pub(super) const COLUMNS: [Column; 2] = [
    Column {
        metric: &catalog::RECIPIENT_RETRIEVALS,
        tell: Tell::Some(retrievals),
    },
    Column {
        metric: &catalog::RECIPIENT_NOTIFICATION_FAILED,
        tell: Tell::Some(notification_failed),
    },
];

fn retrievals<'a>(row: &Row<'a>, take: Take<'_, 'a>) {
    for person in people_of(row).filter(|_| row.entry.record.told.retrievals) {
        for method in METHODS {
            let labels = [("recipient", person.label), ("method", method.label())];
            take(&labels, Value::Count(person.tally.get(method)));
        }
    }
}

fn notification_failed<'a>(row: &Row<'a>, take: Take<'_, 'a>) {
    for person in people_of(row) {
        if let Some(failed) = person.notification_failed {
            take(&[("recipient", person.label)], flag(failed));
        }
    }
}
