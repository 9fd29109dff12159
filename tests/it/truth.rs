//! The exporter's counters and gauges against the simulator's oracle.

use serde_json::{Value, json};

use crate::rig::{Exporter, Server, eventually};

const STATES: [&str; 8] = [
    "processing",
    "active",
    "failed",
    "deleted_by_expiration",
    "deleted_by_revocation",
    "deleted_by_admin",
    "deleted_by_security",
    "unknown",
];

/// A counter child: its name, its label, its place in the totals of the truth.
type Child = (&'static str, Vec<(&'static str, &'static str)>, String);

fn children() -> Vec<Child> {
    let mut children = vec![
        (
            "cryptshare_recipient_notification_failures_total",
            vec![],
            "/recipient_notification_failures".to_owned(),
        ),
        (
            "cryptshare_sender_notification_failures_total",
            vec![],
            "/sender_notification_failures".to_owned(),
        ),
        (
            "cryptshare_eml_creation_failures_total",
            vec![],
            "/eml_creation_failures".to_owned(),
        ),
        (
            "cryptshare_files_removed_total",
            vec![],
            "/files_removed".to_owned(),
        ),
        (
            "cryptshare_transfers_vanished_total",
            vec![],
            "/forgotten".to_owned(),
        ),
    ];
    for method in ["downloaded", "viewed"] {
        let place = format!("/retrievals/{method}");
        children.push((
            "cryptshare_retrievals_total",
            vec![("method", method)],
            place,
        ));
    }
    for state in STATES {
        let place = format!("/state_transitions/{state}");
        let name = "cryptshare_state_transitions_total";
        children.push((name, vec![("state", state)], place));
    }
    for state in &STATES[3..7] {
        let place = format!("/ended_unretrieved/{state}");
        let name = "cryptshare_transfers_ended_unretrieved_total";
        children.push((name, vec![("state", *state)], place));
    }
    children
}

/// Lets every kind of event happen to transfers that appear after the baseline,
/// with polls in between.
async fn live(server: &Server, exporter: &Exporter) {
    for round in 0..3 {
        for end in ["revoke", "admin_delete", "security_delete", "cleanup"] {
            let retrieved = server.active_transfer().await;
            for file in 0..2 {
                let which = json!({"recipient": round % 2, "file": file});
                server.happen(&retrieved, "retrieve", which.clone()).await;
                server.happen(&retrieved, "view", which).await;
            }
            let unretrieved = server.active_transfer().await;
            let which = json!({"recipient": 1});
            server
                .happen(&unretrieved, "notification_failure", which)
                .await;
            let file = json!({"file": 1, "cause": "A virus was found."});
            server.happen(&unretrieved, "remove_file", file).await;
            if round == 1 {
                exporter.polls(2.0).await;
            }
            for event in ["sender_notification_failure", "eml_failure"] {
                server.happen(&retrieved, event, json!({})).await;
            }
            server.happen(&retrieved, end, json!({})).await;
            server.happen(&unretrieved, end, json!({})).await;
        }
        let failing = server.post("transfers", server.plan()).await;
        let failing = failing["trackingId"].as_str().unwrap();
        server.happen(failing, "fail", json!({})).await;
        let lost = server.active_transfer().await;
        eventually("the transfer that will vanish", async || {
            let labels = [("tracking_id", lost.as_str())];
            let shown = exporter.sum("cryptshare_transfer_state", &labels).await;
            shown.is_some().then_some(())
        })
        .await;
        server.happen(&lost, "forget", json!({})).await;
    }
}

fn differences(samples: &[crate::rig::Sample], truth: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    for (sender, told) in truth["senders"].as_object().unwrap() {
        for (name, mut labels, place) in children() {
            labels.push(("sender", sender));
            let seen = crate::rig::sum(samples, name, &labels).unwrap();
            let totals = &told["totals"];
            let is = totals
                .pointer(&place)
                .and_then(Value::as_f64)
                .unwrap_or_default();
            if (seen - is).abs() > 1e-9 {
                differences.push(format!("{name}{labels:?}: {seen}, truth {is}"));
            }
        }
        let transfers = told["transfers"].as_object().unwrap();
        for state in STATES {
            let known = |t: &&Value| t["forgotten"] == false && t["state"] == state;
            let is = transfers.values().filter(known).count();
            let labels = [("sender", sender.as_str()), ("state", state)];
            let seen = crate::rig::sum(samples, "cryptshare_transfers", &labels);
            if seen.map(|seen| seen.to_string()) != Some(is.to_string()) {
                differences.push(format!("{state} of {sender}: {seen:?}, truth {is}"));
            }
        }
    }
    differences
}

#[tokio::test]
async fn every_counter_and_every_state_equals_the_truth() {
    let arguments = [
        "--speed",
        "0",
        "--senders",
        "2",
        "--transfers",
        "60",
        "--seed",
        "7",
    ];
    let server = Server::start(&arguments).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(3.0).await;
    assert_eq!(
        exporter.sum("cryptshare_retrievals_total", &[]).await,
        Some(0.0),
        "what happened before the baseline does not count"
    );
    server.post("mark", json!({})).await;
    live(&server, &exporter).await;
    let truth = server.truth().await;
    for (_, _, place) in children() {
        let totals = &truth["senders"][&server.senders[0]]["totals"];
        let is_expected = !place.ends_with("unknown");
        let happened = totals.pointer(&place).and_then(Value::as_u64).unwrap_or(0) > 0;
        assert_eq!(happened, is_expected, "the story lets {place} happen");
    }
    eventually("the truth on /metrics", async || {
        differences(&exporter.samples().await, &truth)
            .is_empty()
            .then_some(())
    })
    .await;
    exporter.polls(2.0).await;
    let after = differences(&exporter.samples().await, &truth);
    assert_eq!(after, Vec::<String>::new(), "two polls later");
}

#[tokio::test]
async fn a_transfer_shows_what_the_server_tells_of_it() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "0"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(1.0).await;
    let id = server.active_transfer().await;
    server.happen(&id, "retrieve", json!({})).await;
    server.happen(&id, "remove_file", json!({"file": 1})).await;
    let labels = [("tracking_id", id.as_str())];
    exporter
        .is("cryptshare_transfer_files_removed", &labels, 1.0)
        .await;
    for (name, expect) in [
        ("cryptshare_transfer_state", 1.0),
        ("cryptshare_transfer_files", 2.0),
        ("cryptshare_transfer_size_bytes", 1024.0),
        ("cryptshare_transfer_recipients", 2.0),
        ("cryptshare_transfer_recipients_retrieved", 1.0),
        ("cryptshare_transfer_recipient_notifications_failed", 0.0),
        ("cryptshare_transfer_warnings", 1.0),
        ("cryptshare_transfer_retrievals_total", 1.0),
    ] {
        exporter.is(name, &labels, expect).await;
    }
    exporter
        .is(
            "cryptshare_files_removed_total",
            &[("cause", "malware")],
            1.0,
        )
        .await;
}

