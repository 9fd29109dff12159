//! What counts and what is a baseline, clause by clause.
//!
//! **Invariants.** Every test reads what a book says happened, nothing else.

use std::time::Duration;

use super::*;
use crate::model::{Discover, Scope, State, Verification};

fn at(seconds: i64) -> Timestamp {
    // 2026-04-01, a quarter to one in the afternoon.
    Timestamp::from_second(1_775_047_500 + seconds).unwrap()
}

fn id(text: &str) -> TrackingId {
    TrackingId::parse(text).unwrap()
}

/// A book of a sender whose transfers are all discovered, and these named.
fn book(named: &[(&str, Origin)]) -> Book {
    watching(Scope::EVERYTHING, named)
}

/// A listing of one page.
fn list(book: &mut Book, page: Vec<Transfer>, at: Timestamp) -> Happened {
    let ids = page.iter().map(|reading| reading.id.clone()).collect();
    let happened = book.see(page, at);
    let scope = book.watching.scope;
    book.end_listing(ids, (scope, at), at);
    happened
}

fn watching(scope: Scope, named: &[(&str, Origin)]) -> Book {
    let mut book = Book::default();
    book.watch(
        Watching {
            scope,
            keep_ended: Duration::from_hours(1),
            named: named
                .iter()
                .map(|(name, origin)| (id(name), *origin))
                .collect(),
        },
        at(0),
    );
    book
}

fn reading(name: &str, state: State) -> Transfer {
    Transfer {
        state: Some(state),
        recipients: Some(Vec::new()),
        files: Some(Vec::new()),
        ..Transfer::untold(id(name))
    }
}

fn failing(name: &str, state: State) -> Transfer {
    Transfer {
        eml_creation_failed: Some(true),
        ..reading(name, state)
    }
}

#[test]
fn a_first_listing_and_the_first_reading_of_each_are_the_baseline() {
    let mut book = book(&[]);
    assert_eq!(
        list(&mut book, vec![reading("a", State::Active)], at(0)),
        vec![]
    );
    assert_eq!(book.inspect(&failing("a", State::Active), at(9)), vec![]);
    assert_eq!(book.inspect(&failing("a", State::Active), at(10)), vec![]);
    let ended = book.inspect(&failing("a", State::DeletedByAdmin), at(11));
    assert_eq!(ended.len(), 2, "{ended:?}");
}

#[test]
fn what_was_listed_once_keeps_its_baseline_until_its_first_reading() {
    let mut book = book(&[]);
    list(&mut book, vec![reading("a", State::Active)], at(0));
    assert_eq!(list(&mut book, vec![], at(60)), vec![]);
    assert_eq!(
        list(&mut book, vec![failing("a", State::Active)], at(120)),
        vec![]
    );
    assert_eq!(book.inspect(&failing("a", State::Active), at(9000)), vec![]);
    let revoked = reading("a", State::DeletedByRevocation);
    assert_eq!(book.inspect(&revoked, at(9001)).len(), 2);
}

#[test]
fn an_item_that_tells_nothing_but_its_id_has_a_baseline_when_it_can_be_read() {
    let mut book = book(&[]);
    for minute in 0..5 {
        let listing = vec![Transfer::untold(id("a")), reading("b", State::Active)];
        assert_eq!(list(&mut book, listing, at(minute * 60)), vec![]);
    }
    assert_eq!(book.inspect(&failing("a", State::Active), at(999)), vec![]);
}

#[test]
fn what_appears_later_counts_from_its_beginning() {
    let mut book = book(&[]);
    list(&mut book, vec![], at(0));
    let listed = list(&mut book, vec![reading("b", State::Active)], at(1));
    assert_eq!(listed.len(), 3, "{listed:?}");
    let inspected = book.inspect(&failing("b", State::Active), at(2));
    assert_eq!(inspected.len(), 1, "{inspected:?}");
}

#[test]
fn a_named_transfer_has_its_first_reading_as_baseline_whenever_that_comes() {
    let mut book = watching(Scope::default(), &[("c", Origin::Configured)]);
    assert_eq!(book.not_found(), 1);
    assert_eq!(book.lose(&id("c"), at(0)), vec![]);
    assert_eq!(book.inspect(&failing("c", State::Active), at(9000)), vec![]);
    assert_eq!(book.not_found(), 0);
    let ended = book.inspect(&failing("c", State::DeletedByAdmin), at(9001));
    assert_eq!(ended.len(), 2, "{ended:?}");
}

#[test]
fn a_named_transfer_that_is_discovered_follows_the_rule_of_discovery() {
    let mut new = book(&[("c", Origin::Configured)]);
    list(&mut new, vec![], at(0));
    assert_eq!(
        list(&mut new, vec![reading("c", State::Active)], at(1)).len(),
        3
    );
    assert_eq!(new.inspect(&failing("c", State::Active), at(2)).len(), 1);
    let mut old = book(&[("c", Origin::Dropped)]);
    list(&mut old, vec![reading("c", State::Active)], at(0));
    assert_eq!(old.inspect(&failing("c", State::Active), at(2)), vec![]);
}

