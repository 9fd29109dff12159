//! The families by sender.
//!
//! **Invariants.** Counters stand from the start with all their children;
//! gauges wait for the first good round and vanish when they are stale. Samples
//! are in the order of their labels.

use jiff::{SignedDuration, Timestamp};

use super::{Settings, Shown, catalog, census::Census};
use crate::{
    exposition::{Family, Sample, Value},
    metric::Metric,
    model::{Method, State, Verification},
};

pub(super) fn families<'a>(
    shown: &'a [Shown<'a>],
    settings: &Settings,
    causes: &[&'a str],
) -> Vec<Family<'a>> {
    let mut families = health(shown);
    families.extend(gauges(shown, settings));
    families.extend(counters(shown, causes));
    for family in &mut families {
        family.samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    families
}

/// What stays when the server does not answer.
fn health<'a>(shown: &'a [Shown<'a>]) -> Vec<Family<'a>> {
    let up = each(shown, |s| {
        let presence = s.presence?;
        Some(f64::from(u8::from(presence.round.failure.is_none())))
    });
    let verified = each(shown, |s| match s.presence?.round.verified_until {
        Verification::Unknown => None,
        Verification::Valid { until, .. } if until.is_none_or(|until| until > s.now) => Some(1.0),
        Verification::Missing | Verification::Valid { .. } => Some(0.0),
    });
    let expiry = each(shown, |s| match s.presence?.round.verified_until {
        Verification::Valid { until, .. } => until.map(seconds),
        Verification::Unknown | Verification::Missing => None,
    });
    vec![
        Family::new(&catalog::UP, up),
        Family::new(&catalog::VERIFIED, verified),
        Family::new(&catalog::VERIFICATION_EXPIRY, expiry),
    ]
}

fn gauges<'a>(shown: &'a [Shown<'a>], settings: &Settings) -> Vec<Family<'a>> {
    let within = SignedDuration::try_from(settings.expiring_within).unwrap_or_default();
    let fresh = shown.iter().filter(|s| !s.is_stale);
    let all: Vec<_> = fresh.map(|s| (s, Census::of(s, within))).collect();
    let counted = |metric: &'static Metric, count: fn(&Census) -> u64| {
        let one = |(s, census): &(&'a Shown<'a>, _)| sample(s, &[], Value::Count(count(census)));
        Family::new(metric, all.iter().map(one).collect())
    };
    let oldest = all.iter().filter_map(|(s, census)| {
        let since = census.oldest_processing.map(seconds)?;
        Some(sample(s, &[], Value::Number(since)))
    });
    let not_found = all.iter().map(|(s, _)| {
        let count = u64::try_from(s.book.not_found()).unwrap_or(u64::MAX);
        sample(s, &[], Value::Count(count))
    });
    vec![
        by_label(&catalog::TRANSFERS, "state", &all, |census| {
            census.states().collect()
        }),
        counted(&catalog::OVERDUE, |census| census.overdue),
        counted(&catalog::UNRETRIEVED, |census| census.unretrieved),
        counted(&catalog::EXPIRING_UNRETRIEVED, |census| {
            census.expiring_unretrieved
        }),
        counted(&catalog::WITH_WARNINGS, |census| census.with_warnings),
        by_label(&catalog::WITH_FAILURES, "kind", &all, |census| {
            census.failures().collect()
        }),
        Family::new(&catalog::OLDEST_PROCESSING, oldest.collect()),
        Family::new(&catalog::NOT_FOUND, not_found.collect()),
    ]
}

/// A family with a sample for each value of a label.
fn by_label<'a>(
    metric: &'static Metric,
    label: &'static str,
    all: &[(&'a Shown<'a>, Census)],
    counts: fn(&Census) -> Vec<(&'static str, u64)>,
) -> Family<'a> {
    let samples = all.iter().flat_map(|(s, census)| {
        let counts = counts(census).into_iter();
        counts.map(|(word, count)| sample(s, &[(label, word)], Value::Count(count)))
    });
    Family::new(metric, samples.collect())
}

