//! An answer on its way, and how it is written.
//!
//! **Invariants.** An answer of the API has the simulated date, never the real
//! one.

use std::time::{Duration, SystemTime};

use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderValue, LOCATION, RETRY_AFTER},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::net::{self, Body};

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) date: Option<Timestamp>,
    pub(super) retry_after: Option<u64>,
    pub(super) location: Option<String>,
    /// What else the head tells.
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: written(body),
            date: None,
            retry_after: None,
            location: None,
            headers: Vec::new(),
        }
    }

    /// Success with `data` (contract 1.1).
    pub(super) fn data(data: &Value) -> Self {
        // A value around it would be a copy of it all.
        let body = [b"{\"data\":", written(data).as_slice(), b",\"meta\":null}"].concat();
        Self {
            body,
            ..Self::json(200, &Value::Null)
        }
    }

    /// No body.
    pub(super) fn empty(status: u16) -> Self {
        Self {
            content_type: "",
            body: Vec::new(),
            ..Self::json(status, &Value::Null)
        }
    }

    /// The error envelope (contract 1.2), at top level.
    pub(super) fn error(status: u16, code: u64, text: &str) -> Self {
        Self::json(status, &json!({"errorCode": code, "errorMessage": text}))
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(net::body([self.body.into()]));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if !self.content_type.is_empty() {
            let content_type = HeaderValue::from_static(self.content_type);
            headers.insert(CONTENT_TYPE, content_type);
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        if let Some(date) = self.date.and_then(http_date) {
            headers.insert(DATE, date);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        let location = self.location.and_then(|to| HeaderValue::from_str(&to).ok());
        if let Some(location) = location {
            headers.insert(LOCATION, location);
        }
        response
    }
}

/// JSON; a value can always be written.
fn written(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A date as HTTP writes it; a date before 1970 is none.
fn http_date(at: Timestamp) -> Option<HeaderValue> {
    let since = Duration::try_from(at.duration_since(Timestamp::UNIX_EPOCH)).ok()?;
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH.checked_add(since)?);
    HeaderValue::from_str(&text).ok()
}
