//! The composition root: a checked configuration becomes parts, and the parts
//! a supervised process.
//!
//! **Invariants.** The only file that knows all parts. Nothing is bound or
//! asked before the whole configuration is good.

mod demo;
mod parts;

use std::{io::Write, path::PathBuf, process::ExitCode, sync::atomic::Ordering};

use anyhow::Context;
use jiff::Timestamp;
use rand::{
    SeedableRng,
    rngs::{StdRng, SysRng},
};
use tokio::{net::TcpListener, sync::mpsc};

pub use demo::{DemoOptions, Fault, Quirks, SimulateOptions, demo, read_fault, simulate};

use crate::{
    bookkeeper::{self, Vault},
    clock::Clock,
    config::Config,
    ledger::{Ledger, Store, StoreError},
    lifecycle::{self, Supervisor},
    logging, metrics, net,
    poll::{self, Pulse},
    process,
    telemetry::Telemetry,
    web,
};

/// Exit code when the configuration or the state has problems.
pub const EXIT_CONFIG: u8 = 3;

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
    /// Where to listen.
    pub listen: Vec<String>,
    /// The path of the metrics.
    pub telemetry_path: String,
    /// How to log.
    pub log: logging::Settings,
}

/// Runs the exporter until it is told to stop.
pub fn run(options: &RunOptions) -> ExitCode {
    let config = match Config::load(&options.config_file) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    logging::install(options.log, Clock::System);
    for warning in &config.warnings {
        tracing::warn!(file = %options.config_file.display(), %warning, "odd configuration");
    }
    in_runtime(async {
        let mut tasks = Supervisor::new()?;
        let listeners = bind(&options.listen).await?;
        start(&mut tasks, &config, listeners, &options.telemetry_path)?;
        Ok(tasks.run().await)
    })
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
async fn bind(addresses: &[String]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = net::bind(address).await?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "listening");
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Builds every part and hands it to the supervisor.
fn start(
    tasks: &mut Supervisor,
    config: &Config,
    listeners: Vec<TcpListener>,
    telemetry_path: &str,
) -> anyhow::Result<()> {
    let clock = Clock::System;
    let telemetry = Telemetry::new().context("failed to register the own metrics")?;
    process::register(telemetry.registry(), clock.now())
        .context("failed to register the metrics of the process")?;
    let now = clock.now().duration_since(Timestamp::UNIX_EPOCH);
    telemetry.config_loaded(now.as_secs_f64());
    let (ledger, store) = ledger(config, clock)?;
    let vault = Vault::new(store, telemetry.clone());
    let sources = parts::clients(config, clock, &telemetry)?;
    parts::announce(config, &telemetry);
    let (out, inbox) = mpsc::channel(INBOX);
    let view = parts::metrics(config);
    let (routes, outlets) = parts::outlets(telemetry_path, &telemetry);
    let plan = parts::poll(config, &ledger);
    let surroundings = poll::Surroundings {
        clock,
        rng: StdRng::try_from_rng(&mut SysRng).context("the system gives no random numbers")?,
        telemetry,
        pulse: pulse(),
        out,
        stop: tasks.stop(),
    };
    tasks.spawn("poll", poll::run(sources, plan, surroundings));
    let books = bookkeeper::run((ledger, vault), view, inbox, outlets, clock);
    tasks.spawn("bookkeeper", books);
    routes.ready.store(true, Ordering::Release);
    tasks.spawn("web", web::serve(listeners, routes, tasks.stop()));
    Ok(())
}

/// The ledger of an earlier life, or an empty one, and where it is kept.
fn ledger(config: &Config, clock: Clock) -> anyhow::Result<(Ledger, Option<Store>)> {
    let (mut ledger, store) = if let Some(directory) = &config.state_directory {
        let (ledger, store) = Ledger::open(directory)?;
        tracing::info!(directory = %directory.display(), "counters go on from the ledger");
        (ledger, Some(store))
    } else {
        tracing::info!("counters are kept in memory and begin at zero after a restart");
        (Ledger::default(), None)
    };
    ledger.watch(parts::ledger(config), clock.now());
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
    ended.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        let is_state = error.is::<StoreError>();
        ExitCode::from(if is_state { EXIT_CONFIG } else { EXIT_CRASH })
    })
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
fn url_of(listeners: &[TcpListener]) -> String {
    let first = listeners.first().and_then(|l| l.local_addr().ok());
    first.map_or_else(String::new, |address| format!("http://{address}"))
}
