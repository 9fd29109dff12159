//! The families by recipient, of transfers that are shown.
//!
//! Two recipients of a transfer with one address have one label, so they are
//! one series: their retrievals sum up, and a failure of either is one.
//!
//! **Invariants.** A recipient without a label is not shown; the label is the
//! ledger's. Never more recipients than the cap.

use std::collections::BTreeMap;

use super::{
    METHODS,
    cap::{self, Candidate, Holders},
    catalog,
    columns::{Column, Take, Tell, flag},
    row::Row,
};
use crate::{exposition::Value, model::record::Tally};

/// One recipient that is shown.
struct Person<'a> {
    label: &'a str,
    tally: Tally,
    notification_failed: Option<bool>,
}

/// Gives places to the recipients of `rows`, and remembers who has one.
pub(super) fn choose(rows: &mut [Row<'_>], most: usize, places: &mut Holders) {
    let mut candidates = Vec::new();
    for row in &mut *rows {
        let labels = row.entry.recipients().map(|(label, ..)| label);
        row.recipients.extend(labels);
        row.recipients.sort_unstable();
        row.recipients.dedup();
        let (sender, id) = (row.shown.id, row.id);
        candidates.extend(row.recipients.iter().map(|label| Candidate {
            is_shown: places.has((sender, id, label)),
            ..row.candidate()
        }));
    }
    let mut taken = cap::choose(&candidates, most).into_iter();
    places.clear();
    for row in rows {
        row.recipients.retain(|_| taken.next().unwrap_or_default());
        // Without a cap nobody needs to be remembered.
        for label in row.recipients.iter().filter(|_| most > 0) {
            places.add((row.shown.id, row.id, label));
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
