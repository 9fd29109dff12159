//! Properties of `merge`: what is counted is what raised a mark, and nothing
//! else.
//!
//! **Invariants.** The oracle is computed from the readings themselves, never
//! from a record.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::*;
use crate::model::{
    FileDownloads, Retrieval, TrackingId,
    state::State::{Active, DeletedByAdmin, Failed, Processing, Unknown},
};

fn id() -> TrackingId {
    TrackingId::parse("20260401-081500-Qx7Lm2Za").unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_775_000_000 + seconds).unwrap()
}

fn retrieval() -> impl Strategy<Value = Retrieval> {
    let date = prop::option::of(0_i64..1000);
    (0_usize..3, date).prop_map(|(method, date)| Retrieval {
        at: date.map(at),
        method: Method::ALL[method],
    })
}

fn recipients() -> impl Strategy<Value = Vec<Recipient>> {
    let list = prop::option::of(prop::collection::vec(retrieval(), 0..4));
    let files = prop::collection::btree_map(0_u8..3, list, 0..3);
    let recipient = (any::<Option<bool>>(), prop::option::of(files));
    prop::collection::btree_map(0_u8..3, recipient, 0..3).prop_map(|recipients| {
        let build = |(id, (failed, files)): (u8, (_, Option<BTreeMap<u8, _>>))| Recipient {
            id: format!("r{id}").into(),
            mail: None,
            notification_failed: failed,
            downloads: files.map(|files| files.into_iter().map(downloads).collect()),
        };
        recipients.into_iter().map(build).collect()
    })
}

fn downloads((file, retrievals): (u8, Option<Vec<Retrieval>>)) -> FileDownloads {
    FileDownloads {
        file: format!("f{file}").into(),
        retrievals,
    }
}

fn files() -> impl Strategy<Value = Vec<File>> {
    prop::collection::btree_map(0_u8..3, any::<Option<bool>>(), 0..3).prop_map(|files| {
        let build = |(id, removed): (u8, Option<bool>)| File {
            id: format!("f{id}").into(),
            removed,
            removal_cause: None,
        };
        files.into_iter().map(build).collect()
    })
}

fn reading() -> impl Strategy<Value = Transfer> {
    (
        prop::option::of(0..State::ALL.len()),
        any::<(Option<bool>, Option<bool>, Option<bool>)>(),
        prop::option::of(files()),
        prop::option::of(recipients()),
    )
        .prop_map(
            |(state, (warnings, eml, mail), files, recipients)| Transfer {
                state: state.map(|index| State::ALL[index]),
                warnings,
                eml_creation_failed: eml,
                sender_notification_failed: mail,
                files,
                recipients,
                ..Transfer::untold(id())
            },
        )
}

/// What is counted, by kind: retrievals by place and method, and everything
/// that can happen once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    retrievals: BTreeMap<(Box<str>, Box<str>, Method), u64>,
    once: BTreeMap<String, u64>,
}

impl Sums {
    fn add(&mut self, event: &Event) {
        let mut once = |what: String| *self.once.entry(what).or_default() += 1;
        match event {
            Event::Retrieved {
                recipient,
                file,
                method,
                times,
            } => {
                let key = (recipient.clone(), file.clone(), *method);
                *self.retrievals.entry(key).or_default() += times;
            }
            Event::RecipientNotificationFailed { recipient } => once(format!("mail {recipient}")),
            Event::FileRemoved { file, .. } => once(format!("removed {file}")),
            Event::SenderNotificationFailed => once("sender mail".to_owned()),
            Event::EmlCreationFailed => once("eml".to_owned()),
            Event::Entered(state) => once(format!("entered {}", state.label())),
            Event::Appeared => once("appeared".to_owned()),
            Event::EndedUnretrieved(_) => once("unretrieved".to_owned()),
            Event::Processed { .. } => once("processed".to_owned()),
            Event::Vanished => once("vanished".to_owned()),
        }
    }
}

fn run(record: Option<Record>, readings: &[Transfer]) -> (Record, Sums) {
    let mut sums = Sums::default();
    let mut record = record;
    for (index, reading) in readings.iter().enumerate() {
        let (merged, events) = merge(record, reading, at(i64::try_from(index).unwrap()));
        for event in &events {
            sums.add(event);
        }
        record = Some(merged);
    }
    (record.unwrap_or_default(), sums)
}

/// The high-water mark of the readings, computed without `merge`.
fn high_water(readings: &[Transfer]) -> BTreeMap<(Box<str>, Box<str>, Method), u64> {
    let mut marks = BTreeMap::new();
    for recipient in readings.iter().flat_map(|r| r.recipients.iter().flatten()) {
        for list in recipient.downloads.iter().flatten() {
            for method in Method::ALL {
                let entries = list.retrievals.iter().flatten();
                let count = entries.filter(|entry| entry.method == method).count();
                let key = (recipient.id.clone(), list.file.clone(), method);
                let mark: &mut u64 = marks.entry(key).or_default();
                *mark = (*mark).max(u64::try_from(count).unwrap());
            }
        }
    }
    marks.retain(|_, count| *count > 0);
    marks
}

