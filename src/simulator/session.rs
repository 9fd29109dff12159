//! Transfer sessions: transfers that a client is still putting together
//! (contract, section 6).
//!
//! **Invariants.** A session may be changed only with the token that it was
//! created with. Nobody else knows of it before it is finalized. Their number
//! is bounded, and so is the time that one stays untouched.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    letter::{Content, Kind, Letter, PasswordMode, Security, SimFile, Switch},
    names,
    transfer::{Origin, Outcome, SimTransfer, Stage},
    world::{World, new_recipient},
};

/// What the server needs to process the smallest transfer.
const LEAST_PROCESSING: Duration = Duration::from_secs(2);

/// Bytes that the server processes in a second.
const PROCESSED: u64 = 20 * 1024 * 1024;

/// The sessions that are open, by tracking id.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: HashMap<String, Session>,
    /// No session is idle for too long before this.
    next_end: Option<Timestamp>,
}

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) transfer: SimTransfer,
    token: String,
    touched_at: Timestamp,
}

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

impl Sessions {
    /// The session with this id, if it is of this sender.
    pub(super) fn find(&mut self, id: &str, sender: Option<usize>) -> Option<&mut Session> {
        let session = self.open.get_mut(id);
        session.filter(|session| Some(session.transfer.sender) == sender)
    }

    /// What is being put together under this id.
    pub(super) fn pending(&self, id: &str) -> Option<&SimTransfer> {
        self.open.get(id).map(|session| &session.transfer)
    }

    /// Ends a session.
    pub(super) fn take(&mut self, id: &str) -> Option<Session> {
        self.open.remove(id)
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Another term holds from now on.
    pub(super) fn reconsider(&mut self) {
        self.next_end = None;
    }

    /// Drops those that nobody has touched for `term`; the answer is when the
    /// next one may have to be.
    pub(super) fn end_idle(&mut self, term: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let end = |session: &Session| session.touched_at.checked_add(term);
        let end = |session: &Session| end(session).unwrap_or(Timestamp::MAX);
        if self.next_end.is_none_or(|next| next <= now) {
            self.open.retain(|_, session| end(session) > now);
            self.next_end = self.open.values().map(end).min();
        }
        self.next_end
    }
}

impl Session {
    /// Whether it was created with `token`.
    pub(super) fn is_of(&self, token: &str) -> bool {
        self.token == token
    }

    /// Somebody works on it.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.touched_at = self.touched_at.max(now);
    }

    /// Whether there are files and all of them are here.
    pub(super) fn is_complete(&self) -> bool {
        let files = &self.transfer.files;
        !files.is_empty() && files.iter().all(|file| file.content != Content::Awaited)
    }

    /// The bytes of all files.
    pub(super) fn size(&self) -> u64 {
        let sizes = self.transfer.files.iter().map(|file| file.size);
        sizes.fold(0, u64::saturating_add)
    }
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
    let recipients = recipients.map(|(kind, mail)| new_recipient(kind, mail, dice));
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
    let token = opening.token;
    let session = Session {
        transfer,
        token,
        touched_at: now,
    };
    world.sessions.open.insert(id.clone(), session);
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
    world.tokens.refresh(&session.token, now);
    let more = Duration::from_secs(session.size() / PROCESSED);
    let mut transfer = session.transfer;
    transfer.stage = Stage::Processing;
    transfer.passed = BTreeSet::from([Stage::Processing]);
    transfer.finalized_at = now;
    transfer.sent_with = Some(session.token);
    transfer.processing = LEAST_PROCESSING + more;
    world.take_in(transfer);
}
