//! The command line: exit codes, signals, what is printed.

use std::{fs, process::Command};

use tempfile::TempDir;

use crate::rig::{BINARY, Exporter, Process, Server, eventually, run, write};

#[test]
fn a_good_configuration_is_counted_and_a_bad_one_told_in_full() {
    let directory = TempDir::new().unwrap();
    let good = write(
        directory.path(),
        "good.toml",
        &format!(
            "[[server]]\nname = \"a\"\nurl = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
             [[server.sender]]\nemail = \"a@example.com\"\n",
            "x".repeat(50)
        ),
    );
    let (code, out, _) = run(&["--config.check", "--config.file", good.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(out.contains("servers: 1, senders: 1"), "{out}");
    let bad = write(
        directory.path(),
        "bad.toml",
        "[[server]]\nnam = 1\nurl = 2\n",
    );
    let (code, _, problems) = run(&["--config.check", "--config.file", bad.to_str().unwrap()]);
    assert_eq!(code, 3);
    for expect in [
        "bad.toml:2: server[0].nam: unknown key; did you mean \"name\"?",
        "bad.toml:3: server[0].url: is an integer; write a text in double quotes",
        "there is no client id",
        "the server has nothing to watch",
    ] {
        assert!(problems.contains(expect), "{expect} in {problems}");
    }
    let (code, _, problems) = run(&["--config.file", bad.to_str().unwrap()]);
    assert_eq!(code, 3, "the exporter does not start: {problems}");
    let (code, _, problem) = run(&["--config.check", "--config.file", "/nowhere.toml"]);
    assert_eq!(code, 3);
    assert!(
        problem.contains("/nowhere.toml: cannot be read"),
        "{problem}"
    );
}

#[test]
fn a_state_directory_is_looked_at_and_not_touched() {
    let directory = TempDir::new().unwrap();
    let state = directory.path().join("state");
    let text = format!(
        "[state]\ndirectory = \"{}\"\n[[server]]\nname = \"a\"\n\
         url = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
         [[server.sender]]\nemail = \"a@example.com\"\n",
        state.display(),
        "x".repeat(50)
    );
    let file = write(directory.path(), "good.toml", &text);
    let check = || run(&["--config.check", "--config.file", file.to_str().unwrap()]);
    let (code, _, told) = check();
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("cannot be looked at") && told.contains("(warning)"));
    assert!(!state.exists());
    fs::create_dir(&state).unwrap();
    assert_eq!((check().0, check().2), (0, String::new()));
    fs::remove_dir(&state).unwrap();
    fs::write(&state, "").unwrap();
    let (code, _, told) = check();
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("is not a directory; name one"), "{told}");
}

/// What nobody can read was not told.
#[test]
fn an_output_that_takes_nothing_is_a_failure() {
    let directory = TempDir::new().unwrap();
    let text = format!(
        "[[server]]\nname = \"a\"\nurl = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
         [[server.sender]]\nemail = \"a@example.com\"\n",
        "x".repeat(50)
    );
    let file = write(directory.path(), "good.toml", &text);
    let check = format!("--config.check --config.file {}", file.display());
    for arguments in [
        &check,
        "metrics",
        "man",
        "completions bash",
        "simulate --quirk list",
    ] {
        for (output, expect) in [("/dev/full", 1), ("/dev/null", 0)] {
            let script = format!("exec {BINARY} {arguments} >{output}");
            let ended = Command::new("sh").args(["-c", &script]).output().unwrap();
            let told = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(expect), "{arguments}: {told}");
            assert_eq!(expect == 1, told.contains("standard output"), "{told}");
        }
    }
}

#[test]
fn few_open_files_are_an_error_that_names_the_limit() {
    let directory = TempDir::new().unwrap();
    let file = write(
        directory.path(),
        "good.toml",
        &format!(
            "[[server]]\nname = \"a\"\nurl = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
             [[server.sender]]\nemail = \"a@example.com\"\n",
            "x".repeat(50)
        ),
    );
    for limit in [8, 16] {
        let script = format!(
            "ulimit -n {limit} && exec {BINARY} --config.file {}",
            file.display()
        );
        let ended = Command::new("sh").args(["-c", &script]).output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{told}");
        let expect = format!("only {limit} files may be open");
        assert!(told.contains(&expect) && !told.contains("panick"), "{told}");
    }
}

