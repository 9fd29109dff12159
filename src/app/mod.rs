//! The composition root: a checked configuration becomes parts, and the parts
//! a supervised process.
//!
//! **Invariants.** The only file that knows all parts. Nothing is bound or
//! asked before the whole configuration is good.

mod demo;
mod door;
mod front;
mod healthcheck;
mod names;
mod parts;
mod reload;
mod state;
mod verify;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use jiff::Timestamp;
use rand::{
    SeedableRng,
    rngs::{StdRng, SysRng},
};
use rustix::process::{Resource, getrlimit};
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, watch as newest},
};
use tokio_util::sync::CancellationToken;

use door::{Door, Generation};
use front::Front;
use parts::{Clients, Maker};
use reload::{Occasions, Reloader};

pub use demo::{
    DemoOptions, Fault, NEWEST_MINOR, Quirks, SimulateOptions, demo, fault_explanation,
    fault_kinds, read_fault, simulate,
};
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
    watch::{self, Names, Watch},
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

/// So many files are open before anybody comes.
const FEWEST_FILES: u64 = 32;

/// What blocks a thread and is not awaited by any task is given up so long
/// after the last of them.
const LEFTOVERS: Duration = Duration::from_secs(1);

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
    /// Whether `/-/reload` does anything.
    pub enable_lifecycle: bool,
    /// How often is looked whether the configuration file has changed; never if
    /// none.
    pub auto_reload: Option<Duration>,
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
    logging::install(options.log, Clock::System);
    let config = match Config::load(&options.config_file) {
        Ok(config) => config,
        Err(error) => return refuse(&error.into()),
    };
    for warning in &config.warnings {
        tracing::warn!(file = %options.config_file.display(), %warning, "odd configuration");
    }
    // While there is one thread only, for they are taken from the environment.
    let passed = match options.listen {
        Listen::At(_) => None,
        Listen::Systemd => Some(Passed::take()),
    };
    let ended = in_runtime(async {
        let mut tasks = Supervisor::new()?;
        let front = Front::open(options.web_config_file.as_deref())?;
        let listeners = match (&options.listen, passed) {
            (Listen::At(addresses), _) => bind(addresses).await?,
            (Listen::Systemd, passed) => {
                passed.transpose()?.map_or(Ok(Vec::new()), Passed::listen)?
            }
        };
        let frame = Frame {
            front,
            listeners,
            telemetry_path: &options.telemetry_path,
            hangups: tasks.hangups(),
            enable_lifecycle: options.enable_lifecycle,
            auto_reload: options.auto_reload,
        };
        start(&mut tasks, Arc::new(config), frame)?;
        Ok(tasks.run().await)
    });
    ended.unwrap_or_else(|error| refuse(&error))
}

/// Whether a client of each server could be set up, asking nobody.
///
/// # Errors
/// If one could not, say because a certificate is not that of its key.
pub fn rehearse(config: &Config) -> anyhow::Result<()> {
    let maker = Maker {
        clock: Clock::System,
        telemetry: Telemetry::new().context("failed to register the own metrics")?,
    };
    maker.clients(config, &Clients::new()).map(drop)
}

/// What is odd about the state directory, as far as that can be seen without a
/// change: whoever checks a configuration need not be who runs by it.
///
/// # Errors
/// If there is something else in its place.
pub fn look_at_state(config: &Config) -> anyhow::Result<Option<String>> {
    let Some(directory) = &config.state_directory else {
        return Ok(None);
    };
    let name = directory.display();
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(None),
        Ok(_) => anyhow::bail!("state.directory: {name} is not a directory; name one"),
        Err(error) => Ok(Some(format!(
            "state.directory: {name} cannot be looked at ({error}); the start makes it, where it may"
        ))),
    }
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
    print(&text)
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

/// What a start is told beside the configuration.
struct Frame<'a> {
    front: Front,
    listeners: Vec<Listener>,
    telemetry_path: &'a str,
    /// None where there is no file to load again.
    hangups: Option<Signal>,
    enable_lifecycle: bool,
    auto_reload: Option<Duration>,
}

