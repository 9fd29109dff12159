//! DECIDE WHEN: the scheduler.
//!
//! One task owns a queue of due rounds, one for each sender. A round runs in a
//! task of its own and hands its agenda back when it is done, so a round that
//! overlaps its next turn is never doubled.
//!
//! **Invariants.** The only part that knows time. Everything learned leaves as
//! an `Observation`; a failure cannot stop the loop, only `stop` can.

mod agenda;
mod breaker;
pub mod policy;
mod pulse;
pub mod queue;
mod round;
mod run;
pub mod source;
mod trouble;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

pub use policy::Intervals;
pub use pulse::Pulse;
pub use run::{Change, Surroundings, run};
pub use source::{Failure, Source};

use crate::model::{Scope, SenderId, State, TrackingId, View};

/// What is polled, checked.
#[derive(Debug)]
pub struct Settings<S> {
    /// The servers, each with a name of its own.
    pub servers: Vec<ServerPlan<S>>,
}

/// One server.
#[derive(Debug)]
pub struct ServerPlan<S> {
    /// The server's name in the configuration.
    pub name: String,
    /// Whom to ask.
    pub source: Arc<S>,
    /// Back-off and probes never wait longer than this, or than the sender's
    /// interval if that is longer.
    pub max_backoff: Duration,
    /// Its senders.
    pub senders: Vec<SenderPlan>,
}

/// One sender.
#[derive(Debug, Clone)]
pub struct SenderPlan {
    /// The key.
    pub id: SenderId,
    /// Label `sender`.
    pub label: String,
    /// Which transfers are discovered.
    pub scope: Scope,
    /// When to ask.
    pub intervals: Intervals,
    /// Transfers that are watched by name.
    pub named: BTreeSet<TrackingId>,
    /// What was known before the start of the sender or of its server; `None` if
    /// nothing was. Of no use to a sender that goes on.
    pub known: Option<Known>,
}

/// What an earlier life has learned of a sender, so that it is not asked for
/// again.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What it had in view: whatever of that is not here is new.
    pub listed: View,
    /// The transfers that the server knew, and their last states.
    pub transfers: Vec<(TrackingId, Option<State>)>,
}
