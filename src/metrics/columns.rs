//! The families of a block: for each, what it shows of one row.
//!
//! **Invariants.** A family is made only of what is told here row by row, so it
//! is the same as before if the digest is.

use std::hash::{Hash, Hasher};

use super::row::Row;
use crate::{
    exposition::{Family, Sample, Value},
    metric::Metric,
};

/// A label beside those of the transfer.
pub(super) type Label<'a> = (&'static str, &'a str);

/// Takes the samples of a row: their own labels, and the value.
pub(super) type Take<'t, 'a> = &'t mut dyn FnMut(&[Label<'a>], Value);

/// A family by transfer, or by recipient of one.
pub(super) struct Column {
    pub(super) metric: &'static Metric,
    pub(super) tell: Tell,
}

/// What a family shows of a row.
pub(super) enum Tell {
    /// One sample that has no labels of its own, or none.
    One(fn(&Row<'_>) -> Option<Value>),
    /// Any samples.
    Some(for<'a> fn(&Row<'a>, Take<'_, 'a>)),
}

/// Between the rows of a digest. Nothing has as many labels.
const END: usize = usize::MAX;

impl Column {
    /// The family of `rows`.
    pub(super) fn family<'a>(&self, rows: &[Row<'a>]) -> Family<'a> {
        let mut samples = Vec::with_capacity(rows.len());
        for row in rows {
            self.tell(row, &mut |own, value| {
                let labels = row.labels().into_iter().chain(own.iter().copied());
                samples.push(Sample::new(labels, value));
            });
        }
        Family::new(self.metric, samples)
    }

    /// Of all that decides how the family of `rows` is written. `who` is that of
    /// the labels that its rows have in every family.
    pub(super) fn digest(&self, mut who: impl Hasher, rows: &[Row<'_>]) -> u64 {
        for row in rows {
            self.tell(row, &mut |own, value| {
                own.hash(&mut who);
                value.hash(&mut who);
            });
            END.hash(&mut who);
        }
        who.finish()
    }

    fn tell<'a>(&self, row: &Row<'a>, take: Take<'_, 'a>) {
        match self.tell {
            Tell::One(value) => {
                if let Some(value) = value(row) {
                    take(&[], value);
                }
            }
            Tell::Some(tell) => tell(row, take),
        }
    }
}

/// 1 if it is so.
pub(super) fn flag(is_set: bool) -> Value {
    Value::Count(u64::from(is_set))
}
