//! Servers differ where the contract leaves it open: each quirk shows as it is
//! explained, and none of them changes what the exporter says of the transfers.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};

use crate::{
    aftermath::begin,
    oracle,
    rig::{Exporter, Sample, Server, config, eventually},
    stranger::{Stranger, send},
    truth::{quiet, settle},
};

/// With this a server tells less than it did before: none of its kind would
/// begin to in the middle, so it has a story of its own.
const OTHER_STORIES: [&str; 1] = ["empty-while-processing"];

async fn server() -> Server {
    let arguments = "--speed 0 --senders 2 --transfers 36 --api-minor 13";
    Server::start(&arguments.split(' ').collect::<Vec<_>>()).await
}

/// What is said of senders and transfers, but for what tells of polls; dates to
/// the second.
fn told(samples: Vec<Sample>) -> BTreeMap<String, f64> {
    let changes = ["_exporter_", "last_", "cryptshare_up", "verified"];
    let lasts = |sample: &Sample| {
        let is_ours = sample.name.starts_with("cryptshare_");
        is_ours && !changes.iter().any(|word| sample.name.contains(word))
    };
    let lasting = samples.into_iter().filter(lasts);
    lasting
        .map(|sample| {
            (
                format!("{}{:?}", sample.name, sample.labels),
                sample.value.floor(),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_metrics_are_the_same_under_every_quirk() {
    let known = server().await.get("quirks").await;
    let names = known.as_object().unwrap().keys().cloned();
    let names: Vec<_> = names
        .filter(|name| !OTHER_STORIES.contains(&name.as_str()))
        .collect();
    // Each poll takes a second, so several exporters wait side by side.
    let (local, mut stories) = (LocalSet::new(), JoinSet::new());
    for names in names.chunks(4) {
        stories.spawn_local_on(live_with(names.to_vec()), &local);
    }
    assert_eq!(stories.len(), 9);
    local.run_until(stories.join_all()).await;
}

/// Every series of `before` has its value `now`, too.
fn is_still_told(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>, under: &str) {
    let differ = before
        .iter()
        .filter(|(series, value)| now.get(*series) != Some(value));
    let differ = differ.map(|(series, value)| (series, value, now.get(series)));
    let differ: Vec<_> = differ.collect();
    assert!(differ.is_empty(), "{under}: {differ:#?}");
}

/// One quirk after the other.
async fn live_with(names: Vec<String>) {
    let server = server().await;
    let exporter = Exporter::start(&config(&server, ""), &[]).await;
    exporter.polls(3.0).await;
    let before = told(exporter.samples().await);
    assert!(before.len() > 100, "{before:#?}");
    for name in names {
        server.quirks(json!({name.as_str(): true})).await;
        exporter.polls(2.0).await;
        let now = told(exporter.samples().await);
        is_still_told(&before, &now, &name);
    }
}

#[tokio::test]
async fn what_is_processed_is_told_when_that_has_ended() {
    let server = server().await;
    server.quirks(json!({"empty-while-processing": true})).await;
    let watch = begin(&server).await;
    let exporter = Exporter::start(&config(&server, ""), &[]).await;
    exporter.polls(2.0).await;
    server.post("transfers", server.plan()).await;
    exporter.polls(2.0).await;
    let truth = server.truth().await;
    let shown = oracle::shown(&exporter.samples().await);
    let differences = oracle::differences(&oracle::expected(&truth, &watch), &shown);
    // A list that is told to be empty is empty; nothing else may differ.
    let open = [
        "cryptshare_transfer_files{",
        "cryptshare_transfer_recipients{",
    ];
    let is_open = |line: &&String| open.iter().any(|family| line.starts_with(family));
    assert!(
        differences.iter().all(|line| is_open(&line)),
        "{differences:#?}"
    );
    assert!(differences.len() > open.len());
    for id in processing(&truth) {
        server.happen(&id, "activate", json!({})).await;
    }
    settle(&server, &exporter, &watch).await;
}

/// The id of each transfer that is processed.
fn processing(truth: &Value) -> Vec<String> {
    let senders = truth["senders"].as_object().unwrap().values();
    let transfers = senders.flat_map(oracle::transfers);
    let own = transfers.filter(|(_, told)| told.state == "processing");
    own.map(|(id, _)| id).collect()
}

/// Time runs, so that files are retrieved by the method of the quirk.
#[tokio::test]
async fn a_method_that_no_client_knows_is_told_as_other() {
    let server = server().await;
    server.quirks(json!({"unknown-methods": true})).await;
    let watch = begin(&server).await;
    let exporter = Exporter::start(&config(&server, ""), &[]).await;
    settle(&server, &exporter, &watch).await;
    server.post("clock", json!({"speed": 600})).await;
    let printed = async || server.get("totals").await["totals"]["retrievals"]["other"].as_u64();
    eventually("retrievals by an unknown method", async || {
        printed().await.filter(|count| *count >= 20)
    })
    .await;
    server.post("clock", json!({"speed": 0})).await;
    quiet(&server).await;
    let truth = settle(&server, &exporter, &watch).await;
    let retrievals = &truth["totals"]["retrievals"];
    assert_eq!(
        (&retrievals["downloaded"], &retrievals["viewed"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn words_and_dates_come_in_every_form() {
    let server = server().await;
    let id = server.active_transfer().await;
    server.happen(&id, "view", json!({})).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let status = async |quirk: &str| {
        server.quirks(json!({quirk: true})).await;
        ada.get(&format!("transfers/{id}")).await.data()
    };
    for (quirk, expect) in [("lower-words", "active"), ("capitalized-words", "Active")] {
        assert_eq!(status(quirk).await["status"]["state"], expect);
    }
    for (quirk, end) in [
        ("dates-in-utc", "Z"),
        ("dates-with-compact-zone", "+0200"),
        ("dates-with-fraction", "+02:00"),
    ] {
        let told = status(quirk).await;
        let date = told["transfer"]["expirationDate"].as_str().unwrap();
        assert!(date.ends_with(end), "{quirk}: {date}");
        assert_eq!(date.contains('.'), quirk == "dates-with-fraction", "{date}");
    }
    assert_eq!(
        status("null-expiration").await["transfer"]["expirationDate"],
        Value::Null
    );
    let lists = status("null-lists").await;
    assert_eq!(lists["status"]["recipients"], Value::Null);
    let sparse = status("nulls-absent").await;
    assert_eq!(sparse["transfer"].get("classificationId"), None);
    assert!(status("new-members").await["status"]["futureMember"].is_object());
    assert_eq!(
        status("dashed-algorithm").await["transfer"]["fileChecksumAlgorithm"],
        "SHA-256"
    );
    server.happen(&id, "remove_file", json!({"file": 1})).await;
    let told = status("removed-files-unlisted").await;
    let downloads = told["status"]["recipients"][0]["fileDownloads"].as_array();
    assert_eq!(downloads.unwrap().len(), 1);
    server.post("transfers", server.plan()).await;
    server.quirks(json!({"empty-while-processing": true})).await;
    assert_eq!(
        ada.get("transfers").await.data()[0]["recipients"],
        json!([])
    );
}

#[tokio::test]
async fn errors_come_in_every_form() {
    let server = server().await;
    let mut ada = Stranger::verified(&server, &server.senders[0]).await;
    let foreign = server.active_transfer().await;
    let bob = Stranger::verified(&server, &server.senders[1]).await;
    let unknown = "transfers/20260401-081500-Qx7Lm2Za";
    let foreign = format!("transfers/{foreign}");
    for (who, path, quirk, without, with) in [
        (
            &ada,
            unknown,
            "unknown-id-is-1006",
            (404, 2003),
            (404, 1006),
        ),
        (
            &bob,
            &foreign,
            "foreign-id-is-401",
            (404, 2003),
            (401, 3002),
        ),
    ] {
        server.quirks(json!({})).await;
        assert_eq!(who.get(path).await.error(), without);
        server.quirks(json!({quirk: true})).await;
        assert_eq!(who.get(path).await.error(), with);
    }
    server.quirks(json!({"blanks-refused": true})).await;
    let blank = ada
        .get("transfers/sent-transfers?fields=trackingId,%20status")
        .await;
    assert_eq!(blank.error(), (400, 1004));
    ada.minor = 14;
    assert_eq!(ada.get("transfers").await.error(), (404, 2004));
    server
        .quirks(json!({"version-is-406": true, "wrapped-status": true}))
        .await;
    assert_eq!(ada.get("transfers").await.error(), (406, 2004));
    let versions = send(ada.plain(Method::GET, "/api/status")).await.data();
    assert_eq!(versions["apiVersions"]["uiApiVersions"][0]["minor"], 13);
}

#[tokio::test]
async fn sessions_and_revocations_answer_in_every_form() {
    let server = server().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let quirks = [
        "pending-sessions",
        "relative-location",
        "revoke-is-204",
        "local-tracking-ids",
    ];
    let quirks: BTreeMap<_, _> = quirks.into_iter().map(|quirk| (quirk, 1)).collect();
    server.quirks(json!(quirks)).await;
    let body = json!({"sender": {}, "recipients": {"to": [{"mail": "bob@example.org"}]}});
    let opened = ada.post("transfer-sessions", &body.to_string()).await;
    let location = opened.header("location").unwrap();
    let session = location.strip_prefix(&format!("/api/users/{}/transfer-sessions/", ada.address));
    let status = ada
        .get(&format!("transfers/{}", session.unwrap()))
        .await
        .data();
    assert_eq!(status["status"]["state"], "PENDING");
    let id = server.active_transfer().await;
    let revoke = json!({"status": {"state": "DELETED_BY_REVOCATION"}}).to_string();
    let path = format!("transfers/{id}");
    let revoked = send(ada.request(Method::PATCH, &path).body(revoke)).await;
    assert_eq!((revoked.status, revoked.bytes.len()), (204, 0));
}
