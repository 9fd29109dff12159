//! Loading the configuration again while the exporter runs: by SIGHUP, by
//! `/-/reload`, when its file changes if that is wished for, and when a file
//! changes that it names.
//!
//! A file of a secret or of a certificate is taken up by itself, with the text of
//! the configuration that is in effect: what somebody is writing into the
//! configuration takes effect with a reload and not before.
//!
//! **Invariants.** What is in effect stays until what replaces it is good as a
//! whole. One change is whole before the next one begins. Whoever wishes for a
//! reload is answered by one that has read the file after the wish.

use std::{future::pending, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, oneshot, watch as newest},
    task::spawn_blocking,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    door::{Door, Generation},
    names,
    parts::{Clients, Maker},
    tell_problems,
};
use crate::{
    config::{Config, Input},
    lifecycle,
    watch::{self, Names},
    web::Wish,
};

/// How often is looked whether a file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Wishes that wait for one reload; more wait outside.
pub(super) const WISHES: usize = 64;

/// What may bring about a change.
#[derive(Debug)]
pub(super) struct Occasions {
    /// None where there is no file to load again.
    pub(super) hangups: Option<Signal>,
    /// How often is looked whether the file has changed, if at all.
    pub(super) every: Option<Duration>,
    pub(super) wishes: mpsc::Receiver<Wish>,
    /// What is named by now.
    pub(super) names: newest::Receiver<Names>,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, Copy)]
enum Text {
    /// The file, as it is now.
    New,
    /// What the file said when it was good the last time.
    Same,
}

/// Loads configurations again.
#[derive(Debug)]
pub(super) struct Reloader {
    door: Door,
    watch: mpsc::Sender<watch::Change>,
    maker: Maker,
    /// The file, as it was when it was read last, for good or not.
    file: Option<Input>,
    /// The files that the configuration names, as they were when it was read
    /// last, for good or not.
    inputs: Vec<Input>,
    /// What is wrong with one of them, until all is good again.
    trouble: Option<String>,
    /// What was under way when somebody left may still have told something.
    is_swept: bool,
}

impl Reloader {
    /// A reloader of what is in effect behind `door`; changes of watch files go
    /// to `watch`.
    pub(super) fn new(door: Door, watch: mpsc::Sender<watch::Change>, maker: Maker) -> Self {
        Self {
            file: door.now().config.file.clone(),
            inputs: door.now().config.inputs.clone(),
            door,
            watch,
            maker,
            trouble: None,
            is_swept: true,
        }
    }

