//! The command line.
//!
//! **Invariants.** Flags are named as those of Prometheus and its own
//! exporters; every exit code is documented in `--help`.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    app::{
        self, CatalogFormat, DemoOptions, Export, Import, Listen, Quirks, RunOptions, Show,
        ShowFormat, SimulateOptions, StatePlace, VerifyOptions,
    },
    config::Config,
    logging,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped as asked, or the configuration is good
  1  a part could not start or crashed, a command could not do what it was asked,
     or a second signal aborted the stop
  2  wrong usage of the command line
  3  the configuration has problems, or the state directory cannot be used
  4  verify: the server handed out no token";

/// The name in place of a quirk's that explains all of them.
const QUIRK_LIST: &str = "list";

const DEFAULT_CONFIG: &str = "/etc/cryptshare-exporter/config.toml";

/// Exports the transfers of Cryptshare servers to Prometheus.
#[derive(Debug, Parser)]
#[command(name = "cryptshare-exporter", version = version(), after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration file
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = DEFAULT_CONFIG,
        help_heading = "Configuration"
    )]
    config_file: PathBuf,
    /// Check the configuration file and exit
    #[arg(long = "config.check", help_heading = "Configuration")]
    config_check: bool,
    /// Set the ledger aside, after a confirmation on standard input, and exit
    #[arg(long = "state.reset", help_heading = "Configuration")]
    state_reset: bool,
    /// TLS, users and headers: a YAML file as Prometheus' own exporters have it
    #[arg(long = "web.config.file", value_name = "FILE", help_heading = "Web")]
    web_config_file: Option<PathBuf>,
    /// An address to listen on, or `unix:/path`; may be repeated
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":10062",
        help_heading = "Web"
    )]
    listen: Vec<String>,
    /// Listen on the sockets that systemd passes, and on no address
    #[arg(long = "web.systemd-socket", help_heading = "Web")]
    systemd_socket: bool,
    /// The path of the metrics
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        default_value = "/metrics",
        value_parser = absolute_path,
        help_heading = "Web"
    )]
    telemetry_path: String,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// Log from this level on: debug, info, warn, error
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        global = true,
        help_heading = "Logging"
    )]
    log_level: logging::Level,
    /// How a line is written: logfmt, json
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        default_value = "logfmt",
        global = true,
        help_heading = "Logging"
    )]
    log_format: logging::Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the exporter against a simulated server, to look around
    Demo {
        /// The address to listen on
        #[arg(
            long = "web.listen-address",
            value_name = "ADDRESS",
            default_value = "127.0.0.1:10062"
        )]
        listen: String,
        /// Simulated seconds for each real one
        #[arg(long, value_name = "X", default_value = "60", value_parser = speed)]
        speed: f64,
    },
    /// Run the simulated server alone; prints one line of JSON when ready
    Simulate(SimulateArgs),
    /// Verify a sender by a code that the server mails to it
    ///
    /// Asks for the code on the terminal, or reads it as one line of standard
    /// input. A running exporter takes up the token by itself.
    #[command(after_help = EXIT_CODES)]
    Verify {
        /// The configuration file
        #[arg(
            long = "config.file",
            value_name = "FILE",
            default_value = DEFAULT_CONFIG
        )]
        config_file: PathBuf,
        /// The name of the server in the configuration
        #[arg(long, value_name = "NAME")]
        server: String,
        /// The address of the sender, or its name in the configuration
        #[arg(long, value_name = "ADDRESS")]
        sender: String,
    },
    /// Print the catalog of metrics
    Metrics {
        /// How to print it
        #[arg(long, value_name = "FORMAT", default_value = "markdown")]
        format: CatalogWord,
    },
    /// Look at the ledger, or move a sender to another instance
    #[command(subcommand)]
    State(StateCommand),
}

#[derive(Debug, Subcommand)]
enum StateCommand {
    /// Print what is remembered of each sender
    Show {
        #[command(flatten)]
        place: PlaceArgs,
        /// How to print it
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        format: ShowWord,
    },
    /// Write everything that is remembered of a sender to standard output
    Export {
        #[command(flatten)]
        place: PlaceArgs,
        /// The sender's address, or its name in the configuration
        #[arg(long, value_name = "SENDER")]
        sender: String,
        /// The server's name, where several know the sender
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Take in what `state export` has written; its counters go on from there
    Import {
        #[command(flatten)]
        place: PlaceArgs,
        /// The file to read; standard input without one
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The server's name in this configuration, if it is another
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
        /// Let what the ledger knows of the sender give way
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The configuration file that names the state directory
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = DEFAULT_CONFIG
    )]
    config_file: PathBuf,
    /// The state directory itself; the configuration is not read then
    #[arg(long = "state.directory", value_name = "DIRECTORY")]
    state_directory: Option<PathBuf>,
}

impl PlaceArgs {
    fn place(self) -> StatePlace {
        StatePlace {
            config_file: self.config_file,
            directory: self.state_directory,
        }
    }
}

