//! Which of a sender's transfers are discovered.
//!
//! **Invariants.** Pure. What was admitted once stays so under a wider scope.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::TrackingId;

/// What the configuration lets us discover of a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// Whether transfers are discovered at all.
    pub discover: bool,
    /// Transfers that are older are not discovered; `None` means that all are.
    pub max_age: Option<Duration>,
}

impl Scope {
    /// Whether the transfer is discovered at `now`, the server's date. The age
    /// is read from the id, with a day of tolerance for the unknown zone of
    /// its date; an id without a date is young.
    pub fn admits(&self, id: &TrackingId, now: Timestamp) -> bool {
        let is_young = match (id.started_on(), self.oldest_day(now)) {
            (Some(day), Some(oldest)) => day >= oldest,
            _ => true,
        };
        self.discover && is_young
    }

    /// Whether this scope may admit what `other` did not.
    pub fn is_wider_than(&self, other: &Self) -> bool {
        let is_older = match (self.max_age, other.max_age) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(age), Some(other)) => age > other,
        };
        self.discover && (!other.discover || is_older)
    }

    fn oldest_day(&self, now: Timestamp) -> Option<Date> {
        let age = SignedDuration::try_from(self.max_age?).ok()?;
        let oldest = now.checked_sub(age).ok()?;
        let day = TimeZone::UTC.to_datetime(oldest).date();
        day.checked_sub(1.day()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn days(days: u64) -> Scope {
        Scope {
            discover: true,
            max_age: Some(Duration::from_hours(days * 24)),
        }
    }

    const ALL: Scope = Scope {
        discover: true,
        max_age: None,
    };
    const NONE: Scope = Scope {
        discover: false,
        max_age: None,
    };

    #[test]
    fn age_is_read_from_the_id_with_a_day_of_tolerance() {
        let now: Timestamp = "2026-04-10T12:00:00Z".parse().unwrap();
        let check = |id: &str, scope: Scope, expect| {
            let id = TrackingId::parse(id).unwrap();
            assert_eq!(scope.admits(&id, now), expect, "{id} {scope:?}");
        };
        check("20260408-081500-Qx7Lm2Za", days(2), true);
        check("20260407-081500-Qx7Lm2Za", days(2), true);
        check("20260406-081500-Qx7Lm2Za", days(2), false);
        check("without-a-date", days(2), true);
        check("20010101-081500-Qx7Lm2Za", ALL, true);
        check("20260410-081500-Qx7Lm2Za", NONE, false);
    }

    #[test]
    fn wider_means_that_more_may_be_admitted() {
        for (wide, narrow) in [(ALL, days(9)), (days(9), days(2)), (days(1), NONE)] {
            assert!(wide.is_wider_than(&narrow));
            assert!(!narrow.is_wider_than(&wide));
            assert!(!wide.is_wider_than(&wide));
        }
    }
}