#[test]
fn usage_version_and_help() {
    assert_eq!(run(&["--no-such-flag"]).0, 2);
    assert_eq!(run(&["--web.telemetry-path", "metrics"]).0, 2);
    let (code, version, _) = run(&["--version"]);
    assert_eq!(code, 0);
    assert!(version.starts_with("cryptshare-exporter 0."), "{version}");
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for flag in [
        "--config.file",
        "--config.check",
        "--web.listen-address",
        "--web.telemetry-path",
        "--log.level",
        "--log.format",
        "Exit codes",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn the_faults_of_the_simulator_are_listed_and_each_keeps_its_members() {
    let (code, listed, _) = run(&["simulate", "--fault", "list"]);
    assert_eq!(code, 0);
    let (_, help, _) = run(&["simulate", "--help"]);
    for kind in ["latency", "shifted_page", "redirect_loop"] {
        assert!(listed.contains(&format!("\n{kind} ")) || listed.starts_with(kind));
        assert!(help.contains(kind), "{help}");
    }
    for (fault, expect) in [
        (
            "stall,milliseconds=5",
            "milliseconds means nothing to stall",
        ),
        ("latency,odd=1", "unknown field `odd`"),
        (
            "nothing",
            "unknown variant `nothing`, expected one of `latency`",
        ),
    ] {
        let (code, _, told) = run(&["simulate", "--fault", fault]);
        assert_eq!(code, 2, "{told}");
        assert!(told.contains(expect), "{told}");
    }
}

#[test]
fn the_help_is_grouped_and_tells_the_defaults() {
    let (_, help, _) = run(&["--help"]);
    let groups = [
        "Options:",
        "Configuration:",
        "Web:",
        "Logging:",
        "Exit codes:",
    ];
    let places: Vec<_> = groups.map(|group| help.find(group).unwrap()).into();
    assert!(places.is_sorted(), "{help}");
    for default in [
        "[default: :10062]",
        "[default: /metrics]",
        "[default: info]",
    ] {
        assert!(help.contains(default), "{default}");
    }
    for name in [
        "--web.config.file",
        "--web.systemd-socket",
        "healthcheck",
        "completions",
        "man",
    ] {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_flag() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, text, _) = run(&["completions", shell]);
        assert_eq!(code, 0, "{shell}");
        for word in ["web.config.file", "healthcheck", "simulate", "log.level"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "abacus"]).0, 2);
    let (code, page, _) = run(&["man"]);
    assert_eq!(code, 0);
    for word in [
        "cryptshare\\-exporter",
        "web.config.file",
        "SUBCOMMANDS",
        "Exit codes",
    ] {
        assert!(page.contains(word), "{word} in {page}");
    }
    let (_, page, _) = run(&["man", "state", "show"]);
    assert!(page.contains("state.directory") && page.contains("Print what is remembered"));
    let (code, _, error) = run(&["man", "state", "hide"]);
    assert_eq!((code, error.trim()), (2, "there is no command state hide"));
}

#[test]
fn the_catalog_in_the_documents_is_the_catalog_of_the_program() {
    let (code, catalog, _) = run(&["metrics"]);
    assert_eq!(code, 0);
    let document = fs::read_to_string("docs/METRICS.md").unwrap();
    assert!(
        document == catalog,
        "docs/METRICS.md differs from `cryptshare-exporter metrics`"
    );
    assert_eq!(run(&["metrics", "--format", "markdown"]).1, catalog);
    let (_, json, _) = run(&["metrics", "--format", "json"]);
    let entries: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    for entry in &entries {
        let text = |key: &str| entry[key].as_str().unwrap();
        let row = format!("| `{}` | {} |", text("name"), text("type"));
        assert!(document.contains(&row), "{row}");
        assert!(document.contains(&format!("## {}\n", text("group"))));
        assert!(document.contains(text("help")) && entry["labels"].is_array());
    }
    let mut types: Vec<_> = entries.iter().map(|entry| entry["type"].clone()).collect();
    types.sort_by_key(ToString::to_string);
    types.dedup();
    assert_eq!(types, ["counter", "gauge", "histogram", "info"]);
}

#[tokio::test]
async fn a_signal_drains_and_a_busy_port_is_named() {
    let server = Server::start(&["--speed", "0", "--transfers", "2"]).await;
    for signal in ["TERM", "INT"] {
        let mut exporter = Exporter::watching(&server, &[]).await;
        exporter
            .is("cryptshare_up", &[("sender", &server.senders[0])], 1.0)
            .await;
        exporter.process.signal(signal);
        assert_eq!(exporter.process.exit().await.code(), Some(0), "{signal}");
    }
    let exporter = Exporter::watching(&server, &[]).await;
    let taken = exporter.url.strip_prefix("http://").unwrap();
    let (code, _, error) = run(&["demo", "--web.listen-address", taken]);
    assert_eq!(code, 1);
    assert!(error.contains(taken), "{error}");
}

