//! Sessions that nobody finalizes, and the mails of what a test sends.

use reqwest::Method;
use serde_json::json;

use crate::{
    rig::Server,
    send::{SESSIONS, open, tell},
    stranger::Stranger,
};

const HOUR: u64 = 3_600;

async fn frozen() -> Server {
    let arguments = "--speed 0 --senders 1 --transfers 0 --api-minor 13";
    Server::start(&arguments.split(' ').collect::<Vec<_>>()).await
}

async fn hours(server: &Server, count: u64) {
    server
        .post("clock", json!({"advance_seconds": count * HOUR}))
        .await;
}

#[tokio::test]
async fn a_session_that_nobody_touches_is_dropped() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = open(&ada, &["bob@example.org"]).await;
    let left = open(&ada, &["bob@example.org"]).await;
    let read = async |id: &str| ada.get(&format!("{SESSIONS}/{id}")).await;
    for _ in 0..3 {
        hours(&server, 12).await;
        assert_eq!(read(&id).await.status, 200, "it is worked on");
    }
    assert_eq!(read(&left).await.error(), (404, 2003));
    server.put("policy", json!({"session_hours": 2})).await;
    hours(&server, 2).await;
    assert_eq!(read(&id).await.error(), (404, 2003));
}

#[tokio::test]
async fn only_so_many_sessions_are_open_at_the_same_time() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    server.put("policy", json!({"max_sessions": 2})).await;
    let first = open(&ada, &["bob@example.org"]).await;
    hours(&server, 1).await;
    open(&ada, &["bob@example.org"]).await;
    let body = json!({"sender": {}, "recipients": {"to": [{"mail": "bob@example.org"}]}});
    let ask = async || tell(&ada, Method::POST, SESSIONS, &body).await;
    let refused = ask().await;
    assert_eq!(refused.error(), (429, 2007));
    assert_eq!(
        refused.header("retry-after"),
        Some((23 * HOUR).to_string().as_str())
    );
    let path = format!("{SESSIONS}/{first}");
    assert_eq!(
        tell(&ada, Method::DELETE, &path, &json!({})).await.status,
        204
    );
    assert_eq!(ask().await.status, 201);
    assert_eq!(ask().await.error(), (429, 2007));
    hours(&server, 24).await;
    assert_eq!(ask().await.status, 201);
}

#[tokio::test]
async fn what_a_test_sends_causes_mails() {
    let server = frozen().await;
    let mut plan = server.plan();
    plan["recipients"] = json!(["bob@example.org", "eve@nowhere.invalid"]);
    let created = server.post("transfers", plan).await;
    let id = created["trackingId"].as_str().unwrap();
    server.happen(id, "activate", json!({})).await;
    server.happen(id, "retrieve", json!({})).await;
    server.happen(id, "revoke", json!({})).await;
    let mails = server.get("mailbox?email=bob@example.org").await;
    assert_eq!(mails[0]["kind"], "recipient_notification");
    assert_eq!(mails[0]["transferId"], created["recipients"][0]);
    let path = format!("mailbox?email={}", server.senders[0]);
    let mails = server.get(&path).await;
    let kinds: Vec<_> = mails.as_array().unwrap().iter().collect();
    let kinds: Vec<_> = kinds.iter().map(|mail| &mail["kind"]).collect();
    assert_eq!(
        kinds,
        [
            "upload_summary",
            "download_notification",
            "download_summary"
        ]
    );
    let totals = server.get("totals").await;
    assert_eq!(totals["totals"]["recipient_notification_failures"], 1);
}
