//! Kills the exporter at random moments, restarts it, and holds every counter
//! against the simulator's truth.
//!
//! ```sh
//! cargo run --release --example crash -- --kills 1000 --seed 7
//! ```
//!
//! The simulator lives fast and fails at random; more than half of the kills
//! wait for the begin of a commit. The last line is the verdict.
//!
//! **Invariants.** The exporter is a process of its own and dies by SIGKILL.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "an example talks to whoever has started it, and a missing member of JSON is null"
)]

mod stage;

use std::{
    collections::BTreeMap,
    path::Path,
    process::ExitCode,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use cryptshare_exporter::{
    clock::Clock,
    simulator::{Quirks, Scenario, Simulator},
};
use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// The longest wait for any condition, and for a counter to move.
const LIMIT: Duration = Duration::from_mins(1);

/// The longest wait for the verdict, however the counters move.
const PATIENCE: Duration = Duration::from_mins(10);

/// The longest wait for the begin of a commit: where nothing happens, none is.
const COMMIT_LIMIT: Duration = Duration::from_secs(3);

/// How fast the simulated time runs.
const SPEED: u32 = 900;

/// The simulated time that a life may take on the average, before time runs
/// slower: on a busy machine a life takes longer, and the world would outgrow
/// what can be read.
const TIME_PER_LIFE: Duration = Duration::from_mins(20);

#[derive(Debug, Clone, Copy, Parser)]
struct Options {
    /// How often to kill
    #[arg(long, default_value = "50")]
    kills: u32,
    /// The seed of the simulator and of the moments
    #[arg(long, default_value = "1")]
    seed: u64,
    /// The minor version of the simulator's API: from 12 on, transfers are read
    /// in bulk
    #[arg(long, default_value = "12")]
    api_minor: u32,
}

fn main() -> ExitCode {
    if let Some(ended) = stage::exporter() {
        return ended;
    }
    match tokio::runtime::Runtime::new().map(|runtime| runtime.block_on(crash(Options::parse()))) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole story; `true` if every counter equals the truth.
async fn crash(options: Options) -> anyhow::Result<bool> {
    let scenario = Scenario {
        seed: options.seed,
        speed: 0.0,
        senders: 2,
        transfers: 60,
        ended: None,
        activity: 4.0,
        api_minor: options.api_minor,
        quirks: Quirks::default(),
        faults: Vec::new(),
        start: Clock::System.now(),
    };
    let loopback = ([127, 0, 0, 1], 0).into();
    let simulator = Simulator::bind(loopback, scenario).await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("exporter.toml");
    std::fs::write(&file, config(&simulator, directory.path()))?;
    let world = World {
        url: format!("{}/_sim", simulator.base_url()),
        http: reqwest::Client::builder().build()?,
    };
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(simulator.serve(stop));
    story(options, &world, &file).await
}

async fn story(options: Options, world: &World, file: &Path) -> anyhow::Result<bool> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    // The baseline is taken while nothing happens.
    let first = Exporter::start(file)?;
    first.polled().await?;
    world.post("mark", json!({})).await?;
    let begin = world.now().await?;
    let mut exporter = first;
    let mut in_commit = 0;
    for life in 1..=options.kills {
        let is_ahead =
            world.now().await?.duration_since(begin) > (TIME_PER_LIFE * life).try_into()?;
        let speed = if is_ahead { SPEED / 10 } else { SPEED };
        world.post("clock", json!({"speed": speed})).await?;
        world.put("faults", fault(&mut rng)).await?;
        sleep(Duration::from_millis(rng.random_range(20..400))).await;
        let aims = rng.random_bool(0.8);
        in_commit += u32::from(exporter.kill(aims, &mut rng)?);
        exporter = Exporter::start(file)?;
    }
    world.put("faults", json!([])).await?;
    world.post("clock", json!({"speed": 0})).await?;
    let (lost, doubled, events) = verdict(&exporter, world).await?;
    println!(
        "{} kills, {in_commit} in commit, {events} events, {lost} lost, {doubled} doubled",
        options.kills
    );
    Ok(lost + doubled == 0)
}

/// Waits until every counter equals the truth, or until none has moved for the
/// limit; the answer is what is missing, what is too much, and how much there was.
async fn verdict(exporter: &Exporter, world: &World) -> anyhow::Result<(u64, u64, u64)> {
    let truth = truth(&world.get("totals").await?["totals"]);
    let begin = Instant::now();
    let (mut before, mut moved) = (0, begin);
    loop {
        let seen = exporter.counters().await.unwrap_or_default();
        let (mut lost, mut doubled) = (0, 0);
        for (child, count) in &truth {
            let seen = seen.get(child).copied().unwrap_or_default();
            lost += count.saturating_sub(seen);
            doubled += seen.saturating_sub(*count);
        }
        if lost + doubled != before {
            (before, moved) = (lost + doubled, Instant::now());
        }
        if lost + doubled == 0 || moved.elapsed() > LIMIT || begin.elapsed() > PATIENCE {
            for (child, count) in truth.iter().filter(|(c, n)| seen.get(*c) != Some(*n)) {
                println!("{child} is {:?}, the truth is {count}", seen.get(child));
            }
            if moved.elapsed() <= LIMIT && lost > 0 {
                println!("the counters were still moving: what is missing may be still due");
            }
            return Ok((lost, doubled, truth.values().sum()));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// A fault for some answers, or none.
fn fault(rng: &mut StdRng) -> Value {
    let times = rng.random_range(1..20);
    match rng.random_range(0..8) {
        0 => json!([{"kind": "status", "status": 500, "times": times}]),
        1 => json!([{"kind": "reset", "times": times}]),
        2 => json!([{"kind": "truncated", "times": times}]),
        3 => json!([{"kind": "expired_token", "times": 1}]),
        _ => json!([]),
    }
}

fn config(simulator: &Simulator, directory: &Path) -> String {
    let mut text = format!(
        "[state]\ndirectory = \"{}\"\n[defaults]\npoll_interval = \"1s\"\nprocessing_interval = \"1s\"\nlisting_interval = \"1s\"\n\
         [[server]]\nname = \"sim\"\nurl = \"{}\"\nclient_id = \"{}\"\nmax_backoff = \"1s\"\n\
         max_concurrency = 16\nmax_requests_per_second = 5000\n",
        directory.join("state").display(),
        simulator.base_url(),
        simulator.client_id(),
    );
    let sender = |address: String| format!("[[server.sender]]\nemail = \"{address}\"\n");
    text.extend(simulator.senders().into_iter().map(sender));
    text
}

/// The simulator's control API.
struct World {
    url: String,
    http: reqwest::Client,
}

impl World {
    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}/{path}", self.url));
        Ok(serde_json::from_slice(
            &request.send().await?.bytes().await?,
        )?)
    }

    /// The simulated date.
    async fn now(&self) -> anyhow::Result<Timestamp> {
        let request = self.http.post(format!("{}/clock", self.url)).body("{}");
        let answer: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
        let now = answer["now"].as_str().context("the clock has no date")?;
        Ok(now.parse()?)
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<()> {
        self.send(self.http.post(format!("{}/{path}", self.url)), body)
            .await
    }

    async fn put(&self, path: &str, body: Value) -> anyhow::Result<()> {
        self.send(self.http.put(format!("{}/{path}", self.url)), body)
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder, body: Value) -> anyhow::Result<()> {
        let answer = request.body(body.to_string()).send().await?;
        ensure!(
            answer.status().is_success(),
            "the simulator answers {}",
            answer.status()
        );
        Ok(())
    }
}

/// The process that is killed.
struct Exporter {
    process: stage::Exporter,
    lines: Receiver<String>,
}

impl Exporter {
    fn start(file: &Path) -> anyhow::Result<Self> {
        let (out, lines) = channel();
        // Nobody listens any more once the process was killed.
        let hear = move |line| out.send(line).unwrap_or_default();
        let process = stage::Exporter::start(file, &["--log.level", "debug"], hear)?;
        Ok(Self { process, lines })
    }

    /// Kills the process, if it `aims` a moment after the begin of a commit;
    /// `true` if it died within one.
    fn kill(mut self, aims: bool, rng: &mut StdRng) -> anyhow::Result<bool> {
        let mut is_in_commit = false;
        let until = Instant::now() + COMMIT_LIMIT;
        // The runtime's clock counts milliseconds, and a commit is not longer.
        while aims && !is_in_commit {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => is_in_commit = line.contains("a commit begins"),
                Err(_) => break,
            }
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..400)));
        self.process.child.kill()?;
        self.process.child.wait()?;
        for line in &self.lines {
            is_in_commit |= line.contains("a commit begins");
            is_in_commit &= !line.contains("a commit ended");
        }
        Ok(is_in_commit)
    }

    /// Waits until both senders were polled.
    async fn polled(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            let counters = self.counters().await.unwrap_or_default();
            let polls = counters.get("cryptshare_exporter_polls_total");
            if polls.is_some_and(|polls| *polls >= 4) {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("the exporter does not poll")
    }

    /// Every counter, by name and its own label, summed over the senders.
    async fn counters(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let page = reqwest::get(format!("{}/metrics", self.process.url))
            .await?
            .text()
            .await?;
        let mut counters = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').context("a line has no value")?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let own = ["method", "state"].iter().find_map(|label| {
                let (_, rest) = labels.split_once(&format!("{label}=\""))?;
                rest.split('"').next()
            });
            if let Ok(value) = value.parse::<u64>() {
                *counters.entry(child(name, own)).or_default() += value;
            }
        }
        Ok(counters)
    }
}