/// Builds every part and hands it to the supervisor.
fn start(tasks: &mut Supervisor, config: Arc<Config>, frame: Frame<'_>) -> anyhow::Result<()> {
    let clock = Clock::System;
    let telemetry = Telemetry::new().context("failed to register the own metrics")?;
    process::register(telemetry.registry(), clock.now())
        .context("failed to register the metrics of the process")?;
    let now = clock.now().duration_since(Timestamp::UNIX_EPOCH);
    telemetry.config_loaded(now.as_secs_f64());
    let watch = Watch::at_start(names::settings(&config));
    let names = watch.names().clone();
    let (ledger, store) = ledger(&config, &names, clock)?;
    let vault = Vault::new(store, telemetry.clone());
    let maker = Maker {
        clock,
        telemetry: telemetry.clone(),
    };
    let clients = maker.clients(&config, &Clients::new())?;
    parts::announce(&config, &telemetry);
    let (out, inbox) = mpsc::channel(INBOX);
    let view = parts::metrics(&config, &names);
    let (wish, wishes) = mpsc::channel(reload::WISHES);
    let wish = Some(wish).filter(|_| frame.enable_lifecycle);
    let (routes, outlets) = parts::outlets(frame.telemetry_path, &telemetry, wish);
    let plan = parts::poll(&config, &clients, &names, parts::all_known(&ledger));
    let generation = Generation {
        config,
        clients,
        names,
    };
    let (door, (to_books, to_polls)) = Door::new(generation, telemetry.clone());
    let surroundings = poll::Surroundings {
        clock,
        rng: StdRng::try_from_rng(&mut SysRng).context("the system gives no random numbers")?,
        telemetry,
        pulse: pulse(),
        changes: to_polls,
        out,
        stop: tasks.stop(),
    };
    tasks.spawn("poll", poll::run(plan, surroundings));
    let books = bookkeeper::run((ledger, vault), view, (inbox, to_books), outlets, clock);
    tasks.spawn("bookkeeper", books);
    let (out, names) = newest::channel(watch.names().clone());
    let occasions = Occasions {
        hangups: frame.hangups,
        every: frame.auto_reload,
        wishes,
        names,
    };
    spawn_changes(tasks, (watch, out), (door, maker), occasions);
    if lifecycle::has_manager() {
        let board = Arc::clone(&routes.board);
        tasks.spawn("status", tell_status(board, tasks.stop()));
    }
    // Nothing fails from here on: who reads these lines may ask.
    announce(&frame.listeners);
    routes.ready.store(true, Ordering::Release);
    let (entrances, gate) = (frame.front.entrances(frame.listeners), frame.front.gate());
    tasks.spawn("web", web::serve(entrances, routes, gate, tasks.stop()));
    frame.front.spawn(tasks);
    Ok(())
}

/// Runs what changes the others: the watch files, and the configuration when it
/// is loaded again.
fn spawn_changes(
    tasks: &mut Supervisor,
    (watch, out): (Watch, newest::Sender<Names>),
    (door, maker): (Door, Maker),
    occasions: Occasions,
) {
    let (to_watch, changes) = mpsc::channel(1);
    tasks.spawn("watch files", watch::run(watch, changes, out, tasks.stop()));
    let reloader = Reloader::new(door, to_watch, maker);
    tasks.spawn("reload", reloader.run(occasions, tasks.stop()));
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

/// Runs `main` on a runtime of its own.
///
/// # Errors
/// If there can be none, and those of `main`.
fn in_runtime(main: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // The runtime panics where it cannot have its own.
    let limit = getrlimit(Resource::Nofile).current;
    anyhow::ensure!(
        limit.is_none_or(|limit| limit >= FEWEST_FILES),
        "only {} files may be open, and at least {FEWEST_FILES} must be; raise the limit \
         (ulimit -n, LimitNOFILE)",
        limit.unwrap_or_default(),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(main);
    // A look-up of a name that is still waited for would keep us, too.
    runtime.shutdown_timeout(LEFTOVERS);
    ended
}

/// Logs why a start failed; the answer is the exit code for it.
fn refuse(error: &anyhow::Error) -> ExitCode {
    tell_problems(error, "could not start");
    code_of(error)
}

/// Logs what is wrong, each problem on its line, and what comes of it.
fn tell_problems(error: &anyhow::Error, outcome: &str) {
    let mut causes = error.chain();
    match causes.find_map(|cause| cause.downcast_ref()) {
        Some(config::Error::Wrong {
            path,
            problems,
            warnings,
        }) => {
            let file = path.display();
            for warning in warnings {
                tracing::warn!(%file, %warning, "odd configuration");
            }
            for problem in problems {
                tracing::error!(%file, %problem, "wrong configuration");
            }
            tracing::error!(%file, problems = problems.len(), "{outcome}");
        }
        Some(config::Error::Unreadable { .. }) | None => {
            tracing::error!(error = format!("{error:#}"), "{outcome}");
        }
    }
}

/// Tells the error in full; the answer is the exit code for it.
fn fail(error: &anyhow::Error) -> ExitCode {
    complain(&format!("{error:#}"));
    code_of(error)
}

fn code_of(error: &anyhow::Error) -> ExitCode {
    let is_refused = error.chain().any(|cause| {
        cause.is::<StoreError>() || cause.is::<config::Error>() || cause.is::<BuildError>()
    });
    ExitCode::from(if is_refused { EXIT_CONFIG } else { EXIT_CRASH })
}

/// Writes to standard output; a reader that hung up is no failure.
///
/// # Errors
/// If that takes nothing, but for a reader who has read enough.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes what was asked for to standard output; the answer is the exit code.
pub fn print(text: &str) -> ExitCode {
    finish(say(text))
}

/// The exit code of a command; an error is told.
pub fn finish(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_for_ever_does_not_keep_the_process() {
        let (hold, wait) = std::sync::mpsc::channel::<()>();
        let ended = in_runtime(async {
            drop(tokio::task::spawn_blocking(move || wait.recv()));
            Ok(ExitCode::SUCCESS)
        });
        assert_eq!(ended.unwrap(), ExitCode::SUCCESS);
        drop(hold);
    }
}
