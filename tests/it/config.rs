//! The example configuration, held to the code.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use cryptshare_exporter::config::{
    Config, MetricsOptions, RecipientLabels, SenderOptions, web::WebConfig,
};

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
        assert_eq!(config.metrics.max_recipients, metrics.max_recipients);
        assert!(matches!(
            config.metrics.recipient_labels,
            RecipientLabels::Off
        ));
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
            line.starts_with(&format!("{key} = "))
                || line.starts_with(&format!("{key}]"))
                || line.starts_with(&format!("server.{key}]"))
        };
        assert!(
            text.lines().any(shown),
            "{key} is not in config/exporter.toml"
        );
    }
}

#[test]
fn numbers_may_be_written_in_any_base() {
    let text = example(false).replace("#max_transfers = 2000", "max_transfers = 0x10");
    assert_eq!(parse(&text).metrics.max_transfers, 16);
}

#[test]
fn a_file_that_holds_no_certificate_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let pem = crate::rig::write(directory.path(), "ca.pem", "hello");
    let ca = format!("ca_file = \"{}\"", pem.display());
    let text = example(false).replace("# ca_file = \"ca.pem\"", &ca);
    let error = Config::parse(&text, Path::new("x.toml")).unwrap_err();
    assert!(
        error.to_string().contains("holds no certificate"),
        "{error}"
    );
}

#[test]
fn a_pipe_or_a_device_in_place_of_a_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [pipe.as_path(), Path::new("/dev/zero")] {
        let line = format!("client_id_file = \"{}\"", path.display());
        let text = example(false).replace(&format!("client_id = \"{}\"", "x".repeat(50)), &line);
        let text = text.replace("# ca_file = \"ca.pem\"", &line.replace("client_id", "ca"));
        let error = Config::parse(&text, Path::new("x.toml")).unwrap_err();
        let refused = "cannot be read (it is not a regular file)";
        assert_eq!(error.to_string().matches(refused).count(), 2, "{error}");
        let errors = [Config::load(path).err(), WebConfig::load(path).err()];
        for error in errors.map(|error| error.unwrap().to_string()) {
            assert!(error.contains(refused), "{error}");
        }
    }
    let huge = directory.path().join("huge");
    let file = fs::File::create(&huge).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = Config::load(&huge).unwrap_err().to_string();
    assert!(
        error.contains("it is larger than 16777216 bytes"),
        "{error}"
    );
}

#[test]
fn a_file_that_holds_more_than_a_client_id_is_named_with_its_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let id = "Canary7".repeat(10);
    for (content, expect) in [
        (
            format!("\u{feff}{id}\n"),
            "begins with a byte order mark; save it as UTF-8 without one",
        ),
        (
            format!("{id}\n{id}\n"),
            "has 2 lines; leave the client id as the only one",
        ),
        (
            "Canary7".to_owned(),
            "the client id of 7 characters breaks the server's rules; it has 50 to 4000",
        ),
    ] {
        let file = crate::rig::write(directory.path(), "id", &content);
        let line = format!("client_id_file = \"{}\"", file.display());
        let text = example(false).replace(&format!("client_id = \"{}\"", "x".repeat(50)), &line);
        let error = Config::parse(&text, Path::new("x.toml")).unwrap_err();
        let error = error.to_string();
        let expect = format!("client_id_file: {}: {expect}", file.display());
        assert!(error.contains(&expect), "{error}");
        assert!(!error.contains("Canary"), "{error}");
    }
}

/// C1 controls, DEL, turns of the direction and other ends of lines.
#[test]
fn a_name_with_characters_that_cannot_be_seen_is_refused_and_never_passed_on() {
    for odd in [
        '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{2028}', '\u{2029}',
    ] {
        let escape = format!("\\u{:04x}", u32::from(odd));
        // As an escape, and as it is where TOML permits that.
        for odd in [escape, odd.to_string()] {
            if odd.starts_with('\u{7f}') {
                continue;
            }
            let text = format!(
                "[[server]]\nname = \"a\"\nurl = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
                 [[server.sender]]\nemail = \"a{odd}@example.com\"\nname = \"x{odd}y\"\n\
                 [[server.transfer]]\nsender = \"b@example.com\"\n\
                 tracking_id = \"2026{odd}\"\nname = \"x{odd}y\"\n",
                "x".repeat(50)
            );
            let error = Config::parse(&text, Path::new("x.toml")).unwrap_err();
            let told = error.to_string();
            let what = "which cannot be seen; type it anew";
            assert_eq!(told.matches(what).count(), 4, "{told:?}");
            for line in [6, 7, 10, 11] {
                assert!(told.contains(&format!("x.toml:{line}: ")), "{told:?}");
            }
            let shown = |c: char| c == '\n' || !cryptshare_exporter::printable::is_obeyed(c);
            assert!(told.chars().all(shown), "{told:?}");
        }
    }
}

