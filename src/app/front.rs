//! What stands between the network and the routes: the sockets, and what the
//! web configuration says of TLS and of who is let in.
//!
//! **Invariants.** What was good stays until what replaces it is good as a
//! whole. Whether TLS is spoken is decided at the start, so that no mistake in
//! a file turns it off.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use arc_swap::ArcSwap;
use hyper::header::{HeaderName, HeaderValue};
use rand::{TryRng, rngs::SysRng};
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{
        self, Problem,
        web::{ClientAuth, WebConfig},
    },
    files::Stamp,
    lifecycle::Supervisor,
    net::{ClientSettings, Entrance, Listener, Tls, TlsSettings},
    web::{Gate, GateSettings, Rate},
};

/// How often is looked whether a file has changed. A renewed certificate has
/// days, a user who was struck out should be gone at once.
const LOOK: Duration = Duration::from_secs(1);

/// What every entrance has before it.
#[derive(Debug, Default)]
pub(super) struct Front {
    tls: Option<Arc<Tls>>,
    gate: Arc<ArcSwap<Gate>>,
    watched: Option<Watched>,
}

impl Front {
    /// The front that the web configuration describes, if there is one.
    pub(super) fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let (prepared, stamps) = settle(file)?;
        warn(file, &prepared.config);
        Ok(Self {
            tls: prepared.tls.map(Arc::new),
            gate: Arc::new(ArcSwap::from_pointee(prepared.gate)),
            watched: Some(Watched {
                file: file.to_owned(),
                files: prepared.config.files,
                stamps,
                told: None,
            }),
        })
    }

    /// The gate, which changes with the files.
    pub(super) fn gate(&self) -> Arc<ArcSwap<Gate>> {
        Arc::clone(&self.gate)
    }

    /// Puts the front before `listeners`.
    pub(super) fn entrances(&self, listeners: Vec<Listener>) -> Vec<Entrance> {
        let entrance = |listener| Entrance {
            listener,
            tls: self.tls.clone(),
        };
        listeners.into_iter().map(entrance).collect()
    }

    /// Watches the files, if there are any.
    pub(super) fn spawn(self, tasks: &mut Supervisor) {
        if self.watched.is_some() {
            tasks.spawn("web configuration", self.watch(tasks.stop()));
        }
    }

    async fn watch(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
            self = spawn_blocking(move || {
                self.look();
                self
            })
            .await?;
        }
    }

    /// Takes up what has changed.
    fn look(&mut self) {
        let Some(watched) = &mut self.watched else {
            return;
        };
        let now = stamps(&watched.files);
        // What failed may become good by a file that was not even named.
        if now == watched.stamps && watched.told.is_none() {
            return;
        }
        watched.stamps = now;
        let file = watched.file.clone();
        match settle(&file).and_then(|settled| self.take_up(&file, settled)) {
            Ok(()) => tracing::info!(file = %file.display(), "the web configuration was read anew"),
            Err(error) => self.tell(&file, &error.to_string()),
        }
    }

    fn take_up(&mut self, file: &Path, (prepared, stamps): Settled) -> anyhow::Result<()> {
        // A file that was cut to nothing is good YAML: it must not open the door.
        if self.gate.load().asks_for_passwords() && !prepared.gate.asks_for_passwords() {
            anyhow::bail!("basic_auth_users: passwords end with a restart only");
        }
        match (&self.tls, prepared.tls) {
            (None, None) => {}
            (Some(tls), Some(other)) => tls.replace(other),
            (Some(_), None) => anyhow::bail!("tls_server_config: TLS ends with a restart only"),
            (None, Some(_)) => anyhow::bail!("tls_server_config: TLS begins with a restart only"),
        }
        warn(file, &prepared.config);
        self.gate.store(Arc::new(prepared.gate));
        if let Some(watched) = &mut self.watched {
            watched.files = prepared.config.files;
            watched.stamps = stamps;
            watched.told = None;
        }
        Ok(())
    }

    /// Tells a problem once, however often it is met.
    fn tell(&mut self, file: &Path, problem: &str) {
        if let Some(watched) = &mut self.watched
            && watched.told.as_deref() != Some(problem)
        {
            tracing::error!(
                file = %file.display(),
                error = problem,
                "the web configuration has problems, the last good one stays"
            );
            watched.told = Some(problem.to_owned());
        }
    }
}

