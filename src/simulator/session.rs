//! Transfer sessions: transfers that a client is still putting together
//! (contract, section 6).
//!
//! **Invariants.** A session may be changed only with the token that it was
//! created with. Nobody else knows of it before it is finalized. Their number
//! is bounded, and so is the time that one stays untouched.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{letter::Content, transfer::SimTransfer};

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

    /// A session that `token` may change begins `now`.
    pub(super) fn begin(&mut self, transfer: SimTransfer, token: String, now: Timestamp) {
        let id = transfer.id.clone();
        let session = Session {
            transfer,
            token,
            touched_at: now,
        };
        self.open.insert(id, session);
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

    /// The transfer, and the token that it was created with.
    pub(super) fn into_parts(self) -> (SimTransfer, String) {
        (self.transfer, self.token)
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
