//! Counters of one sender, by closed keys.
//!
//! **Invariants.** Monotone: there is no way to lower one. Every key is closed
//! or comes from the configuration.

use std::{collections::BTreeMap, time::Duration};

use regex::Regex;

use crate::model::{Event, State, record::Tally};

/// The label of a removal whose cause no pattern matches.
pub const OTHER_CAUSE: &str = "other";

/// Upper bounds of the processing histogram, in seconds.
pub const PROCESSING_BOUNDS: [u64; 9] = [5, 15, 30, 60, 120, 300, 600, 1800, 3600];

/// Patterns that sort removal causes under labels, first match first.
#[derive(Debug, Clone, Default)]
pub struct Causes(pub Vec<(String, Regex)>);

impl Causes {
    /// The label of `cause`.
    pub fn label(&self, cause: Option<&str>) -> &str {
        let matching = self
            .0
            .iter()
            .find(|(_, pattern)| cause.is_some_and(|cause| pattern.is_match(cause)));
        matching.map_or(OTHER_CAUSE, |(label, _)| label)
    }

    /// Every label there can be.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let configured = self.0.iter().map(|(label, _)| label.as_str());
        configured.chain([OTHER_CAUSE])
    }
}

/// What happened since we began to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Retrievals by method.
    pub retrievals: Tally,
    /// Mails to recipients that could not be sent.
    pub recipient_notification_failures: u64,
    /// Upload summaries that could not be sent.
    pub sender_notification_failures: u64,
    /// Confidential messages that could not be created.
    pub eml_creation_failures: u64,
    /// Removed files by cause.
    pub files_removed: BTreeMap<String, u64>,
    /// Entries into each state.
    pub transitions: BTreeMap<State, u64>,
    /// Ends with no retrieval by anyone, by state.
    pub ended_unretrieved: BTreeMap<State, u64>,
    /// Transfers that the server no longer knows.
    pub vanished: u64,
    /// How long processing took.
    pub processing: Histogram,
}

impl Counters {
    /// Counts `event`.
    pub fn count(&mut self, event: &Event, causes: &Causes) {
        match event {
            Event::Appeared => {}
            Event::Entered(state) => *self.transitions.entry(*state).or_default() += 1,
            Event::Retrieved { method, times, .. } => self.retrievals.add(*method, *times),
            Event::SenderNotificationFailed => self.sender_notification_failures += 1,
            Event::RecipientNotificationFailed { .. } => self.recipient_notification_failures += 1,
            Event::FileRemoved { cause, .. } => {
                let label = causes.label(cause.as_deref()).to_owned();
                *self.files_removed.entry(label).or_default() += 1;
            }
            Event::EmlCreationFailed => self.eml_creation_failures += 1,
            Event::EndedUnretrieved(state) => {
                *self.ended_unretrieved.entry(*state).or_default() += 1;
            }
            Event::Processed { took } => self.processing.observe(*took),
            Event::Vanished => self.vanished += 1,
        }
    }
}

/// A histogram of durations with the bounds of [`PROCESSING_BOUNDS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; PROCESSING_BOUNDS.len()],
    sum: Duration,
    total: u64,
}

impl Histogram {
    /// A histogram of earlier counts. Where the bounds have changed since, a
    /// bucket holds what is known to lie below its bound, so nothing falls
    /// when more is observed.
    pub(super) fn restored(buckets: &[(u64, u64)], sum: Duration, total: u64) -> Self {
        let below = |bound: u64| {
            let known = buckets.iter().filter(|(known, _)| *known <= bound);
            known.map(|(_, count)| *count).max().unwrap_or_default()
        };
        Self {
            counts: PROCESSING_BOUNDS.map(|bound| below(bound).min(total)),
            sum,
            total,
        }
    }

    fn observe(&mut self, took: Duration) {
        for (bound, count) in PROCESSING_BOUNDS.iter().zip(&mut self.counts) {
            *count += u64::from(took <= Duration::from_secs(*bound));
        }
        self.sum = self.sum.saturating_add(took);
        self.total += 1;
    }

    /// The cumulative count for each bound.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        PROCESSING_BOUNDS.into_iter().zip(self.counts)
    }

    /// The sum of all durations.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// How many were observed.
    pub const fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_pattern_names_the_cause() {
        let causes = Causes(vec![
            ("malware".to_owned(), Regex::new("(?i)virus").unwrap()),
            ("any".to_owned(), Regex::new(".").unwrap()),
        ]);
        assert_eq!(causes.label(Some("A VIRUS was found")), "malware");
        assert_eq!(causes.label(Some("file type")), "any");
        assert_eq!(causes.label(None), "other");
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        histogram.observe(Duration::from_secs(15));
        histogram.observe(Duration::from_secs(4000));
        let counts: Vec<_> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(histogram.total(), 2);
    }
}
