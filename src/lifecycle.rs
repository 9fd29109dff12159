//! The life of the process: named tasks, signals, the grace period, and what
//! the service manager is told of it.
//!
//! SIGTERM or SIGINT stops the tasks; a further one that comes no sooner than a
//! second later aborts them. A task that panics, fails or ends unasked ends the
//! process by name: a daemon that is half dead is worse than one that its
//! supervisor restarts.
//!
//! **Invariants.** No task is spawned but by name; no panic is lost.

use std::{collections::HashMap, future::Future, io, process::ExitCode, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// What is still running this long after a stop was asked for is aborted;
/// systemd waits 90 s before it kills.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

/// Signals that come within this time of the first one are the same wish:
/// `timeout` signals its child and then the whole group, and a terminal and a
/// service manager may both pass on the one that stops them.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Exit code when a task crashed or would not stop.
const CRASHED: u8 = 1;

/// Runs named tasks until a signal or a crash.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
    terminate: Signal,
    interrupt: Signal,
    hangups: Option<Signal>,
}

impl Supervisor {
    /// A supervisor without tasks that listens to signals from now on. SIGHUP
    /// no longer kills, and neither does SIGXFSZ: the write that a limit of file sizes forbids fails, as
    /// on a disk that is full.
    ///
    /// # Errors
    /// If the signals cannot be listened to.
    pub fn new() -> io::Result<Self> {
        // The handler stays when nobody listens.
        drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
        Ok(Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop: CancellationToken::new(),
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangups: Some(signal(SignalKind::hangup())?),
        })
    }

    /// Cancelled when the process is to stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Every SIGHUP since the start, for the one who asks first.
    pub const fn hangups(&mut self) -> Option<Signal> {
        self.hangups.take()
    }

    /// Runs `task` under `name`.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits for the end of the process: 0 if it was asked for and everything
    /// stopped in time, else 1.
    pub async fn run(mut self) -> ExitCode {
        tell_ready();
        let mut crashed = false;
        let mut asked: Option<Instant> = None;
        let stop = self.stop.clone();
        let overdue = async move {
            stop.cancelled().await;
            tell_manager(&[NotifyState::Stopping]);
            sleep(GRACE_PERIOD).await;
        };
        tokio::pin!(overdue);
        loop {
            tokio::select! {
                ended = self.tasks.join_next_with_id() => match ended {
                    Some(ended) => crashed |= self.has_crashed(ended),
                    None => break,
                },
                () = signaled(&mut self.terminate, &mut self.interrupt) => {
                    let first = *asked.get_or_insert_with(Instant::now);
                    if first.elapsed() >= SAME_WISH {
                        tracing::warn!("aborted by a second signal");
                        return ExitCode::from(CRASHED);
                    }
                    if !self.stop.is_cancelled() {
                        tracing::info!("stopping");
                        self.stop.cancel();
                    }
                }
                () = hung_up(&mut self.hangups) => {
                    tracing::warn!("there is no configuration that could be loaded again");
                }
                () = &mut overdue => {
                    tracing::error!(running = self.running(), "aborted: tasks did not stop in time");
                    return ExitCode::from(CRASHED);
                }
            }
        }
        tracing::info!("stopped");
        ExitCode::from(if crashed { CRASHED } else { 0 })
    }

    /// Takes in the end of a task; everything stops if nobody asked for it.
    fn has_crashed(&mut self, ended: Result<(Id, anyhow::Result<()>), JoinError>) -> bool {
        let (id, error) = match ended {
            Ok((id, Ok(()))) if self.stop.is_cancelled() => {
                self.names.remove(&id);
                return false;
            }
            Ok((id, Ok(()))) => (id, "the task ended although nobody asked it to".to_owned()),
            Ok((id, Err(error))) => (id, format!("{error:#}")),
            Err(error) => (error.id(), error.to_string()),
        };
        let task = self.names.remove(&id).unwrap_or("unnamed");
        tracing::error!(task, error, "a task crashed, stopping");
        self.stop.cancel();
        true
    }

    fn running(&self) -> String {
        let mut names: Vec<_> = self.names.values().copied().collect();
        names.sort_unstable();
        names.join(",")
    }
}

/// Within which time the service manager wants a sign of life
/// (`$WATCHDOG_USEC`), if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Gives the service manager a sign of life.
pub fn feed_watchdog() {
    tell_manager(&[NotifyState::Watchdog]);
}

/// Whether there is a service manager to be told of things.
pub fn has_manager() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells the service manager that the configuration is being loaded again.
pub fn tell_reloading() {
    // systemd tells a reload from the ones before it by this time.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell_manager(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "there is no monotonic time"),
    }
}

/// Tells the service manager that the configuration has been loaded, or that
/// the last good one stays.
pub fn tell_ready() {
    tell_manager(&[NotifyState::Ready]);
}

/// Tells the service manager in one line how things are.
pub fn tell_status(line: &str) {
    tell_manager(&[NotifyState::Status(line)]);
}

/// Without `$NOTIFY_SOCKET` nobody listens, and that is no fault.
fn tell_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

/// Waits for the next SIGHUP; for ever, if somebody else does.
pub async fn hung_up(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}

async fn signaled(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn code_of(task: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> ExitCode {
        let mut supervisor = Supervisor::new().unwrap();
        let stop = supervisor.stop();
        supervisor.spawn("bystander", async move {
            stop.cancelled().await;
            Ok(())
        });
        supervisor.spawn("subject", task);
        supervisor.run().await
    }

    #[tokio::test]
    async fn a_panic_a_failure_and_an_early_end_stop_the_process() {
        let crashed = ExitCode::from(1);
        assert_eq!(code_of(async { panic!("by a test") }).await, crashed);
        assert_eq!(code_of(async { anyhow::bail!("by a test") }).await, crashed);
        assert_eq!(code_of(async { Ok(()) }).await, crashed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_will_not_stop_is_aborted() {
        let mut supervisor = Supervisor::new().unwrap();
        supervisor.stop().cancel();
        supervisor.spawn("deaf", std::future::pending());
        let stop = supervisor.stop();
        supervisor.spawn("last", async move {
            stop.cancelled().await;
            Ok(())
        });
        let code = tokio::time::timeout(GRACE_PERIOD * 3, supervisor.run()).await;
        assert_eq!(code.ok(), Some(ExitCode::from(1)));
    }
}
