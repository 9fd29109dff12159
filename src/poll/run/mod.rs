//! The loop of the scheduler.
//!
//! **Invariants.** Owns the queue, every agenda and every breaker; a round
//! borrows its agenda by being handed it, and returns it.

mod change;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rand::rngs::StdRng;
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Pulse, Settings, Source,
    agenda::Agenda,
    breaker::{Admission, Breaker, Streak},
    queue::Queue,
    round::{self, Context, Letter, Outcome},
    source::Failure,
    trouble::Troubles,
};
use crate::{
    backoff::Backoff,
    clock::Clock,
    model::{Concern, Observation, Reason, SenderId},
    telemetry::Telemetry,
};

/// What is polled from now on.
#[derive(Debug)]
pub struct Change<S> {
    /// Everything, also what stays as it is.
    pub settings: Settings<S>,
    /// Told when this is in effect: nobody is asked any more who is not in it.
    pub done: oneshot::Sender<()>,
}

/// What the scheduler lives in.
#[derive(Debug)]
pub struct Surroundings<S> {
    /// Wall time.
    pub clock: Clock,
    /// Randomness; a seed repeats every decision.
    pub rng: StdRng,
    /// The exporter's own families.
    pub telemetry: Telemetry,
    /// Who is told that the scheduler lives.
    pub pulse: Pulse,
    /// Other settings. Who takes in the observations must have been told of them
    /// before.
    pub changes: mpsc::Receiver<Change<S>>,
    /// Where observations go.
    pub out: mpsc::Sender<Observation>,
    /// Cancelled when the scheduler is to stop.
    pub stop: CancellationToken,
}

/// Everything about one sender that outlives a round.
struct Desk<S> {
    agenda: Agenda,
    context: Context<S>,
    backoff: Backoff,
    rng: StdRng,
    failures: u32,
    /// The last round was good, so the next may come as soon as it has
    /// something to do.
    is_settled: bool,
    troubles: Troubles,
}

/// A round that is over.
struct Done<S> {
    desk: Desk<S>,
    outcome: Outcome,
    began: Instant,
    admission: Admission,
}

/// What all senders of a server share.
struct Server<S> {
    source: Arc<S>,
    breaker: Breaker,
    max_backoff: Duration,
}

/// A round that is not over.
struct UnderWay {
    /// Where a new plan waits for it.
    letter: Letter,
    is_probe: bool,
    task: AbortHandle,
}

struct Scheduler<S> {
    queue: Queue<SenderId>,
    /// Of the senders that have no round under way.
    desks: HashMap<SenderId, Desk<S>>,
    under_way: HashMap<SenderId, UnderWay>,
    rounds: JoinSet<Done<S>>,
    servers: BTreeMap<String, Server<S>>,
    out: mpsc::Sender<Observation>,
    clock: Clock,
    rng: StdRng,
    telemetry: Telemetry,
}

/// Polls until the stop; rounds under way are then abandoned, since what they
/// would learn is learned again after the next start.
///
/// # Errors
/// Never; a panic in a round is passed on.
pub async fn run<S: Source>(
    settings: Settings<S>,
    surroundings: Surroundings<S>,
) -> anyhow::Result<()> {
    let Surroundings {
        clock,
        rng,
        telemetry,
        mut pulse,
        mut changes,
        out,
        stop,
    } = surroundings;
    let mut scheduler = Scheduler {
        queue: Queue::default(),
        desks: HashMap::new(),
        under_way: HashMap::new(),
        rounds: JoinSet::new(),
        servers: BTreeMap::new(),
        out,
        clock,
        rng,
        telemetry,
    };
    scheduler.follow(settings).await?;
    loop {
        pulse.beat();
        scheduler.start_due();
        let wake = pulse.next(scheduler.queue.next_due());
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            Some(ended) = scheduler.rounds.join_next() => {
                if let Some(done) = unwind(ended)? {
                    scheduler.finish(done);
                }
            }
            Some(change) = changes.recv() => {
                scheduler.follow(change.settings).await?;
                // Nobody waits any more if the process is ending.
                change.done.send(()).unwrap_or_default();
            }
        }
    }
}

/// What a round has come to; nothing, if it was aborted. A panic in it ends the
/// scheduler, and so the process, by name.
fn unwind<T>(ended: Result<T, JoinError>) -> anyhow::Result<Option<T>> {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(done) => Ok(Some(done)),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(error)) if error.is_cancelled() => Ok(None),
        Err(Err(error)) => Err(error.into()),
    }
}

impl<S: Source> Scheduler<S> {
    fn start_due(&mut self) {
        let now = Instant::now();
        while let Some((due, id)) = self.queue.pop_due(now) {
            let Some(desk) = self.desks.remove(&id) else {
                continue;
            };
            self.telemetry
                .lag(now.saturating_duration_since(due).as_secs_f64());
            let server = self.servers.get_mut(id.server());
            let admission = server.map_or(Admission::Go, |server| server.breaker.admit(now));
            let under_way = UnderWay {
                letter: desk.context.letter.clone(),
                is_probe: admission == Admission::Probe,
                task: self.rounds.spawn(poll(desk, admission)),
            };
            self.under_way.insert(id, under_way);
        }
    }

