//! Bytes of an answer into the language of transfers: the one door.
//!
//! The client reads every answer here, and so do fuzz targets and benches.
//! Tolerance is decided here (contract, section 8): members that nobody knows
//! are skipped; what is null, absent or of a wrong type is not told; of a
//! member that stands twice the last usable value counts; one bad item rejects
//! that item, one bad string or number only itself.
//!
//! **Invariants.** Pure and total: any bytes give an answer or an error. No
//! byte of a body is part of an error.

mod failure;
mod mend;
mod told;
mod translate;
mod wire;

use jiff::Timestamp;
use secrecy::SecretString;

pub use failure::{Failure, failure};

use self::{
    told::{List, Shape, Told},
    wire::{
        BulkItem, Envelope, ListItem, ServerStatus, TokenAnswer, TransferStatus, VerificationAnswer,
    },
};
use super::{Endpoint, Error};
use crate::model::{Reason, TrackingId, Transfer};

/// The members of a bulk list that are read, and no secret among them (contract
/// 5.2).
pub const FIELDS: &str = "trackingId,\
    status(state,warnings,emlCreationFailed,sender(notificationFailed),\
    files(id,removed,removalCause),\
    recipients(id,mail,notificationFailed,fileDownloads(id,downloads))),\
    transfer(expirationDate,files(size))";

/// What an answer told, and what had to be left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<T> {
    /// What was told.
    pub value: T,
    /// What was left out.
    pub notes: Notes,
}

/// What had to be left out of a reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notes {
    /// Items that are not what the contract says.
    pub rejected: u64,
    /// Unknown words in `state`.
    pub unknown_states: u64,
    /// Unknown words in `retrievalMethod`.
    pub unknown_methods: u64,
    /// Unknown words in `verificationMethods`.
    pub unknown_verification_methods: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The items that could be read, in the order of the answer.
    pub transfers: Vec<Transfer>,
    /// How many items the page had, those that could not be read included.
    pub items: usize,
}

/// What GET verification says of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// `verified`.
    pub verified: Option<bool>,
    /// `validUntil`.
    pub valid_until: Option<Timestamp>,
    /// `verificationMethods`.
    pub methods: Option<Methods>,
}

/// How a server would verify a sender (contract 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    /// By the client id alone.
    pub client_id: bool,
    /// By a mailed code.
    pub email: bool,
}

/// A verification token.
#[derive(Debug, Clone)]
pub struct Grant {
    /// `token`: of visible ASCII characters.
    pub token: SecretString,
    /// `validUntil`.
    pub valid_until: Option<Timestamp>,
}

/// The reading in an answer of Transfer Status (contract, section 4).
///
/// # Errors
/// With [`Reason::Malformed`] if it is not JSON or has no `status`.
pub fn status(id: &TrackingId, body: &[u8]) -> Result<Decoded<Transfer>, Error> {
    let answer = data::<TransferStatus>(body, Endpoint::TransferStatus)?;
    let mut notes = Notes::default();
    let value = translate::transfer(id, answer, &mut notes);
    Ok(Decoded { value, notes })
}

/// The readings in a page of the 1.8 list (contract 5.1).
///
/// # Errors
/// With [`Reason::Malformed`] if it is not JSON or has no list.
pub fn list(body: &[u8]) -> Result<Decoded<Page>, Error> {
    let answer = data::<List<ListItem>>(body, Endpoint::Transfers)?;
    let mut notes = Notes::default();
    let value = translate::page(answer, &mut notes);
    Ok(Decoded { value, notes })
}

/// The readings in a page of a bulk list (contract 5.2).
///
/// # Errors
/// With [`Reason::Malformed`] if it is not JSON or has no list.
pub fn bulk(body: &[u8]) -> Result<Decoded<Page>, Error> {
    let answer = data::<List<BulkItem>>(body, Endpoint::SentTransfers)?;
    let mut notes = Notes::default();
    let value = translate::bulk_page(answer, &mut notes);
    Ok(Decoded { value, notes })
}

/// The highest minor version in an answer of GET `/api/status`, which comes
/// with and without an envelope (contract, section 8, row 10); none if it tells
/// none.
pub fn minor(body: &[u8]) -> Option<u64> {
    let wrapped = read::<Envelope<ServerStatus>>(body).ok();
    let wrapped = wrapped.and_then(|envelope| envelope.data.value());
    let answer = wrapped.or_else(|| read::<ServerStatus>(body).ok());
    answer.and_then(translate::minor)
}

/// An answer of GET verification (contract 3.1).
///
/// # Errors
/// With [`Reason::Malformed`] if it is not JSON or has no data.
pub fn verification(body: &[u8]) -> Result<Decoded<Standing>, Error> {
    let answer = data::<VerificationAnswer>(body, Endpoint::Verification)?;
    let mut notes = Notes::default();
    let value = translate::standing(answer, &mut notes);
    Ok(Decoded { value, notes })
}

/// An answer of POST verification/token (contract 3.2).
///
/// # Errors
/// With [`Reason::Malformed`] if it is not JSON or has no token that a header
/// can carry.
pub fn token(body: &[u8]) -> Result<Grant, Error> {
    const ENDPOINT: Endpoint = Endpoint::VerificationToken;
    let answer = data::<TokenAnswer>(body, ENDPOINT)?;
    let usable = |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    let token = answer.token.value().filter(|token| usable(token));
    let token = token.ok_or_else(|| malformed(ENDPOINT, "the answer has no usable token"))?;
    Ok(Grant {
        token: SecretString::from(token),
        valid_until: answer.valid_until.value(),
    })
}

/// The `data` of an envelope.
fn data<T: for<'de> Shape<'de>>(body: &[u8], endpoint: Endpoint) -> Result<T, Error> {
    let envelope = read::<Envelope<T>>(body).map_err(|detail| malformed(endpoint, detail))?;
    let data = envelope.data.value();
    data.ok_or_else(|| malformed(endpoint, "the answer has no data of the right type"))
}

/// Reads JSON, mended if need be; the error says where it ends to be JSON. The
/// parser's own message is dropped: it could quote what must not be logged.
fn read<T: for<'de> Shape<'de>>(body: &[u8]) -> Result<T, String> {
    // Checked in one go, a text is read quicker than one that is checked string
    // by string.
    let first = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str::<Told<T>>(text),
        Err(_) => serde_json::from_slice(body),
    };
    let told = first.or_else(|error| match mend::mend(body) {
        Some(mended) => serde_json::from_slice(&mended),
        None => Err(error),
    });
    let told = told.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("the answer is not JSON (line {line}, column {column})")
    })?;
    let object = told.value();
    object.ok_or_else(|| "the answer is no JSON object".to_owned())
}

fn malformed(endpoint: Endpoint, detail: impl Into<String>) -> Error {
    Error::new(endpoint.action(), Reason::Malformed, detail)
}

#[cfg(test)]
mod tests;
