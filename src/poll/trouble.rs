//! What fails, told once: when its reason changes and when it ends.
//!
//! **Invariants.** A failure that lasts is one line at its beginning and one at
//! its end, however often it is met; everything between is for debugging.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{SenderPlan, round::Outcome, source::Failure};
use crate::model::Reason;

/// The troubles of one sender that last.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Of the rounds.
    round: Option<(Reason, Instant)>,
    /// Of single reads in good rounds.
    single: BTreeMap<Reason, Instant>,
}

impl Troubles {
    /// Logs what is new in the outcome of a round, and what is over.
    pub(super) fn tell(&mut self, plan: &SenderPlan, outcome: &Outcome, now: Instant) {
        if let Some(failure) = &outcome.failure {
            self.round_failed(plan, failure, now);
        } else {
            self.round_worked(plan, now);
            self.single_reads(plan, outcome, now);
        }
    }

    fn round_failed(&mut self, plan: &SenderPlan, failure: &Failure, now: Instant) {
        let (server, sender) = (plan.id.server(), plan.label.as_str());
        let (reason, error) = (failure.reason.label(), &failure.chain);
        let since = match self.round {
            Some((known, since)) if known == failure.reason => {
                tracing::debug!(server, sender, reason, error, "polling still fails");
                since
            }
            Some((_, since)) => {
                tracing::warn!(server, sender, reason, error, "polling fails");
                since
            }
            None => {
                tracing::warn!(server, sender, reason, error, "polling fails");
                now
            }
        };
        self.round = Some((failure.reason, since));
    }

    fn round_worked(&mut self, plan: &SenderPlan, now: Instant) {
        let Some((reason, since)) = self.round.take() else {
            return;
        };
        let (server, sender) = (plan.id.server(), plan.label.as_str());
        let (reason, seconds) = (reason.label(), now.duration_since(since).as_secs());
        tracing::info!(server, sender, reason, seconds, "polling works again");
    }

    fn single_reads(&mut self, plan: &SenderPlan, outcome: &Outcome, now: Instant) {
        let (server, sender) = (plan.id.server(), plan.label.as_str());
        // A transfer that is not found is told where it is looked for.
        let failures = outcome.single.iter();
        for (reason, failure) in failures.filter(|(reason, _)| **reason != Reason::NotFound) {
            let is_new = !self.single.contains_key(reason);
            self.single.entry(*reason).or_insert(now);
            let (reason, error) = (reason.label(), &failure.chain);
            let tracking_id = failure.tracking_id.as_ref().map(ToString::to_string);
            if is_new {
                tracing::warn!(server, sender, tracking_id, reason, error, "a read fails");
            } else {
                tracing::debug!(
                    server,
                    sender,
                    tracking_id,
                    reason,
                    error,
                    "a read still fails"
                );
            }
        }
        // A quick round reads only what changes by the second, so it proves
        // nothing about what failed before.
        if !outcome.is_full {
            return;
        }
        let over: Vec<_> = self
            .single
            .extract_if(.., |reason, _| !outcome.single.contains_key(reason))
            .collect();
        for (reason, since) in over {
            let (reason, seconds) = (reason.label(), now.duration_since(since).as_secs());
            tracing::info!(server, sender, reason, seconds, "reads work again");
        }
    }
}
