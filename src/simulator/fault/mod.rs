//! Faults that a test can switch on.
//!
//! **Invariants.** A fault spoils an answer on its way out; the world stays
//! true.

mod items;
mod kinds;
mod spec;
mod spoil;

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use kinds::{explanation, kinds};
pub use spec::parse;
pub(super) use spoil::Scraps;

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
pub(super) struct Faults {
    list: Vec<Fault>,
    since: Option<Instant>,
}

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
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
    /// Only for this share of the answers, from 0 to 1.
    #[serde(default)]
    share: Option<f64>,
    /// Only for so many seconds of real time.
    #[serde(default)]
    seconds: Option<u64>,
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
    /// For `clock_skew`: how far ahead the date is.
    #[serde(default)]
    skew_seconds: Option<i64>,
    /// For `shifted_page`: so many transfers came, or went if negative, since
    /// the page before.
    #[serde(default)]
    items: Option<i64>,
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
    ContentType,
    ExpiredToken,
    ClockSkew,
    ShiftedPage,
    DuplicateItems,
    CorruptItem,
    EmptyList,
    Redirect,
    RedirectLoop,
}

impl Faults {
    pub(super) fn set(&mut self, faults: Vec<Fault>) {
        self.list = faults;
        self.since = Some(Instant::now());
    }

    pub(super) fn list(&self) -> &[Fault] {
        &self.list
    }

    /// The fault for an answer of `endpoint`, if one is in force.
    pub(super) fn take(&mut self, endpoint: &str, rng: &mut StdRng) -> Option<Fault> {
        let age = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        let concerns = |fault: &Fault| {
            let in_time = fault.seconds.is_none_or(|seconds| age.as_secs() < seconds);
            let is_here = fault.endpoint.as_deref().is_none_or(|of| of == endpoint);
            in_time && is_here && fault.times != Some(0)
        };
        let mut comes = |fault: &Fault| {
            concerns(fault) && fault.share.is_none_or(|share| rng.random_bool(share))
        };
        let fault = self.list.iter_mut().find(|fault| comes(fault))?;
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
        if !self.share.is_none_or(|share| (0.0..=1.0).contains(&share)) {
            return Err("share is from 0 to 1".to_owned());
        }
        let told = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let members = told.as_object().into_iter().flatten();
        let members = members.filter(|(_, value)| !value.is_null());
        self.kind.heeds(members.map(|(name, _)| name.as_str()))
    }

    /// How far the pages of a list have moved since the page before.
    pub(super) fn shift(&self) -> i64 {
        if self.kind == Kind::ShiftedPage {
            return self.items.unwrap_or(1);
        }
        0
    }

    /// Whether the fault is that no token is good any more.
    pub(super) fn expires_tokens(&self) -> bool {
        self.kind == Kind::ExpiredToken
    }
}
