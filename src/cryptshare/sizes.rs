//! How large a page may be, by sender.
//!
//! A page that is too large is asked for again with half the size. What was
//! found out holds for an hour. Where even one transfer a page is too large,
//! the fault is the server's and not the page's: then one is asked for until
//! an answer comes, and full pages from then on.
//!
//! **Invariants.** A size is from 1 to [`LARGEST_PAGE`].

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::paging::LARGEST_PAGE;
use crate::model::SenderId;

/// A smaller page is asked for this long before a full one is tried again.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// The sizes of page that were found to be too large, so that the next listing
/// does not find it out again.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<HashMap<SenderId, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    size: u32,
    since: Instant,
    is_hopeless: bool,
}

impl Sizes {
    /// The size to begin with.
    pub(super) fn of(&self, sender: &SenderId) -> u32 {
        let known = self.lock().get(sender).copied();
        known
            .filter(|known| known.is_hopeless || known.since.elapsed() < FORGET_AFTER)
            .map_or(LARGEST_PAGE, |known| known.size)
    }

    /// Takes in how large the pages of a listing are by now.
    pub(super) fn note(&self, sender: &SenderId, size: u32) {
        let mut all = self.lock();
        if size == LARGEST_PAGE {
            all.remove(sender);
        } else if all.get(sender).is_none_or(|before| before.size != size) {
            let known = Known {
                size,
                since: Instant::now(),
                is_hopeless: false,
            };
            all.insert(sender.clone(), known);
        }
    }

    /// Takes in that the smallest page was too large.
    pub(super) fn give_up(&self, sender: &SenderId) {
        self.note(sender, 1);
        if let Some(known) = self.lock().get_mut(sender) {
            known.is_hopeless = true;
        }
    }

    /// Takes in that a page was answered; whether full ones are worth a try
    /// again, since even the smallest was too large before.
    pub(super) fn has_new_hope(&self, sender: &SenderId) -> bool {
        let mut all = self.lock();
        let is_over = all.get(sender).is_some_and(|known| known.is_hopeless);
        if is_over {
            all.remove(sender);
        }
        is_over
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SenderId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_size_that_is_too_large_is_remembered_for_an_hour() {
        let sizes = Sizes::default();
        let sender = SenderId::new("prod", "ada@example.com");
        assert_eq!(sizes.of(&sender), 100);
        sizes.note(&sender, 12);
        tokio::time::advance(Duration::from_mins(50)).await;
        sizes.note(&sender, 12);
        assert!(!sizes.has_new_hope(&sender));
        assert_eq!(sizes.of(&sender), 12);
        tokio::time::advance(Duration::from_mins(20)).await;
        assert_eq!(sizes.of(&sender), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_small_enough_the_first_answer_brings_full_pages_back() {
        let sizes = Sizes::default();
        let sender = SenderId::new("prod", "ada@example.com");
        sizes.note(&sender, 1);
        sizes.give_up(&sender);
        tokio::time::advance(Duration::from_hours(5)).await;
        assert_eq!(sizes.of(&sender), 1);
        assert!(sizes.has_new_hope(&sender));
        assert!(!sizes.has_new_hope(&sender));
        assert_eq!(sizes.of(&sender), 100);
    }
}
