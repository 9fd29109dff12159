//! The rows of a page: the transfers that are shown, or would be if they had a
//! place, each with what its families are made of.
//!
//! **Invariants.** A row only refers to the ledger, but for what decides about
//! blocks and places: that is told without a look at the entry.

use jiff::Timestamp;

use super::{
    Shown,
    cap::{Candidate, Class},
};
use crate::{
    ledger::Entry,
    model::{Record, State, TrackingId, record::Told},
};

/// Where the rows of a page stand. They are many, and any thread may make a page:
/// memory that is asked for each time would stay with each of the threads.
#[derive(Debug, Default)]
pub(super) struct Room<'a> {
    pub(super) rows: Vec<Row<'a>>,
    /// Those of one sender that can still change, until its others stand.
    pub(super) living: Vec<Row<'a>>,
}

impl Room<'_> {
    /// The same memory for another page.
    pub(super) fn cleared(self) -> Room<'static> {
        Room {
            rows: cleared(self.rows),
            living: cleared(self.living),
        }
    }
}

/// What is collected from a list of the same type stands in its memory.
fn cleared(mut rows: Vec<Row<'_>>) -> Vec<Row<'static>> {
    rows.clear();
    rows.into_iter().map_while(|_| None).collect()
}

/// One transfer that is shown, or would be if it had a place.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) shown: &'a Shown<'a>,
    pub(super) id: &'a TrackingId,
    pub(super) entry: &'a Entry,
    /// Of the entry: what decides about blocks is told without a look at it.
    pub(super) revision: u64,
    pub(super) has_ended: bool,
    /// The labels of the recipients that are shown, in order.
    pub(super) recipients: Vec<&'a str>,
    /// The position of its sender.
    pub(super) sender: usize,
    /// It had a place before.
    pub(super) is_shown: bool,
}

impl<'a> Row<'a> {
    pub(super) fn labels(&self) -> [(&'static str, &'a str); 3] {
        let [server, sender] = self.shown.labels();
        [server, sender, ("tracking_id", self.id.as_str())]
    }

    /// The name that the configuration or a watch file gives it.
    pub(super) fn name(&self) -> &'a str {
        let name = self.shown.view.names.get(self.id);
        name.map_or("", String::as_str)
    }

    /// How it stands among those who want a place.
    pub(super) fn candidate(&self) -> Candidate {
        let record = self.record();
        let class = match record.state {
            _ if self.shown.book.is_named(self.id) => Class::Named,
            _ if has_trouble(record) => Class::Troubled,
            Some(state) if state.is_final() => Class::Ended,
            Some(_) | None => Class::Active,
        };
        Candidate {
            class,
            rank: rank(record),
            sender: self.sender,
            is_shown: self.is_shown,
        }
    }

    pub(super) fn record(&self) -> &'a Record {
        &self.entry.record
    }

    pub(super) fn told(&self) -> &'a Told {
        &self.entry.record.told
    }
}

fn has_trouble(record: &Record) -> bool {
    record.has_warning() || record.state == Some(State::Failed)
}

/// The nearest expiration first, then what tells none, then the newest end.
fn rank(record: &Record) -> i128 {
    let last = Timestamp::MAX.as_nanosecond();
    let none = last + 1;
    match record.ended_at {
        Some(at) if record.has_ended() => none + 1 + (last - at.as_nanosecond()),
        Some(_) | None => record
            .told
            .expires_at
            .map_or(none, Timestamp::as_nanosecond),
    }
}
