//! How long to wait after failures: exponential, with full jitter.
//!
//! **Invariants.** Pure: the generator is an argument, so a seed repeats every
//! wait. A delay never exceeds the configured maximum.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Doubling stops here; any real maximum is reached long before.
const MAX_DOUBLINGS: u32 = 20;

/// Full-jitter exponential back-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    /// A back-off whose first ceiling is `base` and whose last is `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base: base.min(max),
            max,
        }
    }

    /// The wait after the `failures`-th failure in a row, counted from 1: any
    /// duration up to the doubled base, all equally likely, so that clients
    /// that failed together do not come back together.
    pub fn delay(&self, failures: u32, rng: &mut impl Rng) -> Duration {
        let ceiling = self.ceiling(failures);
        ceiling.mul_f64(rng.random_range(0.0..=1.0))
    }

    fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        self.base
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    proptest! {
        #[test]
        fn a_delay_never_exceeds_the_maximum(failures in 0_u32..2000, max in 1_u64..3600, seed: u64) {
            let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(max));
            let delay = backoff.delay(failures, &mut StdRng::seed_from_u64(seed));
            prop_assert!(delay <= Duration::from_secs(max));
        }
    }

    #[test]
    fn ceilings_double_up_to_the_maximum() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let seconds: Vec<_> = (1..=6).map(|n| backoff.ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    }
}
