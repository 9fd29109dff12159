//! The scheduler on the paused clock, against a source without a socket.
//!
//! **Invariants.** No socket: a paused clock would fire its deadlines at once.

mod bulk;
mod changes;
mod living;
mod plans;
mod restart;
mod rhythm;
mod suspicion;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rand::SeedableRng;
use tokio::time::sleep;

use super::*;
use crate::{
    budget::Budget,
    cryptshare::{Judge, Leaf, Listing, Style, answers::Page},
    model::{Discover, Finding, Scope, State, TrackingId, Transfer, Verification, View},
    poll::{Intervals, SenderPlan, ServerPlan},
};

const MINUTE: Duration = Duration::from_mins(1);
const SERVER: &str = "prod";

/// One call, as the server saw it begin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    at: Instant,
    sender: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    List,
    Verify,
    Inspect(TrackingId),
}

/// What goes wrong, and where.
#[derive(Debug, Clone, Copy)]
struct Fault {
    reason: Reason,
    retry_after: Option<Duration>,
    concerns: fn(&What) -> bool,
}

impl Fault {
    fn everywhere(reason: Reason) -> Self {
        Self {
            reason,
            retry_after: None,
            concerns: |_| true,
        }
    }
}

/// A server that notes when it was asked for what.
struct Fake {
    states: Mutex<Vec<BTreeMap<TrackingId, State>>>,
    calls: Mutex<Vec<Call>>,
    fault: Mutex<Option<Fault>>,
    latency: Mutex<Duration>,
    budget: Budget,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    begin: Instant,
    style: Mutex<Style>,
    /// Each so many-th call fails.
    flaky: AtomicUsize,
    asked: AtomicUsize,
    /// This page comes empty once, if it is the next.
    lost_page: AtomicUsize,
    /// What the listings leave out.
    hides: Mutex<fn(&TrackingId) -> bool>,
}

impl Fake {
    /// A server whose senders have these transfers.
    fn new(states: Vec<BTreeMap<TrackingId, State>>) -> Arc<Self> {
        Self::limited(states, Budget::new(16, 100_000))
    }

    fn limited(states: Vec<BTreeMap<TrackingId, State>>, budget: Budget) -> Arc<Self> {
        Arc::new(Self {
            states: Mutex::new(states),
            calls: Mutex::default(),
            fault: Mutex::default(),
            latency: Mutex::new(Duration::from_millis(20)),
            budget,
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            begin: Instant::now(),
            style: Mutex::new(Style::Plain),
            flaky: AtomicUsize::new(usize::MAX),
            asked: AtomicUsize::new(0),
            lost_page: AtomicUsize::new(0),
            hides: Mutex::new(|_| false),
        })
    }

    /// Lists whole transfers from now on.
    fn list_in_bulk(&self) {
        *self.style.lock().unwrap() = Style::Bulk;
    }

    /// Lists ids and states from now on.
    fn list_plainly(&self) {
        *self.style.lock().unwrap() = Style::Plain;
    }

    fn hide(&self, hides: fn(&TrackingId) -> bool) {
        *self.hides.lock().unwrap() = hides;
    }

    /// Ids and states come in one page, however many there are.
    fn page_of(&self, sender: usize, leaf: Leaf, style: Style) -> Page {
        let (states, hides) = (self.states.lock().unwrap(), *self.hides.lock().unwrap());
        let listed = states[sender].iter().filter(|(id, state)| {
            let is_selected = !leaf.is_active || **state == State::Active;
            !hides(id) && is_selected
        });
        if style == Style::Plain {
            return Page {
                transfers: listed.map(reading).collect(),
                items: 0,
            };
        }
        let [page, size] = [leaf.page, leaf.size].map(|n| usize::try_from(n).unwrap());
        let listed = listed.skip((page - 1) * size).take(size);
        let transfers: Vec<_> = listed.map(whole).collect();
        Page {
            items: transfers.len(),
            transfers,
        }
    }

    async fn ask(&self, sender: &SenderId, what: What) -> Result<usize, Failure> {
        let sender = number(sender);
        let _permit = self.budget.admit().await;
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        self.calls.lock().unwrap().push(Call {
            at: Instant::now(),
            sender,
            what: what.clone(),
        });
        let latency = *self.latency.lock().unwrap();
        sleep(latency).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if asked.is_multiple_of(self.flaky.load(Ordering::SeqCst)) {
            return Err(failure(Reason::Server, None));
        }
        let fault = *self.fault.lock().unwrap();
        match fault.filter(|fault| (fault.concerns)(&what)) {
            Some(fault) => Err(failure(fault.reason, fault.retry_after)),
            None => Ok(sender),
        }
    }

