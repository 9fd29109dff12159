//! The catalog for people, as Markdown, and for programs, as JSON.
//!
//! **Invariants.** Nothing is told here that `catalog` and `seed` do not say.

use super::{
    catalog::{self, Group},
    seed::{self, Row},
};
use crate::metric::Metric;

const HEAD: &str = "\
# Metrics

Printed by `cryptshare-exporter metrics`; a test holds this page to it.

A counter counts what happened after the exporter began to watch. A gauge is as of the last poll.
Dates are seconds since 1970, never ages. An info is a gauge that is always 1, and its labels are the
message. A *retrieval* is a download or a view.
";

const SEED_HEAD: &str = "\
## The seed

Each field and each state of the vendor's page *Transfer Status*, and where it is to be seen.

| on the page | metric | log field | note |
|---|---|---|---|
";

/// The catalog as tables.
pub fn markdown() -> String {
    let groups: String = catalog::groups().iter().map(group).collect();
    let seed: String = seed::rows().map(seed_row).collect();
    format!("{HEAD}\n{groups}{SEED_HEAD}{seed}")
}

/// The catalog as JSON: an array of objects.
pub fn json() -> String {
    let entry = |group: &Group, metric: &Metric| {
        serde_json::json!({
            "name": metric.name,
            "type": metric.kind.word(),
            "labels": metric.labels,
            "help": metric.help,
            "group": group.title,
        })
    };
    let of = |group: Group| {
        let entries = group.families.iter().map(|metric| entry(&group, metric));
        entries.collect::<Vec<_>>()
    };
    let entries: Vec<_> = catalog::groups().into_iter().flat_map(of).collect();
    format!("{:#}", serde_json::Value::from(entries))
}

fn group(group: &Group) -> String {
    let rows: String = group
        .families
        .iter()
        .map(|metric| metric_row(metric))
        .collect();
    let Group { title, rules, .. } = group;
    format!(
        "## {title}\n\n{rules}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n{rows}\n"
    )
}

fn metric_row(metric: &Metric) -> String {
    let (labels, word) = (metric.labels.join(", "), metric.kind.word());
    let Metric { name, help, .. } = metric;
    format!("| `{name}` | {word} | {labels} | {help} |\n")
}

fn seed_row(row: &Row) -> String {
    let metrics = row.metrics.iter().map(|metric| metric.name);
    let (metrics, logs) = (quoted(metrics), quoted(row.logs.iter().copied()));
    let Row { word, note, .. } = row;
    format!("| {word} | {metrics} | {logs} | {note} |\n")
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
