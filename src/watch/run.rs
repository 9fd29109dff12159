//! The task that keeps looking.
//!
//! **Invariants.** However many events there are, two looks are never closer
//! than the time that files are given to settle. Looks are taken off the
//! runtime, since a disk may take its time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc},
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
    is_unsettled: bool,
}

/// What looks at files.
#[derive(Debug)]
struct Eyes {
    sheets: Sheets,
    events: Events,
}

impl Watch {
    /// Reads the watch files that are there now. Whatever is changed from now
    /// on is noticed.
    pub fn at_start(settings: Settings) -> Self {
        let bell = Arc::default();
        let has_files = settings
            .sources
            .iter()
            .any(|source| !source.patterns.is_empty());
        let events = if has_files {
            Events::new(&bell)
        } else {
            Events::default()
        };
        Self::with_events(settings, events, bell)
    }

    fn with_events(settings: Settings, mut events: Events, bell: Arc<Notify>) -> Self {
        let (mut sheets, found) = Sheets::at_start(settings.sources);
        events.follow(&found.folders);
        // What came while the folders were not yet followed.
        bell.notify_one();
        Self {
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
        if !self.is_unsettled {
            // An event or none: both are a reason.
            drop(timeout(self.look_every, self.bell.notified()).await);
        }
        sleep(self.settle).await;
    }
}

/// Looks at the watch files until the stop, and tells all names anew whenever
/// they differ.
///
/// # Errors
/// Never; a panic in a look is passed on.
pub async fn run(
    mut watch: Watch,
    out: mpsc::Sender<Names>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = watch.wait() => {}
        }
        let (eyes, found) = look(watch.eyes).await?;
        watch.eyes = eyes;
        watch.is_unsettled = found.is_unsettled;
        if !found.is_changed {
            continue;
        }
        let names = watch.eyes.sheets.names(&watch.configured, &watch.names);
        if names != watch.names {
            watch.names = names.clone();
            // Whoever takes them ends only with the process.
            drop(out.send(names).await);
        }
    }
}

async fn look(mut eyes: Eyes) -> anyhow::Result<(Eyes, Found)> {
    let looked = spawn_blocking(move || {
        let found = eyes.sheets.look();
        eyes.events.follow(&found.folders);
        (eyes, found)
    });
    Ok(looked.await?)
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
        let (out, mut told) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(watch, out, stop.clone()));
        let file = folder.join("list.toml");
        let mut seen = Vec::new();
        for text in ["a", "a\nb", "c"] {
            fs::write(&file, text).unwrap();
            seen.push(told.recv().await.unwrap());
        }
        fs::remove_file(&file).unwrap();
        seen.push(told.recv().await.unwrap());
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
