//! Structured logs on standard error.
//!
//! **Invariants.** One line for each event, whatever a field holds. Time comes
//! from the program's clock.

mod line;

use std::str::FromStr;

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

pub use line::Lines;

use crate::clock::Clock;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `key=value`, quoted where needed.
    #[default]
    Logfmt,
    /// One JSON object.
    Json,
}

/// From which level on lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Everything: decisions of the scheduler, retrievals, states passed.
    Debug,
    /// What began, ended or works again.
    #[default]
    Info,
    /// What failed and is tried again.
    Warn,
    /// What needs somebody to act.
    Error,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A word that names no level or format.
#[derive(Debug, thiserror::Error)]
#[error("expected one of {0}")]
pub struct UnknownWord(&'static str);

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.word() == word)
            .ok_or(UnknownWord("debug, info, warn, error"))
    }
}

impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord("logfmt, json")),
        }
    }
}

/// What to log and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Our own lines from this level on; those of libraries from `warn` on.
    pub level: Level,
    /// How a line is written.
    pub format: Format,
}

/// Sends every line of the process to standard error. A second call changes
/// nothing.
pub fn install(settings: Settings, clock: Clock) {
    let subscriber = subscriber(settings, clock, std::io::stderr);
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// A subscriber that writes to `writer`.
pub fn subscriber<W>(
    settings: Settings,
    clock: Clock,
    writer: W,
) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Libraries speak only when something is wrong: they may name URLs.
    let filter = format!("warn,cryptshare_exporter={}", settings.level.word());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(writer)
        // A line that cannot be written is lost; the library would panic over
        // it on a standard error that is closed.
        .log_internal_errors(false)
        .event_format(Lines::new(settings.format, clock))
        .finish()
}
