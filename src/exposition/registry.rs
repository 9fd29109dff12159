//! The families of a `prometheus` registry in our own model, so that one
//! writer serves all.
//!
//! **Invariants.** Sorted by name, as the registry gathers them.

use std::borrow::Cow;

use prometheus::{
    Registry,
    proto::{self, MetricType},
};

use super::{Family, Labels, Sample, Value};
use crate::metric::{Kind, Metric};

/// Everything that the registry holds now, the labels of the families in
/// `catalog` in their order there and not by name.
pub fn gather(registry: &Registry, catalog: &[&Metric]) -> Vec<Family<'static>> {
    let mut families: Vec<_> = registry.gather().iter().filter_map(family).collect();
    for family in &mut families {
        let known = catalog.iter().find(|metric| metric.name == family.name);
        if let Some(metric) = known {
            family
                .samples
                .iter_mut()
                .for_each(|sample| sort(sample, metric));
        }
    }
    families
}

fn sort(sample: &mut Sample<'_>, metric: &Metric) {
    let place = |name: &str| metric.labels.iter().position(|label| *label == name);
    sample.labels.sort_by_key(|(name, _)| place(name));
}

/// Summaries and untyped families are never registered here. The registry has
/// no type for information, but its naming rule tells it.
fn family(gathered: &proto::MetricFamily) -> Option<Family<'static>> {
    let kind = match gathered.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE if gathered.name().ends_with("_info") => Kind::Info,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let sample = |metric| Sample {
        labels: labels(metric),
        value: value(kind, metric),
    };
    Some(Family {
        name: Cow::Owned(gathered.name().to_owned()),
        help: Cow::Owned(gathered.help().to_owned()),
        kind,
        samples: gathered.get_metric().iter().map(sample).collect(),
    })
}

fn labels(metric: &proto::Metric) -> Labels<'static> {
    let pair = |pair: &proto::LabelPair| {
        let name = Cow::Owned(pair.name().to_owned());
        (name, Cow::Owned(pair.value().to_owned()))
    };
    metric.get_label().iter().map(pair).collect()
}

fn value(kind: Kind, metric: &proto::Metric) -> Value {
    match kind {
        Kind::Counter => Value::Number(metric.get_counter().get_value()),
        Kind::Gauge | Kind::Info => Value::Number(metric.get_gauge().get_value()),
        Kind::Histogram => {
            let histogram = metric.get_histogram();
            let bucket = |b: &proto::Bucket| (b.upper_bound(), b.cumulative_count());
            Value::Histogram {
                buckets: histogram.get_bucket().iter().map(bucket).collect(),
                sum: histogram.get_sample_sum(),
                count: histogram.get_sample_count(),
            }
        }
    }
}
