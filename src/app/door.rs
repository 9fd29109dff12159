//! The one door through which another configuration, or other names, reach the
//! parts that run.
//!
//! **Invariants.** The ledger and the pages hear of a change first, and the
//! scheduler only when it has taken effect there: no reading of a new transfer
//! comes before the ledger knows whether it counts. What is watched no more may
//! still be under way; the ledger leaves it alone. A change is whole before the
//! next one begins.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::parts::{self, Clients};
use crate::{
    bookkeeper,
    config::{Config, Sender, Server},
    cryptshare::Client,
    model::SenderId,
    poll,
    telemetry::Telemetry,
    watch::Names,
};

/// What is in effect.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    pub(super) config: Arc<Config>,
    pub(super) clients: Clients,
    pub(super) names: Names,
}

/// Where the door leads to: the bookkeeper and the scheduler.
pub(super) type Inlets = (
    mpsc::Receiver<bookkeeper::Change>,
    mpsc::Receiver<poll::Change<Client>>,
);

/// The door.
#[derive(Debug)]
pub(super) struct Door {
    now: Generation,
    books: mpsc::Sender<bookkeeper::Change>,
    polls: mpsc::Sender<poll::Change<Client>>,
    telemetry: Telemetry,
}

impl Door {
    /// A door for what is in effect since the start.
    pub(super) fn new(now: Generation, telemetry: Telemetry) -> (Self, Inlets) {
        let (books, to_books) = mpsc::channel(1);
        let (polls, to_polls) = mpsc::channel(1);
        let door = Self {
            now,
            books,
            polls,
            telemetry,
        };
        (door, (to_books, to_polls))
    }

    /// What is in effect.
    pub(super) const fn now(&self) -> &Generation {
        &self.now
    }

    /// Lets a generation take effect everywhere; false if a part has hung up: it
    /// is at its end, and the process with it.
    pub(super) async fn pass(&mut self, next: Generation) -> bool {
        let Some(known) = self.tell_books(&next).await else {
            return false;
        };
        parts::announce(&next.config, &self.telemetry);
        if !self.tell_polls(&next, known).await {
            return false;
        }
        self.now = next;
        self.sweep();
        true
    }

    /// Lets go of what the exporter's own families tell of those who left.
    pub(super) fn sweep(&self) {
        parts::keep_only(&self.now.config, &self.telemetry);
    }

    /// The answer is what the ledger knows of the senders that begin.
    async fn tell_books(&self, next: &Generation) -> Option<parts::Known> {
        let begin = next.begin_after(&self.now);
        let (done, is_done) = oneshot::channel();
        let change = bookkeeper::Change {
            watched: parts::ledger(&next.config, &next.names),
            shown: parts::metrics(&next.config, &next.names),
            done: Box::new(move |ledger| drop(done.send(parts::known(ledger, &begin)))),
        };
        drop(self.books.send(change).await);
        is_done.await.ok()
    }

    async fn tell_polls(&self, next: &Generation, known: parts::Known) -> bool {
        let (done, is_done) = oneshot::channel();
        let settings = parts::poll(&next.config, &next.clients, &next.names, known);
        drop(self.polls.send(poll::Change { settings, done }).await);
        is_done.await.is_ok()
    }
}

impl Generation {
    /// The senders that begin with this generation: they are new, or their server
    /// is, or it is reached by another way.
    fn begin_after(&self, before: &Self) -> Vec<SenderId> {
        let mut begin = Vec::new();
        for server in &self.config.servers {
            let goes_on = self.shares_link_of(before, server);
            let known = before.config.servers.iter().find(|s| s.name == server.name);
            let known = known.filter(|_| goes_on).map(|server| &server.senders);
            let is_known = |sender: &Sender| {
                known
                    .iter()
                    .flat_map(|s| s.iter())
                    .any(|s| s.id == sender.id)
            };
            let new = server.senders.iter().filter(|sender| !is_known(sender));
            begin.extend(new.map(|sender| sender.id.clone()));
        }
        begin
    }

    fn shares_link_of(&self, before: &Self, server: &Server) -> bool {
        let clients = (
            self.clients.get(&server.name),
            before.clients.get(&server.name),
        );
        matches!(clients, (Some(own), Some(before)) if own.shares_link(before))
    }
}
