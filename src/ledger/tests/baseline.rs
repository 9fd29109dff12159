//! A first listing that misses what is there.
//!
//! **Invariants.** What is counted is read from what the ledger shows, after it
//! was written and read again.

use tempfile::TempDir;

use super::{
    at, list,
    server::{Deed, EACH, Server, Tells, observed, sender, settings},
};
use crate::{
    ledger::{IfMissing, Ledger, Origin, Settings, Store},
    model::{Method, State, TrackingId},
};

/// Sent two weeks before the first listing, and a few hours before it.
const OLD: &str = "20260318-090000-Qx7Lm2Za";
const RECENT: &str = "20260401-060000-Qx7Lm2Za";

/// A sender whose first listing was empty.
struct Life {
    directory: TempDir,
    ledger: Ledger,
    store: Option<Store>,
    server: Server,
    seconds: i64,
}

impl Life {
    fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (mut ledger, store) = Ledger::open(directory.path(), IfMissing::Create).unwrap();
        ledger.watch(settings(), at(0));
        list(&mut ledger, &Server::default(), at(0));
        Self {
            directory,
            ledger,
            store: Some(store),
            server: Server::default(),
            seconds: 0,
        }
    }

    /// A transfer of which a file was retrieved.
    fn send(&mut self, id: &str) {
        let id = TrackingId::parse(id).unwrap();
        self.server.create(&id);
        self.server.happen(&id, Deed::Enter(State::Active));
        self.retrieve(&id);
    }

    fn retrieve(&mut self, id: &TrackingId) {
        let deed = Deed::Retrieve(EACH[0], EACH[1], Method::Downloaded);
        self.server.happen(id, deed);
    }

    /// Everything is listed and read; the answer is how many retrievals have
    /// been counted by now, and how often a transfer entered active.
    fn counted(&mut self) -> (u64, u64) {
        self.seconds += 60;
        let now = at(self.seconds);
        list(&mut self.ledger, &self.server, now);
        for id in self.server.0.keys() {
            let reading = self.server.reading(id, Tells::All);
            self.ledger.apply(observed(reading, now));
        }
        let store = self.store.as_mut().unwrap();
        store.commit(&self.ledger.changes(false)).unwrap();
        self.ledger.settle();
        let counters = self.ledger.book(&sender()).unwrap().counters();
        let entered = counters.transitions.get(&State::Active);
        (counters.retrievals.total(), entered.copied().unwrap_or(0))
    }

    fn watch(&mut self, settings: Settings) {
        self.ledger.watch(settings, at(self.seconds));
    }

    fn restart(&mut self) {
        // The file has one user at a time.
        drop(self.store.take());
        let opened = Ledger::open(self.directory.path(), IfMissing::Create);
        let (ledger, store) = opened.unwrap();
        self.ledger = ledger;
        self.store = Some(store);
        self.watch(settings());
    }
}

#[test]
fn what_was_sent_before_the_first_listing_and_appears_later_begins_with_a_baseline() {
    let mut life = Life::begin();
    life.send(OLD);
    assert_eq!(life.counted(), (0, 0));
    life.retrieve(&TrackingId::parse(OLD).unwrap());
    assert_eq!(life.counted(), (1, 0), "what happens from now on counts");
}

#[test]
fn what_may_have_been_sent_after_the_first_listing_counts() {
    let mut life = Life::begin();
    for id in [RECENT, "20260401-130000-Qx7Lm2Za", "without-a-date"] {
        life.send(id);
    }
    assert_eq!(life.counted(), (3, 3));
}

#[test]
fn after_a_restart_the_old_is_still_old_and_what_came_meanwhile_is_new() {
    let mut life = Life::begin();
    assert_eq!(life.counted(), (0, 0));
    life.seconds += 20 * 86_400;
    life.restart();
    life.send(OLD);
    life.send("20260410-090000-Qx7Lm2Za");
    assert_eq!(life.counted(), (1, 1));
}

#[test]
fn what_vanished_and_returns_is_not_old() {
    let mut life = Life::begin();
    let id = TrackingId::parse(RECENT).unwrap();
    life.send(RECENT);
    assert_eq!(life.counted(), (1, 1));
    life.server.happen(&id, Deed::Forget);
    assert_eq!(life.counted(), (1, 1));
    life.restart();
    life.seconds += 20 * 86_400;
    life.server.happen(&id, Deed::Return);
    life.retrieve(&id);
    assert_eq!(life.counted(), (2, 1));
}

#[test]
fn a_sender_that_comes_back_begins_anew() {
    let mut life = Life::begin();
    life.watch(Settings::default());
    life.seconds += 20 * 86_400;
    life.watch(settings());
    assert_eq!(life.counted(), (0, 0));
    life.send("20260410-090000-Qx7Lm2Za");
    life.send("20260421-130000-Qx7Lm2Za");
    assert_eq!(life.counted(), (1, 1));
}

#[test]
fn a_watch_file_makes_nothing_new_of_what_is_discovered_and_old() {
    let mut life = Life::begin();
    life.send(OLD);
    let mut settings = settings();
    let id = TrackingId::parse(OLD).unwrap();
    let named = &mut settings.senders[0].1.named;
    named.insert(id.clone(), Origin::Dropped);
    life.watch(settings);
    // It is read before it is listed.
    let reading = life.server.reading(&id, Tells::All);
    life.ledger.apply(observed(reading, at(life.seconds)));
    assert_eq!(life.counted(), (0, 0));
}
