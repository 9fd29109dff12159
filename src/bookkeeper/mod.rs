//! The one task that owns the ledger: observations in, pages out.
//!
//! **Invariants.** Nobody else changes the ledger or puts a page on the shelf,
//! so a page is always one consistent state of it. What a page counts is
//! durable before it is shown.

mod glance;
mod journal;
mod recent;
mod vault;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use journal::Journal;
use recent::Recent;
pub use vault::Vault;

use crate::{
    clock::Clock,
    exposition::Shelf,
    ledger::{self, Ledger},
    metrics,
    model::Observation,
    status::{Board, Status},
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
pub struct Change {
    /// What the ledger watches.
    pub watched: ledger::Settings,
    /// What the pages show.
    pub shown: metrics::Settings,
    /// Called when this is in effect and shown: only then may the scheduler ask for what is
    /// new, so that no reading comes before the ledger knows its origin.
    pub done: Box<dyn FnOnce(&Ledger) + Send>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut change = f.debug_struct("Change");
        change.field("watched", &self.watched);
        change.field("shown", &self.shown).finish_non_exhaustive()
    }
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
        recent: Recent::default(),
        outlets,
        clock,
    };
    press.publish(&ledger, &vault);
    keep_books((ledger, vault), inlets, press)
}

async fn keep_books(
    (mut ledger, mut vault): (Ledger, Vault),
    (mut inbox, mut changes): (mpsc::Receiver<Observation>, mpsc::Receiver<Change>),
    mut press: Press,
) -> anyhow::Result<()> {
    vault.keep(&mut ledger, false).await?;
    press.publish(&ledger, &vault);
    let mut refresh = press.refresh();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            received = inbox.recv_many(&mut batch, BATCH) => {
                for observation in batch.drain(..) {
                    press.take_in(&mut ledger, observation);
                }
                vault.keep(&mut ledger, received == 0).await?;
                press.publish(&ledger, &vault);
                if received == 0 {
                    return Ok(());
                }
                tokio::time::sleep(PAGE_SPACING).await;
            }
            Some(change) = changes.recv() => {
                // What was told before it is taken in before it.
                for _ in 0..inbox.len() {
                    if let Ok(told) = inbox.try_recv() {
                        press.take_in(&mut ledger, told);
                    }
                }
                ledger.watch(change.watched, press.clock.now());
                press.settings = change.shown;
                refresh = press.refresh();
                vault.keep(&mut ledger, false).await?;
                press.publish(&ledger, &vault);
                (change.done)(&ledger);
            }
            _ = refresh.tick() => {
                vault.keep(&mut ledger, false).await?;
                press.publish(&ledger, &vault);
            }
        }
    }
}

/// What a page is made with.
struct Press {
    settings: metrics::Settings,
    printer: metrics::Printer,
    recent: Recent,
    outlets: Outlets,
    clock: Clock,
}

impl Press {
    fn take_in(&mut self, ledger: &mut Ledger, observation: Observation) {
        let (id, at) = (observation.sender.clone(), observation.at);
        let journal = Journal::for_events_of(&observation);
        let happened = ledger.apply(observation);
        let view = self.settings.senders.get(&id);
        let label = view.map_or("", |view| view.label.as_str());
        for (transfer, event) in happened {
            journal.tell(&id, label, &transfer, &event);
            self.recent
                .note(at, (id.server(), label), &transfer, &event);
        }
    }

    fn publish(&mut self, ledger: &Ledger, vault: &Vault) {
        let now = self.clock.now();
        let page = self.printer.print(ledger, &self.settings, now);
        self.outlets.shelf.put(page);
        self.outlets.board.put(Status {
            at: now,
            senders: glance::senders(ledger, &self.settings, now),
            events: self.recent.newest(),
            is_ledger_failing: vault.is_failing(),
        });
    }

    fn refresh(&self) -> Interval {
        let period = self.refresh_period();
        let mut refresh = interval_at(Instant::now() + period, period);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        refresh
    }

    /// At least once an interval of whoever is polled most often.
    fn refresh_period(&self) -> Duration {
        let intervals = self.settings.senders.values();
        let shortest = intervals.map(|view| view.poll_interval).min();
        shortest.map_or(LONGEST_REFRESH, |shortest| shortest.min(LONGEST_REFRESH))
    }
}
