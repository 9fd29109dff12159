//! Wire answers into the language of transfers.
//!
//! **Invariants.** Total: what cannot be understood is left out and noted,
//! never guessed and never zero. One bad item rejects that item alone.

use jiff::Timestamp;

use super::wire::{
    Download, FileDownload, FileStatus, ListItem, Object, RecipientStatus, Session, Status, Told,
    TransferStatus,
};
use crate::model::{
    File, FileDownloads, Method, Recipient, Retrieval, State, TrackingId, Transfer,
};

/// What had to be left out of a reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Items that are not what the contract says.
    pub(super) rejected: u64,
    /// Unknown words in `state`.
    pub(super) unknown_states: u64,
    /// Unknown words in `retrievalMethod`.
    pub(super) unknown_methods: u64,
}

/// The reading in an answer of Transfer Status; `None` if it has no `status`.
pub(super) fn transfer(
    id: &TrackingId,
    answer: TransferStatus,
    notes: &mut Notes,
) -> Option<Transfer> {
    let TransferStatus { transfer, status } = answer;
    let Object(status) = status.value()?;
    let mut reading = Transfer::untold(id.clone());
    apply_status(&mut reading, status, notes);
    if let Some(Object(session)) = transfer.value() {
        apply_session(&mut reading, session);
    }
    Some(reading)
}

/// The reading in an item of the 1.8 list; `None` without a usable id.
pub(super) fn list_item(item: Told<Object<ListItem>>, notes: &mut Notes) -> Option<Transfer> {
    let reading = item.value().and_then(|Object(item)| {
        let ListItem {
            tracking_id,
            state,
            recipients,
        } = item;
        let id = TrackingId::parse(&tracking_id.value()?).ok()?;
        let mut reading = Transfer::untold(id);
        reading.state = self::state(state, notes);
        reading.recipients = self::recipients(recipients, notes);
        Some(reading)
    });
    notes.rejected += u64::from(reading.is_none());
    reading
}

fn apply_status(reading: &mut Transfer, status: Status, notes: &mut Notes) {
    let Status {
        state,
        warnings,
        eml_creation_failed,
        sender,
        files,
        recipients,
    } = status;
    reading.state = self::state(state, notes);
    reading.warnings = warnings.value();
    reading.eml_creation_failed = eml_creation_failed.value();
    reading.sender_notification_failed = sender
        .value()
        .and_then(|Object(sender)| sender.notification_failed.value());
    reading.files = files
        .value()
        .map(|files| kept(files, notes, |item, _| file(item)));
    reading.recipients = self::recipients(recipients, notes);
}

fn apply_session(reading: &mut Transfer, session: Session) {
    let Session {
        expiration_date,
        files,
    } = session;
    reading.expires_at = expiration_date.value().as_deref().and_then(date);
    reading.size_bytes = files.value().and_then(|files| {
        files.into_iter().try_fold(0_u64, |sum, file| {
            let Object(file) = file.value()?;
            sum.checked_add(file.size.value()?)
        })
    });
}

fn state(word: Told<Box<str>>, notes: &mut Notes) -> Option<State> {
    let state = State::from_word(&word.value()?);
    notes.unknown_states += u64::from(state == State::Other);
    Some(state)
}

fn file(item: FileStatus) -> Option<File> {
    let FileStatus {
        id,
        removed,
        removal_cause,
    } = item;
    Some(File {
        id: id.value()?,
        removed: removed.value(),
        removal_cause: removal_cause.value(),
    })
}

fn recipients(
    list: Told<Vec<Told<Object<RecipientStatus>>>>,
    notes: &mut Notes,
) -> Option<Vec<Recipient>> {
    list.value().map(|list| kept(list, notes, recipient))
}

fn recipient(item: RecipientStatus, notes: &mut Notes) -> Option<Recipient> {
    let RecipientStatus {
        id,
        mail,
        notification_failed,
        file_downloads,
    } = item;
    Some(Recipient {
        id: id.value()?,
        mail: mail.value(),
        notification_failed: notification_failed.value(),
        downloads: file_downloads
            .value()
            .map(|list| kept(list, notes, file_downloads_of)),
    })
}

