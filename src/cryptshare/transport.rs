//! One request, one answer: headers, deadlines, the cap on bodies, the clock
//! of the server, and the class of every failure.
//!
//! **Invariants.** The only place that builds an HTTP client. Every request
//! takes its permit from the budget first. Nothing that leaves here, error or
//! log line, holds a URL; of one that a redirect leads to, the origin alone.

use std::{error::Error as StdError, io};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::{
    ClientBuilder, Method, Request, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    },
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::{Origin, Url};

use super::{BuildError, Endpoint, Error, Proxy, Settings, answers};
use crate::{budget::Budget, clock::Clock, model::Reason, telemetry::Telemetry};

/// Enough for a proxy's rewrite; more would be requests that no budget allowed.
const MAX_REDIRECTS: usize = 1;

/// The one major version that exists (contract, section 2).
const MAJOR_VERSION: HeaderValue = HeaderValue::from_static("1");

/// The headers that every request has, and that of the token (contract 1.1).
const MAJOR: HeaderName = HeaderName::from_static("x-cs-majorapiversion");
const MINOR: HeaderName = HeaderName::from_static("x-cs-minimumminorapiversion");
const PRODUCT_KEY: HeaderName = HeaderName::from_static("x-cs-productkey");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-cs-clientid");
const TOKEN: HeaderName = HeaderName::from_static("x-cs-verificationtoken");

/// A request has at most so many headers, those of the HTTP library included.
const HEADERS: usize = 12;

/// What we take, and what we send.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a call asks for.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) token: Option<&'a HeaderValue>,
    /// JSON, if anything is sent.
    pub(super) body: Option<&'a SecretString>,
    /// `Accept-Language`.
    pub(super) language: &'a HeaderValue,
}

/// The connection to one server.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    /// `base/api`.
    base: Url,
    server: String,
    /// Those of every request.
    headers: HeaderMap,
    max_response_bytes: u64,
    budget: Budget,
    clock: Clock,
    telemetry: Telemetry,
    offset: std::sync::Mutex<Option<f64>>,
}

/// An answer, and the wait it asks for.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Transport {
    pub(super) fn new(
        settings: &Settings,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
    ) -> Result<Self, BuildError> {
        let mut client_id = HeaderValue::from_str(settings.client_id.expose_secret())
            .map_err(|_| BuildError::ClientId)?;
        client_id.set_sensitive(true);
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(ACCEPT, JSON);
        headers.insert(MAJOR, MAJOR_VERSION);
        headers.insert(PRODUCT_KEY, HeaderValue::from_static("api.rest"));
        headers.insert(CLIENT_ID, client_id);
        Ok(Self {
            http: http_client(settings)?,
            base: below(&settings.url, &["api"]),
            server: settings.server.clone(),
            headers,
            max_response_bytes: settings.max_response_bytes,
            budget,
            clock,
            telemetry,
            offset: std::sync::Mutex::default(),
        })
    }

    /// `base/api` and the given segments, each percent-encoded.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        below(&self.base, segments)
    }

    /// The server's clock minus ours in seconds, once an answer told it.
    pub(super) fn clock_offset(&self) -> Option<f64> {
        *self
            .offset
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The server's present date, as far as it is known.
    pub(super) fn server_now(&self) -> Timestamp {
        let offset = self.clock_offset().unwrap_or_default();
        let span = jiff::SignedDuration::try_from_secs_f64(offset).unwrap_or_default();
        let now = self.clock.now();
        now.checked_add(span).unwrap_or(now)
    }

    /// Sends the call and reads its answer to the end.
    ///
    /// # Errors
    /// Whenever there is no answer of status 2xx whose body could be read.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Bytes, Error> {
        let endpoint = call.endpoint;
        let action = endpoint.action();
        let request = self.request(call);
        let permit = self.budget.admit().await;
        let begin = Instant::now();
        let answer = self.exchange(request, action).await;
        drop(permit);
        let code = match &answer {
            Ok(answer) => answer.status.as_str(),
            Err(_) => "none",
        };
        let seconds = begin.elapsed().as_secs_f64();
        self.telemetry
            .request(&self.server, endpoint.label(), code, seconds);
        accept(answer?, action, &self.base)
    }

    fn request(&self, call: Call<'_>) -> Request {
        let mut request = Request::new(call.method, call.url.clone());
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(ACCEPT_LANGUAGE, call.language.clone());
        headers.insert(MINOR, call.endpoint.minor().into());
        if let Some(token) = call.token {
            headers.insert(TOKEN, token.clone());
        }
        if let Some(body) = call.body {
            headers.insert(CONTENT_TYPE, JSON);
            *request.body_mut() = Some(body.expose_secret().to_owned().into());
        }
        request
    }

    async fn exchange(&self, request: Request, action: &'static str) -> Result<Answer, Error> {
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            Error::new(action, classify(&error), "no complete answer").because(error)
        };
        let mut response = self.http.execute(request).await.map_err(failed)?;
        self.note_clock(&response);
        let body = self.body(&mut response, action).await?;
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.map_err(failed)?,
        })
    }

    /// Reads the body up to the cap, so that no server can fill our memory.
    async fn body(
        &self,
        response: &mut Response,
        action: &'static str,
    ) -> Result<Result<Bytes, reqwest::Error>, Error> {
        let too_large = || {
            let limit = format!("the answer exceeds {} bytes", self.max_response_bytes);
            Error::new(action, Reason::TooLarge, limit)
        };
        if response.content_length() > Some(self.max_response_bytes) {
            return Err(too_large());
        }
        let mut body = Bytes::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body = joined(body, chunk),
                Ok(None) => return Ok(Ok(body)),
                Err(error) => return Ok(Err(error)),
            }
            if u64::try_from(body.len()).unwrap_or(u64::MAX) > self.max_response_bytes {
                return Err(too_large());
            }
        }
    }

    fn note_clock(&self, response: &Response) {
        let date = response.headers().get(DATE);
        let Some(date) = date
            .and_then(|date| date.to_str().ok())
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .and_then(|date| Timestamp::try_from(date).ok())
        else {
            return;
        };
        let seconds = date.duration_since(self.clock.now()).as_secs_f64();
        self.telemetry.clock_offset(&self.server, seconds);
        *self
            .offset
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(seconds);
    }
}

