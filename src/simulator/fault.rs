//! Faults that a test can switch on.
//!
//! **Invariants.** A fault spoils an answer on its way out; the world stays
//! true.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Response,
    body::{Body as HttpBody, Frame},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reply::Reply;
use crate::net::Body;

/// The endpoints that a fault may be for, as they are counted.
const ENDPOINTS: [&str; 17] = [
    "clients",
    "api_status",
    "verification",
    "verification_code",
    "verification_token",
    "transfers",
    "sent_transfers",
    "received_transfers",
    "transfer_status",
    "transfer_policy",
    "transfer_sessions",
    "password",
    "downloads",
    "products",
    "logs",
    "emails",
    "other",
];

/// More would only try the memory of the simulator.
const MOST_BYTES: usize = 1024 * 1024 * 1024;

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Fault {
    kind: Kind,
    /// Only for this endpoint.
    #[serde(default)]
    endpoint: Option<String>,
    /// Only for so many answers.
    #[serde(default)]
    times: Option<u64>,
    /// For `status` and `html`.
    #[serde(default)]
    status: Option<u16>,
    /// For `status`.
    #[serde(default)]
    error_code: Option<u64>,
    /// Seconds, for `status`.
    #[serde(default)]
    retry_after: Option<u64>,
    /// For `latency`.
    #[serde(default)]
    milliseconds: Option<u64>,
    /// For `oversized`.
    #[serde(default)]
    bytes: Option<usize>,
    /// For `redirect`.
    #[serde(default)]
    location: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Latency,
    Status,
    Stall,
    Reset,
    Truncated,
    Html,
    Oversized,
    WrongType,
    ExpiredToken,
    Redirect,
}

impl Faults {
    pub(super) fn set(&mut self, faults: Vec<Fault>) {
        self.0 = faults;
    }

    pub(super) fn list(&self) -> &[Fault] {
        &self.0
    }

    /// The fault for an answer of `endpoint`, if one is in force.
    pub(super) fn take(&mut self, endpoint: &str) -> Option<Fault> {
        let concerns = |fault: &Fault| {
            fault.endpoint.as_deref().is_none_or(|of| of == endpoint) && fault.times != Some(0)
        };
        let fault = self.0.iter_mut().find(|fault| concerns(fault))?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.clone())
    }
}

impl Fault {
    /// What is wrong with the fault, if something is: a fault that never comes
    /// would make a test believe that it was met.
    pub(super) fn check(&self) -> Result<(), String> {
        let known = |endpoint: &String| ENDPOINTS.contains(&endpoint.as_str());
        if !self.endpoint.as_ref().is_none_or(known) {
            return Err(format!("endpoint is one of {}", ENDPOINTS.join(", ")));
        }
        if !self
            .status
            .is_none_or(|status| (200..600).contains(&status))
        {
            return Err("status is from 200 to 599".to_owned());
        }
        if self.bytes.is_some_and(|bytes| bytes > MOST_BYTES) {
            return Err(format!("bytes are at most {MOST_BYTES}"));
        }
        Ok(())
    }

    /// Whether the fault is that no token is good any more.
    pub(super) fn expires_tokens(&self) -> bool {
        self.kind == Kind::ExpiredToken
    }

    /// Sends `reply` with the fault in it. Texts that the contract leaves free
    /// hold the `quote`, since a server may quote anything.
    pub(super) async fn spoil(self, mut reply: Reply, quote: &str) -> Response<Body> {
        match self.kind {
            Kind::Latency => {
                let wait = Duration::from_millis(self.milliseconds.unwrap_or(1000));
                tokio::time::sleep(wait).await;
            }
            Kind::Status => {
                let (status, code) = (self.status.unwrap_or(500), self.error_code);
                let date = reply.date;
                reply = Reply::error(status, code.unwrap_or(5000), quote);
                reply.date = date;
                reply.retry_after = self.retry_after;
            }
            Kind::Stall => return cut(reply, After::Silence),
            Kind::Reset => return cut(reply, After::Break),
            Kind::Truncated => reply.body.truncate(reply.body.len() / 2),
            Kind::Html => {
                reply.status = self.status.unwrap_or(reply.status);
                reply.content_type = "text/html";
                reply.body = format!("<html><body>{quote}</body></html>").into_bytes();
            }
            Kind::Oversized => {
                let bytes = self.bytes.unwrap_or(32 * 1024 * 1024);
                reply.body.resize(bytes.max(reply.body.len()), b' ');
            }
            Kind::WrongType => reply.body = json!({"data": quote}).to_string().into_bytes(),
            Kind::ExpiredToken => {}
            Kind::Redirect => {
                reply.status = 302;
                let encoded = utf8_percent_encode(quote, NON_ALPHANUMERIC);
                let elsewhere = || format!("http://127.0.0.1:1/?{encoded}");
                reply.location = Some(self.location.unwrap_or_else(elsewhere));
            }
        }
        reply.into_response()
    }
}

/// Sends half of the body, and then what `after` says.
fn cut(reply: Reply, after: After) -> Response<Body> {
    let half = reply.body.len() / 2;
    let first = Bytes::from(reply.body.iter().take(half).copied().collect::<Vec<_>>());
    let response = reply.into_response();
    let body = HalfBody {
        first: Some(first),
        after,
    };
    response.map(|_| body.boxed())
}

#[derive(Debug, Clone, Copy)]
enum After {
    Silence,
    Break,
}

/// A body that does not come to its end.
#[derive(Debug)]
struct HalfBody {
    first: Option<Bytes>,
    after: After,
}

impl HttpBody for HalfBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.first.take(), self.after) {
            (Some(first), _) => Poll::Ready(Some(Ok(Frame::data(first)))),
            // Nobody wakes this task: the peer's deadline ends it.
            (None, After::Silence) => Poll::Pending,
            (None, After::Break) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }
}
