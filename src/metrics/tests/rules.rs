//! What is dense, what is absent and when, and what depends on time.
//!
//! **Invariants.** A time is seconds after the beginning of the test.

use std::collections::BTreeSet;

use super::{ADA, BOB, Desk, at, calm, id, recipient, untold};
use crate::{
    exposition::Protocol,
    ledger::RecipientLabels,
    metric::{Kind, Metric},
    metrics::catalog::{
        self, EML_CREATION_FAILURES, EXPIRING_UNRETRIEVED, FILES_REMOVED, NOT_FOUND,
        OLDEST_PROCESSING, OVERDUE, RECIPIENT_NOTIFICATION_FAILED, RECIPIENT_RETRIEVALS,
        RETRIEVALS, STATE_TRANSITIONS, TRANSFER_EML_CREATION_FAILED, TRANSFER_INFO,
        TRANSFER_RETRIEVALS, TRANSFERS, UNRETRIEVED, UP, VERIFICATION_EXPIRY, VERIFIED,
        WITH_FAILURES, WITH_WARNINGS,
    },
    model::{Finding, Method, Reason, Round, State, Transfer, Verification},
};

fn off() -> Desk {
    Desk::new(RecipientLabels::Off, &[])
}

fn names(families: &[&'static Metric]) -> BTreeSet<String> {
    families
        .iter()
        .map(|metric| metric.name.to_owned())
        .collect()
}

/// The counters by sender, and what is our own.
fn standing() -> BTreeSet<String> {
    let families = catalog::SENDER_FAMILIES.iter().copied();
    let is_counter = |m: &&Metric| matches!(m.kind, Kind::Counter | Kind::Histogram);
    let counters: Vec<_> = families.filter(is_counter).collect();
    names(&[counters.as_slice(), &[&catalog::TRANSFERS_NOT_EXPORTED]].concat())
}

#[test]
fn before_the_first_attempt_counters_stand_with_all_children_and_nothing_else() {
    let mut desk = off();
    assert_eq!(desk.names(0), standing());
    for (metric, children) in [
        (&RETRIEVALS, 3),
        (&FILES_REMOVED, 2),
        (&STATE_TRANSITIONS, State::ALL.len()),
        (&catalog::ENDED_UNRETRIEVED, 4),
        (&EML_CREATION_FAILURES, 1),
        (&catalog::PROCESSING_DURATION, 1),
        (&catalog::TRANSFERS_NOT_EXPORTED, 1),
    ] {
        let samples = desk.samples(0, metric);
        assert_eq!(samples.len(), 2 * children, "{}", metric.name);
        let is_zero = |sample: &String| sample.ends_with(" 0") || sample.ends_with("count=0");
        assert!(samples.iter().all(is_zero), "{samples:?}");
    }
}

#[test]
fn a_first_attempt_that_fails_tells_that_and_no_gauge() {
    let mut desk = off();
    desk.end_round(ADA, 0, Some(Reason::Timeout));
    let mut expect = standing();
    expect.extend(names(&[&UP, &VERIFIED]));
    assert_eq!(desk.names(1), expect);
    assert_eq!(desk.samples(1, &UP), ["prod,z 0"]);
}

#[test]
fn after_a_good_round_every_gauge_is_there_but_for_what_is_not() {
    let mut desk = off();
    desk.round(ADA, 0, Vec::new());
    let mut expect = names(catalog::SENDER_FAMILIES);
    expect.remove(OLDEST_PROCESSING.name);
    expect.remove(VERIFICATION_EXPIRY.name);
    expect.insert(catalog::TRANSFERS_NOT_EXPORTED.name.to_owned());
    assert_eq!(desk.names(1), expect);
    let states = desk.samples(1, &TRANSFERS);
    assert_eq!(states.len(), State::ALL.len(), "of the polled sender alone");
    let kinds = desk.samples(1, &WITH_FAILURES);
    assert_eq!(
        kinds,
        [
            "prod,z,eml 0",
            "prod,z,file_removed 0",
            "prod,z,recipient_notification 0",
            "prod,z,sender_notification 0",
        ]
    );
}

#[test]
fn what_was_not_told_is_absent_by_transfer_and_false_in_sums() {
    let mut desk = off();
    desk.round(ADA, 0, vec![untold("t", State::Active)]);
    let by_transfer: BTreeSet<_> = names(catalog::TRANSFER_FAMILIES);
    let shown: BTreeSet<_> = desk.names(1).intersection(&by_transfer).cloned().collect();
    assert_eq!(shown, names(&[&TRANSFER_INFO, &catalog::TRANSFER_STATE]));
    for metric in [
        &UNRETRIEVED,
        &OVERDUE,
        &EXPIRING_UNRETRIEVED,
        &WITH_WARNINGS,
    ] {
        assert_eq!(desk.samples(1, metric), ["prod,z 0"], "{}", metric.name);
    }
    assert!(
        desk.samples(1, &WITH_FAILURES)
            .iter()
            .all(|s| s.ends_with(" 0"))
    );
}

#[test]
fn a_flag_that_is_told_is_a_number_and_stays_when_it_is_not_told_again() {
    let mut desk = off();
    let failed = Transfer {
        eml_creation_failed: Some(true),
        ..calm("t", State::Active)
    };
    desk.round(ADA, 0, vec![calm("s", State::Active), failed]);
    desk.round(
        ADA,
        60,
        vec![untold("s", State::Active), untold("t", State::Active)],
    );
    let flags = desk.samples(61, &TRANSFER_EML_CREATION_FAILED);
    assert_eq!(flags, ["prod,z,s 0", "prod,z,t 1"]);
    assert_eq!(desk.value(61, &WITH_FAILURES, "eml").as_deref(), Some("1"));
    assert_eq!(desk.samples(61, &WITH_WARNINGS), ["prod,z 1"]);
}

#[test]
fn a_stale_sender_loses_all_gauges_at_once_and_keeps_the_rest() {
    let mut desk = Desk::new(RecipientLabels::Plain, &[]);
    desk.round(
        ADA,
        0,
        vec![calm("t", State::Active), calm("p", State::Processing)],
    );
    let fresh = desk.names(900);
    desk.end_round(ADA, 60, Some(Reason::Unreachable));
    assert_eq!(desk.samples(61, &UP), ["prod,z 0"], "at once");
    assert_eq!(desk.names(900), fresh, "the last values stay");
    let mut expect = standing();
    expect.extend(names(&[&UP, &VERIFIED]));
    assert_eq!(desk.names(901), expect);
    assert_eq!(
        desk.samples(901, &catalog::TRANSFERS_NOT_EXPORTED),
        ["prod,a 0", "prod,z 0"]
    );
    desk.round(ADA, 1000, vec![calm("t", State::Active)]);
    assert_eq!(desk.shown(1001), ["p", "t"], "and they come back");
}

#[test]
fn nobody_is_stale_before_three_intervals() {
    let mut desk = off();
    desk.settings.stale_after = std::time::Duration::from_secs(10);
    desk.round(ADA, 0, Vec::new());
    assert_eq!(desk.samples(180, &NOT_FOUND), ["prod,z 0"]);
    assert_eq!(desk.samples(181, &NOT_FOUND), Vec::<String>::new());
}

#[test]
fn a_stale_sender_takes_nothing_from_the_others() {
    let mut desk = off();
    desk.round(ADA, 0, vec![calm("t", State::Active)]);
    desk.round(BOB, 600, vec![calm("u", State::Active)]);
    assert_eq!(desk.shown(901), ["u"]);
    assert_eq!(desk.samples(901, &UNRETRIEVED), ["prod,a 1"]);
}

/// Without a word of this life: an alert that waits for its `for:` survives a
/// restart, and after a long pause nobody is said to be up.
#[test]
fn how_rounds_of_an_earlier_life_went_is_shown_no_longer_than_gauges() {
    for (failure, up) in [(None, "prod,z 1"), (Some(Reason::Unreachable), "prod,z 0")] {
        let mut desk = off();
        desk.round(ADA, 0, vec![calm("t", State::Active)]);
        desk.end_round(ADA, 60, failure);
        desk.restart(70);
        assert_eq!(desk.samples(960, &UP), [up]);
        assert_eq!(desk.samples(960, &VERIFIED), ["prod,z 1"]);
        for metric in [&UP, &VERIFIED, &UNRETRIEVED] {
            assert_eq!(desk.samples(961, metric), Vec::<String>::new());
        }
        desk.end_round(ADA, 1000, Some(Reason::Unreachable));
        assert_eq!(desk.samples(9000, &UP), ["prod,z 0"], "of this life");
    }
}

/// A round whose answer shows the server's clock `offset` seconds ahead.
fn round_with(offset: f64, until: Option<i64>) -> Finding {
    Finding::RoundEnded(Round {
        failure: None,
        clock_offset: Some(offset),
        verified_until: Verification::Valid {
            until: until.map(at),
            needs_human: false,
        },
    })
}

#[test]
fn gauges_of_time_follow_the_servers_clock_without_a_new_answer() {
    let mut desk = off();
    desk.settings.stale_after = std::time::Duration::from_hours(100);
    desk.settings.expiring_within = std::time::Duration::from_mins(10);
    desk.round(ADA, 0, vec![calm("t", State::Active)]);
    for (offset, expiring, overdue) in
        [(0.0, 3000, 3600), (500.0, 2500, 3100), (-500.0, 3500, 4100)]
    {
        desk.observe(ADA, 1, round_with(offset, None));
        let mut told = |seconds| {
            let one = |samples: Vec<String>| samples.concat();
            (
                one(desk.samples(seconds, &EXPIRING_UNRETRIEVED)),
                one(desk.samples(seconds, &OVERDUE)),
            )
        };
        let [no, yes] = ["prod,z 0".to_owned(), "prod,z 1".to_owned()];
        assert_eq!(told(expiring - 1), (no.clone(), no.clone()));
        assert_eq!(told(expiring), (yes.clone(), no.clone()));
        assert_eq!(told(overdue - 1), (yes.clone(), no.clone()));
        assert_eq!(told(overdue), (no, yes), "what is overdue is not expiring");
    }
}

#[test]
fn a_token_that_has_ended_is_valid_no_more() {
    let mut desk = off();
    desk.observe(ADA, 0, round_with(100.0, Some(600)));
    assert_eq!(desk.samples(499, &VERIFIED), ["prod,z 1"]);
    assert_eq!(desk.samples(500, &VERIFIED), ["prod,z 0"]);
    assert_eq!(
        desk.samples(500, &VERIFICATION_EXPIRY),
        ["prod,z 1775000600"]
    );
}

#[test]
fn the_oldest_processing_is_absent_when_none_is() {
    let mut desk = off();
    desk.round(ADA, 0, vec![calm("p", State::Processing)]);
    desk.round(
        ADA,
        60,
        vec![calm("p", State::Processing), calm("q", State::Processing)],
    );
    assert_eq!(desk.samples(61, &OLDEST_PROCESSING), ["prod,z 1775000000"]);
    desk.round(
        ADA,
        120,
        vec![calm("p", State::Active), calm("q", State::Processing)],
    );
    assert_eq!(desk.samples(121, &OLDEST_PROCESSING), ["prod,z 1775000060"]);
    desk.round(
        ADA,
        180,
        vec![calm("p", State::Active), calm("q", State::Failed)],
    );
    assert_eq!(desk.samples(181, &OLDEST_PROCESSING), Vec::<String>::new());
}

#[test]
fn what_vanished_leaves_gauges_and_series_at_once() {
    let mut desk = off();
    desk.round(ADA, 0, vec![calm("t", State::Active)]);
    desk.observe(ADA, 1, Finding::Gone(id("t")));
    assert_eq!(desk.shown(1), Vec::<String>::new());
    assert_eq!(desk.samples(1, &UNRETRIEVED), ["prod,z 0"]);
    let vanished = desk.value(1, &catalog::VANISHED, "z");
    assert_eq!(vanished.as_deref(), Some("1"));
}

#[test]
fn a_named_transfer_is_not_found_until_it_comes_and_has_its_name() {
    let mut desk = Desk::new(RecipientLabels::Off, &["n"]);
    let view = desk
        .settings
        .senders
        .values_mut()
        .find(|view| view.label == "z");
    view.unwrap()
        .names
        .insert(id("n"), "year-end report".to_owned());
    desk.round(ADA, 0, Vec::new());
    assert_eq!(desk.samples(1, &NOT_FOUND), ["prod,z 1"]);
    desk.round(
        ADA,
        60,
        vec![calm("m", State::Active), calm("n", State::Active)],
    );
    assert_eq!(desk.samples(61, &NOT_FOUND), ["prod,z 0"]);
    let infos = desk.samples(61, &TRANSFER_INFO);
    assert_eq!(infos, ["prod,z,m, 1", "prod,z,n,year-end report 1"]);
}

#[test]
fn a_retrieval_from_before_counts_by_transfer_and_not_by_sender() {
    let mut desk = off();
    let twice = Transfer {
        recipients: Some(vec![recipient("r", "eve@example.org", 2)]),
        ..calm("t", State::Active)
    };
    desk.round(ADA, 0, vec![twice.clone()]);
    assert_eq!(
        desk.value(1, &TRANSFER_RETRIEVALS, "downloaded").as_deref(),
        Some("2")
    );
    let before = desk.value(1, &RETRIEVALS, "z,downloaded");
    assert_eq!(before.as_deref(), Some("0"));
    let mut thrice = twice;
    thrice.recipients = Some(vec![recipient("r", "eve@example.org", 3)]);
    desk.round(ADA, 60, vec![thrice]);
    assert_eq!(
        desk.value(61, &TRANSFER_RETRIEVALS, "downloaded")
            .as_deref(),
        Some("3")
    );
    assert_eq!(
        desk.value(61, &RETRIEVALS, "z,downloaded").as_deref(),
        Some("1")
    );
}

#[test]
fn recipients_have_no_families_unless_they_have_labels() {
    let mut desk = off();
    desk.round(ADA, 0, vec![calm("t", State::Active)]);
    assert_eq!(desk.samples(1, &RECIPIENT_RETRIEVALS), Vec::<String>::new());
    assert_eq!(
        desk.samples(1, &RECIPIENT_NOTIFICATION_FAILED),
        Vec::<String>::new()
    );
    assert!(!format!("{:?}", desk.ledger).to_lowercase().contains("eve@"));
}

#[test]
fn a_hash_keeps_the_address_out_of_the_ledger_and_off_the_page() {
    let mut desk = Desk::new(
        RecipientLabels::hash(b"key of thirty-two characters 123"),
        &[],
    );
    let to_bob = Transfer {
        recipients: Some(vec![recipient("r", "Bob@Example.org", 1)]),
        ..calm("t", State::Active)
    };
    desk.round(ADA, 0, vec![to_bob]);
    let failed = desk.samples(1, &RECIPIENT_NOTIFICATION_FAILED);
    assert_eq!(failed, ["prod,z,t,8305a23e11fc 0"]);
    for text in [
        format!("{:?}", desk.ledger),
        String::from_utf8(desk.body(1, Protocol::Text)).unwrap(),
    ] {
        assert!(!text.to_lowercase().contains("bob@example.org"));
        assert!(!text.contains("thirty-two"));
    }
}

#[test]
fn two_recipients_with_one_address_are_one_series() {
    let mut desk = Desk::new(RecipientLabels::Plain, &[]);
    let mut cc = recipient("s", "EVE@example.org", 2);
    cc.notification_failed = Some(true);
    let mut untold = recipient("u", "zoe@example.org", 0);
    untold.notification_failed = None;
    let mut nobody = recipient("v", "", 1);
    nobody.mail = None;
    let reading = Transfer {
        recipients: Some(vec![
            recipient("r", "eve@example.org", 1),
            cc,
            untold,
            nobody,
        ]),
        ..calm("t", State::Active)
    };
    desk.round(ADA, 0, vec![reading]);
    let retrievals = desk.samples(1, &RECIPIENT_RETRIEVALS);
    assert_eq!(
        retrievals,
        [
            "prod,z,t,eve@example.org,downloaded 3",
            "prod,z,t,eve@example.org,other 0",
            "prod,z,t,eve@example.org,viewed 0",
            "prod,z,t,zoe@example.org,downloaded 0",
            "prod,z,t,zoe@example.org,other 0",
            "prod,z,t,zoe@example.org,viewed 0",
        ]
    );
    let failed = desk.samples(1, &RECIPIENT_NOTIFICATION_FAILED);
    assert_eq!(failed, ["prod,z,t,eve@example.org 1"]);
}

#[test]
fn methods_are_in_the_order_of_their_labels() {
    assert!(super::super::METHODS.is_sorted_by_key(|method| method.label()));
    assert_eq!(super::super::METHODS.len(), Method::ALL.len());
}
