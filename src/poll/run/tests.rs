//! A day of polling on the paused clock, against a source without a socket.
//!
//! **Invariants.** No socket: a paused clock would fire its deadlines at once.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::time::sleep;

use super::*;
use crate::{
    model::{State, TrackingId, Transfer, Verification},
    poll::{Intervals, SenderPlan, ServerPlan},
};

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(20);

/// A server that notes when it was asked for what.
#[derive(Debug, Default)]
struct Fake {
    states: Mutex<BTreeMap<String, State>>,
    asked: Mutex<Vec<(Instant, String)>>,
    down: AtomicBool,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Fake {
    async fn ask(&self, what: &str) -> Result<(), Failure> {
        let note = (Instant::now(), what.to_owned());
        self.asked.lock().unwrap().push(note);
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        sleep(LATENCY).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(Failure {
                reason: Reason::Server,
                retry_after: None,
                chain: "down".to_owned(),
            });
        }
        Ok(())
    }

    fn reading(id: &str, state: State) -> Transfer {
        Transfer {
            state: Some(state),
            ..Transfer::untold(TrackingId::parse(id).unwrap())
        }
    }

    fn times(&self, what: &str) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        let of = asked.iter().filter(|(_, asked)| asked == what);
        of.map(|(at, _)| *at).collect()
    }

    /// The largest number of requests in any window of a minute.
    fn busiest_minute(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        let times: Vec<_> = asked.iter().map(|(at, _)| *at).collect();
        let minute = Duration::from_mins(1);
        let window = |from: Instant| {
            times
                .iter()
                .filter(move |at| **at >= from && **at < from + minute)
        };
        times
            .iter()
            .map(|from| window(*from).count())
            .max()
            .unwrap_or(0)
    }
}

impl Source for Fake {
    async fn list(&self, _: &SenderId) -> Result<Vec<Transfer>, Failure> {
        self.ask("list").await?;
        let states = self.states.lock().unwrap();
        Ok(states
            .iter()
            .map(|(id, state)| Self::reading(id, *state))
            .collect())
    }

    async fn inspect(&self, _: &SenderId, id: &TrackingId) -> Result<Transfer, Failure> {
        self.ask(id.as_str()).await?;
        let state = self.states.lock().unwrap().get(id.as_str()).copied();
        match state {
            Some(state) => Ok(Self::reading(id.as_str(), state)),
            None => Err(Failure {
                reason: Reason::NotFound,
                retry_after: None,
                chain: "unknown".to_owned(),
            }),
        }
    }

