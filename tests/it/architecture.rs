//! The arrows and the rooms, held to what ARCHITECTURE.md says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each part and what it may import.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    ("cli", &["app", "config", "logging", "telemetry"]),
    ("config", &["files", "model", "printable"]),
    ("watch", &["files", "ledger", "model"]),
    (
        "poll",
        &["backoff", "clock", "cryptshare", "model", "telemetry"],
    ),
    (
        "metrics",
        &[
            "exposition",
            "ledger",
            "metric",
            "model",
            "process",
            "telemetry",
        ],
    ),
    (
        "bookkeeper",
        &[
            "clock",
            "exposition",
            "ledger",
            "metrics",
            "model",
            "status",
            "telemetry",
        ],
    ),
    (
        "web",
        &["exposition", "net", "printable", "status", "telemetry"],
    ),
    ("simulator", &["net"]),
    (
        "cryptshare",
        &["budget", "clock", "files", "model", "telemetry"],
    ),
    ("ledger", &["files", "model"]),
    ("exposition", &["metric"]),
    ("net", &[]),
    ("process", &["metric"]),
    ("files", &[]),
    ("lifecycle", &[]),
    ("logging", &["clock", "printable"]),
    ("model", &[]),
    ("clock", &[]),
    ("backoff", &[]),
    ("budget", &[]),
    ("metric", &[]),
    ("printable", &[]),
    ("status", &[]),
    ("telemetry", &["metric"]),
];

/// `app` is the composition root: it may import everything.
const ROOT: &str = "app";

fn sources() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The part that a file belongs to.
fn part(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap();
    let first = inside.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Whether a file holds nothing but unit tests, which may look anywhere.
fn is_test(file: &Path) -> bool {
    file.iter()
        .any(|name| name == "tests" || name == "tests.rs")
}

/// What a file names after `root`, its tests and comments left out.
fn imports(text: &str, root: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code: String = code.split_inclusive('\n').filter(is_code).collect();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(heads(group)),
            None => names.extend([word(rest)]),
        }
    }
    names
}

/// The first word of each item of a brace group, nested groups skipped.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = vec![];
    let mut item = String::new();
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => heads.push(word(std::mem::take(&mut item).trim())),
            '{' => depth += 1,
            '}' => depth -= 1,
            other if depth == 0 => item.push(other),
            _ => {}
        }
    }
    heads.push(word(item.trim()));
    heads.retain(|head| !head.is_empty());
    heads
}

fn word(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

#[test]
fn the_arrows_are_those_of_the_table() {
    let table: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for file in sources() {
        let part = part(&file);
        if part == ROOT || is_test(&file) {
            continue;
        }
        let allowed = table.get(part.as_str());
        let allowed = allowed.unwrap_or_else(|| panic!("{part} is not in the table"));
        for import in imports(&fs::read_to_string(&file).unwrap(), "crate::") {
            let is_own = import == part;
            assert!(
                is_own || allowed.contains(&import.as_str()),
                "{} imports {import}",
                file.display()
            );
        }
    }
}

#[test]
fn every_file_has_its_room_its_doc_and_its_size() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        assert!(text.starts_with("//!"), "{name} has no doc");
        assert!(text.lines().count() <= 500, "{name} is too long");
        let doc: String = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let is_shell = name.to_string() == "src/main.rs";
        assert!(
            is_shell || doc.contains("**Invariants.**"),
            "{name} tells no invariants"
        );
        for odd in ["utils", "helpers", "common", "manager", "handler"] {
            assert!(!name.to_string().contains(odd), "{name}");
        }
    }
}

/// The rows of the table in the section of ARCHITECTURE.md with this title.
fn rows(title: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let (_, section) = text.split_once(&format!("\n## {title}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.skip(1).map(cells).collect()
}

/// The words of a cell.
fn words(cell: &str) -> BTreeSet<String> {
    let words = cell.split_whitespace();
    words.map(|word| word.replace('`', "")).collect()
}

#[test]
fn architecture_md_has_every_part_and_its_arrows() {
    let mut told = BTreeMap::new();
    for row in rows("The rooms") {
        for part in words(&row[0]) {
            told.insert(part, words(&row[2]));
        }
    }
    let everything = told.remove(ROOT).unwrap();
    assert_eq!(everything, words("everything"));
    let own = |imports: &[&str]| imports.iter().map(|&part| part.to_owned()).collect();
    let held = ARROWS
        .iter()
        .map(|&(part, imports)| (part.to_owned(), own(imports)));
    assert_eq!(told, held.collect());
}

/// Takes away whoever imports nothing that is left, until nobody is.
fn has_no_circle(mut left: BTreeMap<String, BTreeSet<String>>) {
    while !left.is_empty() {
        let names: BTreeSet<_> = left.keys().cloned().collect();
        left.retain(|name, imports| imports.iter().any(|one| one != name && names.contains(one)));
        assert!(left.len() < names.len(), "a circle among {names:?}");
    }
}

#[test]
fn the_arrows_run_in_no_circle() {
    let own = |imports: &[&str]| imports.iter().map(|&part| part.to_owned()).collect();
    let arrows = ARROWS
        .iter()
        .map(|(part, to)| ((*part).to_owned(), own(to)));
    has_no_circle(arrows.collect());
}

/// What is common to the files of a folder stands in its `mod.rs`; beside that
/// none uses another that uses it.
#[test]
fn no_two_files_of_a_folder_use_each_other() {
    let mut folders: BTreeMap<PathBuf, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let is_room = |file: &PathBuf| !is_test(file) && !file.ends_with("mod.rs");
    for file in sources().into_iter().filter(is_room) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let uses = imports(&fs::read_to_string(&file).unwrap(), "super::");
        let folder = file.parent().unwrap().to_owned();
        folders.entry(folder).or_default().insert(name, uses);
    }
    assert!(folders.len() > 20);
    folders.into_values().for_each(has_no_circle);
}

#[test]
fn architecture_md_has_every_folder_beside_the_sources() {
    let told: BTreeSet<_> = rows("Around the house")
        .iter()
        .flat_map(|row| words(&row[0]))
        .collect();
    let entries = fs::read_dir(".")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.is_dir());
    let names = folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let is_ours = |name: &String| !name.starts_with('.') && name != "target" && name != "src";
    assert_eq!(told, names.filter(is_ours).collect());
}
