//! The ledger in the hands of an operator: looked at, moved to another
//! instance, begun anew.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::rig::{BINARY, Exporter, Server, config, eventually, run, write};

/// Counters of a sender whose truth has one number.
const PLAIN: [(&str, &str); 4] = [
    (
        "recipient_notification_failures",
        "cryptshare_recipient_notification_failures_total",
    ),
    (
        "sender_notification_failures",
        "cryptshare_sender_notification_failures_total",
    ),
    ("files_removed", "cryptshare_files_removed_total"),
    ("vanished", "cryptshare_transfers_vanished_total"),
];

/// Those whose truth has one number for each value of a label.
const LABELED: [(&str, &str, &str); 3] = [
    ("retrievals", "cryptshare_retrievals_total", "method"),
    (
        "state_transitions",
        "cryptshare_state_transitions_total",
        "state",
    ),
    (
        "ended_unretrieved",
        "cryptshare_transfers_ended_unretrieved_total",
        "state",
    ),
];

/// A configuration with a ledger in `directory` that watches `senders` of a
/// server called `name`.
fn watching(server: &Server, name: &str, directory: &Path, senders: &[&String]) -> String {
    let text = config(server, "");
    let (head, _) = text.split_once("[[server.sender]]").unwrap();
    let head = head.replace("name = \"sim\"", &format!("name = \"{name}\""));
    let sender = |address: &&String| format!("[[server.sender]]\nemail = \"{address}\"\n");
    let senders: String = senders.iter().map(sender).collect();
    let directory = directory.display();
    format!("[state]\ndirectory = \"{directory}\"\n{head}{senders}")
}

/// Runs `state` on the ledger in `directory`.
fn state(what: &str, directory: &Path, more: &[&str]) -> (i32, String, String) {
    let directory = directory.to_str().unwrap();
    let fixed = ["state", what, "--state.directory", directory];
    run(&[&fixed, more].concat())
}

/// Waits until the exporter's counters of the only sender with `labels` are
/// what `truth` says.
async fn counts_as(exporter: &Exporter, truth: &Value, labels: &[(&str, &str)]) {
    for (place, name) in PLAIN {
        exporter
            .is(name, labels, truth[place].as_f64().unwrap())
            .await;
    }
    for (place, name, label) in LABELED {
        for (value, count) in truth[place].as_object().unwrap() {
            let labels = [labels, &[(label, value)]].concat();
            let is_known = exporter.sum(name, &labels).await.is_some();
            assert!(is_known || count == 0, "{name} {labels:?} is {count}");
            if is_known {
                exporter.is(name, &labels, count.as_f64().unwrap()).await;
            }
        }
    }
}

