//! The JSON of the answers, written from the contract, sections 3 to 5.
//!
//! **Invariants.** Every member the contract names is there; sets are shuffled
//! at each answer, since their order means nothing.

use jiff::{Timestamp, tz::Offset};
use rand::{rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use super::transfer::{SimFile, SimRecipient, SimTransfer, Stage, Way};

/// What an answer needs beside the transfer.
pub(super) struct Frame<'a> {
    pub(super) sender: &'a str,
    pub(super) base_url: &'a str,
}

/// `data` of Transfer Status.
pub(super) fn status(transfer: &SimTransfer, frame: &Frame<'_>, rng: &mut StdRng) -> Value {
    let mut recipients: Vec<_> = transfer
        .recipients
        .iter()
        .map(|recipient| recipient_status(transfer, recipient, frame, rng))
        .collect();
    recipients.shuffle(rng);
    let mut files: Vec<_> = transfer
        .files
        .iter()
        .map(|file| {
            json!({
                "id": file.id,
                "removed": file.removed.is_some(),
                "removalCause": file.removed,
            })
        })
        .collect();
    files.shuffle(rng);
    json!({
        "transfer": session(transfer, frame, rng),
        "status": {
            "state": transfer.stage.word(),
            "warnings": transfer.warns(),
            "emlCreationFailed": transfer.eml_failed,
            "sender": {
                "email": frame.sender,
                "notificationFailed": transfer.sender_notification_failed,
            },
            "files": files,
            "recipients": recipients,
        },
    })
}

/// One item of the 1.8 list, its recipients in the short form.
pub(super) fn list_item(transfer: &SimTransfer, frame: &Frame<'_>, rng: &mut StdRng) -> Value {
    let mut recipients: Vec<_> = transfer
        .recipients
        .iter()
        .map(|recipient| json!({"mail": recipient.mail, "id": recipient.id}))
        .collect();
    recipients.shuffle(rng);
    json!({
        "trackingId": transfer.id,
        "state": transfer.stage.word(),
        "recipients": recipients,
        "href": format!("/api/users/{}/transfers/{}", frame.sender, transfer.id),
    })
}

/// `data.transfer`: the session's fields (contract 4.2).
fn session(transfer: &SimTransfer, frame: &Frame<'_>, rng: &mut StdRng) -> Value {
    let mut to: Vec<_> = transfer
        .recipients
        .iter()
        .map(|recipient| json!({"mail": recipient.mail}))
        .collect();
    to.shuffle(rng);
    let mut files: Vec<_> = transfer
        .files
        .iter()
        .map(|file| session_file(transfer, file, frame))
        .collect();
    files.shuffle(rng);
    let is_over = transfer.stage.is_deleted();
    let subject = (!is_over).then_some("Documents for you");
    json!({
        "sender": {"name": "Ada Example", "phone": "+49 761 000"},
        "recipients": {"to": to, "cc": [], "bcc": []},
        "files": files,
        "fileChecksumAlgorithm": "SHA256",
        "expirationDate": date(transfer.expires_at),
        "securityMode": {
            "name": "ONE_TIME_PASSWORD",
            "config": {"passwordMode": "MANUAL", "password": "Canary-Password-1"},
        },
        "notificationMessage": {"subject": subject, "body": "<p>Please fetch</p>"},
        "senderLanguage": "en",
        "recipientLanguage": "de",
        "showFileNames": true,
        "showZipFileContent": false,
        "sendDownloadNotifications": true,
        "sendDownloadSummary": true,
        "sendRecipientNotification": true,
        "sendUploadSummary": true,
        "classificationId": null,
        "confidentialMessageFileId": null,
    })
}

fn session_file(transfer: &SimTransfer, file: &SimFile, frame: &Frame<'_>) -> Value {
    let is_removed = file.removed.is_some();
    let state = match (is_removed, transfer.stage) {
        (true, _) => "REMOVED",
        (false, Stage::Processing) => "UPLOADED",
        (false, _) => "ACTIVE",
    };
    let href = format!(
        "/api/users/{}/transfer-sessions/{}/files/{}",
        frame.sender, transfer.id, file.id
    );
    json!({
        "id": file.id,
        "fileName": file.name,
        "size": file.size,
        "checksum": null,
        "state": state,
        "href": (!is_removed).then_some(href),
    })
}

fn recipient_status(
    transfer: &SimTransfer,
    recipient: &SimRecipient,
    frame: &Frame<'_>,
    rng: &mut StdRng,
) -> Value {
    let mut downloads: Vec<_> = transfer
        .files
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let of_file = recipient.retrievals.iter().filter(|(at, ..)| *at == index);
            let entries: Vec<_> = of_file.map(retrieval).collect();
            json!({"id": file.id, "downloads": entries})
        })
        .collect();
    downloads.shuffle(rng);
    json!({
        "mail": recipient.mail,
        "id": recipient.id,
        "downloadUrl": format!(
            "{}/download?id={}&password={}",
            frame.base_url, recipient.id, recipient.password
        ),
        "notificationFailed": recipient.notification_failed,
        "fileDownloads": downloads,
    })
}

fn retrieval((_, way, at): &(usize, Way, Timestamp)) -> Value {
    let method = match way {
        Way::Downloaded => "DOWNLOADED",
        Way::Viewed => "VIEWED",
    };
    json!({"downloadDate": date(*at), "retrievalMethod": method})
}

/// `2020-10-09T11:51:46+02:00` (contract 4.3).
pub(super) fn date(at: Timestamp) -> String {
    let summer = Offset::constant(2);
    let local = summer.to_datetime(at);
    format!("{local:.0}+02:00")
}
