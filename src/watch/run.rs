//! The task that keeps looking.
//!
//! **Invariants.** However many events there are, two looks are never closer
//! than the time that files are given to settle. Looks are taken off the
//! runtime, since a disk may take its time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch as newest},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Names, Settings,
    events::Events,
    sheets::{Found, Sheets},
};

/// What is watched by name, as the start finds it.
#[derive(Debug)]
pub struct Watch {
    configured: Names,
    names: Names,
    eyes: Eyes,
    bell: Arc<Notify>,
    look_every: Duration,
    settle: Duration,
    has_files: bool,
    is_unsettled: bool,
}

/// Other settings.
#[derive(Debug)]
pub struct Change {
    /// What is watched from now on.
    pub settings: Settings,
    /// Told what is named by that.
    pub names: oneshot::Sender<Names>,
}

/// What looks at files.
#[derive(Debug, Default)]
struct Eyes {
    sheets: Sheets,
    events: Events,
}

impl Watch {
    /// Reads the watch files that are there now. Whatever is changed from now
    /// on is noticed.
    pub fn at_start(settings: Settings) -> Self {
        let bell = Arc::default();
        let events = if has_files(&settings) {
            Events::new(&bell)
        } else {
            Events::default()
        };
        Self::with_events(settings, events, bell)
    }

    fn with_events(settings: Settings, mut events: Events, bell: Arc<Notify>) -> Self {
        let has_files = has_files(&settings);
        let (mut sheets, found) = Sheets::at_start(settings.sources);
        events.follow(&found.folders);
        // What came while the folders were not yet followed.
        bell.notify_one();
        Self {
            has_files,
            names: sheets.names(&settings.configured, &Names::new()),
            configured: settings.configured,
            eyes: Eyes { sheets, events },
            bell,
            look_every: settings.look_every,
            settle: settings.settle,
            is_unsettled: found.is_unsettled,
        }
    }

    /// What is named at the start.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Waits until it is time to look.
    async fn wait(&self) {
        if !self.has_files {
            return std::future::pending().await;
        }
        if !self.is_unsettled {
            // An event or none: both are a reason.
            drop(timeout(self.look_every, self.bell.notified()).await);
        }
        sleep(self.settle).await;
    }

    /// Looks at the files; the answer is whether other transfers are named now.
    async fn look(&mut self) -> anyhow::Result<bool> {
        let found = self.use_eyes(|eyes| eyes.sheets.look()).await?;
        Ok(self.take_in(&found))
    }

    /// Watches what `settings` say from now on.
    async fn follow(&mut self, settings: Settings) -> anyhow::Result<()> {
        self.has_files = has_files(&settings);
        self.configured = settings.configured;
        self.look_every = settings.look_every;
        self.settle = settings.settle;
        let bell = self.has_files.then(|| Arc::clone(&self.bell));
        let found = self.use_eyes(|eyes| {
            if let Some(bell) = bell {
                eyes.events.open(&bell);
            }
            eyes.sheets.follow(settings.sources)
        });
        let found = found.await?;
        self.take_in(&found);
        Ok(())
    }

    fn take_in(&mut self, found: &Found) -> bool {
        self.is_unsettled = found.is_unsettled;
        if !found.is_changed {
            return false;
        }
        let names = self.eyes.sheets.names(&self.configured, &self.names);
        let differs = names != self.names;
        self.names = names;
        differs
    }

    /// Looks off the runtime, and follows the folders that are found.
    async fn use_eyes(
        &mut self,
        look: impl FnOnce(&mut Eyes) -> Found + Send + 'static,
    ) -> anyhow::Result<Found> {
        let mut eyes = std::mem::take(&mut self.eyes);
        let looked = spawn_blocking(move || {
            let found = look(&mut eyes);
            eyes.events.follow(&found.folders);
            (eyes, found)
        });
        let (eyes, found) = looked.await?;
        self.eyes = eyes;
        Ok(found)
    }
}

fn has_files(settings: &Settings) -> bool {
    let mut sources = settings.sources.iter();
    sources.any(|source| !source.patterns.is_empty())
}

/// Looks at the watch files until the stop, and tells all names anew whenever
/// they differ. Changes come in between two looks.
///
/// # Errors
/// Never; a panic in a look is passed on.
pub async fn run(
    mut watch: Watch,
    mut changes: mpsc::Receiver<Change>,
    out: newest::Sender<Names>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(change) = changes.recv() => {
                watch.follow(change.settings).await?;
                out.send_replace(watch.names.clone());
                // Nobody waits any more if the process is ending.
                drop(change.names.send(watch.names.clone()));
            }
            () = watch.wait() => {
                if watch.look().await? {
                    out.send_replace(watch.names.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        model::{SenderId, TrackingId},
        watch::{Entry, Source},
    };

    const SOON: Duration = Duration::from_millis(20);

    fn watching(folder: &Path, look_every: Duration) -> Settings {
        let entry = |id: &str| Entry {
            sender: SenderId::new("prod", "ada@example.com"),
            id: TrackingId::parse(id).unwrap(),
            name: String::new(),
        };
        Settings {
            configured: Names::new(),
            sources: vec![Source {
                server: "prod".into(),
                patterns: vec![format!("{}/*.toml", folder.display())],
                read: Arc::new(move |text| Ok(text.lines().map(entry).collect())),
            }],
            look_every,
            settle: SOON,
        }
    }

    /// Runs `watch`, and the ids after each change of the folder.
    #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
    async fn changes(watch: Watch, folder: &Path) -> Vec<Vec<String>> {
        let (out, mut told) = newest::channel(Names::new());
        let (_changes, changes) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(watch, changes, out, stop.clone()));
        let file = folder.join("list.toml");
        let mut seen = Vec::new();
        for text in ["a", "a\nb", "c"] {
            fs::write(&file, text).unwrap();
            told.changed().await.unwrap();
            seen.push(told.borrow_and_update().clone());
        }
        fs::remove_file(&file).unwrap();
        told.changed().await.unwrap();
        seen.push(told.borrow_and_update().clone());
        stop.cancel();
        task.await.unwrap().unwrap();
        let ids = |names: Names| {
            let ids = names.into_values().flatten();
            ids.map(|(id, _)| id.to_string()).collect()
        };
        seen.into_iter().map(ids).collect()
    }

    #[tokio::test]
    async fn changes_are_told_with_events_long_before_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::at_start(watching(folder.path(), Duration::from_hours(9)));
        let seen = changes(watch, folder.path()).await;
        assert_eq!(seen, [&["a"][..], &["a", "b"], &["c"], &[]]);
    }

    #[tokio::test]
    async fn changes_are_told_without_events() {
        let folder = tempfile::tempdir().unwrap();
        let settings = watching(folder.path(), SOON);
        let watch = Watch::with_events(settings, Events::default(), Arc::default());
        let seen = changes(watch, folder.path()).await;
        assert_eq!(seen, [&["a"][..], &["a", "b"], &["c"], &[]]);
    }
}
