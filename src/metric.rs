//! What a metric family is called and means.
//!
//! **Invariants.** Plain constants: a family has one name, one HELP text and
//! one set of label names for ever.

/// A metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The full name; a counter's ends in `_total`.
    pub name: &'static str,
    /// The HELP text: the source of the value, and that it is as of the last
    /// poll where it is.
    pub help: &'static str,
    /// The type.
    pub kind: Kind,
    /// The names of the labels, in the order in which they are written.
    pub labels: &'static [&'static str],
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by bucket.
    Histogram,
    /// Always 1; its labels are the message. A gauge in the text format.
    Info,
}

impl Kind {
    /// The word of the catalog: the type that is meant.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// The word after `# TYPE` in the text format 0.0.4.
    pub const fn text_word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::Info => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The nearest number that the exposition can carry: whole and exact up to
/// 2^53, which no value here reaches.
pub fn float(value: u64) -> f64 {
    let high = u32::try_from(value >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}