#[test]
fn a_client_id_in_place_of_its_file_is_not_shown() {
    let secret = "Canary7".repeat(10);
    let line = format!("client_id_file = \"{secret}\"");
    let text = example(false).replace(&format!("client_id = \"{}\"", "x".repeat(50)), &line);
    let error = Config::parse(&text, Path::new("x.toml")).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("the file cannot be read"), "{error}");
    assert!(!error.contains(&secret), "{error}");
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
    let warnings = error.lines().filter(|line| line.ends_with("(warning)"));
    let problems = count - warnings.count();
    assert!(error.ends_with(&format!("{problems} problems")), "{error}");
    assert!(!error.contains("secret-canary"), "{error}");
}

/// What is told of a file with these lines in `[metrics]`: its problems, or its
/// warnings.
fn told_of_metrics(lines: &str, directory: &Path) -> Vec<String> {
    let text = format!(
        "[metrics]\n{lines}\n[[server]]\nname = \"a\"\nurl = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
         [[server.sender]]\nemail = \"a@example.com\"\n",
        "x".repeat(50)
    );
    match Config::parse(&text, &directory.join("x.toml")) {
        Ok(config) => config.warnings.iter().map(ToString::to_string).collect(),
        Err(error) => {
            let error = error.to_string();
            let problems = error.lines().filter(|line| line.contains("x.toml:"));
            problems.map(str::to_owned).collect()
        }
    }
}

#[test]
fn a_hash_needs_a_key_and_a_key_needs_a_hash() {
    let directory = tempfile::tempdir().unwrap();
    let canary = "canary-key-of-forty-characters-0123456789";
    let file = crate::rig::write(directory.path(), "key", &format!("{canary}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let open = crate::rig::write(directory.path(), "open", canary);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let inline = format!("recipient_hash_key = \"{canary}\"");
    let check = |lines: &[&str], expect: Option<&str>| {
        let told = told_of_metrics(&lines.join("\n"), directory.path());
        let count = usize::from(expect.is_some());
        assert_eq!(told.len(), count, "{lines:?}: {told:?}");
        for (told, expect) in told.iter().zip(expect) {
            assert!(told.contains(expect), "{lines:?}: {told}");
            assert!(!told.contains("canary"), "{told}");
        }
    };
    let hash = "recipient_labels = \"hash\"";
    let plain = "recipient_labels = \"plain\"";
    let from_file = "recipient_hash_key_file = \"key\"";
    check(&[hash, &inline], None);
    check(&[hash, from_file], None);
    check(&[plain], None);
    check(&["recipient_labels = \"off\"", "max_recipients = 0"], None);
    check(&[hash], Some("there is no key for the hash"));
    check(&[&inline], Some("recipients are not hashed"));
    check(&[plain, from_file], Some("recipients are not hashed"));
    check(&[hash, &inline, from_file], Some("stands beside"));
    check(
        &[hash, "recipient_hash_key = \"canary\""],
        Some("has 6 bytes only"),
    );
    check(
        &[hash, "recipient_hash_key_file = \"nothing\""],
        Some("cannot be read"),
    );
    for canary in [canary, "canary/of+base64/that+looks/like+a/path="] {
        let in_its_place = format!("recipient_hash_key_file = \"{canary}\"");
        check(&[hash, &in_its_place], Some("the file cannot be read"));
    }
    check(&[hash, "recipient_hash_key = 7"], Some("is an integer"));
    check(
        &["recipient_labels = \"hashed\"", &inline],
        Some("no way to name"),
    );
    check(&["max_recipients = -1"], Some("out of range"));
    check(
        &[hash, "recipient_hash_key_file = \"open\""],
        Some("everybody on the machine can read"),
    );
    check(
        &[plain, "transfers = false"],
        Some("no effect without transfers"),
    );
}

#[test]
fn a_sender_of_named_transfers_alone_is_labelled_by_its_address_unless_it_is_named() {
    let labels = |more: &str| {
        let text = format!(
            "[[server]]\nname = \"a\"\nurl = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
             [[server.transfer]]\nsender = \"Ada@example.com\"\ntracking_id = \"20260401-081500-Qx7Lm2Za\"\n{more}",
            "x".repeat(50)
        );
        let config = parse(&text);
        let senders = &config.servers[0].senders;
        senders
            .iter()
            .map(|s| s.label().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(""), ["Ada@example.com"]);
    let named = "[[server.sender]]\nemail = \"ada@example.com\"\nname = \"ada\"\n";
    assert_eq!(labels(named), ["ada"]);
}

#[test]
fn a_file_nested_beyond_reason_is_a_problem() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("a = {}{}\n", open.repeat(100_000), close.repeat(100_000));
        let error = Config::parse(&text, Path::new("x.toml")).unwrap_err();
        assert!(error.to_string().starts_with("x.toml:1: syntax: "));
    }
}
