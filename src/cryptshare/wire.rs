//! The members of an answer that we read, field for field as the contract
//! names them, each tolerant of being absent, null or of a wrong type.
//!
//! Download addresses, passwords, notification texts and file names are not
//! here, so they are skipped by the parser and never reach our memory.
//!
//! **Invariants.** Only a syntax error voids a whole answer; every lesser fault
//! is a [`Told::Wrong`] at its place.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// A member as the server told it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Told<T> {
    /// Absent or null.
    #[default]
    Not,
    /// Of another type than the contract says.
    Wrong,
    /// As the contract says.
    Is(T),
}

impl<T> Told<T> {
    /// The value, if there is one of the right type.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Not | Self::Wrong => None,
        }
    }
}

/// The envelope of every answer (contract 1.1).
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Shape<'de>"))]
pub(super) struct Envelope<T> {
    #[serde(default)]
    pub(super) data: Told<T>,
}

/// The error object (contract 1.2), at top level.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ErrorAnswer {
    pub(super) error_code: Told<u64>,
}

/// `data` of Transfer Status (contract, section 4).
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TransferStatus {
    pub(super) transfer: Told<Object<Session>>,
    pub(super) status: Told<Object<Status>>,
}

/// `data.transfer` (contract 4.2).
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Session {
    pub(super) expiration_date: Told<Box<str>>,
    pub(super) files: Told<Vec<Told<Object<SessionFile>>>>,
}

/// `data.transfer.files[]`.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct SessionFile {
    pub(super) size: Told<u64>,
}

/// `data.status` (contract 4.1).
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) state: Told<Box<str>>,
    pub(super) warnings: Told<bool>,
    pub(super) eml_creation_failed: Told<bool>,
    pub(super) sender: Told<Object<SenderStatus>>,
    pub(super) files: Told<Vec<Told<Object<FileStatus>>>>,
    pub(super) recipients: Told<Vec<Told<Object<RecipientStatus>>>>,
}

/// `data.status.sender`.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SenderStatus {
    pub(super) notification_failed: Told<bool>,
}

/// `data.status.files[]`.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FileStatus {
    pub(super) id: Told<Box<str>>,
    pub(super) removed: Told<bool>,
    pub(super) removal_cause: Told<Box<str>>,
}

/// `data.status.recipients[]`.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RecipientStatus {
    pub(super) id: Told<Box<str>>,
    pub(super) mail: Told<Box<str>>,
    pub(super) notification_failed: Told<bool>,
    pub(super) file_downloads: Told<Vec<Told<Object<FileDownload>>>>,
}

/// `..recipients[].fileDownloads[]`.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct FileDownload {
    pub(super) id: Told<Box<str>>,
    pub(super) downloads: Told<Vec<Told<Object<Download>>>>,
}

/// `..fileDownloads[].downloads[]`.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Download {
    pub(super) download_date: Told<Box<str>>,
    pub(super) retrieval_method: Told<Box<str>>,
}

/// One item of the 1.8 list (contract 5.1).
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListItem {
    pub(super) tracking_id: Told<Box<str>>,
    pub(super) state: Told<Box<str>>,
    pub(super) recipients: Told<Vec<Told<Object<RecipientStatus>>>>,
}

/// `data` of GET verification (contract 3.1).
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VerificationAnswer {
    pub(super) verified: Told<bool>,
    pub(super) valid_until: Told<Box<str>>,
    pub(super) verification_methods: Told<Vec<Told<Box<str>>>>,
}

/// `data` of POST verification/token (contract 3.2).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TokenAnswer {
    pub(super) token: Told<Box<str>>,
    pub(super) valid_until: Told<Box<str>>,
}

/// A JSON object that is read as `T`.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

/// What kinds of JSON value a type can be read from; every other kind is
/// skipped and told as wrong.
pub(super) trait Shape<'de>: Sized {
    fn text(_: &str) -> Option<Self> {
        None
    }

    fn flag(_: bool) -> Option<Self> {
        None
    }

    fn number(_: u64) -> Option<Self> {
        None
    }

    fn object<A: MapAccess<'de>>(mut members: A) -> Result<Option<Self>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Option<Self>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl Shape<'_> for Box<str> {
    fn text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Shape<'_> for bool {
    fn flag(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

impl Shape<'_> for u64 {
    fn number(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl<'de, T: Deserialize<'de>> Shape<'de> for Object<T> {
    fn object<A: MapAccess<'de>>(members: A) -> Result<Option<Self>, A::Error> {
        let object = T::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Some(Self(object)))
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for Vec<Told<T>> {
    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Option<Self>, A::Error> {
        let mut list = Self::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Some(list))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Told<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToldVisitor(PhantomData))
    }
}

struct ToldVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for ToldVisitor<T> {
    type Value = Told<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Told::Not)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::text(text).into())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(T::flag(flag).into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(T::number(number).into())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Told::Wrong)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Told::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::object(members).map(Into::into)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        T::array(items).map(Into::into)
    }
}

impl<T> From<Option<T>> for Told<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Wrong, Self::Is)
    }
}