fn shuffle(reading: &mut Transfer, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    if let Some(files) = &mut reading.files {
        files.shuffle(&mut rng);
    }
    if let Some(recipients) = &mut reading.recipients {
        recipients.shuffle(&mut rng);
        for lists in recipients.iter_mut().flat_map(|r| &mut r.downloads) {
            lists.shuffle(&mut rng);
            for entries in lists.iter_mut().flat_map(|list| &mut list.retrievals) {
                entries.shuffle(&mut rng);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_events_sum_to_the_high_water_mark(readings in prop::collection::vec(reading(), 0..8)) {
        let (_, sums) = run(None, &readings);
        prop_assert_eq!(sums.retrievals, high_water(&readings));
        for (what, count) in &sums.once {
            prop_assert_eq!(*count, 1, "{}", what);
        }
        let failed = |r: &&Transfer| r.eml_creation_failed == Some(true);
        prop_assert_eq!(sums.once.contains_key("eml"), readings.iter().any(|r| failed(&r)));
    }

    #[test]
    fn the_events_after_a_baseline_are_the_marks_less_the_baseline(
        before in prop::collection::vec(reading(), 1..5),
        after in prop::collection::vec(reading(), 0..5),
    ) {
        let (record, _) = run(None, &before);
        let (_, sums) = run(Some(record), &after);
        let base = high_water(&before);
        let mut expect = high_water(&[before, after].concat());
        for (key, count) in &mut expect {
            *count -= base.get(key).copied().unwrap_or_default();
        }
        expect.retain(|_, count| *count > 0);
        prop_assert_eq!(sums.retrievals, expect);
    }

    #[test]
    fn what_was_seen_before_raises_nothing(
        readings in prop::collection::vec(reading(), 1..5),
        again in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let (record, _) = run(None, &readings);
        let mut repeated = readings[again.index(readings.len())].clone();
        shuffle(&mut repeated, seed);
        // The end may be judged only now, and a change of state is a change.
        repeated.state = None;
        let (_, sums) = run(Some(record), &[repeated]);
        prop_assert_eq!(sums, Sums::default());
    }

    #[test]
    fn another_order_gives_the_same_marks(
        readings in prop::collection::vec(reading(), 0..6), seed: u64,
    ) {
        let mut shuffled = readings.clone();
        shuffled.shuffle(&mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(run(None, &readings).1.retrievals, run(None, &shuffled).1.retrievals);
    }
}

fn in_state(state: State) -> Transfer {
    Transfer {
        state: Some(state),
        recipients: Some(Vec::new()),
        ..Transfer::untold(id())
    }
}

#[test]
fn a_state_proves_those_that_were_passed() {
    let check = |states: &[State], expect: &[State]| {
        let readings: Vec<_> = states.iter().copied().map(in_state).collect();
        let (_, sums) = run(None, &readings);
        let entered: BTreeSet<_> = expect
            .iter()
            .map(|s| format!("entered {}", s.label()))
            .collect();
        let seen = sums.once.keys().filter(|what| what.starts_with("entered"));
        assert_eq!(
            seen.cloned().collect::<BTreeSet<_>>(),
            entered,
            "{states:?}"
        );
    };
    check(&[Active], &[Processing, Active]);
    check(&[Failed], &[Processing, Failed]);
    check(&[DeletedByAdmin], &[Processing, Active, DeletedByAdmin]);
    check(
        &[Processing, Active, DeletedByAdmin],
        &[Processing, Active, DeletedByAdmin],
    );
    check(&[Unknown], &[Unknown]);
}

#[test]
fn an_end_is_judged_only_when_its_retrievals_are_told() {
    let unretrieved = |reading: Transfer| run(None, &[reading]).1.once.contains_key("unretrieved");
    let deleted = in_state(State::DeletedByRevocation);
    assert!(unretrieved(deleted.clone()));
    let untold = Transfer {
        recipients: None,
        ..deleted
    };
    assert!(!unretrieved(untold));
    assert!(!unretrieved(in_state(Failed)));
}

#[test]
fn processing_time_is_known_only_from_its_beginning() {
    let took = |states: &[State]| {
        let readings: Vec<_> = states.iter().copied().map(in_state).collect();
        run(None, &readings).1.once.contains_key("processed")
    };
    assert!(took(&[Processing, Active]));
    assert!(!took(&[Active]));
    assert!(!took(&[State::Pending, Processing, Active]));
}