fn file_downloads_of(item: FileDownload, notes: &mut Notes) -> Option<FileDownloads> {
    let FileDownload { id, downloads } = item;
    Some(FileDownloads {
        file: id.value()?,
        retrievals: downloads.value().map(|list| kept(list, notes, retrieval)),
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every reader of an item has one shape; this one accepts all"
)]
fn retrieval(item: Download, notes: &mut Notes) -> Option<Retrieval> {
    let Download {
        download_date,
        retrieval_method,
    } = item;
    // An entry without a method is a retrieval all the same.
    let method = retrieval_method
        .value()
        .map_or(Method::Other, |word| Method::from_word(&word));
    notes.unknown_methods += u64::from(method == Method::Other);
    Some(Retrieval {
        at: download_date.value().as_deref().and_then(date),
        method,
    })
}

/// The items that `read` understands; the others are noted as rejected.
fn kept<W, T>(
    list: Vec<Told<Object<W>>>,
    notes: &mut Notes,
    mut read: impl FnMut(W, &mut Notes) -> Option<T>,
) -> Vec<T> {
    let mut items = Vec::with_capacity(list.len());
    for item in list {
        match item.value().and_then(|Object(item)| read(item, notes)) {
            Some(item) => items.push(item),
            None => notes.rejected += 1,
        }
    }
    items
}

/// A date as the server writes it, or with a fraction, `Z` or `+0200`
/// (contract 4.3).
pub(super) fn date(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cryptshare::wire::Envelope;

    fn read(json: &str) -> (Transfer, Notes) {
        let envelope: Envelope<Object<TransferStatus>> = serde_json::from_str(json).unwrap();
        let mut notes = Notes::default();
        let id = TrackingId::parse("20260401-081500-Qx7Lm2Za").unwrap();
        let Object(answer) = envelope.data.value().unwrap();
        (transfer(&id, answer, &mut notes).unwrap(), notes)
    }

    #[test]
    fn dates_are_read_in_every_form_the_contract_allows() {
        for text in [
            "2020-10-09T11:51:46+02:00",
            "2020-10-09T09:51:46Z",
            "2020-10-09T11:51:46.000+0200",
        ] {
            let at = date(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(at.to_string(), "2020-10-09T09:51:46Z");
        }
        assert_eq!(date("tomorrow"), None);
    }

    #[test]
    fn one_bad_item_rejects_that_item_alone() {
        let (reading, notes) = read(
            r#"{"data":{"status":{"state":"Active","recipients":[7,
                {"id":"a","mail":"A@example.org","fileDownloads":[{"id":"f","downloads":[
                    {"downloadDate":"bad","retrievalMethod":"VIEWED"}, "x",
                    {"retrievalMethod":"PRINTED"}]}]}]}}}"#,
        );
        assert_eq!(reading.state, Some(State::Active));
        let recipients = reading.recipients.unwrap();
        assert_eq!(recipients.len(), 1);
        assert_eq!(recipients[0].mail.as_deref(), Some("A@example.org"));
        assert!(!format!("{recipients:?}").contains("example.org"));
        let files = recipients[0].downloads.as_ref().unwrap();
        let methods: Vec<_> = files[0]
            .retrievals
            .iter()
            .flatten()
            .map(|r| r.method)
            .collect();
        assert_eq!(methods, [Method::Viewed, Method::Other]);
        assert_eq!((notes.rejected, notes.unknown_methods), (2, 1));
    }

    #[test]
    fn what_is_absent_null_or_of_a_wrong_type_is_not_told() {
        let (reading, _) = read(
            r#"{"data":{"transfer":{"expirationDate":5,"files":[{"size":1},{"size":null}]},
                "status":{"state":null,"warnings":"yes","files":null,"sender":[]}}}"#,
        );
        assert_eq!(reading, Transfer::untold(reading.id.clone()));
    }

    /// The members that we read, with values of every type in their places.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        const NAMES: [&str; 14] = [
            "data",
            "status",
            "transfer",
            "state",
            "warnings",
            "sender",
            "files",
            "recipients",
            "id",
            "fileDownloads",
            "downloads",
            "downloadDate",
            "size",
            "trackingId",
        ];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            let member = (0..NAMES.len(), inner.clone());
            let object = prop::collection::vec(member, 0..6).prop_map(|members| {
                let own = |(name, value): (usize, _)| (NAMES[name].to_owned(), value);
                serde_json::Value::Object(members.into_iter().map(own).collect())
            });
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Into::into),
                object
            ]
        })
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_fail(value in json()) {
            let text = serde_json::json!({"data": value}).to_string();
            let mut notes = Notes::default();
            let status: Envelope<Object<TransferStatus>> = serde_json::from_str(&text).unwrap();
            let id = TrackingId::parse("t").unwrap();
            if let Some(Object(answer)) = status.data.value() {
                transfer(&id, answer, &mut notes);
            }
            let list: Envelope<Vec<Told<Object<ListItem>>>> = serde_json::from_str(&text).unwrap();
            let items = list.data.value().unwrap_or_default();
            let count = u64::try_from(items.len()).unwrap();
            let mut notes = Notes::default();
            let kept = items.into_iter().filter_map(|item| list_item(item, &mut notes)).count();
            prop_assert!(u64::try_from(kept).unwrap() + notes.rejected >= count);
        }

        #[test]
        fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(serde_json::from_slice::<Envelope<Object<TransferStatus>>>(&bytes));
        }
    }
}
