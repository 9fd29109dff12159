//! Events as log lines: one for each, its fields named as the labels.
//!
//! A transfer that comes and one that ends, and whatever failed, are told to
//! everybody; what a busy server has every second, retrievals above all, only
//! to those who debug: the counters have it.
//!
//! **Invariants.** A recipient's address, and the id that is most of a download
//! address, are told only to those who debug.

use std::collections::HashMap;

use crate::model::{Event, Finding, Observation, Recipient, SenderId, TrackingId, Transfer};

/// What the lines about one observation are written with.
#[derive(Default)]
pub(super) struct Journal {
    /// Whether recipients may be told.
    is_debugging: bool,
    /// Addresses by recipient id; none unless somebody debugs.
    addresses: HashMap<Box<str>, Box<str>>,
}

impl Journal {
    /// A journal that knows the recipients of the observation, as far as they
    /// may be told.
    pub(super) fn for_events_of(observation: &Observation) -> Self {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return Self::default();
        }
        let readings: &[Transfer] = match &observation.finding {
            Finding::Seen(page) => page,
            Finding::Inspected(reading) => std::slice::from_ref(reading),
            Finding::Listed { .. } | Finding::Gone(_) | Finding::RoundEnded(_) => &[],
        };
        let recipients = readings
            .iter()
            .flat_map(|reading| &reading.recipients)
            .flatten();
        let address = |recipient: &Recipient| Some((recipient.id.clone(), recipient.mail.clone()?));
        Self {
            is_debugging: true,
            addresses: recipients.filter_map(address).collect(),
        }
    }

    /// Writes the line of one event.
    pub(super) fn tell(&self, id: &SenderId, sender: &str, transfer: &TrackingId, event: &Event) {
        let (server, tracking_id) = (id.server(), transfer.as_str());
        macro_rules! say {
            ($level:ident, $text:literal $(, $name:ident = $value:expr)*) => {
                tracing::$level!(server, sender, tracking_id $(, $name = $value)*, $text)
            };
        }
        match event {
            Event::Appeared => say!(info, "a transfer appeared"),
            Event::Entered(state) if state.is_final() => {
                say!(info, "a transfer entered a state", state = state.label());
            }
            Event::Entered(state) => {
                say!(debug, "a transfer entered a state", state = state.label());
            }
            Event::Retrieved {
                recipient,
                file,
                method,
                times,
            } => say!(
                debug,
                "a file was retrieved",
                method = method.label(),
                times = times,
                file_id = file,
                recipient = self.address(recipient),
                recipient_id = self.id(recipient)
            ),
            Event::SenderNotificationFailed => say!(warn, "the upload summary could not be sent"),
            Event::RecipientNotificationFailed { recipient } => say!(
                warn,
                "a recipient could not be notified",
                recipient = self.address(recipient),
                recipient_id = self.id(recipient)
            ),
            Event::FileRemoved { file, cause } => {
                let cause = cause.as_deref().unwrap_or_default();
                say!(warn, "a file was removed", file_id = file, cause = cause);
            }
            Event::EmlCreationFailed => {
                say!(warn, "the confidential message could not be created");
            }
            Event::EndedUnretrieved(state) => {
                say!(warn, "a transfer ended unretrieved", state = state.label());
            }
            Event::Processed { took } => {
                say!(
                    debug,
                    "a transfer was processed",
                    seconds = took.as_secs_f64()
                );
            }
            Event::Vanished => say!(warn, "a transfer vanished from the server"),
        }
    }

    fn address(&self, recipient: &str) -> Option<&str> {
        self.addresses.get(recipient).map(AsRef::as_ref)
    }

    fn id<'a>(&self, recipient: &'a str) -> Option<&'a str> {
        self.is_debugging.then_some(recipient)
    }
}
