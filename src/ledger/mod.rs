//! REMEMBER: the transfers known, and counters of what happened to them.
//!
//! The ledger is merged, never replaced. When a sender's listing first ends,
//! the ids in it are its baseline: each takes its own first single reading,
//! whenever that comes, without counting what it shows. An id that appears
//! later is new, and all it shows counts, except where we caused its coming by
//! watching more than before.
//!
//! **Invariants.** The only writer of counts. Whatever the order of
//! observations, no counter falls and nothing is counted twice.

mod book;
pub mod counters;
mod recipients;

use std::collections::BTreeMap;

use jiff::Timestamp;

pub use book::{Book, Entry};
pub use counters::{Causes, Counters};
pub use recipients::RecipientLabels;

use crate::model::{Event, Finding, Observation, Round, Scope, SenderId, TrackingId};

/// What an observation brought about, for the log.
pub type Happened = Vec<(TrackingId, Event)>;

/// What is watched from the start, checked.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How removal causes are sorted under labels.
    pub causes: Causes,
    /// How recipients are named in labels.
    pub recipients: RecipientLabels,
    /// The senders, and what is watched of each.
    pub senders: Vec<(SenderId, Watching)>,
}

/// What is watched of one sender.
#[derive(Debug, Clone, Default)]
pub struct Watching {
    /// Which transfers are discovered.
    pub scope: Scope,
    /// Transfers that are watched by name.
    pub named: BTreeMap<TrackingId, Origin>,
}

/// How a transfer came to be watched by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By the configuration, now or by a reload: its past is none of ours, so
    /// its first reading is a baseline.
    Configured,
    /// By the sending application, while we were watching: it is new, and all
    /// it shows counts.
    Dropped,
}

/// Everything that is remembered.
#[derive(Debug, Default)]
pub struct Ledger {
    books: BTreeMap<SenderId, Book>,
    causes: Causes,
    recipients: RecipientLabels,
}

impl Ledger {
    /// An empty ledger that watches what `settings` say.
    pub fn new(settings: Settings) -> Self {
        let mut ledger = Self::default();
        ledger.watch(settings);
        ledger
    }

    /// Watches what `settings` say from now on. What comes into view because
    /// more is watched than before begins with a baseline of its own.
    pub fn watch(&mut self, settings: Settings) {
        self.causes = settings.causes;
        self.recipients = settings.recipients;
        for (sender, watching) in settings.senders {
            self.books.entry(sender).or_default().watch(watching);
        }
    }

    /// Takes in an observation; the answer is what it brought about, baseline
    /// readings left out. One of an unknown sender brings nothing.
    pub fn apply(&mut self, observation: Observation) -> Happened {
        let Observation {
            sender,
            at,
            finding,
        } = observation;
        let Some(book) = self.books.get_mut(&sender) else {
            return Vec::new();
        };
        let labels = self.recipients.of(&finding);
        let happened = match finding {
            Finding::Listed(listing) => book.list(listing, at),
            Finding::Inspected(reading) => book.inspect(&reading, at),
            Finding::Gone(id) => book.lose(&id, at),
            Finding::RoundEnded(round) => {
                book.note_round(round, at);
                Vec::new()
            }
        };
        for (id, labels) in labels {
            book.label_recipients(&id, labels);
        }
        for (_, event) in &happened {
            book.counters.count(event, &self.causes);
        }
        happened
    }

    /// The book of each sender, in a stable order.
    pub fn books(&self) -> impl Iterator<Item = (&SenderId, &Book)> {
        self.books.iter()
    }

    /// How removal causes are sorted.
    pub const fn causes(&self) -> &Causes {
        &self.causes
    }
}

/// How the sender's rounds went.
#[derive(Debug, Clone, Copy)]
pub struct Presence {
    /// The last round.
    pub round: Round,
    /// When it ended.
    pub at: Timestamp,
    /// When the last good round ended.
    pub good_at: Option<Timestamp>,
}
