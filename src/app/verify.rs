//! `verify`: a human exchanges a mailed code for a token, once in a while.
//!
//! **Invariants.** Nothing is mailed before it is certain that a token could
//! be kept where a running exporter finds it. The code is never shown.

use std::{
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use secrecy::SecretString;

use super::{EXIT_CONFIG, EXIT_USAGE, complain, fail, in_runtime, parts::Maker, say};
use crate::{
    clock::Clock,
    config::{Config, Sender, Server},
    cryptshare::{Client, Error},
    logging,
    model::Reason,
    telemetry::Telemetry,
};

/// Exit code when the server did not hand out a token.
const EXIT_NOT_VERIFIED: u8 = 4;

/// At a terminal a code may be mistyped so often, less one.
const TRIES: u32 = 3;

/// A longer line is no code.
const LONGEST_CODE: usize = 200;

/// What `verify` is told on the command line.
#[derive(Debug)]
pub struct VerifyOptions {
    /// The configuration file.
    pub config_file: PathBuf,
    /// The name of the server.
    pub server: String,
    /// The sender's address, or its name.
    pub sender: String,
    /// How to log.
    pub log: logging::Settings,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    State(String),
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::State(_) => EXIT_CONFIG,
            Self::Refused(_) => EXIT_NOT_VERIFIED,
        }
    }
}

/// Has a code mailed, asks for it, and keeps the token that it brings.
pub fn verify(options: &VerifyOptions) -> ExitCode {
    let config = match Config::load(&options.config_file) {
        Ok(config) => config,
        Err(error) => return fail(&error.into()),
    };
    logging::install(options.log, Clock::System);
    let ended = in_runtime(async {
        let done = prepare(&config, options);
        let done = match done {
            Ok((server, sender)) => converse(&config, server, sender).await?,
            Err(trouble) => Err(trouble),
        };
        Ok(match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(trouble) => {
                complain(&trouble);
                ExitCode::from(trouble.code())
            }
        })
    });
    ended.unwrap_or_else(|error| fail(&error))
}

/// Finds whom it is about, and whether a token could be kept.
fn prepare<'a>(
    config: &'a Config,
    options: &VerifyOptions,
) -> Result<(&'a Server, &'a Sender), Trouble> {
    let servers = &config.servers;
    let server = servers.iter().find(|server| server.name == options.server);
    let server = server.ok_or_else(|| {
        let names = servers.iter().map(|server| server.name.as_str());
        unknown("server", &options.server, names)
    })?;
    let wanted = options.sender.as_str();
    let is_wanted = |sender: &&Sender| {
        sender.address.eq_ignore_ascii_case(wanted) || sender.name.as_deref() == Some(wanted)
    };
    let sender = server.senders.iter().find(is_wanted).ok_or_else(|| {
        let addresses = server.senders.iter().map(|sender| sender.address.as_str());
        unknown("sender", wanted, addresses)
    })?;
    check_state(config.state_directory.as_deref())?;
    Ok((server, sender))
}

fn unknown<'a>(what: &str, told: &str, known: impl Iterator<Item = &'a str>) -> Trouble {
    let known: Vec<_> = known.collect();
    let told = told.escape_debug();
    let known = known.join(", ");
    Trouble::Usage(format!(
        "there is no {what} \"{told}\" in the configuration; it has {known}"
    ))
}

fn check_state(directory: Option<&Path>) -> Result<(), Trouble> {
    let Some(directory) = directory else {
        let wrong = "there is nowhere to keep a token; add [state] directory to the configuration";
        return Err(Trouble::State(wrong.to_owned()));
    };
    if directory.is_dir() {
        return Ok(());
    }
    // Made here it would be of this user, and not of the exporter's.
    Err(Trouble::State(format!(
        "the state directory {} does not exist; start the exporter once, or create it for its user",
        directory.display()
    )))
}

async fn converse(
    config: &Config,
    server: &Server,
    sender: &Sender,
) -> anyhow::Result<Result<(), Trouble>> {
    let maker = Maker {
        clock: Clock::System,
        telemetry: Telemetry::new()?,
    };
    let client = maker.client(config, server, None)?;
    Ok(exchange(&client, sender).await)
}

async fn exchange(client: &Client, sender: &Sender) -> Result<(), Trouble> {
    let methods = client.methods(&sender.id).await.map_err(refused)?;
    if let Some(methods) = methods.filter(|methods| !methods.email) {
        let what = if methods.client_id {
            "it verifies this client id by itself, so the exporter needs no code"
        } else {
            "have it switched on (Add-on Products, REST API), or have the client id registered"
        };
        let text = format!("the server mails no codes for this sender; {what}");
        return Err(Trouble::Refused(text));
    }
    let can_keep = client.can_keep(&sender.id).map_err(refused)?;
    can_keep.map_err(|error| not_kept(&error))?;
    client.mail_code(&sender.id).await.map_err(refused)?;
    complain(&format!(
        "The server has mailed a code to {}.",
        sender.address
    ));
    let is_terminal = io::stdin().is_terminal();
    for tries_left in (0..TRIES).rev() {
        let code = read_code()?;
        match client.redeem(&sender.id, &code).await {
            Ok(Ok(until)) => {
                let until = until.map_or_else(String::new, |until| format!(" until {until:.0}"));
                // The token is kept, whoever reads that.
                drop(say(&format!("{} is verified{until}", sender.address)));
                return Ok(());
            }
            Ok(Err(error)) => return Err(not_kept(&error)),
            Err(error) if error.reason() == Reason::NotVerified => {
                let wrong = "the server does not accept this code";
                if !is_terminal || tries_left == 0 {
                    let text = format!("{wrong}; run verify again for another one");
                    return Err(Trouble::Refused(text));
                }
                complain(&format!("{wrong}; type it once more."));
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(())
}

fn not_kept(error: &io::Error) -> Trouble {
    let text = format!("the token cannot be kept in the state directory: {error}");
    Trouble::State(text)
}

/// One line of standard input.
fn read_code() -> Result<SecretString, Trouble> {
    if io::stdin().is_terminal() {
        complain(&"Type it here:");
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    let code = line.trim();
    let is_code = !code.is_empty() && code.len() <= LONGEST_CODE;
    if read.is_err() || !is_code || !code.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = "standard input has no code; give it as one line";
        return Err(Trouble::Refused(text.to_owned()));
    }
    Ok(SecretString::from(code))
}

fn refused(error: Error) -> Trouble {
    let wait = error.retry_after();
    let text = format!("{:#}", anyhow::Error::new(error));
    Trouble::Refused(match wait {
        Some(wait) => format!("{text}; run verify again in {} s", wait.as_secs()),
        None => text,
    })
}