#[test]
fn a_transfer_that_the_application_dropped_after_the_start_is_new() {
    let mut book = watching(Scope::default(), &[("d", Origin::Dropped)]);
    let first = book.inspect(&failing("d", State::Active), at(0));
    assert_eq!(first.len(), 4, "{first:?}");
}

#[test]
fn a_transfer_that_a_reload_names_has_a_baseline() {
    let mut book = watching(Scope::default(), &[]);
    book.watch(
        Watching {
            scope: Scope::default(),
            named: [(id("e"), Origin::Configured)].into(),
            ..Watching::default()
        },
        at(0),
    );
    assert_eq!(book.inspect(&failing("e", State::Active), at(0)), vec![]);
}

#[test]
fn discovery_that_is_switched_on_begins_with_a_baseline() {
    let mut book = watching(Scope::default(), &[("f", Origin::Configured)]);
    book.inspect(&reading("f", State::Active), at(0));
    book.watch(
        Watching {
            scope: Scope::EVERYTHING,
            named: [(id("f"), Origin::Configured)].into(),
            ..Watching::default()
        },
        at(0),
    );
    let listing = vec![reading("f", State::Active), reading("g", State::Active)];
    assert_eq!(list(&mut book, listing, at(60)), vec![]);
    assert_eq!(book.inspect(&failing("g", State::Active), at(61)), vec![]);
    let known = book.inspect(&failing("f", State::Active), at(62));
    assert_eq!(known.len(), 1, "what was watched before goes on counting");
}

#[test]
fn a_longer_age_has_a_baseline_for_the_old_ones_alone() {
    let age = |days: u64| Watching {
        scope: Scope {
            discover: Discover::Everything,
            max_age: Some(Duration::from_hours(24 * days)),
        },
        ..Watching::default()
    };
    let mut book = Book::default();
    book.watch(age(7), at(0));
    list(&mut book, vec![], at(0));
    book.watch(age(90), at(0));
    let (old, new) = ("20260215-080000-Qx7Lm2Za", "20260401-080000-Qx7Lm2Za");
    let listing = vec![reading(old, State::Active), reading(new, State::Active)];
    let happened = list(&mut book, listing, at(60));
    assert_eq!(happened.len(), 3, "{happened:?}");
    assert!(happened.iter().all(|(of, _)| *of == id(new)));
    assert_eq!(book.inspect(&failing(old, State::Active), at(61)), vec![]);
    let narrower = list(&mut book, vec![], at(120));
    assert_eq!(narrower, vec![]);
    book.watch(age(7), at(120));
    let later = "20260401-090000-Qx7Lm2Za";
    let happened = list(&mut book, vec![reading(later, State::Active)], at(180));
    assert_eq!(happened.len(), 3, "a narrower scope has no baseline");
}

#[test]
fn a_vanished_transfer_counts_once_and_revives_without_events() {
    let mut book = book(&[]);
    list(&mut book, vec![], at(0));
    list(&mut book, vec![reading("d", State::Active)], at(1));
    let lost = book.lose(&id("d"), at(2));
    assert_eq!(lost, vec![(id("d"), Event::Vanished)]);
    assert_eq!(book.present().count(), 0);
    assert_eq!(book.lose(&id("d"), at(3)), vec![]);
    assert_eq!(book.inspect(&reading("d", State::Active), at(4)), vec![]);
    assert_eq!(book.present().count(), 1);
    assert_eq!(book.lose(&id("d"), at(5)), vec![]);
}

#[test]
fn an_ended_transfer_that_leaves_the_list_is_forgotten_after_90_days() {
    let mut book = book(&[]);
    list(&mut book, vec![reading("e", State::Failed)], at(0));
    assert_eq!(list(&mut book, vec![], at(1)), vec![]);
    assert_eq!((book.present().count(), book.entries.len()), (0, 1));
    list(&mut book, vec![], at(91 * 86_400));
    assert_eq!(book.entries.len(), 0);
}

#[test]
fn the_last_good_round_is_remembered_through_failures() {
    let mut book = book(&[]);
    let round = |failure| Round {
        failure,
        clock_offset: None,
        verified_until: Verification::Unknown,
    };
    book.note_round(round(None), at(1));
    book.note_round(round(Some(crate::model::Reason::Timeout)), at(2));
    let presence = book.presence.unwrap();
    assert_eq!((presence.at, presence.good_at), (at(2), Some(at(1))));
}

