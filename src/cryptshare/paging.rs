//! A list call into all its pages.
//!
//! Pages shift while one reads, since new transfers come first: what is seen
//! twice counts once, and a page that brings nothing new ends the listing.
//!
//! **Invariants.** Bounded: never more than [`MAX_PAGES`] pages, whatever the
//! server answers.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Error, answers::Page};
use crate::model::{Reason, SenderId, TrackingId, Transfer};

/// The largest page the contract allows (5.1).
const LARGEST_PAGE: u32 = 100;

/// A listing ends here: 100,000 transfers of one sender at full pages.
const MAX_PAGES: u32 = 1000;

/// A smaller page is asked for this long before a full one is tried again.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// A listing in progress.
#[derive(Debug)]
pub(super) struct Listing {
    transfers: Vec<Transfer>,
    seen: HashSet<TrackingId>,
    page: u32,
    size: u32,
    asked: u32,
    is_over: bool,
}

impl Listing {
    /// A listing that begins with the first page at this size.
    pub(super) fn new(size: u32) -> Self {
        Self {
            transfers: Vec::new(),
            seen: HashSet::new(),
            page: 1,
            size: size.clamp(1, LARGEST_PAGE),
            asked: 0,
            is_over: false,
        }
    }

    /// The number and the size of the page to ask for; none when all is read.
    pub(super) fn next(&mut self) -> Option<(u32, u32)> {
        if self.is_over || self.asked == MAX_PAGES {
            return None;
        }
        self.asked += 1;
        Some((self.page, self.size))
    }

    /// Takes in the answer. A page that is too large is asked for again with
    /// half the page size, down to 1.
    pub(super) fn take(&mut self, answer: Result<Page, Error>) -> Result<(), Error> {
        let page = match answer {
            Err(error) if error.reason() == Reason::TooLarge && self.size > 1 => {
                (self.page, self.size) = halved(self.page, self.size);
                return Ok(());
            }
            answer => answer?,
        };
        let known = self.seen.len();
        for transfer in page.transfers {
            if self.seen.insert(transfer.id.clone()) {
                self.transfers.push(transfer);
            }
        }
        let is_short = page.items < usize::try_from(self.size).unwrap_or(usize::MAX);
        self.is_over = is_short || self.seen.len() == known;
        self.page = self.page.saturating_add(1);
        Ok(())
    }

    /// The size of page that the server's answers allow.
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// Everything that was read.
    pub(super) fn finish(self) -> Vec<Transfer> {
        self.transfers
    }
}

/// The sizes of page that were found to be too large, so that the next listing
/// does not find it out again.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<HashMap<SenderId, (u32, Instant)>>);

impl Sizes {
    /// The size to begin with.
    pub(super) fn of(&self, sender: &SenderId) -> u32 {
        let known = self.lock().get(sender).copied();
        known
            .filter(|(_, since)| since.elapsed() < FORGET_AFTER)
            .map_or(LARGEST_PAGE, |(size, _)| size)
    }

    /// Takes in how large the pages of a listing were at its end.
    pub(super) fn note(&self, sender: &SenderId, size: u32) {
        let mut known = self.lock();
        if size == LARGEST_PAGE {
            known.remove(sender);
        } else if known.get(sender).is_none_or(|(before, _)| *before != size) {
            known.insert(sender.clone(), (size, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SenderId, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page that holds the first item of `page`, and perhaps some before it,
/// at half the size.
fn halved(page: u32, size: u32) -> (u32, u32) {
    let half = (size / 2).max(1);
    let first = page.saturating_sub(1).saturating_mul(size);
    (first / half + 1, half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(ids: std::ops::Range<usize>) -> Page {
        let transfers: Vec<_> = ids
            .map(|n| Transfer::untold(TrackingId::parse(&format!("t{n}")).unwrap()))
            .collect();
        Page {
            items: transfers.len(),
            transfers,
        }
    }

    /// Lists `total` transfers from a server that refuses pages above
    /// `largest`; the answer is how many were read, in how many requests.
    fn read(total: usize, largest: u32) -> (usize, u32) {
        let mut listing = Listing::new(LARGEST_PAGE);
        while let Some((page, size)) = listing.next() {
            let answer = if size > largest {
                Err(Error::new("list", Reason::TooLarge, "too large"))
            } else {
                let size = usize::try_from(size).unwrap();
                let begin = (usize::try_from(page).unwrap() - 1) * size;
                Ok(page_of(begin.min(total)..(begin + size).min(total)))
            };
            listing.take(answer).unwrap();
        }
        let asked = listing.asked;
        (listing.finish().len(), asked)
    }

    #[test]
    fn pages_are_read_until_one_is_short() {
        assert_eq!(read(0, 100), (0, 1));
        assert_eq!(read(250, 100), (250, 3));
        assert_eq!(read(200, 100), (200, 3));
    }

    #[test]
    fn a_page_that_is_too_large_is_asked_for_again_in_halves() {
        assert_eq!(read(30, 10).0, 30);
        assert_eq!(read(3, 1).0, 3);
    }

    #[test]
    fn a_server_that_ignores_the_page_number_ends_the_listing() {
        let mut listing = Listing::new(LARGEST_PAGE);
        while listing.next().is_some() {
            listing.take(Ok(page_of(0..100))).unwrap();
        }
        assert_eq!((listing.asked, listing.finish().len()), (2, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_size_that_is_too_large_is_remembered_for_an_hour() {
        let sizes = Sizes::default();
        let sender = SenderId::new("prod", "ada@example.com");
        assert_eq!(sizes.of(&sender), 100);
        sizes.note(&sender, 12);
        tokio::time::advance(Duration::from_mins(50)).await;
        sizes.note(&sender, 12);
        assert_eq!(sizes.of(&sender), 12);
        tokio::time::advance(Duration::from_mins(20)).await;
        assert_eq!(sizes.of(&sender), 100);
    }

    #[test]
    fn a_listing_is_bounded() {
        let mut listing = Listing::new(LARGEST_PAGE);
        while let Some((page, _)) = listing.next() {
            let begin = usize::try_from(page).unwrap() * 100;
            listing.take(Ok(page_of(begin..begin + 100))).unwrap();
        }
        assert_eq!(listing.asked, MAX_PAGES);
    }
}
