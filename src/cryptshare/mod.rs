//! ASK: the only part that knows REST.
//!
//! A [`Client`] talks to one server for several senders: it verifies, lists
//! and inspects, and answers in the language of `model`. What it could not
//! understand is counted, never guessed.
//!
//! **Invariants.** No secret, address or URL leaves this part in an error or a
//! log line. Knows nothing of schedules, counters or formats.

pub mod answers;
mod auth;
mod client;
mod error;
mod identity;
mod link;
mod paging;
mod sizes;
mod tokens;
mod transport;
mod verification;
mod versions;

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

pub use answers::Methods;
pub use client::Client;
pub use error::Error;
pub use paging::{Extent, Interest, Judge, Leaf, Listing, Style};

use crate::model::SenderId;

/// How to reach one server, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's name in the configuration; label `server`.
    pub server: String,
    /// `https://host[:port][/prefix]`, without `/api`.
    pub url: Url,
    /// The client id that the administrator registered.
    pub client_id: SecretString,
    /// How connections are made.
    pub way: Way,
    /// Deadline for a connection.
    pub connect_timeout: Duration,
    /// Deadline for each read of a body.
    pub read_timeout: Duration,
    /// Deadline for a request in all.
    pub request_timeout: Duration,
    /// Larger answers are refused.
    pub max_response_bytes: u64,
    /// Where tokens are kept; in memory alone if nowhere.
    pub token_directory: Option<PathBuf>,
    /// Who asks.
    pub senders: Vec<SenderSettings>,
}

/// How connections to a server are made.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Further roots to trust, in PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Our own certificates and their private key, in PEM.
    pub identity_pem: Option<SecretString>,
    /// Believes whoever answers: for trials alone.
    pub insecure_skip_verify: bool,
    /// What stands between.
    pub proxy: Proxy,
}

/// What stands between us and a server.
#[derive(Debug, Clone, Default)]
pub enum Proxy {
    /// Nothing, whatever the environment says.
    #[default]
    None,
    /// The proxy of this `http`, `https`, `socks5` or `socks5h` URL, which may
    /// hold a user name and a password.
    Url(SecretString),
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    Environment,
}

/// One sender of a server.
#[derive(Debug, Clone)]
pub struct SenderSettings {
    /// The key.
    pub id: SenderId,
    /// Label `sender`.
    pub label: String,
    /// The address as the configuration spells it.
    pub address: String,
    /// `Accept-Language`: the language of removal causes.
    pub language: String,
}

/// Why a client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The client id is no header value.
    #[error("the client id has characters that a header cannot carry")]
    ClientId,
    /// The CA file holds no certificates.
    #[error("failed to read the certificates of ca_file")]
    Ca(#[source] reqwest::Error),
    /// The certificate and its key are no pair that can be used.
    #[error("failed to use the client certificate of cert_file with its key")]
    Identity(#[source] reqwest::Error),
    /// The URL names no proxy. Its text may be a secret, so there is no source.
    #[error("failed to use the proxy of proxy_url")]
    Proxy,
    /// The HTTP client could not be set up.
    #[error(
        "failed to set up the HTTP client; if the system has no authorities, install \
         ca-certificates, or name one by ca_file"
    )]
    Client(#[source] reqwest::Error),
}

/// The endpoints asked, as label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET /users/{e}/transfers/{t}`.
    TransferStatus,
    /// `GET /users/{e}/transfers`.
    Transfers,
    /// `GET /users/{e}/transfers/sent-transfers`.
    SentTransfers,
    /// `GET /users/{e}/verification`.
    Verification,
    /// `POST /users/{e}/verification/code/email`.
    VerificationCode,
    /// `POST /users/{e}/verification/token`.
    VerificationToken,
    /// `GET /status`.
    ApiStatus,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 7] = [
        Self::TransferStatus,
        Self::Transfers,
        Self::SentTransfers,
        Self::Verification,
        Self::VerificationCode,
        Self::VerificationToken,
        Self::ApiStatus,
    ];

    /// The label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::TransferStatus => "transfer_status",
            Self::Transfers => "transfers",
            Self::SentTransfers => "sent_transfers",
            Self::Verification => "verification",
            Self::VerificationCode => "verification_code",
            Self::VerificationToken => "verification_token",
            Self::ApiStatus => "api_status",
        }
    }

    /// What a failed call could not do.
    const fn action(self) -> &'static str {
        match self {
            Self::TransferStatus => "failed to read the status of a transfer",
            Self::Transfers | Self::SentTransfers => "failed to list the transfers",
            Self::Verification => "failed to read the verification",
            Self::VerificationCode => "failed to ask for a verification code",
            Self::VerificationToken => "failed to obtain a verification token",
            Self::ApiStatus => "failed to read the version of the API",
        }
    }
}

/// The members whose unknown words are counted, as label values.
pub const WORD_FIELDS: [&str; 3] = ["state", "retrieval_method", "verification_method"];