/// The files of a front.
#[derive(Debug)]
struct Watched {
    file: PathBuf,
    /// All of them, and how each of them was when it was read.
    files: Vec<PathBuf>,
    stamps: Stamps,
    /// The problem that was told last, until all is good again.
    told: Option<String>,
}

/// Those of several files; a missing one has none.
type Stamps = Vec<Option<Stamp>>;

fn stamps(files: &[PathBuf]) -> Stamps {
    files.iter().map(|file| Stamp::of(file).ok()).collect()
}

/// What became of the files.
struct Prepared {
    tls: Option<Tls>,
    gate: Gate,
    config: WebConfig,
}

/// Reads and checks the web configuration, to the last certificate.
pub(super) fn check(file: &Path) -> anyhow::Result<WebConfig> {
    Ok(prepare(file)?.config)
}

type Settled = (Prepared, Stamps);

/// What the files say, and how they were before they were read: so what changes
/// meanwhile is seen at the next look. Without the stamps there is one anyway.
fn settle(file: &Path) -> anyhow::Result<Settled> {
    let files = prepare(file)?.config.files;
    let before = stamps(&files);
    let prepared = prepare(file)?;
    let is_same = prepared.config.files == files;
    Ok((prepared, if is_same { before } else { Stamps::new() }))
}

fn warn(file: &Path, config: &WebConfig) {
    for warning in &config.warnings {
        tracing::warn!(file = %file.display(), %warning, "odd web configuration");
    }
}

fn prepare(file: &Path) -> anyhow::Result<Prepared> {
    let mut config = WebConfig::load(file)?;
    let tls = match &mut config.tls {
        Some(tls) => Some(Tls::new(&tls_settings(tls)).map_err(|error| {
            let problem = Problem {
                line: tls.line,
                key: "tls_server_config".to_owned(),
                wrong: format!("{:#}", anyhow::Error::from(error)),
                remedy: "check that the files belong together".to_owned(),
            };
            config::Error::Wrong {
                path: file.to_owned(),
                problems: vec![problem],
                warnings: Vec::new(),
            }
        })?),
        None => None,
    };
    let gate = Gate::new(gate_settings(&config)?);
    Ok(Prepared { tls, gate, config })
}

fn tls_settings(tls: &config::web::Tls) -> TlsSettings {
    use ClientAuth::{No, RequireAndVerify, RequireAny};

    TlsSettings {
        certificates: tls.certificates.clone(),
        key: tls.key.clone(),
        clients: ClientSettings {
            is_asked: tls.client_auth != No,
            is_required: matches!(tls.client_auth, RequireAny | RequireAndVerify),
            authorities: authorities(tls),
            allowed_sans: tls.client_allowed_sans.clone(),
        },
        versions: tls.versions.clone(),
        cipher_suites: tls.cipher_suites.clone(),
        prefers_own_suites: tls.prefer_server_cipher_suites,
        curves: tls.curves.clone(),
        http2: tls.http2,
    }
}

/// Those who must have signed, where that is verified.
fn authorities(tls: &config::web::Tls) -> Option<Vec<u8>> {
    use ClientAuth::{No, Request, RequireAndVerify, RequireAny, VerifyIfGiven};

    match tls.client_auth {
        VerifyIfGiven | RequireAndVerify => tls.client_authorities.clone(),
        No | Request | RequireAny => None,
    }
}

fn gate_settings(config: &WebConfig) -> anyhow::Result<GateSettings> {
    let mut key = [0; 32];
    SysRng
        .try_fill_bytes(&mut key)
        .context("the system gives no random numbers")?;
    let header = |(name, value): &(String, String)| {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        anyhow::Ok((name, HeaderValue::from_str(value)?))
    };
    let headers: anyhow::Result<_> = config.headers.iter().map(header).collect();
    Ok(GateSettings {
        users: config.users.clone(),
        key,
        headers: headers?,
        rate: config.rate.map(|rate| Rate {
            interval: rate.interval,
            burst: rate.burst,
        }),
    })
}
