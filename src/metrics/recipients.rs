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
    transfers::{Row, flag},
};
use crate::{
    exposition::{Family, Sample, Value},
    model::{SenderId, TrackingId, record::Tally},
};

/// The labels of the recipients that have a place.
pub(super) type Places = HashMap<SenderId, HashMap<TrackingId, BTreeSet<Box<str>>>>;

/// One recipient that is shown.
struct Person<'r, 'a> {
    row: &'r Row<'a>,
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
            ..row.candidate
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

pub(super) fn families<'a>(rows: &[Row<'a>]) -> [Family<'a>; 2] {
    let people: Vec<_> = rows.iter().flat_map(people_of).collect();
    [retrievals(&people), notification_failed(&people)]
}

fn people_of<'r, 'a>(row: &'r Row<'a>) -> impl Iterator<Item = Person<'r, 'a>> {
    let begin = |label: &&'a str| {
        let person = Person {
            row,
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

impl<'a> Person<'_, 'a> {
    fn labels(&self) -> [(&'static str, &'a str); 4] {
        let [server, sender, id] = self.row.labels();
        [server, sender, id, ("recipient", self.label)]
    }
}

fn retrievals<'a>(people: &[Person<'_, 'a>]) -> Family<'a> {
    let known = people.iter().filter(|p| p.row.entry.record.told.retrievals);
    let samples = known.flat_map(|person| {
        METHODS.map(|method| {
            let labels = person.labels().into_iter();
            let labels = labels.chain([("method", method.label())]);
            Sample::new(labels, Value::Count(person.tally.get(method)))
        })
    });
    Family::new(&catalog::RECIPIENT_RETRIEVALS, samples.collect())
}

fn notification_failed<'a>(people: &[Person<'_, 'a>]) -> Family<'a> {
    let samples = people.iter().filter_map(|person| {
        let failed = person.notification_failed?;
        Some(Sample::new(person.labels(), flag(failed)))
    });
    Family::new(&catalog::RECIPIENT_NOTIFICATION_FAILED, samples.collect())
}
