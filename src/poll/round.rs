//! One poll: a round of a sender, its listing and the single reads due.
//!
//! **Invariants.** A failure is data. A round whose server does not answer
//! stops after a few failures in a row, and none outlasts the sender's
//! interval by more than the reads under way, however much was due.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::Rng;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    SenderPlan,
    agenda::{Agenda, Progress},
    breaker::{Refusal, Streak},
    source::{Failure, Source},
};
use crate::{
    clock::Clock,
    cryptshare::Extent,
    model::{Concern, Finding, Observation, Reason, Round, TrackingId, Transfer},
};

/// Single reads under way at a time; the server's budget limits further.
const READS_AT_A_TIME: usize = 16;

/// After this many failures in a row that concern the server or the sender,
/// the rest of the round is not asked.
const FAILURES_IN_A_ROW: u32 = 5;

/// What a round needs of the world.
#[derive(Debug)]
pub(super) struct Context<S> {
    /// A new plan that has come meanwhile.
    pub(super) letter: Letter,
    pub(super) source: Arc<S>,
    pub(super) clock: Clock,
    pub(super) out: mpsc::Sender<Observation>,
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self {
            letter: self.letter.clone(),
            source: Arc::clone(&self.source),
            clock: self.clock,
            out: self.out.clone(),
        }
    }
}

/// Where a new plan waits for its sender while a round of it is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Letter(Arc<Mutex<Option<SenderPlan>>>);

impl Letter {
    /// Lays down a plan, in place of one that lies there.
    pub(super) fn put(&self, plan: SenderPlan) {
        *self.lock() = Some(plan);
    }

    /// The plan that lies there, if there is one.
    pub(super) fn take(&self) -> Option<SenderPlan> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<SenderPlan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a round went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whether the round was a full one.
    pub(super) is_full: bool,
    /// Why the round could not talk to the server, if it could not.
    pub(super) failure: Option<Failure>,
    /// Failures of single reads, the first of each reason.
    pub(super) single: BTreeMap<Reason, Failure>,
    /// What the round proves about the server.
    pub(super) streak: Streak,
}

/// The progress of the single reads.
#[derive(Debug, Default)]
struct Reads {
    good: u32,
    bad_in_a_row: u32,
    failures: BTreeMap<Reason, Failure>,
    streak: Streak,
}

/// Runs one round to its end and reports it.
pub(super) async fn run<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    rng: &mut impl Rng,
) -> Outcome {
    let now = Instant::now();
    let is_full = agenda.begin(now, rng);
    let mut outcome = Outcome {
        is_full,
        ..Outcome::default()
    };
    let lists = is_full && agenda.plan.scope.discovers();
    if lists {
        let listed = list(agenda, context, &mut outcome.streak, rng).await;
        outcome.failure = listed.err();
    }
    let glances = !lists && agenda.prefers_a_page(now);
    if glances {
        let told = glance(agenda, context, &mut outcome.streak, rng).await;
        outcome.failure = told.err();
    }
    if outcome.failure.is_none() && (lists || glances || agenda.is_due(now)) {
        let reads = inspect_all(agenda, context, rng).await;
        outcome.take_in(reads, lists || glances);
    } else if outcome.failure.is_none() {
        let asked = context.source.verify(&agenda.plan.id).await;
        outcome.streak.note(asked.as_ref().err());
        outcome.failure = asked.err();
    }
    report(agenda, context, outcome.failure.as_ref().map(|f| f.reason)).await;
    outcome
}

/// One page of the newest, in place of many reads.
async fn glance<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    streak: &mut Streak,
    rng: &mut impl Rng,
) -> Result<(), Failure> {
    let mut progress = Progress::new(Extent::Newest, Instant::now());
    read_pages(agenda, context, &mut progress, streak, rng).await?;
    agenda.page_ended(Instant::now());
    Ok(())
}

async fn list<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    streak: &mut Streak,
    rng: &mut impl Rng,
) -> Result<(), Failure> {
    let mut progress = agenda.begin_listing(Instant::now());
    if let Err(failure) = read_pages(agenda, context, &mut progress, streak, rng).await {
        agenda.break_listing(progress);
        return Err(failure);
    }
    let ended = context.source.server_now().min(context.clock.now());
    if agenda.listed(&progress, ended, Instant::now(), rng) {
        let ids = progress.ids;
        let scope = agenda.plan.scope;
        send(agenda, context, Finding::Listed { ids, ended, scope }).await;
    }
    Ok(())
}

/// Passes on each page as it comes, so that no listing is held in memory.
async fn read_pages<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    progress: &mut Progress,
    streak: &mut Streak,
    rng: &mut impl Rng,
) -> Result<(), Failure> {
    loop {
        let server_now = context.source.server_now();
        let page = {
            let judge = |listed: &Transfer| agenda.judge(listed, server_now);
            let listing = &mut progress.listing;
            context.source.page(&agenda.plan.id, listing, &judge).await
        };
        streak.note(page.as_ref().err());
        let Some(page) = page? else {
            return Ok(());
        };
        let page = agenda.seen(page, server_now, Instant::now(), rng);
        let ids = page.iter().map(|transfer| transfer.id.clone());
        progress.ids.extend(ids);
        if !page.is_empty() {
            send(agenda, context, Finding::Seen(page)).await;
        }
    }
}

