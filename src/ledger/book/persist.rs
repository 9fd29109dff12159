//! A book into the rows of the store, and back.
//!
//! **Invariants.** What a row does not hold is either told anew by the next
//! round or of no consequence.

use std::{collections::BTreeMap, time::Duration};

use super::{Baseline, Book, Entry};
use crate::{
    ledger::{
        Presence, Watching,
        counters::{Counters, Histogram},
        rows::{self, Malformed, Moment, moment, optional, timestamp},
    },
    model::{
        Discover, Record, Round, Scope, State, TrackingId, Verification,
        record::{FileMark, Processing, RecipientMark, Told},
        state::States,
    },
};

/// One transfer's row; `None` if the transfer was dropped.
pub(in crate::ledger) type Change = (TrackingId, Option<rows::Transfer>);

impl Book {
    /// What has changed since the last commit.
    pub(in crate::ledger) fn changes(&self) -> impl Iterator<Item = Change> {
        let row = |id: &TrackingId| (id.clone(), self.entries.get(id).map(|entry| entry.row()));
        self.touched.iter().map(row)
    }

    /// Whether the sender's own row has changed since the last commit. How the
    /// rounds go is written along with something else, and at the end.
    pub(in crate::ledger) fn has_changed(&self) -> bool {
        self.is_touched || self.newest != self.counters
    }

    /// The last commit was durable.
    pub(in crate::ledger) fn settle(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let entry = self.entries.get_mut(&id);
            if let Some(entry) = entry.filter(|entry| !entry.pending.is_empty()) {
                entry.pending.clear();
                self.revision += 1;
                entry.revision = self.revision;
            }
        }
        self.is_touched = false;
        if self.newest != self.counters {
            self.counters = self.newest.clone();
        }
    }

    /// The ids of every transfer in the book.
    pub(in crate::ledger) fn ids(&self) -> impl Iterator<Item = &TrackingId> {
        self.entries.keys()
    }

    pub(in crate::ledger) fn row(&self) -> rows::Sender {
        rows::Sender {
            counters: counters_row(&self.newest),
            scope: scope_row(self.watching.scope),
            baseline_due: self.baseline.due().map(scope_row),
            presence: self.presence.as_ref().map(presence_row),
            unwatched_since: self.unwatched_since.map(moment),
        }
    }

    /// When the first listing ended.
    pub(in crate::ledger) fn since(&self) -> Option<Moment> {
        self.baseline.seen().since.map(moment)
    }

    pub(in crate::ledger) fn restored(
        row: &rows::Sender,
        since: Option<Moment>,
    ) -> Result<Self, Malformed> {
        let counters = counters(&row.counters)?;
        let (due, watched) = (row.baseline_due.map(scope), scope(row.scope));
        Ok(Self {
            newest: counters.clone(),
            counters,
            presence: row.presence.map(presence).transpose()?,
            watching: Watching {
                scope: watched,
                ..Watching::default()
            },
            baseline: Baseline::restored(due, watched, optional(since)?),
            unwatched_since: optional(row.unwatched_since)?,
            ..Self::default()
        })
    }

    pub(in crate::ledger) fn restore_transfer(
        &mut self,
        id: TrackingId,
        row: rows::Transfer,
    ) -> Result<(), Malformed> {
        self.revision += 1;
        let entry = Entry {
            revision: self.revision,
            ..Entry::restored(row)?
        };
        self.entries.insert(id, Box::new(entry));
        Ok(())
    }
}

impl Entry {
    fn recipient_rows(&self) -> impl Iterator<Item = rows::Recipient> {
        self.record.recipients.iter().map(|(id, mark)| {
            let label = self.recipient_labels.get(id).map(AsRef::as_ref);
            recipient_row(id, mark, label)
        })
    }

    fn row(&self) -> rows::Transfer {
        let record = &self.record;
        rows::Transfer {
            baseline_due: self.baseline_due,
            ended_before: self.ended_before,
            vanished: self.vanished,
            read_state: self.read_state.map(rows::number_of),
            absent_since: self.absent_since.map(moment),
            state: record.state.map(rows::number_of),
            first_state: record.first_state.map(rows::number_of),
            passed: passed_row(record.passed),
            processing: record.processing.map(|p| (moment(p.since), p.is_told)),
            ended_at: record.ended_at.map(moment),
            last_retrieval: record.last_retrieval.map(moment),
            sender_notification_failed: record.sender_notification_failed,
            eml_creation_failed: record.eml_creation_failed,
            end_judged: record.end_judged,
            recipients: self.recipient_rows().collect(),
            files: record
                .files
                .iter()
                .map(|(id, mark)| (id.into(), mark.removed))
                .collect(),
            told: told_row(&record.told),
        }
    }