#[test]
fn an_end_that_only_a_listing_told_is_still_to_be_read() {
    let mut book = book(&[]);
    list(&mut book, vec![reading("old", State::Failed)], at(0));
    list(&mut book, vec![reading("a", State::Active)], at(1));
    book.inspect(&reading("a", State::Active), at(2));
    list(&mut book, vec![reading("a", State::DeletedByAdmin)], at(3));
    let known = |book: &Book, name: &str| {
        let mut known = book.known();
        known
            .find(|(known, _)| **known == id(name))
            .map(|(_, state)| state)
    };
    assert_eq!(known(&book, "a"), Some(Some(State::Active)));
    assert_eq!(known(&book, "old"), None, "it left the list");
    book.inspect(&reading("a", State::DeletedByAdmin), at(4));
    assert_eq!(known(&book, "a"), Some(Some(State::DeletedByAdmin)));
}

#[test]
fn a_baseline_waits_for_the_lists_but_not_for_ever() {
    let mute = Transfer {
        files: None,
        ..reading("a", State::Active)
    };
    let mut waits = book(&[]);
    list(&mut waits, vec![mute.clone()], at(0));
    waits.inspect(&mute, at(1));
    assert_eq!(waits.inspect(&failing("a", State::Active), at(2)), vec![]);
    let mut tires = book(&[]);
    list(&mut tires, vec![mute.clone()], at(0));
    for second in 1..9 {
        tires.inspect(&mute, at(second));
    }
    assert_eq!(tires.inspect(&failing("a", State::Active), at(9)).len(), 1);
}

/// What these names make of a book from now on.
fn rename(book: &mut Book, named: &[(&str, Origin)], second: i64) {
    let named = named.iter().map(|(name, origin)| (id(name), *origin));
    let watching = Watching {
        named: named.collect(),
        ..book.watching.clone()
    };
    book.watch(watching, at(second));
}

#[test]
fn what_is_named_no_more_leaves_and_what_was_under_way_does_not_bring_it_back() {
    let mut book = watching(Scope::default(), &[("a", Origin::Dropped)]);
    assert_eq!(book.inspect(&reading("a", State::Active), at(0)).len(), 3);
    rename(&mut book, &[], 1);
    assert_eq!(book.present().count(), 0);
    assert_eq!(book.inspect(&failing("a", State::Active), at(2)), vec![]);
    assert_eq!(book.lose(&id("a"), at(3)), vec![]);
    assert_eq!(book.inspect(&failing("b", State::Active), at(4)), vec![]);
    assert_eq!(book.present().count(), 0);
    // Named again, it counts what happened meanwhile, and nothing twice.
    rename(&mut book, &[("a", Origin::Dropped)], 5);
    assert_eq!(book.inspect(&failing("a", State::Active), at(6)).len(), 1);
    assert_eq!(book.present().count(), 1);
}

#[test]
fn what_is_named_no_more_stays_where_it_is_discovered() {
    let mut book = book(&[("a", Origin::Configured)]);
    list(&mut book, vec![reading("a", State::Active)], at(0));
    book.inspect(&reading("a", State::Active), at(1));
    rename(&mut book, &[], 2);
    assert_eq!(book.present().count(), 1);
    assert_eq!(book.inspect(&failing("a", State::Active), at(3)).len(), 1);
}

#[test]
fn what_is_too_old_to_be_discovered_leaves_with_its_name() {
    let old = "20260215-080000-Qx7Lm2Za";
    let week = Scope {
        discover: Discover::Everything,
        max_age: Some(Duration::from_hours(7 * 24)),
    };
    let mut book = watching(week, &[(old, Origin::Dropped)]);
    list(&mut book, vec![reading(old, State::Active)], at(0));
    book.inspect(&reading(old, State::Active), at(1));
    rename(&mut book, &[], 2);
    assert_eq!(book.present().count(), 0);
    list(&mut book, vec![reading(old, State::Active)], at(3));
    assert_eq!(book.present().count(), 0, "the listing was under way");
}

#[test]
fn a_name_that_went_while_nobody_watched_is_gone_after_the_start() {
    let mut before = watching(Scope::default(), &[("a", Origin::Dropped)]);
    before.inspect(&reading("a", State::Active), at(0));
    let mut book = Book::restored(&before.row(), before.since()).unwrap();
    for (id, row) in before.changes() {
        book.restore_transfer(id, row.unwrap()).unwrap();
    }
    assert_eq!(book.present().count(), 1);
    rename(&mut book, &[], 60);
    assert_eq!(book.present().count(), 0);
    rename(&mut book, &[], 91 * 86_400);
    assert_eq!(book.entries.len(), 0, "marks are kept for 90 days");
}

const LIVING: Scope = Scope {
    discover: Discover::Active,
    max_age: None,
};

fn good_round(book: &mut Book, at: Timestamp) {
    let round = Round {
        failure: None,
        clock_offset: None,
        verified_until: Verification::Unknown,
    };
    book.note_round(round, at);
}