fn counters<'a>(shown: &'a [Shown<'a>], causes: &[&'a str]) -> Vec<Family<'a>> {
    let plain = |metric: &'static Metric, value: &dyn Fn(&Shown<'_>) -> u64| {
        let samples = shown.iter().map(|s| sample(s, &[], Value::Count(value(s))));
        Family::new(metric, samples.collect())
    };
    let by_transition = |metric, states: &[State], value: &dyn Fn(&Shown<'_>, State) -> u64| {
        let samples = shown.iter().flat_map(|s| {
            let one = |state: &State| {
                let labels = [("state", state.label())];
                sample(s, &labels, Value::Count(value(s, *state)))
            };
            states.iter().map(one).collect::<Vec<_>>()
        });
        Family::new(metric, samples.collect())
    };
    vec![
        retrievals(shown),
        plain(&catalog::RECIPIENT_NOTIFICATION_FAILURES, &|s| {
            s.book.counters().recipient_notification_failures
        }),
        plain(&catalog::SENDER_NOTIFICATION_FAILURES, &|s| {
            s.book.counters().sender_notification_failures
        }),
        plain(&catalog::EML_CREATION_FAILURES, &|s| {
            s.book.counters().eml_creation_failures
        }),
        removals(shown, causes),
        by_transition(&catalog::STATE_TRANSITIONS, &State::ALL, &|s, state| {
            let transitions = &s.book.counters().transitions;
            transitions.get(&state).copied().unwrap_or_default()
        }),
        by_transition(&catalog::ENDED_UNRETRIEVED, &State::DELETED, &|s, state| {
            let ended = &s.book.counters().ended_unretrieved;
            ended.get(&state).copied().unwrap_or_default()
        }),
        plain(&catalog::VANISHED, &|s| s.book.counters().vanished),
        processing(shown),
    ]
}

fn retrievals<'a>(shown: &'a [Shown<'a>]) -> Family<'a> {
    let samples = shown.iter().flat_map(|s| {
        Method::ALL.map(|method| {
            let count = s.book.counters().retrievals.get(method);
            sample(s, &[("method", method.label())], Value::Count(count))
        })
    });
    Family::new(&catalog::RETRIEVALS, samples.collect())
}

fn removals<'a>(shown: &'a [Shown<'a>], causes: &[&'a str]) -> Family<'a> {
    let samples = shown.iter().flat_map(|s| {
        let removed = &s.book.counters().files_removed;
        let one = |cause: &&'a str| {
            let cause = *cause;
            let count = removed.get(cause).copied().unwrap_or_default();
            sample(s, &[("cause", cause)], Value::Count(count))
        };
        causes.iter().map(one).collect::<Vec<_>>()
    });
    Family::new(&catalog::FILES_REMOVED, samples.collect())
}

fn processing<'a>(shown: &'a [Shown<'a>]) -> Family<'a> {
    let samples = shown.iter().map(|s| {
        let seen = &s.book.counters().processing;
        let bound = |(bound, count)| (number(bound), count);
        let value = Value::Histogram {
            buckets: seen.buckets().map(bound).collect(),
            sum: seen.sum().as_secs_f64(),
            count: seen.total(),
        };
        sample(s, &[], value)
    });
    Family::new(&catalog::PROCESSING_DURATION, samples.collect())
}

fn each<'a>(shown: &'a [Shown<'a>], value: impl Fn(&Shown<'_>) -> Option<f64>) -> Vec<Sample<'a>> {
    let one = |s| value(s).map(|value| sample(s, &[], Value::Number(value)));
    shown.iter().filter_map(one).collect()
}

fn sample<'a>(s: &'a Shown<'a>, more: &[(&'static str, &'a str)], value: Value) -> Sample<'a> {
    Sample::new(s.labels().into_iter().chain(more.iter().copied()), value)
}

/// Bounds are small whole numbers, so nothing is lost.
fn number(bound: u64) -> f64 {
    u32::try_from(bound).map_or(f64::INFINITY, f64::from)
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}
