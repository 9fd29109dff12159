//! The sign of life: the scheduler wakes at least so often, due work or not,
//! and says so each time.
//!
//! **Invariants.** Nothing is said but by the scheduler's own loop, so what is
//! stuck falls silent.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// Who is told that the scheduler lives, and how often at least.
pub struct Pulse {
    every: Option<Duration>,
    tell: Box<dyn Fn() + Send + Sync>,
    told: Option<Instant>,
}

impl Pulse {
    /// Calls `tell` about each `every`, never less often while the scheduler
    /// lives; it must not block.
    pub fn new(every: Duration, tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            every: Some(every),
            tell: Box::new(tell),
            told: None,
        }
    }

    /// A pulse that nobody listens to.
    pub fn unheard() -> Self {
        Self {
            every: None,
            tell: Box::new(|| {}),
            told: None,
        }
    }

    /// Says that the scheduler lives, unless it has just been said.
    pub(super) fn beat(&mut self) {
        let Some(every) = self.every else { return };
        let is_fresh = |told: Instant| told.elapsed() < every / 2;
        if !self.told.is_some_and(is_fresh) {
            (self.tell)();
            self.told = Some(Instant::now());
        }
    }

    /// When to wake: at `due`, or earlier to give a sign of life.
    pub(super) fn next(&self, due: Option<Instant>) -> Option<Instant> {
        let beat = self.every.map(|every| Instant::now() + every);
        match (due, beat) {
            (Some(due), Some(beat)) => Some(due.min(beat)),
            (due, beat) => due.or(beat),
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pulse = f.debug_struct("Pulse");
        pulse.field("every", &self.every).finish_non_exhaustive()
    }
}
