//! How a client sends: a session is opened, gets its files, and becomes a
//! transfer (contract, section 6).
//!
//! **Invariants.** What is sent is the client's: nothing happens to it by chance.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    letter::{Content, Kind, Letter, PasswordMode, Security, SimFile, Switch},
    names,
    session::Session,
    transfer::{Origin, Outcome, SimTransfer, Stage},
    world::World,
};

/// What the server needs to process the smallest transfer.
const LEAST_PROCESSING: Duration = Duration::from_secs(2);

/// Bytes that the server processes in a second.
const PROCESSED: u64 = 20 * 1024 * 1024;

/// How a session begins.
#[derive(Debug)]
pub(super) struct Opening {
    /// The sender's address.
    pub(super) address: String,
    pub(super) token: String,
    pub(super) name: String,
    pub(super) phone: String,
    pub(super) recipients: Vec<(Kind, String)>,
    /// The language of sender and recipients until they are given others.
    pub(super) language: &'static str,
}

/// Opens a session; the answer is its tracking id.
pub(super) fn open(world: &mut World, opening: Opening) -> String {
    let now = world.now();
    let sender = world.enlist(&opening.address);
    let days = i64::from(world.policy.max_retention_days);
    let kept = SignedDuration::from_hours(24 * days);
    let id_at = world.id_date(now);
    let dice = &mut world.dice;
    let recipients = opening.recipients.into_iter();
    let recipients = recipients.map(|(kind, mail)| names::newcomer(kind, mail, dice));
    let transfer = SimTransfer {
        recipients: recipients.collect(),
        id: names::tracking_id(id_at, dice),
        sender,
        stage: Stage::Pending,
        passed: BTreeSet::new(),
        files: Vec::new(),
        fetchers: 0,
        origin: Origin::Client,
        letter: blank(
            opening.name,
            opening.phone,
            names::password(dice),
            opening.language,
        ),
        expires_at: now.checked_add(kept).unwrap_or(Timestamp::MAX),
        processing: LEAST_PROCESSING,
        finalized_at: now,
        outcome: Outcome::AsFound,
        ended_at: None,
        eml_failed: false,
        sender_notification_failed: false,
        sent_with: None,
        forgotten: false,
    };
    let id = transfer.id.clone();
    world.sessions.begin(transfer, opening.token, now);
    id
}

/// A letter with the defaults of the policy.
fn blank(sender_name: String, sender_phone: String, password: String, language: &str) -> Letter {
    let off = [Switch::ShowZipFileContent];
    Letter {
        sender_name,
        sender_phone,
        subject: None,
        body: None,
        security: Security::OneTimePassword,
        mode: PasswordMode::Generated,
        password: Some(password),
        sender_language: language.to_owned(),
        recipient_language: language.to_owned(),
        switches: Switch::ALL
            .into_iter()
            .filter(|switch| !off.contains(switch))
            .collect(),
        classification: None,
        message_file: None,
        algorithm: "SHA256".to_owned(),
        revocation: None,
    }
}

/// A file that is still to be uploaded.
pub(super) fn new_file(
    world: &mut World,
    name: String,
    size: u64,
    checksum: Option<String>,
) -> SimFile {
    SimFile {
        id: names::alphanumeric(10, &mut world.dice),
        name,
        size,
        checksum,
        content: Content::Awaited,
        removed: None,
    }
}

/// Makes a transfer of a session that is complete.
pub(super) fn finalize(world: &mut World, session: Session) {
    let now = world.now();
    let more = Duration::from_secs(session.size() / PROCESSED);
    let (mut transfer, token) = session.into_parts();
    world.tokens.refresh(&token, now);
    transfer.stage = Stage::Processing;
    transfer.passed = BTreeSet::from([Stage::Processing]);
    transfer.finalized_at = now;
    transfer.sent_with = Some(token);
    transfer.processing = LEAST_PROCESSING + more;
    world.take_in(transfer);
}
