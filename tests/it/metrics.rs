//! The catalog's rules as a scraper sees them, against the simulator.

use std::collections::{BTreeMap, BTreeSet};

use cryptshare_exporter::metrics::{catalog, seed};
use serde_json::json;

use crate::rig::{Exporter, Server, config, eventually, parse, sum};

const HASH_KEY: &str = "key of thirty-two characters 123";

/// `printf first.canary@example.org | openssl dgst -sha256 -hmac …`
const CANARY_HASH: &str = "e2a1da4c4430";

async fn frozen(transfers: &str) -> Server {
    Server::start(&["--speed", "0", "--senders", "1", "--transfers", transfers]).await
}

/// The configuration of [`config`] with more in `[metrics]`.
fn with_metrics(server: &Server, more: &str) -> String {
    config(server, "").replace("[metrics]\n", &format!("[metrics]\n{more}\n"))
}

/// Labels and values by family; a histogram's parts are its own.
fn families(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut families: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        families
            .entry(name.to_owned())
            .or_default()
            .push(line.to_owned());
    }
    families
}

#[tokio::test]
async fn every_family_is_in_its_place_with_its_type_and_its_help() {
    let server = frozen("12").await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(2.0).await;
    let page = exporter.get("/metrics").await;
    let told: Vec<_> = page.lines().filter(|line| line.starts_with("# ")).collect();
    let expect = catalog::all().flat_map(|metric| {
        let word = metric.kind.text_word();
        [
            format!("# HELP {} {}", metric.name, metric.help),
            format!("# TYPE {} {word}", metric.name),
        ]
    });
    let expect: Vec<_> = expect
        .filter(|line| told.contains(&line.as_str()))
        .collect();
    assert_eq!(told, expect, "nothing is unknown, and nothing out of order");
    let expect = |name: &str| catalog::all().any(|metric| name == metric.name);
    assert!(families(&page).keys().filter(|name| expect(name)).count() > 50);
}

#[tokio::test]
async fn while_nothing_happens_the_bytes_stay() {
    let server = frozen("20").await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(3.0).await;
    let about_transfers = async || {
        let page = exporter.get("/metrics").await;
        page.split("# HELP cryptshare_exporter_api")
            .next()
            .unwrap()
            .to_owned()
    };
    let first = about_transfers().await;
    assert!(first.contains("cryptshare_transfer_state{"));
    exporter.polls(2.0).await;
    assert_eq!(about_transfers().await, first);
}

#[tokio::test]
async fn before_the_first_attempt_there_are_counters_and_no_gauges() {
    let server = frozen("5").await;
    server.faults(json!([{"kind": "stall"}])).await;
    let exporter = Exporter::start(&config(&server, ""), &[]).await;
    let samples = exporter.samples().await;
    assert_eq!(sum(&samples, "cryptshare_retrievals_total", &[]), Some(0.0));
    let breaker = sum(
        &samples,
        "cryptshare_exporter_api_breaker_open",
        &[("server", "sim")],
    );
    assert_eq!(breaker, Some(0.0));
    for name in [
        "cryptshare_up",
        "cryptshare_transfers",
        "cryptshare_exporter_api_version_info",
    ] {
        assert_eq!(sum(&samples, name, &[]), None, "{name}");
    }
    exporter.is("cryptshare_up", &[], 0.0).await;
    assert_eq!(exporter.sum("cryptshare_transfers", &[]).await, None);
    server.faults(json!([])).await;
    exporter.is("cryptshare_transfers", &[], 5.0).await;
    let version = [("server", "sim"), ("minor", "8")];
    exporter
        .is("cryptshare_exporter_api_version_info", &version, 1.0)
        .await;
}