    /// Says how the round went and decides when the next one is due.
    fn finish(&mut self, done: Done<S>) {
        let Done {
            mut desk,
            outcome,
            began,
            admission,
        } = done;
        let now = Instant::now();
        self.under_way.remove(&desk.agenda.plan.id);
        // First of all, so that nothing is told under a label that is gone.
        if let Some(plan) = desk.context.letter.take() {
            desk.replan(plan);
        }
        if let Some(server) = self.servers.get(desk.agenda.plan.id.server()) {
            desk.follow(server);
        }
        self.count(&desk, &outcome, now - began);
        let plan = &desk.agenda.plan;
        desk.troubles.tell(plan, &outcome, now);
        self.tell_breaker(&desk, &outcome, &admission, now);
        desk.is_settled = outcome.failure.is_none();
        let next = match &outcome.failure {
            None => {
                desk.failures = 0;
                desk.agenda.next_round()
            }
            Some(_) if matches!(admission, Admission::Refused(_)) => self.after_refusal(&desk, now),
            Some(failure) => now + wait(&mut desk, failure),
        };
        if outcome.failure.is_some() {
            desk.agenda.resume_at(next);
        }
        let id = desk.agenda.plan.id.clone();
        self.queue.push(next, id.clone());
        self.desks.insert(id, desk);
    }

    fn count(&self, desk: &Desk<S>, outcome: &Outcome, took: Duration) {
        let plan = &desk.agenda.plan;
        let labels = (plan.id.server(), plan.label.as_str());
        for failure in outcome.failure.iter().chain(outcome.single.values()) {
            self.telemetry.poll_failed(labels, failure.reason.label());
        }
        let at = self.clock.now().duration_since(Timestamp::UNIX_EPOCH);
        let is_good = outcome.failure.is_none();
        self.telemetry
            .round_ended(labels, at.as_secs_f64(), took.as_secs_f64(), is_good);
    }

    /// Tells the server's breaker how the round went.
    fn tell_breaker(
        &mut self,
        desk: &Desk<S>,
        outcome: &Outcome,
        admission: &Admission,
        now: Instant,
    ) {
        let server = desk.agenda.plan.id.server();
        let breaker = self
            .servers
            .get_mut(server)
            .map(|server| &mut server.breaker);
        let Some(breaker) = breaker.filter(|_| !matches!(admission, Admission::Refused(_))) else {
            return;
        };
        let was_open = breaker.is_open();
        let mut failures = outcome.failure.iter().chain(outcome.single.values());
        let of_server = |failure: &&Failure| failure.reason.concerns() == Concern::Server;
        if let Some(failure) = failures.rfind(of_server) {
            breaker.remember(&failure.chain);
        }
        let streak = Streak {
            is_probe: *admission == Admission::Probe,
            ..outcome.streak
        };
        breaker.note(&streak, now, &mut self.rng);
        if breaker.is_open() == was_open {
            return;
        }
        self.telemetry.breaker(server, breaker.is_open());
        if breaker.is_open()
            && let Some(reason) = outcome.streak.reason.map(Reason::label)
        {
            tracing::warn!(server, reason, "the server is left alone");
        } else {
            tracing::info!(server, "the server is asked again");
        }
    }

    /// A sender that was refused comes back as soon as the breaker admits it,
    /// at the latest after its interval.
    fn after_refusal(&self, desk: &Desk<S>, now: Instant) -> Instant {
        let plan = &desk.agenda.plan;
        let regular = now + plan.intervals.normal;
        let server = self.servers.get(plan.id.server());
        let admits_at = server.and_then(|server| server.breaker.admits_at(now));
        admits_at.map_or(regular, |at| at.clamp(now, regular))
    }
}

async fn poll<S: Source>(mut desk: Desk<S>, admission: Admission) -> Done<S> {
    let began = Instant::now();
    let outcome = match admission {
        Admission::Go | Admission::Probe => {
            round::run(&mut desk.agenda, &desk.context, &mut desk.rng).await
        }
        Admission::Refused(ref refusal) => {
            round::report(&desk.agenda, &desk.context, Some(refusal.reason)).await;
            Outcome::refused(refusal)
        }
    };
    Done {
        desk,
        outcome,
        began,
        admission,
    }
}

/// The wait after a failed round. Never less than the interval: a server in
/// trouble is asked no more often than one in health. What concerns the whole
/// server is the breaker's business, so the sender itself keeps its interval.
fn wait<S>(desk: &mut Desk<S>, failure: &Failure) -> Duration {
    let interval = desk.agenda.plan.intervals.normal;
    if failure.reason.concerns() == Concern::Server {
        return interval;
    }
    desk.failures = desk.failures.saturating_add(1);
    let backoff = desk.backoff.delay(desk.failures, &mut desk.rng);
    backoff.max(interval)
}

#[cfg(test)]
mod tests;
