//! Which path answers what.
//!
//! **Invariants.** An answer depends on the method, the path, `Accept`,
//! `Accept-Encoding`, the gate, what stands on the shelf, and for `/-/reload` on
//! what came of it. HEAD answers as GET does, without the body. The
//! health paths say nothing but the health, and say it to everybody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    header::{
        ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
        HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
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
    exposition::{self, Coding, Pieces, Shelf, coding, negotiate, registry},
    net::{self, Body, Peer},
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

/// Whether a request names the host that it is for as often as it must (RFC 9112,
/// section 3.2). Whoever stands between us and a peer could otherwise
/// understand it in another way than we do.
fn names_its_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    let odd = |byte: &u8| !byte.is_ascii_graphic() || b"/\\?#@,\"<>".contains(byte);
    let is_good = host.is_none_or(|host| !host.as_bytes().iter().any(odd));
    is_good && hosts.next().is_none() && (host.is_some() || version != Version::HTTP_11)
}

fn refuse(refusal: &Refusal, method: &Method) -> Response<Body> {
    match refusal {
        Refusal::Hostless => {
            let text = "400 a request names its host in one Host header\n";
            Answer::text(StatusCode::BAD_REQUEST, text).respond(method)
        }
        Refusal::Unknown => {
            let answer = Answer::text(StatusCode::UNAUTHORIZED, "401 unauthorized\n");
            let mut response = answer.respond(method);
            let asked = HeaderValue::from_static("Basic realm=\"cryptshare-exporter\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, asked);
            response
        }
        Refusal::TooOften => {
            let text = "429 too many requests\n";
            later(Answer::text(StatusCode::TOO_MANY_REQUESTS, text).respond(method))
        }
        Refusal::Busy => {
            let text = "503 too many passwords wait to be verified\n";
            later(Answer::text(StatusCode::SERVICE_UNAVAILABLE, text).respond(method))
        }
    }
}

/// The answer, with the wish that the peer come again.
fn later(mut response: Response<Body>) -> Response<Body> {
    let seconds = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

struct Answer {
    status: StatusCode,
    content_type: &'static str,
    /// The length of the body, and the body.
    length: u64,
    body: Pieces,
    /// How the body is coded, where other headers may get another answer.
    negotiated: Option<Coding>,
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
            _ if !names_its_host(request.version(), headers) => Err(Refusal::Hostless),
            HEALTHY | READY => Ok(()),
            _ => {
                let unknown = Peer::default();
                let peer = request.extensions().get().unwrap_or(&unknown);
                gate.admit(headers, peer).await
            }
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
                Some(Answer::whole(StatusCode::OK, HTML, page.into()))
            }
            HEALTHY => Some(Answer::text(StatusCode::OK, "Healthy\n")),
            READY if self.ready.load(Ordering::Acquire) => {
                Some(Answer::text(StatusCode::OK, "Ready\n"))
            }
            READY => Some(Answer::text(StatusCode::SERVICE_UNAVAILABLE, "Not ready\n")),
            path => {
                let runbook = runbooks::find(path.strip_prefix(runbooks::PATH)?)?;
                let page = landing::runbook(runbook.title(), runbook.text());
                Some(Answer::whole(StatusCode::OK, HTML, page.into()))
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
        let coding = coding(headers);
        let page = self.shelf.take();
        let answer = exposition::Answer::new(page.sheet(protocol), own, coding);
        Answer {
            status: StatusCode::OK,
            content_type: format.content_type(),
            length: answer.length,
            body: answer.pieces,
            negotiated: Some(coding),
        }
    }
}

impl Answer {
    fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::whole(status, PLAIN, body.into())
    }

    fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        Self {
            status,
            content_type,
            length: u64::try_from(body.len()).unwrap_or(u64::MAX),
            body: Box::new([Ok(body)].into_iter()),
            negotiated: None,
        }
    }

    fn respond(self, method: &Method) -> Response<Body> {
        let mut response = Response::new(match *method {
            Method::HEAD => net::body([]),
            _ => net::stream(self.length, self.body),
        });
        *response.status_mut() = self.status;
        set_headers(response.headers_mut(), self.content_type, self.length);
        set_coding(response.headers_mut(), self.negotiated);
        response
    }
}

fn set_coding(headers: &mut HeaderMap, negotiated: Option<Coding>) {
    if negotiated.is_some() {
        let accept = HeaderValue::from_static("accept, accept-encoding");
        headers.insert(VARY, accept);
    }
    if negotiated == Some(Coding::Gzip) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

fn set_headers(headers: &mut HeaderMap, content_type: &'static str, length: u64) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if content_type == HTML {
        let policy = HeaderValue::from_static(landing::POLICY);
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
}
