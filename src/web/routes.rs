//! Which path answers what.
//!
//! **Invariants.** An answer depends on the method, the path, `Accept`, the gate,
//! what stands on the shelf, and for `/-/reload` on what came of it. HEAD answers as GET does, without the body. The
//! health paths say nothing but the health, and say it to everybody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{
        ALLOW, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};

use tokio::sync::mpsc;

use super::{
    gate::{Gate, Refusal},
    landing,
    reload::{self, Wish},
    runbooks,
};
use crate::{
    exposition::{Shelf, negotiate, registry},
    net::{self, Body},
    status::Board,
    telemetry::{self, Telemetry},
};

/// Whether the process lives.
const HEALTHY: &str = "/-/healthy";

/// Whether it is set up.
const READY: &str = "/-/ready";

/// Has the configuration loaded again.
const RELOAD: &str = "/-/reload";

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// Everything an answer is made of; clones share it.
#[derive(Debug, Clone)]
pub struct Routes {
    /// The path of the metrics, usually `/metrics`.
    pub telemetry_path: Arc<str>,
    /// The families about transfers.
    pub shelf: Arc<Shelf>,
    /// The exporter's own families, rendered for each scrape.
    pub telemetry: Telemetry,
    /// What the page at `/` shows.
    pub board: Arc<Board>,
    /// Set once the exporter is set up.
    pub ready: Arc<AtomicBool>,
    /// Where wishes to reload go; nowhere, if nobody may have one.
    pub wishes: Option<mpsc::Sender<Wish>>,
}

fn refuse(refusal: &Refusal, method: &Method) -> Response<Body> {
    match refusal {
        Refusal::Unknown => {
            let answer = Answer::text(StatusCode::UNAUTHORIZED, "401 unauthorized\n");
            let mut response = answer.respond(method);
            let asked = HeaderValue::from_static("Basic realm=\"cryptshare-exporter\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, asked);
            response
        }
        Refusal::TooOften => {
            let text = "429 too many requests\n";
            Answer::text(StatusCode::TOO_MANY_REQUESTS, text).respond(method)
        }
    }
}

struct Answer {
    status: StatusCode,
    content_type: &'static str,
    /// The parts of the body, one after the other.
    body: Vec<Bytes>,
    /// Another `Accept` may get another answer.
    is_negotiated: bool,
}

impl Routes {
    /// The answer to `request`, if the gate lets it in. Probes of the health
    /// have no password, and what they are told anybody may know.
    pub(super) async fn answer_through<B>(
        &self,
        gate: &Gate,
        request: &Request<B>,
    ) -> Response<Body> {
        let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
        let admitted = match path {
            HEALTHY | READY => Ok(()),
            _ => gate.admit(headers).await,
        };
        let mut response = match admitted {
            Ok(()) if path == RELOAD => self.reload(method).await,
            Ok(()) => self.answer(method, path, headers),
            Err(refusal) => refuse(&refusal, method),
        };
        gate.dress(response.headers_mut());
        response
    }

    async fn reload(&self, method: &Method) -> Response<Body> {
        let (status, text) = reload::answer(self.wishes.as_ref(), method).await;
        let mut response = Answer::text(status, text).respond(method);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = HeaderValue::from_static(reload::METHODS);
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }

    /// The answer to `method` on `path`.
    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
        let Some(answer) = self.route(path, headers) else {
            let missing = Answer::text(StatusCode::NOT_FOUND, "404 page not found\n");
            return missing.respond(method);
        };
        if method == Method::GET || method == Method::HEAD {
            return answer.respond(method);
        }
        let refused = Answer::text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n");
        let mut response = refused.respond(method);
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        response
    }

    fn route(&self, path: &str, headers: &HeaderMap) -> Option<Answer> {
        match path {
            path if path == &*self.telemetry_path => Some(self.metrics(headers)),
            "/" => {
                let page = landing::page(&self.board.read(), &self.telemetry_path);
                Some(Answer::html(page))
            }
            HEALTHY => Some(Answer::text(StatusCode::OK, "Healthy\n")),
            READY if self.ready.load(Ordering::Acquire) => {
                Some(Answer::text(StatusCode::OK, "Ready\n"))
            }
            READY => Some(Answer::text(StatusCode::SERVICE_UNAVAILABLE, "Not ready\n")),
            path => {
                let runbook = runbooks::find(path.strip_prefix(runbooks::PATH)?)?;
                let page = landing::runbook(runbook.title(), runbook.text());
                Some(Answer::html(page))
            }
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Answer {
        let format = negotiate(headers);
        let protocol = format.protocol;
        let mut own = Vec::new();
        protocol.write(
            &registry::gather(self.telemetry.registry(), telemetry::METRICS),
            &mut own,
        );
        own.extend_from_slice(protocol.end());
        Answer {
            status: StatusCode::OK,
            content_type: format.content_type(),
            body: vec![self.shelf.take().body(protocol).clone(), own.into()],
            is_negotiated: true,
        }
    }
}

impl Answer {
    fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: PLAIN,
            body: vec![body.into()],
            is_negotiated: false,
        }
    }

    fn html(page: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: HTML,
            body: vec![page.into()],
            is_negotiated: false,
        }
    }

    fn respond(self, method: &Method) -> Response<Body> {
        let length = self.body.iter().map(Bytes::len).sum();
        let body = match *method {
            Method::HEAD => Vec::new(),
            _ => self.body,
        };
        let mut response = Response::new(net::body(body));
        *response.status_mut() = self.status;
        set_headers(response.headers_mut(), self.content_type, length);
        if self.is_negotiated {
            let accept = HeaderValue::from_static("accept");
            response.headers_mut().insert(VARY, accept);
        }
        response
    }
}

fn set_headers(headers: &mut HeaderMap, content_type: &'static str, length: usize) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if content_type == HTML {
        let policy = HeaderValue::from_static(landing::POLICY);
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
}
