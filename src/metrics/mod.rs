//! SAY: what is remembered, as metric families.
//!
//! **Invariants.** Reads the ledger and changes nothing in it. A value that the
//! server did not tell is absent, never zero. No address of a recipient is a
//! label unless the ledger says so. Families are in the order of the catalog,
//! samples in that of their labels, so a body is the same bytes every time.

mod blocks;
mod cap;
pub mod catalog;
mod census;
mod columns;
pub mod document;
mod recipients;
mod row;
pub mod seed;
mod senders;
mod transfers;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    exposition::{Block, Deflater, Family, Page, Section},
    ledger::{Book, Ledger, Presence},
    metric::Metric,
    model::{Method, SenderId, State, TrackingId},
};

/// The methods in the order of their labels.
const METHODS: [Method; 3] = [Method::Downloaded, Method::Other, Method::Viewed];

/// What is shown, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether there are families by transfer.
    pub transfers: bool,
    /// At most this many transfers are shown; 0 means all.
    pub max_transfers: usize,
    /// At most this many recipients of them are shown; 0 means all.
    pub max_recipients: usize,
    /// How close an expiration must be to count as expiring.
    pub expiring_within: Duration,
    /// Gauges vanish when the last good round is older.
    pub stale_after: Duration,
    /// The senders.
    pub senders: HashMap<SenderId, SenderView>,
}

/// How one sender is shown.
#[derive(Debug, Clone)]
pub struct SenderView {
    /// Label `sender`.
    pub label: String,
    /// Ended transfers are shown this long.
    pub keep_ended: Duration,
    /// Gauges are never stale before three of these have passed.
    pub poll_interval: Duration,
    /// Names of transfers from the configuration or a watch file.
    pub names: HashMap<TrackingId, String>,
}

/// Makes pages. What was finished for one and has not changed goes on the next.
#[derive(Debug, Default)]
pub struct Printer {
    places: Places,
    room: row::Room<'static>,
    senders: Arc<Block>,
    blocks: blocks::Blocks,
    left_out: Arc<Block>,
    deflater: Deflater,
}

/// What has a place on the page, so that it keeps it.
#[derive(Debug, Default)]
struct Places {
    transfers: cap::Holders,
    recipients: cap::Holders,
}

/// One sender as it is shown now.
#[derive(Debug)]
struct Shown<'a> {
    id: &'a SenderId,
    server: &'a str,
    view: &'a SenderView,
    book: &'a Book,
    /// How the rounds go, as far as it can be said.
    presence: Option<Presence>,
    /// The server's present date, as far as it is known.
    now: Timestamp,
    /// The last values are too old to be shown, or there are none yet.
    is_stale: bool,
}

impl Shown<'_> {
    fn labels(&self) -> [(&'static str, &str); 2] {
        [("server", self.server), ("sender", &self.view.label)]
    }
}

impl Printer {
    /// The page that shows `ledger`: the families by sender, by transfer and by
    /// recipient, and how many transfers have no place, in the order of the
    /// catalog.
    pub fn print(&mut self, ledger: &Ledger, settings: &Settings, now: Timestamp) -> Page {
        let shown = everybody(ledger, settings, now);
        let mut room: row::Room<'_> = std::mem::take(&mut self.room);
        let left_out = choose(&shown, settings, &mut self.places, &mut room);
        let causes: Vec<_> = ledger.causes().labels().collect();
        let deflater = &mut self.deflater;
        let mut block = |families: Vec<Family<'_>>, kept: &mut Arc<Block>| {
            *kept = Arc::new(Block::of(families, Some(kept), deflater));
            vec![Arc::clone(kept)]
        };
        let senders = block(
            senders::families(&shown, settings, &causes),
            &mut self.senders,
        );
        let left_out = transfers::not_exported(&shown, &left_out);
        let left_out = block(vec![left_out], &mut self.left_out);
        let section = |families: &[&[&Metric]], blocks| {
            let families = families.iter().copied().flatten();
            let families = families.map(|metric| (*metric).into()).collect();
            Section { families, blocks }
        };
        let sections = [
            section(&[catalog::SENDER_FAMILIES], senders),
            section(
                &[catalog::TRANSFER_FAMILIES, catalog::RECIPIENT_FAMILIES],
                self.blocks.render(&room.rows, deflater),
            ),
            section(&[&[&catalog::TRANSFERS_NOT_EXPORTED]], left_out),
        ];
        self.room = room.cleared();
        Page::assemble(&sections, &mut self.deflater)
    }
}

