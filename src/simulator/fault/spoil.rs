//! How a fault spoils an answer.
//!
//! **Invariants.** Texts that the contract leaves free hold secrets, since a
//! server may quote anything.

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
use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::{Fault, Kind, items};
use crate::{net::Body, simulator::reply::Reply};

/// What a spoiled answer may quote.
#[derive(Debug)]
pub(in crate::simulator) struct Scraps {
    /// A sentence with one secret of each kind.
    pub(in crate::simulator) quote: String,
    /// What was asked for: path and query.
    pub(in crate::simulator) place: String,
    /// A random number for what is random.
    pub(in crate::simulator) draw: usize,
}

impl Fault {
    /// Sends `reply` with the fault in it. Texts that the contract leaves free
    /// hold the `quote`, since a server may quote anything.
    pub(in crate::simulator) async fn spoil(
        self,
        mut reply: Reply,
        scraps: Scraps,
    ) -> Response<Body> {
        let quote = scraps.quote.as_str();
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
            Kind::ContentType => reply.content_type = "text/plain",
            Kind::ExpiredToken | Kind::ShiftedPage => {}
            Kind::ClockSkew => {
                let skew = SignedDuration::from_secs(self.skew_seconds.unwrap_or(3_600));
                reply.date = reply.date.and_then(|date| date.checked_add(skew).ok());
            }
            Kind::DuplicateItems => items::change(&mut reply, items::double),
            Kind::CorruptItem => {
                items::change(&mut reply, |list| items::corrupt(list, scraps.draw));
            }
            Kind::EmptyList => items::change(&mut reply, Vec::clear),
            Kind::RedirectLoop => {
                reply.status = 307;
                reply.location = Some(scraps.place);
            }
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
