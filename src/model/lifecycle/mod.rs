//! Folding readings into what is remembered, and saying what happened.
//!
//! An event is what raises a high-water mark. A reading with fewer entries, a
//! missing or null list, another order or another spelling of a date raises
//! nothing, now or when the entries return.
//!
//! **Invariants.** [`merge`] is total and pure: the same record and reading
//! give the same result, and no reading makes it fail. The events of any
//! sequence of readings sum to the final marks less the first ones.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    File, FileDownloads, Recipient, Retrieval, Transfer,
    record::{Processing, RecipientMark, Record, Tally},
    state::{Method, State},
};

/// Something that happened to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The transfer was seen for the first time.
    Appeared,
    /// The transfer entered the state, or has been proven to have passed it.
    Entered(State),
    /// A recipient retrieved a file.
    Retrieved {
        /// The recipient's transfer id.
        recipient: Box<str>,
        /// The file's id.
        file: Box<str>,
        /// How.
        method: Method,
        /// How many entries are new.
        times: u64,
    },
    /// The upload summary to the sender could not be sent.
    SenderNotificationFailed,
    /// The mail to a recipient could not be sent.
    RecipientNotificationFailed {
        /// The recipient's transfer id.
        recipient: Box<str>,
    },
    /// The server took a file out of the transfer.
    FileRemoved {
        /// The file's id.
        file: Box<str>,
        /// Why, in the language asked for, if the server told.
        cause: Option<Box<str>>,
    },
    /// The confidential message could not be created.
    EmlCreationFailed,
    /// The transfer left active for this state with no retrieval by anyone.
    EndedUnretrieved(State),
    /// A transfer that was first seen processing has left that state.
    Processed {
        /// From the reading that first showed it processing to the one that
        /// first showed it gone on, so wrong by up to the time between reads.
        took: Duration,
    },
    /// The server no longer knows the transfer although it had not ended.
    Vanished,
}

/// Folds `reading`, taken at `at`, into what is `remembered`.
///
/// The events are in the order of the life-cycle; the state comes last, so
/// that a log reads as the story went.
pub fn merge(
    remembered: Option<Record>,
    reading: &Transfer,
    at: Timestamp,
) -> (Record, Vec<Event>) {
    let mut events = Vec::new();
    if remembered.is_none() {
        events.push(Event::Appeared);
    }
    let mut record = remembered.unwrap_or_default();
    merge_flags(&mut record, reading, &mut events);
    merge_files(&mut record, reading, &mut events);
    merge_recipients(&mut record, reading, &mut events);
    if let Some(state) = reading.state {
        merge_state(&mut record, state, &mut events);
        merge_times(&mut record, state, at, &mut events);
    }
    judge_end(&mut record, reading, &mut events);
    (record, events)
}

fn merge_flags(record: &mut Record, reading: &Transfer, events: &mut Vec<Event>) {
    let told = &mut record.told;
    told.warnings = reading.warnings.or(told.warnings);
    told.expires_at = reading.expires_at.or(told.expires_at);
    told.size_bytes = reading.size_bytes.or(told.size_bytes);
    told.eml_creation_failed = reading.eml_creation_failed.or(told.eml_creation_failed);
    told.sender_notification_failed = reading
        .sender_notification_failed
        .or(told.sender_notification_failed);
    if raise(&mut record.eml_creation_failed, reading.eml_creation_failed) {
        events.push(Event::EmlCreationFailed);
    }
    if raise(
        &mut record.sender_notification_failed,
        reading.sender_notification_failed,
    ) {
        events.push(Event::SenderNotificationFailed);
    }
}

fn merge_files(record: &mut Record, reading: &Transfer, events: &mut Vec<Event>) {
    let Some(files) = &reading.files else { return };
    let marks = &mut record.files;
    marks.fold(
        files.iter(),
        |file| &file.id,
        |mark, file| {
            if raise(&mut mark.removed, file.removed) {
                events.push(Event::FileRemoved {
                    file: file.id.clone(),
                    cause: file.removal_cause.clone(),
                });
            }
        },
    );
    record.told.files = Some(count(files.iter()));
    let is_told = |file: &File| file.removed.is_some();
    if files.iter().all(is_told) {
        let removed = files.iter().filter(|file| file.removed == Some(true));
        record.told.files_removed = Some(count(removed));
    }
}

