//! What all senders of one server share: the connection, and what was learned of
//! the server by it.
//!
//! **Invariants.** Another way to the server is another link, which begins with
//! nothing that was learned by the one before.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{
    BuildError, Proxy, Settings, Way, sizes::Sizes, transport::Transport, versions::Versions,
};
use crate::{budget::Budget, clock::Clock, telemetry::Telemetry};

/// Items that cannot be read are told again after so long without any.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// The link to one server.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) transport: Transport,
    pub(super) page_sizes: Sizes,
    pub(super) versions: Versions,
    pub(super) telemetry: Telemetry,
    pub(super) nonsense: Nonsense,
    /// How the link was made, without the senders.
    settings: Settings,
    budget: Budget,
    clock: Clock,
}

impl Link {
    /// A link by which nothing was asked yet.
    pub(super) fn new(
        settings: &Settings,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            transport: Transport::new(settings, budget.clone(), clock, telemetry.clone())?,
            page_sizes: Sizes::default(),
            versions: Versions::new(settings.server.clone()),
            telemetry,
            nonsense: Nonsense::default(),
            settings: Settings {
                senders: Vec::new(),
                ..settings.clone()
            },
            budget,
            clock,
        })
    }

    /// The link by other settings: the same one, if nothing else is said of it.
    pub(super) fn follow(
        link: &Arc<Self>,
        settings: &Settings,
        budget: Budget,
    ) -> Result<Arc<Self>, BuildError> {
        let is_as_wide = link.budget.is_as_wide_as(&budget);
        if is_as_wide && is_same_link(&link.settings, settings) {
            return Ok(Arc::clone(link));
        }
        let budget = if is_as_wide {
            link.budget.clone()
        } else {
            budget
        };
        let telemetry = link.telemetry.clone();
        Self::new(settings, budget, link.clock, telemetry).map(Arc::new)
    }

    /// Whether the tokens that were obtained by this link are those to ask with
    /// by `settings`.
    pub(super) fn has_tokens_of(&self, settings: &Settings) -> bool {
        let own = &self.settings;
        own.url == settings.url && is_same_secret(&own.client_id, &settings.client_id)
    }

    /// Label `server`.
    pub(super) fn server(&self) -> &str {
        &self.settings.server
    }
}

/// Whether both say the same of the link; who asks by it does not matter.
fn is_same_link(one: &Settings, other: &Settings) -> bool {
    let Settings {
        server,
        url,
        client_id,
        way,
        connect_timeout,
        read_timeout,
        request_timeout,
        max_response_bytes,
        token_directory,
        senders: _,
    } = one;
    let deadlines = (connect_timeout, read_timeout, request_timeout);
    let others = (
        &other.connect_timeout,
        &other.read_timeout,
        &other.request_timeout,
    );
    (server, url, token_directory) == (&other.server, &other.url, &other.token_directory)
        && (deadlines, max_response_bytes) == (others, &other.max_response_bytes)
        && is_same_secret(client_id, &other.client_id)
        && is_same_way(way, &other.way)
}

fn is_same_way(one: &Way, other: &Way) -> bool {
    let Way {
        ca_pem,
        identity_pem,
        insecure_skip_verify,
        proxy,
    } = one;
    let is_same_identity = match (identity_pem, &other.identity_pem) {
        (Some(one), Some(other)) => is_same_secret(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let is_same_proxy = match (proxy, &other.proxy) {
        (Proxy::Url(one), Proxy::Url(other)) => is_same_secret(one, other),
        (Proxy::None, Proxy::None) | (Proxy::Environment, Proxy::Environment) => true,
        (Proxy::None | Proxy::Url(_) | Proxy::Environment, _) => false,
    };
    (ca_pem, insecure_skip_verify) == (&other.ca_pem, &other.insecure_skip_verify)
        && is_same_identity
        && is_same_proxy
}

/// Both are ours, so nobody can measure how long it takes.
fn is_same_secret(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// Items that cannot be read: told when the first ones come, and again after
/// they have stayed away for long.
#[derive(Debug, Default)]
pub(super) struct Nonsense {
    last: Mutex<Option<Instant>>,
}

impl Nonsense {
    pub(super) fn tell(&self, server: &str, items: u64) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(now);
        if before.is_none_or(|before| now.duration_since(before) >= FORGOTTEN_AFTER) {
            tracing::warn!(
                server,
                items,
                "an answer has items that cannot be read; they are left out"
            );
        } else {
            tracing::debug!(
                server,
                items,
                "an answer again has items that cannot be read"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cryptshare::{Client, SenderSettings},
        model::SenderId,
    };

    fn settings() -> Settings {
        Settings {
            server: "prod".to_owned(),
            url: "https://transfer.example.com".parse().unwrap(),
            client_id: "x".repeat(50).into(),
            way: Way::default(),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            max_response_bytes: 1024,
            token_directory: None,
            senders: Vec::new(),
        }
    }

    fn budget() -> Budget {
        Budget::new(4, 10)
    }

    /// Whether a client by these settings shares the link of the one before.
    fn shares(change: impl FnOnce(&mut Settings), budget_after: Budget) -> bool {
        let telemetry = Telemetry::new().unwrap();
        let before = settings();
        let client = Client::new(&before, budget(), Clock::System, telemetry).unwrap();
        let mut after = before;
        change(&mut after);
        let next = client.follow(&after, budget_after).unwrap();
        next.shares_link(&client)
    }

    #[test]
    fn the_link_is_the_same_until_something_is_said_of_it() {
        let ada = SenderSettings {
            id: SenderId::new("prod", "ada@example.com"),
            label: "ada".to_owned(),
            address: "ada@example.com".to_owned(),
            language: "en".to_owned(),
        };
        assert!(shares(|_| {}, budget()));
        assert!(shares(|s| s.senders.push(ada), budget()));
        assert!(!shares(|_| {}, Budget::new(5, 10)));
        assert!(!shares(|_| {}, Budget::new(4, 11)));
        let elsewhere = "https://other.example.com".parse().unwrap();
        assert!(!shares(|s| s.url = elsewhere, budget()));
        assert!(!shares(|s| s.client_id = "y".repeat(50).into(), budget()));
        let other = Duration::from_secs(6);
        assert!(!shares(|s| s.connect_timeout = other, budget()));
        assert!(!shares(|s| s.read_timeout = other, budget()));
        assert!(!shares(|s| s.request_timeout = other, budget()));
        assert!(!shares(|s| s.max_response_bytes = 2048, budget()));
        assert!(!shares(|s| s.way.proxy = Proxy::Environment, budget()));
        assert!(!shares(|s| s.way.insecure_skip_verify = true, budget()));
    }

    #[test]
    fn two_ways_are_the_same_if_all_of_their_parts_are() {
        let proxied = |url: &str| Way {
            proxy: Proxy::Url(url.into()),
            ..Way::default()
        };
        let identified = |pem: &str| Way {
            identity_pem: Some(pem.into()),
            ..Way::default()
        };
        let trusting = Way {
            ca_pem: Some(vec![1]),
            ..Way::default()
        };
        let ways = [
            Way::default(),
            proxied("http://one"),
            proxied("http://two"),
            identified("one"),
            identified("two"),
            trusting,
        ];
        for (n, one) in ways.iter().enumerate() {
            for (m, other) in ways.iter().enumerate() {
                assert_eq!(is_same_way(one, other), n == m, "{n} {m}");
            }
        }
    }
}