    async fn verify(&self, _: &SenderId) -> Result<(), Failure> {
        self.ask("verify").await
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
}

fn plan(discover: bool, named: &[&str]) -> Settings {
    let sender = SenderPlan {
        id: SenderId::new("prod", "ada@example.com"),
        label: "ada".to_owned(),
        discover,
        intervals: Intervals {
            normal: Duration::from_mins(1),
            processing: Duration::from_secs(5),
            rare: Duration::from_hours(1),
        },
        max_age: None,
        named: named
            .iter()
            .map(|id| TrackingId::parse(id).unwrap())
            .collect(),
    };
    Settings {
        servers: vec![ServerPlan {
            name: "prod".to_owned(),
            max_backoff: Duration::from_mins(1),
            senders: vec![sender],
        }],
    }
}

/// Polls `fake` for `time`.
async fn poll_for(fake: &Arc<Fake>, settings: Settings, time: Duration) {
    let (out, mut inbox) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let sources = Sources::from([("prod".to_owned(), Arc::clone(fake))]);
    let telemetry = Telemetry::new().unwrap();
    let clock = Clock::anchored(Timestamp::UNIX_EPOCH);
    let run = run(sources, settings, clock, telemetry, out, stop.clone());
    let drain = async { while inbox.recv().await.is_some() {} };
    let end = async {
        sleep(time).await;
        stop.cancel();
    };
    let (ended, (), ()) = tokio::join!(run, drain, end);
    ended.unwrap();
}

fn fake(states: &[(&str, State)]) -> Arc<Fake> {
    let fake = Fake::default();
    let own = |(id, state): &(&str, State)| ((*id).to_owned(), *state);
    *fake.states.lock().unwrap() = states.iter().map(own).collect();
    Arc::new(fake)
}

#[tokio::test(start_paused = true)]
async fn a_day_costs_what_can_still_change() {
    let fake = fake(&[
        ("active", State::Active),
        ("ended", State::DeletedByAdmin),
        ("old", State::Unknown),
    ]);
    let begin = Instant::now();
    poll_for(&fake, plan(true, &[]), Duration::from_hours(24)).await;
    let first = fake.times("list").first().copied().unwrap();
    assert!(first - begin <= Duration::from_secs(10));
    let (lists, reads) = (fake.times("list").len(), fake.times("active").len());
    assert!((1200..=1700).contains(&lists), "{lists} listings in a day");
    assert!((1200..=1700).contains(&reads), "{reads} reads in a day");
    assert_eq!(fake.times("ended").len(), 0, "what had ended is not read");
    assert!((20..=30).contains(&fake.times("old").len()));
    let gaps = fake.times("active");
    let gaps = gaps.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(
        gaps.max().unwrap() <= Duration::from_secs(80),
        "no starvation"
    );
}

#[tokio::test(start_paused = true)]
async fn processing_is_read_quickly_and_an_end_once() {
    let fake = fake(&[("t", State::Processing)]);
    poll_for(&fake, plan(true, &[]), Duration::from_secs(70)).await;
    let quick = fake.times("t").len();
    assert!((9..=16).contains(&quick), "{quick} reads in 70 s");
    fake.asked.lock().unwrap().clear();
    fake.states
        .lock()
        .unwrap()
        .insert("t".to_owned(), State::DeletedByAdmin);
    let named = plan(false, &["t"]);
    poll_for(&fake, named, Duration::from_hours(1)).await;
    assert_eq!(fake.times("t").len(), 1, "one last read");
    let verified = fake.times("verify").len();
    assert!(
        (50..=70).contains(&verified),
        "{verified} polls with nothing due"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_in_trouble_is_asked_no_more_than_one_in_health() {
    let names: Vec<_> = (0..200).map(|n| format!("t{n}")).collect();
    let states: Vec<_> = names.iter().map(|n| (n.as_str(), State::Active)).collect();
    let fake = fake(&states);
    poll_for(&fake, plan(true, &[]), Duration::from_mins(10)).await;
    let healthy = fake.busiest_minute();
    assert!(fake.most_under_way.load(Ordering::SeqCst) <= 16);
    fake.asked.lock().unwrap().clear();
    fake.down.store(true, Ordering::SeqCst);
    poll_for(&fake, plan(true, &[]), Duration::from_mins(10)).await;
    let sick = fake.busiest_minute();
    assert!(
        sick <= 2 && sick < healthy,
        "{sick} requests against {healthy}"
    );
    fake.asked.lock().unwrap().clear();
    fake.down.store(false, Ordering::SeqCst);
    poll_for(&fake, plan(true, &[]), Duration::from_mins(2)).await;
    assert!(
        !fake.times("t199").is_empty(),
        "polling comes back by itself"
    );
}

#[tokio::test(start_paused = true)]
async fn a_round_of_reads_stops_after_a_few_failures_in_a_row() {
    let names: Vec<_> = (0..200).map(|n| format!("t{n}")).collect();
    let ids: Vec<_> = names.iter().map(String::as_str).collect();
    let fake = fake(&[]);
    fake.down.store(true, Ordering::SeqCst);
    poll_for(&fake, plan(false, &ids), Duration::from_mins(1)).await;
    let asked = fake.asked.lock().unwrap().len();
    assert!(asked <= 40, "{asked} requests to a server that is down");
}
