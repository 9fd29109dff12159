//! Due jobs in order.
//!
//! **Invariants.** One entry for each job; equal times come out in the order
//! of the jobs, so a run can be repeated.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use tokio::time::Instant;

/// Jobs by the time at which they are due.
#[derive(Debug)]
pub struct Queue<J> {
    order: BTreeSet<(Instant, J)>,
    due: HashMap<J, Instant>,
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self {
            order: BTreeSet::new(),
            due: HashMap::new(),
        }
    }
}

impl<J: Clone + Ord + Hash> Queue<J> {
    /// Makes `job` due at `at`, instead of when it was due before.
    pub fn push(&mut self, at: Instant, job: J) {
        self.remove(&job);
        self.due.insert(job.clone(), at);
        self.order.insert((at, job));
    }

    /// Makes `job` due at `at`, if it would be due later.
    pub fn hasten(&mut self, at: Instant, job: &J) {
        if self.due.get(job).is_some_and(|due| *due > at) {
            self.push(at, job.clone());
        }
    }

    /// Takes the first job that is due at `now`, and when it was due.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Instant, J)> {
        if self.next_due()? > now {
            return None;
        }
        let (at, job) = self.order.pop_first()?;
        self.due.remove(&job);
        Some((at, job))
    }

    /// When the first job is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// What is due until then, in order.
    pub fn due_by(&self, until: Instant) -> impl Iterator<Item = &J> {
        let due = self.order.iter().take_while(move |(at, _)| *at <= until);
        due.map(|(_, job)| job)
    }

    /// Forgets `job`.
    pub fn remove(&mut self, job: &J) {
        if let Some(at) = self.due.remove(job) {
            self.order.remove(&(at, job.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_job_has_one_entry_and_nothing_comes_early() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push(now + Duration::from_secs(5), "a");
        queue.push(now + Duration::from_secs(1), "b");
        queue.push(now + Duration::from_secs(2), "a");
        assert_eq!(queue.pop_due(now), None);
        let later = now + Duration::from_secs(9);
        assert_eq!(queue.pop_due(later).map(|(_, job)| job), Some("b"));
        assert_eq!(queue.pop_due(later).map(|(_, job)| job), Some("a"));
        assert_eq!(queue.pop_due(later), None);
    }

    proptest! {
        #[test]
        fn jobs_come_out_in_the_order_of_their_times(pushes in prop::collection::vec((0_u64..100, 0_u8..20), 0..200)) {
            let begin = Instant::now();
            let mut queue = Queue::default();
            for (seconds, job) in &pushes {
                queue.push(begin + Duration::from_secs(*seconds), *job);
            }
            let mut last = begin;
            let mut seen = std::collections::HashSet::new();
            while let Some((at, job)) = queue.pop_due(begin + Duration::from_secs(100)) {
                prop_assert!(at >= last);
                prop_assert!(seen.insert(job));
                last = at;
            }
            let jobs: std::collections::HashSet<_> = pushes.iter().map(|(_, job)| *job).collect();
            prop_assert_eq!(seen, jobs);
        }
    }
}