/// Lets the world live until the first sender has had `count` retrievals.
async fn retrievals(server: &Server, count: u64) {
    server.post("clock", json!({"speed": 900})).await;
    eventually("enough retrievals", async || {
        let totals = server.get("totals").await;
        let by_method = &totals["senders"][&server.senders[0]]["retrievals"];
        let all = by_method.as_object().unwrap().values();
        (all.filter_map(Value::as_u64).sum::<u64>() >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sender_moves_under_load_and_nothing_is_lost_or_counted_twice() {
    let arguments = "--speed 0 --senders 2 --transfers 60 --activity 4 --seed 5";
    let server = Server::start(&arguments.split(' ').collect::<Vec<_>>()).await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [moves, stays] = [&server.senders[0], &server.senders[1]];
    let both = watching(&server, "sim", first.path(), &[moves, stays]);
    let mut old = Exporter::start(&both, &[]).await;
    old.polls(2.0).await;
    server.post("mark", json!({})).await;
    retrievals(&server, 100).await;
    old.process.signal("TERM");
    old.process.exit().await;

    let (code, export, told) = state("export", first.path(), &["--sender", moves]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains(&format!("exported {moves} of server sim")),
        "{told}"
    );
    let file = write(first.path(), "moves.jsonl", &export);
    let renamed = [file.to_str().unwrap(), "--server", "other"];
    let (code, _, told) = state("import", second.path(), &renamed);
    assert_eq!(code, 0, "{told}");
    let rest = watching(&server, "sim", first.path(), &[stays]);
    let old = Exporter::start(&rest, &[]).await;
    let alone = watching(&server, "other", second.path(), &[moves]);
    let new = Exporter::start(&alone, &[]).await;
    retrievals(&server, 250).await;
    server.post("clock", json!({"speed": 0})).await;

    let totals = server.get("totals").await;
    counts_as(&new, &totals["senders"][moves], &[("server", "other")]).await;
    counts_as(&old, &totals["senders"][stays], &[("server", "sim")]).await;
    let left = old.sum("cryptshare_up", &[("sender", moves)]).await;
    assert_eq!(left, None, "the old instance goes on with it");
}

#[tokio::test]
async fn the_ledger_is_shown_and_an_import_that_would_harm_is_refused() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "12"]).await;
    let directory = tempfile::tempdir().unwrap();
    let sender = &server.senders[0];
    let text = watching(&server, "sim", directory.path(), &[sender]);
    let mut exporter = Exporter::start(&text, &[]).await;
    exporter.polls(1.0).await;
    let id = server.active_transfer().await;
    server.happen(&id, "retrieve", json!({})).await;
    exporter.is("cryptshare_retrievals_total", &[], 1.0).await;
    for what in ["show", "export"] {
        let more: &[&str] = if what == "show" {
            &[]
        } else {
            &["--sender", sender]
        };
        let (code, out, told) = state(what, directory.path(), more);
        assert_eq!((code, out.as_str()), (3, ""), "{told}");
        assert!(
            told.contains("ledger.redb is in use by another process"),
            "{told}"
        );
    }
    exporter.process.signal("TERM");
    exporter.process.exit().await;

    let (code, table, _) = state("show", directory.path(), &[]);
    assert_eq!(code, 0);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("SERVER  SENDER"), "{table}");
    assert!(
        lines[1].starts_with(&format!("sim     {sender}")),
        "{table}"
    );
    let (_, objects, _) = state("show", directory.path(), &["--format", "json"]);
    let objects: Value = serde_json::from_str(&objects).unwrap();
    assert_eq!(objects[0]["counters"]["retrievals"]["downloaded"], 1);
    assert_eq!(objects[0]["sender"], sender.as_str());

    let (code, _, told) = state(
        "export",
        directory.path(),
        &["--sender", "nobody@example.com"],
    );
    assert_eq!(code, 1);
    assert!(
        told.contains(&format!("it knows {sender} of server sim")),
        "{told}"
    );
    let (_, export, _) = state("export", directory.path(), &["--sender", sender]);
    let whole = write(directory.path(), "whole", &export);
    let whole = whole.to_str().unwrap();
    let (code, _, told) = state("import", directory.path(), &[whole]);
    assert_eq!(code, 1);
    assert!(
        told.contains("already knows") && told.contains("--replace"),
        "{told}"
    );
    let (code, _, told) = state("import", directory.path(), &[whole, "--replace"]);
    assert_eq!(code, 0, "{told}");
    let (_, again, _) = state("export", directory.path(), &["--sender", sender]);
    assert_eq!(again, export, "what was exported comes back as it was");
}

/// The files were written by the first release of each format; what they hold
/// is read by every later one.
#[test]
fn a_ledger_of_format_1_is_read_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger.redb");
    fs::copy("tests/ledger/format-1.redb", ledger).unwrap();
    let (code, shown, told) = state("show", directory.path(), &["--format", "json"]);
    assert_eq!(code, 0, "{told}");
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let expect = fs::read_to_string("tests/ledger/format-1.json").unwrap();
    assert_eq!(parse(&shown), parse(&expect));
    let asked = ["--sender", "reports@example.com"];
    let (_, export, _) = state("export", directory.path(), &asked);
    let expect = fs::read_to_string("tests/ledger/format-1.jsonl").unwrap();
    assert!(export == expect, "every row is what it was");
    let import = ["tests/ledger/format-1.jsonl", "--server", "another"];
    let (code, _, told) = state("import", directory.path(), &import);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn an_export_that_is_not_whole_changes_nothing_and_its_line_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (code, _, told) = state("show", directory.path(), &[]);
    assert_eq!(code, 3);
    assert!(told.contains("ledger.redb does not exist"), "{told}");
    let head = r#"{"sender":{"format":1,"server":"sim","address":"a@example.com","row":{"counters":{"retrievals":[1,0,0],"recipient_notification_failures":0,"sender_notification_failures":0,"eml_creation_failures":0,"files_removed":[],"transitions":[],"ended_unretrieved":[],"vanished":0,"processing":{"buckets":[],"sum":0,"total":0}},"scope":{"discover":true,"max_age":null},"baseline_due":null,"presence":null,"unwatched_since":null}}}"#;
    let end = r#"{"end":{"transfers":0}}"#;
    let foreign = head.replace("\"format\":1", "\"format\":9");
    let escaping = head.replace("a@example.com", "a@example.com\\u001b[31m");
    let endless = head.replace("\"sim\"", &format!("\"{}\"", "x".repeat(100_000)));
    let nonsense = head.replace("\"transitions\":[]", "\"transitions\":[[99,1]]");
    let texts = [
        (String::new(), "line 1 is out of place: the export is cut"),
        (head.to_owned(), "line 2 is out of place: the export is cut"),
        (
            end.to_owned(),
            "line 1 is out of place: the sender comes first",
        ),
        (
            format!("{head}\n{head}"),
            "line 2 is out of place: a second sender",
        ),
        (
            format!("{head}\n{{\"end\":{{\"transfers\":1}}}}"),
            "line 2 is out of place: lines are missing",
        ),
        (
            format!("{head}\n{end}\n{end}"),
            "line 3 is out of place: the export has ended",
        ),
        (
            "# metrics".to_owned(),
            "line 1 is not a line of an export (column 1); export the sender again\n",
        ),
        (
            format!("{head}\n{{\"\\u001b[31m\":1}}"),
            "line 2 is not a line of an export (column 13); export the sender again\n",
        ),
        (foreign, "line 1 has format 9"),
        (escaping, "line 1 names a server or a sender that no"),
        (endless, "line 1 names a server or a sender that no"),
        (nonsense, "line 1 holds values that cannot be"),
    ];
    for (text, expect) in texts {
        let file = write(directory.path(), "export", &text);
        let (code, _, told) = state("import", directory.path(), &[file.to_str().unwrap()]);
        assert_eq!(code, 1, "{text}");
        assert!(told.contains(expect), "{told}");
        assert!(!directory.path().join("ledger.redb").exists(), "{text}");
    }
    let file = write(directory.path(), "export", &format!("{head}\n{end}\n"));
    let (code, _, told) = state("import", directory.path(), &[file.to_str().unwrap()]);
    assert_eq!(code, 0, "{told}");
    assert!(!told.contains("warning"), "{told}");
}

