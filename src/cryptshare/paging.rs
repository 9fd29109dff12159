//! A listing into its pages.
//!
//! Pages shift while one reads, since new transfers come first: what is seen
//! twice counts once, and a page that brings nothing new ends the listing.
//! Between two listings of everything, only the newest pages are read, and of
//! the others what has not ended.
//!
//! **Invariants.** Bounded: never more than [`MAX_PAGES`] pages, whatever the
//! server answers.

use std::collections::HashSet;

use super::{Error, answers::Page};
use crate::model::{Reason, TrackingId, Transfer};

/// The largest page the contract allows (5.1).
pub(super) const LARGEST_PAGE: u32 = 100;

/// A listing ends here: 100,000 transfers of one sender at full pages.
const MAX_PAGES: u32 = 1000;

/// How much of a sender's transfers a listing reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    All,
    /// What may have changed: the newest ones, up to a page without news, and
    /// where the server can select them, all that have not ended.
    Changing,
    /// One page of the newest ones.
    Newest,
    /// All that have not ended: where the server can select them, these and the
    /// newest page for what is not selected yet, else all.
    Living,
}

/// What a listed transfer is to who reads the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// It is not watched for, and those behind it are no younger.
    Outside,
    /// Nothing of it is news.
    Known,
    /// It is to be watched from now on.
    New,
}

/// How a reader of listings judges what it is told.
pub type Judge<'a> = &'a (dyn Fn(&Transfer) -> Interest + Sync);

/// The way in which a server is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Whole transfers (contract 5.2).
    Bulk,
    /// Ids and states (contract 5.1).
    Plain,
}

/// One page to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// From 1.
    pub page: u32,
    /// Transfers on a page, from 1 to 100.
    pub size: u32,
    /// Only transfers that have not ended.
    pub is_active: bool,
}

/// A listing in progress.
#[derive(Debug)]
pub struct Listing {
    extent: Extent,
    /// Known once the first page was asked for.
    style: Option<Style>,
    seen: HashSet<TrackingId>,
    /// What was seen since the part under way began.
    seen_in_part: HashSet<TrackingId>,
    leaf: Leaf,
    asked: u32,
    is_over: bool,
    is_complete: bool,
}

impl Listing {
    /// A listing of which nothing was read yet.
    pub fn new(extent: Extent) -> Self {
        Self {
            extent,
            style: None,
            seen: HashSet::new(),
            seen_in_part: HashSet::new(),
            leaf: Leaf {
                page: 1,
                size: LARGEST_PAGE,
                is_active: false,
            },
            asked: 0,
            is_over: false,
            is_complete: false,
        }
    }

    /// How much is read.
    pub const fn extent(&self) -> Extent {
        self.extent
    }

    /// Whether all transfers were read that the server lists and that may be
    /// news: what was not seen is not listed.
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether everything that has not ended is asked for, beside the newest.
    pub fn selects(&self) -> bool {
        let selects = matches!(self.extent, Extent::Changing | Extent::Living);
        self.style == Some(Style::Bulk) && selects
    }

    /// Whether there was more than a listing may read.
    pub const fn is_cut(&self) -> bool {
        self.asked == MAX_PAGES && !self.is_over
    }

    /// Whether everything was told that has not ended: what is missing has
    /// ended or is gone.
    pub fn has_all_living(&self) -> bool {
        self.is_complete || (self.is_over && self.selects())
    }

    /// The way in which it is read, once that is settled.
    pub const fn style(&self) -> Option<Style> {
        self.style
    }

    /// Begins with the first page in this style and size. What was read before
    /// is not told again.
    pub fn begin(&mut self, style: Style, size: u32) {
        self.style = Some(style);
        self.begin_part(false, size.clamp(1, LARGEST_PAGE));
    }

    fn begin_part(&mut self, is_active: bool, size: u32) {
        self.seen_in_part.clear();
        self.leaf = Leaf {
            page: 1,
            size,
            is_active,
        };
    }

    /// The page to ask for; none when all is read.
    pub const fn next(&mut self) -> Option<Leaf> {
        if self.is_over || self.asked == MAX_PAGES {
            return None;
        }
        self.asked += 1;
        Some(self.leaf)
    }

