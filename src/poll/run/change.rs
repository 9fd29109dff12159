//! Other settings while the scheduler runs.
//!
//! A sender or a server that is new, or is reached by another way, begins as at
//! the start. What stays as it is goes on: its round, its waits, its breaker.
//!
//! **Invariants.** Once a change is in effect nobody is asked who is not in the
//! settings, and nobody by a way that is not.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{task, time::Instant};

use super::{
    super::{
        SenderPlan, ServerPlan, Settings, Source,
        agenda::Agenda,
        breaker::{Breaker, Streak},
        round::{Context, Letter},
        trouble::Troubles,
    },
    Desk, Scheduler, Server, unwind,
};
use crate::{backoff::Backoff, model::SenderId};

/// The first ceiling of a sender's back-off.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

impl<S: Source> Scheduler<S> {
    /// Polls what `settings` say from now on.
    pub(super) async fn follow(&mut self, settings: Settings<S>) -> anyhow::Result<()> {
        self.let_go(&settings).await?;
        for server in settings.servers {
            self.follow_server(&server);
            for plan in server.senders {
                self.follow_sender(plan);
            }
        }
        Ok(())
    }

    /// Lets go of the servers that are not in `settings` or are reached by
    /// another way, and of the senders that they leave behind.
    async fn let_go(&mut self, settings: &Settings<S>) -> anyhow::Result<()> {
        let plans = settings.servers.iter().map(|plan| (&plan.name, plan));
        let plans: HashMap<_, _> = plans.collect();
        self.servers.retain(|name, server| {
            let plan = plans.get(name);
            plan.is_some_and(|plan| plan.source.is_same_as(&server.source))
        });
        let kept = plans
            .values()
            .filter(|plan| self.servers.contains_key(&plan.name));
        let staying: HashSet<_> = kept
            .flat_map(|plan| &plan.senders)
            .map(|plan| &plan.id)
            .collect();
        for (id, _) in self.desks.extract_if(|id, _| !staying.contains(id)) {
            self.queue.remove(&id);
        }
        let aborted = self.abort(|id| !staying.contains(id));
        self.see_off(aborted).await
    }

    /// Aborts the rounds of these senders; the answer is what is still to end.
    fn abort(&mut self, of: impl Fn(&SenderId) -> bool) -> HashSet<task::Id> {
        let mut aborted = HashSet::new();
        for (id, round) in self.under_way.extract_if(|id, _| of(id)) {
            round.task.abort();
            aborted.insert(round.task.id());
            // Others wait for what it would have found.
            if round.is_probe
                && let Some(server) = self.servers.get_mut(id.server())
            {
                let streak = Streak {
                    is_probe: true,
                    ..Streak::default()
                };
                server.breaker.note(&streak, Instant::now(), &mut self.rng);
            }
        }
        aborted
    }

    /// Waits until these rounds have ended, so that they tell nothing any more.
    /// An aborted one ends where it waits for something.
    async fn see_off(&mut self, mut aborted: HashSet<task::Id>) -> anyhow::Result<()> {
        while !aborted.is_empty() {
            let Some(ended) = self.rounds.join_next_with_id().await else {
                return Ok(());
            };
            let is_aborted = match &ended {
                Ok((id, _)) => aborted.remove(id),
                Err(error) => aborted.remove(&error.id()),
            };
            if let Some((_, done)) = unwind(ended)?.filter(|_| !is_aborted) {
                self.finish(done);
            }
        }
        Ok(())
    }

    fn follow_server(&mut self, plan: &ServerPlan<S>) {
        let longest = longest_probe(plan);
        if let Some(server) = self.servers.get_mut(&plan.name) {
            server.source = Arc::clone(&plan.source);
            server.max_backoff = plan.max_backoff;
            server.breaker.limit(longest, Instant::now());
            return;
        }
        let server = Server {
            source: Arc::clone(&plan.source),
            breaker: Breaker::new(longest),
            max_backoff: plan.max_backoff,
        };
        self.telemetry.breaker(&plan.name, false);
        self.servers.insert(plan.name.clone(), server);
    }

    /// Gives a sender its plan: where its round is under way, between two of its
    /// reads, or when it is over.
    fn follow_sender(&mut self, plan: SenderPlan) {
        let Some(server) = self.servers.get(plan.id.server()) else {
            return;
        };
        if let Some(round) = self.under_way.get(&plan.id) {
            round.letter.put(plan);
            return;
        }
        let Some(desk) = self.desks.get_mut(&plan.id) else {
            self.set_up(plan);
            return;
        };
        desk.replan(plan);
        desk.follow(server);
        let id = desk.agenda.plan.id.clone();
        if desk.is_settled {
            self.queue.push(desk.agenda.next_round(), id);
        } else {
            self.queue.hasten(desk.agenda.next_full(), &id);
        }
    }

    /// Sets up a sender, its first round spread over the first seconds.
    fn set_up(&mut self, plan: SenderPlan) {
        let Some(server) = self.servers.get(plan.id.server()) else {
            return;
        };
        let (id, now) = (plan.id.clone(), Instant::now());
        let first = now + plan.intervals.until_first_round(&mut self.rng);
        let mut desk = Desk {
            backoff: server.backoff(&plan),
            context: Context {
                letter: Letter::default(),
                source: Arc::clone(&server.source),
                clock: self.clock,
                out: self.out.clone(),
            },
            rng: StdRng::from_rng(&mut self.rng),
            failures: 0,
            is_settled: false,
            troubles: Troubles::default(),
            agenda: Agenda::new(plan, now),
        };
        desk.agenda.resume_at(first);
        self.queue.push(first, id.clone());
        self.desks.insert(id, desk);
    }
}

impl<S> Server<S> {
    fn backoff(&self, plan: &SenderPlan) -> Backoff {
        Backoff::new(FIRST_BACKOFF, self.max_backoff.max(plan.intervals.normal))
    }
}

impl<S: Source> Desk<S> {
    /// Asks `server` from now on, as it is by now.
    pub(super) fn follow(&mut self, server: &Server<S>) {
        self.context.source = Arc::clone(&server.source);
        self.backoff = server.backoff(&self.agenda.plan);
    }

    pub(super) fn replan(&mut self, plan: SenderPlan) {
        let server_now = self.context.source.server_now();
        let now = Instant::now();
        self.agenda.replan(plan, server_now, now, &mut self.rng);
    }
}

/// Probes come no less often than the busiest sender would ask.
fn longest_probe<S>(server: &ServerPlan<S>) -> Duration {
    let intervals = server.senders.iter().map(|plan| plan.intervals.normal);
    server.max_backoff.max(intervals.min().unwrap_or_default())
}
