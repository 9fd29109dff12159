//! The bodies of one fixed ledger, byte for byte.
//!
//! `UPDATE_GOLDEN=1` writes them anew; the difference is then to be read.

use std::{fs, path::Path, time::Duration};

use cryptshare_exporter::{
    cryptshare::answers,
    exposition::{Answer, Coding, Page, Protocol},
    ledger::{Causes, Ledger, Origin, RecipientLabels, Settings, Watching},
    metrics::{self, SenderView},
    model::{Finding, Observation, Reason, Round, Scope, SenderId, TrackingId, Verification},
};
use jiff::Timestamp;
use regex::Regex;

use crate::messages;

const ACTIVE: &str = "20260401-081500-Qx7Lm2Za";
const FAILED: &str = "20240522-065711-H8UoUSI6";

/// 2026-04-10, in seconds since 1970.
const NOW: i64 = 1_775_779_200;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

fn id(text: &str) -> TrackingId {
    TrackingId::parse(text).unwrap()
}

fn seed(path: &str) -> Vec<u8> {
    fs::read(Path::new("fuzz/seeds").join(path)).unwrap()
}

fn inspected(name: &str, seed_path: &str) -> Finding {
    let read = answers::status(&id(name), &seed(seed_path)).unwrap();
    Finding::Inspected(read.value)
}

fn round(failure: Option<Reason>, verified_until: Verification) -> Finding {
    Finding::RoundEnded(Round {
        failure,
        clock_offset: Some(1.5),
        verified_until,
    })
}

fn watching(named: &[&str]) -> Watching {
    let configured = |name: &&str| (id(name), Origin::Configured);
    Watching {
        scope: Scope::EVERYTHING,
        named: named.iter().map(configured).collect(),
        ..Watching::default()
    }
}

/// Two senders: one whose transfers have all that can happen to them, and one
/// whose server never answered.
fn ledger(senders: [SenderId; 2]) -> Ledger {
    let [busy, down] = senders;
    let mut ledger = Ledger::new(
        Settings {
            recipients: RecipientLabels::Plain,
            causes: Causes(vec![(
                "malware".to_owned(),
                Regex::new("(?i)virus").unwrap(),
            )]),
            senders: vec![
                (busy.clone(), watching(&[ACTIVE])),
                (down.clone(), watching(&[])),
            ],
        },
        at(0),
    );
    let until = Verification::Valid {
        until: Some(at(86_400)),
        needs_human: false,
    };
    let listed = answers::list(&seed("list/page.json")).unwrap();
    let page = listed.value.transfers;
    let ids = page.iter().map(|reading| reading.id.clone()).collect();
    let findings = [
        Finding::Listed {
            ids: Vec::new(),
            ended: at(-1_000 * 86_400),
            scope: Scope::EVERYTHING,
        },
        inspected(ACTIVE, "status/processing.json"),
        inspected(FAILED, "status/failed.json"),
        round(None, until),
        Finding::Seen(page),
        Finding::Listed {
            ids,
            ended: at(-60),
            scope: Scope::EVERYTHING,
        },
        inspected(ACTIVE, "status/active.json"),
        round(None, until),
    ];
    for (seconds, finding) in (0..).step_by(10).zip(findings) {
        ledger.apply(Observation {
            sender: busy.clone(),
            at: at(seconds - 100),
            finding,
        });
    }
    ledger.apply(Observation {
        sender: down,
        at: at(-5),
        finding: round(Some(Reason::Unreachable), Verification::Unknown),
    });
    ledger.settle();
    ledger
}

fn page() -> Page {
    let senders = [
        SenderId::new("prod", "Invoices@example.com"),
        SenderId::new("prod", "b\"\\@example.com"),
    ];
    let view = |label: &str| SenderView {
        label: label.to_owned(),
        keep_ended: Duration::from_hours(24),
        poll_interval: Duration::from_mins(1),
        names: [(id(ACTIVE), "the \"year-end\" \\ report".to_owned())].into(),
    };
    let labels = ["invoices", "b\"\\@example.com"].map(view);
    let settings = metrics::Settings {
        transfers: true,
        max_recipients: 0,
        max_transfers: 2000,
        expiring_within: Duration::from_hours(24 * 60),
        stale_after: Duration::from_mins(15),
        senders: senders.clone().into_iter().zip(labels).collect(),
    };
    metrics::Printer::default().print(&ledger(senders), &settings, at(0))
}

#[test]
fn a_fixed_ledger_gives_fixed_bodies() {
    let page = page();
    let body = |protocol: Protocol| {
        let end = protocol.end().to_vec();
        let answer = Answer::new(page.sheet(protocol), end, Coding::Identity);
        let pieces = answer.pieces.map(Result::unwrap);
        pieces.collect::<Vec<_>>().concat()
    };
    let text = |protocol| String::from_utf8(body(protocol)).unwrap();
    compare("page.txt", &text(Protocol::Text));
    compare("page.openmetrics", &text(Protocol::OpenMetrics1));
    let told = messages::text(&messages::read(&body(Protocol::Protobuf)));
    compare("page.protobuf.txt", &told);
}

/// Of protobuf the file keeps what another reader makes of the bytes.
fn compare(file: &str, written: &str) {
    let path = Path::new("tests/golden").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, written).unwrap();
    }
    let expect = fs::read_to_string(&path).unwrap_or_default();
    for (line, (written, expect)) in (1..).zip(written.lines().zip(expect.lines())) {
        assert_eq!(written, expect, "{}, line {line}", path.display());
    }
    assert_eq!(written.len(), expect.len(), "{}", path.display());
}
