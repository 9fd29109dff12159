//! An answer that is not 2xx: its class, and the wait that it asks for.
//!
//! **Invariants.** Only 404 with code 2003 says that something is not found;
//! only the code is read from the body, never its text.

use std::time::Duration;

use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use super::{read, wire::ErrorAnswer};
use crate::model::Reason;

/// What an error answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The class of the failure.
    pub reason: Reason,
    /// `errorCode`, if the body has one.
    pub code: Option<u64>,
    /// `Retry-After`, if the server asks for a pause.
    pub retry_after: Option<Duration>,
}

/// Reads an answer whose status is not 2xx (contract 1.3).
pub fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let answer = read::<ErrorAnswer>(body).ok();
    let code = answer.and_then(|answer| answer.error_code.value());
    Failure {
        reason: reason(status, code),
        code,
        retry_after: retry_after(headers),
    }
}

/// The class of an error answer. A 404 is *not found* only with code 2003
/// (contract, section 8, row 3): any other one never means that a transfer is
/// gone. A 403 without a code is taken for the only one that the contract knows
/// of lists and states: it says nothing of the request, and nothing of a token
/// that only a human might bring again.
fn reason(status: StatusCode, code: Option<u64>) -> Reason {
    match (status.as_u16(), code) {
        (406, _) | (404, Some(2004)) => Reason::Version,
        (404, Some(2003)) => Reason::NotFound,
        (429, _) => Reason::Throttled,
        (403, Some(3001) | None) => Reason::NotLicensed,
        (403, Some(3002)) | (401, _) => Reason::Unauthorized,
        (300..=399, _) => Reason::Redirected,
        (400..=499, _) => Reason::Rejected,
        _ => Reason::Server,
    }
}

/// `Retry-After` in seconds or as a date, the date read against the answer's
/// own `Date`. More seconds than can be counted are as many as can.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    until.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_of_the_contract_has_its_reason() {
        let check = |status: u16, code, expect| {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(reason(status, code), expect, "{status} {code:?}");
        };
        check(400, Some(1002), Reason::Rejected);
        check(400, Some(1004), Reason::Rejected);
        check(400, Some(1005), Reason::Rejected);
        check(404, Some(1006), Reason::Rejected);
        check(404, None, Reason::Rejected);
        check(409, Some(2001), Reason::Rejected);
        check(404, Some(2003), Reason::NotFound);
        check(404, Some(2004), Reason::Version);
        check(406, None, Reason::Version);
        check(403, Some(2005), Reason::Rejected);
        check(410, Some(2006), Reason::Rejected);
        check(429, Some(2007), Reason::Throttled);
        check(429, None, Reason::Throttled);
        check(403, Some(3001), Reason::NotLicensed);
        check(403, None, Reason::NotLicensed);
        check(401, Some(3002), Reason::Unauthorized);
        check(403, Some(3002), Reason::Unauthorized);
        check(401, Some(3003), Reason::Unauthorized);
        check(403, Some(3010), Reason::Rejected);
        check(302, None, Reason::Redirected);
        check(500, Some(5000), Reason::Server);
        check(501, Some(5001), Reason::Server);
        check(503, None, Reason::Server);
    }

    #[test]
    fn a_pause_is_read_in_seconds_or_as_a_date() {
        let check = |retry_after: &'static str, expect: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, "Wed, 01 Apr 2026 08:00:00 GMT".parse().unwrap());
            headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
            let told = super::retry_after(&headers);
            assert_eq!(told, expect.map(Duration::from_secs), "{retry_after}");
        };
        check("120", Some(120));
        check(" 7 ", Some(7));
        check("99999999999999999999", Some(u64::MAX));
        check("Wed, 01 Apr 2026 08:01:30 GMT", Some(90));
        check("Wed, 01 Apr 2026 07:00:00 GMT", None);
        check("-1", None);
        check("+1", None);
        check("soon", None);
        check("", None);
    }
}
