//! The watch files as they are found, and the last good content of each.
//!
//! A file is read when two looks in a row find it the same, so that nobody is
//! disturbed who writes it in place; a file that is missing must be missing
//! twice.
//!
//! **Invariants.** Only a good reading changes what a file says, and only its
//! absence ends it. A folder that cannot be read is not an empty one.

mod pattern;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pattern::{is_wild, matched, would_match};

use super::{Entry, Names, Read, Source, names::merge};
use crate::{
    files::{self, Stamp},
    ledger::Origin,
};

/// More files are not looked at: a pattern that matches so many is a mistake,
/// or the folder of an application that never cleans up.
const MOST_FILES: usize = 50_000;

/// A file that is never left alone is read after so many looks all the same.
const MOST_LOOKS: u32 = 10;

/// A file that so many looks in a row have missed is gone.
const MISSED_LOOKS: u32 = 2;

/// All watch files.
#[derive(Debug, Default)]
pub(super) struct Sheets {
    sources: Vec<Source>,
    found: BTreeMap<Key, Sheet>,
    is_full: bool,
}

/// The server's name and the path.
type Key = (Arc<str>, PathBuf);

/// One file.
#[derive(Debug)]
struct Sheet {
    /// What it said when it was good the last time.
    entries: Vec<Entry>,
    /// How what it names anew comes to be named.
    origin: Origin,
    /// The file as it was found last.
    stamp: Option<Stamp>,
    /// How many looks in a row have left it unread although it had changed.
    unread: u32,
    /// How many looks in a row have missed it.
    missed: u32,
    /// The content whose problems have been told.
    trouble: Option<u64>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What the files say has changed.
    pub(super) is_changed: bool,
    /// Some file is being written, or missing for the first time: look again
    /// soon.
    pub(super) is_unsettled: bool,
    /// Where files are, or may come.
    pub(super) folders: BTreeSet<PathBuf>,
}

/// What the patterns match.
#[derive(Default)]
struct Matches {
    paths: BTreeSet<Key>,
    folders: BTreeSet<PathBuf>,
    /// Folders that cannot be read: what is in them is not known.
    dark: Vec<PathBuf>,
    /// There are more than are looked at.
    is_full: bool,
}

impl Sheets {
    /// The files as the start finds them: they are read at once, and what they
    /// name counts as configured.
    pub(super) fn at_start(sources: Vec<Source>) -> (Self, Found) {
        let mut sheets = Self {
            sources,
            found: BTreeMap::new(),
            is_full: false,
        };
        let found = sheets.look_by(Origin::Configured);
        (sheets, found)
    }

    /// Looks for the files of other sources from now on. Every file is read anew,
    /// since it may be read in another way; what it says stays where that is no
    /// good. What comes into view counts as configured.
    pub(super) fn follow(&mut self, sources: Vec<Source>) -> Found {
        self.sources = sources;
        let sources = &self.sources;
        self.found.retain(|(server, path), _| {
            let own = sources.iter().filter(|source| source.server == *server);
            let mut patterns = own.flat_map(|source| &source.patterns);
            patterns.any(|pattern| would_match(pattern, path))
        });
        self.found.values_mut().for_each(Sheet::doubt);
        let found = self.look_by(Origin::Configured);
        Found {
            is_changed: true,
            ..found
        }
    }

    /// Looks at all files, and reads those that changed and were then left
    /// alone.
    pub(super) fn look(&mut self) -> Found {
        self.look_by(Origin::Dropped)
    }

    /// What is named now.
    pub(super) fn names(&mut self, configured: &Names, before: &Names) -> Names {
        let files = self.found.values();
        let files = files.map(|sheet| (sheet.origin, sheet.entries.as_slice()));
        let names = merge(configured, before, files);
        // A file that was there at the start, and could not be read, has still
        // to say what it named then.
        let said = self.found.values_mut().filter(|sheet| sheet.is_good());
        said.for_each(|sheet| sheet.origin = Origin::Dropped);
        names
    }

    fn look_by(&mut self, origin: Origin) -> Found {
        let matches = self.matches();
        let mut found = Found::default();
        for key in &matches.paths {
            let (server, path) = key;
            let source = self.sources.iter().find(|source| source.server == *server);
            let Some(source) = source else {
                continue;
            };
            let (sheet, when) = match self.found.entry(key.clone()) {
                btree_map::Entry::Vacant(place) => (place.insert(Sheet::new(origin)), origin),
                btree_map::Entry::Occupied(sheet) => (sheet.into_mut(), Origin::Dropped),
            };
            found.is_changed |= sheet.look(path, &source.read, when);
        }
        self.found.retain(|key, sheet| {
            if !matches.paths.contains(key) && !matches.may_hide(&key.1) {
                sheet.missed += 1;
            }
            let is_gone = sheet.missed >= MISSED_LOOKS;
            if is_gone && !sheet.entries.is_empty() {
                found.is_changed = true;
                tracing::info!(file = %key.1.display(), "a watch file is gone");
            }
            found.is_unsettled |= !is_gone && (sheet.unread > 0 || sheet.missed > 0);
            !is_gone
        });
        found.folders = matches.folders;
        found
    }