fn child(name: &str, label: Option<&str>) -> String {
    label.map_or_else(|| name.to_owned(), |label| format!("{name}/{label}"))
}

/// The truth under the names of the counters.
fn truth(totals: &Value) -> BTreeMap<String, u64> {
    let plain = [
        (
            "recipient_notification_failures",
            "cryptshare_recipient_notification_failures_total",
        ),
        (
            "sender_notification_failures",
            "cryptshare_sender_notification_failures_total",
        ),
        (
            "eml_creation_failures",
            "cryptshare_eml_creation_failures_total",
        ),
        ("files_removed", "cryptshare_files_removed_total"),
        ("vanished", "cryptshare_transfers_vanished_total"),
    ];
    let labeled = [
        ("retrievals", "cryptshare_retrievals_total"),
        ("state_transitions", "cryptshare_state_transitions_total"),
        (
            "ended_unretrieved",
            "cryptshare_transfers_ended_unretrieved_total",
        ),
    ];
    let mut truth = BTreeMap::new();
    for (place, name) in plain {
        truth.insert(
            child(name, None),
            totals[place].as_u64().unwrap_or_default(),
        );
    }
    for (place, name) in labeled {
        for (label, count) in totals[place].as_object().into_iter().flatten() {
            truth.insert(child(name, Some(label)), count.as_u64().unwrap_or_default());
        }
    }
    truth
}
