//! Events of the file system, as a bell that says: look.
//!
//! **Invariants.** An event is a hint and no more; without one everything works
//! as well, only later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// A folder as one of its own: another one under the same path is not followed
/// until we say so.
type Identity = (u64, u64);

/// The folders that are followed.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// None where the system has no events to give.
    watcher: Option<RecommendedWatcher>,
    followed: BTreeMap<PathBuf, Identity>,
    is_told: bool,
}

impl Events {
    /// Rings `bell` when something happens in a folder that is followed.
    pub(super) fn new(bell: &Arc<Notify>) -> Self {
        let mut events = Self::default();
        events.open(bell);
        events
    }

    /// The same, if that is not done already.
    pub(super) fn open(&mut self, bell: &Arc<Notify>) {
        if self.watcher.is_some() {
            return;
        }
        let bell = Arc::clone(bell);
        let ring = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                bell.notify_one();
            }
        };
        match notify::recommended_watcher(ring) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => self.tell(&error),
        }
    }

    /// Follows these folders from now on, and no others.
    pub(super) fn follow(&mut self, folders: &BTreeSet<PathBuf>) {
        let present = folders
            .iter()
            .filter_map(|path| Some((path.clone(), identity(path)?)));
        let present: BTreeMap<_, _> = present.collect();
        let Some(mut watcher) = self.watcher.take() else {
            return;
        };
        for (path, _) in self
            .followed
            .extract_if(.., |path, id| present.get(path) != Some(id))
        {
            // It may be gone, and its watch with it.
            drop(watcher.unwatch(&path));
        }
        for (path, identity) in present {
            if self.followed.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.followed.insert(path, identity)),
                Err(error) => self.tell(&error),
            }
        }
        self.watcher = Some(watcher);
    }

    /// Once, for it will not change soon.
    fn tell(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                %error,
                "there are no file events; watch files are looked at from time to time only"
            );
        }
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    let metadata = fs::metadata(folder).ok()?;
    metadata.is_dir().then(|| (metadata.dev(), metadata.ino()))
}

/// To open and to read is no change; we do so ourselves.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
