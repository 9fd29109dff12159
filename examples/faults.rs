//! Lets every fault of the simulator befall an exporter, and prints what it
//! told, what it asked and how soon it was well again, as a table.
//!
//! ```sh
//! cargo run --release --example faults -- --api-minor 12
//! ```
//!
//! Requests are counted by the simulator, in the busiest 60 s of a fault and of
//! the health before it. All faults happen at the same time, each to a server
//! and an exporter of its own, in about five minutes.
//!
//! **Invariants.** The exporters are processes of their own and end with this
//! one.

#![expect(
    clippy::print_stdout,
    reason = "an example talks to whoever has started it"
)]

mod stage;

use std::{
    collections::{BTreeMap, VecDeque},
    process::ExitCode,
    time::Duration,
};

use anyhow::ensure;
use clap::Parser;
use cryptshare_exporter::{
    clock::Clock,
    simulator::{Quirks, Scenario, Simulator},
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use stage::Exporter;

/// What is held against each other.
const WINDOW: Duration = Duration::from_mins(1);

/// The first round and what it finds out belong to no window.
const SETTLE: Duration = Duration::from_secs(15);

/// How long a fault lasts.
const FAULT: Duration = Duration::from_mins(2);

/// Whoever is not well again by then never is.
const PATIENCE: Duration = Duration::from_mins(3);

const TICK: Duration = Duration::from_millis(200);

const FAILURES: &str = "cryptshare_exporter_poll_failures_total";
const GOOD_POLL: &str = "cryptshare_exporter_last_successful_poll_timestamp_seconds";

#[derive(Debug, Clone, Copy, Parser)]
struct Options {
    /// The minor version of the simulator's API: from 12 on, transfers are read
    /// in bulk
    #[arg(long, default_value = "12")]
    api_minor: u32,
    /// How many transfers there are, a tenth of which has not ended
    #[arg(long, default_value = "200")]
    transfers: usize,
}

/// What befell one exporter.
struct Row {
    fault: String,
    reasons: Vec<String>,
    healthy: u64,
    sick: u64,
    recovery: Option<Duration>,
}

fn main() -> ExitCode {
    if let Some(ended) = stage::exporter() {
        return ended;
    }
    let runtime = tokio::runtime::Runtime::new().map_err(anyhow::Error::from);
    match runtime.and_then(|runtime| runtime.block_on(all(Options::parse()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Every fault, the worst values that have a word of their own included.
fn faults() -> Vec<Value> {
    let status = |status, code| json!({"kind": "status", "status": status, "errorCode": code});
    let pause = |status| json!({"kind": "status", "status": status, "retryAfter": 20});
    let mut faults = vec![
        status(400, 1004),
        status(401, 3002),
        status(403, 3001),
        status(403, 3002),
        status(404, 1006),
        status(404, 2003),
        status(404, 2004),
        status(406, 0),
        status(429, 2007),
        pause(429),
        status(500, 5000),
        pause(503),
        json!({"kind": "latency", "milliseconds": 6000}),
        json!({"kind": "oversized", "bytes": 2_000_000}),
        json!({"kind": "clock_skew", "skewSeconds": 7200}),
        json!({"kind": "shifted_page", "items": 2}),
        json!({"kind": "redirect", "location": "http://127.0.0.1:1/"}),
    ];
    let plain = "stall reset truncated html wrong_type content_type expired_token \
                 duplicate_items corrupt_item empty_list redirect_loop";
    faults.extend(plain.split_whitespace().map(|kind| json!({"kind": kind})));
    faults
}

async fn all(options: Options) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for (at, fault) in faults().into_iter().enumerate() {
        tasks.spawn(async move { (at, befall(options, fault).await) });
    }
    let mut rows = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (at, row) = done?;
        rows.insert(at, row?);
    }
    println!("| fault | reason | requests in 60 s, health | fault | well again after |");
    println!("|---|---|---|---|---|");
    for row in rows.values() {
        let recovery = row
            .recovery
            .map(|took| format!("{:.0} s", took.as_secs_f64()));
        println!(
            "| {} | {} | {} | {} | {} |",
            row.fault,
            row.reasons.join(", "),
            row.healthy,
            row.sick,
            recovery.as_deref().unwrap_or("never")
        );
    }
    Ok(())
}

async fn befall(options: Options, fault: Value) -> anyhow::Result<Row> {
    let scenario = Scenario {
        seed: 1,
        speed: 0.0,
        senders: 1,
        transfers: options.transfers,
        ended: Some(0.9),
        activity: 0.0,
        api_minor: options.api_minor,
        quirks: Quirks::default(),
        faults: Vec::new(),
        start: Clock::System.now(),
    };
    let simulator = Simulator::bind(([127, 0, 0, 1], 0).into(), scenario).await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("exporter.toml");
    std::fs::write(&file, config(&simulator))?;
    let mut case = Case {
        control: format!("{}/_sim", simulator.base_url()),
        http: reqwest::Client::builder().build()?,
        exporter: Exporter::start(&file, &[], drop)?,
        asked: VecDeque::new(),
    };
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let mut tasks = JoinSet::new();
    tasks.spawn(simulator.serve(stop));
    case.watch(SETTLE).await?;
    case.asked.clear();
    let healthy = case.watch(FAULT).await?;
    let before = case.failures().await?;
    case.asked.clear();
    case.set(&json!([fault])).await?;
    let sick = case.watch(FAULT).await?;
    let after = case.failures().await?;
    case.set(&json!([])).await?;
    Ok(Row {
        fault: name(&fault),
        reasons: more(&before, after),
        healthy,
        sick,
        recovery: case.recovery().await?,
    })
}

/// The fault in a few words.
fn name(fault: &Value) -> String {
    let members = fault.as_object().into_iter().flatten();
    let rest = members.filter(|(name, _)| *name != "kind" && *name != "location");
    let rest = rest.map(|(name, value)| format!(" {name} {value}"));
    let kind = fault["kind"].as_str().unwrap_or_default();
    format!("`{kind}`{}", rest.collect::<String>())
}

/// The reasons that were counted.
fn more(before: &BTreeMap<String, f64>, after: BTreeMap<String, f64>) -> Vec<String> {
    let has_more =
        |(reason, count): &(String, f64)| *count > before.get(reason).copied().unwrap_or_default();
    let reasons: Vec<_> = after.into_iter().filter(has_more).collect();
    if reasons.is_empty() {
        return vec!["none".to_owned()];
    }
    reasons.into_iter().map(|(reason, _)| reason).collect()
}

fn config(simulator: &Simulator) -> String {
    let mut text = format!(
        "[defaults]\npoll_interval = \"5s\"\n\
         [[server]]\nname = \"sim\"\nurl = \"{}\"\nclient_id = \"{}\"\nmax_response_bytes = 1000000\n\
         read_timeout = \"2s\"\nrequest_timeout = \"4s\"\n",
        simulator.base_url(),
        simulator.client_id(),
    );
    let sender = |address: String| format!("[[server.sender]]\nemail = \"{address}\"\n");
    text.extend(simulator.senders().into_iter().map(sender));
    text
}

/// A server, its exporter, and how often it was asked by when.
struct Case {
    control: String,
    http: reqwest::Client,
    exporter: Exporter,
    asked: VecDeque<(Instant, u64)>,
}

impl Case {
    /// Watches for so long; the answer is the most requests in one window.
    async fn watch(&mut self, time: Duration) -> anyhow::Result<u64> {
        let begin = Instant::now();
        let mut most = 0;
        while begin.elapsed() < time {
            let now = Instant::now();
            let asked = self.requests().await?;
            self.asked.push_back((now, asked));
            let is_old = |(at, _): &mut (Instant, u64)| now.duration_since(*at) > WINDOW;
            while self.asked.pop_front_if(is_old).is_some() {}
            let first = self.asked.front().map_or(asked, |(_, first)| *first);
            most = most.max(asked - first);
            sleep(TICK).await;
        }
        Ok(most)
    }

    /// Requests that the server has had, for whatever.
    async fn requests(&self) -> anyhow::Result<u64> {
        let request = self.http.get(format!("{}/requests", self.control));
        let answer: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
        let counts = answer.as_object().into_iter().flatten();
        Ok(counts.filter_map(|(_, count)| count.as_u64()).sum())
    }

    async fn set(&self, faults: &Value) -> anyhow::Result<()> {
        let request = self.http.put(format!("{}/faults", self.control));
        let answer = request.body(faults.to_string()).send().await?;
        ensure!(
            answer.status().is_success(),
            "the simulator refuses {faults}"
        );
        Ok(())
    }

    /// Waits for a good round that has begun since now.
    async fn recovery(&self) -> anyhow::Result<Option<Duration>> {
        let (begin, since) = (Instant::now(), Clock::System.now());
        let since = since.as_duration().as_secs_f64();
        while begin.elapsed() < PATIENCE {
            let good = self.samples(GOOD_POLL).await?;
            if good.values().any(|at| *at > since) {
                return Ok(Some(begin.elapsed()));
            }
            sleep(TICK).await;
        }
        Ok(None)
    }

    /// Failures by reason.
    async fn failures(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        self.samples(FAILURES).await
    }

    /// The samples of a family by their label `reason`, if they have one.
    async fn samples(&self, family: &str) -> anyhow::Result<BTreeMap<String, f64>> {
        let request = self.http.get(format!("{}/metrics", self.exporter.url));
        let text = request.send().await?.text().await?;
        let own = text.lines().filter(|line| line.starts_with(family));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let reason = series.split_once("reason=\"").map_or("", |(_, rest)| rest);
            let (reason, _) = reason.split_once('"').unwrap_or_default();
            Some((reason.to_owned(), value.parse().ok()?))
        };
        Ok(own.filter_map(sample).collect())
    }
}