/// Reads what is due, the most urgent first; what there was no time for, or no
/// server, stays due. What is watched no more is not read to the end.
async fn inspect_all<S: Source>(
    agenda: &mut Agenda,
    context: &Context<S>,
    rng: &mut impl Rng,
) -> Reads {
    let mut under_way = JoinSet::new();
    let mut reads = Reads::default();
    open_letter(agenda, context, rng);
    let end = Instant::now() + agenda.plan.intervals.normal;
    loop {
        while under_way.len() < READS_AT_A_TIME && reads.may_go_on(end) {
            let Some(id) = agenda.take_due(Instant::now()) else {
                break;
            };
            let (source, sender) = (Arc::clone(&context.source), agenda.plan.id.clone());
            under_way.spawn(async move {
                let answer = source.inspect(&sender, &id).await;
                (id, answer)
            });
        }
        let read = under_way.join_next().await;
        open_letter(agenda, context, rng);
        match read {
            Some(Ok((id, _))) if !agenda.waits_for(&id) => {}
            Some(Ok((id, answer))) => {
                reads.note(&id, answer.as_ref().err());
                take(agenda, context, (id, answer), rng).await;
            }
            Some(Err(error)) => propagate(error),
            None => break,
        }
    }
    if reads.has_trouble() {
        agenda.postpone_due(Instant::now());
    }
    reads
}

/// Follows a plan that has come meanwhile.
fn open_letter<S: Source>(agenda: &mut Agenda, context: &Context<S>, rng: &mut impl Rng) {
    if let Some(plan) = context.letter.take() {
        agenda.replan(plan, context.source.server_now(), Instant::now(), rng);
    }
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
    let mut gone = Vec::new();
    match answer {
        Ok(reading) => {
            gone = agenda.inspected(&reading, now, rng);
            send(agenda, context, Finding::Inspected(reading)).await;
        }
        Err(failure) if failure.reason == Reason::NotFound => gone = agenda.gone(id, now, rng),
        Err(_) => agenda.postpone(id, now),
    }
    for id in gone {
        send(agenda, context, Finding::Gone(id)).await;
    }
}

/// Tells that a round is over, or that the open breaker did not let it begin.
pub(super) async fn report<S: Source>(
    agenda: &Agenda,
    context: &Context<S>,
    failure: Option<Reason>,
) {
    let round = Round {
        failure,
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

impl Streak {
    /// Takes in how one call went.
    fn note(&mut self, failure: Option<&Failure>) {
        match failure {
            Some(failure) if failure.reason.concerns() == Concern::Server => {
                self.retry_after = self.retry_after.max(failure.retry_after);
                self.failures = self.failures.saturating_add(1);
                self.reason = Some(failure.reason);
            }
            // Without a token nothing was asked, or what was asked for was one.
            Some(failure) if failure.reason.concerns() == Concern::Sender => {}
            Some(_) | None => {
                self.was_answered = true;
                self.failures = 0;
                self.reason = None;
            }
        }
    }
}

impl Reads {
    fn note(&mut self, id: &TrackingId, failure: Option<&Failure>) {
        self.streak.note(failure);
        let concern = failure.map(|failure| failure.reason.concerns());
        self.bad_in_a_row = match concern {
            Some(Concern::Server | Concern::Sender) => self.bad_in_a_row + 1,
            Some(Concern::Request) | None => 0,
        };
        let could_talk = failure.is_none_or(|failure| failure.reason == Reason::NotFound);
        self.good += u32::from(could_talk);
        if let Some(failure) = failure {
            let known = self.failures.entry(failure.reason);
            known.or_insert_with(|| Failure {
                tracking_id: Some(id.clone()),
                ..failure.clone()
            });
        }
    }

    fn may_go_on(&self, end: Instant) -> bool {
        !self.has_trouble() && Instant::now() < end
    }

    /// Whether further reads would only be a burden.
    fn has_trouble(&self) -> bool {
        self.bad_in_a_row >= FAILURES_IN_A_ROW || self.streak.retry_after.is_some()
    }

    /// Why no read was any good, if none was.
    fn failure(&mut self) -> Option<Failure> {
        match self.good {
            0 => self.failures.pop_first().map(|(_, failure)| failure),
            _ => None,
        }
    }
}

impl Outcome {
    /// The outcome of a round that the open breaker did not let begin.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let failure = Failure {
            reason: refusal.reason,
            retry_after: None,
            tracking_id: None,
            chain: format!("the server is left alone for a while: {}", refusal.error),
        };
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// Takes in the reads. A listing that was read proves that the round could
    /// talk.
    fn take_in(&mut self, mut reads: Reads, lists: bool) {
        if !lists {
            self.failure = reads.failure();
        }
        self.single = reads.failures;
        let was_answered = self.streak.was_answered || reads.streak.was_answered;
        self.streak = Streak {
            was_answered,
            ..reads.streak
        };
    }
}