#[tokio::test]
async fn a_server_that_falls_silent_takes_its_gauges_with_it_at_one_stroke() {
    let server = frozen("12").await;
    let text = with_metrics(
        &server,
        "stale_after = \"4s\"\nrecipient_labels = \"plain\"",
    );
    let exporter = Exporter::start(&text, &[]).await;
    exporter.polls(2.0).await;
    let before: BTreeSet<_> = families(&exporter.get("/metrics").await)
        .into_keys()
        .collect();
    server
        .faults(json!([{"kind": "status", "status": 503}]))
        .await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    let vanished = eventually("a page without gauges", async || {
        let answer = reqwest::get(format!("{}/metrics", exporter.url))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let now: BTreeSet<_> = families(&answer.text().await.unwrap())
            .into_keys()
            .collect();
        let vanished: BTreeSet<_> = before.difference(&now).cloned().collect();
        (!vanished.is_empty()).then_some(vanished)
    })
    .await;
    let expect = before.iter().filter(|name| {
        let stays = [
            "cryptshare_up",
            "cryptshare_verified",
            "cryptshare_verification_expiry_timestamp_seconds",
        ];
        let by_transfer = [
            "cryptshare_transfer_",
            "cryptshare_recipient_retrievals",
            "cryptshare_recipient_notification_failed",
        ];
        let is_by_transfer = by_transfer.iter().any(|prefix| name.starts_with(prefix))
            && *name != "cryptshare_recipient_notification_failures_total";
        let metric = catalog::SENDER_FAMILIES
            .iter()
            .find(|metric| metric.name == **name);
        let is_gauge = metric.is_some_and(|metric| metric.kind.word() == "gauge");
        is_by_transfer || (is_gauge && !stays.contains(&name.as_str()))
    });
    let expect: BTreeSet<_> = expect.cloned().collect();
    assert!(expect.len() > 20, "{expect:?}");
    assert_eq!(vanished, expect);
    server.faults(json!([])).await;
    exporter
        .is("cryptshare_transfers", &[("state", "active")], 5.0)
        .await;
}

#[tokio::test]
async fn an_expiration_passes_while_the_server_is_silent() {
    let server = frozen("0").await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(1.0).await;
    let mut plan = server.plan();
    // The server's time is frozen and ours is not, so while it answers this
    // never passes; once it is silent, three seconds do.
    plan["retention_seconds"] = json!(3);
    let created = server.post("transfers", plan).await;
    let id = created["trackingId"].as_str().unwrap();
    server.happen(id, "activate", json!({})).await;
    exporter
        .is("cryptshare_transfers_expiring_unretrieved", &[], 1.0)
        .await;
    exporter.polls(4.0).await;
    exporter.is("cryptshare_transfers_overdue", &[], 0.0).await;
    server.faults(json!([{"kind": "reset"}])).await;
    exporter.is("cryptshare_transfers_overdue", &[], 1.0).await;
    exporter
        .is("cryptshare_transfers_expiring_unretrieved", &[], 0.0)
        .await;
    exporter.is("cryptshare_up", &[], 0.0).await;
}

#[tokio::test]
async fn what_a_busy_server_has_every_second_is_logged_for_those_who_debug_alone() {
    let server = frozen("0").await;
    let often = ["a file was retrieved", "state=active"];
    for level in ["info", "debug"] {
        let exporter = Exporter::start(&config(&server, ""), &["--log.level", level]).await;
        exporter.polls(1.0).await;
        let id = server.active_transfer().await;
        server.happen(&id, "retrieve", json!({})).await;
        exporter.is("cryptshare_retrievals_total", &[], 1.0).await;
        server.happen(&id, "revoke", json!({})).await;
        exporter
            .line_of_each(&["state=deleted_by_revocation"])
            .await;
        let lines = exporter.process.lines();
        for text in often {
            let is_told = lines.iter().any(|line| line.contains(text));
            assert_eq!(is_told, level == "debug", "{text} at {level}");
        }
    }
}

