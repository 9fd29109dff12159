//! How a sender is spelled to the server, in labels and in logs.
//!
//! **Invariants.** What every call of a sender shares is built but once.

use reqwest::header::HeaderValue;
use url::Url;

use super::{SenderSettings, Settings, transport};

/// How a sender is spelled.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Label `server`.
    pub(super) server: String,
    /// Label `sender`.
    pub(super) label: String,
    /// `Accept-Language`.
    pub(super) language: HeaderValue,
    /// `base/api/users/{address}`, with the address in its configured
    /// spelling.
    home: Url,
}

impl Identity {
    pub(super) fn new(settings: &Settings, sender: &SenderSettings) -> Self {
        Self {
            server: settings.server.clone(),
            label: sender.label.clone(),
            language: transport::value(&sender.language),
            home: transport::below(&settings.url, &["api", "users", &sender.address]),
        }
    }

    /// The URL of the sender's own resource at the given segments, each
    /// percent-encoded.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        transport::below(&self.home, segments)
    }
}
