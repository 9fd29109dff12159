//! The ledger as a whole: what it counts, and what it costs.
//!
//! **Invariants.** Observations, commits and restarts come as from the
//! bookkeeper.

mod baseline;
mod lives;
mod server;
mod watching;

use jiff::Timestamp;
use server::{Deed, EACH, Server, Tells, observed, settings};

use super::{IfMissing, Ledger, Store};
use crate::model::{Method, State, TrackingId};

fn at(seconds: i64) -> Timestamp {
    // 2026-04-01, a quarter to one in the afternoon.
    Timestamp::from_second(1_775_047_500 + seconds).unwrap()
}

/// The sender's transfers are listed.
fn list(ledger: &mut Ledger, server: &Server, at: Timestamp) {
    for finding in server.listing(at) {
        ledger.apply(observed(finding, at));
    }
}

/// While commits fail, what waits is one row for each transfer and one for the
/// sender, however much happens.
#[test]
fn what_waits_for_a_commit_is_one_row_for_each_transfer() {
    let mut ledger = Ledger::new(settings(), at(0));
    let mut server = Server::default();
    list(&mut ledger, &server, at(0));
    let ids: Vec<_> = (0..20)
        .map(|n| TrackingId::parse(&format!("t{n}")).unwrap())
        .collect();
    for id in &ids {
        server.create(id);
        server.happen(id, Deed::Enter(State::Active));
    }
    let mut happened = 0;
    for second in 1..200 {
        for id in &ids {
            server.happen(id, Deed::Retrieve(EACH[0], EACH[1], Method::Viewed));
            let reading = server.reading(id, Tells::All);
            happened += ledger.apply(observed(reading, at(second))).len();
        }
        list(&mut ledger, &server, at(second));
    }
    assert!(happened > 3900, "only {happened} events");
    let batch = ledger.changes(false);
    assert_eq!((batch.senders.len(), batch.transfers.len()), (1, ids.len()));
    let row = |row: &Option<Vec<u8>>| row.as_ref().map_or(0, Vec::len);
    let bytes = batch.transfers.iter().map(|(_, _, bytes)| row(bytes));
    assert!(bytes.max() < Some(200), "rows that grow with what happens");
}

/// New transfers a day, where a large sender has twenty times as many; every
/// bound below grows with them.
const A_DAY: usize = 50;

/// Each is deleted after this many days, and a day later it is listed no more.
const RETENTION: usize = 14;

/// And after so many more days it is forgotten.
const MARKS: usize = 90;

fn of_day(day: Option<usize>) -> Vec<TrackingId> {
    let id = |n| TrackingId::parse(&format!("d{}-{n}", day?)).ok();
    (0..A_DAY).filter_map(id).collect()
}

/// A sender's year, with a commit for every 50 readings.
struct Year {
    ledger: Ledger,
    store: Store,
    server: Server,
    waiting: u32,
}

impl Year {
    fn live(&mut self, day: usize) {
        let now = at(86_400 * i64::try_from(day).unwrap());
        for id in of_day(Some(day)) {
            self.server.create(&id);
            self.server.happen(&id, Deed::Enter(State::Active));
            self.read(&id, now);
            self.server
                .happen(&id, Deed::Retrieve(EACH[0], EACH[0], Method::Downloaded));
            self.read(&id, now);
        }
        for id in of_day(day.checked_sub(RETENTION)) {
            self.server
                .happen(&id, Deed::Enter(State::DeletedByExpiration));
            self.read(&id, now);
        }
        for id in of_day(day.checked_sub(RETENTION + 1)) {
            self.server.0.remove(&id);
        }
        list(&mut self.ledger, &self.server, now);
        self.commit();
    }

    fn read(&mut self, id: &TrackingId, now: Timestamp) {
        let reading = self.server.reading(id, Tells::All);
        self.ledger.apply(observed(reading, now));
        self.waiting += 1;
        if self.waiting.is_multiple_of(50) {
            self.commit();
        }
    }

    fn commit(&mut self) {
        self.store.commit(&self.ledger.changes(false)).unwrap();
        self.ledger.settle();
    }
}

/// What is kept is what the server lists and the marks of 90 days: when these
/// are full, neither memory nor the file grows any more.
#[test]
fn a_year_of_new_transfers_takes_no_more_than_its_first_four_months() {
    let directory = tempfile::tempdir().unwrap();
    let (mut ledger, store) = Ledger::open(directory.path(), IfMissing::Create).unwrap();
    ledger.watch(settings(), at(0));
    list(&mut ledger, &Server::default(), at(0));
    let mut year = Year {
        ledger,
        store,
        server: Server::default(),
        waiting: 0,
    };
    let mut sizes = Vec::new();
    for day in 0..365 {
        year.live(day);
        let book = year.ledger.book(&server::sender()).unwrap();
        let entries = book.ids().count();
        assert!(entries <= A_DAY * (RETENTION + MARKS + 2), "{entries}");
        sizes.push(year.store.size_bytes().unwrap());
    }
    // The file doubles when it is full, and by then it holds everything.
    assert!(sizes[364] <= 2 * sizes[119], "{sizes:?}");
    let Year { ledger, store, .. } = year;
    drop(store);
    let (again, store) = Ledger::open(directory.path(), IfMissing::Create).unwrap();
    let before = ledger.book(&server::sender()).unwrap();
    let after = again.book(&server::sender()).unwrap();
    assert_eq!(after.counters(), before.counters());
    assert!(after.ids().eq(before.ids()), "other transfers");
    let bytes = usize::try_from(store.size_bytes().unwrap()).unwrap();
    assert!(bytes / after.ids().count() < 640, "{bytes} bytes");
}
