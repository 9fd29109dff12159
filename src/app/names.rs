//! What is watched by name: by the configuration, and by the watch files that it
//! names.
//!
//! **Invariants.** Reads no file.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{Config, Server},
    ledger::Origin,
    watch::{self, Entry, Named, Names},
};

/// How often watch files are looked at without an event: a mount from another
/// machine tells none.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a watch file must have been left alone before it is read; within
/// this time an application has written what it has to write.
const SETTLE: Duration = Duration::from_millis(300);

/// What the configuration and its watch files name.
pub(super) fn settings(config: &Arc<Config>) -> watch::Settings {
    let source = |(number, server): (usize, &Server)| {
        let config = Arc::clone(config);
        watch::Source {
            server: server.name.as_str().into(),
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
