//! What a pattern of paths matches.
//!
//! Whoever can write into a watched folder chooses the names in it, so names are
//! taken as bytes: one that is no text is no match, and nothing else.
//!
//! **Invariants.** No name and no folder makes this panic; what could not be
//! looked into is told.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use glob::{MatchOptions, Pattern};

/// `*` means no file that is hidden: such are often only half written.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) paths: Vec<PathBuf>,
    /// Folders and files that could not be looked at.
    pub(super) dark: Vec<PathBuf>,
}

/// Whether the text means more than itself in a pattern.
pub(super) fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `pattern` would match `path`, were it there.
pub(super) fn would_match(pattern: &str, path: &Path) -> bool {
    // As `matched` goes through it.
    let pattern: PathBuf = Path::new(pattern).components().collect();
    let pattern = Pattern::new(&pattern.to_string_lossy());
    pattern.is_ok_and(|pattern| pattern.matches_path_with(path, MATCHING))
}

/// What `pattern` matches; one that is none matches nothing.
pub(super) fn matched(pattern: &str) -> Matched {
    let mut matched = Matched {
        paths: vec![PathBuf::new()],
        dark: Vec::new(),
    };
    for component in Path::new(pattern).components() {
        matched.descend(component);
    }
    matched.paths.retain(|path| !path.as_os_str().is_empty());
    matched
}

impl Matched {
    fn descend(&mut self, component: Component<'_>) {
        let text = component.as_os_str().to_str().unwrap_or_default();
        let wild = matches!(component, Component::Normal(_)) && is_wild(text);
        for folder in std::mem::take(&mut self.paths) {
            if wild {
                self.search(&folder, text);
            } else {
                self.try_path(folder.join(component));
            }
        }
    }

    fn try_path(&mut self, path: PathBuf) {
        match fs::metadata(&path) {
            Ok(_) => self.paths.push(path),
            Err(error) => self.note(path, &error),
        }
    }

    /// The names in `folder` that match.
    fn search(&mut self, folder: &Path, pattern: &str) {
        let Ok(pattern) = Pattern::new(pattern) else {
            return;
        };
        let here = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let entries = match fs::read_dir(here) {
            Ok(entries) => entries,
            Err(error) => return self.note(folder.to_owned(), &error),
        };
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name();
                    let is_match = |name: &str| pattern.matches_with(name, MATCHING);
                    if name.to_str().is_some_and(is_match) {
                        self.paths.push(folder.join(name));
                    }
                }
                Err(error) => self.note(folder.to_owned(), &error),
            }
        }
    }

    /// What is not there is no match; of anything else nobody knows.
    fn note(&mut self, path: PathBuf, error: &io::Error) {
        let is_absent = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        if !is_absent {
            self.dark.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn names_match_by_their_text_and_those_that_are_none_do_not() {
        let room = tempfile::tempdir().unwrap();
        for folder in ["a", "b", ".hidden"] {
            fs::create_dir(room.path().join(folder)).unwrap();
            for name in ["one.toml", ".two.toml", "three.txt"] {
                fs::write(room.path().join(folder).join(name), "").unwrap();
            }
            for name in [&b"\xff.toml"[..], b"\xff", b".\xff.toml"] {
                let name = OsStr::from_bytes(name);
                fs::write(room.path().join(folder).join(name), "").unwrap();
            }
        }
        let check = |pattern: &str, expect: &[&str]| {
            let pattern = format!("{}/{pattern}", room.path().display());
            let mut matched = matched(&pattern);
            matched.paths.sort();
            let names = matched.paths.iter();
            let names: Vec<_> = names
                .map(|path| path.strip_prefix(room.path()).unwrap().to_str().unwrap())
                .collect();
            assert_eq!(names, expect, "{pattern}");
            assert!(matched.dark.is_empty());
        };
        check("a/*.toml", &["a/one.toml"]);
        check("*/*.toml", &["a/one.toml", "b/one.toml"]);
        check("[ab]/t*", &["a/three.txt", "b/three.txt"]);
        check("a/.two.toml", &["a/.two.toml"]);
        check("a/none.toml", &[]);
        check("none/*.toml", &[]);
        check("a/one.toml/*", &[]);
        check("?", &["a", "b"]);
    }
}
