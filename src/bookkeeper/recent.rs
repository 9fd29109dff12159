//! What has happened lately, in words, for the page at `/`.
//!
//! **Invariants.** Of bounded length; no address or id of a recipient, no name
//! of a file, and no text of the server's.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::{
    model::{Event, Method, State, TrackingId},
    status::EventStatus,
};

/// As many as can be looked over.
const LENGTH: usize = 30;

/// The last events, the newest first.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<EventStatus>);

impl Recent {
    /// Takes in an event that was seen at `at` with a sender of this label.
    pub(super) fn note(
        &mut self,
        at: Timestamp,
        (server, sender): (&str, &str),
        transfer: &TrackingId,
        event: &Event,
    ) {
        self.0.truncate(LENGTH - 1);
        self.0.push_front(EventStatus {
            at,
            server: server.to_owned(),
            sender: sender.to_owned(),
            tracking_id: transfer.to_string(),
            what: words(event),
            is_trouble: is_trouble(event),
        });
    }

    /// The events, the newest first.
    pub(super) fn newest(&self) -> Vec<EventStatus> {
        self.0.iter().cloned().collect()
    }
}

fn words(event: &Event) -> String {
    match event {
        Event::Appeared => "appeared".to_owned(),
        Event::Entered(state) => entered(*state).to_owned(),
        Event::Retrieved { method, times, .. } => retrieved(*method, *times),
        Event::SenderNotificationFailed => "the upload summary could not be sent".to_owned(),
        Event::RecipientNotificationFailed { .. } => "a recipient could not be notified".to_owned(),
        Event::FileRemoved { .. } => "the server removed a file".to_owned(),
        Event::EmlCreationFailed => "the confidential message could not be created".to_owned(),
        Event::EndedUnretrieved(_) => "ended, and nobody had retrieved anything".to_owned(),
        Event::Processed { took } => format!("was processed in {} s", took.as_secs()),
        Event::Vanished => "is no longer known to the server".to_owned(),
    }
}

const fn entered(state: State) -> &'static str {
    match state {
        State::Processing => "is being processed",
        State::Active => "is available to its recipients",
        State::Failed => "failed: all of its files were removed",
        State::DeletedByExpiration => "expired and was deleted",
        State::DeletedByRevocation => "was revoked by its sender",
        State::DeletedByAdmin => "was deleted by an administrator",
        State::DeletedBySecurity => "was deleted after too many wrong passwords",
        State::Unknown => "has a state from before version 5.7",
        State::Pending => "is being uploaded",
        State::Other => "entered a state that is not known here",
    }
}

fn retrieved(method: Method, times: u64) -> String {
    let way = match method {
        Method::Downloaded => "downloaded",
        Method::Viewed => "viewed",
        Method::Other => "retrieved",
    };
    match times {
        1 => format!("a file was {way}"),
        times => format!("a file was {way} {times} times"),
    }
}

const fn is_trouble(event: &Event) -> bool {
    match event {
        Event::SenderNotificationFailed
        | Event::RecipientNotificationFailed { .. }
        | Event::FileRemoved { .. }
        | Event::EmlCreationFailed
        | Event::EndedUnretrieved(_)
        | Event::Vanished
        | Event::Entered(State::Failed | State::DeletedBySecurity) => true,
        Event::Appeared | Event::Entered(_) | Event::Retrieved { .. } | Event::Processed { .. } => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_thirty_are_kept() {
        let mut recent = Recent::default();
        let id = TrackingId::parse("20260401-081500-Qx7Lm2Za").unwrap();
        for times in 1..=40 {
            let event = Event::Retrieved {
                recipient: "5yVluOW8NR".into(),
                file: "a1B2c3D4e5".into(),
                method: Method::Viewed,
                times,
            };
            recent.note(Timestamp::UNIX_EPOCH, ("prod", "invoices"), &id, &event);
        }
        let newest = recent.newest();
        assert_eq!(newest.len(), 30);
        assert_eq!(newest[0].what, "a file was viewed 40 times");
        assert_eq!(newest[29].what, "a file was viewed 11 times");
        assert!(!newest[0].is_trouble);
    }

    #[test]
    fn each_state_is_told_in_words_of_its_own() {
        let mut told: Vec<_> = State::ALL.into_iter().map(entered).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), State::ALL.len());
    }
}