#[tokio::test]
async fn json_logs_are_one_object_a_line() {
    let directory = TempDir::new().unwrap();
    let file = write(
        directory.path(),
        "exporter.toml",
        &format!(
            "[[server]]\nname = \"a\"\nurl = \"http://127.0.0.1:1\"\nclient_id = \"{}\"\n\
             poll_interval = \"1s\"\n[[server.sender]]\nemail = \"a@example.com\"\n",
            "x".repeat(50)
        ),
    );
    let process = Process::start(&[
        "--config.file",
        file.to_str().unwrap(),
        "--web.listen-address",
        "127.0.0.1:0",
        "--log.format",
        "json",
    ]);
    let line = process
        .line("the failure", |line| {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            (object["msg"] == "polling fails").then_some(object)
        })
        .await;
    assert_eq!(line["reason"], "unreachable");
    assert_eq!(line["level"], "warn");
    assert_eq!(line["server"], "a");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

/// A simulator that answers a request only after so many milliseconds, and has
/// one.
async fn busy(milliseconds: u32) -> (Process, std::net::TcpStream) {
    let fault = format!("latency,endpoint=clients,milliseconds={milliseconds}");
    let process = Process::start(&["simulate", "--fault", &fault]);
    let url = process.line("the address", |line| {
        let ready: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(ready["base_url"].as_str()?.to_owned())
    });
    let url = url.await;
    let mut peer = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    std::io::Write::write_all(&mut peer, b"GET /api/clients HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    eventually("the request", async || {
        let answer = reqwest::get(format!("{url}/_sim/requests")).await.ok()?;
        answer.text().await.ok()?.contains("clients").then_some(())
    })
    .await;
    (process, peer)
}

#[tokio::test]
async fn a_second_signal_aborts() {
    let (mut process, _peer) = busy(600_000).await;
    eventually("a signal that is not taken as the first", async || {
        process.signal("TERM");
        let aborted = |line: &String| line.contains("aborted by a second signal");
        process.lines().iter().any(aborted).then_some(())
    })
    .await;
    assert_eq!(process.exit().await.code(), Some(1));
}

/// `timeout` signals its child, and then its group with the child in it; so
/// two signals come at once.
#[tokio::test]
async fn a_signal_that_comes_twice_at_once_stops_as_one_does() {
    let (mut process, _peer) = busy(2000).await;
    let both = format!("kill -s TERM {0}; kill -s INT {0}", process.id());
    let sent = Command::new("sh").args(["-c", &both]).status();
    assert!(sent.unwrap().success());
    assert_eq!(
        process.exit().await.code(),
        Some(0),
        "{:?}",
        process.lines()
    );
}

#[tokio::test]
async fn a_start_that_fails_says_so_in_the_format_of_the_log_alone() {
    let directory = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let good = format!(
        "[[server]]\nname = \"a\"\nurl = \"http://127.0.0.1:1\"\nclient_id = \"{}\"\n\
         [[server.sender]]\nemail = \"a@example.com\"\n",
        "x".repeat(50)
    );
    let kept = format!("[state]\ndirectory = \".\"\n{good}");
    fs::write(directory.path().join("ledger.redb"), "this is none").unwrap();
    let free = "127.0.0.1:0";
    let check = |text: &str, address: &str, expect: (i32, usize, &str)| {
        let file = write(directory.path(), "exporter.toml", text);
        let file = file.to_str().unwrap();
        let arguments = ["--config.file", file, "--web.listen-address", address];
        let (code, out, told) = run(&[&arguments[..], &["--log.format", "json"]].concat());
        assert_eq!((code, out.as_str()), (expect.0, ""), "{told}");
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let lines: Vec<_> = told.lines().map(line).collect();
        let errors = lines.iter().filter(|line| line["level"] == "error");
        assert_eq!(errors.count(), expect.1, "{told}");
        assert_eq!(lines.last().unwrap()["msg"], "could not start");
        assert!(told.contains(expect.2), "{told}");
        assert!(!told.contains("\"listening\""), "{told}");
    };
    check("a = 1\n", free, (3, 3, "1: a: unknown key"));
    check(&good, &taken, (1, 1, &taken));
    check(&kept, free, (3, 1, "ledger.redb is damaged"));
    let (code, _, told) = run(&["--config.file", "/nowhere.toml"]);
    assert_eq!(code, 3);
    assert!(told.contains("level=error") && told.contains("/nowhere.toml: cannot be read"));
}

#[tokio::test]
async fn a_standard_error_that_nobody_reads_is_no_failure() {
    let script = format!(
        "{} demo --web.listen-address 127.0.0.1:0 2>/dev/full",
        env!("CARGO_BIN_EXE_cryptshare-exporter")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {script}")]);
    let mut process = Process::spawn(command);
    let page = process.line("the invitation", |line| {
        let address = line.strip_prefix("metrics")?.trim();
        Some(address.to_owned())
    });
    let page = page.await;
    eventually("events that would be logged", async || {
        let body = reqwest::get(&page).await.ok()?.text().await.ok()?;
        let samples = crate::rig::parse(&body);
        let events = crate::rig::sum(&samples, "cryptshare_state_transitions_total", &[]);
        (events > Some(5.0)).then_some(())
    })
    .await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_hangup_does_not_end_the_process() {
    let mut process = Process::start(&["demo", "--web.listen-address", "127.0.0.1:0"]);
    process
        .line("the address", |line| {
            line.contains("listening").then_some(())
        })
        .await;
    process.signal("HUP");
    let told = |line: &str| {
        line.contains("there is no configuration that could be")
            .then_some(())
    };
    process.line("a word about it", told).await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
}
