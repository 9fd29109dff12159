//! Which transfers share a block, and the blocks that are kept.
//!
//! A block has transfers of one sender, either such that have ended or such that
//! can still change: what changes together lies together. Where a block begins,
//! a digest of the tracking id says; so where the blocks are cut follows from
//! what is shown now and not from what was, and a transfer that comes or goes
//! changes the block it lies in, and rarely a neighbor.
//!
//! **Invariants.** Blocks stay full whatever came and went before. A block is
//! rendered only if something of what it shows has changed, and is kept only as
//! long as it is shown.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use foldhash::quality::FixedState;

use super::{columns::Column, recipients, row::Row, transfers};
use crate::{
    exposition::{Block, Deflater},
    model::{SenderId, TrackingId},
};

/// One in so many transfers and recipients begins a block.
pub(super) const MEAN: usize = 256;

/// A block of fewer is not ended by another one's beginning.
const LEAST: usize = 64;

/// A block ends before it has more.
const MOST: usize = 768;

/// What a block is found by again: whose it is, whether its transfers have
/// ended, and its first one.
type Place = (SenderId, bool, TrackingId);

/// The blocks on the last page.
#[derive(Debug, Default)]
pub(super) struct Blocks(HashMap<Place, Kept>);

#[derive(Debug)]
struct Kept {
    /// Of all that the block shows.
    digest: u64,
    block: Arc<Block>,
}

impl Blocks {
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<Arc<Block>> {
        let blocks = self.0.values().map(|kept| Arc::clone(&kept.block));
        blocks.collect()
    }

    /// The blocks of `rows`, which are in their order.
    pub(super) fn render(&mut self, rows: &[Row<'_>], deflater: &mut Deflater) -> Vec<Arc<Block>> {
        let mut before = std::mem::take(&mut self.0);
        let blocks = cut(rows).filter_map(|rows| {
            let place = place(rows.first()?);
            let digest = digest(rows);
            let kept = match before.remove(&place) {
                Some(kept) if kept.digest == digest => kept,
                old => {
                    let old = old.as_ref().map(|old| &*old.block);
                    let block = render(rows, old, deflater);
                    Kept {
                        digest,
                        block: Arc::new(block),
                    }
                }
            };
            let block = Arc::clone(&kept.block);
            self.0.insert(place, kept);
            Some(block)
        });
        blocks.collect()
    }
}

/// Finishes the families of `rows` that do not show what they showed `before`.
fn render(rows: &[Row<'_>], before: Option<&Block>, deflater: &mut Deflater) -> Block {
    let who = who(rows);
    let draft = |column: &'static Column| {
        let digest = column.digest(who.clone(), rows);
        (digest, move || column.family(rows))
    };
    Block::render(columns().map(draft), before, deflater)
}

/// The families of a block, in the order of the catalog.
pub(super) fn columns() -> impl Iterator<Item = &'static Column> {
    transfers::COLUMNS.iter().chain(&recipients::COLUMNS)
}

/// The rows of each block.
fn cut<'r, 'a>(rows: &'r [Row<'a>]) -> impl Iterator<Item = &'r [Row<'a>]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut weight = 0;
        let mut is_over = |row: &Row<'_>| {
            let own = weight_of(row);
            let is_other = kind(row) != kind(first);
            let is_full = weight + own > MOST || (weight >= LEAST && begins(row));
            weight += own;
            is_other || (weight > own && is_full)
        };
        let end = rest.iter().position(&mut is_over).unwrap_or(rest.len());
        let (block, more) = rest.split_at(end);
        rest = more;
        Some(block)
    })
}

/// Rows of different kinds do not share a block.
fn kind(row: &Row<'_>) -> (usize, bool) {
    (row.sender, row.has_ended)
}

fn weight_of(row: &Row<'_>) -> usize {
    1 + row.recipients.len()
}

/// Whether a block begins here, of which the chance grows with the weight.
fn begins(row: &Row<'_>) -> bool {
    let one_in = MEAN / weight_of(row).min(MEAN);
    let digest = FixedState::default().hash_one(row.id);
    u64::try_from(one_in).is_ok_and(|one_in| digest.is_multiple_of(one_in))
}

fn place(first: &Row<'_>) -> Place {
    (first.shown.id.clone(), first.has_ended, first.id.clone())
}

/// Of the labels that are the same in every family of a block.
fn who(rows: &[Row<'_>]) -> impl Hasher + Clone + use<> {
    let mut hasher = FixedState::default().build_hasher();
    if let Some(first) = rows.first() {
        first.shown.labels().hash(&mut hasher);
    }
    for row in rows {
        row.id.hash(&mut hasher);
    }
    hasher
}

/// All that decides what the block of `rows` shows: no two transfers of a
/// sender have one revision.
fn digest(rows: &[Row<'_>]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    if let Some(first) = rows.first() {
        first.shown.labels().hash(&mut hasher);
    }
    for row in rows {
        // Hardly any has more to tell than its revision.
        let (name, recipients) = (row.name(), &row.recipients);
        let is_plain = name.is_empty() && recipients.is_empty();
        (row.revision << 1 | u64::from(is_plain)).hash(&mut hasher);
        if !is_plain {
            (name, recipients).hash(&mut hasher);
        }
    }
    hasher.finish()
}
