//! Which of a sender's transfers are discovered, and since when.
//!
//! **Invariants.** Pure. What was admitted once stays so under a wider scope.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::{State, TrackingId, Transfer};

/// Which transfers are discovered, the fewest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discover {
    /// None: what is watched has a name.
    #[default]
    Nothing,
    /// Those that have not ended.
    Active,
    /// All that the server lists.
    Everything,
}

/// What the configuration lets us discover of a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// Which transfers are discovered, whatever their age.
    pub discover: Discover,
    /// Transfers that are older are not discovered; `None` means that all are.
    pub max_age: Option<Duration>,
}

impl Scope {
    /// All transfers of any age: what is watched where nothing else is asked for.
    pub const EVERYTHING: Self = Self {
        discover: Discover::Everything,
        max_age: None,
    };

    /// Whether the transfer is discovered at `now`, the server's date. The age
    /// is read from the id, with a day of tolerance for the unknown zone of
    /// its date; an id without a date is young.
    pub fn admits(&self, id: &TrackingId, now: Timestamp) -> bool {
        let is_young = match (id.started_on(), self.oldest_day(now)) {
            (Some(day), Some(oldest)) => day >= oldest,
            _ => true,
        };
        self.discovers() && is_young
    }

    /// Whether transfers are discovered at all.
    pub fn discovers(&self) -> bool {
        self.discover > Discover::Nothing
    }

    /// Whether an unknown transfer is discovered by this reading at `now`. One
    /// whose state is not told may not have ended.
    pub fn admits_reading(&self, reading: &Transfer, now: Timestamp) -> bool {
        let has_ended = reading.state.is_some_and(State::is_final);
        self.admits(&reading.id, now) && (self.discover > Discover::Active || !has_ended)
    }

    /// Whether a transfer that is listed like this at `now` would have been
    /// discovered before, had it been there. One whose state is not told may
    /// have ended long ago.
    pub fn had_in_view(&self, reading: &Transfer, now: Timestamp) -> bool {
        let lives = reading.state.is_some_and(|state| !state.is_final());
        self.admits(&reading.id, now) && (self.discover > Discover::Active || lives)
    }

    /// Whether this scope may admit what `other` did not.
    pub fn is_wider_than(&self, other: &Self) -> bool {
        let is_older = match (self.max_age, other.max_age) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(age), Some(other)) => age > other,
        };
        self.discovers() && (self.discover > other.discover || is_older)
    }

    fn oldest_day(&self, now: Timestamp) -> Option<Date> {
        let age = SignedDuration::try_from(self.max_age?).ok()?;
        let oldest = now.checked_sub(age).ok()?;
        let day = TimeZone::UTC.to_datetime(oldest).date();
        day.checked_sub(1.day()).ok()
    }
}

/// What the listings so far had in view: whatever of that is unknown is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// The scope of the listings.
    pub scope: Scope,
    /// When the first of them ended; `None` if that is not known. The server may
    /// not have listed all that was there by then, but what was sent before is
    /// not new for that.
    pub since: Option<Timestamp>,
}

impl View {
    /// Whether a transfer that is listed like this at `now` had been in view, had
    /// it been there.
    pub fn had(&self, reading: &Transfer, now: Timestamp) -> bool {
        self.scope.had_in_view(reading, now) && !self.is_from_before(&reading.id)
    }

    /// Whether the transfer was clearly sent before the first listing ended.
    pub fn is_from_before(&self, id: &TrackingId) -> bool {
        self.since.is_some_and(|since| id.is_from_before(since))
    }

    /// What is in view after a listing of this scope that ended at `now`.
    #[must_use]
    pub fn after(self, scope: Scope, now: Timestamp) -> Self {
        let since = if self.scope.discovers() {
            self.since
        } else {
            Some(now)
        };
        Self { scope, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn days(days: u64) -> Scope {
        Scope {
            discover: Discover::Everything,
            max_age: Some(Duration::from_hours(days * 24)),
        }
    }

    const ALL: Scope = Scope {
        discover: Discover::Everything,
        max_age: None,
    };
    const LIVING: Scope = Scope {
        discover: Discover::Active,
        max_age: None,
    };
    const NONE: Scope = Scope {
        discover: Discover::Nothing,
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
        let pairs = [
            (ALL, days(9)),
            (days(9), days(2)),
            (days(1), NONE),
            (ALL, LIVING),
            (LIVING, NONE),
        ];
        for (wide, narrow) in pairs {
            assert!(wide.is_wider_than(&narrow));
            assert!(!narrow.is_wider_than(&wide));
            assert!(!wide.is_wider_than(&wide));
        }
    }

    #[test]
    fn what_had_ended_is_not_among_what_is_active() {
        let check = |state, expect| {
            let reading = Transfer {
                state,
                ..Transfer::untold(TrackingId::parse("t").unwrap())
            };
            let now = Timestamp::UNIX_EPOCH;
            let told = |scope: Scope| {
                let admits = scope.admits_reading(&reading, now);
                (admits, scope.had_in_view(&reading, now))
            };
            assert_eq!(told(ALL), (true, true));
            assert_eq!(told(LIVING), expect, "{state:?}");
            assert_eq!(told(NONE), (false, false));
        };
        check(Some(State::Active), (true, true));
        check(Some(State::Processing), (true, true));
        check(Some(State::Other), (true, true));
        check(Some(State::Failed), (false, false));
        check(Some(State::DeletedByAdmin), (false, false));
        check(None, (true, false));
    }
}
