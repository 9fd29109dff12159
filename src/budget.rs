//! How much may be asked of one server: requests at a time and a second.
//!
//! Every call takes its permit here, token calls included, whoever makes it.
//!
//! **Invariants.** Knows nothing of requests or servers; waits on tokio's
//! clock, so a paused test measures it exactly.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};

/// A shared limit; clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    concurrency: usize,
    slots: Arc<Semaphore>,
    next: Arc<Mutex<Instant>>,
    spacing: Duration,
}

/// The right to one request; dropped when the request is over.
#[derive(Debug)]
pub struct Permit {
    _slot: Result<OwnedSemaphorePermit, AcquireError>,
}

impl Budget {
    /// At most `concurrency` requests at a time, evenly spaced so that at most
    /// `per_second` start in any second. Zero is taken as one.
    pub fn new(concurrency: usize, per_second: u32) -> Self {
        let concurrency = concurrency.max(1);
        Self {
            concurrency,
            slots: Arc::new(Semaphore::new(concurrency)),
            next: Arc::new(Mutex::new(Instant::now())),
            spacing: Duration::from_secs(1) / per_second.max(1),
        }
    }

    /// Whether both allow the same.
    pub fn is_as_wide_as(&self, other: &Self) -> bool {
        (self.concurrency, self.spacing) == (other.concurrency, other.spacing)
    }

    /// Waits until one more request may start.
    pub async fn admit(&self) -> Permit {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let begin = self.reserve();
        // The timer counts in milliseconds: it would hold up by one what may
        // start at once.
        if begin > Instant::now() {
            tokio::time::sleep_until(begin).await;
        }
        Permit { _slot: slot }
    }

    fn reserve(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = (*next).max(Instant::now());
        *next = mine + self.spacing;
        mine
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced_and_never_more_than_allowed_at_a_time() {
        let budget = Budget::new(2, 10);
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let budget = budget.clone();
            tasks.spawn(async move {
                let permit = budget.admit().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                drop(permit);
            });
        }
        while tasks.join_next().await.is_some() {}
        assert!(begin.elapsed() >= Duration::from_millis(1900));
    }
}
