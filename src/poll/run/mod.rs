//! The loop of the scheduler.
//!
//! **Invariants.** Owns the queue, every agenda and every breaker; a round
//! borrows its agenda by being handed it, and returns it.

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
    Pulse, SenderPlan, ServerPlan, Settings, Source,
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

/// The first ceiling of a sender's back-off.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// The servers by name.
pub type Sources<S> = BTreeMap<String, Arc<S>>;

/// What the scheduler lives in.
#[derive(Debug)]
pub struct Surroundings {
    /// Wall time.
    pub clock: Clock,
    /// Randomness; a seed repeats every decision.
    pub rng: StdRng,
    /// The exporter's own families.
    pub telemetry: Telemetry,
    /// Who is told that the scheduler lives.
    pub pulse: Pulse,
    /// New plans of senders that are polled. Who takes in the observations must
    /// have been told of them before.
    pub plans: mpsc::Receiver<Vec<SenderPlan>>,
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

struct Scheduler<S> {
    queue: Queue<SenderId>,
    desks: HashMap<SenderId, Desk<S>>,
    breakers: BTreeMap<String, Breaker>,
    /// Where plans of senders wait whose round is under way.
    letters: HashMap<SenderId, Letter>,
    rounds: JoinSet<Done<S>>,
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
    sources: Sources<S>,
    settings: Settings,
    surroundings: Surroundings,
) -> anyhow::Result<()> {
    let Surroundings {
        clock,
        rng,
        telemetry,
        mut pulse,
        mut plans,
        out,
        stop,
    } = surroundings;
    let mut scheduler = Scheduler {
        queue: Queue::default(),
        desks: HashMap::new(),
        breakers: BTreeMap::new(),
        letters: HashMap::new(),
        rounds: JoinSet::new(),
        clock,
        rng,
        telemetry,
    };
    scheduler.settle(&sources, settings, &out);
    drop(out);
    loop {
        pulse.beat();
        scheduler.start_due();
        let wake = pulse.next(scheduler.queue.next_due());
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            Some(done) = scheduler.rounds.join_next() => scheduler.finish(unwind(done)?),
            Some(plans) = plans.recv() => scheduler.replan(plans),
        }
    }
}

/// A panic in a round ends the scheduler, and so the process, by name.
fn unwind<T>(done: Result<T, JoinError>) -> anyhow::Result<T> {
    done.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => error.into(),
    })
}

impl<S: Source> Scheduler<S> {
    /// Sets up every sender, its first round spread over the first seconds.
    fn settle(&mut self, sources: &Sources<S>, plan: Settings, out: &mpsc::Sender<Observation>) {
        for server in plan.servers {
            let Some(source) = sources.get(&server.name) else {
                continue;
            };
            let breaker = Breaker::new(longest_probe(&server));
            self.breakers.insert(server.name.clone(), breaker);
            for plan in server.senders {
                let first = plan.intervals.until_first_round(&mut self.rng);
                self.queue.push(Instant::now() + first, plan.id.clone());
                let ceiling = server.max_backoff.max(plan.intervals.normal);
                let letter = Letter::default();
                self.letters.insert(plan.id.clone(), letter.clone());
                let desk = Desk {
                    backoff: Backoff::new(FIRST_BACKOFF, ceiling),
                    context: Context {
                        letter,
                        source: Arc::clone(source),
                        clock: self.clock,
                        out: out.clone(),
                    },
                    rng: StdRng::from_rng(&mut self.rng),
                    failures: 0,
                    is_settled: false,
                    troubles: Troubles::default(),
                    agenda: Agenda::new(plan, Instant::now()),
                };
                self.desks.insert(desk.agenda.plan.id.clone(), desk);
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while let Some((due, id)) = self.queue.pop_due(now) {
            let Some(desk) = self.desks.remove(&id) else {
                continue;
            };
            self.telemetry
                .lag(now.saturating_duration_since(due).as_secs_f64());
            let breaker = self.breakers.get_mut(id.server());
            let admission = breaker.map_or(Admission::Go, |breaker| breaker.admit(now));
            self.rounds.spawn(poll(desk, admission));
        }
    }

    /// Gives senders other plans: to those whose round is under way between two
    /// of its reads, or when it is over.
    fn replan(&mut self, plans: Vec<SenderPlan>) {
        for plan in plans {
            let Some(desk) = self.desks.get_mut(&plan.id) else {
                if let Some(letter) = self.letters.get(&plan.id) {
                    letter.put(plan);
                }
                continue;
            };
            desk.replan(plan);
            if desk.is_settled {
                let id = desk.agenda.plan.id.clone();
                self.queue.push(desk.agenda.next_round(), id);
            }
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
        self.count(&desk, &outcome, now - began);
        let plan = &desk.agenda.plan;
        desk.troubles.tell(plan, &outcome, now);
        self.tell_breaker(&desk, &outcome, &admission, now);
        if let Some(plan) = desk.context.letter.take() {
            desk.replan(plan);
        }
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
        let breaker = self.breakers.get_mut(server);
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
        let breaker = self.breakers.get(plan.id.server());
        let admits_at = breaker.and_then(|breaker| breaker.admits_at(now));
        admits_at.map_or(regular, |at| at.clamp(now, regular))
    }
}

impl<S: Source> Desk<S> {
    fn replan(&mut self, plan: SenderPlan) {
        let server_now = self.context.source.server_now();
        self.agenda.replan(plan, server_now, Instant::now());
    }
}

/// Probes come no less often than the busiest sender would ask.
fn longest_probe(server: &ServerPlan) -> Duration {
    let intervals = server.senders.iter().map(|plan| plan.intervals.normal);
    server.max_backoff.max(intervals.min().unwrap_or_default())
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