    fn set(&self, sender: usize, id: &str, state: State) {
        self.states.lock().unwrap()[sender].insert(id_of(id), state);
    }

    fn break_down(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    fn recover(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// The calls so far, which are then forgotten.
    fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl Source for Fake {
    async fn page(
        &self,
        sender: &SenderId,
        listing: &mut Listing,
        judge: Judge<'_>,
    ) -> Result<Option<Vec<Transfer>>, Failure> {
        let style = *self.style.lock().unwrap();
        if listing.style() != Some(style) {
            listing.begin(style, 100);
        }
        let Some(leaf) = listing.next() else {
            return Ok(None);
        };
        let sender = self.ask(sender, What::List).await?;
        let mut page = self.page_of(sender, leaf, style);
        if self.lost_page.swap(0, Ordering::SeqCst) == usize::try_from(leaf.page).unwrap() {
            page.transfers.clear();
            page.items = 0;
        }
        Ok(Some(listing.take(Ok(page), judge).unwrap()))
    }

    async fn inspect(&self, sender: &SenderId, id: &TrackingId) -> Result<Transfer, Failure> {
        let sender = self.ask(sender, What::Inspect(id.clone())).await?;
        let states = self.states.lock().unwrap();
        let found = states[sender].get_key_value(id).map(reading);
        found.ok_or_else(|| failure(Reason::NotFound, None))
    }

    async fn verify(&self, sender: &SenderId) -> Result<(), Failure> {
        self.ask(sender, What::Verify).await.map(|_| ())
    }

    async fn verification(&self, _: &SenderId) -> Verification {
        Verification::Unknown
    }

    fn clock_offset(&self) -> Option<f64> {
        None
    }

    fn server_now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn is_same_as(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

fn reading((id, state): (&TrackingId, &State)) -> Transfer {
    Transfer {
        state: Some(*state),
        recipients: Some(Vec::new()),
        files: Some(Vec::new()),
        ..Transfer::untold(id.clone())
    }
}

/// A reading that leaves nothing to be read singly.
fn whole(told: (&TrackingId, &State)) -> Transfer {
    Transfer {
        warnings: Some(false),
        eml_creation_failed: Some(false),
        sender_notification_failed: Some(false),
        expires_at: Some(Timestamp::MAX),
        size_bytes: Some(1),
        ..reading(told)
    }
}

fn failure(reason: Reason, retry_after: Option<Duration>) -> Failure {
    Failure {
        reason,
        retry_after,
        tracking_id: None,
        chain: "by a test".to_owned(),
    }
}

fn id_of(text: &str) -> TrackingId {
    TrackingId::parse(text).unwrap()
}

/// The single reads among the calls.
fn reads(calls: &[Call]) -> Vec<&str> {
    let read = calls.iter().filter_map(|call| match &call.what {
        What::Inspect(id) => Some(id.as_str()),
        What::List | What::Verify => None,
    });
    read.collect()
}

/// The address of the `n`-th sender, and back.
fn sender_id(n: usize) -> SenderId {
    SenderId::new(SERVER, &format!("{n}@example.com"))
}

fn number(sender: &SenderId) -> usize {
    let (number, _) = sender.address().split_once('@').unwrap();
    number.parse().unwrap()
}

/// `count` transfers called `name-0` and so on, in `state`.
fn transfers(name: &str, count: usize, state: State) -> BTreeMap<TrackingId, State> {
    let one = |n| (id_of(&format!("{name}-{n}")), state);
    (0..count).map(one).collect()
}

/// A sender that discovers, polled each minute.
fn plan(n: usize) -> SenderPlan {
    SenderPlan {
        id: sender_id(n),
        label: n.to_string(),
        scope: Scope {
            discover: Discover::Everything,
            max_age: None,
        },
        intervals: Intervals {
            normal: MINUTE,
            processing: Duration::from_secs(5),
            rare: Duration::from_hours(1),
            listing: Duration::from_hours(1),
        },
        named: BTreeSet::new(),
        known: None,
    }
}

fn plans(count: usize, change: impl Fn(&mut SenderPlan)) -> Vec<SenderPlan> {
    let mut plans: Vec<_> = (0..count).map(plan).collect();
    plans.iter_mut().for_each(change);
    plans
}

/// One server with these senders.
fn settings(fake: &Arc<Fake>, senders: Vec<SenderPlan>) -> Settings<Fake> {
    let server = ServerPlan {
        name: SERVER.to_owned(),
        source: Arc::clone(fake),
        max_backoff: MINUTE,
        senders,
    };
    Settings {
        servers: vec![server],
    }
}

/// A scheduler at work on a fake server.
struct Run {
    fake: Arc<Fake>,
    telemetry: Telemetry,
    stop: CancellationToken,
    changes: mpsc::Sender<Change<Fake>>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    observed: Arc<Mutex<Vec<Observation>>>,
    drain: tokio::task::JoinHandle<()>,
}

impl Run {
    fn start(fake: &Arc<Fake>, plans: Vec<SenderPlan>) -> Self {
        Self::start_with(fake, plans, Pulse::unheard())
    }

    #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
    fn start_with(fake: &Arc<Fake>, senders: Vec<SenderPlan>, pulse: Pulse) -> Self {
        let (out, mut inbox) = mpsc::channel(16);
        let observed = Arc::new(Mutex::new(Vec::new()));
        let (change, changes) = mpsc::channel(1);
        let (telemetry, stop) = (Telemetry::new().unwrap(), CancellationToken::new());
        let surroundings = Surroundings {
            clock: Clock::anchored(Timestamp::UNIX_EPOCH),
            rng: StdRng::seed_from_u64(7),
            telemetry: telemetry.clone(),
            pulse,
            changes,
            out,
            stop: stop.clone(),
        };
        let task = tokio::spawn(run(settings(fake, senders), surroundings));
        let kept = Arc::clone(&observed);
        let drain = tokio::spawn(async move {
            while let Some(observation) = inbox.recv().await {
                // No more is looked at, and a week is long.
                if matches!(
                    observation.finding,
                    Finding::RoundEnded(_) | Finding::Gone(_) | Finding::Listed { .. }
                ) {
                    kept.lock().unwrap().push(observation);
                }
            }
        });
        Self {
            fake: Arc::clone(fake),
            telemetry,
            stop,
            changes: change,
            task,
            observed,
            drain,
        }
    }

    /// The calls that begin within `time` from now on.
    async fn calls_within(&self, time: Duration) -> Vec<Call> {
        drop(self.fake.take_calls());
        sleep(time).await;
        self.fake.take_calls()
    }

    /// The failures of the rounds that ended so far, which are then forgotten.
    fn take_rounds(&self) -> Vec<(usize, Option<Reason>)> {
        let observed = std::mem::take(&mut *self.observed.lock().unwrap());
        let round = |observation: Observation| match observation.finding {
            Finding::RoundEnded(round) => Some((number(&observation.sender), round.failure)),
            Finding::Seen(_)
            | Finding::Listed { .. }
            | Finding::Inspected(_)
            | Finding::Gone(_) => None,
        };
        observed.into_iter().filter_map(round).collect()
    }

    /// What is gone by now.
    fn take_gone(&self) -> Vec<TrackingId> {
        let observed = std::mem::take(&mut *self.observed.lock().unwrap());
        let gone = observed.into_iter().filter_map(|one| match one.finding {
            Finding::Gone(id) => Some(id),
            Finding::Seen(_)
            | Finding::Listed { .. }
            | Finding::Inspected(_)
            | Finding::RoundEnded(_) => None,
        });
        gone.collect()
    }

    /// How many transfers each listing had that was believed.
    fn take_listed(&self) -> Vec<usize> {
        let observed = std::mem::take(&mut *self.observed.lock().unwrap());
        let listed = observed.into_iter().filter_map(|one| match one.finding {
            Finding::Listed { ids, .. } => Some(ids.len()),
            Finding::Seen(_)
            | Finding::Gone(_)
            | Finding::Inspected(_)
            | Finding::RoundEnded(_) => None,
        });
        listed.collect()
    }

    /// The sum of a family's samples; zero if there are none yet.
    fn metric(&self, name: &str) -> f64 {
        let families = crate::exposition::registry::gather(self.telemetry.registry(), &[]);
        let own = families.iter().filter(|family| family.name == name);
        let value = |value: &crate::exposition::Value| match value {
            crate::exposition::Value::Number(number) => *number,
            crate::exposition::Value::Histogram { sum, .. } => *sum,
            crate::exposition::Value::Count(_) => 0.0,
        };
        let samples = own.flat_map(|family| &family.samples);
        samples.map(|sample| value(&sample.value)).sum()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.drain.await.unwrap();
    }
}

/// The largest number of calls that begin in any window of this length.
fn busiest(calls: &[Call], window: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, call) in calls.iter().enumerate() {
        while calls[first].at + window <= call.at {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// The times of the calls for each thing that was asked for.
fn times(calls: &[Call]) -> HashMap<(usize, String), Vec<Instant>> {
    let mut times: HashMap<_, Vec<_>> = HashMap::new();
    for call in calls {
        let what = match &call.what {
            What::List => "list",
            What::Verify => "verify",
            What::Inspect(id) => id.as_str(),
        };
        let key = (call.sender, what.to_owned());
        times.entry(key).or_default().push(call.at);
    }
    times
}

/// The times between neighbors.
fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}
