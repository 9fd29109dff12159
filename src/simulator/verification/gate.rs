//! How often something may be asked for (contract 1.5).
//!
//! **Invariants.** Measured in real time, since it is a client's pace that is
//! limited.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// The limits are for so long.
const WINDOW: Duration = Duration::from_mins(1);

/// Above so many callers, those who have not called lately are forgotten.
const MANY: usize = 10_000;

/// When each caller called in the last minute.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Gate(HashMap<String, VecDeque<Instant>>);

/// What is left after a call, or how long to wait for the next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Pass {
    /// So many more calls.
    Left(u32),
    /// So many seconds.
    Wait(u64),
}

impl Gate {
    /// Lets `caller` pass if there were fewer than `limit` calls in the last
    /// minute.
    pub(in crate::simulator) fn pass(&mut self, caller: String, limit: u32) -> Pass {
        let now = Instant::now();
        if self.0.len() > MANY {
            self.0
                .retain(|_, calls| calls.back().is_some_and(|last| now - *last < WINDOW));
        }
        let calls = self.0.entry(caller).or_default();
        while calls.front().is_some_and(|first| now - *first >= WINDOW) {
            calls.pop_front();
        }
        let made = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        match (made < limit, calls.front()) {
            (false, Some(first)) => Pass::Wait(WINDOW.saturating_sub(now - *first).as_secs() + 1),
            (false, None) => Pass::Wait(WINDOW.as_secs()),
            (true, _) => {
                calls.push_back(now);
                Pass::Left(limit - made - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_holds_for_a_minute_and_for_each_caller() {
        let mut gate = Gate::default();
        let mut pass = |caller: &str| gate.pass(caller.to_owned(), 2);
        assert_eq!(
            [pass("a"), pass("a"), pass("a")],
            [Pass::Left(1), Pass::Left(0), Pass::Wait(61)]
        );
        assert_eq!(pass("b"), Pass::Left(1));
        tokio::time::advance(WINDOW).await;
        assert_eq!(pass("a"), Pass::Left(1));
    }
}
