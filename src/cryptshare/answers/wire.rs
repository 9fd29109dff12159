//! The members of an answer that we read, field for field as the contract
//! names them.
//!
//! Download addresses, passwords, notification texts and file names are not
//! here, so they are skipped by the parser and never reach our memory.
//!
//! **Invariants.** Only a syntax error voids a whole answer; every lesser fault
//! is a [`Told::Wrong`] at its place. An item without a usable id is no item.

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess};

use super::told::{List, Name, Shape, Told};
use crate::model::{Method, State, TrackingId};

/// Longer ids are refused: nothing a server hands out comes near, and every id
/// is kept in memory.
const MAX_ID_LENGTH: usize = 200;

/// An object of which the named members are read and all others skipped. With
/// `needs`, an object without that member is wrong.
macro_rules! object {
    ($(#[$doc:meta])* $object:ident $(needs $id:ident)? {
        $($member:ident: $type:ty = $name:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $object {
            $(pub(super) $member: Told<$type>,)*
        }

        impl<'de> Shape<'de> for $object {
            fn object<A: MapAccess<'de>>(mut members: A) -> Result<Option<Self>, A::Error> {
                let mut object = Self::default();
                while let Some(Name(name)) = members.next_key()? {
                    match &*name {
                        $($name => object.$member.tell(members.next_value()?),)*
                        _ => drop(members.next_value::<IgnoredAny>()?),
                    }
                }
                $(if !object.$id.is_told() {
                    return Ok(None);
                })?
                Ok(Some(object))
            }
        }
    };
}

/// The envelope of every good answer (contract 1.1).
pub(super) struct Envelope<T> {
    pub(super) data: Told<T>,
}

impl<'de, T: Shape<'de>> Shape<'de> for Envelope<T> {
    fn object<A: MapAccess<'de>>(mut members: A) -> Result<Option<Self>, A::Error> {
        let mut data = Told::Not;
        while let Some(Name(name)) = members.next_key()? {
            match &*name {
                "data" => data.tell(members.next_value()?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(Self { data }))
    }
}

object!(
    /// The error object (contract 1.2), at top level.
    ErrorAnswer {
        error_code: u64 = "errorCode",
    }
);

object!(
    /// `data` of Transfer Status (contract, section 4).
    TransferStatus needs status {
        transfer: Session = "transfer",
        status: Status = "status",
    }
);

object!(
    /// `data.transfer` (contract 4.2).
    Session {
        expiration_date: Timestamp = "expirationDate",
        files: List<SessionFile> = "files",
    }
);

object!(
    /// `data.transfer.files[]`.
    SessionFile needs size {
        size: u64 = "size",
    }
);

object!(
    /// `data.status` (contract 4.1).
    Status {
        state: State = "state",
        warnings: bool = "warnings",
        eml_creation_failed: bool = "emlCreationFailed",
        sender: SenderStatus = "sender",
        files: List<FileStatus> = "files",
        recipients: List<RecipientStatus> = "recipients",
    }
);

object!(
    /// `data.status.sender`.
    SenderStatus {
        notification_failed: bool = "notificationFailed",
    }
);

object!(
    /// `data.status.files[]`.
    FileStatus needs id {
        id: Id = "id",
        removed: bool = "removed",
        removal_cause: Box<str> = "removalCause",
    }
);

object!(
    /// `data.status.recipients[]`.
    RecipientStatus needs id {
        id: Id = "id",
        mail: Box<str> = "mail",
        notification_failed: bool = "notificationFailed",
        file_downloads: List<FileDownload> = "fileDownloads",
    }
);

object!(
    /// `..recipients[].fileDownloads[]`.
    FileDownload needs id {
        id: Id = "id",
        downloads: List<Download> = "downloads",
    }
);

object!(
    /// `..fileDownloads[].downloads[]`.
    Download {
        download_date: Timestamp = "downloadDate",
        retrieval_method: Method = "retrievalMethod",
    }
);

object!(
    /// One item of the 1.8 list (contract 5.1).
    ListItem needs tracking_id {
        tracking_id: TrackingId = "trackingId",
        state: State = "state",
        recipients: List<RecipientStatus> = "recipients",
    }
);

object!(
    /// One item of a bulk list (contract 5.2): Transfer Status with its id.
    BulkItem needs tracking_id {
        tracking_id: TrackingId = "trackingId",
        transfer: Session = "transfer",
        status: Status = "status",
    }
);

object!(
    /// `data` of GET `/api/status` (contract, section 2).
    ServerStatus needs api_versions {
        api_versions: ApiVersions = "apiVersions",
    }
);

object!(
    /// `apiVersions`.
    ApiVersions {
        ui_api_versions: List<ApiVersion> = "uiApiVersions",
    }
);

object!(
    /// `apiVersions.uiApiVersions[]`.
    ApiVersion needs minor {
        major: u64 = "major",
        minor: u64 = "minor",
    }
);

object!(
    /// `data` of GET verification (contract 3.1).
    VerificationAnswer {
        verified: bool = "verified",
        valid_until: Timestamp = "validUntil",
        verification_methods: List<Box<str>> = "verificationMethods",
    }
);

object!(
    /// `data` of POST verification/token (contract 3.2).
    TokenAnswer {
        token: Box<str> = "token",
        valid_until: Timestamp = "validUntil",
    }
);

/// The id of a file or of a recipient: opaque, of a sane length.
pub(super) struct Id(pub(super) Box<str>);

impl Shape<'_> for Id {
    fn text(text: &str) -> Option<Self> {
        let is_usable = !text.is_empty() && text.len() <= MAX_ID_LENGTH && is_whole(text);
        is_usable.then(|| Self(text.into()))
    }
}

impl Shape<'_> for TrackingId {
    fn text(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|_| is_whole(text))
    }
}

/// Whether no character was lost on the way: an id that was mended is another
/// id, and two of them may look alike.
fn is_whole(text: &str) -> bool {
    text.is_ascii() || !text.contains(char::REPLACEMENT_CHARACTER)
}

impl Shape<'_> for State {
    fn text(text: &str) -> Option<Self> {
        Some(Self::from_word(text))
    }
}

impl Shape<'_> for Method {
    fn text(text: &str) -> Option<Self> {
        Some(Self::from_word(text))
    }
}

/// A date as the server writes it, or with a fraction, `Z` or `+0200`
/// (contract 4.3).
impl Shape<'_> for Timestamp {
    fn text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }
}