#[tokio::test]
async fn a_named_transfer_that_was_never_found_is_told_until_it_comes() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "3"]).await;
    let known = server.truth().await;
    let known = known["senders"][&server.senders[0]]["transfers"]
        .as_object()
        .unwrap();
    let known = known.keys().next().unwrap();
    let config = format!(
        "[defaults]\npoll_interval = \"1s\"\n[[server]]\nname = \"sim\"\nurl = \"{}\"\n\
         client_id = \"{}\"\n[[server.transfer]]\nsender = \"{sender}\"\ntracking_id = \"{known}\"\n\
         name = \"year-end report\"\n[[server.transfer]]\nsender = \"{sender}\"\n\
         tracking_id = \"20260401-081500-Qx7Lm2Za\"\n",
        server.url,
        server.client_id,
        sender = server.senders[0]
    );
    let exporter = Exporter::start(&config, &[]).await;
    exporter
        .is("cryptshare_transfers_not_found", &[], 1.0)
        .await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let named = [("name", "year-end report"), ("tracking_id", known.as_str())];
    exporter.is("cryptshare_transfer_info", &named, 1.0).await;
    assert_eq!(
        exporter
            .sum("cryptshare_transfers_vanished_total", &[])
            .await,
        Some(0.0)
    );
}

#[tokio::test]
async fn what_had_ended_before_is_counted_and_not_shown_by_transfer() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "24"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter
        .is("cryptshare_transfers", &[("state", "failed")], 2.0)
        .await;
    exporter
        .is("cryptshare_transfers", &[("state", "active")], 10.0)
        .await;
    exporter
        .is("cryptshare_transfer_state", &[("state", "active")], 10.0)
        .await;
    let shown = exporter
        .sum("cryptshare_transfer_state", &[("state", "failed")])
        .await;
    assert_eq!(shown, None);
    let id = server.active_transfer().await;
    let labels = [("tracking_id", id.as_str())];
    exporter.is("cryptshare_transfer_state", &labels, 1.0).await;
    server.happen(&id, "revoke", json!({})).await;
    let ended = [
        ("tracking_id", id.as_str()),
        ("state", "deleted_by_revocation"),
    ];
    exporter.is("cryptshare_transfer_state", &ended, 1.0).await;
}
