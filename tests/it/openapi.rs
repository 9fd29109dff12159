//! The simulator's HTTP, judged by schemathesis against the description that
//! is written from the contract.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::absolute,
    process::Command,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    rig::Server,
    send::{SESSIONS, attach, finalize, open, tell},
    stranger::Stranger,
};

/// Requests that may end something, of each kind.
const SPARES: usize = 12;

const PASSWORD: &str = "Sesame2026";

/// A session with a file, whose transfer will have a password.
async fn session(ada: &Stranger<'_>) -> Value {
    let id = open(ada, &["bob@example.org"]).await;
    let mode = json!({"passwordMode": "MANUAL", "password": PASSWORD});
    let change = json!({"securityMode": {"name": "ONE_TIME_PASSWORD", "config": mode}});
    let path = format!("{SESSIONS}/{id}");
    let edited = tell(ada, Method::PATCH, &path, &change).await;
    assert_eq!(edited.status, 200);
    let file = attach(ada, &id, "offer.txt", b"abc").await;
    json!({"email": ada.address, "tracking-id": id, "file-id": file})
}

/// An active transfer.
async fn transfer(server: &Server, ada: &Stranger<'_>) -> Value {
    let mut told = session(ada).await;
    let id = told["tracking-id"].as_str().unwrap().to_owned();
    finalize(ada, &id).await;
    server.post("clock", json!({"advance_seconds": 60})).await;
    let status = ada.get(&format!("transfers/{id}")).await.data();
    assert_eq!(status["status"]["state"], "ACTIVE");
    told["transfer-id"] = status["status"]["recipients"][0]["id"].clone();
    told
}

/// Everything that a right request needs.
async fn prepare(server: &Server, ada: &Stranger<'_>) -> Value {
    let off = json!({"protection": {"mode": "off"}, "remote_logging": true});
    server.put("policy", off).await;
    server
        .put("verification", json!({"codes_per_minute": null}))
        .await;
    let mut spares = BTreeMap::new();
    for operation in ["dropSession", "finalizeSession", "removeFile"] {
        for _ in 0..SPARES {
            let own: &mut Vec<_> = spares.entry(operation).or_default();
            own.push(session(ada).await);
        }
    }
    for _ in 0..SPARES {
        let own = spares.entry("revokeTransfer").or_default();
        own.push(json!({"tracking-id": server.active_transfer().await}));
    }
    json!({
        "client_id": ada.client_id,
        "transfer": transfer(server, ada).await,
        "session": session(ada).await,
        "spares": spares,
    })
}

/// Lets schemathesis look for faults; `twins` is whether headers are told in
/// the query.
async fn judge(twins: bool) {
    let arguments = "--speed 0 --senders 1 --transfers 30 --api-minor 15";
    let server = Server::start(&arguments.split(' ').collect::<Vec<_>>()).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let prepared = prepare(&server, &ada).await;
    let directory = tempfile::tempdir().unwrap();
    let answers = directory.path().join("answers");
    let own = absolute("tests/schemathesis").unwrap();
    let mut command = Command::new(absolute("target/tools/bin/schemathesis").unwrap());
    command
        .arg("--config-file")
        .arg(own.join("schemathesis.toml"))
        .args(["run", "--no-color"])
        .args(["--generation-deterministic", "--max-examples", "20"])
        .args(["--url", &format!("{}/api", server.url)])
        .arg(absolute("docs/simulator-openapi.yaml").unwrap())
        .current_dir(directory.path())
        .env("PYTHONPATH", own)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("JUDGE_PREPARED", prepared.to_string())
        .env("JUDGE_TOKEN", &ada.token)
        .env("JUDGE_PASSWORD", PASSWORD)
        .env("JUDGE_ANSWERS", &answers);
    if twins {
        command.env("JUDGE_TWINS", "1");
    }
    let judged = tokio::task::spawn_blocking(move || command.output());
    let judged = judged.await.unwrap();
    let judged = judged.unwrap_or_else(|error| panic!("schemathesis, from scripts/test: {error}"));
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{said}");
    everything_was_reached(&std::fs::read_to_string(answers).unwrap());
}

/// Every operation has been answered well once at least.
fn everything_was_reached(answers: &str) {
    let answers = answers.lines().map(|line| line.split_once(' ').unwrap());
    let answers: Vec<_> = answers.collect();
    let all: BTreeSet<_> = answers.iter().map(|(_, operation)| operation).collect();
    let good = answers.iter().filter(|(status, _)| status.starts_with('2'));
    let good: BTreeSet<_> = good.map(|(_, operation)| operation).collect();
    let missed: Vec<_> = all.difference(&good).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert_eq!(all.len(), 40);
}

#[tokio::test]
async fn schemathesis_finds_nothing_where_headers_are_sent() {
    judge(false).await;
}

#[tokio::test]
async fn schemathesis_finds_nothing_where_the_query_has_their_twins() {
    judge(true).await;
}
