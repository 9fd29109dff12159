//! A server that knows what has truly happened.
//!
//! **Invariants.** The truth is written down where a thing happens, never
//! derived from a reading.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ledger::{Settings, Watching},
    model::{
        Event, File, FileDownloads, Finding, Method, Observation, Recipient, Retrieval, Scope,
        SenderId, State, TrackingId, Transfer,
    },
};

/// Recipients and files of each transfer.
pub(super) const EACH: [&str; 2] = ["0", "1"];

/// The one sender, whose transfers are all discovered.
pub(super) fn sender() -> SenderId {
    SenderId::new("prod", "ada@example.com")
}

pub(super) fn settings() -> Settings {
    let watching = Watching {
        scope: Scope::EVERYTHING,
        ..Watching::default()
    };
    Settings {
        senders: vec![(sender(), watching)],
        ..Settings::default()
    }
}

pub(super) fn observed(finding: Finding, at: jiff::Timestamp) -> Observation {
    Observation {
        sender: sender(),
        at,
        finding,
    }
}

/// What can happen to a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    Retrieve(&'static str, &'static str, Method),
    FailMail(&'static str),
    FailSummary,
    FailEml,
    Remove(&'static str),
    /// On to a state, if the life-cycle permits it.
    Enter(State),
    Forget,
    Return,
}

/// How much a reading tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    All,
    AllInAnotherOrder,
    NoRetrievals,
    NoLists,
}

/// One transfer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) state: State,
    pub(super) is_known: bool,
    /// Everything that happened, in its order.
    pub(super) story: Vec<Event>,
    retrievals: BTreeMap<(&'static str, &'static str), Vec<Retrieval>>,
    unmailed: BTreeSet<&'static str>,
    removed: BTreeSet<&'static str>,
    summary_failed: bool,
    eml_failed: bool,
}

/// The transfers by id.
#[derive(Debug, Default)]
pub(super) struct Server(pub(super) BTreeMap<TrackingId, Sent>);

impl Server {
    /// A transfer that is finalized now.
    pub(super) fn create(&mut self, id: &TrackingId) {
        let sent = Sent {
            state: State::Processing,
            is_known: true,
            story: vec![Event::Appeared, Event::Entered(State::Processing)],
            retrievals: BTreeMap::new(),
            unmailed: BTreeSet::new(),
            removed: BTreeSet::new(),
            summary_failed: false,
            eml_failed: false,
        };
        self.0.entry(id.clone()).or_insert(sent);
    }

    /// What a listing tells that ends now: ids and states.
    pub(super) fn listing(&self, ended: jiff::Timestamp) -> [Finding; 2] {
        let known = self.0.iter().filter(|(_, sent)| sent.is_known);
        let item = |(id, sent): (&TrackingId, &Sent)| Transfer {
            state: Some(sent.state),
            ..Transfer::untold(id.clone())
        };
        let page: Vec<_> = known.map(item).collect();
        let ids = page.iter().map(|one| one.id.clone()).collect();
        let scope = Scope::EVERYTHING;
        [Finding::Seen(page), Finding::Listed { ids, ended, scope }]
    }

    /// What a single read tells.
    pub(super) fn reading(&self, id: &TrackingId, tells: Tells) -> Finding {
        match self.0.get(id).filter(|sent| sent.is_known) {
            Some(sent) => Finding::Inspected(sent.told(id, tells)),
            None => Finding::Gone(id.clone()),
        }
    }

    /// Lets something happen, if it can.
    pub(super) fn happen(&mut self, id: &TrackingId, deed: Deed) {
        if let Some(sent) = self.0.get_mut(id) {
            sent.happen(deed);
        }
    }
}

impl Sent {
    fn happen(&mut self, deed: Deed) {
        match deed {
            Deed::Forget => self.is_known = false,
            Deed::Return => self.is_known = true,
            _ if !self.is_known => {}
            Deed::Retrieve(recipient, file, method) if self.state == State::Active => {
                let list = self.retrievals.entry((recipient, file)).or_default();
                list.push(Retrieval { at: None, method });
                self.story.push(Event::Retrieved {
                    recipient: recipient.into(),
                    file: file.into(),
                    method,
                    times: 1,
                });
            }
            Deed::Retrieve(..) => {}
            Deed::FailMail(recipient) => {
                let is_new = self.unmailed.insert(recipient);
                let recipient = recipient.into();
                self.tell(is_new, Event::RecipientNotificationFailed { recipient });
            }
            Deed::FailSummary => {
                let is_new = !std::mem::replace(&mut self.summary_failed, true);
                self.tell(is_new, Event::SenderNotificationFailed);
            }
            Deed::FailEml => {
                let is_new = !std::mem::replace(&mut self.eml_failed, true);
                self.tell(is_new, Event::EmlCreationFailed);
            }
            Deed::Remove(file) => {
                let is_new = self.removed.insert(file);
                let (file, cause) = (file.into(), None);
                self.tell(is_new, Event::FileRemoved { file, cause });
            }
            Deed::Enter(state) => self.enter(state),
        }
    }

    fn tell(&mut self, is_new: bool, event: Event) {
        self.story.extend(is_new.then_some(event));
    }

    fn enter(&mut self, state: State) {
        let is_ready = matches!(state, State::Active | State::Failed);
        let is_next = (self.state == State::Processing && is_ready)
            || (self.state == State::Active && state.is_deleted());
        if is_next {
            self.state = state;
            self.story.push(Event::Entered(state));
            let is_unretrieved = state.is_deleted() && self.retrievals.is_empty();
            self.tell(is_unretrieved, Event::EndedUnretrieved(state));
        }
    }

    fn told(&self, id: &TrackingId, tells: Tells) -> Transfer {
        let has_lists = tells != Tells::NoLists;
        let mut files: Vec<_> = EACH.map(|file| self.file(file)).into();
        let mut recipients: Vec<_> = EACH.map(|one| self.recipient(one, tells)).into();
        if tells == Tells::AllInAnotherOrder {
            files.reverse();
            recipients.reverse();
        }
        Transfer {
            state: Some(self.state),
            eml_creation_failed: Some(self.eml_failed),
            sender_notification_failed: Some(self.summary_failed),
            files: has_lists.then_some(files),
            recipients: has_lists.then_some(recipients),
            ..Transfer::untold(id.clone())
        }
    }

    fn file(&self, id: &'static str) -> File {
        File {
            id: id.into(),
            removed: Some(self.removed.contains(id)),
            removal_cause: None,
        }
    }

    fn recipient(&self, id: &'static str, tells: Tells) -> Recipient {
        let list = |file| self.retrievals.get(&(id, file)).cloned();
        let downloads = EACH.map(|file| FileDownloads {
            file: file.into(),
            retrievals: (tells != Tells::NoRetrievals).then(|| list(file).unwrap_or_default()),
        });
        Recipient {
            id: id.into(),
            mail: None,
            notification_failed: Some(self.unmailed.contains(id)),
            downloads: Some(downloads.into()),
        }
    }
}
