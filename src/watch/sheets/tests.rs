//! What looks at real files make of them.
//!
//! **Invariants.** No look waits for another, so nothing here depends on time.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    sync::Arc,
};

use tempfile::TempDir;

use super::*;
use crate::model::{SenderId, TrackingId};

/// A folder whose files have an id on each line; a line of `?` is a problem.
struct Desk {
    folder: TempDir,
    sheets: Sheets,
    before: Names,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let source = Source {
            server: "prod".into(),
            patterns: vec![format!("{}/*.toml", folder.path().display())],
            read: Arc::new(read),
        };
        let (mut sheets, _) = Sheets::at_start(vec![source]);
        let before = sheets.names(&Names::new(), &Names::new());
        Self {
            folder,
            sheets,
            before,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What is named after `looks` looks.
    fn after(&mut self, looks: usize) -> Vec<String> {
        for _ in 0..looks {
            self.sheets.look();
        }
        self.before = self.sheets.names(&Names::new(), &self.before);
        self.named()
    }

    fn named(&self) -> Vec<String> {
        let all = self.before.values().flatten();
        let one = all.map(|(id, named)| format!("{id} {:?}", named.origin));
        one.collect()
    }
}

fn read(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let entry = |id: &str| {
        let id = TrackingId::parse(id).map_err(|error| vec![error.to_string()])?;
        Ok(Entry {
            sender: SenderId::new("prod", "ada@example.com"),
            id,
            name: String::new(),
        })
    };
    text.lines().map(entry).collect()
}

#[test]
fn what_is_there_at_the_start_is_configured_and_what_comes_later_is_dropped() {
    let mut desk = Desk::new(&[("a.toml", "one"), ("b.txt", "two"), (".c.toml", "three")]);
    assert_eq!(desk.named(), ["one Configured"]);
    desk.write("d.toml", "four");
    assert_eq!(desk.after(2), ["four Dropped", "one Configured"]);
    desk.write("a.toml", "one\nfive");
    let expect = ["five Dropped", "four Dropped", "one Configured"];
    assert_eq!(desk.after(2), expect);
}

#[test]
fn what_was_there_and_wrong_at_the_start_is_configured_when_it_is_mended() {
    let mut desk = Desk::new(&[("a.toml", "a/b")]);
    desk.write("a.toml", "c/d");
    assert_eq!(desk.after(2), Vec::<String>::new());
    desk.write("a.toml", "one");
    assert_eq!(desk.after(2), ["one Configured"]);
    desk.write("a.toml", "one\ntwo");
    assert_eq!(desk.after(2), ["one Configured", "two Dropped"]);
}

#[test]
fn a_file_that_is_written_or_wrong_leaves_what_it_said() {
    let mut desk = Desk::new(&[("a.toml", "one")]);
    desk.write("a.toml", "two");
    assert_eq!(desk.after(1), ["one Configured"], "it may not be complete");
    desk.write("a.toml", "two\nthree");
    assert_eq!(desk.after(1), ["one Configured"], "it was not");
    assert_eq!(desk.after(1), ["three Dropped", "two Dropped"]);
    desk.write("a.toml", "four\na/b");
    assert_eq!(desk.after(3), ["three Dropped", "two Dropped"]);
    desk.write("a.toml", "four");
    assert_eq!(desk.after(2), ["four Dropped"]);
}

#[test]
fn a_file_that_is_never_left_alone_is_read_after_a_while() {
    let mut desk = Desk::new(&[]);
    for number in 0..20 {
        desk.write("a.toml", &format!("id-{number}"));
        desk.after(1);
    }
    assert_eq!(desk.named().len(), 1);
}

#[test]
fn a_file_is_gone_when_it_was_missing_twice() {
    let mut desk = Desk::new(&[("a.toml", "one"), ("b.toml", "two")]);
    let kept = desk.path("kept");
    fs::rename(desk.path("a.toml"), &kept).unwrap();
    assert_eq!(desk.after(1).len(), 2);
    fs::rename(&kept, desk.path("a.toml")).unwrap();
    assert_eq!(desk.after(5).len(), 2);
    fs::remove_file(desk.path("a.toml")).unwrap();
    assert_eq!(desk.after(2), ["two Configured"]);
}

#[test]
fn a_link_that_is_turned_is_followed_as_kubernetes_does_it() {
    let mut desk = Desk::new(&[]);
    for (folder, id) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(desk.path(folder)).unwrap();
        desk.write(&format!("{folder}/a.toml"), id);
        let link = desk.path("..new");
        std::os::unix::fs::symlink(folder, &link).unwrap();
        fs::rename(&link, desk.path("..data")).unwrap();
        drop(std::os::unix::fs::symlink(
            "..data/a.toml",
            desk.path("a.toml"),
        ));
        assert_eq!(desk.after(2), [format!("{id} Dropped")]);
    }
}

#[test]
fn what_is_no_file_or_no_text_says_nothing_and_harms_nobody() {
    let mut desk = Desk::new(&[("a.toml", "one")]);
    fs::create_dir(desk.path("b.toml")).unwrap();
    fs::write(desk.path("c.toml"), [0xff, 0xfe]).unwrap();
    std::os::unix::fs::symlink("nowhere", desk.path("d.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", desk.path("e.toml")).unwrap();
    assert_eq!(desk.after(3), ["one Configured"]);
}

#[test]
fn a_folder_that_cannot_be_read_is_not_an_empty_one() {
    let mut desk = Desk::new(&[("a.toml", "one")]);
    fs::set_permissions(desk.folder.path(), Permissions::from_mode(0o000)).unwrap();
    let is_blind = fs::read_dir(desk.folder.path()).is_err();
    let named = desk.after(3);
    fs::set_permissions(desk.folder.path(), Permissions::from_mode(0o700)).unwrap();
    // Whoever is root reads it all the same.
    assert_eq!(named, ["one Configured"], "blind: {is_blind}");
}

#[test]
fn ten_thousand_files_are_one_answer() {
    let files: Vec<_> = (0..10_000)
        .map(|n| (format!("{n}.toml"), format!("id-{n}")))
        .collect();
    let texts = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let mut desk = Desk::new(&texts.collect::<Vec<_>>());
    assert_eq!(desk.named().len(), 10_000);
    fs::remove_file(desk.path("77.toml")).unwrap();
    assert_eq!(desk.after(2).len(), 9_999);
}
