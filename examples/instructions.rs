//! The steps of a poll, for a count of their instructions.
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
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a count panics where it cannot go on"
)]

#[path = "../benches/page.rs"]
mod page;

use page::Answers;

fn main() {
    let Answers {
        before,
        after,
        id,
        status,
    } = Answers::of_simulator();
    let mut ledger = page::ledger(&before);
    let changed = steps::decode_page(&after);
    steps::merge_changed_page(&mut ledger, changed);
    ledger.settle();
    let unchanged = page::decode(&after);
    steps::merge_unchanged_page(&mut ledger, unchanged);
    steps::decode_status(&id, &status);
}

/// What is counted.
mod steps {
    use cryptshare_exporter::{
        cryptshare::answers,
        ledger::Ledger,
        model::{TrackingId, Transfer},
    };

    use super::page::{self, PAGE};

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
}
