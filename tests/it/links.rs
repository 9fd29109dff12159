//! What the documents point at is there: links and their anchors, files and
//! modules that are named.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// Folders that are not ours, or made by a build.
const FOREIGN: [&str; 2] = ["target", "node_modules"];

/// What is named and comes about only when a tool runs.
const MADE: [&str; 1] = ["fuzz/artifacts"];

/// Folders at the top; a text in backticks that begins with one is a path.
const TOP: &str = "benches|config|deploy|docs|examples|fuzz|scripts|src|tests";

/// Every document of the repository with its text.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut folders = vec![PathBuf::from(".")];
    let mut documents = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_foreign = name.starts_with('.') || FOREIGN.contains(&name);
            if path.is_dir() && !is_foreign {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let text = fs::read_to_string(&path).unwrap();
                documents.insert(path.strip_prefix(".").unwrap().to_owned(), text);
            }
        }
    }
    documents
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The anchors of a document, as GitHub and GitLab make them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = format!("\n{}", prose(text));
    let headings = Regex::new(r"\n#+ ([^\n]+)").unwrap();
    let mut seen = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for heading in headings.captures_iter(&prose) {
        let words = heading[1].to_lowercase().replace(' ', "-");
        let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let anchor: String = words.chars().filter(is_kept).collect();
        let times = seen.entry(anchor.clone()).or_insert(0);
        anchors.insert(match *times {
            0 => anchor,
            times => format!("{anchor}-{times}"),
        });
        *times += 1;
    }
    anchors
}

#[test]
fn every_link_and_its_anchor_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut count = 0;
    for (document, text) in documents() {
        for link in link.captures_iter(&prose(&text)) {
            let (target, anchor) = link[1].split_once('#').unwrap_or((&link[1], ""));
            if target.contains(':') {
                continue;
            }
            let folder = document.parent().unwrap();
            let path = if target.is_empty() {
                document.clone()
            } else {
                folder.join(target)
            };
            let at = document.display();
            assert!(path.exists(), "{at}: there is no {target}");
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&path).unwrap());
                assert!(
                    there.contains(anchor),
                    "{at}: {target} has no #{anchor}: {there:?}"
                );
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

/// Whether there is something of this name, in which `*` is anything.
fn is_there(path: &str) -> bool {
    glob::glob(path).is_ok_and(|mut found| found.next().is_some())
}

#[test]
fn every_file_that_is_named_is_there() {
    let named = Regex::new(&format!("`((?:{TOP})/[^` ]*)`")).unwrap();
    let mut count = 0;
    for (document, text) in documents() {
        for path in named.captures_iter(&prose(&text)) {
            let is_there = is_there(&path[1]) || MADE.contains(&&path[1]);
            assert!(is_there, "{}: {}", document.display(), &path[1]);
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

/// Whether a name such as `poll::agenda` is a module, or something within one.
fn is_module(name: &str) -> bool {
    let path = format!("src/{}", name.replace("::", "/"));
    if Path::new(&path).is_dir() || Path::new(&format!("{path}.rs")).is_file() {
        return true;
    }
    let (module, item) = path.rsplit_once('/').unwrap();
    let files = [format!("{module}.rs"), format!("{module}/mod.rs")];
    let defined = Regex::new(&format!(r"\b(fn|mod|struct|enum|trait|const) {item}\b")).unwrap();
    let mut texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    texts.any(|text| defined.is_match(&text))
}

#[test]
fn every_module_that_is_named_is_there() {
    let named = Regex::new("`([a-z_]+(?:::[a-z_]+)+)").unwrap();
    let mut count = 0;
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(document).unwrap();
        for name in named.captures_iter(&text) {
            assert!(is_module(&name[1]), "{document}: {}", &name[1]);
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
}
