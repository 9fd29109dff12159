//! The configuration: TOML text into checked settings.
//!
//! **Invariants.** Every problem of a file is told in one run, each with its
//! line, its key, what is wrong and what would be right. No value of a secret
//! is ever part of a problem. No other part imports this one.

mod document;
mod input;
mod problem;
mod sections;
mod values;
pub mod web;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use input::Input;
pub use problem::Problem;

use document::Place;

use crate::{
    files,
    model::{Discover, SenderId, TrackingId},
};

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// `[state] directory`: where tokens are kept.
    pub state_directory: Option<PathBuf>,
    /// `[[server]]`.
    pub servers: Vec<Server>,
    /// `[metrics]`.
    pub metrics: MetricsOptions,
    /// What is allowed, and still odd.
    pub warnings: Vec<Problem>,
    /// The file itself, as it was before it was read; none where the text was
    /// not read from it.
    pub file: Option<Input>,
    /// The files of secrets and certificates, as they were read.
    pub inputs: Vec<Input>,
    /// Where `[state] directory` stands, or could.
    state_place: Place,
    /// The file, and what it said.
    path: PathBuf,
    text: SecretString,
}

/// One server.
#[derive(Debug)]
pub struct Server {
    /// `name`: label `server`.
    pub name: String,
    /// `url`.
    pub url: Url,
    /// `client_id`, or the content of `client_id_file`.
    pub client_id: SecretString,
    /// How connections are made.
    pub way: Way,
    /// `connect_timeout`.
    pub connect_timeout: Duration,
    /// `read_timeout`.
    pub read_timeout: Duration,
    /// `request_timeout`.
    pub request_timeout: Duration,
    /// `max_response_bytes`.
    pub max_response_bytes: u64,
    /// `max_concurrency`.
    pub max_concurrency: usize,
    /// `max_requests_per_second`.
    pub max_requests_per_second: u32,
    /// `max_backoff`.
    pub max_backoff: Duration,
    /// `[[server.sender]]`, and senders that only appear in
    /// `[[server.transfer]]`.
    pub senders: Vec<Sender>,
    /// `watch_files`: patterns of whole paths.
    pub watch_files: Vec<String>,
}

impl Server {
    /// What a watch file says: transfers of this server's senders.
    ///
    /// # Errors
    /// With all problems of the file. One problem makes all of it void.
    pub fn read_watch_file(
        &self,
        text: &str,
    ) -> Result<Vec<(SenderId, NamedTransfer)>, Vec<Problem>> {
        sections::read_watch_file(text, self)
    }
}

/// How connections to a server are made.
#[derive(Debug, Default)]
pub struct Way {
    /// The content of `ca_file`, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The content of `cert_file`, and `key` or the content of `key_file`:
    /// certificates and their private key, PEM.
    pub identity_pem: Option<SecretString>,
    /// `insecure_skip_verify`.
    pub insecure_skip_verify: bool,
    /// `proxy_url`, `proxy_url_file` or `proxy_from_environment`.
    pub proxy: Proxy,
}

/// What stands between us and a server.
#[derive(Debug, Default)]
pub enum Proxy {
    /// Nothing.
    #[default]
    None,
    /// The proxy of this URL, which may hold a password.
    Url(SecretString),
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    Environment,
}

/// One sender.
#[derive(Debug)]
pub struct Sender {
    /// The key.
    pub id: SenderId,
    /// `email`, as it is written.
    pub address: String,
    /// `name`.
    pub name: Option<String>,
    /// What may be set in `[defaults]`, the server or the sender.
    pub options: SenderOptions,
    /// `[[server.transfer]]` of this sender.
    pub transfers: Vec<NamedTransfer>,
}

impl Sender {
    /// Label `sender`: the name, else the address.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.address)
    }
}

/// What may be set in `[defaults]`, in a server or in a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderOptions {
    /// `discover`.
    pub discover: Discover,
    /// `poll_interval`.
    pub poll_interval: Duration,
    /// `processing_interval`.
    pub processing_interval: Duration,
    /// `rare_interval`.
    pub rare_interval: Duration,
    /// `listing_interval`.
    pub listing_interval: Duration,
    /// `keep_ended`.
    pub keep_ended: Duration,
    /// `language`.
    pub language: String,
    /// `max_age`.
    pub max_age: Option<Duration>,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            discover: Discover::Everything,
            poll_interval: Duration::from_mins(1),
            processing_interval: Duration::from_secs(5),
            rare_interval: Duration::from_hours(1),
            listing_interval: Duration::from_hours(1),
            keep_ended: Duration::from_hours(24),
            language: "en".to_owned(),
            max_age: None,
        }
    }
}

