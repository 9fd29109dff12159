//! Who sends and which transfer: the keys under which everything is kept.
//!
//! **Invariants.** A key never changes its spelling once it is made: addresses
//! are lower-cased here and nowhere else.

use std::{fmt, sync::Arc};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// Whether a server can be called so: its name is a label and part of a file's
/// name.
pub fn is_server_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=200).contains(&text.len()) && text.chars().all(good)
}

/// Whether this can be the address of a sender, as far as its form tells.
pub fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    let sides = text.split_once('@');
    let is_good = sides
        .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'));
    is_good && text.len() <= 254 && !text.contains(odd)
}

/// The key of a sender: the server's name in the configuration and the
/// lower-cased address, so that another label or another URL keeps the
/// counters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderId {
    server: Arc<str>,
    address: Arc<str>,
}

impl SenderId {
    /// The key of `address` on the server called `server`.
    pub fn new(server: &str, address: &str) -> Self {
        Self {
            server: server.into(),
            address: address.to_lowercase().into(),
        }
    }

    /// The server's name in the configuration.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The sender's address in lower case.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Addresses are personal data, so a key shows only its server.
impl fmt::Debug for SenderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderId")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// A transfer's tracking id, usually `YYYYMMDD-HHMMSS-` and eight letters or
/// digits (contract 4.2). Other spellings are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackingId(Arc<str>);

/// By so much is the date of a tracking id before another one if it is clearly
/// so.
const CLEARLY: SignedDuration = SignedDuration::from_hours(24);

/// Why a text cannot be a tracking id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrackingId {
    /// There is nothing.
    #[error("the tracking id is empty")]
    Empty,
    /// It could not be one segment of a path.
    #[error("the tracking id contains a slash, a blank or a control character, or is . or ..")]
    NotASegment,
    /// It has the usual form, but names a date that does not exist.
    #[error("the tracking id begins with a date that does not exist")]
    ImpossibleDate,
    /// It is too long to be one.
    #[error("the tracking id is longer than {} characters", TrackingId::MAX_LENGTH)]
    TooLong,
}

impl TrackingId {
    /// Longer ones are refused: nothing a server hands out comes near, and
    /// every id is kept in memory and in labels.
    pub const MAX_LENGTH: usize = 200;

    /// Checks `text`.
    ///
    /// # Errors
    /// If it could not be a path segment, or is of the usual form with an
    /// impossible date. An unfamiliar pattern is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidTrackingId> {
        if text.is_empty() {
            return Err(InvalidTrackingId::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidTrackingId::TooLong);
        }
        let odd = |c: char| c == '/' || c == '\\' || c.is_control() || c.is_whitespace();
        if text == "." || text == ".." || text.chars().any(odd) {
            return Err(InvalidTrackingId::NotASegment);
        }
        let id = Self(text.into());
        if id.is_familiar() && id.started_on().is_none() {
            return Err(InvalidTrackingId::ImpossibleDate);
        }
        Ok(id)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the id has the form that known servers hand out.
    pub fn is_familiar(&self) -> bool {
        let mut parts = self.0.split('-');
        let digits = |part: Option<&str>, length| {
            part.is_some_and(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit()))
        };
        digits(parts.next(), 8)
            && digits(parts.next(), 6)
            && parts
                .next()
                .is_some_and(|p| p.len() == 8 && p.bytes().all(|b| b.is_ascii_alphanumeric()))
            && parts.next().is_none()
    }

    /// The day on which the transfer's session was started, in the server's
    /// zone, which is not known: good for a day of tolerance, no more.
    pub fn started_on(&self) -> Option<Date> {
        self.started_at().map(DateTime::date)
    }

    /// Whether the session was clearly started before `at`: by more than a day,
    /// whatever the zone of the id's date, the error of a clock, and the time
    /// that it took to send the files.
    pub fn is_from_before(&self, at: Timestamp) -> bool {
        let clearly = at.checked_sub(CLEARLY).unwrap_or(Timestamp::MIN);
        let clearly = TimeZone::UTC.to_datetime(clearly);
        self.started_at().is_some_and(|started| started < clearly)
    }

    fn started_at(&self) -> Option<DateTime> {
        let (day, rest) = self.0.split_once('-')?;
        let clock = rest.get(..6)?;
        let number = |text: &str| text.parse::<i8>().ok();
        if day.len() != 8 {
            return None;
        }
        let year = day.get(..4)?.parse().ok()?;
        let date = Date::new(year, number(day.get(4..6)?)?, number(day.get(6..)?)?).ok()?;
        let hour = number(clock.get(..2)?)?;
        let minute = number(clock.get(2..4)?)?;
        let second = number(clock.get(4..)?)?;
        Some(date.to_datetime(Time::new(hour, minute, second, 0).ok()?))
    }
}

impl fmt::Display for TrackingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_ids_are_checked() {
        let check = |text: &str, expect| {
            assert_eq!(TrackingId::parse(text).map(|_| ()), expect, "{text:?}");
        };
        check("20260401-081500-Qx7Lm2Za", Ok(()));
        check("an-unfamiliar-one", Ok(()));
        check("20240229-235959-Qx7Lm2Za", Ok(()));
        check("", Err(InvalidTrackingId::Empty));
        check("a/b", Err(InvalidTrackingId::NotASegment));
        check("..", Err(InvalidTrackingId::NotASegment));
        check("a\nb", Err(InvalidTrackingId::NotASegment));
        check(
            "20260230-081500-Qx7Lm2Za",
            Err(InvalidTrackingId::ImpossibleDate),
        );
        check(
            "20260401-246000-Qx7Lm2Za",
            Err(InvalidTrackingId::ImpossibleDate),
        );
        check(&"x".repeat(201), Err(InvalidTrackingId::TooLong));
    }

    #[test]
    fn what_was_started_more_than_a_day_before_is_from_before() {
        let at: Timestamp = "2026-04-02T08:15:00Z".parse().unwrap();
        let check = |text: &str, expect| {
            let id = TrackingId::parse(text).unwrap();
            assert_eq!(id.is_from_before(at), expect, "{text}");
        };
        check("20260401-081459-Qx7Lm2Za", true);
        check("20260401-081500-Qx7Lm2Za", false);
        check("20260402-081500-Qx7Lm2Za", false);
        check("20190101-000000-Qx7Lm2Za", true);
        check("without-a-date", false);
        let id = TrackingId::parse("20190101-000000-Qx7Lm2Za").unwrap();
        assert!(!id.is_from_before(Timestamp::MIN));
    }

    #[test]
    fn an_address_is_one_key_in_any_casing_and_never_shown() {
        let id = SenderId::new("prod", "Ada@Example.com");
        assert_eq!(id, SenderId::new("prod", "ada@example.COM"));
        assert!(!format!("{id:?}").contains("ada"));
    }
}
