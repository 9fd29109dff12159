//! Flags and subcommands, and how their values are written.
//!
//! **Invariants.** Flags are named as those of Prometheus and its own exporters.
//! What a value may be is checked here and nowhere else.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{
    app::{self, Quirks, StatePlace},
    config, logging,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped as asked, the configuration is good, or the exporter is healthy
  1  a part could not start or crashed, a command could not do what it was asked,
     the exporter is not healthy, or a second signal aborted the stop
  2  wrong usage of the command line
  3  the configuration has problems, or the state directory cannot be used
  4  verify: the server handed out no token";

/// The name in place of a quirk's or a fault's that explains all of them.
pub(super) const LIST: &str = "list";

const DEFAULT_CONFIG: &str = "/etc/cryptshare-exporter/config.toml";

/// Exports the transfers of Cryptshare servers to Prometheus.
#[derive(Debug, Parser)]
#[command(name = "cryptshare-exporter", version = version(), after_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag, and any may come with any other"
)]
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration file
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = DEFAULT_CONFIG,
        help_heading = "Configuration"
    )]
    pub(super) config_file: PathBuf,
    /// Check the configuration, and that of the web if it is named, and exit
    #[arg(long = "config.check", help_heading = "Configuration")]
    pub(super) config_check: bool,
    /// Load the configuration again whenever its file has changed, as SIGHUP does
    #[arg(long = "config.enable-auto-reload", help_heading = "Configuration")]
    pub(super) auto_reload: bool,
    /// How often to look whether the file has changed
    #[arg(
        long = "config.auto-reload-interval",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = config::duration,
        help_heading = "Configuration"
    )]
    pub(super) auto_reload_interval: Duration,
    /// Set the ledger aside, after a confirmation on standard input, and exit
    #[arg(long = "state.reset", help_heading = "Configuration")]
    pub(super) state_reset: bool,
    /// TLS, users and headers: a YAML file as Prometheus' own exporters have it
    #[arg(long = "web.config.file", value_name = "FILE", help_heading = "Web")]
    pub(super) web_config_file: Option<PathBuf>,
    /// An address to listen on, or `unix:/path`; may be repeated
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":10062",
        help_heading = "Web"
    )]
    pub(super) listen: Vec<String>,
    /// Listen on the sockets that systemd passes, and on no address
    #[arg(long = "web.systemd-socket", help_heading = "Web")]
    pub(super) systemd_socket: bool,
    /// Let POST and PUT to /-/reload load the configuration again, as SIGHUP does
    #[arg(long = "web.enable-lifecycle", help_heading = "Web")]
    pub(super) enable_lifecycle: bool,
    /// The path of the metrics
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        default_value = "/metrics",
        value_parser = absolute_path,
        help_heading = "Web"
    )]
    pub(super) telemetry_path: String,
}

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Log from this level on: debug, info, warn, error; debug tells each
    /// retrieval with the recipient's address and the id of its download page
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        global = true,
        help_heading = "Logging"
    )]
    pub(super) log_level: logging::Level,
    /// How a line is written: logfmt, json
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        default_value = "logfmt",
        global = true,
        help_heading = "Logging"
    )]
    pub(super) log_format: logging::Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    /// Ask a running exporter whether it is healthy: 0 if it is, else 1
    ///
    /// For containers, whose images have no other program to ask with.
    #[command(after_help = EXIT_CODES)]
    Healthcheck(HealthcheckArgs),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, of the whole or of one command
    Man {
        /// The command, for example `state show`
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
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
pub(super) enum StateCommand {
    /// Print what is remembered of each sender
    ///
    /// TRANSFERS counts those that the server knew at the last poll. REMEMBERED,
    /// like an export, also has those that are gone, or no longer watched: marks
    /// of them stay for 90 days, so that nothing counts twice if they come back.
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
        /// The file to read; standard input without one, or if it is `-`
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
pub(super) struct PlaceArgs {
    /// The configuration file that names the state directory
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = DEFAULT_CONFIG
    )]
    pub(super) config_file: PathBuf,
    /// The state directory itself; the configuration is not read then
    #[arg(long = "state.directory", value_name = "DIRECTORY")]
    pub(super) state_directory: Option<PathBuf>,
}

impl PlaceArgs {
    pub(super) fn place(self) -> StatePlace {
        StatePlace {
            config_file: self.config_file,
            directory: self.state_directory,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// Where it listens: a URL, or `unix:/path`; without a path the health is
    /// asked for
    #[arg(
        value_name = "URL",
        default_value = "http://127.0.0.1:10062/-/healthy",
        value_parser = app::Target::read
    )]
    pub(super) target: app::Target,
    /// Let the certificate be any, say because it names another host
    #[arg(long)]
    pub(super) insecure: bool,
}

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// The seed of everything that is random
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) seed: u64,
    /// Simulated seconds for each real one; 0 freezes the time
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed)]
    pub(super) speed: f64,
    /// How many senders there are
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    pub(super) senders: usize,
    /// How many transfers there are at the start, in all
    #[arg(long, value_name = "N", default_value = "48", value_parser = population)]
    pub(super) transfers: usize,
    /// The share of these that has ended, from 0 to 1, while the others are
    /// active; without it every state has its part
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(super) ended: Option<f64>,
    /// What people do with each active transfer in a simulated hour, beside
    /// what always happens
    #[arg(long, value_name = "X", default_value = "0", value_parser = speed)]
    pub(super) activity: f64,
    /// The minor version of the API; what came later is not there
    #[arg(long, value_name = "N", default_value_t = app::NEWEST_MINOR)]
    pub(super) api_minor: u32,
    /// A way in which servers may differ, or `list` to explain them all; may be
    /// repeated, and NAME=SHARE lets it show only now and then
    #[arg(long = "quirk", value_name = "NAME", value_parser = quirk)]
    pub(super) quirks: Vec<String>,
    #[arg(
        long = "fault",
        value_name = "KIND[,NAME=VALUE]...",
        value_parser = fault,
        help = fault_help()
    )]
    pub(super) faults: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ShowWord {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CatalogWord {
    Markdown,
    Json,
}

pub(super) fn version() -> &'static str {
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
    let reserved = ["/-/healthy", "/-/ready", "/-/reload"].contains(&text);
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
    if text != LIST {
        Quirks::parse(&[text])?;
    }
    Ok(text.to_owned())
}

fn fault(text: &str) -> Result<String, String> {
    if text != LIST {
        app::read_fault(text)?;
    }
    Ok(text.to_owned())
}

fn fault_help() -> String {
    format!(
        "A fault from the start on, such as latency,milliseconds=500,share=0.1, or `list` to \
         explain them all; may be repeated. The kinds are {}",
        app::fault_kinds()
    )
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "write a number from 0 to 1".to_owned())
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
