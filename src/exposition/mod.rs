//! WRITE: the formats that Prometheus reads.
//!
//! Families go in, a finished [`Page`] comes out; the newest one stands on a
//! [`Shelf`], from which a scrape takes it without a lock.
//!
//! **Invariants.** Knows nothing of Cryptshare. The same families give the
//! same bytes.

pub mod escape;
mod format;
mod negotiate;
pub mod number;
pub mod openmetrics;
pub mod registry;
mod sample;
pub mod text;

use std::{borrow::Cow, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;

pub use format::{Escaping, Format, Protocol};
pub use negotiate::negotiate;

use crate::metric::{Kind, Metric};

/// A family and its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name.
    pub name: Cow<'static, str>,
    /// The HELP text.
    pub help: Cow<'static, str>,
    /// The type.
    pub kind: Kind,
    /// The samples, in the order in which they are written.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family about transfers.
    pub const fn new(metric: &'static Metric, samples: Vec<Sample>) -> Self {
        Self {
            name: Cow::Borrowed(metric.name),
            help: Cow::Borrowed(metric.help),
            kind: metric.kind,
            samples,
        }
    }
}

/// The labels of a sample, in the order in which they are written.
pub type Labels = Vec<(Cow<'static, str>, String)>;

/// One sample, or one histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels.
    pub labels: Labels,
    /// The value.
    pub value: Value,
}

impl Sample {
    /// A sample of a family whose label names are known when it is compiled.
    pub fn new(labels: Vec<(&'static str, String)>, value: Value) -> Self {
        let own = |(name, value)| (Cow::Borrowed(name), value);
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

/// Finished bodies of the same families, one for each syntax. What is rendered
/// for each scrape follows, and then [`Protocol::end`].
#[derive(Debug, Clone, Default)]
pub struct Page {
    text: Bytes,
    openmetrics: Bytes,
}

impl Page {
    /// Writes `families` in every syntax.
    pub fn render(families: &[Family]) -> Self {
        let written = |protocol: Protocol| {
            let mut body = Vec::new();
            protocol.write(families, &mut body);
            body.into()
        };
        Self {
            text: written(Protocol::Text),
            openmetrics: written(Protocol::OpenMetrics1),
        }
    }

    /// The body in the syntax of `protocol`.
    pub const fn body(&self, protocol: Protocol) -> &Bytes {
        match protocol {
            Protocol::Text => &self.text,
            Protocol::OpenMetrics1 | Protocol::OpenMetrics0 => &self.openmetrics,
        }
    }
}

/// Where the newest page stands.
#[derive(Debug, Default)]
pub struct Shelf(ArcSwap<Page>);

impl Shelf {
    /// Puts a newer page.
    pub fn put(&self, page: Page) {
        self.0.store(Arc::new(page));
    }

    /// Takes the newest page.
    pub fn take(&self) -> Arc<Page> {
        self.0.load_full()
    }
}
