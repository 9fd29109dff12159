//! `healthcheck`: asks a running exporter whether it is healthy.
//!
//! **Invariants.** Ends within [`LIMIT`]. No proxy is asked, whatever the
//! environment says.

use std::{fmt, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use url::Url;

use super::{fail, in_runtime, say};

/// An answer is there at once or something is wrong; container engines wait for
/// half a minute.
const LIMIT: Duration = Duration::from_secs(5);

/// The path that says whether the process lives.
const HEALTHY: &str = "/-/healthy";

/// What is asked.
#[derive(Debug, Clone)]
pub struct Target {
    url: Url,
    socket: Option<PathBuf>,
}

impl Target {
    /// Reads a URL, or `unix:/path`.
    ///
    /// # Errors
    /// With what would be right.
    pub fn read(text: &str) -> Result<Self, String> {
        let remedy = "write a URL such as http://127.0.0.1:10062/-/healthy, or unix:/path";
        if let Some(path) = text.strip_prefix("unix:") {
            let url = Url::parse("http://localhost/-/healthy").map_err(|_| remedy)?;
            let socket = path.starts_with('/').then(|| PathBuf::from(path));
            let socket = Some(socket.ok_or(remedy)?);
            return Ok(Self { url, socket });
        }
        let mut url = Url::parse(text).map_err(|_| remedy)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(remedy.to_owned());
        }
        if url.path() == "/" {
            url.set_path(HEALTHY);
        }
        Ok(Self { url, socket: None })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "unix:{}", socket.display()),
            None => self.url.fmt(f),
        }
    }
}

/// Asks `target`: 0 if it is healthy, else 1. With `insecure` the certificate
/// may be any.
pub fn healthcheck(target: &Target, insecure: bool) -> ExitCode {
    let ended = in_runtime(async {
        let text = ask(target, insecure).await;
        say(&text.with_context(|| target.to_string())?)?;
        Ok(ExitCode::SUCCESS)
    });
    ended.unwrap_or_else(|error| fail(&error))
}

async fn ask(target: &Target, insecure: bool) -> anyhow::Result<String> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(insecure);
    if let Some(socket) = &target.socket {
        builder = builder.unix_socket(socket.as_path());
    }
    // The system may have no authorities, and here nobody asks for them.
    if insecure || target.url.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build()?;
    let answer = client.get(target.url.clone()).send().await;
    // The library's URL of a socket would be one that nobody wrote.
    let answer = answer.map_err(reqwest::Error::without_url);
    let answer = answer.map_err(|error| match target.url.scheme() {
        "https" if !insecure && error.is_connect() => {
            anyhow::Error::new(error).context("with --insecure any certificate is good")
        }
        _ => error.into(),
    })?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "it answered {status}");
    answer.text().await.context("the answer broke off")
}
