//! Every fault of the server: the reason that is told, and the way back.

use serde_json::{Value, json};

use crate::rig::{Exporter, Server, config};

/// Lets the list fail with `fault` and checks what is told of it.
async fn check(server: &Server, exporter: &Exporter, fault: Value, reason: &str) {
    let labels = [("reason", reason)];
    let failures = "cryptshare_exporter_poll_failures_total";
    let before = exporter.sum(failures, &labels).await.unwrap();
    server.faults(json!([fault])).await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    let after = exporter.sum(failures, &labels).await.unwrap();
    assert!(after > before, "{fault} is told as {reason}");
    server.faults(json!([])).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
}

#[tokio::test]
async fn every_fault_has_its_reason_and_an_end() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "5"]).await;
    let text = config(&server, "max_response_bytes = 1000000");
    let exporter = Exporter::start(&text, &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    for (fault, reason) in [
        (json!({"kind": "status", "status": 500}), "server"),
        (
            json!({"kind": "status", "status": 503, "retryAfter": 1}),
            "server",
        ),
        (
            json!({"kind": "status", "status": 429, "errorCode": 2007}),
            "throttled",
        ),
        (
            json!({"kind": "status", "status": 403, "errorCode": 3001}),
            "not_licensed",
        ),
        (json!({"kind": "html", "status": 403}), "not_licensed"),
        (
            json!({"kind": "status", "status": 404, "errorCode": 2004}),
            "version",
        ),
        (json!({"kind": "status", "status": 406}), "version"),
        (
            json!({"kind": "status", "status": 400, "errorCode": 1004}),
            "rejected",
        ),
        (
            json!({"kind": "status", "status": 404, "errorCode": 1006}),
            "rejected",
        ),
        (json!({"kind": "html"}), "malformed"),
        (json!({"kind": "truncated"}), "malformed"),
        (json!({"kind": "wrong_type"}), "malformed"),
        (
            json!({"kind": "oversized", "bytes": 2_000_000}),
            "too_large",
        ),
        (json!({"kind": "reset"}), "unreachable"),
        (json!({"kind": "stall"}), "timeout"),
        (json!({"kind": "latency", "milliseconds": 4000}), "timeout"),
        (
            json!({"kind": "redirect", "location": "http://127.0.0.1:1/"}),
            "redirected",
        ),
    ] {
        let mut fault = fault;
        fault["endpoint"] = json!("transfers");
        check(&server, &exporter, fault, reason).await;
    }
    let target = "leads to http://127.0.0.1:1; set `url` to it";
    let is_told = |line: &str| line.contains(target).then_some(());
    exporter
        .process
        .line("where a redirect leads", is_told)
        .await;
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed_without_a_failure() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "5"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.is("cryptshare_verified", &[], 1.0).await;
    server
        .faults(json!([{"kind": "expired_token", "endpoint": "transfers", "times": 1}]))
        .await;
    let renewals = [("endpoint", "verification_token")];
    exporter
        .is("cryptshare_exporter_api_requests_total", &renewals, 2.0)
        .await;
    exporter.polls(2.0).await;
    let failures = exporter
        .sum("cryptshare_exporter_poll_failures_total", &[])
        .await;
    assert_eq!(failures, Some(0.0));
    exporter.is("cryptshare_up", &[], 1.0).await;
}

#[tokio::test]
async fn a_client_id_that_is_not_registered_is_not_verified() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "5"]).await;
    let text = config(&server, "").replace(&server.client_id, &"x1".repeat(32));
    let exporter = Exporter::start(&text, &[]).await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    exporter.is("cryptshare_verified", &[], 0.0).await;
    exporter.polls(2.0).await;
    let labels = [("reason", "not_verified")];
    let failures = exporter
        .sum("cryptshare_exporter_poll_failures_total", &labels)
        .await;
    assert!(failures.unwrap() >= 1.0);
    let tokens = [("endpoint", "verification_token")];
    let asked = exporter
        .sum("cryptshare_exporter_api_requests_total", &tokens)
        .await;
    assert_eq!(
        asked,
        Some(1.0),
        "a refused renewal is not repeated at once"
    );
    let warnings = exporter.process.lines();
    let warnings = warnings
        .iter()
        .filter(|line| line.contains("polling fails"));
    assert_eq!(warnings.count(), 1, "a failure is logged once");
}

