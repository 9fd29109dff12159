//! What was under way when another configuration took effect.
//!
//! **Invariants.** The order in which observations and settings come is that of
//! the bookkeeper.

use super::{
    at, list,
    server::{Deed, EACH, Server, Tells, observed, sender, settings},
};
use crate::{
    ledger::{Ledger, RecipientLabels, Settings},
    model::{Discover, Finding, Method, Round, Scope, State, TrackingId, Verification},
};

fn id(text: &str) -> TrackingId {
    TrackingId::parse(text).unwrap()
}

/// A transfer of which a file was retrieved.
fn send(server: &mut Server, name: &str, state: State) {
    server.create(&id(name));
    server.happen(&id(name), Deed::Enter(state));
    let deed = Deed::Retrieve(EACH[0], EACH[1], Method::Downloaded);
    server.happen(&id(name), deed);
}

fn counted(ledger: &mut Ledger) -> u64 {
    ledger.settle();
    ledger
        .book(&sender())
        .unwrap()
        .counters()
        .retrievals
        .total()
}

fn watching(scope: Scope) -> Settings {
    let mut settings = settings();
    settings.senders[0].1.scope = scope;
    settings
}

#[test]
fn what_is_under_way_when_a_sender_leaves_counts_nothing_and_shows_nothing() {
    let (mut ledger, mut server) = (Ledger::new(settings(), at(0)), Server::default());
    list(&mut ledger, &server, at(0));
    ledger.watch(Settings::default(), at(1));
    send(&mut server, "late", State::Active);
    list(&mut ledger, &server, at(2));
    let round = Round {
        failure: None,
        clock_offset: None,
        verified_until: Verification::Unknown,
    };
    for finding in [
        server.reading(&id("late"), Tells::All),
        Finding::RoundEnded(round),
    ] {
        assert_eq!(ledger.apply(observed(finding, at(2))), vec![]);
    }
    ledger.watch(settings(), at(3));
    let book = ledger.book(&sender()).unwrap();
    assert!(book.presence.is_none() && book.remembered() == 0);
    // What came while nobody watched is a baseline.
    list(&mut ledger, &server, at(4));
    ledger.apply(observed(server.reading(&id("late"), Tells::All), at(4)));
    assert_eq!(counted(&mut ledger), 0);
}

#[test]
fn a_listing_that_began_under_another_scope_takes_no_baseline() {
    let living = Scope {
        discover: Discover::Active,
        max_age: None,
    };
    let mut ledger = Ledger::new(watching(living), at(0));
    let mut server = Server::default();
    list(&mut ledger, &server, at(0));
    send(&mut server, "old", State::Failed);
    ledger.watch(watching(Scope::EVERYTHING), at(1));
    let listed = Finding::Listed {
        ids: Vec::new(),
        ended: at(1),
        scope: living,
    };
    ledger.apply(observed(listed, at(2)));
    list(&mut ledger, &server, at(3));
    ledger.apply(observed(server.reading(&id("old"), Tells::All), at(3)));
    assert_eq!(counted(&mut ledger), 0);
}

#[test]
fn addresses_leave_as_soon_as_the_configuration_asks_for_none() {
    let with = |recipients: &RecipientLabels| Settings {
        recipients: recipients.clone(),
        ..settings()
    };
    let (plain, off) = (RecipientLabels::Plain, RecipientLabels::Off);
    let mut ledger = Ledger::new(with(&plain), at(0));
    let mut server = Server::default();
    send(&mut server, "a", State::Active);
    list(&mut ledger, &server, at(0));
    let mut reading = server.reading(&id("a"), Tells::All);
    if let Finding::Inspected(told) = &mut reading {
        for recipient in told.recipients.iter_mut().flatten() {
            recipient.mail = Some("bob@example.org".into());
        }
    }
    ledger.apply(observed(reading, at(1)));
    let labels = |ledger: &Ledger| {
        let book = ledger.book(&sender()).unwrap();
        book.entry(&id("a")).unwrap().recipients().count()
    };
    assert!(labels(&ledger) > 0);
    ledger.settle();
    for (recipients, is_written) in [(&plain, false), (&off, true)] {
        ledger.watch(with(recipients), at(2));
        assert_eq!(!ledger.changes(false).transfers.is_empty(), is_written);
    }
    assert_eq!(labels(&ledger), 0);
    ledger.watch(with(&plain), at(3));
    assert_eq!(labels(&ledger), 0);
}
