//! NAME: which transfers are watched by name, now.
//!
//! The configuration names transfers, and so do *watch files*, which an
//! application drops, changes and removes while we run. This part finds the
//! files, reads what has changed, and makes one answer of all: [`Names`]. It
//! hands out a new answer whenever it differs from the last one.
//!
//! Events of the file system only make it quick. What counts is a look at the
//! files themselves, which also comes without an event: a mount from elsewhere
//! tells none.
//!
//! **Invariants.** The one owner of what is named. A file counts whole or not
//! at all; while it is wrong, or being written, its last good content stays.
//! Knows nothing of TOML: whoever sets it up says how a text is read.

mod events;
mod names;
mod run;
mod sheets;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use run::{Change, Watch, run};

use crate::{
    ledger::Origin,
    model::{SenderId, TrackingId},
};

/// The transfers that are watched by name, of each sender that has any.
pub type Names = BTreeMap<SenderId, BTreeMap<TrackingId, Named>>;

/// How a transfer is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Label `name`; may be empty.
    pub name: String,
    /// How it came to be named.
    pub origin: Origin,
}

/// One transfer in a watch file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who sends it.
    pub sender: SenderId,
    /// Which it is.
    pub id: TrackingId,
    /// Label `name`; may be empty.
    pub name: String,
}

/// How the text of a watch file is read: its entries, or all that is wrong with
/// it, each problem with its line and its remedy.
pub type Read = Arc<dyn Fn(&str) -> Result<Vec<Entry>, Vec<String>> + Send + Sync>;

/// The watch files of one server.
#[derive(Clone)]
pub struct Source {
    /// The server's name: what its files say stays under it.
    pub server: Arc<str>,
    /// Patterns of whole paths, which are valid.
    pub patterns: Vec<String>,
    /// How a file is read.
    pub read: Read,
}

/// What to watch, checked.
#[derive(Debug)]
pub struct Settings {
    /// What the configuration names.
    pub configured: Names,
    /// The watch files, of each server once.
    pub sources: Vec<Source>,
    /// How often the files are looked at without an event.
    pub look_every: Duration,
    /// How long a file must have been left alone before it is read.
    pub settle: Duration,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("server", &self.server)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}
