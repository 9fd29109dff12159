//! The loop of the scheduler.
//!
//! **Invariants.** Owns the queue and every agenda; a round borrows its agenda
//! by being handed it, and returns it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Settings, Source,
    agenda::Agenda,
    queue::Queue,
    round::{self, Context, Outcome},
    source::Failure,
};
use crate::{
    backoff::Backoff,
    clock::Clock,
    model::{Observation, Reason, SenderId},
    telemetry::Telemetry,
};

/// The first ceiling of the back-off.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// `Retry-After` is honoured up to this long.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The servers by name.
pub type Sources<S> = BTreeMap<String, Arc<S>>;

/// Everything about one sender that outlives a round.
struct Desk<S> {
    agenda: Agenda,
    context: Context<S>,
    backoff: Backoff,
    rng: StdRng,
    failures: u32,
    trouble: Option<Trouble>,
}

/// A failure that lasts.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    reason: Reason,
    since: Instant,
}

/// A round that is over.
struct Done<S> {
    desk: Desk<S>,
    outcome: Outcome,
    took: Duration,
}

/// Polls until `stop`; rounds under way are then abandoned, since what they
/// would learn is learned again after the next start.
///
/// # Errors
/// Never; a panic in a round is passed on.
pub async fn run<S: Source>(
    sources: Sources<S>,
    settings: Settings,
    clock: Clock,
    telemetry: Telemetry,
    out: mpsc::Sender<Observation>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng)?;
    let mut queue = Queue::default();
    let mut desks = desks(&sources, settings, clock, &out, &mut rng);
    drop(out);
    for (id, desk) in &mut desks {
        let first = desk.agenda.plan.intervals.until_first_round(&mut rng);
        queue.push(Instant::now() + first, id.clone());
    }
    let mut rounds = JoinSet::new();
    loop {
        while let Some((due, id)) = queue.pop_due(Instant::now()) {
            telemetry.lag(due.elapsed().as_secs_f64());
            if let Some(desk) = desks.remove(&id) {
                rounds.spawn(poll(desk));
            }
        }
        let next = queue.next_due();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            Some(done) = rounds.join_next() => {
                let done = unwind(done)?;
                let (at, desk) = finish(done, clock, &telemetry);
                queue.push(at, desk.agenda.plan.id.clone());
                desks.insert(desk.agenda.plan.id.clone(), desk);
            }
        }
    }
}

fn desks<S>(
    sources: &Sources<S>,
    settings: Settings,
    clock: Clock,
    out: &mpsc::Sender<Observation>,
    rng: &mut StdRng,
) -> HashMap<SenderId, Desk<S>> {
    let mut desks = HashMap::new();
    for server in settings.servers {
        let Some(source) = sources.get(&server.name) else {
            continue;
        };
        for plan in server.senders {
            let ceiling = server.max_backoff.max(plan.intervals.normal);
            let desk = Desk {
                backoff: Backoff::new(FIRST_BACKOFF, ceiling),
                context: Context {
                    source: Arc::clone(source),
                    clock,
                    out: out.clone(),
                },
                rng: StdRng::from_rng(rng),
                failures: 0,
                trouble: None,
                agenda: Agenda::new(plan, Instant::now()),
            };
            desks.insert(desk.agenda.plan.id.clone(), desk);
        }
    }
    desks
}

async fn poll<S: Source>(mut desk: Desk<S>) -> Done<S> {
    let begin = Instant::now();
    let outcome = round::run(&mut desk.agenda, &desk.context, &mut desk.rng).await;
    Done {
        desk,
        outcome,
        took: begin.elapsed(),
    }
}

/// A panic in a round ends the scheduler, and so the process, by name.
fn unwind<T>(done: Result<T, JoinError>) -> anyhow::Result<T> {
    done.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => error.into(),
    })
}

/// Says how the round went and decides when the next one is due.
fn finish<S: Source>(done: Done<S>, clock: Clock, telemetry: &Telemetry) -> (Instant, Desk<S>) {
    let Done {
        mut desk,
        outcome,
        took,
    } = done;
    let now = Instant::now();
    let plan = &desk.agenda.plan;
    let (server, sender) = (plan.id.server(), plan.label.as_str());
    let failures = outcome.failure.iter().chain(outcome.single.values());
    for failure in failures {
        telemetry.poll_failed((server, sender), failure.reason.label());
    }
    let at = clock.now().duration_since(Timestamp::UNIX_EPOCH);
    let is_good = outcome.failure.is_none();
    telemetry.round_ended(
        (server, sender),
        at.as_secs_f64(),
        took.as_secs_f64(),
        is_good,
    );
    tell(&mut desk.trouble, (server, sender), &outcome, now);
    let next = match &outcome.failure {
        None => {
            desk.failures = 0;
            desk.agenda.next_round(now, &mut desk.rng)
        }
        Some(failure) => {
            desk.failures = desk.failures.saturating_add(1);
            now + wait(&mut desk, failure)
        }
    };
    (next, desk)
}

/// The wait after a failed round. Never less than the interval: a server in
/// trouble is asked no more often than one in health.
fn wait<S>(desk: &mut Desk<S>, failure: &Failure) -> Duration {
    let backoff = desk.backoff.delay(desk.failures, &mut desk.rng);
    let asked = failure.retry_after.unwrap_or_default();
    backoff
        .max(desk.agenda.plan.intervals.normal)
        .max(asked.min(LONGEST_RETRY_AFTER))
}

/// A failure is logged when its reason changes and when it ends; repeats only
/// at debug.
fn tell(
    trouble: &mut Option<Trouble>,
    (server, sender): (&str, &str),
    outcome: &Outcome,
    now: Instant,
) {
    for failure in outcome.single.values() {
        let (reason, error) = (failure.reason.label(), &failure.chain);
        tracing::debug!(
            server,
            sender,
            reason,
            error,
            "a transfer could not be read"
        );
    }
    match (&outcome.failure, *trouble) {
        (Some(failure), Some(known)) if known.reason == failure.reason => {
            let (reason, error) = (failure.reason.label(), &failure.chain);
            tracing::debug!(server, sender, reason, error, "polling still fails");
        }
        (Some(failure), known) => {
            let (reason, error) = (failure.reason.label(), &failure.chain);
            tracing::warn!(server, sender, reason, error, "polling fails");
            let since = known.map_or(now, |known| known.since);
            *trouble = Some(Trouble {
                reason: failure.reason,
                since,
            });
        }
        (None, Some(known)) => {
            let seconds = now.duration_since(known.since).as_secs();
            let reason = known.reason.label();
            tracing::info!(server, sender, reason, seconds, "polling works again");
            *trouble = None;
        }
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests;
