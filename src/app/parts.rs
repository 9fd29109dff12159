//! The configuration into the settings of each part.
//!
//! **Invariants.** No decision is made here but which value goes where.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;

use crate::{
    bookkeeper::Outlets,
    budget::Budget,
    clock::Clock,
    config::{self, Config, RecipientLabels, Sender, Server},
    cryptshare::{self, Client, Endpoint},
    exposition::Shelf,
    ledger::{self, Book, Ledger},
    metrics,
    model::{Reason, Scope, SenderId, TrackingId},
    poll,
    status::Board,
    telemetry::Telemetry,
    watch::Names,
    web::{self, Routes},
};

/// The client of each server, by the server's name.
pub(super) type Clients = BTreeMap<String, Arc<Client>>;

/// What a client is made with.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    pub(super) clock: Clock,
    pub(super) telemetry: Telemetry,
}

impl Maker {
    /// One client for each server, which follows the one `before` it if there
    /// is one.
    pub(super) fn clients(&self, config: &Config, before: &Clients) -> anyhow::Result<Clients> {
        let mut clients = Clients::new();
        for server in &config.servers {
            let before = before.get(&server.name).map(AsRef::as_ref);
            let client = self.client(config, server, before)?;
            clients.insert(server.name.clone(), Arc::new(client));
        }
        Ok(clients)
    }

    /// The client of one server.
    pub(super) fn client(
        &self,
        config: &Config,
        server: &Server,
        before: Option<&Client>,
    ) -> anyhow::Result<Client> {
        let budget = Budget::new(server.max_concurrency, server.max_requests_per_second);
        let settings = client_settings(config, server);
        let made = match before {
            Some(before) => before.follow(&settings, budget),
            None => Client::new(&settings, budget, self.clock, self.telemetry.clone()),
        };
        made.with_context(|| format!("failed to set up the client of server {}", server.name))
    }
}

fn client_settings(config: &Config, server: &Server) -> cryptshare::Settings {
    let sender = |sender: &Sender| cryptshare::SenderSettings {
        id: sender.id.clone(),
        label: sender.label().to_owned(),
        address: sender.address.clone(),
        language: sender.options.language.clone(),
    };
    cryptshare::Settings {
        server: server.name.clone(),
        url: server.url.clone(),
        client_id: server.client_id.clone(),
        way: way(&server.way),
        connect_timeout: server.connect_timeout,
        read_timeout: server.read_timeout,
        request_timeout: server.request_timeout,
        max_response_bytes: server.max_response_bytes,
        token_directory: config.state_directory.as_ref().map(|d| d.join("tokens")),
        senders: server.senders.iter().map(sender).collect(),
    }
}

fn way(way: &config::Way) -> cryptshare::Way {
    cryptshare::Way {
        ca_pem: way.ca_pem.clone(),
        identity_pem: way.identity_pem.clone(),
        insecure_skip_verify: way.insecure_skip_verify,
        proxy: match &way.proxy {
            config::Proxy::None => cryptshare::Proxy::None,
            config::Proxy::Url(url) => cryptshare::Proxy::Url(url.clone()),
            config::Proxy::Environment => cryptshare::Proxy::Environment,
        },
    }
}

/// Lets everything that is known in advance stand at zero.
pub(super) fn announce(config: &Config, telemetry: &Telemetry) {
    let reasons = Reason::ALL.map(Reason::label);
    let endpoints = Endpoint::ALL.map(Endpoint::label);
    for server in &config.servers {
        let item_reasons = [Reason::Malformed.label()];
        let fields = cryptshare::WORD_FIELDS;
        telemetry.watch_server(&server.name, &endpoints, &item_reasons, &fields);
        for sender in &server.senders {
            let interval = sender.options.poll_interval.as_secs_f64();
            telemetry.watch_sender((&server.name, sender.label()), interval, &reasons);
        }
    }
}

/// What the ledger knows of the senders that begin.
pub(super) type Known = HashMap<SenderId, poll::Known>;

/// What the scheduler polls.
pub(super) fn poll(
    config: &Config,
    clients: &Clients,
    names: &Names,
    mut known: Known,
) -> poll::Settings<Client> {
    let mut plan = |sender: &Sender| poll::SenderPlan {
        known: known.remove(&sender.id),
        ..plan(sender, names)
    };
    let mut server = |server: &Server| {
        Some(poll::ServerPlan {
            name: server.name.clone(),
            source: Arc::clone(clients.get(&server.name)?),
            max_backoff: server.max_backoff,
            senders: server.senders.iter().map(&mut plan).collect(),
        })
    };
    poll::Settings {
        servers: config.servers.iter().filter_map(&mut server).collect(),
    }
}

