//! The rules of the catalog, each over a ledger that was fed by hand.
//!
//! **Invariants.** What is compared is what a scrape would show: names, labels
//! and values.

mod blocks;
mod catalog;
mod places;
mod rules;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Printer, SenderView, Settings, blocks::columns, choose, everybody, row, senders, transfers,
};
use crate::{
    exposition::{Answer, Coding, Family, Protocol, Value},
    ledger::{self, Causes, Ledger, RecipientLabels},
    metric::Metric,
    model::{
        File, FileDownloads, Finding, Method, Observation, Reason, Recipient, Retrieval, Round,
        Scope, SenderId, State, TrackingId, Transfer, Verification,
    },
};

/// Seconds after the beginning of every test.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_775_000_000 + seconds).unwrap()
}

fn id(text: &str) -> TrackingId {
    TrackingId::parse(text).unwrap()
}

/// A ledger, and what it is shown with. Two senders, whose labels are not in
/// the order of their addresses.
struct Desk {
    ledger: Ledger,
    settings: Settings,
    printer: Printer,
}

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

fn watching(named: Vec<TrackingId>) -> ledger::Watching {
    let configured = |id| (id, ledger::Origin::Configured);
    ledger::Watching {
        scope: Scope::EVERYTHING,
        named: named.into_iter().map(configured).collect(),
        ..ledger::Watching::default()
    }
}

impl Desk {
    fn new(recipients: RecipientLabels, named: &[&str]) -> Self {
        let causes = Causes(vec![(
            "malware".to_owned(),
            regex::Regex::new("virus").unwrap(),
        )]);
        let named: Vec<_> = named.iter().map(|text| id(text)).collect();
        let view = |label: &str| SenderView {
            label: label.to_owned(),
            keep_ended: Duration::from_hours(24),
            poll_interval: Duration::from_mins(1),
            names: HashMap::new(),
        };
        let senders = [(ADA, "z"), (BOB, "a")];
        Self {
            ledger: Ledger::new(
                ledger::Settings {
                    causes,
                    recipients,
                    senders: vec![
                        (SenderId::new("prod", ADA), watching(named)),
                        (SenderId::new("prod", BOB), watching(Vec::new())),
                    ],
                },
                at(0),
            ),
            settings: Settings {
                transfers: true,
                max_transfers: 0,
                max_recipients: 0,
                expiring_within: Duration::from_hours(24),
                stale_after: Duration::from_mins(15),
                senders: senders
                    .map(|(address, label)| (SenderId::new("prod", address), view(label)))
                    .into(),
            },
            printer: Printer::default(),
        }
    }

    fn observe(&mut self, sender: &str, seconds: i64, finding: Finding) {
        let observation = Observation {
            sender: SenderId::new("prod", sender),
            at: at(seconds),
            finding,
        };
        self.ledger.apply(observation);
        // Counters are shown once they are durable.
        self.ledger.settle();
    }

    /// A round that listed `transfers` ends at `seconds`.
    fn round(&mut self, sender: &str, seconds: i64, transfers: Vec<Transfer>) {
        let singly = transfers.clone();
        let ids = transfers.iter().map(|reading| reading.id.clone()).collect();
        self.observe(sender, seconds, Finding::Seen(transfers));
        self.observe(
            sender,
            seconds,
            Finding::Listed {
                ids,
                ended: at(seconds),
                scope: Scope::EVERYTHING,
            },
        );
        for reading in singly {
            self.observe(sender, seconds, Finding::Inspected(reading));
        }
        self.end_round(sender, seconds, None);
    }

    fn end_round(&mut self, sender: &str, seconds: i64, failure: Option<Reason>) {
        let round = Round {
            failure,
            clock_offset: None,
            verified_until: Verification::Valid {
                until: None,
                needs_human: false,
            },
        };
        self.observe(sender, seconds, Finding::RoundEnded(round));
    }

    /// Stops in order, and begins again with what was kept.
    fn restart(&mut self, seconds: i64) {
        let directory = tempfile::tempdir().unwrap();
        let (_, mut store) = Ledger::open(directory.path(), ledger::IfMissing::Create).unwrap();
        store.commit(&self.ledger.changes(true)).unwrap();
        drop(store);
        let watched = self.settings.senders.keys().cloned();
        let (ledger, _) = Ledger::open(directory.path(), ledger::IfMissing::Create).unwrap();
        self.ledger = ledger;
        self.printer = Printer::default();
        self.ledger.watch(
            ledger::Settings {
                senders: watched.map(|id| (id, watching(Vec::new()))).collect(),
                ..ledger::Settings::default()
            },
            at(seconds),
        );
    }