#[tokio::test]
async fn a_server_that_is_down_leaves_counters_and_health_paths() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "5"]).await;
    let text = config(&server, "");
    drop(server);
    let exporter = Exporter::start(&text, &[]).await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    assert_eq!(
        exporter.sum("cryptshare_retrievals_total", &[]).await,
        Some(0.0)
    );
    assert_eq!(exporter.sum("cryptshare_transfers", &[]).await, None);
    assert_eq!(exporter.get("/-/healthy").await, "Healthy\n");
    assert_eq!(exporter.get("/-/ready").await, "Ready\n");
}

#[tokio::test]
async fn a_token_outlives_a_restart_in_the_state_directory() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "5"]).await;
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("state");
    let text = format!(
        "[state]\ndirectory = \"{}\"\n{}",
        directory.display(),
        config(&server, "")
    );
    let tokens = [("endpoint", "verification_token")];
    let requests = "cryptshare_exporter_api_requests_total";
    let first = Exporter::start(&text, &[]).await;
    first.is(requests, &tokens, 1.0).await;
    first.is("cryptshare_up", &[], 1.0).await;
    drop(first);
    let second = Exporter::start(&text, &[]).await;
    second.is("cryptshare_up", &[], 1.0).await;
    assert_eq!(second.sum(requests, &tokens).await, None);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    const TERM: u64 = 30 * 86_400;
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "0"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    let expiry = "cryptshare_verification_expiry_timestamp_seconds";
    exporter.is("cryptshare_up", &[], 1.0).await;
    let before = exporter.sum(expiry, &[]).await.unwrap();
    let almost = json!({"advance_seconds": TERM - 200});
    server.post("clock", almost).await;
    crate::rig::eventually("a later end of the token", async || {
        let now = exporter.sum(expiry, &[]).await?;
        (now > before + 86_400.0).then_some(())
    })
    .await;
    let failures = exporter
        .sum("cryptshare_exporter_poll_failures_total", &[])
        .await;
    assert_eq!(failures, Some(0.0));
}

#[tokio::test]
async fn a_server_that_refuses_every_token_is_not_stormed_with_renewals() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "5"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let requests = "cryptshare_exporter_api_requests_total";
    let renewals = [("endpoint", "verification_token")];
    server
        .faults(
            json!([{"kind": "status", "status": 401, "errorCode": 3002, "endpoint": "transfers"}]),
        )
        .await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    exporter.is("cryptshare_verified", &[], 0.0).await;
    let before = exporter.sum(requests, &[]).await.unwrap();
    exporter.polls(5.0).await;
    let after = exporter.sum(requests, &[]).await.unwrap();
    assert!(
        after - before <= 7.0,
        "{} requests in 5 polls",
        after - before
    );
    assert_eq!(exporter.sum(requests, &renewals).await, Some(2.0));
    let unauthorized = [("reason", "unauthorized")];
    let failures = exporter
        .sum("cryptshare_exporter_poll_failures_total", &unauthorized)
        .await;
    assert!(failures.unwrap() >= 5.0);
    server.faults(json!([])).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    exporter.is("cryptshare_verified", &[], 1.0).await;
}

/// It says nothing of the bulk list: whoever forbids one request forbids any.
#[tokio::test]
async fn a_bulk_list_that_is_forbidden_at_first_is_asked_for_again() {
    let fixed = ["--speed", "0", "--senders", "1", "--transfers", "30"];
    let server = Server::start(&[&fixed[..], &["--api-minor", "13"]].concat()).await;
    let forbidden = json!({"kind": "html", "status": 403, "endpoint": "sent_transfers"});
    server.faults(json!([forbidden])).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter
        .line_of_each(&["polling fails", "reason=not_licensed"])
        .await;
    server.faults(json!([])).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    exporter
        .line_of_each(&["transfers are read in bulk", "polling works again"])
        .await;
    let lines = exporter.process.lines();
    let is_told = |what: &str| lines.iter().any(|line| line.contains(what));
    assert!(!is_told("one by one"), "{lines:#?}");
}
