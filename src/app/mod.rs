//! The composition root: a checked configuration becomes parts, and the parts
//! a supervised process.
//!
//! **Invariants.** The only file that knows all parts. Nothing is bound or
//! asked before the whole configuration is good.

mod demo;
mod front;
mod healthcheck;
mod names;
mod parts;
mod state;
mod verify;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
};

use anyhow::Context;
use jiff::Timestamp;
use rand::{
    SeedableRng,
    rngs::{StdRng, SysRng},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use front::Front;
use names::Door;

pub use demo::{DemoOptions, Fault, Quirks, SimulateOptions, demo, read_fault, simulate};
pub use healthcheck::{Target, healthcheck};
pub use state::{Export, Import, Show, ShowFormat, StatePlace, export, import, reset, show};
pub use verify::{VerifyOptions, verify};

use crate::{
    bookkeeper::{self, Vault},
    clock::Clock,
    config::{self, Config, Problem},
    cryptshare::BuildError,
    ledger::{IfMissing, Ledger, Store, StoreError},
    lifecycle::{self, Supervisor},
    logging, metrics,
    net::{self, Listener, Passed},
    poll::{self, Pulse},
    process,
    status::Board,
    telemetry::Telemetry,
    watch::{Names, Watch},
    web,
};

/// Exit code when the configuration or the state has problems.
pub const EXIT_CONFIG: u8 = 3;

/// Exit code when the command line is wrong.
pub const EXIT_USAGE: u8 = 2;

/// Exit code when the process could not start or crashed.
pub const EXIT_CRASH: u8 = 1;

/// Observations on their way to the bookkeeper; a full channel slows the
/// scheduler down instead of filling memory.
const INBOX: usize = 1024;

/// What `run` is told on the command line.
#[derive(Debug)]
pub struct RunOptions {
    /// The configuration file.
    pub config_file: PathBuf,
    /// The web configuration.
    pub web_config_file: Option<PathBuf>,
    /// Where to listen.
    pub listen: Listen,
    /// The path of the metrics.
    pub telemetry_path: String,
    /// How to log.
    pub log: logging::Settings,
}

/// Where to listen.
#[derive(Debug)]
pub enum Listen {
    /// On these addresses.
    At(Vec<String>),
    /// On the sockets that systemd has bound.
    Systemd,
}

/// Runs the exporter until it is told to stop.
pub fn run(options: &RunOptions) -> ExitCode {
    let config = match load(&options.config_file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    logging::install(options.log, Clock::System);
    for warning in &config.warnings {
        tracing::warn!(file = %options.config_file.display(), %warning, "odd configuration");
    }
    // While there is one thread only, for they are taken from the environment.
    let passed = match options.listen {
        Listen::At(_) => None,
        Listen::Systemd => Some(Passed::take()),
    };
    in_runtime(async {
        let mut tasks = Supervisor::new()?;
        let front = Front::open(options.web_config_file.as_deref())?;
        let listeners = match (&options.listen, passed) {
            (Listen::At(addresses), _) => bind(addresses).await?,
            (Listen::Systemd, passed) => {
                passed.transpose()?.map_or(Ok(Vec::new()), Passed::listen)?
            }
        };
        announce(&listeners);
        let config = Arc::new(config);
        start(
            &mut tasks,
            &config,
            (front, listeners),
            &options.telemetry_path,
        )?;
        Ok(tasks.run().await)
    })
}

/// The configuration, or the exit code after its problems were told.
fn load(file: &Path) -> Result<Config, ExitCode> {
    Config::load(file).map_err(|error| {
        complain(&error);
        ExitCode::from(EXIT_CONFIG)
    })
}

/// Whether a client of each server could be set up, asking nobody.
///
/// # Errors
/// If one could not, say because a certificate is not that of its key.
pub fn rehearse(config: &Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::new().context("failed to register the own metrics")?;
    parts::clients(config, Clock::System, &telemetry).map(drop)
}

/// What the web configuration says in short, and what is odd about it.
///
/// # Errors
/// With all of its problems.
pub fn check_web(file: &Path) -> anyhow::Result<(String, Vec<Problem>)> {
    let config = front::check(file)?;
    let tls = match &config.tls {
        Some(_) => "on",
        None => "off",
    };
    let summary = format!("TLS: {tls}, users: {}", config.users.len());
    Ok((summary, config.warnings))
}

/// Prints the catalog of metrics.
pub fn catalog(format: CatalogFormat) -> ExitCode {
    let text = match format {
        CatalogFormat::Markdown => metrics::document::markdown(),
        CatalogFormat::Json => metrics::document::json(),
    };
    say(&text);
    ExitCode::SUCCESS
}

/// How the catalog is printed.
#[derive(Debug, Clone, Copy)]
pub enum CatalogFormat {
    /// A table.
    Markdown,
    /// An array of objects.
    Json,
}

/// Listens on every address.
async fn bind(addresses: &[String]) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(net::bind(address).await?);
    }
    Ok(listeners)
}