    fn matches(&mut self) -> Matches {
        let mut matches = Matches::default();
        for source in &self.sources {
            for pattern in &source.patterns {
                matches.add(&source.server, pattern);
            }
        }
        if matches.is_full && !self.is_full {
            let most = MOST_FILES;
            tracing::warn!(
                most,
                "there are too many watch files; remove some, or name fewer"
            );
        }
        self.is_full = matches.is_full;
        matches
    }
}

impl Matches {
    fn add(&mut self, server: &Arc<str>, pattern: &str) {
        let folder = Path::new(pattern).parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        self.add_folders(folder.unwrap_or(Path::new(".")));
        let matched = matched(pattern);
        self.dark.extend(matched.dark);
        for path in matched.paths {
            if self.paths.len() >= MOST_FILES {
                self.is_full = true;
                return;
            }
            self.paths.insert((Arc::clone(server), path));
        }
    }

    /// Whether the file may be there although nothing has shown it.
    fn may_hide(&self, path: &Path) -> bool {
        self.is_full || self.dark.iter().any(|dark| path.starts_with(dark))
    }

    /// The folders that match, and those in which such may come.
    fn add_folders(&mut self, folder: &Path) {
        let text = folder.to_string_lossy();
        self.folders.extend(matched(&text).paths);
        if is_wild(&text)
            && let Some(above) = folder.parent()
        {
            self.add_folders(above);
        }
    }
}

impl Sheet {
    fn new(origin: Origin) -> Self {
        Self {
            entries: Vec::new(),
            origin,
            stamp: None,
            unread: 0,
            missed: 0,
            trouble: None,
        }
    }

    /// Has the file read again. Where it could not be read, what it names when it
    /// can comes by what was changed here.
    fn doubt(&mut self) {
        self.unread = self.unread.max(1);
        if self.trouble.is_some() {
            self.origin = Origin::Configured;
        }
    }

    /// Looks at the file; the answer is whether it says something else now. At
    /// the start there is no time to wait for a second look.
    fn look(&mut self, path: &Path, read: &Read, when: Origin) -> bool {
        let stamp = match Stamp::of(path) {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.missed += 1;
                return false;
            }
            Err(error) => {
                let error = files::Error::Io(error);
                self.complain(path, &error.to_string(), &[unreadable(&error)]);
                return false;
            }
        };
        self.missed = 0;
        let is_left_alone = self.stamp.as_ref() == Some(&stamp);
        if is_left_alone && self.unread == 0 {
            return false;
        }
        self.stamp = Some(stamp);
        self.unread += 1;
        let is_patient = self.unread < MOST_LOOKS && when == Origin::Dropped;
        if is_patient && !is_left_alone {
            return false;
        }
        self.read(path, read)
    }

    fn read(&mut self, path: &Path, read: &Read) -> bool {
        let content = files::read(path);
        let is_written = Stamp::of(path).ok() != self.stamp;
        if is_written && self.unread < MOST_LOOKS {
            return false;
        }
        self.unread = 0;
        let bytes = match content {
            Ok(content) => content.bytes,
            Err(error) => {
                self.complain(path, &error.to_string(), &[unreadable(&error)]);
                return false;
            }
        };
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| vec![unreadable(&files::Error::NotText)]);
        match text.and_then(|text| read(text)) {
            Ok(entries) => self.take(path, entries),
            Err(problems) => {
                self.complain(path, &bytes, &problems);
                false
            }
        }
    }

    fn take(&mut self, path: &Path, entries: Vec<Entry>) -> bool {
        let was_wrong = self.trouble.take().is_some();
        let is_changed = entries != self.entries;
        let (file, transfers) = (path.display(), entries.len());
        if was_wrong || (is_changed && self.origin == Origin::Dropped) {
            tracing::info!(%file, transfers, "a watch file is followed");
        } else {
            tracing::debug!(%file, transfers, "a watch file is followed");
        }
        self.entries = entries;
        is_changed
    }

    /// Tells what is wrong first, once for each content: an application makes the
    /// same mistake in every entry.
    fn complain(&mut self, path: &Path, content: &(impl Hash + ?Sized), problems: &[String]) {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        if self.trouble.replace(hasher.finish()) == Some(hasher.finish()) {
            return;
        }
        let (file, problem) = (path.display(), problems.first());
        let more = problems.len().saturating_sub(1);
        let more = Some(more).filter(|more| *more > 0);
        if self.entries.is_empty() {
            tracing::warn!(
                %file,
                problem,
                more,
                "a watch file is wrong; nothing is read from it until it is mended"
            );
        } else {
            tracing::warn!(
                %file,
                problem,
                more,
                "a watch file is wrong; what it said before stays until it is mended"
            );
        }
    }

    /// What it says is what the file says.
    fn is_good(&self) -> bool {
        self.stamp.is_some() && self.unread == 0 && self.trouble.is_none()
    }
}

fn unreadable(error: &files::Error) -> String {
    let remedy = match error {
        files::Error::NotRegular => "put a file in its place, or remove it",
        files::Error::TooLarge => "divide it among several files",
        files::Error::NotText => "save it as UTF-8, or remove it",
        files::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            "let the user of the exporter read it, or remove it"
        }
        files::Error::Io(_) => "it is tried again",
    };
    format!("{error}; {remedy}")
}

#[cfg(test)]
mod tests;
