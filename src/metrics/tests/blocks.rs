//! Blocks of transfers, against the same families written naively.
//!
//! **Invariants.** What is compared is the whole page, and each step may change
//! anything that can change.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{ADA, BOB, Desk, at, calm, id, recipient, untold};
use crate::{
    exposition::Protocol,
    ledger::RecipientLabels,
    metrics::{Printer, blocks::MEAN, choose, everybody, row::Room},
    model::{Finding, Scope, State, Transfer},
};

/// As many transfers each sender has at first: some blocks.
const MANY: usize = 600;

#[derive(Debug, Clone)]
enum Step {
    /// Some transfers of a sender tell something else.
    Change(bool, Vec<(usize, u8)>),
    /// Some appear, some are gone, from here on.
    Come(bool, usize, usize),
    Go(bool, usize, usize),
    /// The server does not answer for so many seconds.
    Pause(bool, i64),
    Name(bool, usize, u8),
    Cap(usize, usize),
    Relabel(bool, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let who = any::<bool>;
    let some = || (0..2 * MANY, 1_usize..100);
    let changes = prop::collection::vec((0..2 * MANY, any::<u8>()), 1..20);
    prop_oneof![
        4 => (who(), changes).prop_map(|(who, changes)| Step::Change(who, changes)),
        1 => (who(), some()).prop_map(|(who, (from, count))| Step::Come(who, from, count)),
        1 => (who(), some()).prop_map(|(who, (from, count))| Step::Go(who, from, count)),
        1 => (who(), 0_i64..4000).prop_map(|(who, seconds)| Step::Pause(who, seconds)),
        1 => (who(), 0..2 * MANY, any::<u8>()).prop_map(|(who, n, name)| Step::Name(who, n, name)),
        1 => (0..3 * MANY, 0..3 * MANY).prop_map(|(most, people)| Step::Cap(most, people)),
        1 => (who(), any::<u8>()).prop_map(|(who, label)| Step::Relabel(who, label)),
    ]
}

fn name(n: usize) -> String {
    format!("t{:05}", n * 7)
}

/// One of the faces of a transfer.
fn reading(n: usize, face: u8) -> Transfer {
    let state = match face % 8 {
        0 => State::Processing,
        1 => State::DeletedByExpiration,
        _ => State::Active,
    };
    let mails = [("r", "eve@example.org"), ("s", "Adam@example.org")];
    let recipients = mails.map(|(id, mail)| recipient(id, mail, usize::from(face / 64)));
    Transfer {
        warnings: [None, Some(true), Some(false)][usize::from(face) % 3],
        expires_at: Some(at(3600 + i64::from(face / 16))),
        recipients: Some(recipients.into()),
        ..calm(&name(n), state)
    }
}

struct Journey {
    desk: Desk,
    seconds: i64,
    /// What the servers know of each sender.
    known: [BTreeMap<usize, u8>; 2],
}

impl Journey {
    fn new() -> Self {
        let mut journey = Self {
            desk: Desk::new(RecipientLabels::Plain, &[]),
            seconds: 0,
            known: Default::default(),
        };
        journey.desk.round(ADA, 0, Vec::new());
        journey.desk.round(BOB, 0, Vec::new());
        for who in [false, true] {
            journey.take(&Step::Come(who, 0, MANY));
        }
        journey
    }

    fn take(&mut self, step: &Step) {
        self.seconds += 60;
        match step {
            Step::Change(who, changes) => {
                let known = &mut self.known[usize::from(*who)];
                for (n, face) in changes {
                    known.entry(*n).and_modify(|known| *known = *face);
                }
                self.round(*who);
            }
            Step::Come(who, from, count) => {
                let known = &mut self.known[usize::from(*who)];
                (*from..from + count).for_each(|n| _ = known.entry(n).or_insert(2));
                self.round(*who);
            }
            Step::Go(who, from, count) => {
                for n in *from..from + count {
                    if self.known[usize::from(*who)].remove(&n).is_some() {
                        let gone = Finding::Gone(id(&name(n)));
                        self.desk.observe(address(*who), self.seconds, gone);
                    }
                }
            }
            Step::Pause(who, seconds) => {
                self.seconds += seconds;
                self.round(*who);
            }
            Step::Name(who, n, name) => {
                let view = self.view(*who);
                view.names
                    .insert(id(&self::name(*n)), format!("\"{name}\\"));
            }
            Step::Cap(most, people) => {
                self.desk.settings.max_transfers = *most;
                self.desk.settings.max_recipients = *people;
            }
            Step::Relabel(who, label) => self.view(*who).label = format!("l{label}"),
        }
    }

    fn view(&mut self, who: bool) -> &mut crate::metrics::SenderView {
        let sender = crate::model::SenderId::new("prod", address(who));
        self.desk.settings.senders.get_mut(&sender).unwrap()
    }

    fn round(&mut self, who: bool) {
        let known = &self.known[usize::from(who)];
        let page = known.iter().map(|(n, face)| reading(*n, *face)).collect();
        self.desk.round(address(who), self.seconds, page);
    }