    /// Takes in the answer; what it told for the first time comes back. A page
    /// that is too large is asked for again with half the page size, down to 1.
    ///
    /// # Errors
    /// If the answer is one that ends the listing.
    pub fn take(
        &mut self,
        answer: Result<Page, Error>,
        judge: Judge<'_>,
    ) -> Result<Vec<Transfer>, Error> {
        let page = match answer {
            Err(error) if error.reason() == Reason::TooLarge && self.leaf.size > 1 => {
                self.halve();
                return Ok(Vec::new());
            }
            answer => answer?,
        };
        let known = self.seen_in_part.len();
        let interest = page.transfers.iter().map(judge).max();
        let mut fresh = Vec::new();
        for transfer in page.transfers {
            self.seen_in_part.insert(transfer.id.clone());
            if self.seen.insert(transfer.id.clone()) {
                fresh.push(transfer);
            }
        }
        let is_last = page.items < usize::try_from(self.leaf.size).unwrap_or(usize::MAX);
        // A server may not count pages: then each brings the same.
        let is_stuck = self.seen_in_part.len() == known;
        self.turn(is_last || is_stuck, interest);
        Ok(fresh)
    }

    /// Whether the part under way ends only where nothing is watched for.
    fn wants_all(&self) -> bool {
        !self.selects() && !matches!(self.extent, Extent::Changing | Extent::Newest)
    }

    /// On to the next page, to the next part, or to the end.
    fn turn(&mut self, is_last: bool, interest: Option<Interest>) {
        let is_newest = !self.leaf.is_active;
        let goes_on = match self.extent {
            // What lives is told to its end, whatever it is.
            _ if self.leaf.is_active => true,
            Extent::Newest => false,
            Extent::Living if self.selects() => false,
            Extent::All | Extent::Living => interest >= Some(Interest::Known),
            Extent::Changing => interest >= Some(Interest::New),
        };
        if !is_last && goes_on {
            self.leaf.page = self.leaf.page.saturating_add(1);
            return;
        }
        if is_newest {
            self.is_complete = is_last || self.wants_all();
        }
        if is_newest && self.selects() && !self.is_complete {
            self.begin_part(true, self.leaf.size);
        } else {
            self.is_over = true;
        }
    }

    /// The page that holds the first item of this one, and perhaps some before
    /// it, at half the size.
    fn halve(&mut self) {
        let half = (self.leaf.size / 2).max(1);
        let first = self
            .leaf
            .page
            .saturating_sub(1)
            .saturating_mul(self.leaf.size);
        self.leaf.page = first / half + 1;
        self.leaf.size = half;
    }

    /// Goes on in another style, unless all is read.
    pub(super) fn change(&mut self, style: Style, size: u32) {
        if !self.is_over {
            self.begin(style, size);
        }
    }

    /// Goes on with pages of this size, from the first one of the part: what
    /// was told before is not told again.
    pub(super) fn enlarge(&mut self, size: u32) {
        if !self.is_over {
            self.begin_part(self.leaf.is_active, size);
        }
    }

    /// The size of page that the server's answers allow.
    pub(super) const fn size(&self) -> u32 {
        self.leaf.size
    }
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

    /// A server of `total` transfers, the newest first, of which `active` have
    /// not ended, that refuses pages above `largest`.
    fn serve(leaf: Leaf, (total, active): (usize, usize), largest: u32) -> Result<Page, Error> {
        if leaf.size > largest {
            return Err(Error::new("list", Reason::TooLarge, "too large"));
        }
        let listed = if leaf.is_active { active } else { total };
        let size = usize::try_from(leaf.size).unwrap();
        let begin = (usize::try_from(leaf.page).unwrap() - 1) * size;
        Ok(page_of(begin.min(listed)..(begin + size).min(listed)))
    }

    fn number(transfer: &Transfer) -> usize {
        transfer.id.as_str()[1..].parse().unwrap()
    }

    fn news_if(is_news: bool) -> Interest {
        if is_news {
            Interest::New
        } else {
            Interest::Known
        }
    }

    fn listing(extent: Extent, style: Style) -> Listing {
        let mut listing = Listing::new(extent);
        listing.begin(style, LARGEST_PAGE);
        listing
    }

    /// Reads everything; the answer is how many transfers, in how many requests,
    /// and whether these are all.
    fn read(
        mut listing: Listing,
        world: (usize, usize),
        largest: u32,
        known: usize,
    ) -> (usize, u32, bool) {
        let judge = |one: &Transfer| news_if(number(one) >= known);
        let mut read = 0;
        while let Some(leaf) = listing.next() {
            let answer = serve(leaf, world, largest);
            read += listing.take(answer, &judge).unwrap().len();
        }
        (read, listing.asked, listing.is_complete())
    }

