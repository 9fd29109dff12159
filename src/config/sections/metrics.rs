//! `[metrics]`.
//!
//! **Invariants.** Every label that a removal can get is checked here.

use regex::Regex;

use super::Table;
use crate::config::{MetricsOptions, values};

/// The section, or its defaults.
pub(super) fn read(table: Option<Table<'_>>) -> MetricsOptions {
    let defaults = MetricsOptions::default();
    let Some(mut table) = table else {
        return defaults;
    };
    let expiring = table.parsed("expiring_within", values::duration);
    let stale = table.parsed("stale_after", values::duration);
    let options = MetricsOptions {
        transfers: table.flag("transfers").unwrap_or(defaults.transfers),
        max_transfers: table
            .number("max_transfers", 0..=usize::MAX)
            .unwrap_or(defaults.max_transfers),
        expiring_within: expiring.map_or(defaults.expiring_within, |(_, within)| within),
        stale_after: stale.map_or(defaults.stale_after, |(_, after)| after),
        removal_causes: causes(&mut table),
    };
    table.finish();
    options
}

fn causes(table: &mut Table<'_>) -> Vec<(String, Regex)> {
    let Some(causes) = table.table("removal_causes") else {
        return Vec::new();
    };
    let problems = causes.problems.clone();
    let mut patterns = Vec::new();
    for (place, label, pattern) in causes.texts() {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if label.is_empty() || label == "other" || !label.chars().all(good) {
            let wrong = "cannot be the label of a cause";
            let remedy = "use lower-case letters, digits and underscores; \"other\" is what no pattern matches";
            problems.add(place.problem(wrong, remedy));
        }
        match Regex::new(&pattern) {
            Ok(pattern) => patterns.push((label, pattern)),
            Err(error) => {
                let wrong = format!("is not a regular expression ({})", last_line(&error));
                let remedy = "write for example \"(?i)virus|malware\"";
                problems.add(place.problem(wrong, remedy));
            }
        }
    }
    patterns
}

/// The library draws its messages over several lines; the last one says it.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().to_owned()
}