    /// What a page shows, whole: no block is kept, and no family cut in pieces.
    fn naive<T>(&mut self, seconds: i64, show: impl FnOnce(&[Family<'_>]) -> T) -> T {
        let shown = everybody(&self.ledger, &self.settings, at(seconds));
        let mut room = row::Room::default();
        let places = &mut self.printer.places;
        let left_out = choose(&shown, &self.settings, places, &mut room);
        let causes: Vec<_> = self.ledger.causes().labels().collect();
        let mut families = senders::families(&shown, &self.settings, &causes);
        families.extend(columns().map(|column| column.family(&room.rows)));
        families.push(transfers::not_exported(&shown, &left_out));
        show(&families)
    }

    /// The body that a scrape gets.
    fn body(&mut self, seconds: i64, protocol: Protocol) -> Vec<u8> {
        let page = self
            .printer
            .print(&self.ledger, &self.settings, at(seconds));
        let answer = Answer::new(page.sheet(protocol), Vec::new(), Coding::Identity);
        let pieces = answer.pieces.map(|piece| piece.unwrap());
        pieces.collect::<Vec<_>>().concat()
    }

    /// The samples of `metric` as `label,label value`.
    fn samples(&mut self, seconds: i64, metric: &Metric) -> Vec<String> {
        self.naive(seconds, |families| {
            let family = families.iter().find(|family| family.name == metric.name);
            let family = family.unwrap_or_else(|| panic!("{} is gathered", metric.name));
            family.samples.iter().map(told).collect()
        })
    }

    /// The value of the one sample that has all of `labels`.
    fn value(&mut self, seconds: i64, metric: &Metric, labels: &str) -> Option<String> {
        let samples = self.samples(seconds, metric);
        let mut values = samples.iter().filter_map(|sample| {
            let (own, value) = sample.rsplit_once(' ').unwrap();
            let own: BTreeSet<_> = own.split(',').collect();
            let wanted = labels.split(',').all(|label| own.contains(label));
            wanted.then(|| value.to_owned())
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{labels} names one sample");
        value
    }

    /// The names of the families that have samples.
    fn names(&mut self, seconds: i64) -> BTreeSet<String> {
        self.naive(seconds, |families| {
            let shown = families.iter().filter(|family| !family.samples.is_empty());
            shown.map(|family| family.name.to_string()).collect()
        })
    }

    /// The tracking ids that have families of their own.
    fn shown(&mut self, seconds: i64) -> Vec<String> {
        let samples = self.samples(seconds, &super::catalog::TRANSFER_INFO);
        let id = |sample: String| sample.split(',').nth(2).unwrap().to_owned();
        samples.into_iter().map(id).collect()
    }
}

fn told(sample: &crate::exposition::Sample<'_>) -> String {
    let labels = sample.labels.iter().map(|(_, value)| &**value);
    let labels: Vec<_> = labels.collect();
    let value = match &sample.value {
        Value::Number(value) => value.to_string(),
        Value::Count(value) => value.to_string(),
        Value::Histogram { count, .. } => format!("count={count}"),
    };
    format!("{} {value}", labels.join(","))
}

/// A reading that tells the state and nothing else.
fn untold(text: &str, state: State) -> Transfer {
    Transfer {
        state: Some(state),
        ..Transfer::untold(id(text))
    }
}

/// A reading that tells everything: one recipient, one file, nothing wrong,
/// nothing retrieved, expires an hour after the beginning.
fn calm(text: &str, state: State) -> Transfer {
    Transfer {
        id: id(text),
        state: Some(state),
        warnings: Some(false),
        eml_creation_failed: Some(false),
        sender_notification_failed: Some(false),
        files: Some(vec![File {
            id: "f".into(),
            removed: Some(false),
            removal_cause: None,
        }]),
        recipients: Some(vec![recipient("r", "Eve@Example.org", 0)]),
        expires_at: Some(at(3600)),
        size_bytes: Some(1),
    }
}

/// A recipient who has downloaded the file `times` times.
fn recipient(id: &str, mail: &str, times: usize) -> Recipient {
    let download = Retrieval {
        at: Some(at(0) - SignedDuration::from_secs(1)),
        method: Method::Downloaded,
    };
    Recipient {
        id: id.into(),
        mail: Some(mail.into()),
        notification_failed: Some(false),
        downloads: Some(vec![FileDownloads {
            file: "f".into(),
            retrievals: Some(vec![download; times]),
        }]),
    }
}