    #[test]
    fn pages_are_read_until_one_is_short() {
        for style in [Style::Bulk, Style::Plain] {
            let all = || listing(Extent::All, style);
            assert_eq!(read(all(), (0, 0), 100, 0), (0, 1, true));
            assert_eq!(read(all(), (250, 9), 100, 0), (250, 3, true));
            assert_eq!(read(all(), (200, 9), 100, 0), (200, 3, true));
        }
    }

    #[test]
    fn what_may_have_changed_costs_what_has_not_ended() {
        let changing = |style| listing(Extent::Changing, style);
        let everything = usize::MAX;
        let world = (50_000, 5_000);
        let (_, asked, is_complete) = read(changing(Style::Bulk), world, 100, everything);
        assert_eq!((asked, is_complete), (52, false));
        let (_, asked, is_complete) = read(changing(Style::Plain), world, 100, everything);
        assert_eq!((asked, is_complete), (1, false));
        // A page that is short holds all there is.
        for style in [Style::Bulk, Style::Plain] {
            assert_eq!(
                read(changing(style), (70, 9), 100, everything),
                (70, 1, true)
            );
        }
    }

    #[test]
    fn the_newest_are_one_page_that_is_not_too_large() {
        for (style, largest, expect) in [
            (Style::Bulk, 100, (100, 1, false)),
            (Style::Plain, 100, (100, 1, false)),
            (Style::Bulk, 30, (25, 3, false)),
        ] {
            let newest = listing(Extent::Newest, style);
            assert_eq!(read(newest, (950, 150), largest, 0), expect);
        }
    }

    #[test]
    fn what_lives_is_selected_or_looked_for_among_all() {
        let living = |style| listing(Extent::Living, style);
        for known in [0, usize::MAX] {
            let (_, asked, is_complete) = read(living(Style::Bulk), (950, 150), 100, known);
            assert_eq!((asked, is_complete), (3, false));
        }
        let (_, asked, is_complete) = read(living(Style::Plain), (950, 150), 100, usize::MAX);
        assert_eq!((asked, is_complete), (10, true));
    }

    #[test]
    fn all_that_lives_is_told_only_at_the_end_of_what_is_selected() {
        let mut listing = listing(Extent::Changing, Style::Bulk);
        while let Some(leaf) = listing.next() {
            assert!(!listing.has_all_living(), "{leaf:?}");
            let answer = serve(leaf, (950, 150), 100);
            listing.take(answer, &|_| Interest::Known).unwrap();
        }
        assert!(listing.has_all_living());
    }

    #[test]
    fn a_listing_of_all_ends_where_nothing_is_watched_for() {
        let mut listing = listing(Extent::All, Style::Plain);
        let judge = |one: &Transfer| match number(one) {
            0..250 => Interest::Known,
            _ => Interest::Outside,
        };
        while let Some(leaf) = listing.next() {
            listing.take(serve(leaf, (950, 0), 100), &judge).unwrap();
        }
        assert_eq!((listing.asked, listing.is_complete()), (4, true));
    }

    #[test]
    fn news_are_read_up_to_a_page_without_any() {
        let mut world = listing(Extent::Changing, Style::Plain);
        let judge = |one: &Transfer| news_if(number(one) < 130);
        while let Some(leaf) = world.next() {
            let answer = serve(leaf, (1000, 0), 100);
            world.take(answer, &judge).unwrap();
        }
        assert_eq!((world.asked, world.is_complete()), (3, false));
    }

    #[test]
    fn a_page_that_is_too_large_is_asked_for_again_in_halves() {
        let all = || listing(Extent::All, Style::Bulk);
        assert_eq!(read(all(), (30, 0), 10, 0).0, 30);
        assert_eq!(read(all(), (3, 0), 1, 0).0, 3);
    }

    #[test]
    fn a_server_that_ignores_the_page_number_ends_the_listing() {
        let mut listing = listing(Extent::All, Style::Bulk);
        let mut read = 0;
        while listing.next().is_some() {
            read += listing
                .take(Ok(page_of(0..100)), &|_| Interest::New)
                .unwrap()
                .len();
        }
        assert_eq!((listing.asked, read), (2, 100));
    }

    #[test]
    fn a_listing_is_bounded_and_then_not_complete() {
        let mut listing = listing(Extent::All, Style::Plain);
        while let Some(leaf) = listing.next() {
            let begin = usize::try_from(leaf.page).unwrap() * 100;
            listing
                .take(Ok(page_of(begin..begin + 100)), &|_| Interest::New)
                .unwrap();
        }
        assert_eq!((listing.asked, listing.is_complete()), (MAX_PAGES, false));
        assert!(listing.is_cut());
    }
}
