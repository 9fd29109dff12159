//! The example configuration, held to the code.

use std::{fs, path::Path};

use cryptshare_exporter::config::{Config, MetricsOptions, SenderOptions};

/// The example with its client id in place.
fn example(uncommented: bool) -> String {
    let text = fs::read_to_string("config/exporter.toml").unwrap();
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if uncommented && key.starts_with(|c: char| c.is_ascii_lowercase()) => {
            key.to_owned()
        }
        _ if line.starts_with("client_id_file") => format!("client_id = \"{}\"", "x".repeat(50)),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("exporter.toml")).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_is_good_as_it_stands() {
    let config = parse(&example(false));
    assert_eq!(config.servers[0].senders.len(), 2);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn every_default_that_the_example_shows_is_the_default() {
    let plain = parse(&example(false));
    let full = parse(&example(true));
    let defaults = SenderOptions::default();
    for config in [&plain, &full] {
        assert_eq!(config.servers[0].senders[0].options, defaults);
        let metrics = MetricsOptions::default();
        assert_eq!(config.metrics.transfers, metrics.transfers);
        assert_eq!(config.metrics.max_transfers, metrics.max_transfers);
        assert_eq!(config.metrics.expiring_within, metrics.expiring_within);
        assert_eq!(config.metrics.stale_after, metrics.stale_after);
    }
    let (plain, full) = (&plain.servers[0], &full.servers[0]);
    assert_eq!(plain.connect_timeout, full.connect_timeout);
    assert_eq!(plain.read_timeout, full.read_timeout);
    assert_eq!(plain.request_timeout, full.request_timeout);
    assert_eq!(plain.max_response_bytes, full.max_response_bytes);
    assert_eq!(plain.max_concurrency, full.max_concurrency);
    assert_eq!(plain.max_requests_per_second, full.max_requests_per_second);
    assert_eq!(plain.max_backoff, full.max_backoff);
}

/// A key that the reader knows and the example does not show would be told
/// here by name: an unknown key makes the reader list the ones it knows.
#[test]
fn every_key_is_in_the_example() {
    let text = fs::read_to_string("config/exporter.toml").unwrap();
    let wrong = "zzzzzzzzzzzzzzzz = 1\n[defaults]\nzzzzzzzzzzzzzzzz = 1\n[metrics]\nzzzzzzzzzzzzzzzz = 1\n\
                 [[server]]\nzzzzzzzzzzzzzzzz = 1\n[[server.sender]]\nzzzzzzzzzzzzzzzz = 1\n\
                 [[server.transfer]]\nzzzzzzzzzzzzzzzz = 1\n";
    let error = Config::parse(wrong, Path::new("x.toml"))
        .unwrap_err()
        .to_string();
    let lists = error
        .lines()
        .filter_map(|line| line.split_once("the keys here are "));
    let keys: Vec<_> = lists.flat_map(|(_, keys)| keys.split(", ")).collect();
    assert!(keys.len() > 30, "{error}");
    for key in keys {
        let shown = |line: &str| {
            let line = line.trim_start_matches(['#', ' ', '[']);
            line.starts_with(key) || line.starts_with(&format!("server.{key}"))
        };
        assert!(
            text.lines().any(shown),
            "{key} is not in config/exporter.toml"
        );
    }
}

#[test]
fn every_problem_is_told_in_one_run_with_its_line() {
    let text = include_str!("bad.toml");
    let error = Config::parse(text, Path::new("bad.toml"))
        .unwrap_err()
        .to_string();
    let expected = text.lines().enumerate().flat_map(|(index, line)| {
        let problems = line.split("#! ").skip(1);
        problems.map(move |problem| (index + 1, problem.trim()))
    });
    let mut count = 0;
    for (line, problem) in expected {
        count += 1;
        let told = error
            .lines()
            .any(|told| told.starts_with(&format!("bad.toml:{line}: ")) && told.contains(problem));
        assert!(told, "line {line}: {problem}\n{error}");
    }
    assert!(count >= 15);
    assert!(
        error.ends_with(&format!("{count} problems, nothing was changed")),
        "{error}"
    );
    assert!(!error.contains("secret-canary"), "{error}");
}

#[test]
fn a_file_nested_beyond_reason_is_a_problem() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("a = {}{}\n", open.repeat(100_000), close.repeat(100_000));
        let error = Config::parse(&text, Path::new("x.toml")).unwrap_err();
        assert!(error.to_string().starts_with("x.toml:1: syntax: "));
    }
}