/// The plan of one sender that goes on.
fn plan(sender: &Sender, names: &Names) -> poll::SenderPlan {
    poll::SenderPlan {
        id: sender.id.clone(),
        label: sender.label().to_owned(),
        scope: scope(sender),
        intervals: poll::Intervals {
            normal: sender.options.poll_interval,
            processing: sender.options.processing_interval,
            rare: sender.options.rare_interval,
            listing: sender.options.listing_interval,
        },
        named: ids(names, &sender.id).cloned().collect(),
        known: None,
    }
}

/// What the ledger remembers.
pub(super) fn ledger(config: &Config, names: &Names) -> ledger::Settings {
    let senders = config.servers.iter().flat_map(|server| &server.senders);
    ledger::Settings {
        causes: ledger::Causes(config.metrics.removal_causes.clone()),
        recipients: match &config.metrics.recipient_labels {
            RecipientLabels::Off => ledger::RecipientLabels::Off,
            RecipientLabels::Hash(key) => {
                ledger::RecipientLabels::hash(key.expose_secret().as_bytes())
            }
            RecipientLabels::Plain => ledger::RecipientLabels::Plain,
        },
        senders: senders
            .map(|s| (s.id.clone(), watching(s, names)))
            .collect(),
    }
}

fn watching(sender: &Sender, names: &Names) -> ledger::Watching {
    let own = names.get(&sender.id).into_iter().flatten();
    ledger::Watching {
        scope: scope(sender),
        keep_ended: sender.options.keep_ended,
        named: own.map(|(id, named)| (id.clone(), named.origin)).collect(),
    }
}

/// What is shown, and how.
pub(super) fn metrics(config: &Config, names: &Names) -> metrics::Settings {
    let senders = config.servers.iter().flat_map(|server| &server.senders);
    let view = |sender: &Sender| {
        let own = names.get(&sender.id).into_iter().flatten();
        let view = metrics::SenderView {
            label: sender.label().to_owned(),
            keep_ended: sender.options.keep_ended,
            poll_interval: sender.options.poll_interval,
            names: own
                .map(|(id, named)| (id.clone(), named.name.clone()))
                .collect(),
        };
        (sender.id.clone(), view)
    };
    metrics::Settings {
        transfers: config.metrics.transfers,
        max_transfers: config.metrics.max_transfers,
        max_recipients: config.metrics.max_recipients,
        expiring_within: config.metrics.expiring_within,
        stale_after: config.metrics.stale_after,
        senders: senders.map(view).collect(),
    }
}

/// What the web serves, and where the bookkeeper puts it.
pub(super) fn outlets(
    telemetry_path: &str,
    telemetry: &Telemetry,
    wishes: Option<mpsc::Sender<web::Wish>>,
) -> (Routes, Outlets) {
    let (shelf, board) = (Arc::<Shelf>::default(), Arc::<Board>::default());
    let routes = Routes {
        telemetry_path: telemetry_path.into(),
        shelf: Arc::clone(&shelf),
        telemetry: telemetry.clone(),
        board: Arc::clone(&board),
        ready: Arc::default(),
        wishes,
    };
    (routes, Outlets { shelf, board })
}

/// What the ledger knows of these senders.
pub(super) fn known(ledger: &Ledger, senders: &[SenderId]) -> Known {
    let known = |id: &SenderId| Some((id.clone(), known_by(ledger.book(id)?)));
    senders.iter().filter_map(known).collect()
}

/// What the ledger knows of every sender.
pub(super) fn all_known(ledger: &Ledger) -> Known {
    let books = ledger.books();
    books
        .map(|(id, book)| (id.clone(), known_by(book)))
        .collect()
}

fn known_by(book: &Book) -> poll::Known {
    let transfers = book.known();
    poll::Known {
        listed: book.listed(),
        transfers: transfers.map(|(id, state)| (id.clone(), state)).collect(),
    }
}

const fn scope(sender: &Sender) -> Scope {
    Scope {
        discover: sender.options.discover,
        max_age: sender.options.max_age,
    }
}

/// Lets go of every server and sender that the configuration does not name.
pub(super) fn keep_only(config: &Config, telemetry: &Telemetry) {
    let servers = config.servers.iter();
    let senders = servers.clone().flat_map(|server| {
        let senders = server.senders.iter();
        senders.map(|sender| (server.name.as_str(), sender.label()))
    });
    let servers = servers.map(|server| server.name.as_str()).collect();
    telemetry.keep_only(&servers, &senders.collect());
}

fn ids<'a>(names: &'a Names, sender: &SenderId) -> impl Iterator<Item = &'a TrackingId> {
    names.get(sender).into_iter().flat_map(BTreeMap::keys)
}