    /// Makes changes until the stop.
    pub(super) async fn run(
        mut self,
        mut occasions: Occasions,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let work = async {
            let mut looks = ticks(LOOK);
            let Occasions {
                hangups,
                every,
                wishes,
                names,
            } = &mut occasions;
            let mut looks_at_file = every.map(ticks);
            loop {
                tokio::select! {
                    () = lifecycle::hung_up(hangups) => self.reload(wishes, None).await?,
                    Some(wish) = wishes.recv() => self.reload(wishes, Some(wish)).await?,
                    Ok(()) = names.changed() => {
                        let names = names.borrow_and_update().clone();
                        self.rename(names).await;
                    }
                    () = tick(&mut looks_at_file) => self.look_at_file(wishes).await?,
                    _ = looks.tick() => self.look_at_inputs().await?,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = work => ended,
        }
    }

    /// Loads the file, and tells everybody who waits for that.
    async fn reload(
        &mut self,
        wishes: &mut mpsc::Receiver<Wish>,
        first: Option<Wish>,
    ) -> anyhow::Result<()> {
        let mut waiting: Vec<_> = first.into_iter().collect();
        while waiting.len() < WISHES
            && let Ok(wish) = wishes.try_recv()
        {
            waiting.push(wish);
        }
        lifecycle::tell_reloading();
        self.file = self.file_now().await?;
        let outcome = self.load(Text::New).await?;
        lifecycle::tell_ready();
        let outcome = match outcome {
            Ok(false) => return Ok(()),
            Ok(true) => {
                self.maker.telemetry.config_loaded(self.seconds());
                Ok(())
            }
            Err(error) => {
                self.maker.telemetry.config_refused();
                tell_problems(
                    &error,
                    "the configuration was not reloaded, the last good one stays",
                );
                Err(format!("{error:#}"))
            }
        };
        for wish in waiting {
            // Who has hung up does not want to know.
            drop(wish.send(outcome.clone()));
        }
        Ok(())
    }

    /// Loads the file, if it has changed since it was read.
    async fn look_at_file(&mut self, wishes: &mut mpsc::Receiver<Wish>) -> anyhow::Result<()> {
        if self.file_now().await? == self.file {
            return Ok(());
        }
        tracing::info!("the file of the configuration has changed");
        self.reload(wishes, None).await
    }

    /// The file as it is now.
    async fn file_now(&self) -> anyhow::Result<Option<Input>> {
        let before = self.file.clone();
        Ok(spawn_blocking(move || before.as_ref().map(Input::now)).await?)
    }

    /// Takes up the files that the configuration names, if one has changed.
    async fn look_at_inputs(&mut self) -> anyhow::Result<()> {
        if !std::mem::replace(&mut self.is_swept, true) {
            self.door.sweep();
        }
        if self.inputs.is_empty() {
            return Ok(());
        }
        let before = self.inputs.clone();
        let now = spawn_blocking(move || before.iter().map(Input::now).collect()).await?;
        // What failed may become good by a file that is not even named.
        if self.inputs == now && self.trouble.is_none() {
            return Ok(());
        }
        self.inputs = now;
        if let Err(error) = self.load(Text::Same).await? {
            let trouble = format!("{error:#}");
            if self.trouble.as_ref() != Some(&trouble) {
                tell_problems(
                    &error,
                    "a changed file was not taken up, its last good content stays",
                );
            }
            self.trouble = Some(trouble);
        }
        Ok(())
    }

    /// Lets a configuration take effect, if it is good as a whole; false at the
    /// end of the process.
    async fn load(&mut self, text: Text) -> anyhow::Result<anyhow::Result<bool>> {
        let now = self.door.now();
        let (config, clients) = (Arc::clone(&now.config), now.clients.clone());
        let maker = self.maker.clone();
        let prepared = spawn_blocking(move || prepare(&config, &clients, text, &maker));
        Ok(match prepared.await? {
            Ok((config, clients)) => Ok(self.take_up(config, clients).await),
            Err(error) => Err(error),
        })
    }

    async fn take_up(&mut self, config: Config, clients: Clients) -> bool {
        let config = Arc::new(config);
        let (names, are_named) = oneshot::channel();
        let settings = names::settings(&config);
        drop(self.watch.send(watch::Change { settings, names }).await);
        let Ok(names) = are_named.await else {
            return false;
        };
        let next = Generation {
            config: Arc::clone(&config),
            clients,
            names,
        };
        if !self.door.pass(next).await {
            return false;
        }
        tell(&config);
        self.inputs.clone_from(&config.inputs);
        self.trouble = None;
        self.is_swept = false;
        true
    }

    async fn rename(&mut self, names: Names) {
        let now = self.door.now();
        if names != now.names {
            let next = Generation {
                names,
                ..now.clone()
            };
            self.door.pass(next).await;
        }
    }

    fn seconds(&self) -> f64 {
        let now = self.maker.clock.now();
        now.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
    }
}

/// The configuration and its clients; nothing is asked yet, and nothing takes
/// effect.
fn prepare(
    now: &Config,
    clients: &Clients,
    text: Text,
    maker: &Maker,
) -> anyhow::Result<(Config, Clients)> {
    let config = match text {
        Text::New => now.reloaded()?,
        Text::Same => now.refreshed()?,
    };
    config.can_follow(now)?;
    let clients = maker.clients(&config, clients)?;
    Ok((config, clients))
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The next tick; without any, never.
async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => pending().await,
    }
}

fn tell(config: &Config) {
    let file = config.path().display();
    for warning in &config.warnings {
        tracing::warn!(%file, %warning, "odd configuration");
    }
    let servers = config.servers.len();
    let senders = config.servers.iter().map(|server| server.senders.len());
    let senders: usize = senders.sum();
    tracing::info!(%file, servers, senders, "the configuration was loaded again");
}
