//! The one task that owns the ledger: observations in, pages out.
//!
//! **Invariants.** Nobody else changes the ledger or puts a page on the shelf,
//! so a page is always one consistent state of it. What a page counts is
//! durable before it is shown.

mod journal;
mod vault;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at},
};

use journal::Journal;
pub use vault::Vault;

use crate::{
    clock::Clock,
    exposition::Shelf,
    ledger::{self, Ledger},
    metrics,
    model::{Observation, Reason, Round, Verification},
    status::{Board, SenderStatus, Status},
};

/// Observations taken in one go; a page is rendered once for all of them.
const BATCH: usize = 1024;

/// The shortest time between two pages, so that a round of many reads costs a
/// few pages and not thousands.
const PAGE_SPACING: Duration = Duration::from_millis(250);

/// Gauges that depend on time are computed anew this often, or at the shortest
/// interval, also without a new answer.
const LONGEST_REFRESH: Duration = Duration::from_secs(5);

/// Where the bookkeeper puts what it knows.
#[derive(Debug)]
pub struct Outlets {
    /// The body of `/metrics`.
    pub shelf: Arc<Shelf>,
    /// What the landing page shows.
    pub board: Arc<Board>,
}

/// What is watched and shown from now on.
#[derive(Debug)]
pub struct Change {
    /// What the ledger watches.
    pub watched: ledger::Settings,
    /// What the pages show.
    pub shown: metrics::Settings,
    /// Told when this is in effect: only then may the scheduler ask for what is
    /// new, so that no reading comes before the ledger knows its origin.
    pub done: oneshot::Sender<()>,
}

/// Puts out the first page at once, so that no scrape comes before it, and goes
/// on as a task: it takes in observations until the scheduler has hung up, then
/// keeps the last of them and puts out the last page. Changes come in between
/// two batches.
///
/// # Errors
/// Never; a panic of the store is passed on.
pub fn run(
    (ledger, vault): (Ledger, Vault),
    settings: metrics::Settings,
    inlets: (mpsc::Receiver<Observation>, mpsc::Receiver<Change>),
    outlets: Outlets,
    clock: Clock,
) -> impl Future<Output = anyhow::Result<()>> {
    let mut press = Press {
        settings,
        printer: metrics::Printer::default(),
        outlets,
        clock,
    };
    press.publish(&ledger);
    keep_books((ledger, vault), inlets, press)
}

async fn keep_books(
    (mut ledger, mut vault): (Ledger, Vault),
    (mut inbox, mut changes): (mpsc::Receiver<Observation>, mpsc::Receiver<Change>),
    mut press: Press,
) -> anyhow::Result<()> {
    vault.keep(&mut ledger, false).await?;
    press.publish(&ledger);
    let period = press.refresh_period();
    let mut refresh = interval_at(Instant::now() + period, period);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            received = inbox.recv_many(&mut batch, BATCH) => {
                for observation in batch.drain(..) {
                    take_in(&mut ledger, &press.settings, observation);
                }
                vault.keep(&mut ledger, received == 0).await?;
                press.publish(&ledger);
                if received == 0 {
                    return Ok(());
                }
                tokio::time::sleep(PAGE_SPACING).await;
            }
            Some(change) = changes.recv() => {
                ledger.watch(change.watched, press.clock.now());
                press.settings = change.shown;
                // Nobody waits any more if the process is ending.
                change.done.send(()).unwrap_or_default();
                vault.keep(&mut ledger, false).await?;
                press.publish(&ledger);
            }
            _ = refresh.tick() => {
                vault.keep(&mut ledger, false).await?;
                press.publish(&ledger);
            }
        }
    }
}

/// What a page is made with.
struct Press {
    settings: metrics::Settings,
    printer: metrics::Printer,
    outlets: Outlets,
    clock: Clock,
}

impl Press {
    fn publish(&mut self, ledger: &Ledger) {
        let now = self.clock.now();
        let page = self.printer.print(ledger, &self.settings, now);
        self.outlets.shelf.put(page);
        self.outlets.board.put(status(ledger, &self.settings, now));
    }

    /// At least once an interval of whoever is polled most often.
    fn refresh_period(&self) -> Duration {
        let intervals = self.settings.senders.values();
        let shortest = intervals.map(|view| view.poll_interval).min();
        shortest.map_or(LONGEST_REFRESH, |shortest| shortest.min(LONGEST_REFRESH))
    }
}

fn status(ledger: &Ledger, settings: &metrics::Settings, now: Timestamp) -> Status {
    let senders = ledger.books().filter_map(|(id, book)| {
        let view = settings.senders.get(id)?;
        let states = metrics::states(book).map(|(state, count)| (state.label(), count));
        let presence = metrics::presence(book, view, settings, now);
        let failure = presence.and_then(|presence| presence.round.failure);
        Some(SenderStatus {
            server: id.server().to_owned(),
            sender: view.label.clone(),
            up: presence.map(|presence| presence.round.failure.is_none()),
            last_poll: presence.map(|presence| presence.at),
            failure: failure.map(Reason::label),
            remedy: presence.and_then(|presence| remedy(&presence.round, now)),
            states: states.collect(),
            is_stale: metrics::is_stale(book, view, settings, now),
        })
    });
    Status {
        senders: senders.collect(),
    }
}

/// What a human has to do about the sender's verification.
fn remedy(round: &Round, now: Timestamp) -> Option<String> {
    const VERIFY: &str = "run cryptshare-exporter verify";
    match round.verified_until {
        Verification::Valid {
            until: Some(until),
            needs_human: true,
        } if until > now => Some(format!("the verification ends at {until:.0}; {VERIFY}")),
        _ if round.failure == Some(Reason::NotVerified) => {
            Some(format!("have the client id registered, or {VERIFY}"))
        }
        Verification::Valid { .. } | Verification::Missing | Verification::Unknown => None,
    }
}

fn take_in(ledger: &mut Ledger, settings: &metrics::Settings, observation: Observation) {
    let id = observation.sender.clone();
    let journal = Journal::for_events_of(&observation);
    let happened = ledger.apply(observation);
    let label = settings.senders.get(&id).map(|view| view.label.as_str());
    for (transfer, event) in happened {
        journal.tell(&id, label.unwrap_or_default(), &transfer, &event);
    }
}
