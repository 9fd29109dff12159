//! WRITE: the formats that Prometheus reads.
//!
//! Samples that change together are finished in a [`Block`]: written in every
//! format, and kept only deflated. A [`Page`] has the families of many blocks in
//! their order; the newest one stands on a [`Shelf`], from which a scrape takes
//! it without a lock. An [`Answer`] stitches it to what is rendered for each
//! scrape. So a scrape costs what changed, and not what exists.
//!
//! **Invariants.** Knows nothing of Cryptshare. The same families give the
//! same bytes.

mod answer;
mod block;
mod deflate;
pub mod escape;
mod format;
mod negotiate;
pub mod number;
pub mod openmetrics;
mod page;
pub mod protobuf;
pub mod registry;
mod sample;
pub mod text;

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
};

pub use answer::{Answer, Pieces};
pub use block::Block;
pub use deflate::Deflater;
pub use format::{Escaping, Format, Protocol};
pub use negotiate::{Coding, coding, negotiate};
pub use page::{Page, Section, Sheet, Shelf};
use smallvec::SmallVec;

use crate::metric::{Kind, Metric};

/// What a family is called and means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Title<'a> {
    /// The name.
    pub name: &'a str,
    /// The HELP text.
    pub help: &'a str,
    /// The type.
    pub kind: Kind,
}

impl From<&Metric> for Title<'static> {
    fn from(metric: &Metric) -> Self {
        Self {
            name: metric.name,
            help: metric.help,
            kind: metric.kind,
        }
    }
}

/// A family and its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family<'a> {
    /// The name.
    pub name: Cow<'static, str>,
    /// The HELP text.
    pub help: Cow<'static, str>,
    /// The type.
    pub kind: Kind,
    /// The samples, in the order in which they are written.
    pub samples: Vec<Sample<'a>>,
}

impl<'a> Family<'a> {
    /// A family about transfers.
    pub const fn new(metric: &'static Metric, samples: Vec<Sample<'a>>) -> Self {
        Self {
            name: Cow::Borrowed(metric.name),
            help: Cow::Borrowed(metric.help),
            kind: metric.kind,
            samples,
        }
    }

    /// What it is called and means.
    pub fn title(&self) -> Title<'_> {
        Title {
            name: &self.name,
            help: &self.help,
            kind: self.kind,
        }
    }
}

/// The labels of a sample, in the order in which they are written.
pub type Labels<'a> = SmallVec<[(Cow<'static, str>, Cow<'a, str>); LABELS]>;

/// As many labels a sample has at most; more take memory of their own.
const LABELS: usize = 5;

/// One sample, or one histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The labels.
    pub labels: Labels<'a>,
    /// The value.
    pub value: Value,
}

impl<'a> Sample<'a> {
    /// A sample of a family whose label names are known when it is compiled.
    pub fn new(labels: impl IntoIterator<Item = (&'static str, &'a str)>, value: Value) -> Self {
        let own = |(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value));
        Self {
            labels: labels.into_iter().map(own).collect(),
            value,
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A whole number.
    Count(u64),
    /// A histogram.
    Histogram {
        /// Upper bounds and cumulative counts, without the infinite one.
        buckets: Vec<(f64, u64)>,
        /// The sum of all observations.
        sum: f64,
        /// How many there are.
        count: u64,
    },
}

/// Of what decides how it is written: zero with a sign is another number.
impl Hash for Value {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Self::Number(value) => (0_u8, value.to_bits()).hash(hasher),
            Self::Count(value) => (1_u8, value).hash(hasher),
            Self::Histogram {
                buckets,
                sum,
                count,
            } => {
                let buckets = buckets.iter().map(|(b, count)| (b.to_bits(), count));
                let buckets: Vec<_> = buckets.collect();
                (2_u8, buckets, sum.to_bits(), count).hash(hasher);
            }
        }
    }
}
