//! Which passwords have been seen, without keeping any.
//!
//! **Invariants.** What is kept is a part of a keyed hash, so nobody can aim at
//! a place. The memory is fixed; what is new pushes out what is old.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;

/// A part of the keyed hash of a name and its password; two have the same by a
/// chance of one in 2^64.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

impl Mark {
    /// That of a tag.
    pub(super) fn of(tag: &hmac::Tag) -> Self {
        let first = tag.as_ref().first_chunk().copied().unwrap_or_default();
        // An empty place is zero.
        Self(u64::from_be_bytes(first) | 1)
    }
}

/// A bounded set of marks that forgets.
#[derive(Debug)]
pub(super) struct Marks(Box<[AtomicU64]>);

impl Marks {
    /// With places for `count` marks, of eight bytes each.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether `mark` was added and is not yet forgotten.
    pub(super) fn has(&self, mark: Mark) -> bool {
        let place = self.place(mark);
        place.is_some_and(|place| place.load(Ordering::Relaxed) == mark.0)
    }

    /// Adds `mark`.
    pub(super) fn add(&self, mark: Mark) {
        if let Some(place) = self.place(mark) {
            place.store(mark.0, Ordering::Relaxed);
        }
    }

    fn place(&self, mark: Mark) -> Option<&AtomicU64> {
        let count = u64::try_from(self.0.len()).ok()?;
        // The lowest bit is the same in all.
        let place = (mark.0 >> 1).checked_rem(count)?;
        self.0.get(usize::try_from(place).ok()?)
    }
}
