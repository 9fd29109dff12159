//! One poll: a round of a sender, its listing and the single reads due.
//!
//! **Invariants.** A failure is data. A round whose server does not answer
//! stops after a few failures in a row, however much was due.

use std::{collections::BTreeMap, sync::Arc};

use rand::Rng;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    agenda::Agenda,
    source::{Failure, Source},
};
use crate::{
    clock::Clock,
    model::{Finding, Observation, Reason, Round, TrackingId, Transfer},
};

/// Single reads under way at a time; the server's budget limits further.
const READS_AT_A_TIME: usize = 16;

/// After this many failures in a row that concern the server, not the
/// transfer, the rest of the round is not asked.
const FAILURES_IN_A_ROW: u32 = 5;

/// What a round needs of the world.
#[derive(Debug)]
pub(super) struct Context<S> {
    pub(super) source: Arc<S>,
    pub(super) clock: Clock,
    pub(super) out: mpsc::Sender<Observation>,
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            clock: self.clock,
            out: self.out.clone(),
        }
    }
}

/// How a round went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Why the round could not talk to the server, if it could not.
    pub(super) failure: Option<Failure>,
    /// Failures of single reads, the first of each reason.
    pub(super) single: BTreeMap<Reason, Failure>,
}

/// The progress of the single reads.
#[derive(Debug, Default)]
struct Reads {
    good: u32,
    bad_in_a_row: u32,
    failures: BTreeMap<Reason, Failure>,
}

/// Runs one round to its end and reports it.
pub(super) async fn run<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    rng: &mut impl Rng,
) -> Outcome {
    let now = Instant::now();
    let mut outcome = Outcome::default();
    let lists = agenda.listing_due(now);
    if lists && let Err(failure) = list(agenda, context, rng).await {
        agenda.postpone_listing(Instant::now());
        outcome.failure = Some(failure);
    }
    if outcome.failure.is_none() {
        let due = agenda.take_due(Instant::now());
        outcome = if due.is_empty() && !lists {
            verify(agenda, context).await
        } else {
            inspect_all(agenda, context, due, rng).await
        };
        // A listing that was read proves that the round could talk.
        if lists && let Some(failure) = outcome.failure.take() {
            outcome.single.entry(failure.reason).or_insert(failure);
        }
    }
    report(agenda, context, &outcome).await;
    outcome
}

async fn list<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    rng: &mut impl Rng,
) -> Result<(), Failure> {
    let listing = context.source.list(&agenda.plan.id).await?;
    let server_now = context.source.server_now();
    let listing = agenda.listed(listing, server_now, Instant::now(), rng);
    send(agenda, context, Finding::Listed(listing)).await;
    Ok(())
}

async fn verify<S: Source>(agenda: &Agenda, context: &Context<S>) -> Outcome {
    Outcome {
        failure: context.source.verify(&agenda.plan.id).await.err(),
        single: BTreeMap::new(),
    }
}

async fn inspect_all<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    due: Vec<TrackingId>,
    rng: &mut impl Rng,
) -> Outcome {
    let mut waiting = due.into_iter();
    let mut under_way = JoinSet::new();
    let mut reads = Reads::default();
    loop {
        while under_way.len() < READS_AT_A_TIME && reads.bad_in_a_row < FAILURES_IN_A_ROW {
            let Some(id) = waiting.next() else { break };
            let (source, sender) = (Arc::clone(&context.source), agenda.plan.id.clone());
            under_way.spawn(async move {
                let answer = source.inspect(&sender, &id).await;
                (id, answer)
            });
        }
        match under_way.join_next().await {
            Some(Ok((id, answer))) => {
                reads.note(&answer);
                take(agenda, context, (id, answer), rng).await;
            }
            Some(Err(error)) => propagate(error),
            None => break,
        }
    }
    for id in waiting {
        agenda.postpone(id, Instant::now());
    }
    reads.outcome()
}

/// A panic in a read is a panic of the scheduler: the process ends by name.
fn propagate(error: tokio::task::JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}

async fn take<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    (id, answer): (TrackingId, Result<Transfer, Failure>),
    rng: &mut impl Rng,
) {
    let now = Instant::now();
    match answer {
        Ok(reading) => {
            agenda.inspected(&reading, now, rng);
            send(agenda, context, Finding::Inspected(reading)).await;
        }
        Err(failure) if failure.reason == Reason::NotFound => {
            agenda.gone(&id, now, rng);
            send(agenda, context, Finding::Gone(id)).await;
        }
        Err(_) => agenda.postpone(id, now),
    }
}

async fn report<S: Source>(agenda: &Agenda, context: &Context<S>, outcome: &Outcome) {
    let round = Round {
        failure: outcome.failure.as_ref().map(|failure| failure.reason),
        clock_offset: context.source.clock_offset(),
        verified_until: context.source.verification(&agenda.plan.id).await,
    };
    send(agenda, context, Finding::RoundEnded(round)).await;
}

/// The bookkeeper outlives the scheduler, so a closed channel means that the
/// process is ending and nobody is left to tell.
async fn send<S>(agenda: &Agenda, context: &Context<S>, finding: Finding) {
    let observation = Observation {
        sender: agenda.plan.id.clone(),
        at: context.clock.now(),
        finding,
    };
    drop(context.out.send(observation).await);
}

impl Reads {
    fn note(&mut self, answer: &Result<Transfer, Failure>) {
        let failure = answer.as_ref().err();
        match failure {
            Some(failure) if concerns_the_server(failure.reason) => self.bad_in_a_row += 1,
            None | Some(_) => {
                self.good += 1;
                self.bad_in_a_row = 0;
            }
        }
        if let Some(failure) = failure {
            self.failures
                .entry(failure.reason)
                .or_insert_with(|| Failure {
                    reason: failure.reason,
                    retry_after: failure.retry_after,
                    chain: failure.chain.clone(),
                });
        }
    }

    /// The round failed if no read could talk to the server.
    fn outcome(mut self) -> Outcome {
        let worst = self
            .failures
            .keys()
            .copied()
            .find(|r| concerns_the_server(*r));
        let failure = match self.good {
            0 => worst.and_then(|reason| self.failures.remove(&reason)),
            _ => None,
        };
        Outcome {
            failure,
            single: self.failures,
        }
    }
}

/// Whether a failure says something about the server or the sender, and not
/// only about the one transfer that was asked for.
const fn concerns_the_server(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::NotFound | Reason::Malformed | Reason::TooLarge | Reason::Rejected
    )
}