    fn restored(row: rows::Transfer) -> Result<Self, Malformed> {
        let file = |(id, removed)| (id, FileMark { removed });
        let processing =
            |(since, is_told)| timestamp(since).map(|since| Processing { since, is_told });
        let label = |row: &rows::Recipient| Some((row.id.clone(), row.label.clone()?));
        let recipient_labels = row.recipients.iter().filter_map(label).collect();
        let record = Record {
            told: told(&row.told)?,
            passed: passed(row.passed)?,
            state: row.state.map(rows::state).transpose()?,
            first_state: row.first_state.map(rows::state).transpose()?,
            processing: row.processing.map(processing).transpose()?,
            ended_at: optional(row.ended_at)?,
            recipients: row.recipients.into_iter().map(recipient).collect(),
            files: row.files.into_iter().map(file).collect(),
            sender_notification_failed: row.sender_notification_failed,
            eml_creation_failed: row.eml_creation_failed,
            end_judged: row.end_judged,
            last_retrieval: optional(row.last_retrieval)?,
        };
        Ok(Self {
            record,
            baseline_due: row.baseline_due,
            ended_before: row.ended_before,
            absent_since: optional(row.absent_since)?,
            vanished: row.vanished,
            read_state: row.read_state.map(rows::state).transpose()?,
            recipient_labels,
            mute_readings: 0,
            released: false,
            pending: BTreeMap::new(),
            revision: 0,
        })
    }
}

fn recipient_row(id: &str, mark: &RecipientMark, label: Option<&str>) -> rows::Recipient {
    let seen = mark
        .retrievals
        .iter()
        .filter(|(_, tally)| tally.total() > 0);
    rows::Recipient {
        id: id.into(),
        label: label.map(Into::into),
        notification_failed: mark.notification_failed,
        notification_told: mark.notification_told,
        retrievals: seen
            .map(|(file, tally)| (file.into(), rows::numbers(*tally)))
            .collect(),
    }
}

fn recipient(row: rows::Recipient) -> (Box<str>, RecipientMark) {
    let tally = |(file, numbers)| (file, rows::tally(numbers));
    let mark = RecipientMark {
        notification_failed: row.notification_failed,
        notification_told: row.notification_told,
        retrievals: row.retrievals.into_iter().map(tally).collect(),
    };
    (row.id, mark)
}

fn passed_row(passed: States) -> u16 {
    let known = State::ALL
        .into_iter()
        .filter(|state| passed.contains(*state));
    known.fold(0, |bits, state| bits | bit(rows::number_of(state)))
}

fn passed(bits: u16) -> Result<States, Malformed> {
    let mut passed = States::default();
    for number in (0..16).filter(|number| bits & bit(*number) != 0) {
        passed.insert(rows::state(number)?);
    }
    Ok(passed)
}

fn bit(number: u8) -> u16 {
    1_u16.wrapping_shl(u32::from(number))
}

fn told_row(told: &Told) -> rows::Told {
    rows::Told {
        warnings: told.warnings,
        eml_creation_failed: told.eml_creation_failed,
        sender_notification_failed: told.sender_notification_failed,
        files: told.files,
        files_removed: told.files_removed,
        recipients: told.recipients,
        notifications_failed: told.notifications_failed,
        expires_at: told.expires_at.map(moment),
        size_bytes: told.size_bytes,
        retrievals: told.retrievals,
    }
}

fn told(row: &rows::Told) -> Result<Told, Malformed> {
    Ok(Told {
        warnings: row.warnings,
        eml_creation_failed: row.eml_creation_failed,
        sender_notification_failed: row.sender_notification_failed,
        files: row.files,
        files_removed: row.files_removed,
        recipients: row.recipients,
        notifications_failed: row.notifications_failed,
        expires_at: optional(row.expires_at)?,
        size_bytes: row.size_bytes,
        retrievals: row.retrievals,
    })
}

/// What marks a scope of what lives: no age is so long.
const LIVING: u64 = 1 << 63;

/// No age, of a scope of what lives.
const AGELESS: u64 = LIVING - 1;

/// A row knows whether transfers are discovered at all. One that says no has no
/// use for its age, so that is where a scope of what lives is told: who does not
/// know of it takes it for a scope of nothing, and begins with a baseline.
fn scope_row(scope: Scope) -> rows::Scope {
    let age = scope.max_age.map(|age| age.as_secs());
    let living = LIVING | age.unwrap_or(AGELESS).min(AGELESS);
    rows::Scope {
        discover: scope.discover == Discover::Everything,
        max_age: match scope.discover {
            Discover::Active => Some(living),
            Discover::Nothing => age.map(|age| age.min(AGELESS)),
            Discover::Everything => age,
        },
    }
}