fn announce(listeners: &[Listener]) {
    for listener in listeners {
        tracing::info!(address = %listener, "listening");
    }
}

/// Builds every part and hands it to the supervisor.
fn start(
    tasks: &mut Supervisor,
    config: &Arc<Config>,
    (front, listeners): (Front, Vec<Listener>),
    telemetry_path: &str,
) -> anyhow::Result<()> {
    let clock = Clock::System;
    let telemetry = Telemetry::new().context("failed to register the own metrics")?;
    process::register(telemetry.registry(), clock.now())
        .context("failed to register the metrics of the process")?;
    let now = clock.now().duration_since(Timestamp::UNIX_EPOCH);
    telemetry.config_loaded(now.as_secs_f64());
    let watch = Watch::at_start(names::settings(config));
    let (ledger, store) = ledger(config, watch.names(), clock)?;
    let vault = Vault::new(store, telemetry.clone());
    let sources = parts::clients(config, clock, &telemetry)?;
    parts::announce(config, &telemetry);
    let (out, inbox) = mpsc::channel(INBOX);
    let view = parts::metrics(config, watch.names());
    let (routes, outlets) = parts::outlets(telemetry_path, &telemetry);
    let plan = parts::poll(config, watch.names(), &ledger);
    let (door, changes, plans) = Door::new(Arc::clone(config), watch.names().clone());
    let surroundings = poll::Surroundings {
        clock,
        rng: StdRng::try_from_rng(&mut SysRng).context("the system gives no random numbers")?,
        telemetry,
        pulse: pulse(),
        plans,
        out,
        stop: tasks.stop(),
    };
    tasks.spawn("poll", poll::run(sources, plan, surroundings));
    let inlets = (inbox, changes);
    let books = bookkeeper::run((ledger, vault), view, inlets, outlets, clock);
    tasks.spawn("bookkeeper", books);
    names::spawn(tasks, (watch, door));
    if lifecycle::has_manager() {
        let board = Arc::clone(&routes.board);
        tasks.spawn("status", tell_status(board, tasks.stop()));
    }
    routes.ready.store(true, Ordering::Release);
    let (entrances, gate) = (front.entrances(listeners), front.gate());
    tasks.spawn("web", web::serve(entrances, routes, gate, tasks.stop()));
    front.spawn(tasks);
    Ok(())
}

/// Tells the service manager how many senders are up, whenever that changes.
async fn tell_status(board: Arc<Board>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut told = String::new();
    loop {
        tokio::select! {
            () = board.changed() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let summary = board.read().summary();
        if summary != told {
            lifecycle::tell_status(&summary);
            told = summary;
        }
    }
}

/// The ledger of an earlier life, or an empty one, and where it is kept.
fn ledger(config: &Config, names: &Names, clock: Clock) -> anyhow::Result<(Ledger, Option<Store>)> {
    let (mut ledger, store) = if let Some(directory) = &config.state_directory {
        let (ledger, store) = Ledger::open(directory, IfMissing::Create)?;
        let directory = directory.display();
        if ledger.remembered().next().is_some() {
            tracing::info!(%directory, "counters go on from the ledger");
        } else {
            tracing::info!(%directory, "a new ledger begins, and counters with it");
        }
        (ledger, Some(store))
    } else {
        tracing::info!("counters are kept in memory and begin at zero after a restart");
        (Ledger::default(), None)
    };
    ledger.watch(parts::ledger(config, names), clock.now());
    Ok((ledger, store))
}

/// The sign of life for the service manager, if it wants one: three in the
/// time that it would wait for one.
fn pulse() -> Pulse {
    match lifecycle::watchdog() {
        Some(period) => Pulse::new(period / 3, lifecycle::feed_watchdog),
        None => Pulse::unheard(),
    }
}

/// Runs `main` on a runtime of its own; a failure to start is told in full.
fn in_runtime(main: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(main),
        Err(error) => Err(error.into()),
    };
    ended.unwrap_or_else(|error| fail(&error))
}

/// Tells the error in full; the answer is the exit code for it.
fn fail(error: &anyhow::Error) -> ExitCode {
    complain(&format!("{error:#}"));
    let is_refused = error.chain().any(|cause| {
        cause.is::<StoreError>() || cause.is::<config::Error>() || cause.is::<BuildError>()
    });
    ExitCode::from(if is_refused { EXIT_CONFIG } else { EXIT_CRASH })
}

/// Writes to standard output; a reader that hung up is no failure.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()));
}

/// Writes to standard error.
pub fn complain(problem: &dyn std::fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{problem}"));
}

/// Where the exporter listens once `listeners` are bound, for people.
fn url_of(listeners: &[Listener]) -> String {
    let first = listeners.first().and_then(Listener::address);
    first.map_or_else(String::new, |address| format!("http://{address}"))
}
