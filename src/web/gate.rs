//! Who is let in, how often, and the headers that every answer has.
//!
//! **Invariants.** Decides before a path is looked at, so a stranger cannot tell
//! which paths there are.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{turns::Busy, users::Users};
use crate::net::Peer;

/// What the gate asks and gives.
#[derive(Debug, Default)]
pub struct GateSettings {
    /// Names and bcrypt hashes; without any everybody is let in.
    pub users: Vec<(String, SecretString)>,
    /// The key under which verified passwords are remembered: 32 random bytes.
    pub key: [u8; 32],
    /// Headers that every answer has in place of its own.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How often the gate opens.
    pub rate: Option<Rate>,
}

/// A bucket of tokens.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// One request in this time, on the average.
    pub interval: Duration,
    /// So many at once.
    pub burst: u32,
}

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not name its host, or more than one.
    Hostless,
    /// There is no name and password, or not the right ones.
    Unknown,
    /// The rate is used up, or enough passwords from there wait to be verified.
    TooOften,
    /// Too many passwords wait to be verified.
    Busy,
}

/// Decides who is let in.
#[derive(Debug)]
pub struct Gate {
    users: Option<Users>,
    headers: Vec<(HeaderName, HeaderValue)>,
    bucket: Option<Bucket>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new(GateSettings::default())
    }
}

impl Gate {
    /// Whether it lets nobody in without a password.
    pub const fn asks_for_passwords(&self) -> bool {
        self.users.is_some()
    }

    /// A gate that asks what `settings` say.
    pub fn new(settings: GateSettings) -> Self {
        Self {
            users: Users::new(settings.users, &settings.key),
            headers: settings.headers,
            bucket: settings.rate.map(Bucket::new),
        }
    }

    /// Lets a request with these headers in, or not. As in the toolkit the rate
    /// comes first: it also bounds how often passwords are guessed.
    pub(super) async fn admit(&self, headers: &HeaderMap, peer: &Peer) -> Result<(), Refusal> {
        if let Some(bucket) = &self.bucket
            && !bucket.take(Instant::now())
        {
            return Err(Refusal::TooOften);
        }
        let Some(users) = &self.users else {
            return Ok(());
        };
        match users.know(headers, peer).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Unknown),
            Err(Busy::Line) => Err(Refusal::TooOften),
            Err(Busy::All) => Err(Refusal::Busy),
        }
    }

    /// Sets the headers that every answer has.
    pub(super) fn dress(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
    }
}

/// Tokens, as the time at which the bucket will be full again.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    full: Mutex<Option<Instant>>,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            full: Mutex::default(),
        }
    }

    /// Takes a token at `now`; false if there is none.
    fn take(&self, now: Instant) -> bool {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let after = full.unwrap_or(now).max(now) + self.rate.interval;
        let whole = self.rate.interval.saturating_mul(self.rate.burst);
        let is_there = after.duration_since(now) <= whole;
        if is_there {
            *full = Some(after);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_in_each_interval() {
        let bucket = Bucket::new(Rate {
            interval: Duration::from_secs(1),
            burst: 3,
        });
        let begin = Instant::now();
        let given = |after: u64| {
            let now = begin + Duration::from_millis(after);
            (0..10).filter(|_| bucket.take(now)).count()
        };
        assert_eq!(given(0), 3);
        assert_eq!(given(900), 0);
        assert_eq!(given(1000), 1);
        assert_eq!(given(3500), 2);
        assert_eq!(given(60_000), 3, "it never holds more than the burst");
    }
}