/// A transfer with two recipients, one of whom retrieved and one of whom has
/// no mail, watched with `labels`.
async fn told_of_recipients(labels: &str) -> (Server, Exporter) {
    let server = frozen("0").await;
    let text = with_metrics(&server, labels);
    let exporter = Exporter::start(&text, &["--log.level", "info"]).await;
    exporter.polls(1.0).await;
    let id = server.active_transfer().await;
    server.happen(&id, "view", json!({"recipient": 0})).await;
    server
        .happen(&id, "notification_failure", json!({"recipient": 1}))
        .await;
    exporter
        .is("cryptshare_recipient_notification_failures_total", &[], 1.0)
        .await;
    exporter
        .is("cryptshare_transfer_recipients_retrieved", &[], 1.0)
        .await;
    (server, exporter)
}

#[tokio::test]
async fn recipients_are_hashed_named_or_left_out_as_the_configuration_says() {
    let hash = format!("recipient_labels = \"hash\"\nrecipient_hash_key = \"{HASH_KEY}\"");
    let plain = "first.canary@example.org";
    for (labels, expect) in [
        ("", None),
        ("recipient_labels = \"off\"", None),
        (hash.as_str(), Some(CANARY_HASH)),
        ("recipient_labels = \"plain\"", Some(plain)),
    ] {
        let (_server, exporter) = told_of_recipients(labels).await;
        let page = exporter.get("/metrics").await;
        let samples = parse(&page);
        let retrievals = |wanted: &[(&str, &str)]| {
            sum(&samples, "cryptshare_recipient_retrievals_total", wanted)
        };
        match expect {
            Some(label) => {
                let viewed = [("recipient", label), ("method", "viewed")];
                assert_eq!(retrievals(&viewed), Some(1.0), "{labels}");
                let failed = sum(&samples, "cryptshare_recipient_notification_failed", &[]);
                assert_eq!(failed, Some(1.0), "{labels}");
            }
            None => assert_eq!(retrievals(&[]), None, "{labels}"),
        }
        let shown = [
            page,
            exporter.get("/").await,
            exporter.process.lines().join("\n"),
        ]
        .concat();
        assert_eq!(shown.contains(plain), expect == Some(plain), "{labels}");
        assert!(!shown.contains(HASH_KEY));
    }
}

#[tokio::test]
async fn what_has_no_place_is_counted_by_sender() {
    let server = Server::start(&["--speed", "0", "--senders", "2", "--transfers", "0"]).await;
    let text = config(&server, "").replace("max_transfers = 0", "max_transfers = 3");
    let exporter = Exporter::start(&text, &[]).await;
    exporter.polls(1.0).await;
    for _ in 0..3 {
        for sender in &server.senders {
            let mut plan = server.plan();
            plan["sender"] = json!(sender);
            server.post("transfers", plan).await;
        }
    }
    exporter
        .is("cryptshare_transfers", &[("state", "processing")], 6.0)
        .await;
    exporter
        .is("cryptshare_exporter_transfers_not_exported", &[], 3.0)
        .await;
    let shown = exporter.sum("cryptshare_transfer_info", &[]).await;
    assert_eq!(shown, Some(3.0));
}

#[tokio::test]
async fn every_log_field_of_the_table_is_logged() {
    let server = frozen("0").await;
    let exporter = Exporter::watching(&server, &["--log.level", "debug"]).await;
    exporter.polls(1.0).await;
    let created = server.post("transfers", server.plan()).await;
    let id = created["trackingId"].as_str().unwrap();
    exporter
        .is("cryptshare_transfers", &[("state", "processing")], 1.0)
        .await;
    server.happen(id, "activate", json!({})).await;
    server.happen(id, "view", json!({})).await;
    server.happen(id, "notification_failure", json!({})).await;
    server.happen(id, "remove_file", json!({"file": 1})).await;
    exporter
        .is("cryptshare_files_removed_total", &[], 1.0)
        .await;
    server
        .faults(json!([{"kind": "status", "status": 500}]))
        .await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    let fields: BTreeSet<_> = seed::rows().flat_map(|row| row.logs).collect();
    assert!(fields.len() >= 8, "{fields:?}");
    for field in fields {
        let has = |line: &str| line.contains(&format!(" {field}=")).then_some(());
        exporter
            .process
            .line(&format!("the log field {field}"), has)
            .await;
    }
}
