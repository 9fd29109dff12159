//! Whether a server may be asked: open after failures in a row, then one probe
//! at a time.
//!
//! **Invariants.** Pure: time and randomness are arguments. Only failures that
//! concern the whole server count, and only of rounds that got no answer at
//! all; a sender without a token never stops the others.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use tokio::time::Instant;

use crate::{backoff::Backoff, model::Reason};

/// After this many failures in a row the server is left alone but for probes.
const FAILURES_TO_OPEN: u32 = 5;

/// The first ceiling of the wait before a probe.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// `Retry-After` is honored up to this long.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// What a round may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    /// Ask as usual.
    Go,
    /// Ask, alone: what comes of it decides for everybody.
    Probe,
    /// Do not ask; this is why the server is left alone.
    Refused(Refusal),
}

/// Why a server is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The reason of its last failure.
    pub(super) reason: Reason,
    /// The failure in full.
    pub(super) error: Arc<str>,
}

/// How the requests of a round went at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Streak {
    /// Whether the round was the probe of an open breaker.
    pub(super) is_probe: bool,
    /// Whether the server gave any answer of use.
    pub(super) was_answered: bool,
    /// Failures in a row since then.
    pub(super) failures: u32,
    /// The last of them.
    pub(super) reason: Option<Reason>,
    /// The longest wait that the server asked for.
    pub(super) retry_after: Option<Duration>,
}

/// The breaker of one server.
#[derive(Debug)]
pub(super) struct Breaker {
    backoff: Backoff,
    failures: u32,
    probes: u32,
    reason: Reason,
    error: Arc<str>,
    gate: Gate,
    /// The server asked to be left alone until then.
    held_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Closed,
    Open { probe_at: Instant },
    Probing,
}

impl Breaker {
    /// A closed breaker whose probes are never further apart than `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            backoff: Backoff::new(FIRST_WAIT, longest),
            failures: 0,
            probes: 0,
            reason: Reason::Unreachable,
            error: Arc::from(""),
            gate: Gate::Closed,
            held_until: None,
        }
    }

    /// Lets no probe wait longer than `longest` from now on.
    pub(super) fn limit(&mut self, longest: Duration, now: Instant) {
        self.backoff = Backoff::new(FIRST_WAIT, longest);
        if let Gate::Open { probe_at } = &mut self.gate {
            *probe_at = (*probe_at).min(now + longest);
        }
    }

    /// Whether the server is left alone but for probes.
    pub(super) fn is_open(&self) -> bool {
        self.gate != Gate::Closed
    }

    /// What a round that is due `now` may do. A probe that was admitted must
    /// be answered with [`Self::note`].
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        if self.held_until.is_some_and(|until| now < until) {
            return self.refusal();
        }
        match self.gate {
            Gate::Closed => Admission::Go,
            Gate::Open { probe_at } if now >= probe_at => {
                self.gate = Gate::Probing;
                Admission::Probe
            }
            Gate::Open { .. } | Gate::Probing => self.refusal(),
        }
    }

    /// When a round that was refused `now` may try again; `None` while a probe
    /// is under way.
    pub(super) fn admits_at(&self, now: Instant) -> Option<Instant> {
        let held = self.held_until.filter(|until| now < *until);
        match self.gate {
            Gate::Open { probe_at } => held.max(Some(probe_at)),
            Gate::Closed | Gate::Probing => held,
        }
    }

    /// Takes in the text of a failure that concerns the server.
    pub(super) fn remember(&mut self, error: &str) {
        self.error = error.into();
    }

    fn refusal(&self) -> Admission {
        Admission::Refused(Refusal {
            reason: self.reason,
            error: Arc::clone(&self.error),
        })
    }

    /// Takes in how a round went.
    pub(super) fn note(&mut self, streak: &Streak, now: Instant, rng: &mut impl Rng) {
        if let Some(wait) = streak.retry_after {
            let until = now + wait.min(LONGEST_RETRY_AFTER);
            self.held_until = self.held_until.max(Some(until));
        }
        match streak.reason {
            Some(reason) => self.fail(streak, reason, now, rng),
            None => self.close(streak, now),
        }
    }

    fn fail(&mut self, streak: &Streak, reason: Reason, now: Instant, rng: &mut impl Rng) {
        self.reason = reason;
        // A server that answers something is not down: the round has stopped by
        // itself, and the next one would only flap.
        if streak.was_answered {
            self.failures = 0;
            return self.close(streak, now);
        }
        self.failures = self.failures.saturating_add(streak.failures);
        if streak.is_probe || (self.gate == Gate::Closed && self.failures >= FAILURES_TO_OPEN) {
            self.probes = self.probes.saturating_add(1);
            let probe_at = now + self.backoff.delay(self.probes, rng);
            self.gate = Gate::Open { probe_at };
        }
    }

    /// A round without an answer, because nothing was asked, proves nothing:
    /// the next one is the probe.
    fn close(&mut self, streak: &Streak, now: Instant) {
        if streak.was_answered {
            self.failures = 0;
            self.probes = 0;
            self.gate = Gate::Closed;
        } else if streak.is_probe {
            self.gate = Gate::Open { probe_at: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn failing(failures: u32) -> Streak {
        Streak {
            failures,
            reason: Some(Reason::Server),
            ..Streak::default()
        }
    }

    fn refused(reason: Reason, error: &str) -> Admission {
        Admission::Refused(Refusal {
            reason,
            error: error.into(),
        })
    }

    fn answered() -> Streak {
        Streak {
            was_answered: true,
            ..Streak::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_five_failures_in_a_row_and_closes_after_a_good_probe() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut breaker = Breaker::new(MINUTE);
        let now = Instant::now();
        breaker.note(&failing(4), now, &mut rng);
        breaker.note(&answered(), now, &mut rng);
        breaker.note(&failing(4), now, &mut rng);
        assert_eq!(breaker.admit(now), Admission::Go);
        breaker.note(&failing(1), now, &mut rng);
        let probe_at = breaker.admits_at(now).unwrap();
        assert!(breaker.is_open() && probe_at <= now + MINUTE);
        let later = now + MINUTE;
        assert_eq!(breaker.admit(later), Admission::Probe);
        breaker.remember("why");
        assert_eq!(breaker.admit(later), refused(Reason::Server, "why"));
        let probe = Streak {
            is_probe: true,
            ..failing(1)
        };
        breaker.note(&probe, later, &mut rng);
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(later + MINUTE), Admission::Probe);
        breaker.note(&answered(), later, &mut rng);
        assert!(!breaker.is_open());
        assert_eq!(breaker.admit(later), Admission::Go);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_the_server_asks_for_is_kept_up_to_an_hour() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut breaker = Breaker::new(MINUTE);
        let now = Instant::now();
        let throttled = Streak {
            failures: 1,
            reason: Some(Reason::Throttled),
            retry_after: Some(Duration::from_hours(9)),
            ..Streak::default()
        };
        let hour = Duration::from_hours(1);
        breaker.note(&throttled, now, &mut rng);
        assert_eq!(breaker.admits_at(now), Some(now + hour));
        let refused = refused(Reason::Throttled, "");
        assert_eq!(breaker.admit(now + hour - MINUTE), refused);
        assert_eq!(breaker.admit(now + hour), Admission::Go);
    }
}
