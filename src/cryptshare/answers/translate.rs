//! Wire answers into the language of transfers.
//!
//! **Invariants.** Total: what cannot be understood is left out and noted,
//! never guessed and never zero. One bad item rejects that item alone.

use super::{
    Methods, Notes, Page, Standing,
    told::{List, Told},
    wire::{
        ApiVersion, BulkItem, Download, FileDownload, FileStatus, Id, ListItem, RecipientStatus,
        ServerStatus, Session, Status, TransferStatus, VerificationAnswer,
    },
};
use crate::model::{
    File, FileDownloads, Method, Recipient, Retrieval, State, TrackingId, Transfer,
};

/// The reading in an answer of Transfer Status.
pub(super) fn transfer(id: &TrackingId, answer: TransferStatus, notes: &mut Notes) -> Transfer {
    let TransferStatus { transfer, status } = answer;
    let mut reading = Transfer::untold(id.clone());
    if let Some(status) = status.value() {
        apply_status(&mut reading, status, notes);
    }
    if let Some(session) = transfer.value() {
        apply_session(&mut reading, session);
    }
    reading
}

/// The readings in a page of the 1.8 list.
pub(super) fn page(list: List<ListItem>, notes: &mut Notes) -> Page {
    page_of(list, notes, list_item)
}

/// The readings in a page of a bulk list.
pub(super) fn bulk_page(list: List<BulkItem>, notes: &mut Notes) -> Page {
    page_of(list, notes, bulk_item)
}

fn page_of<W>(
    list: List<W>,
    notes: &mut Notes,
    read: impl FnMut(W, &mut Notes) -> Option<Transfer>,
) -> Page {
    let items = list.items.len() + list.rejected;
    Page {
        transfers: kept(list, notes, read),
        items,
    }
}

fn bulk_item(item: BulkItem, notes: &mut Notes) -> Option<Transfer> {
    let BulkItem {
        tracking_id,
        transfer,
        status,
    } = item;
    let answer = TransferStatus { transfer, status };
    Some(self::transfer(&tracking_id.value()?, answer, notes))
}

/// The highest minor of the one major version that there is.
pub(super) fn minor(answer: ServerStatus) -> Option<u64> {
    let versions = answer.api_versions.value()?.ui_api_versions.value()?;
    let of_major = |version: ApiVersion| match version.major.value() {
        Some(1) => version.minor.value(),
        _ => None,
    };
    versions.items.into_iter().filter_map(of_major).max()
}

/// What GET verification says.
pub(super) fn standing(answer: VerificationAnswer, notes: &mut Notes) -> Standing {
    Standing {
        verified: answer.verified.value(),
        valid_until: answer.valid_until.value(),
        methods: answer
            .verification_methods
            .value()
            .map(|list| methods(&list, notes)),
    }
}

/// Both spellings of a method are known (contract, section 8, row 2).
fn methods(list: &List<Box<str>>, notes: &mut Notes) -> Methods {
    let mut methods = Methods {
        client_id: false,
        email: false,
    };
    for word in &list.items {
        let word = word.replace('_', "");
        if word.eq_ignore_ascii_case("clientid") {
            methods.client_id = true;
        } else if word.eq_ignore_ascii_case("email") {
            methods.email = true;
        } else {
            notes.unknown_verification_methods += 1;
        }
    }
    methods
}

fn list_item(item: ListItem, notes: &mut Notes) -> Option<Transfer> {
    let ListItem {
        tracking_id,
        state,
        recipients,
    } = item;
    let mut reading = Transfer::untold(tracking_id.value()?);
    reading.state = self::state(state, notes);
    reading.recipients = self::recipients(recipients, notes);
    Some(reading)
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
        .and_then(|sender| sender.notification_failed.value());
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
    reading.expires_at = expiration_date.value();
    reading.size_bytes = files.value().filter(|f| f.rejected == 0).and_then(|files| {
        let mut sizes = files.items.into_iter().map(|file| file.size.value());
        sizes.try_fold(0_u64, |sum, size| sum.checked_add(size?))
    });
}

fn state(word: Told<State>, notes: &mut Notes) -> Option<State> {
    let state = word.value()?;
    notes.unknown_states += u64::from(state == State::Other);
    Some(state)
}

fn file(item: FileStatus) -> Option<File> {
    let FileStatus {
        id,
        removed,
        removal_cause,
    } = item;
    let Id(id) = id.value()?;
    Some(File {
        id,
        removed: removed.value(),
        removal_cause: removal_cause.value(),
    })
}

fn recipients(list: Told<List<RecipientStatus>>, notes: &mut Notes) -> Option<Vec<Recipient>> {
    list.value().map(|list| kept(list, notes, recipient))
}

fn recipient(item: RecipientStatus, notes: &mut Notes) -> Option<Recipient> {
    let RecipientStatus {
        id,
        mail,
        notification_failed,
        file_downloads,
    } = item;
    let Id(id) = id.value()?;
    Some(Recipient {
        id,
        mail: mail.value(),
        notification_failed: notification_failed.value(),
        downloads: file_downloads
            .value()
            .map(|list| kept(list, notes, file_downloads_of)),
    })
}

fn file_downloads_of(item: FileDownload, notes: &mut Notes) -> Option<FileDownloads> {
    let FileDownload { id, downloads } = item;
    let Id(file) = id.value()?;
    let read = |item, notes: &mut Notes| Some(retrieval(&item, notes));
    Some(FileDownloads {
        file,
        retrievals: downloads.value().map(|list| kept(list, notes, read)),
    })
}

fn retrieval(item: &Download, notes: &mut Notes) -> Retrieval {
    // An entry without a method is a retrieval all the same.
    let method = item.retrieval_method.value().unwrap_or(Method::Other);
    notes.unknown_methods += u64::from(method == Method::Other);
    Retrieval {
        at: item.download_date.value(),
        method,
    }
}

/// The items that `read` understands; the others are noted as rejected.
fn kept<W, T>(
    list: List<W>,
    notes: &mut Notes,
    mut read: impl FnMut(W, &mut Notes) -> Option<T>,
) -> Vec<T> {
    let given = list.items.len() + list.rejected;
    let items: Vec<_> = list
        .items
        .into_iter()
        .filter_map(|item| read(item, notes))
        .collect();
    let rejected = given.saturating_sub(items.len());
    notes.rejected = notes
        .rejected
        .saturating_add(u64::try_from(rejected).unwrap_or(u64::MAX));
    items
}
