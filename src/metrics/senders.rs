//! The families by sender.
//!
//! **Invariants.** Counters stand from the start with all their children;
//! gauges wait for the first good round and vanish when they are stale. Samples
//! are in the order of their labels.

use jiff::{SignedDuration, Timestamp};

use super::{Settings, Shown, catalog, states};
use crate::{
    exposition::{Family, Sample, Value},
    metric::Metric,
    model::{Method, Record, State, Verification},
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

/// A sender whose gauges are shown, and its transfers that are processing or
/// active: these are few, and all but one of the gauges are about them.
struct Living<'a> {
    s: &'a Shown<'a>,
    records: Vec<&'a Record>,
}

impl<'a> Living<'a> {
    fn of(s: &'a Shown<'a>) -> Self {
        let records = s.book.present().map(|(_, entry)| &entry.record);
        let is_living = |r: &&Record| matches!(r.state, Some(State::Active | State::Processing));
        Self {
            s,
            records: records.filter(is_living).collect(),
        }
    }

    fn count(&self, is: impl Fn(&Record) -> bool) -> Value {
        whole(self.records.iter().filter(|record| is(record)).count())
    }
}

fn gauges<'a>(shown: &'a [Shown<'a>], settings: &Settings) -> Vec<Family<'a>> {
    let fresh: Vec<_> = shown.iter().filter(|s| !s.is_stale).collect();
    let living: Vec<_> = fresh.iter().map(|s| Living::of(s)).collect();
    let within = SignedDuration::try_from(settings.expiring_within).unwrap_or_default();
    let counted = |metric: &'static Metric, is: &dyn Fn(&Shown<'_>, &Record) -> bool| {
        let one = |own: &Living<'a>| sample(own.s, &[], own.count(|record| is(own.s, record)));
        Family::new(metric, living.iter().map(one).collect())
    };
    let oldest = living.iter().filter_map(|own| {
        let processing = |record: &&Record| {
            let is = record.state == Some(State::Processing);
            let since = record.processing.map(|processing| processing.since);
            since.filter(|_| is)
        };
        let first = own.records.iter().filter_map(processing).min()?;
        Some(sample(own.s, &[], Value::Number(seconds(first))))
    });
    let not_found = fresh
        .iter()
        .map(|s| sample(s, &[], whole(s.book.not_found())));
    vec![
        by_state(&fresh),
        counted(&catalog::OVERDUE, &is_overdue),
        counted(&catalog::UNRETRIEVED, &|_, r| is_unretrieved(r)),
        counted(&catalog::EXPIRING_UNRETRIEVED, &|s, r| {
            is_expiring(s, r, within) && is_unretrieved(r)
        }),
        counted(&catalog::WITH_WARNINGS, &|_, r| r.has_warning()),
        with_failures(&living),
        Family::new(&catalog::OLDEST_PROCESSING, oldest.collect()),
        Family::new(&catalog::NOT_FOUND, not_found.collect()),
    ]
}

fn by_state<'a>(fresh: &[&'a Shown<'a>]) -> Family<'a> {
    let samples = fresh.iter().flat_map(|s| {
        let one =
            |(state, n): (State, u64)| sample(s, &[("state", state.label())], Value::Count(n));
        states(s.book).map(one)
    });
    Family::new(&catalog::TRANSFERS, samples.collect())
}

fn with_failures<'a>(living: &[Living<'a>]) -> Family<'a> {
    type Check = fn(&Record) -> bool;
    const KINDS: [(&str, Check); 4] = [
        ("recipient_notification", |r| {
            r.told.notifications_failed.is_some_and(|n| n > 0)
        }),
        ("sender_notification", |r| {
            r.told.sender_notification_failed == Some(true)
        }),
        ("file_removed", |r| {
            r.told.files_removed.is_some_and(|n| n > 0)
        }),
        ("eml", |r| r.told.eml_creation_failed == Some(true)),
    ];
    let samples = living.iter().flat_map(|own| {
        KINDS.map(|(kind, check)| {
            let value = own.count(|r| r.state == Some(State::Active) && check(r));
            sample(own.s, &[("kind", kind)], value)
        })
    });
    Family::new(&catalog::WITH_FAILURES, samples.collect())
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

fn is_overdue(s: &Shown<'_>, record: &Record) -> bool {
    let expired = record.told.expires_at.is_some_and(|at| at <= s.now);
    record.state == Some(State::Active) && expired
}

/// Active, and every recipient's list is known to be empty.
fn is_unretrieved(record: &Record) -> bool {
    record.state == Some(State::Active)
        && record.told.retrievals
        && record.retrievals().total() == 0
}

/// Overdue ones are not expiring.
fn is_expiring(s: &Shown<'_>, record: &Record, within: SignedDuration) -> bool {
    record.told.expires_at.is_some_and(|at| {
        let left = at.duration_since(s.now);
        left > SignedDuration::ZERO && left <= within
    })
}

fn each<'a>(shown: &'a [Shown<'a>], value: impl Fn(&Shown<'_>) -> Option<f64>) -> Vec<Sample<'a>> {
    let one = |s| value(s).map(|value| sample(s, &[], Value::Number(value)));
    shown.iter().filter_map(one).collect()
}

fn sample<'a>(s: &'a Shown<'a>, more: &[(&'static str, &'a str)], value: Value) -> Sample<'a> {
    Sample::new(s.labels().into_iter().chain(more.iter().copied()), value)
}

fn whole(count: usize) -> Value {
    Value::Count(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Bounds are small whole numbers, so nothing is lost.
fn number(bound: u64) -> f64 {
    u32::try_from(bound).map_or(f64::INFINITY, f64::from)
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}