    fn judge(&mut self) {
        for protocol in [Protocol::Text, Protocol::Protobuf] {
            let body = self.desk.body(self.seconds, protocol);
            let mut expect = Vec::new();
            self.desk.naive(self.seconds, |families| {
                protocol.write(families, &mut expect);
            });
            assert!(body == expect, "after {} s", self.seconds);
        }
    }
}

const fn address(who: bool) -> &'static str {
    if who { ADA } else { BOB }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn kept_blocks_show_what_is_written_naively(steps in prop::collection::vec(step(), 1..12)) {
        let mut journey = Journey::new();
        journey.judge();
        for step in &steps {
            journey.take(step);
            journey.judge();
        }
    }
}

impl Desk {
    /// How many blocks are on the page, and how many of them were not on the
    /// last one.
    fn blocks(&mut self, seconds: i64) -> (usize, usize) {
        let Printer {
            places,
            blocks,
            deflater,
            ..
        } = &mut self.printer;
        let shown = everybody(&self.ledger, &self.settings, at(seconds));
        let mut room = Room::default();
        choose(&shown, &self.settings, places, &mut room);
        let before = blocks.all();
        let after = blocks.render(&room.rows, deflater);
        let is_new = |block: &&_| !before.iter().any(|old| std::sync::Arc::ptr_eq(old, block));
        (after.len(), after.iter().filter(is_new).count())
    }
}

/// A day's transfers each day, which end after a week and are listed for
/// another: after a year the blocks are as full as after a month. They tell
/// nothing but their states: what matters is where blocks are cut.
#[test]
fn a_year_of_coming_and_going_leaves_blocks_full() {
    const DAILY: usize = 90;
    const DAYS: usize = 14;
    let mut rendered = 0;
    let mut desk = Desk::new(RecipientLabels::Off, &[]);
    for view in desk.settings.senders.values_mut() {
        view.keep_ended = Duration::from_hours(24 * 24);
    }
    desk.round(ADA, 0, Vec::new());
    for day in 0..365_usize {
        let name = |n: usize| format!("t{n:06}");
        let of = |day: usize| day * DAILY..(day + 1) * DAILY;
        let mut page: Vec<_> = of(day).map(|n| untold(&name(n), State::Active)).collect();
        let old = day.checked_sub(DAYS / 2).into_iter().flat_map(of);
        page.extend(old.map(|n| untold(&name(n), State::DeletedByExpiration)));
        let first = (day + 1).saturating_sub(DAYS) * DAILY;
        let listed = first..(day + 1) * DAILY;
        let seconds = 86_400 * i64::try_from(day).unwrap();
        desk.observe(ADA, seconds, Finding::Seen(page));
        let ids = listed.clone().map(|n| id(&name(n))).collect();
        let ended = at(seconds);
        let scope = Scope::EVERYTHING;
        desk.observe(ADA, seconds, Finding::Listed { ids, ended, scope });
        desk.end_round(ADA, seconds, None);
        let (blocks, new) = desk.blocks(seconds);
        assert!(blocks <= 2 + 2 * listed.len() / MEAN, "day {day}: {blocks}");
        rendered += new;
    }
    // What appears, ends and leaves fills three blocks a day, each between two
    // others.
    assert!(rendered <= 365 * 3 * 3, "{rendered}");
    assert_eq!(desk.shown(86_400 * 364).len(), DAYS * DAILY);
}

#[test]
fn a_change_renders_its_block_alone() {
    let mut journey = Journey::new();
    let (blocks, _) = journey.desk.blocks(journey.seconds);
    assert!(blocks >= 6, "{blocks}");
    assert_eq!(journey.desk.blocks(journey.seconds), (blocks, 0));
    for (step, changed) in [
        (Step::Change(true, vec![]), 0),
        (Step::Change(true, vec![(5, 127)]), 1),
        // It goes to those that have ended.
        (Step::Change(true, vec![(5, 1)]), 2),
        (Step::Name(false, 9, 1), 1),
        (Step::Go(false, 9, 1), 1),
        // What is neither near nor beyond the end of the block.
        (Step::Go(false, 9, 1), 0),
    ] {
        journey.take(&step);
        let (_, new) = journey.desk.blocks(journey.seconds);
        assert_eq!(new, changed, "{step:?}");
    }
}

/// One that is gone is nowhere, and one of a sender that is stale neither.
#[test]
fn nothing_is_left_of_what_is_gone() {
    let mut journey = Journey::new();
    journey.judge();
    journey.take(&Step::Go(true, 0, MANY));
    journey.judge();
    let text = String::from_utf8(journey.desk.body(journey.seconds, Protocol::Text)).unwrap();
    let of = |sender| format!("cryptshare_transfer_info{{server=\"prod\",sender=\"{sender}\"");
    assert_eq!(text.matches(&of("z")).count(), 0);
    assert_eq!(text.matches(&of("a")).count(), MANY);
    journey.seconds += 100_000;
    let text = String::from_utf8(journey.desk.body(journey.seconds, Protocol::Text)).unwrap();
    assert!(!text.contains("cryptshare_transfer_"));
    assert_eq!(journey.desk.blocks(journey.seconds), (0, 0));
}
