//! The rows of the store: what is remembered, in the form of format 1.
//!
//! These types mirror the memory and are the only ones that are serialized, so
//! that the memory can change without the file. A member is only ever added
//! together with a new format.
//!
//! **Invariants.** `decode(encode(row)) == row`; no bytes make [`decode`] panic.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::model::{Method, Reason, State, record::Tally};

/// Bytes that are no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row cannot be understood")]
pub(super) struct Malformed;

/// Milliseconds since 1970.
pub(super) type Moment = i64;

/// What is remembered of one sender.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sender {
    pub(super) counters: Counters,
    /// The scope that is watched.
    pub(super) scope: Scope,
    /// The scope of the listings so far, while the next one is a baseline.
    pub(super) baseline_due: Option<Scope>,
    pub(super) presence: Option<Presence>,
    pub(super) unwatched_since: Option<Moment>,
}

/// Which transfers are discovered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scope {
    pub(super) discover: bool,
    /// In seconds.
    pub(super) max_age: Option<u64>,
}

/// How the rounds went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Presence {
    pub(super) at: Moment,
    pub(super) good_at: Option<Moment>,
    pub(super) failure: Option<u8>,
    pub(super) clock_offset: Option<f64>,
    pub(super) verified: Option<bool>,
    pub(super) verified_until: Option<Moment>,
}

/// What happened since we began to watch. States and methods are numbered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) retrievals: [u64; 3],
    pub(super) recipient_notification_failures: u64,
    pub(super) sender_notification_failures: u64,
    pub(super) eml_creation_failures: u64,
    pub(super) files_removed: Vec<(String, u64)>,
    pub(super) transitions: Vec<(u8, u64)>,
    pub(super) ended_unretrieved: Vec<(u8, u64)>,
    pub(super) vanished: u64,
    pub(super) processing: Histogram,
}

/// A histogram with its bounds, so that a change of bounds is seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Histogram {
    /// Upper bound in seconds and cumulative count.
    pub(super) buckets: Vec<(u64, u64)>,
    /// In nanoseconds.
    pub(super) sum: u128,
    pub(super) total: u64,
}

/// What is remembered of one transfer.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as the memory has it"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub(super) baseline_due: bool,
    pub(super) ended_before: bool,
    pub(super) vanished: bool,
    pub(super) absent_since: Option<Moment>,
    pub(super) read_state: Option<u8>,
    pub(super) state: Option<u8>,
    pub(super) first_state: Option<u8>,
    /// One bit for each state, by its number.
    pub(super) passed: u16,
    pub(super) processing: Option<(Moment, bool)>,
    pub(super) ended_at: Option<Moment>,
    pub(super) last_retrieval: Option<Moment>,
    pub(super) sender_notification_failed: bool,
    pub(super) eml_creation_failed: bool,
    pub(super) end_judged: bool,
    pub(super) recipients: Vec<Recipient>,
    pub(super) files: Vec<(Box<str>, bool)>,
    pub(super) told: Told,
}

/// What is remembered of one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recipient {
    pub(super) id: Box<str>,
    pub(super) label: Option<Box<str>>,
    pub(super) notification_failed: bool,
    pub(super) notification_told: Option<bool>,
    pub(super) retrievals: Vec<(Box<str>, [u64; 3])>,
}

/// The values last told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) warnings: Option<bool>,
    pub(super) eml_creation_failed: Option<bool>,
    pub(super) sender_notification_failed: Option<bool>,
    pub(super) files: Option<u64>,
    pub(super) files_removed: Option<u64>,
    pub(super) recipients: Option<u64>,
    pub(super) notifications_failed: Option<u64>,
    pub(super) expires_at: Option<Moment>,
    pub(super) size_bytes: Option<u64>,
    pub(super) retrievals: bool,
}

impl Sender {
    pub(super) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        decode(bytes)
    }
}

impl Transfer {
    pub(super) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        decode(bytes)
    }
}

/// Writing plain values to memory cannot fail; an empty row would be told as
/// damage at the next start and not as nothing.
fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    postcard::to_stdvec(row).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    match postcard::take_from_bytes(bytes) {
        Ok((row, [])) => Ok(row),
        Ok(_) | Err(_) => Err(Malformed),
    }
}

pub(super) fn moment(at: Timestamp) -> Moment {
    at.as_millisecond()
}

pub(super) fn timestamp(moment: Moment) -> Result<Timestamp, Malformed> {
    Timestamp::from_millisecond(moment).map_err(|_| Malformed)
}

pub(super) fn optional(moment: Option<Moment>) -> Result<Option<Timestamp>, Malformed> {
    moment.map(timestamp).transpose()
}

/// The number of a word: its place among all of its kind, which are only ever
/// added to at their end.
fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let place = all.iter().position(|known| known == one);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or_default()
}

fn at_place<T: Copy>(all: &[T], number: u8) -> Result<T, Malformed> {
    all.get(usize::from(number)).copied().ok_or(Malformed)
}

pub(super) fn number_of(state: State) -> u8 {
    place(&State::ALL, &state)
}

pub(super) fn state(number: u8) -> Result<State, Malformed> {
    at_place(&State::ALL, number)
}

pub(super) fn number_of_reason(reason: Reason) -> u8 {
    place(&Reason::ALL, &reason)
}

pub(super) fn reason(number: u8) -> Result<Reason, Malformed> {
    at_place(&Reason::ALL, number)
}

pub(super) fn numbers(tally: Tally) -> [u64; 3] {
    Method::ALL.map(|method| tally.get(method))
}

pub(super) fn tally(numbers: [u64; 3]) -> Tally {
    let mut tally = Tally::default();
    for (method, count) in Method::ALL.into_iter().zip(numbers) {
        tally.add(method, count);
    }
    tally
}
