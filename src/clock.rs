//! Wall time that follows tokio's clock.
//!
//! Everything that compares dates asks a [`Clock`], so a test that pauses or
//! advances tokio's time moves the calendar with it.
//!
//! **Invariants.** Nothing else in the program reads the system's time.

use jiff::Timestamp;
use tokio::time::Instant;

/// A source of wall time.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's clock; what the daemon runs on.
    System,
    /// A given date that advances exactly as tokio's clock does, also where a
    /// test has paused it.
    Anchored {
        /// The date at the anchor.
        wall: Timestamp,
        /// The instant at which `wall` was true.
        at: Instant,
    },
}

impl Clock {
    /// A clock that shows `wall` now and advances with tokio's time.
    pub fn anchored(wall: Timestamp) -> Self {
        Self::Anchored {
            wall,
            at: Instant::now(),
        }
    }

    /// The present date.
    ///
    /// An anchored clock stops at the last date that can be represented
    /// instead of failing.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Anchored { wall, at } => wall.checked_add(at.elapsed()).unwrap_or(Timestamp::MAX),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the system's clock is read"
)]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_anchored_clock_follows_the_paused_clock_of_tokio() {
        let start: Timestamp = "2026-04-01T08:15:00Z".parse().unwrap();
        let clock = Clock::anchored(start);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(clock.now().to_string(), "2026-04-01T09:15:00Z");
    }
}
