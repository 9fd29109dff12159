//! How long until a transfer is worth another read.
//!
//! **Invariants.** Pure: the generator is an argument. A transfer that has
//! ended is never due.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::model::State;

/// A delay is spread by this part of itself to both sides, so that senders and
/// transfers that began together drift apart.
const JITTER: f64 = 0.1;

/// The first round of a sender begins within this time, or within its interval
/// if that is shorter.
const FIRST_ROUND_WITHIN: Duration = Duration::from_secs(10);

/// After each so many reads in a row that found it processing, the time to the
/// next one doubles, up to the sender's interval: what takes long is not
/// watched by the second.
const READS_BEFORE_DOUBLING: u32 = 6;

/// The intervals of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// Between two rounds, and between two reads of an active transfer.
    pub normal: Duration,
    /// Between two reads of a transfer that is being processed.
    pub processing: Duration,
    /// Between two reads of a transfer in a state that rarely changes:
    /// `unknown`, `pending` and `other`.
    pub rare: Duration,
    /// Between two listings of everything; in between only what may have
    /// changed is listed.
    pub listing: Duration,
}

/// When something is read again, and why then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The time until then; `None` if it is not read again.
    pub after: Option<Duration>,
    /// For the log.
    pub why: &'static str,
}

impl Turn {
    /// Again after this time.
    pub const fn new(after: Duration, why: &'static str) -> Self {
        let after = Some(after);
        Self { after, why }
    }

    /// Never again.
    pub const fn never(why: &'static str) -> Self {
        Self { after: None, why }
    }
}

impl Intervals {
    /// When a transfer last seen in `state` is read again, after `reads` reads
    /// in a row of that state.
    pub fn next_read(&self, state: Option<State>, reads: u32) -> Turn {
        match state {
            Some(State::Processing) if reads < READS_BEFORE_DOUBLING => {
                Turn::new(self.while_processing(reads), "it is being processed")
            }
            Some(State::Processing) => {
                let why = "it is being processed for long";
                Turn::new(self.while_processing(reads), why)
            }
            Some(State::Active) => Turn::new(self.normal, "it is active"),
            None => Turn::new(self.normal, "its state is not told"),
            Some(State::Unknown | State::Pending | State::Other) => {
                Turn::new(self.rare.max(self.normal), "its state rarely changes")
            }
            Some(
                State::Failed
                | State::DeletedByExpiration
                | State::DeletedByRevocation
                | State::DeletedByAdmin
                | State::DeletedBySecurity,
            ) => Turn::never("it has ended"),
        }
    }

    fn while_processing(&self, reads: u32) -> Duration {
        let doublings = reads / READS_BEFORE_DOUBLING;
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.processing.saturating_mul(factor).min(self.normal)
    }

    /// The wait before the first round: spread, so that many senders do not
    /// begin at once.
    pub fn until_first_round(&self, rng: &mut impl Rng) -> Duration {
        let most = self.normal.min(FIRST_ROUND_WITHIN);
        most.mul_f64(rng.random_range(0.0..0.5))
    }
}

/// `delay`, up to a tenth shorter or longer.
pub fn jittered(delay: Duration, rng: &mut impl Rng) -> Duration {
    delay.mul_f64(rng.random_range(1.0 - JITTER..=1.0 + JITTER))
}

/// A time within `interval`, so that senders whose interval changes together
/// do not come together.
pub fn spread(interval: Duration, rng: &mut impl Rng) -> Duration {
    interval.mul_f64(rng.random_range(0.0..=1.0))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const INTERVALS: Intervals = Intervals {
        normal: Duration::from_mins(1),
        processing: Duration::from_secs(5),
        rare: Duration::from_hours(1),
        listing: Duration::from_hours(1),
    };

    #[test]
    fn the_interval_follows_what_the_transfer_can_still_do() {
        let check = |state, reads, expect: Option<u64>| {
            let turn = INTERVALS.next_read(state, reads);
            assert_eq!(turn.after.map(|d| d.as_secs()), expect, "{state:?}");
        };
        check(Some(State::Processing), 0, Some(5));
        check(Some(State::Processing), 6, Some(10));
        check(Some(State::Processing), 23, Some(40));
        check(Some(State::Processing), 24, Some(60));
        check(Some(State::Processing), u32::MAX, Some(60));
        check(Some(State::Active), 0, Some(60));
        check(None, 0, Some(60));
        check(Some(State::Pending), 0, Some(3600));
        check(Some(State::Failed), 0, None);
        check(Some(State::DeletedByAdmin), 0, None);
    }

    #[test]
    fn jitter_stays_within_a_tenth_and_the_first_round_within_ten_seconds() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..1000 {
            let delay = jittered(Duration::from_secs(100), &mut rng).as_secs_f64();
            assert!((90.0..=110.0).contains(&delay));
            assert!(INTERVALS.until_first_round(&mut rng) <= FIRST_ROUND_WITHIN);
        }
    }
}
