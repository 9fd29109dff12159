//! What must never be shown, searched for in everything that is.

use serde_json::json;

use crate::rig::{Exporter, Server};

#[tokio::test]
async fn no_secret_and_no_personal_data_is_ever_shown() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "30"]).await;
    let exporter = Exporter::watching(&server, &["--log.level", "debug"]).await;
    exporter.polls(1.0).await;
    let id = server.active_transfer().await;
    server.happen(&id, "retrieve", json!({})).await;
    server.happen(&id, "notification_failure", json!({})).await;
    let labels = [("tracking_id", id.as_str())];
    exporter
        .is("cryptshare_transfer_recipients_retrieved", &labels, 1.0)
        .await;
    for fault in ["truncated", "wrong_type", "html", "reset"] {
        server.faults(json!([{"kind": fault}])).await;
        exporter.is("cryptshare_up", &[], 0.0).await;
        server.faults(json!([])).await;
        exporter.is("cryptshare_up", &[], 1.0).await;
    }
    let shown = [
        exporter.process.lines().join("\n"),
        exporter.get("/metrics").await,
        exporter.get("/").await,
    ];
    for canary in [
        server.client_id.as_str(),
        "Canary-Password-1",
        "download?id=",
        "password=",
        "first.canary",
        "second.canary",
        "first-canary",
        "Documents for you",
        "Please fetch",
        "Ada Example",
    ] {
        for text in &shown {
            assert!(!text.contains(canary), "{canary} is shown");
        }
    }
    assert!(shown[0].contains("a recipient could not be notified"));
}
