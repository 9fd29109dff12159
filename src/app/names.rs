//! What is watched by name, on its way to the parts.
//!
//! **Invariants.** The ledger hears of a change first, and the scheduler only
//! when it has taken effect there: no reading of a new transfer comes before
//! the ledger knows whether it counts. What is named no more may still be
//! under way; the ledger leaves it alone.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::parts;
use crate::{
    bookkeeper,
    config::{Config, Server},
    ledger::Origin,
    lifecycle::Supervisor,
    poll::SenderPlan,
    watch::{self, Entry, Named, Names, Watch},
};

/// How often watch files are looked at without an event: a mount from another
/// machine tells none.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a watch file must have been left alone before it is read; within
/// this time an application has written what it has to write.
const SETTLE: Duration = Duration::from_millis(300);

/// Through which changes reach the ledger, the pages and the scheduler.
pub(super) struct Door {
    config: Arc<Config>,
    names: Names,
    books: mpsc::Sender<bookkeeper::Change>,
    plans: mpsc::Sender<Vec<SenderPlan>>,
}

impl Door {
    /// A door for what is named now, and where it leads to: the bookkeeper and
    /// the scheduler.
    pub(super) fn new(
        config: Arc<Config>,
        names: Names,
    ) -> (
        Self,
        mpsc::Receiver<bookkeeper::Change>,
        mpsc::Receiver<Vec<SenderPlan>>,
    ) {
        let (books, changes) = mpsc::channel(1);
        let (plans, new_plans) = mpsc::channel(1);
        let door = Self {
            config,
            names,
            books,
            plans,
        };
        (door, changes, new_plans)
    }

    /// Lets a change take effect everywhere. A part that has hung up is at its
    /// end, and the process with it.
    async fn pass(&mut self, names: Names) {
        let (done, is_done) = oneshot::channel();
        let change = bookkeeper::Change {
            watched: parts::ledger(&self.config, &names),
            shown: parts::metrics(&self.config, &names),
            done,
        };
        drop(self.books.send(change).await);
        if is_done.await.is_err() {
            return;
        }
        let plans = parts::changed_plans(&self.config, (&self.names, &names));
        self.names = names;
        if !plans.is_empty() {
            drop(self.plans.send(plans).await);
        }
    }
}

/// Runs what looks at watch files, if the configuration names any.
pub(super) fn spawn(tasks: &mut Supervisor, (watch, door): (Watch, Door)) {
    if door
        .config
        .servers
        .iter()
        .all(|server| server.watch_files.is_empty())
    {
        return;
    }
    let (out, names) = mpsc::channel(1);
    tasks.spawn("watch files", watch::run(watch, out, tasks.stop()));
    tasks.spawn("door", pass_all(door, names, tasks.stop()));
}

async fn pass_all(
    mut door: Door,
    mut names: mpsc::Receiver<Names>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let pass = async {
        while let Some(names) = names.recv().await {
            door.pass(names).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = pass => {}
    }
    Ok(())
}

/// What the configuration and its watch files name.
pub(super) fn settings(config: &Arc<Config>) -> watch::Settings {
    let source = |(number, server): (usize, &Server)| {
        let config = Arc::clone(config);
        watch::Source {
            patterns: server.watch_files.clone(),
            read: Arc::new(move |text| read(config.servers.get(number), text)),
        }
    };
    watch::Settings {
        configured: configured(config),
        sources: config.servers.iter().enumerate().map(source).collect(),
        look_every: LOOK_EVERY,
        settle: SETTLE,
    }
}

fn configured(config: &Config) -> Names {
    let mut names = Names::new();
    for sender in config.servers.iter().flat_map(|server| &server.senders) {
        for transfer in &sender.transfers {
            let entry = Named {
                name: transfer.name.clone(),
                origin: Origin::Configured,
            };
            let own = names.entry(sender.id.clone()).or_default();
            own.insert(transfer.tracking_id.clone(), entry);
        }
    }
    names
}

fn read(server: Option<&Server>, text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let entries = server.map(|server| server.read_watch_file(text));
    let entries = entries.unwrap_or_else(|| Ok(Vec::new()));
    let entries = entries.map_err(|problems| problems.iter().map(ToString::to_string).collect());
    let entry = |(sender, transfer): (_, crate::config::NamedTransfer)| Entry {
        sender,
        id: transfer.tracking_id,
        name: transfer.name,
    };
    entries.map(|entries: Vec<_>| entries.into_iter().map(entry).collect())
}