#[derive(Debug, Args)]
struct SimulateArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The seed of everything that is random
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Simulated seconds for each real one; 0 freezes the time
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed)]
    speed: f64,
    /// How many senders there are
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    senders: usize,
    /// How many transfers there are at the start, in all
    #[arg(long, value_name = "N", default_value = "48", value_parser = population)]
    transfers: usize,
    /// What people do with each active transfer in a simulated hour, beside
    /// what always happens
    #[arg(long, value_name = "X", default_value = "0", value_parser = speed)]
    activity: f64,
    /// The minor version of the API
    #[arg(long, value_name = "N", default_value = "8")]
    api_minor: u32,
    /// A way in which servers may differ, or `list` to explain them all; may be
    /// repeated, and NAME=SHARE lets it show only now and then
    #[arg(long = "quirk", value_name = "NAME", value_parser = quirk)]
    quirks: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShowWord {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CatalogWord {
    Markdown,
    Json,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Does what `arguments` say, the name of the program first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Cli { command, run, log } = Cli::parse_from(arguments);
    let log = logging::Settings {
        level: log.log_level,
        format: log.log_format,
    };
    match command {
        None if run.config_check => check(&run.config_file, run.web_config_file.as_deref()),
        None if run.state_reset => app::reset(&run.config_file),
        None => app::run(&RunOptions {
            config_file: run.config_file,
            web_config_file: run.web_config_file,
            listen: if run.systemd_socket {
                Listen::Systemd
            } else {
                Listen::At(run.listen)
            },
            telemetry_path: run.telemetry_path,
            log,
        }),
        Some(Command::Demo { listen, speed }) => app::demo(&DemoOptions { listen, speed, log }),
        Some(Command::Simulate(args)) => simulate(&args, log),
        Some(Command::Verify {
            config_file,
            server,
            sender,
        }) => app::verify(&VerifyOptions {
            config_file,
            server,
            sender,
            log,
        }),
        Some(Command::Metrics { format }) => app::catalog(match format {
            CatalogWord::Markdown => CatalogFormat::Markdown,
            CatalogWord::Json => CatalogFormat::Json,
        }),
        Some(Command::State(command)) => state(command),
    }
}

fn state(command: StateCommand) -> ExitCode {
    match command {
        StateCommand::Show { place, format } => app::show(&Show {
            place: place.place(),
            format: match format {
                ShowWord::Table => ShowFormat::Table,
                ShowWord::Json => ShowFormat::Json,
            },
        }),
        StateCommand::Export {
            place,
            sender,
            server,
        } => app::export(&Export {
            place: place.place(),
            sender,
            server,
        }),
        StateCommand::Import {
            place,
            file,
            server,
            replace,
        } => app::import(&Import {
            place: place.place(),
            file,
            server,
            replace,
        }),
    }
}

fn simulate(args: &SimulateArgs, log: logging::Settings) -> ExitCode {
    if args.quirks.iter().any(|name| name == QUIRK_LIST) {
        app::say(&Quirks::explanation());
        return ExitCode::SUCCESS;
    }
    app::simulate(&SimulateOptions {
        listen: args.listen,
        seed: args.seed,
        speed: args.speed,
        senders: args.senders,
        transfers: args.transfers,
        activity: args.activity,
        api_minor: args.api_minor,
        // Each was checked when it was read.
        quirks: Quirks::parse(&args.quirks).unwrap_or_default(),
        log,
    })
}

/// Says whether the configuration is good, and that of the web if there is one.
fn check(file: &Path, web: Option<&Path>) -> ExitCode {
    let config = check_main(file);
    let web = web.is_none_or(check_web);
    if config && web {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(app::EXIT_CONFIG)
    }
}

fn check_web(file: &Path) -> bool {
    match app::check_web(file) {
        Ok((summary, warnings)) => {
            for warning in warnings {
                app::complain(&format!("{}:{warning} (warning)", file.display()));
            }
            app::say(&format!("{}: ok; {summary}", file.display()));
            true
        }
        Err(error) => {
            app::complain(&format!("{error:#}"));
            false
        }
    }
}

/// Says whether the configuration is good, and what is in it.
fn check_main(file: &Path) -> bool {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            app::complain(&error);
            return false;
        }
    };
    for warning in &config.warnings {
        app::complain(&format!("{}:{warning} (warning)", file.display()));
    }
    if let Err(error) = app::rehearse(&config) {
        app::complain(&format!("{}: {error:#}", file.display()));
        return false;
    }
    let senders = config.servers.iter().flat_map(|server| &server.senders);
    let transfers: usize = senders.clone().map(|sender| sender.transfers.len()).sum();
    app::say(&format!(
        "{}: ok; servers: {}, senders: {}, named transfers: {transfers}",
        file.display(),
        config.servers.len(),
        senders.count(),
    ));
    true
}

fn version() -> &'static str {
    concat!(
        env!("CARGO_PKG_VERSION"),
        " (revision ",
        env!("CRYPTSHARE_EXPORTER_REVISION"),
        ", rustc ",
        env!("CRYPTSHARE_EXPORTER_RUSTC"),
        ")"
    )
}

fn absolute_path(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
    let reserved = text == "/-/healthy" || text == "/-/ready";
    if !text.starts_with('/') || !text.chars().all(good) || reserved {
        return Err("write a path such as /metrics".to_owned());
    }
    Ok(text.to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok();
    speed
        .filter(|speed| (0.0..=1e6).contains(speed))
        .ok_or_else(|| "write a number from 0 to 1000000".to_owned())
}

fn quirk(text: &str) -> Result<String, String> {
    if text != QUIRK_LIST {
        Quirks::parse(&[text])?;
    }
    Ok(text.to_owned())
}

fn population(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok();
    count
        .filter(|count| *count <= 1_000_000)
        .ok_or_else(|| "write a number from 0 to 1000000".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok();
    count
        .filter(|count| (1..=10_000).contains(count))
        .ok_or_else(|| "write a number from 1 to 10000".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::telemetry;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_names_revision_and_compiler() {
        assert!(version().contains(telemetry::REVISION));
        assert!(version().contains(telemetry::RUSTC));
    }
}
