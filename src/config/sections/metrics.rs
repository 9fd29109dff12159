//! `[metrics]`.
//!
//! **Invariants.** Every label that a removal can get is checked here. A key
//! that would have no effect is a problem, for it looks like protection.

use regex::Regex;

use super::{Surroundings, Table, secret};
use crate::config::{
    MetricsOptions, RecipientLabels,
    values::{self, LabelWord},
};

/// More than that no Prometheus would take from one target.
const MOST_SHOWN: usize = 1_000_000_000;

/// The section, or its defaults.
pub(super) fn read(table: Option<Table<'_>>, around: &Surroundings) -> MetricsOptions {
    let defaults = MetricsOptions::default();
    let Some(mut table) = table else {
        return defaults;
    };
    let expiring = table.parsed("expiring_within", values::duration);
    let stale = table.parsed("stale_after", values::duration);
    let transfers = table.flag("transfers").unwrap_or(defaults.transfers);
    let options = MetricsOptions {
        transfers,
        max_transfers: table
            .number("max_transfers", 0..=MOST_SHOWN)
            .unwrap_or(defaults.max_transfers),
        recipient_labels: recipient_labels(&mut table, transfers, around),
        max_recipients: table
            .number("max_recipients", 0..=MOST_SHOWN)
            .unwrap_or(defaults.max_recipients),
        expiring_within: expiring.map_or(defaults.expiring_within, |(_, within)| within),
        stale_after: stale.map_or(defaults.stale_after, |(_, after)| after),
        removal_causes: causes(&mut table),
    };
    table.finish();
    options
}

fn recipient_labels(
    table: &mut Table<'_>,
    transfers: bool,
    around: &Surroundings,
) -> RecipientLabels {
    let word = table.parsed("recipient_labels", values::label_word);
    let is_wrong = word.is_none() && table.is_told("recipient_labels");
    let key = secret::recipient_hash_key(table, around);
    if let Some((place, LabelWord::Hash | LabelWord::Plain)) = &word
        && !transfers
    {
        let wrong = "has no effect without transfers, whose recipients they are";
        around.warn(place, wrong, "leave it out, or set transfers = true");
    }
    match (word, key) {
        (Some((_, LabelWord::Hash)), secret::Given::Is(_, key)) => RecipientLabels::Hash(key),
        (Some((place, LabelWord::Hash)), secret::Given::Not) => {
            let remedy = "add recipient_hash_key_file, or recipient_hash_key";
            let problem = place.problem("there is no key for the hash", remedy);
            table.problems.add(problem);
            RecipientLabels::Off
        }
        (word, secret::Given::Is(place, _)) if !is_wrong => {
            let wrong = "has no effect: recipients are not hashed";
            let remedy = "leave it out, or set recipient_labels = \"hash\"";
            table.problems.add(place.problem(wrong, remedy));
            plain_or_off(word.map(|(_, word)| word))
        }
        (word, _) => plain_or_off(word.map(|(_, word)| word)),
    }
}

fn plain_or_off(word: Option<LabelWord>) -> RecipientLabels {
    match word {
        Some(LabelWord::Plain) => RecipientLabels::Plain,
        Some(LabelWord::Off | LabelWord::Hash) | None => RecipientLabels::Off,
    }
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
                let wrong = format!("is not a regular expression ({})", flaw(&pattern, &error));
                let remedy = "write for example \"(?i)virus|malware\"";
                problems.add(place.problem(wrong, remedy));
            }
        }
    }
    patterns
}

/// What is wrong with a pattern, and where. The library draws its message over
/// several lines, so the place is asked of its parser.
fn flaw(pattern: &str, error: &regex::Error) -> String {
    let (what, offset) = match regex_syntax::parse(pattern) {
        Err(regex_syntax::Error::Parse(e)) => (e.kind().to_string(), e.span().start.offset),
        Err(regex_syntax::Error::Translate(e)) => (e.kind().to_string(), e.span().start.offset),
        Ok(_) | Err(_) => {
            let text = error.to_string();
            return text.lines().last().unwrap_or_default().trim().to_owned();
        }
    };
    let before = pattern.get(..offset).unwrap_or_default();
    format!("{what} at character {}", before.chars().count() + 1)
}
