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
struct Person<'a> {
    row: &'a Row<'a>,
    label: &'a str,
    tally: Tally,
    notification_failed: Option<bool>,
}

impl Person<'_> {
    fn labels(&self) -> Vec<(&'static str, String)> {
        let mut labels = self.row.labels();
        labels.push(("recipient", self.label.to_owned()));
        labels
    }
}

pub(super) fn families(rows: &[Row<'_>], most: usize, places: &mut Places) -> Vec<Family> {
    let mut people: Vec<_> = rows.iter().flat_map(people_of).collect();
    choose(&mut people, most, places);
    vec![retrievals(&people), notification_failed(&people)]
}

fn people_of<'a>(row: &'a Row<'a>) -> Vec<Person<'a>> {
    let mut people: BTreeMap<&str, Person<'a>> = BTreeMap::new();
    for (label, mark, tally) in row.shown.book.recipients(row.id) {
        let person = people.entry(label).or_insert_with(|| Person {
            row,
            label,
            tally: Tally::default(),
            notification_failed: None,
        });
        person.tally.add_all(tally);
        // `Some(true)` is the greatest, and what was not told the least.
        person.notification_failed = person.notification_failed.max(mark.notification_told);
    }
    people.into_values().collect()
}

/// Leaves those who have a place, and remembers them.
fn choose(people: &mut Vec<Person<'_>>, most: usize, places: &mut Places) {
    let had_place = |person: &Person<'_>| {
        let own = places.get(person.row.shown.id);
        let own = own.and_then(|transfers| transfers.get(person.row.id));
        own.is_some_and(|labels| labels.contains(person.label))
    };
    let candidate = |person: &Person<'_>| Candidate {
        is_shown: had_place(person),
        ..person.row.candidate
    };
    let candidates: Vec<_> = people.iter().map(candidate).collect();
    let mut taken = cap::choose(&candidates, most).into_iter();
    people.retain(|_| taken.next().unwrap_or_default());
    places.clear();
    // Without a cap nobody needs to be remembered.
    for person in people.iter().filter(|_| most > 0) {
        let own = places.entry(person.row.shown.id.clone()).or_default();
        let labels = own.entry(person.row.id.clone()).or_default();
        labels.insert(person.label.into());
    }
}

fn retrievals(people: &[Person<'_>]) -> Family {
    let known = people.iter().filter(|p| p.row.record.told.retrievals);
    let samples = known.flat_map(|person| {
        METHODS.map(|method| {
            let mut labels = person.labels();
            labels.push(("method", method.label().to_owned()));
            Sample::new(labels, Value::Count(person.tally.get(method)))
        })
    });
    Family::new(&catalog::RECIPIENT_RETRIEVALS, samples.collect())
}

fn notification_failed(people: &[Person<'_>]) -> Family {
    let samples = people.iter().filter_map(|person| {
        let failed = person.notification_failed?;
        Some(Sample::new(person.labels(), flag(failed)))
    });
    Family::new(&catalog::RECIPIENT_NOTIFICATION_FAILED, samples.collect())
}