fn merge_recipients(record: &mut Record, reading: &Transfer, events: &mut Vec<Event>) {
    let Some(recipients) = &reading.recipients else {
        return;
    };
    let (marks, last) = (&mut record.recipients, &mut record.last_retrieval);
    marks.fold(
        recipients.iter(),
        |of| &of.id,
        |mark, recipient| {
            merge_recipient(mark, recipient, events);
            *last = (*last).max(last_retrieval(recipient));
        },
    );
    record.told.recipients = Some(count(recipients.iter()));
    let is_told = |recipient: &Recipient| recipient.notification_failed.is_some();
    if recipients.iter().all(is_told) {
        let failed = recipients
            .iter()
            .filter(|recipient| recipient.notification_failed == Some(true));
        record.told.notifications_failed = Some(count(failed));
    }
    record.told.retrievals |= tells_retrievals(recipients);
}

fn merge_recipient(mark: &mut RecipientMark, recipient: &Recipient, events: &mut Vec<Event>) {
    mark.notification_told = recipient.notification_failed.or(mark.notification_told);
    if raise(&mut mark.notification_failed, recipient.notification_failed) {
        events.push(Event::RecipientNotificationFailed {
            recipient: recipient.id.clone(),
        });
    }
    let lists = recipient.downloads.iter().flatten();
    let retrieved = lists.filter(|list| retrievals(list).next().is_some());
    // A file that is listed twice is a fault of the answer: the longer list
    // counts, for a sum could count an entry twice.
    mark.retrievals.fold(
        retrieved,
        |list| &list.file,
        |tally, list| {
            let seen = tally_of(list);
            for method in Method::ALL {
                let times = tally.raise(method, seen.get(method));
                if times > 0 {
                    events.push(Event::Retrieved {
                        recipient: recipient.id.clone(),
                        file: list.file.clone(),
                        method,
                        times,
                    });
                }
            }
        },
    );
}

fn retrievals(list: &FileDownloads) -> impl Iterator<Item = &Retrieval> {
    list.retrievals.iter().flatten()
}

/// Counts the entries of one list.
fn tally_of(list: &FileDownloads) -> Tally {
    let mut tally = Tally::default();
    for retrieval in retrievals(list) {
        tally.add(retrieval.method, 1);
    }
    tally
}

/// The newest date in the lists of one recipient.
fn last_retrieval(recipient: &Recipient) -> Option<Timestamp> {
    let lists = recipient.downloads.iter().flatten();
    lists.flat_map(retrievals).filter_map(|one| one.at).max()
}

fn merge_state(record: &mut Record, state: State, events: &mut Vec<Event>) {
    record.state = Some(state);
    // Nothing leaves failed, so a later word proves no active in between.
    let failed_before = record.passed.contains(State::Failed);
    for &passed in state.implied() {
        let is_proven = passed == state || !failed_before;
        if is_proven && record.passed.insert(passed) {
            events.push(Event::Entered(passed));
        }
    }
}

fn merge_times(record: &mut Record, state: State, at: Timestamp, events: &mut Vec<Event>) {
    let first = *record.first_state.get_or_insert(state);
    if state == State::Processing {
        record.processing.get_or_insert(Processing {
            since: at,
            is_told: false,
        });
    }
    let has_gone_on = state == State::Active || state.is_final();
    if let Some(processing) = &mut record.processing
        && has_gone_on
        && first == State::Processing
        && !processing.is_told
    {
        processing.is_told = true;
        let took = Duration::try_from(at.duration_since(processing.since));
        events.push(Event::Processed {
            took: took.unwrap_or_default(),
        });
    }
    if state.is_final() && record.ended_at.is_none() {
        record.ended_at = Some(at);
    }
}

/// Judges a deleted transfer once a reading tells both its end and its
/// retrievals; what nobody told is not held against anyone.
fn judge_end(record: &mut Record, reading: &Transfer, events: &mut Vec<Event>) {
    let Some(state) = reading.state.filter(|state| state.is_deleted()) else {
        return;
    };
    let is_told = reading.recipients.as_deref().is_some_and(tells_retrievals);
    if record.end_judged || !is_told {
        return;
    }
    record.end_judged = true;
    let failed = record.passed.contains(State::Failed);
    if record.retrievals().total() == 0 && !failed {
        events.push(Event::EndedUnretrieved(state));
    }
}

fn tells_retrievals(recipients: &[Recipient]) -> bool {
    recipients.iter().all(|recipient| {
        recipient
            .downloads
            .as_ref()
            .is_some_and(|files| files.iter().all(|file| file.retrievals.is_some()))
    })
}

/// Sets a sticky bit; `true` if it was not set.
const fn raise(mark: &mut bool, told: Option<bool>) -> bool {
    let new = matches!(told, Some(true)) && !*mark;
    *mark |= new;
    new
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    items.fold(0, |sum, _| sum + 1)
}

#[cfg(test)]
mod tests;
