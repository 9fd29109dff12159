//! REMEMBER: the transfers known, and counters of what happened to them.
//!
//! The ledger is merged, never replaced. When a sender's listing first ends,
//! the ids in it are its baseline: each takes its own first single reading,
//! whenever that comes, without counting what it shows. An id that appears
//! later is new, and all it shows counts, except where we caused its coming by
//! watching more than before.
//!
//! The server may not list all that is there. So the end of the first listing is
//! kept, and a transfer whose id has a date clearly before it takes its own
//! first reading as baseline, too, however late it appears.
//!
//! With a state directory the ledger is kept in a [`Store`]: what has changed is
//! written in one transaction, and counters are shown only once it is durable.
//!
//! **Invariants.** The only writer of counts. Whatever the order of
//! observations, no counter falls and nothing is counted twice.

mod book;
pub mod counters;
mod export;
mod recipients;
mod rows;
mod store;

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::Timestamp;

pub use book::{Book, Entry};
pub use counters::{Causes, Counters};
pub use export::{ImportError, Imported, export, import};
pub use recipients::RecipientLabels;
pub use store::{Batch, Content, FORMAT, IfMissing, Store, StoreError};

use rows::Malformed;

use crate::model::{Event, Finding, Observation, Round, Scope, SenderId, TrackingId};

/// What an observation brought about, for the log.
pub type Happened = Vec<(TrackingId, Event)>;

/// What is watched, checked.
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
    /// Where only what lives is discovered: how long what has ended stays.
    pub keep_ended: Duration,
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
    /// Senders that were forgotten, whose rows are still to be taken away.
    forgotten: Vec<(SenderId, Book)>,
}

impl Ledger {
    /// An empty ledger that watches what `settings` say.
    pub fn new(settings: Settings, at: Timestamp) -> Self {
        let mut ledger = Self::default();
        ledger.watch(settings, at);
        ledger
    }

    /// The ledger that is kept in `directory`, and where it is kept.
    ///
    /// # Errors
    /// If the file is missing and is not to be created, is in use, newer,
    /// damaged or inaccessible.
    pub fn open(directory: &Path, missing: IfMissing) -> Result<(Self, Store), StoreError> {
        let (store, content) = Store::open(directory, missing)?;
        let ledger = Self::restored(content).map_err(|error| store.damaged(error))?;
        Ok((ledger, store))
    }

    fn restored(content: Content) -> Result<Self, Malformed> {
        let mut ledger = Self::default();
        for (sender, row) in &content.senders {
            let since = content.baselines.get(sender).copied();
            let book = Book::restored(row, since)?;
            ledger.books.insert(sender.clone(), book);
        }
        for (sender, id, row) in content.transfers {
            // Every sender has a row of its own: both are written together.
            let book = ledger.books.get_mut(&sender).ok_or(Malformed)?;
            book.restore_transfer(id, row)?;
        }
        Ok(ledger)
    }

    /// What has changed since the last commit, and at the end also how the
    /// rounds went.
    pub fn changes(&self, is_end: bool) -> Batch {
        let mut batch = Batch::default();
        for (sender, book) in &self.books {
            let transfers: Vec<_> = book.changes().collect();
            if is_end || book.has_changed() || !transfers.is_empty() {
                let row = book.row().encode();
                batch.senders.push((sender.clone(), Some(row)));
                batch.baselines.push((sender.clone(), book.since()));
            }
            for (id, row) in transfers {
                let row = row.map(|row| row.encode());
                batch.transfers.push((sender.clone(), id, row));
            }
        }
        for (sender, book) in &self.forgotten {
            batch.senders.push((sender.clone(), None));
            batch.baselines.push((sender.clone(), None));
            let ids = book.ids().map(|id| (sender.clone(), id.clone(), None));
            batch.transfers.extend(ids);
        }
        batch
    }

    /// Takes in that all changes are durable: from now on they are shown.
    pub fn settle(&mut self) {
        self.forgotten.clear();
        self.books.values_mut().for_each(Book::settle);
    }

    /// Watches what `settings` say from now on. What comes into view because
    /// more is watched than before begins with a baseline of its own.
    pub fn watch(&mut self, settings: Settings, at: Timestamp) {
        self.causes = settings.causes;
        let before = std::mem::replace(&mut self.recipients, settings.recipients);
        for book in self.books.values_mut() {
            book.keep_labels(|label| self.recipients.may_have_made(label, &before));
        }
        let watched: BTreeMap<_, _> = settings.senders.into_iter().collect();
        for (_, book) in self
            .books
            .iter_mut()
            .filter(|(id, _)| !watched.contains_key(*id))
        {
            book.unwatch(at);
        }
        let forgotten = self.books.extract_if(.., |_, book| book.is_forgotten(at));
        self.forgotten.extend(forgotten);
        for (sender, watching) in watched {
            self.books.entry(sender).or_default().watch(watching, at);
        }
    }

    /// Takes in an observation; the answer is what it brought about, baseline
    /// readings left out. One of a sender that is not watched, which was under
    /// way when its watching ended, brings nothing.
    pub fn apply(&mut self, observation: Observation) -> Happened {
        let Observation {
            sender,
            at,
            finding,
        } = observation;
        let book = self.books.get_mut(&sender);
        let Some(book) = book.filter(|book| book.is_watched()) else {
            return Vec::new();
        };
        let labels = self.recipients.of(&finding);
        let happened = match finding {
            Finding::Seen(page) => book.see(page, at),
            Finding::Listed { ids, ended, scope } => {
                book.end_listing(ids, (scope, ended), at);
                Vec::new()
            }
            Finding::Inspected(reading) => book.inspect(&reading, at),
            Finding::Gone(id) => book.lose(&id, at),
            Finding::RoundEnded(round) => {
                book.note_round(round, at);
                Vec::new()
            }
        };
        for (id, labels) in labels {
            book.label_recipients(&id, &labels);
        }
        for (_, event) in &happened {
            book.newest.count(event, &self.causes);
        }
        happened
    }

    /// The book of a sender, if anything is remembered of it.
    pub fn book(&self, sender: &SenderId) -> Option<&Book> {
        self.books.get(sender)
    }

    /// The book of each sender that anything is remembered of, in a stable
    /// order.
    pub fn remembered(&self) -> impl Iterator<Item = (&SenderId, &Book)> {
        self.books.iter()
    }

    /// The book of each sender that is watched, in a stable order.
    pub fn books(&self) -> impl Iterator<Item = (&SenderId, &Book)> {
        self.books.iter().filter(|(_, book)| book.is_watched())
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
    /// The last round was in an earlier life, and may be long ago.
    pub is_restored: bool,
}

#[cfg(test)]
mod tests;
