//! What the ledger costs on disk: commits, bytes and the start.
//!
//! ```sh
//! cargo bench --bench ledger
//! ```
//!
//! A commit waits for the disk of the build directory, so its time says as much
//! of that disk as of us.
//!
//! **Invariants.** Only what the library offers to everybody is measured.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench talks to whoever has started it, and panics where it cannot go on"
)]

use std::{cell::Cell, path::Path};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use cryptshare_exporter::{
    ledger::{IfMissing, Ledger, Settings, Store, Watching},
    model::{
        File, FileDownloads, Finding, Method, Observation, Recipient, Retrieval, Scope, SenderId,
        State, TrackingId, Transfer,
    },
};
use jiff::{Timestamp, ToSpan};
use tempfile::TempDir;

/// Transfers of a page.
const PAGE: usize = 100;

/// Transfers of a large store.
const MANY: usize = 50_000;

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn settings() -> Settings {
    let watching = Watching {
        scope: Scope::EVERYTHING,
        ..Watching::default()
    };
    Settings {
        senders: vec![(sender(), watching)],
        ..Settings::default()
    }
}

fn sender() -> SenderId {
    SenderId::new("prod", "invoices@example.com")
}

fn open(directory: &Path) -> (Ledger, Store) {
    let (mut ledger, store) = Ledger::open(directory, IfMissing::Create).unwrap();
    ledger.watch(settings(), at());
    (ledger, store)
}

/// The file lies on the disk of the build directory.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A transfer with three recipients and three files, of whose nine pairs five
/// were retrieved.
fn transfer(n: usize) -> Transfer {
    let id = |what: &str, k: usize| format!("{what}-{n:06}-{k}").into_boxed_str();
    let file = |k| File {
        id: id("file", k),
        removed: Some(false),
        removal_cause: None,
    };
    let retrieval = Retrieval {
        at: Some(at()),
        method: Method::Downloaded,
    };
    let downloads = |recipient, k| FileDownloads {
        file: id("file", k),
        retrievals: Some(vec![
            retrieval;
            usize::from(recipient + k < 3 && recipient * k != 1)
        ]),
    };
    let recipient = |k| Recipient {
        id: id("recipient", k),
        mail: None,
        notification_failed: Some(false),
        downloads: Some((0..3).map(|file| downloads(k, file)).collect()),
    };
    Transfer {
        state: Some(State::Active),
        warnings: Some(false),
        eml_creation_failed: Some(false),
        sender_notification_failed: Some(false),
        files: Some((0..3).map(file).collect()),
        recipients: Some((0..3).map(recipient).collect()),
        expires_at: Some(at()),
        size_bytes: Some(1_000_000),
        ..Transfer::untold(TrackingId::parse(&format!("20260401-081500-{n:08}")).unwrap())
    }
}

fn take_in(ledger: &mut Ledger, finding: Finding) {
    ledger.apply(Observation {
        sender: sender(),
        at: at(),
        finding,
    });
}

fn commit(ledger: &mut Ledger, store: &mut Store) {
    let batch = ledger.changes(false);
    if !batch.is_empty() {
        store.commit(&batch).unwrap();
        ledger.settle();
    }
}

/// A ledger that knows this many transfers, each read once.
fn filled(directory: &Path, count: usize) -> (Ledger, Store) {
    let (mut ledger, mut store) = open(directory);
    let (ids, ended, scope) = (Vec::new(), at(), Scope::EVERYTHING);
    take_in(&mut ledger, Finding::Listed { ids, ended, scope });
    for n in 0..count {
        take_in(&mut ledger, Finding::Inspected(transfer(n)));
        if n % PAGE == 0 {
            commit(&mut ledger, &mut store);
        }
    }
    commit(&mut ledger, &mut store);
    (ledger, store)
}

/// A page of which `changed` transfers have another expiration than the last
/// time.
fn page(changed: usize, turn: i64) -> Vec<Transfer> {
    let mut page: Vec<_> = (0..PAGE).map(transfer).collect();
    for transfer in page.iter_mut().take(changed) {
        transfer.expires_at = Some(at() + turn.seconds());
    }
    page
}

fn commits(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("a page of 100 transfers");
    for changed in [0, 1, PAGE] {
        let directory = directory();
        let (mut ledger, mut store) = filled(directory.path(), PAGE);
        let turn = Cell::new(0);
        let next = || {
            turn.set(turn.get() + 1);
            page(changed, turn.get())
        };
        group.bench_function(format!("{changed} changed"), |bench| {
            let routine = |page| {
                take_in(&mut ledger, Finding::Seen(page));
                commit(&mut ledger, &mut store);
            };
            bench.iter_batched(next, routine, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn start(bench: &mut Criterion) {
    let directory = directory();
    let (_, store) = filled(directory.path(), MANY);
    drop(store);
    let (ledger, store) = open(directory.path());
    let known = ledger.book(&sender()).unwrap().known().count();
    let bytes = usize::try_from(store.size_bytes().unwrap()).unwrap();
    println!("{known} transfers, {bytes} bytes, {} each", bytes / known);
    drop((ledger, store));
    let mut group = bench.benchmark_group("start");
    group.sample_size(20);
    group.bench_function("50,000 transfers", |bench| {
        // The file has one user at a time, and its end is not the start.
        let routine = |()| open(directory.path());
        bench.iter_batched(|| (), routine, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, commits, start);
criterion_main!(benches);