/// One `[[server.transfer]]`, or one `[[transfer]]` of a watch file.
#[derive(Debug)]
pub struct NamedTransfer {
    /// `tracking_id`.
    pub tracking_id: TrackingId,
    /// `name`; empty if there is none.
    pub name: String,
}

/// `[metrics]`.
#[derive(Debug)]
pub struct MetricsOptions {
    /// `transfers`.
    pub transfers: bool,
    /// `max_transfers`.
    pub max_transfers: usize,
    /// `recipient_labels`, and `recipient_hash_key` or the content of
    /// `recipient_hash_key_file`.
    pub recipient_labels: RecipientLabels,
    /// `max_recipients`.
    pub max_recipients: usize,
    /// `expiring_within`.
    pub expiring_within: Duration,
    /// `stale_after`.
    pub stale_after: Duration,
    /// `removal_causes`.
    pub removal_causes: Vec<(String, Regex)>,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            transfers: true,
            max_transfers: 2000,
            recipient_labels: RecipientLabels::Off,
            max_recipients: 2000,
            expiring_within: Duration::from_hours(24),
            stale_after: Duration::from_mins(15),
            removal_causes: Vec::new(),
        }
    }
}

/// `[metrics] recipient_labels`.
#[derive(Debug)]
pub enum RecipientLabels {
    /// `off`: there are no families by recipient.
    Off,
    /// `hash`: a label is a hash with this key.
    Hash(SecretString),
    /// `plain`: a label is the address.
    Plain,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Error {
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The flag that names it.
        flag: &'static str,
        /// Why not.
        source: files::Error,
    },
    /// The file has problems.
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<Problem>,
        /// What is allowed, and still odd.
        warnings: Vec<Problem>,
    },
}

/// A duration, written as in the configuration: `60s`, `1m 30s` or `7d`.
///
/// # Errors
/// With what is wrong, and what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    values::duration(text).map_err(|(wrong, remedy)| format!("{wrong}; {remedy}"))
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// If it cannot be read, or with all of its problems.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = Input::of(path);
        let text = files::read_text(path)
            .map_err(|source| Error::unreadable(path, "--config.file", source))?;
        let config = Self::parse(&text, path)?;
        Ok(Self {
            file: Some(file),
            ..config
        })
    }

    /// Checks `text`; relative files are looked for beside `path`.
    ///
    /// # Errors
    /// With all of its problems.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        sections::read(text, path).map_err(|(problems, warnings)| Error::Wrong {
            path: path.to_owned(),
            problems,
            warnings,
        })
    }

    /// What the same file says now.
    ///
    /// # Errors
    /// If it cannot be read, or with all of its problems.
    pub fn reloaded(&self) -> Result<Self, Error> {
        Self::load(&self.path)
    }

    /// The same text with what the files that it names say now.
    ///
    /// # Errors
    /// With all of its problems.
    pub fn refreshed(&self) -> Result<Self, Error> {
        Self::parse(self.text.expose_secret(), &self.path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a process that runs by `running` can go on by this.
    ///
    /// # Errors
    /// With the keys that take effect with a start only.
    pub fn can_follow(&self, running: &Self) -> Result<(), Error> {
        if self.state_directory == running.state_directory {
            return Ok(());
        }
        let remedy = match &running.state_directory {
            Some(directory) => {
                format!("restart it, or write \"{}\" again", directory.display())
            }
            None => "restart it, or leave it out again".to_owned(),
        };
        let wrong = "cannot change while the exporter runs";
        Err(Error::Wrong {
            path: self.path.clone(),
            problems: vec![self.state_place.problem(wrong, remedy)],
            warnings: Vec::new(),
        })
    }
}

impl Error {
    fn unreadable(path: &Path, flag: &'static str, source: files::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            flag,
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable {
                path,
                source: files::Error::NotText,
                ..
            } => write!(f, "{}: is not text; write it in UTF-8", path.display()),
            Self::Unreadable { path, flag, source } => write!(
                f,
                "{}: cannot be read ({source}); name the file with {flag}",
                path.display()
            ),
            Self::Wrong {
                path,
                problems,
                warnings,
            } => {
                let path = path.display();
                for problem in problems {
                    writeln!(f, "{path}:{problem}")?;
                }
                for warning in warnings {
                    writeln!(f, "{path}:{warning} (warning)")?;
                }
                let count = problems.len();
                let plural = if count == 1 { "" } else { "s" };
                write!(f, "{count} problem{plural}")
            }
        }
    }
}

impl std::error::Error for Error {}