fn scope(row: rows::Scope) -> Scope {
    let age = row.max_age.filter(|_| !row.discover);
    let (discover, age) = match age.and_then(|age| age.checked_sub(LIVING)) {
        Some(age) => (Discover::Active, Some(age).filter(|age| *age < AGELESS)),
        None if row.discover => (Discover::Everything, row.max_age),
        None => (Discover::Nothing, row.max_age),
    };
    Scope {
        discover,
        max_age: age.map(Duration::from_secs),
    }
}

fn presence_row(presence: &Presence) -> rows::Presence {
    let Round {
        failure,
        clock_offset,
        verified_until,
    } = presence.round;
    let (verified, until) = match verified_until {
        Verification::Unknown => (None, None),
        Verification::Missing => (Some(false), None),
        Verification::Valid { until, .. } => (Some(true), until),
    };
    rows::Presence {
        at: moment(presence.at),
        good_at: presence.good_at.map(moment),
        failure: failure.map(rows::number_of_reason),
        clock_offset,
        verified,
        verified_until: until.map(moment),
    }
}

fn presence(row: rows::Presence) -> Result<Presence, Malformed> {
    let verified_until = match row.verified {
        None => Verification::Unknown,
        Some(false) => Verification::Missing,
        Some(true) => Verification::Valid {
            until: optional(row.verified_until)?,
            // The next round tells.
            needs_human: false,
        },
    };
    Ok(Presence {
        round: Round {
            failure: row.failure.map(rows::reason).transpose()?,
            clock_offset: row.clock_offset.filter(|offset| offset.is_finite()),
            verified_until,
        },
        at: timestamp(row.at)?,
        good_at: optional(row.good_at)?,
        is_restored: true,
    })
}

fn counters_row(counters: &Counters) -> rows::Counters {
    let by_state = |counts: &BTreeMap<State, u64>| {
        let numbered = counts
            .iter()
            .map(|(state, count)| (rows::number_of(*state), *count));
        numbered.collect()
    };
    let removed = counters.files_removed.iter();
    rows::Counters {
        retrievals: rows::numbers(counters.retrievals),
        recipient_notification_failures: counters.recipient_notification_failures,
        sender_notification_failures: counters.sender_notification_failures,
        eml_creation_failures: counters.eml_creation_failures,
        files_removed: removed
            .map(|(cause, count)| (cause.clone(), *count))
            .collect(),
        transitions: by_state(&counters.transitions),
        ended_unretrieved: by_state(&counters.ended_unretrieved),
        vanished: counters.vanished,
        processing: rows::Histogram {
            buckets: counters.processing.buckets().collect(),
            sum: counters.processing.sum().as_nanos(),
            total: counters.processing.total(),
        },
    }
}

fn counters(row: &rows::Counters) -> Result<Counters, Malformed> {
    let by_state = |counts: &[(u8, u64)]| -> Result<BTreeMap<State, u64>, Malformed> {
        let named = counts
            .iter()
            .map(|(number, count)| Ok((rows::state(*number)?, *count)));
        named.collect()
    };
    let rows::Histogram {
        buckets,
        sum,
        total,
    } = &row.processing;
    let sum = u64::try_from(*sum).map_or(Duration::MAX, Duration::from_nanos);
    Ok(Counters {
        retrievals: rows::tally(row.retrievals),
        recipient_notification_failures: row.recipient_notification_failures,
        sender_notification_failures: row.sender_notification_failures,
        eml_creation_failures: row.eml_creation_failures,
        files_removed: row.files_removed.iter().cloned().collect(),
        transitions: by_state(&row.transitions)?,
        ended_unretrieved: by_state(&row.ended_unretrieved)?,
        vanished: row.vanished,
        processing: Histogram::restored(buckets, sum, *total),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_comes_back_from_its_row_and_old_rows_are_what_they_were() {
        let ages = [None, Some(0), Some(1), Some(7 * 86_400)];
        for max_age in ages.map(|age| age.map(Duration::from_secs)) {
            for discover in [Discover::Nothing, Discover::Active, Discover::Everything] {
                let told = Scope { discover, max_age };
                assert_eq!(scope(scope_row(told)), told);
                let row = scope_row(told);
                assert_eq!(row.discover, discover == Discover::Everything, "{told:?}");
            }
        }
        let old = rows::Scope {
            discover: false,
            max_age: Some(7),
        };
        assert_eq!(scope(old).discover, Discover::Nothing);
    }
}
