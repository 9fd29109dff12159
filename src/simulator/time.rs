//! Simulated time.
//!
//! **Invariants.** Never runs back.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A clock that runs at its own speed and can be advanced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    start: Timestamp,
    since: Instant,
    speed: f64,
    advanced: Duration,
}

impl Time {
    pub(super) fn new(start: Timestamp, speed: f64) -> Self {
        Self {
            start,
            since: Instant::now(),
            speed: if speed.is_finite() {
                speed.max(0.0)
            } else {
                0.0
            },
            advanced: Duration::ZERO,
        }
    }

    /// Goes on from the present date at another speed.
    pub(super) fn set_speed(&mut self, speed: f64) {
        *self = Self::new(self.now(), speed);
    }

    /// The simulated date.
    pub(super) fn now(&self) -> Timestamp {
        let seconds = self.since.elapsed().as_secs_f64() * self.speed;
        let run = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let moved = run.saturating_add(self.advanced);
        self.start.checked_add(moved).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.advanced = self.advanced.saturating_add(by);
    }

    /// Whether time runs by itself.
    pub(super) fn runs(&self) -> bool {
        self.speed > 0.0
    }
}