/// Every sender that is watched, in the order of the labels.
fn everybody<'a>(ledger: &'a Ledger, settings: &'a Settings, now: Timestamp) -> Vec<Shown<'a>> {
    let books = ledger.books();
    let shown = books.filter_map(|(id, book)| show(id, book, settings, now));
    let mut shown: Vec<_> = shown.collect();
    shown.sort_by(|a, b| (a.server, &a.view.label).cmp(&(b.server, &b.view.label)));
    shown
}

/// Puts the transfers that have a place in the room, with the recipients that
/// have one, and counts the transfers of each sender that have none.
fn choose<'a>(
    shown: &'a [Shown<'a>],
    settings: &Settings,
    places: &mut Places,
    room: &mut row::Room<'a>,
) -> Vec<u64> {
    let left_out = transfers::choose(shown, settings, &mut places.transfers, room);
    let most = settings.max_recipients;
    recipients::choose(&mut room.rows, most, &mut places.recipients);
    left_out
}

/// The number of transfers in each state, as `cryptshare_transfers` has it.
pub fn states(book: &Book) -> impl Iterator<Item = (State, u64)> {
    let mut counts = StateCounts::default();
    for state in book.present().filter_map(|(_, entry)| entry.record.state) {
        counts.add(state);
    }
    counts.0.into_iter()
}

/// Numbers of transfers by state, in the order of the life-cycle.
struct StateCounts([(State, u64); State::ALL.len()]);

impl Default for StateCounts {
    fn default() -> Self {
        Self(State::ALL.map(|state| (state, 0)))
    }
}

impl StateCounts {
    fn add(&mut self, state: State) {
        let own = self.0.iter_mut().filter(|(known, _)| *known == state);
        own.for_each(|(_, count)| *count += 1);
    }

    fn iter(&self) -> impl Iterator<Item = (State, u64)> {
        self.0.iter().copied()
    }
}

fn show<'a>(
    id: &'a SenderId,
    book: &'a Book,
    settings: &'a Settings,
    now: Timestamp,
) -> Option<Shown<'a>> {
    let view = settings.senders.get(id)?;
    let offset = book
        .presence
        .and_then(|presence| presence.round.clock_offset);
    let offset = SignedDuration::try_from_secs_f64(offset.unwrap_or_default()).ok()?;
    Some(Shown {
        id,
        server: id.server(),
        view,
        book,
        presence: presence(book, view, settings, now),
        now: now.checked_add(offset).unwrap_or(now),
        is_stale: is_stale(book, view, settings, now),
    })
}

/// Whether the sender's last good round is so old, or there was none, that its
/// gauges are not shown.
pub fn is_stale(book: &Book, view: &SenderView, settings: &Settings, now: Timestamp) -> bool {
    let good_at = book.presence.and_then(|presence| presence.good_at);
    good_at.is_none_or(|at| now.duration_since(at) > stale_after(view, settings))
}

/// How the sender's rounds go; nothing before the first one, unless the last
/// one of an earlier life is as young as gauges must be.
pub fn presence(
    book: &Book,
    view: &SenderView,
    settings: &Settings,
    now: Timestamp,
) -> Option<Presence> {
    book.presence.filter(|presence| {
        let age = now.duration_since(presence.at);
        !presence.is_restored || age <= stale_after(view, settings)
    })
}

fn stale_after(view: &SenderView, settings: &Settings) -> SignedDuration {
    let longest = settings
        .stale_after
        .max(view.poll_interval.saturating_mul(3));
    SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
