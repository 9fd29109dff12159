//! Every command of the documents, run as it stands there on a machine of its
//! own, or known to be run by somebody else: `commands.toml` says which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use regex::Regex;
use serde::Deserialize;

use crate::machine::{Machine, Walked};

/// How a command is known to work.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum How {
    Walk(Walked),
    Elsewhere { file: String, has: String },
    Not { not: String },
}

/// What a document has in its order.
#[derive(Debug)]
enum Step {
    /// A command, and what it prints, if that is said.
    Command(String, Option<String>),
    /// A block of a configuration.
    Toml(String),
    Yaml(String),
}

const DOCUMENTS: [&str; 4] = [
    "README.md",
    "docs/deploy.md",
    "docs/simulator.md",
    "docs/runbooks",
];

/// Words that begin a command where it stands within a sentence.
const PROGRAMS: &str = "/?cryptshare-exporter|apt|cargo|curl|df|helm|kubectl|openssl|promtool|systemctl|systemd-analyze";

fn table(document: &str) -> BTreeMap<String, How> {
    let text = include_str!("commands.toml");
    let mut all: BTreeMap<String, BTreeMap<String, How>> = toml::from_str(text).unwrap();
    all.remove(document).unwrap()
}

/// The texts of a document; one for each file of a folder.
fn texts(document: &str) -> Vec<String> {
    if Path::new(document).is_file() {
        return vec![fs::read_to_string(document).unwrap()];
    }
    let folders = [document.to_owned(), format!("{document}/reasons")];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = entries.map(|entry| entry.unwrap().path());
    let files: BTreeSet<_> = files.filter(|path| path.is_file()).collect();
    let text = |path| fs::read_to_string(path).unwrap();
    files.into_iter().map(text).collect()
}

/// What a document has in its order, each command without its comment. A
/// section whose heading is in the table is one command.
fn steps(document: &str) -> Vec<Step> {
    let known = table(document);
    let mut steps = Vec::new();
    for text in texts(document) {
        for section in format!("\n{text}").split("\n## ") {
            let heading = format!("## {}", section.lines().next().unwrap());
            if known.contains_key(&heading) {
                steps.push(Step::Command(heading, None));
                continue;
            }
            for (at, part) in section.split("```").enumerate() {
                if at % 2 == 0 {
                    steps.extend(named(part));
                    continue;
                }
                let (language, block) = part.split_once('\n').unwrap();
                match language {
                    "sh" => steps.extend(script(block)),
                    "console" => steps.extend(console(block)),
                    "toml" => steps.push(Step::Toml(block.to_owned())),
                    "yaml" => steps.push(Step::Yaml(block.to_owned())),
                    other => panic!("{document}: a block of \"{other}\""),
                }
            }
        }
    }
    steps
}

/// Commands within sentences.
fn named(text: &str) -> Vec<Step> {
    let span = Regex::new(&format!("`((?:{PROGRAMS}) [^`]+)`")).unwrap();
    let spans = span.captures_iter(text);
    spans
        .map(|span| Step::Command(span[1].to_owned(), None))
        .collect()
}

fn without_comment(line: &str) -> String {
    let comment = Regex::new(r"\s{2,}#.*$").unwrap();
    comment.replace(line, "").into_owned()
}

/// The commands of a block that is all commands.
fn script(block: &str) -> Vec<Step> {
    let whole = Regex::new(r"\s*\\\n\s*").unwrap().replace_all(block, " ");
    let lines = whole.lines().map(without_comment);
    let commands = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    commands
        .map(|command| Step::Command(command, None))
        .collect()
}

/// The commands of a block with what each prints; a text that a command is
/// given stands below it, up to `END`.
fn console(block: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in format!("\n{block}").split("\n$ ").skip(1) {
        let part = format!("{part}\n");
        let (first, rest) = part.split_once('\n').unwrap();
        let (given, printed) = rest.split_once("END\n").unwrap_or(("", rest));
        let mut command = without_comment(first);
        if !given.is_empty() {
            command = format!("{command}\n{given}END");
        }
        steps.push(Step::Command(command, Some(printed.trim_end().to_owned())));
    }
    steps
}

/// The part of a command by which the table knows it.
fn key(command: &str) -> &str {
    command.lines().next().unwrap()
}

#[test]
fn every_command_of_the_documents_is_in_the_table_and_nothing_else_is() {
    for document in DOCUMENTS {
        let commands = steps(document).into_iter().filter_map(|step| match step {
            Step::Command(command, _) => Some(key(&command).to_owned()),
            Step::Toml(_) | Step::Yaml(_) => None,
        });
        let commands: BTreeSet<_> = commands.collect();
        let table = table(document);
        let known: BTreeSet<_> = table.keys().cloned().collect();
        let (unknown, gone) = (&commands - &known, &known - &commands);
        assert!(
            unknown.is_empty(),
            "{document}: not in commands.toml: {unknown:#?}"
        );
        assert!(
            gone.is_empty(),
            "{document}: only in commands.toml: {gone:#?}"
        );
        for how in table.values() {
            match how {
                How::Elsewhere { file, has } => {
                    let text = fs::read_to_string(file).unwrap();
                    assert!(text.contains(has), "{file} does not have: {has}");
                }
                How::Not { not } => assert!(!not.is_empty()),
                How::Walk(_) => {}
            }
        }
    }
}

/// Follows a document from its first command to its last.
async fn walk(document: &str) {
    let table = table(document);
    let mut machine = Machine::new().await;
    match document {
        // It says itself how all of this comes about.
        "README.md" => {}
        "docs/runbooks" => {
            let mut blocks = steps("README.md").into_iter();
            let block = blocks.find_map(|step| match step {
                Step::Toml(text) => Some(text),
                Step::Command(..) | Step::Yaml(_) => None,
            });
            machine.lives(&block.unwrap()).await;
        }
        _ => machine.has_a_state_directory(),
    }
    for step in steps(document) {
        match step {
            Step::Toml(text) => machine.configure(&text).await,
            Step::Yaml(text) => machine.judge(&text).await,
            Step::Command(command, expect) => {
                if let How::Walk(how) = &table[key(&command)] {
                    machine.follow(&command, *how, expect.as_deref()).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn the_readme_does_what_it_says() {
    walk("README.md").await;
}

#[tokio::test]
async fn deploying_does_what_it_says() {
    walk("docs/deploy.md").await;
}

#[tokio::test]
async fn the_simulator_does_what_is_said_of_it() {
    walk("docs/simulator.md").await;
}

#[tokio::test]
async fn the_runbooks_do_what_they_say() {
    walk("docs/runbooks").await;
}
