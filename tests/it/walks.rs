//! Programs that nobody here wrote send, watch, receive and revoke: curl by
//! the transcript of the documentation, wget, and Python's requests.

use std::{
    path::absolute,
    process::{Command, Output},
};

use regex::Regex;
use serde_json::json;

use crate::rig::Server;

async fn server(speed: &str) -> Server {
    let arguments = ["--senders", "1", "--transfers", "0", "--api-minor", "13"];
    Server::start(&[&["--speed", speed], &arguments[..]].concat()).await
}

/// Runs `command` to its end beside the server.
async fn ran(mut command: Command) -> Output {
    let ran = tokio::task::spawn_blocking(move || command.output());
    let ran = ran.await.unwrap();
    ran.unwrap_or_else(|error| panic!("a tool, from scripts/test: {error}"))
}

/// Lets a script walk through everything as `sender`; it prints the tracking
/// id.
async fn walk(mut command: Command, sender: &str, retrieved: u32) {
    let server = server("0.5").await;
    let directory = tempfile::tempdir().unwrap();
    command
        .current_dir(directory.path())
        .env("SERVER", &server.url);
    let walked = ran(command).await;
    let said = String::from_utf8_lossy(&walked.stderr);
    assert!(walked.status.success(), "{said}");
    let id = String::from_utf8(walked.stdout).unwrap();
    let truth = server.truth().await;
    let told = &truth["senders"][sender]["transfers"][id.trim()];
    assert_eq!(
        told["states_passed"],
        json!(["processing", "active", "deleted_by_revocation"])
    );
    assert_eq!(told["retrievals"]["downloaded"], retrieved);
    assert_eq!(told["warnings"], false);
}

#[tokio::test]
async fn wget_walks_through_everything() {
    let script = Command::new(absolute("tests/strangers/walk.sh").unwrap());
    walk(script, "heidi@example.net", 1).await;
}

#[tokio::test]
async fn requests_of_python_walks_through_everything() {
    let mut python = Command::new(absolute("target/tools/bin/python").unwrap());
    python.arg(absolute("tests/strangers/walk.py").unwrap());
    walk(python, "grace@example.net", 2).await;
}

/// Commands of the transcript, each with what it prints.
fn transcript() -> Vec<(String, String)> {
    let text = std::fs::read_to_string("docs/simulator.md").unwrap();
    let (_, text) = text.split_once("\n## A transfer, from").unwrap();
    let (_, text) = text.split_once("```console\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let steps = text.split_inclusive('\n');
    steps.fold(Vec::new(), |mut steps, line| {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((command.trim_end().to_owned(), String::new())),
            None => steps.last_mut().unwrap().1.push_str(line),
        }
        steps
    })
}

/// The text without what is random or a date, and these parts of it.
fn fixed(text: &str) -> (String, Vec<String>) {
    let names = "fileId|id|code|transferId|clientId|token|trackingId|date|validUntil|downloadDate";
    let places =
        format!("((?:\"(?:{names})\":\"|[?]id=|/transfer-sessions/|/transfers/))([A-Za-z0-9:+-]+)");
    let places = Regex::new(&places).unwrap();
    let parts = places.captures_iter(text).map(|part| part[2].to_owned());
    let parts = parts.collect();
    (places.replace_all(text, "$1*").into_owned(), parts)
}

#[tokio::test]
async fn curl_walks_through_the_transcript_of_the_documentation() {
    let server = server("0").await;
    let directory = tempfile::tempdir().unwrap();
    // What the transcript says, and what it is here.
    let mut meanings = vec![("http://127.0.0.1:18080".to_owned(), server.url.clone())];
    let (mut variables, mut before) = (String::new(), String::new());
    let assignment = Regex::new("^[A-Z]+=").unwrap();
    let steps = transcript();
    assert!(steps.len() > 25, "{steps:#?}");
    for (told, expect) in steps {
        let translated = |text: &str| {
            let meaning = |text: String, (told, is): &(String, String)| text.replace(told, is);
            meanings.iter().fold(text.to_owned(), meaning)
        };
        let (command, expect_here) = (translated(&told), translated(&expect));
        if told == before {
            // Who asks the same again waits for something else.
            server.post("clock", json!({"advance_seconds": 60})).await;
        }
        let mut bash = Command::new("bash");
        let script = format!("set -eo pipefail\n{variables}{command}");
        bash.args(["-c", &script]).current_dir(directory.path());
        let output = ran(bash).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
        let printed = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        let ((printed, is), (expect_here, _)) = (fixed(printed.trim_end()), fixed(&expect_here));
        match expect_here.trim_end().strip_suffix("...") {
            Some(begin) => assert!(printed.starts_with(begin), "{told}: {printed}"),
            None => assert_eq!(printed, expect_here.trim_end(), "{told}"),
        }
        meanings.extend(fixed(&expect).1.into_iter().zip(is));
        if assignment.is_match(&told) {
            variables.push_str(&command);
            variables.push('\n');
        }
        before = told;
    }
}