/// Both, one after the other; what comes in one piece is not copied.
fn joined(begin: Bytes, rest: Bytes) -> Bytes {
    if begin.is_empty() {
        return rest;
    }
    let mut all = BytesMut::from(begin);
    all.extend_from_slice(&rest);
    all.freeze()
}

/// Whom the server is believed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Roots {
    /// The authorities of the system, and those of `ca_file`.
    System,
    /// Those of `ca_file` alone.
    Own,
}

fn http_client(settings: &Settings) -> Result<reqwest::Client, BuildError> {
    let built = build(settings, Roots::System);
    let needs_system = settings.url.scheme() == "https" && settings.way.ca_pem.is_none();
    match built {
        // The system may have none, and nobody asks for them.
        Err(BuildError::Client(_) | BuildError::Identity(_)) if !needs_system => {
            build(settings, Roots::Own)
        }
        built => built,
    }
}

fn build(settings: &Settings, roots: Roots) -> Result<reqwest::Client, BuildError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cryptshare-exporter/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .timeout(settings.request_timeout)
        .tls_danger_accept_invalid_certs(settings.way.insecure_skip_verify)
        .redirect(same_host())
        .referer(false)
        // A request that is sent again takes another permit, so it is ours to send.
        .retry(reqwest::retry::never());
    let own = settings.way.ca_pem.as_deref();
    let own = own.map_or(Ok(Vec::new()), reqwest::Certificate::from_pem_bundle);
    let own = own.map_err(BuildError::Ca)?;
    builder = match roots {
        Roots::System => builder.tls_certs_merge(own),
        Roots::Own => builder.tls_certs_only(own),
    };
    builder = through(builder, &settings.way.proxy)?;
    let Some(pem) = &settings.way.identity_pem else {
        return builder.build().map_err(BuildError::Client);
    };
    let identity = reqwest::Identity::from_pem(pem.expose_secret().as_bytes());
    let identity = identity.map_err(BuildError::Identity)?;
    let builder = builder.identity(identity);
    builder.build().map_err(BuildError::Identity)
}

/// The way through the proxy. The library would follow the environment unless
/// it is told not to.
fn through(builder: ClientBuilder, proxy: &Proxy) -> Result<ClientBuilder, BuildError> {
    match proxy {
        Proxy::None => Ok(builder.no_proxy()),
        Proxy::Url(url) => {
            let proxy = reqwest::Proxy::all(url.expose_secret());
            let proxy = proxy.map_err(|_| BuildError::Proxy)?;
            Ok(builder.no_proxy().proxy(proxy))
        }
        Proxy::Environment => Ok(builder),
    }
}

