//! The steps of a poll and of a scrape, for a count of their instructions; each
//! prints how often it asks for memory.
//!
//! ```sh
//! scripts/instructions
//! ```
//!
//! Each step is a function that the compiler may not inline, so that valgrind
//! tells what it costs with all that it calls.
//!
//! **Invariants.** One thread, fixed seeds, and no clock: each run takes the
//! same steps.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a count panics where it cannot go on"
)]

#[path = "../benches/crowd.rs"]
mod crowd;
#[path = "../benches/page.rs"]
mod page;

use std::alloc::System;

use crowd::{Crowd, News};
use cryptshare_exporter::exposition::{Answer, Coding, Page, Protocol};
use page::Answers;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Transfers on a page of metrics, and those of them that can still change.
const CROWD: (usize, usize) = (10_000, 1_000);

fn main() {
    let Answers {
        before,
        after,
        id,
        status,
    } = Answers::of_simulator();
    let mut ledger = page::ledger(&before);
    let changed = count("decode_page", || steps::decode_page(&after));
    count("merge_changed_page", || {
        steps::merge_changed_page(&mut ledger, changed);
    });
    ledger.settle();
    let unchanged = page::decode(&after);
    count("merge_unchanged_page", || {
        steps::merge_unchanged_page(&mut ledger, unchanged);
    });
    count("decode_status", || steps::decode_status(&id, &status));
    let mut crowd = Crowd::new(CROWD.0, CROWD.1);
    count("print_first_page", || steps::print_first_page(&mut crowd));
    let page = count("print_unchanged_page", || {
        steps::print_unchanged_page(&mut crowd)
    });
    count("send_stitched", || steps::send_stitched(&page));
    count("send_inflated", || steps::send_inflated(&page));
    crowd.change(News::Expiration);
    count("print_extended_page", || {
        steps::print_extended_page(&mut crowd)
    });
    crowd.change(News::Retrievals);
    count("print_retrieved_page", || {
        steps::print_retrieved_page(&mut crowd)
    });
}

/// Prints how often `step` asks for memory.
fn count<T>(name: &str, step: impl FnOnce() -> T) -> T {
    let region = Region::new(ALLOCATOR);
    let made = step();
    let change = region.change();
    println!("{name} {}", change.allocations + change.reallocations);
    made
}

/// Makes all pieces of an answer; how many bytes they are.
fn send(page: &Page, coding: Coding) -> usize {
    let answer = Answer::new(page.sheet(Protocol::Text), Vec::new(), coding);
    answer.pieces.map(|piece| piece.unwrap().len()).sum()
}

/// What is counted.
mod steps {
    use std::hint::black_box;

    use cryptshare_exporter::{
        cryptshare::answers,
        exposition::{Coding, Page},
        ledger::Ledger,
        model::{TrackingId, Transfer},
    };

    use super::{
        crowd::Crowd,
        page::{self, PAGE},
        send,
    };

    #[inline(never)]
    pub(super) fn decode_page(body: &[u8]) -> Vec<Transfer> {
        page::decode(body)
    }

    #[inline(never)]
    pub(super) fn merge_changed_page(ledger: &mut Ledger, page: Vec<Transfer>) {
        assert_eq!(page::merge(ledger, page), PAGE);
    }

    #[inline(never)]
    pub(super) fn merge_unchanged_page(ledger: &mut Ledger, page: Vec<Transfer>) {
        assert_eq!(page::merge(ledger, page), 0);
    }

    #[inline(never)]
    pub(super) fn decode_status(id: &TrackingId, body: &[u8]) {
        assert!(answers::status(id, body).is_ok());
    }

    // Without the words these would be one function.
    #[inline(never)]
    pub(super) fn print_first_page(crowd: &mut Crowd) -> Page {
        black_box("first");
        crowd.print()
    }

    #[inline(never)]
    pub(super) fn print_unchanged_page(crowd: &mut Crowd) -> Page {
        black_box("unchanged");
        crowd.print()
    }

    #[inline(never)]
    pub(super) fn print_extended_page(crowd: &mut Crowd) -> Page {
        black_box("extended");
        crowd.print()
    }

    #[inline(never)]
    pub(super) fn print_retrieved_page(crowd: &mut Crowd) -> Page {
        black_box("retrieved");
        crowd.print()
    }

    #[inline(never)]
    pub(super) fn send_stitched(page: &Page) {
        assert!(send(page, Coding::Gzip) > 100_000);
    }

    #[inline(never)]
    pub(super) fn send_inflated(page: &Page) {
        assert!(send(page, Coding::Identity) > 10_000_000);
    }
}
