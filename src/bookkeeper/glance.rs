//! How every sender is doing, for the page at `/` and the service manager.
//!
//! **Invariants.** What is too old for `/metrics` is too old here.

use jiff::Timestamp;

use crate::{
    ledger::{Book, Ledger},
    metrics::{self, SenderView},
    model::{Reason, Round, SenderId, Verification},
    status::SenderStatus,
};

/// The senders that are shown, in the order of the ledger.
pub(super) fn senders(
    ledger: &Ledger,
    settings: &metrics::Settings,
    now: Timestamp,
) -> Vec<SenderStatus> {
    let shown = ledger.books().filter_map(|(id, book)| {
        let view = settings.senders.get(id)?;
        Some(sender((id, view), book, settings, now))
    });
    shown.collect()
}

fn sender(
    (id, view): (&SenderId, &SenderView),
    book: &Book,
    settings: &metrics::Settings,
    now: Timestamp,
) -> SenderStatus {
    let states = metrics::states(book).map(|(state, count)| (state.label(), count));
    let presence = metrics::presence(book, view, settings, now);
    let round = presence.map(|presence| presence.round);
    let (is_verified, verified_until) = verification(round);
    SenderStatus {
        server: id.server().to_owned(),
        sender: view.label.clone(),
        up: round.map(|round| round.failure.is_none()),
        last_poll: presence.map(|presence| presence.at),
        failure: round.and_then(|round| round.failure).map(Reason::label),
        is_verified,
        verified_until,
        remedy: round.and_then(|round| remedy(&round, now)),
        states: states.collect(),
        is_stale: metrics::is_stale(book, view, settings, now),
        has_numbers: book.presence.is_some_and(|p| p.good_at.is_some()),
    }
}

/// Whether the sender holds a token, and until when.
fn verification(round: Option<Round>) -> (Option<bool>, Option<Timestamp>) {
    match round.map(|round| round.verified_until) {
        Some(Verification::Valid { until, .. }) => (Some(true), until),
        Some(Verification::Missing) => (Some(false), None),
        Some(Verification::Unknown) | None => (None, None),
    }
}

/// What a human has to do about the sender's verification.
fn remedy(round: &Round, now: Timestamp) -> Option<String> {
    const VERIFY: &str = "run cryptshare-exporter verify";
    match round.verified_until {
        Verification::Valid {
            until: Some(until),
            needs_human: true,
        } if until > now => Some(format!("the verification ends at {until:.0}; {VERIFY}")),
        _ if round.failure == Some(Reason::NotVerified) => {
            Some(format!("have the client id registered, or {VERIFY}"))
        }
        Verification::Valid { .. } | Verification::Missing | Verification::Unknown => None,
    }
}