/// Follows a redirect only where scheme, host and port stay, for the request
/// carries the client id and the token.
fn same_host() -> Policy {
    Policy::custom(|attempt| {
        let stays = attempt
            .previous()
            .last()
            .is_some_and(|from| from.origin() == attempt.url().origin());
        if stays && attempt.previous().len() <= MAX_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// `url` and the given segments, each percent-encoded.
pub(super) fn below(url: &Url, segments: &[&str]) -> Url {
    let mut url = url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A secret as a header, which no `Debug` shows.
pub(super) fn sensitive(secret: &SecretString) -> HeaderValue {
    let mut value = value(secret.expose_secret());
    value.set_sensitive(true);
    value
}

/// Of a text that no header can carry, nothing.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Turns an answer to a request below `base` that is not 2xx into its error.
fn accept(answer: Answer, action: &'static str, base: &Url) -> Result<Bytes, Error> {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    if status.is_success() {
        return Ok(body);
    }
    let failure = answers::failure(status, &headers, &body);
    let code = failure.code;
    let code = code.map_or_else(String::new, |code| format!(" with code {code}"));
    let is_redirected = failure.reason == Reason::Redirected;
    let target = is_redirected.then(|| target(&headers, base));
    let target = target.unwrap_or_default();
    let detail = format!("the server answered {status}{code}{target}");
    Err(Error::new(action, failure.reason, detail).wait(failure.retry_after))
}

/// Where a redirect leads, and what is to be done. A path and a query are the
/// server's business, and may hold a secret.
fn target(headers: &HeaderMap, base: &Url) -> String {
    let location = headers.get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| base.join(location).ok());
    let Some(origin) = target
        .map(|target| target.origin())
        .filter(Origin::is_tuple)
    else {
        return " that leads nowhere; check `url`".to_owned();
    };
    let shown = origin.ascii_serialization();
    if origin == base.origin() {
        return format!(" that leads to another path of {shown}; set `url` to where it ends");
    }
    format!(" that leads to {shown}; set `url` to it if that is the server")
}

fn classify(error: &reqwest::Error) -> Reason {
    if error.is_timeout() {
        Reason::Timeout
    } else if is_tls(error) {
        Reason::Tls
    } else if (error.is_decode() && !is_cut(error)) || is_no_http(error) {
        Reason::Malformed
    } else {
        Reason::Unreachable
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    has_cause(error, |cause| innermost(cause).is::<rustls::Error>())
}

/// What I/O errors are wrapped around: their `source` passes over it.
fn innermost<'a>(mut error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    while let Some(inner) = error.downcast_ref().and_then(io::Error::get_ref) {
        error = inner;
    }
    error
}

/// Whether the connection ended before the body did.
fn is_cut(error: &reqwest::Error) -> bool {
    has_cause(error, |cause| {
        let io: Option<&io::Error> = cause.downcast_ref();
        let http: Option<&hyper::Error> = cause.downcast_ref();
        io.is_some_and(|io| io.kind() != io::ErrorKind::InvalidData)
            || http.is_some_and(hyper::Error::is_incomplete_message)
    })
}

/// Whether whoever answered does not speak HTTP.
fn is_no_http(error: &reqwest::Error) -> bool {
    has_cause(error, |cause| {
        let http: Option<&hyper::Error> = cause.downcast_ref();
        http.is_some_and(hyper::Error::is_parse)
    })
}

fn has_cause(
    error: &(dyn StdError + 'static),
    is: impl Fn(&(dyn StdError + 'static)) -> bool,
) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if is(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_told_with_its_target_and_none_of_its_secrets() {
        let base = Url::parse("http://cs.example.com/prefix/api").unwrap();
        let check = |location: Option<&'static str>, expect: &str| {
            let location = location.map(|text| (LOCATION, HeaderValue::from_static(text)));
            let answer = Answer {
                status: StatusCode::FOUND,
                headers: location.into_iter().collect(),
                body: Bytes::new(),
            };
            let error = accept(answer, "failed to list", &base).unwrap_err();
            let expect = format!("failed to list: the server answered 302 Found that {expect}");
            assert_eq!(error.to_string(), expect);
            assert_eq!(error.reason(), Reason::Redirected);
        };
        let elsewhere = "https://login.example.com; set `url` to it if that is the server";
        let elsewhere = format!("leads to {elsewhere}");
        for location in [
            "https://login.example.com/canary?canary#canary",
            "https://canary:canary@login.example.com:443/",
            "HTTPS://LOGIN.example.com",
        ] {
            check(Some(location), &elsewhere);
        }
        check(
            Some("https://cs.example.com:8443/"),
            "leads to https://cs.example.com:8443; set `url` to it if that is the server",
        );
        let here = "leads to another path of http://cs.example.com; set `url` to where it ends";
        check(Some("/canary"), here);
        check(Some("http://cs.example.com/canary"), here);
        for location in [None, Some("mailto:canary@example.com"), Some("http://")] {
            check(location, "leads nowhere; check `url`");
        }
    }
}
