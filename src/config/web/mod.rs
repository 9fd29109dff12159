//! The file of `--web.config.file`: the YAML of Prometheus' exporter toolkit.
//!
//! Keys, defaults and the place of relative files are the toolkit's. What would
//! silently protect less than it seems to, and what rustls cannot do, is a
//! problem here.
//!
//! **Invariants.** As in the configuration: every problem in one run, with its
//! line and what would be right, and never the text of a secret.

mod limits;
mod tls;
mod yaml;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::{SupportedCipherSuite, SupportedProtocolVersion, crypto::SupportedKxGroup};
use secrecy::SecretString;

use super::{
    Error, Problem,
    document::{Place, Problems},
};
use crate::files;

/// A checked web configuration.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// `tls_server_config`; without certificate and key there is no TLS.
    pub tls: Option<Tls>,
    /// `http_server_config.headers`, without those that are left blank.
    pub headers: Vec<(String, String)>,
    /// `basic_auth_users`: names and bcrypt hashes.
    pub users: Vec<(String, SecretString)>,
    /// `rate_limit`.
    pub rate: Option<Rate>,
    /// The files that were read, this one first: a change of any of them is a
    /// change of the whole.
    pub files: Vec<PathBuf>,
    /// What is allowed, and still odd.
    pub warnings: Vec<Problem>,
}

/// `tls_server_config`.
pub struct Tls {
    /// The line on which it begins.
    pub line: usize,
    /// `cert`, or the content of `cert_file`: PEM.
    pub certificates: Vec<u8>,
    /// `key`, or the content of `key_file`: PEM.
    pub key: SecretString,
    /// `client_ca`, or the content of `client_ca_file`: PEM.
    pub client_authorities: Option<Vec<u8>>,
    /// `client_auth_type`.
    pub client_auth: ClientAuth,
    /// `client_allowed_sans`.
    pub client_allowed_sans: Option<Vec<String>>,
    /// From `min_version` to `max_version`.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// `cipher_suites`, for TLS 1.2 alone; none leaves the choice to rustls.
    pub cipher_suites: Option<Vec<SupportedCipherSuite>>,
    /// `prefer_server_cipher_suites`.
    pub prefer_server_cipher_suites: bool,
    /// `curve_preferences`; none leaves the choice to rustls.
    pub curves: Option<Vec<&'static dyn SupportedKxGroup>>,
    /// `http_server_config.http2`.
    pub http2: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tls = f.debug_struct("Tls");
        tls.field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

/// `client_auth_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: none is asked for.
    No,
    /// `RequestClientCert`: one is asked for, and not checked.
    Request,
    /// `RequireAnyClientCert`: there must be one, and it is not checked.
    RequireAny,
    /// `VerifyClientCertIfGiven`: if there is one it is checked.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`: there must be one, and it is checked.
    RequireAndVerify,
}

/// `rate_limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// `interval`: one request in this time, on the average.
    pub interval: Duration,
    /// `burst`: so many at once.
    pub burst: u32,
}

impl WebConfig {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// If it cannot be read, or with all of its problems.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = files::read_text(path)
            .map_err(|source| Error::unreadable(path, "--web.config.file", source))?;
        Self::parse(&text, path)
    }

    /// Checks `text`; relative files are looked for beside `path`.
    ///
    /// # Errors
    /// With all of its problems.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let mut reader = Reader::at(path);
        let read = yaml::parse(text, reader.problems.clone()).map(|root| read(root, &mut reader));
        let mut problems = reader.problems.take();
        problems.extend(read.as_ref().err().cloned());
        let mut warnings = reader.warnings.take();
        // YAML counts more characters as the end of a line than editors do, and
        // what is missing at the end stands on a line that they do not show.
        let last = text.lines().count().max(1);
        for problem in problems.iter_mut().chain(&mut warnings) {
            problem.line = problem.line.min(last);
        }
        match read {
            Ok(config) if problems.is_empty() => Ok(Self {
                files: reader.files,
                warnings,
                ..config
            }),
            Ok(_) | Err(_) => Err(Error::Wrong {
                path: path.to_owned(),
                problems,
                warnings,
            }),
        }
    }
}

fn read(mut root: yaml::Mapping, reader: &mut Reader) -> WebConfig {
    let tls = root.mapping("tls_server_config");
    let is_open = tls.is_none();
    let http = root.mapping("http_server_config").map(limits::http);
    let (http2, headers) = http.unwrap_or_else(|| (true, Vec::new()));
    let users = root.mapping("basic_auth_users").map(limits::users);
    let rate = root.mapping("rate_limit").and_then(limits::rate);
    root.finish();
    let config = WebConfig {
        tls: tls.and_then(|mapping| tls::read(mapping, reader, http2)),
        headers,
        users: users.unwrap_or_default(),
        rate,
        ..WebConfig::default()
    };
    if is_open && !config.users.is_empty() {
        let wrong = "passwords cross the network in the clear";
        let file = Place {
            line: 1,
            key: "file".to_owned(),
        };
        reader.warn(&file, wrong, "set tls_server_config");
    }
    config
}

/// What the reading of one file gathers.
struct Reader {
    directory: PathBuf,
    problems: Problems,
    warnings: Problems,
    files: Vec<PathBuf>,
}

impl Reader {
    fn at(path: &Path) -> Self {
        Self {
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            problems: Problems::default(),
            warnings: Problems::default(),
            files: vec![path.to_owned()],
        }
    }

    fn warn(&self, place: &Place, wrong: &str, remedy: &str) {
        self.warnings.add(place.problem(wrong, remedy));
    }

    /// The content of the file called `name`.
    fn content(&mut self, place: &Place, name: &str) -> Option<files::Content> {
        // Whoever wrote PEM or a hash in place of a file's name must not find it
        // in a log.
        if name.contains(char::is_control) || name.contains("$2") {
            let remedy = "name a file, or give PEM under the key without _file";
            let problem = place.problem("is not the name of a file", remedy);
            self.problems.add(problem);
            return None;
        }
        let path = self.directory.join(name);
        self.files.push(path.clone());
        match files::read(&path) {
            Ok(content) => Some(content),
            Err(error) => {
                let wrong = format!("{} cannot be read ({error})", path.display());
                let remedy = "name a file in PEM; a relative one is looked for beside this file";
                self.problems.add(place.problem(wrong, remedy));
                None
            }
        }
    }
}
