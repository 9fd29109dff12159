//! What docs/simulator.md says is there: tests by their names, endpoints, error
//! codes, quirks and faults.

use std::collections::BTreeSet;

use regex::Regex;

use crate::{aftermath::kinds, rig::run};

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The first cells of the table in the section with this title.
fn table(title: &str) -> BTreeSet<String> {
    let text = read("docs/simulator.md");
    let (_, section) = text.split_once(&format!("## {title}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.map(|row| row.split(" |").next().unwrap().replace('`', ""));
    cells.skip(1).collect()
}

#[test]
fn every_test_that_is_named_is_there() {
    let text = read("docs/simulator.md");
    let named = Regex::new("`([a-z]+)::([a-z_]+)`").unwrap();
    let mut count = 0;
    for test in named.captures_iter(&text) {
        let module = read(&format!("tests/it/{}.rs", &test[1]));
        let is_there = Regex::new(&format!("(?m)^(async )?fn {}\\(", &test[2])).unwrap();
        assert!(is_there.is_match(&module), "{}", &test[0]);
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn every_endpoint_of_the_description_has_its_test() {
    let text = read("docs/simulator-openapi.yaml");
    let (_, paths) = text.split_once("\npaths:\n").unwrap();
    let (paths, _) = paths.split_once("\ncomponents:\n").unwrap();
    let (mut path, mut described) = ("", BTreeSet::new());
    for line in paths.lines() {
        if let Some((name, alias)) = line.strip_prefix("  /").and_then(|l| l.split_once(':')) {
            path = name;
            // What is said once for two paths is a GET.
            if alias.starts_with(" *") {
                described.insert(format!("GET /{path}"));
            }
        }
        for method in ["get", "post", "put", "patch", "delete"] {
            if line == format!("    {method}:") {
                described.insert(format!("{} /{path}", method.to_uppercase()));
            }
        }
    }
    assert_eq!(described.len(), 40);
    assert_eq!(table("Endpoints"), described);
}

#[test]
fn every_error_code_has_its_test() {
    let text = read("src/simulator/rest/refusal.rs");
    let codes = Regex::new("new\\(\\s*(\\d{3}),\\s*(\\d{4}),").unwrap();
    let codes = codes.captures_iter(&text);
    let codes: BTreeSet<_> = codes
        .map(|code| format!("{}, {}", &code[1], &code[2]))
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    assert_eq!(table("Error codes"), codes);
}

#[tokio::test]
async fn every_quirk_and_every_fault_has_its_test() {
    let (_, quirks, _) = run(&["simulate", "--quirk", "list"]);
    let name = |line: &str| line.split(' ').next().unwrap().to_owned();
    assert_eq!(table("Quirks"), quirks.lines().map(name).collect());
    assert_eq!(table("Faults"), kinds().await);
}
