//! Which transfers and which recipients have a place.
//!
//! **Invariants.** What `cap` decides by itself is tested there.

use std::time::Duration;

use super::{ADA, BOB, Desk, at, calm, recipient};
use crate::{
    ledger::RecipientLabels,
    metrics::catalog::{RECIPIENT_NOTIFICATION_FAILED, TRANSFER_INFO, TRANSFERS_NOT_EXPORTED},
    model::{State, Transfer},
};

fn expiring(text: &str, hours: i64) -> Transfer {
    Transfer {
        expires_at: Some(at(3600 * hours)),
        ..calm(text, State::Active)
    }
}

fn troubled(text: &str, state: State) -> Transfer {
    Transfer {
        warnings: Some(true),
        ..calm(text, state)
    }
}

#[test]
fn named_then_troubled_then_active_then_ended() {
    let mut desk = Desk::new(RecipientLabels::Off, &["named"]);
    desk.round(ADA, 0, Vec::new());
    let old = vec![
        calm("older-end", State::Active),
        calm("newer-end", State::Active),
    ];
    desk.round(ADA, 1, old);
    let mut all = vec![
        expiring("far", 9),
        expiring("near", 3),
        expiring("untold", 1),
        troubled("troubled", State::Active),
        calm("named", State::DeletedByAdmin),
        calm("older-end", State::DeletedByAdmin),
        calm("newer-end", State::Active),
    ];
    all[2].expires_at = None;
    desk.round(ADA, 2, all.clone());
    all[6].state = Some(State::DeletedByRevocation);
    desk.round(ADA, 3, all);
    let order = [
        "named",
        "troubled",
        "near",
        "far",
        "untold",
        "newer-end",
        "older-end",
    ];
    for most in 1..=order.len() {
        desk.printer = super::Printer::default();
        desk.settings.max_transfers = most;
        let mut expect = order[..most].to_vec();
        expect.sort_unstable();
        let mut shown = desk.shown(4);
        shown.sort_unstable();
        assert_eq!(shown, expect, "{most}");
        let left_out = order.len() - most;
        let told = format!("prod,z {left_out}");
        assert!(desk.samples(4, &TRANSFERS_NOT_EXPORTED).contains(&told));
    }
}

#[test]
fn a_failed_transfer_is_in_trouble_whatever_its_flags_say() {
    let mut desk = Desk::new(RecipientLabels::Off, &[]);
    desk.round(ADA, 0, Vec::new());
    desk.round(
        ADA,
        1,
        vec![calm("a", State::Active), calm("f", State::Failed)],
    );
    desk.settings.max_transfers = 1;
    assert_eq!(desk.shown(2), ["f"]);
}

#[test]
fn who_is_shown_stays_until_a_higher_class_needs_the_place() {
    let mut desk = Desk::new(RecipientLabels::Off, &[]);
    desk.settings.max_transfers = 2;
    let mut all = vec![expiring("a", 20), expiring("b", 30)];
    desk.round(ADA, 0, all.clone());
    assert_eq!(desk.shown(1), ["a", "b"]);
    all.push(expiring("c", 1));
    desk.round(ADA, 60, all.clone());
    desk.round(BOB, 60, vec![expiring("d", 1)]);
    assert_eq!(desk.shown(61), ["a", "b"], "nearer ones of the class wait");
    let left_out = desk.samples(61, &TRANSFERS_NOT_EXPORTED);
    assert_eq!(left_out, ["prod,a 1", "prod,z 1"]);
    all.push(troubled("e", State::Active));
    desk.round(ADA, 120, all.clone());
    assert_eq!(desk.shown(121), ["a", "e"], "a higher class does not");
    all.retain(|transfer| transfer.id.as_str() != "e");
    desk.observe(ADA, 180, crate::model::Finding::Gone(super::id("e")));
    assert_eq!(
        desk.shown(181),
        ["d", "a"],
        "the sender without a place is next"
    );
}

#[test]
fn senders_share_the_places_fairly() {
    let mut desk = Desk::new(RecipientLabels::Off, &[]);
    desk.settings.max_transfers = 4;
    let many = |prefix: &str| -> Vec<_> {
        (1..9)
            .map(|n| expiring(&format!("{prefix}{n}"), n))
            .collect()
    };
    desk.round(ADA, 0, many("a"));
    desk.round(BOB, 0, many("b")[..3].to_vec());
    assert_eq!(desk.shown(1), ["b1", "b2", "a1", "a2"]);
    let left_out = desk.samples(1, &TRANSFERS_NOT_EXPORTED);
    assert_eq!(left_out, ["prod,a 1", "prod,z 6"]);
}

#[test]
fn without_transfers_nothing_is_shown_and_nothing_left_out() {
    let mut desk = Desk::new(RecipientLabels::Plain, &[]);
    desk.settings.transfers = false;
    desk.settings.max_transfers = 1;
    desk.round(ADA, 0, vec![expiring("a", 1), expiring("b", 1)]);
    let of_transfers =
        |name: &String| name.contains("_transfer_") || name.contains("_recipient_ret");
    assert!(!desk.names(1).iter().any(of_transfers));
    let left_out = desk.samples(1, &TRANSFERS_NOT_EXPORTED);
    assert_eq!(left_out, ["prod,a 0", "prod,z 0"]);
}

#[test]
fn recipients_have_a_cap_of_their_own_and_keep_their_places() {
    let mut desk = Desk::new(RecipientLabels::Plain, &[]);
    desk.settings.max_recipients = 3;
    let to = |text: &str, mails: &[&str]| Transfer {
        recipients: Some(mails.iter().map(|mail| recipient(mail, mail, 0)).collect()),
        ..expiring(text, 1)
    };
    desk.round(ADA, 0, vec![to("a", &["b@x", "c@x", "d@x", "e@x"])]);
    let shown = |desk: &mut Desk, seconds| desk.samples(seconds, &RECIPIENT_NOTIFICATION_FAILED);
    let first = ["prod,z,a,b@x 0", "prod,z,a,c@x 0", "prod,z,a,d@x 0"];
    assert_eq!(shown(&mut desk, 1), first);
    desk.round(ADA, 60, vec![to("a", &["a@x", "b@x", "c@x", "d@x", "e@x"])]);
    desk.round(BOB, 60, vec![to("f", &["a@x"])]);
    assert_eq!(shown(&mut desk, 61), first, "newcomers wait");
    assert_eq!(
        desk.samples(61, &TRANSFER_INFO).len(),
        2,
        "transfers are not capped by it"
    );
    desk.settings.max_transfers = 1;
    desk.observe(ADA, 61, crate::model::Finding::Gone(super::id("a")));
    assert_eq!(
        shown(&mut desk, 62),
        ["prod,a,f,a@x 0"],
        "of shown transfers alone"
    );
}

#[test]
fn ended_transfers_leave_after_keep_ended() {
    let mut desk = Desk::new(RecipientLabels::Off, &["named"]);
    for view in desk.settings.senders.values_mut() {
        view.keep_ended = Duration::from_secs(100);
    }
    desk.round(ADA, 0, vec![calm("before", State::DeletedByAdmin)]);
    let both = |state| vec![calm("t", state), calm("named", state)];
    desk.round(ADA, 1, both(State::Active));
    desk.round(ADA, 10, both(State::DeletedByAdmin));
    desk.round(ADA, 110, both(State::DeletedByAdmin));
    assert_eq!(desk.shown(110), ["named", "t"]);
    desk.round(ADA, 111, both(State::DeletedByAdmin));
    assert_eq!(desk.shown(111), ["named"]);
}