#[test]
fn an_import_of_what_has_no_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [pipe.to_str().unwrap(), "/dev/zero"] {
        let (code, _, told) = state("import", directory.path(), &[path]);
        assert_eq!(code, 1, "{told}");
        let expect = format!("cannot open {path}: it is not a regular file\n");
        assert_eq!(told, expect);
    }
}

#[test]
fn an_import_from_standard_input_tells_of_a_sender_that_is_not_watched() {
    let directory = tempfile::tempdir().unwrap();
    let sender = "reports@example.com";
    let check = |server: &str, address: &str, is_watched: bool| {
        let text = format!(
            "[state]\ndirectory = \"state\"\n[[server]]\nname = \"{server}\"\n\
             url = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
             [[server.sender]]\nemail = \"{address}\"\n",
            "x".repeat(50)
        );
        let file = write(directory.path(), "exporter.toml", &text);
        let export = fs::File::open("tests/ledger/format-1.jsonl").unwrap();
        let output = Command::new(BINARY)
            .args(["state", "import", "-", "--server", "prod", "--replace"])
            .args(["--config.file", file.to_str().unwrap()])
            .stdin(export)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        let warning = format!(
            "exporter.toml watches no {sender} of server prod; add it before the exporter starts"
        );
        assert_eq!(told.contains(&warning), !is_watched, "{told}");
    };
    check("prod", "Reports@example.com", true);
    check("prod", "nobody@example.com", false);
    check("other", sender, false);
}

#[tokio::test]
async fn the_ledger_is_set_aside_only_when_that_is_confirmed() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "3"]).await;
    let directory = tempfile::tempdir().unwrap();
    let text = watching(&server, "sim", directory.path(), &[&server.senders[0]]);
    let file = write(directory.path(), "exporter.toml", &text);
    let ledger = directory.path().join("ledger.redb");
    let reset = |typed: &str| {
        let mut child = Command::new(BINARY)
            .args(["--state.reset", "--config.file"])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What asks for nothing may have ended before.
        drop(child.stdin.take().unwrap().write_all(typed.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
        (output.status.code().unwrap(), told)
    };
    let question = "will be set aside";
    let (code, told) = reset("begin anew\n");
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("ledger.redb does not exist"), "{told}");
    assert!(!told.contains(question), "{told}");
    fs::write(&ledger, "this was a ledger").unwrap();
    for typed in ["", "yes\n"] {
        let (code, told) = reset(typed);
        assert_eq!(code, 1);
        assert!(
            told.contains("not confirmed; nothing was changed"),
            "{told}"
        );
        assert!(told.contains(question), "{told}");
        assert_eq!(fs::read(&ledger).unwrap(), b"this was a ledger");
    }
    let (code, told) = reset("begin anew\n");
    assert_eq!(code, 0, "{told}");
    let (_, aside) = told.rsplit_once("set aside as ").unwrap();
    assert_eq!(fs::read(aside.trim()).unwrap(), b"this was a ledger");

    let exporter = Exporter::start(&text, &[]).await;
    exporter.polls(1.0).await;
    let (code, told) = reset("begin anew\n");
    assert_eq!(code, 3);
    assert!(told.contains("in use by another process"), "{told}");
    assert!(!told.contains(question), "{told}");
    assert!(ledger.exists());
}
