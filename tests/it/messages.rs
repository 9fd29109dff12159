//! The messages of `metrics.proto` (Prometheus' client model), read and written
//! by prost, and told as text.
//!
//! **Invariants.** What our writer never writes (summaries, exemplars, native
//! histograms, dates) has no field here: it would be lost, and be missed.

use prost::{Enumeration, Message};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Enumeration)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// A gauge or a counter.
#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

/// The messages of a body, each after its length. Written again by prost they
/// are the same bytes, so the messages tell all of them.
pub(crate) fn read(body: &[u8]) -> Vec<MetricFamily> {
    let mut rest = body;
    let mut families = Vec::new();
    let mut again = Vec::new();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        family.encode_length_delimited(&mut again).unwrap();
        families.push(family);
    }
    assert!(again == body, "prost writes other bytes");
    families
}

/// The messages as text: a line for each family, and one for each of its metrics.
pub(crate) fn text(families: &[MetricFamily]) -> String {
    families.iter().map(family).collect()
}

fn family(family: &MetricFamily) -> String {
    let MetricFamily { name, help, .. } = family;
    let metrics: String = family.metric.iter().map(metric).collect();
    format!(
        "{} {:?} {:?}\n{metrics}",
        name.as_ref().unwrap(),
        family.r#type(),
        help.as_ref().unwrap()
    )
}

fn metric(metric: &Metric) -> String {
    let Metric {
        gauge,
        counter,
        histogram,
        ..
    } = metric;
    let label = |pair: &LabelPair| {
        let LabelPair { name, value } = pair;
        format!(" {}={:?}", name.as_ref().unwrap(), value.as_ref().unwrap())
    };
    let labels: String = metric.label.iter().map(label).collect();
    let number = |number: &Number| number.value.unwrap();
    let values = (
        gauge.as_ref().map(number),
        counter.as_ref().map(number),
        histogram,
    );
    let value = match values {
        (Some(value), None, None) => format!("gauge {value:?}"),
        (None, Some(value), None) => format!("counter {value:?}"),
        (None, None, Some(histogram)) => self::histogram(histogram),
        values => panic!("not one value: {values:?}"),
    };
    format!(" {labels} {value}\n")
}

fn histogram(histogram: &Histogram) -> String {
    let bucket = |bucket: &Bucket| {
        let (bound, count) = (bucket.upper_bound.unwrap(), bucket.cumulative_count);
        format!(" le {bound:?}: {}", count.unwrap())
    };
    let buckets: String = histogram.bucket.iter().map(bucket).collect();
    let (sum, count) = (histogram.sample_sum, histogram.sample_count);
    format!(
        "histogram sum {:?} count {}{buckets}",
        sum.unwrap(),
        count.unwrap()
    )
}