/// How many transfers are shown.
fn shown(book: &Book) -> usize {
    book.present().count()
}

#[test]
fn only_what_lives_is_discovered_and_its_end_is_shown_for_a_while() {
    let mut book = watching(LIVING, &[]);
    let first = vec![reading("a", State::Active), reading("old", State::Failed)];
    assert_eq!(list(&mut book, first, at(0)), vec![]);
    assert_eq!((shown(&book), book.entries.len()), (1, 1));
    book.inspect(&reading("a", State::Active), at(1));
    let ended = reading("a", State::DeletedByAdmin);
    assert_eq!(book.inspect(&ended, at(60)).len(), 2);
    list(&mut book, vec![], at(61));
    good_round(&mut book, at(62));
    assert_eq!(shown(&book), 1, "no listing tells of it, and it stays");
    good_round(&mut book, at(60 + 3600));
    assert_eq!(shown(&book), 0);
    // The newest page still has it, which brings nothing back.
    assert_eq!(list(&mut book, vec![ended], at(60 + 3601)), vec![]);
    assert_eq!(shown(&book), 0);
}

#[test]
fn what_comes_later_and_lives_counts_where_only_that_is_discovered() {
    let mut book = watching(LIVING, &[]);
    list(&mut book, vec![], at(0));
    let page = vec![reading("b", State::Active), reading("c", State::Failed)];
    let happened = list(&mut book, page, at(60));
    assert_eq!(happened.len(), 3, "{happened:?}");
    assert!(happened.iter().all(|(of, _)| *of == id("b")));
}

#[test]
fn discovering_everything_after_what_lives_has_a_baseline_for_what_had_ended() {
    let mut book = watching(LIVING, &[]);
    list(&mut book, vec![reading("a", State::Active)], at(0));
    book.inspect(&reading("a", State::Active), at(1));
    let everything = Watching {
        scope: Scope::EVERYTHING,
        ..book.watching.clone()
    };
    book.watch(everything, at(60));
    assert_eq!(book.listed().scope, LIVING);
    let page = vec![
        reading("a", State::Active),
        reading("new", State::Active),
        reading("old", State::Failed),
        Transfer::untold(id("mute")),
    ];
    let happened = list(&mut book, page, at(61));
    assert_eq!(happened.len(), 3, "{happened:?}");
    assert!(happened.iter().all(|(of, _)| *of == id("new")));
    assert_eq!(shown(&book), 4);
    assert!(book.had_ended(&id("old")));
    assert_eq!(
        book.inspect(&failing("mute", State::Failed), at(62)),
        vec![]
    );
    assert_eq!(book.listed().scope, Scope::EVERYTHING);
}

#[test]
fn what_has_ended_leaves_where_only_what_lives_is_discovered_from_now_on() {
    let mut book = book(&[("named", Origin::Configured)]);
    let page = ["old", "named"].map(|name| reading(name, State::Failed));
    list(&mut book, page.into(), at(0));
    let living = Watching {
        scope: LIVING,
        keep_ended: Duration::from_hours(1),
        ..book.watching.clone()
    };
    book.watch(living, at(60));
    good_round(&mut book, at(61));
    assert_eq!(shown(&book), 2);
    good_round(&mut book, at(3600));
    assert_eq!(shown(&book), 1, "what is named stays");
}

#[test]
fn what_a_listing_shows_only_because_a_reload_names_it_has_a_baseline() {
    let old = "20260215-080000-Qx7Lm2Za";
    let week = Scope {
        max_age: Some(Duration::from_hours(7 * 24)),
        ..Scope::EVERYTHING
    };
    for (scope, name, state) in [
        (week, old, State::Active),
        (LIVING, "ended", State::DeletedByAdmin),
    ] {
        let mut book = watching(scope, &[]);
        list(&mut book, vec![], at(0));
        rename(&mut book, &[(name, Origin::Configured)], 60);
        let listed = list(&mut book, vec![reading(name, state)], at(61));
        assert_eq!(listed, vec![], "{name}");
        assert_eq!(book.inspect(&failing(name, state), at(62)), vec![]);
        assert_eq!(shown(&book), 1);
    }
}

#[test]
fn a_vanished_transfer_keeps_its_marks_for_90_days() {
    for (days, events) in [(89, 0), (91, 4)] {
        let mut book = book(&[]);
        list(&mut book, vec![], at(0));
        list(&mut book, vec![reading("d", State::Active)], at(1));
        book.inspect(&failing("d", State::Active), at(2));
        book.lose(&id("d"), at(3));
        list(&mut book, vec![], at(days * 86_400));
        let revived = book.inspect(&failing("d", State::Active), at(days * 86_400 + 1));
        assert_eq!(revived.len(), events, "after {days} days: {revived:?}");
    }
}
