//! `demo` and `simulate`: the exporter with a server to watch, and the server
//! alone.
//!
//! **Invariants.** The simulator listens on loopback unless it is told
//! otherwise.

use std::{fmt::Write, net::SocketAddr, path::Path, process::ExitCode, sync::Arc};

use anyhow::Context;
use serde_json::json;

use super::{Frame, bind, front::Front, in_runtime, refuse, say, start, url_of};
use crate::{
    clock::Clock,
    config::Config,
    lifecycle::Supervisor,
    logging,
    simulator::{Scenario, Simulator},
};

pub use crate::simulator::{
    Fault, NEWEST_MINOR, Quirks, fault_explanation, fault_kinds, read_fault,
};

/// The configuration of `demo`, with places for what the simulator chooses.
const DEMO_CONFIG: &str = include_str!("../../config/demo.toml");

/// What `demo` is told on the command line.
#[derive(Debug)]
pub struct DemoOptions {
    /// Where the exporter listens.
    pub listen: String,
    /// Simulated seconds for each real one.
    pub speed: f64,
    /// How to log.
    pub log: logging::Settings,
}

/// What `simulate` is told on the command line.
#[derive(Debug)]
pub struct SimulateOptions {
    /// Where the simulator listens.
    pub listen: SocketAddr,
    /// The seed of everything that is random.
    pub seed: u64,
    /// Simulated seconds for each real one; 0 freezes the time.
    pub speed: f64,
    /// How many senders there are.
    pub senders: usize,
    /// How many transfers there are at the start.
    pub transfers: usize,
    /// The share of them that has ended.
    pub ended: Option<f64>,
    /// What people do with each active transfer in a simulated hour.
    pub activity: f64,
    /// The minor version of the API.
    pub api_minor: u32,
    /// In what the server differs from the most likely one.
    pub quirks: Quirks,
    /// The faults in force at the start.
    pub faults: Vec<Fault>,
    /// How to log.
    pub log: logging::Settings,
}

/// Runs the simulator until it is told to stop.
pub fn simulate(options: &SimulateOptions) -> ExitCode {
    logging::install(options.log, Clock::System);
    let ended = in_runtime(async {
        let mut tasks = Supervisor::new()?;
        let scenario = Scenario {
            seed: options.seed,
            speed: options.speed,
            senders: options.senders,
            transfers: options.transfers,
            ended: options.ended,
            activity: options.activity,
            api_minor: options.api_minor,
            quirks: options.quirks.clone(),
            faults: options.faults.clone(),
            start: Clock::System.now(),
        };
        let simulator = Simulator::bind(options.listen, scenario)
            .await
            .with_context(|| format!("failed to listen on {}", options.listen))?;
        let ready = json!({
            "base_url": simulator.base_url(),
            "client_id": simulator.client_id(),
            "senders": simulator.senders(),
        });
        let stop = tasks.stop();
        tasks.spawn("simulator", simulator.serve(stop));
        say(&ready.to_string())?;
        Ok(tasks.run().await)
    });
    ended.unwrap_or_else(|error| refuse(&error))
}

/// Runs a simulator and an exporter that watches it.
pub fn demo(options: &DemoOptions) -> ExitCode {
    logging::install(options.log, Clock::System);
    let ended = in_runtime(async {
        let mut tasks = Supervisor::new()?;
        let scenario = Scenario {
            seed: 1,
            speed: options.speed,
            senders: 3,
            transfers: 48,
            ended: None,
            activity: 0.0,
            api_minor: NEWEST_MINOR,
            quirks: Quirks::default(),
            faults: Vec::new(),
            start: Clock::System.now(),
        };
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(loopback, scenario).await?;
        // Lost with the demo, so it begins anew each time.
        let state = tempfile::tempdir()?;
        let text = config_text(&simulator, state.path())?;
        let config = Config::parse(&text, Path::new("demo.toml")).context("demo.toml")?;
        let listeners = bind(std::slice::from_ref(&options.listen)).await?;
        let invitation = invitation(&url_of(&listeners), &simulator.base_url(), options.speed);
        let stop = tasks.stop();
        tasks.spawn("simulator", simulator.serve(stop));
        let frame = Frame {
            front: Front::default(),
            listeners,
            telemetry_path: "/metrics",
            hangups: None,
            enable_lifecycle: false,
            auto_reload: None,
        };
        start(&mut tasks, Arc::new(config), frame)?;
        say(&invitation)?;
        let ended = tasks.run().await;
        state
            .close()
            .context("failed to remove the state directory")?;
        Ok(ended)
    });
    ended.unwrap_or_else(|error| refuse(&error))
}

fn config_text(simulator: &Simulator, state: &Path) -> anyhow::Result<String> {
    let mut senders = String::new();
    for address in simulator.senders() {
        let name = address.split('@').next().unwrap_or_default();
        write!(
            senders,
            "[[server.sender]]\nemail = \"{address}\"\nname = \"{name}\"\n\n"
        )?;
    }
    Ok(DEMO_CONFIG
        .replace("@STATE@", &state.display().to_string())
        .replace("@URL@", &simulator.base_url())
        .replace("@CLIENT_ID@", &simulator.client_id())
        .replace("@SENDERS@", &senders))
}

fn invitation(exporter: &str, simulator: &str, speed: f64) -> String {
    let time = if speed > 0.0 {
        format!("whose time runs {speed} times as fast")
    } else {
        "whose time stands still".to_owned()
    };
    format!(
        "The exporter watches a simulated Cryptshare server, {time}.\n\
         \n\
         status page   {exporter}/\n\
         metrics       {exporter}/metrics\n\
         the truth     {simulator}/_sim/truth\n\
         \n\
         Press Ctrl+C to stop."
    )
}
