//! `sent-transfers` and `received-transfers`, as a stranger's client reads
//! them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    rig::{Server, run},
    stranger::Stranger,
};

const SENT: &str = "transfers/sent-transfers";
const RECEIVED: &str = "transfers/received-transfers";

/// What a poller asks for.
const FULL: &str = "fields=trackingId,status(state,warnings,emlCreationFailed,sender,files,\
    recipients(mail,id,notificationFailed,fileDownloads)),transfer(expirationDate,files(id,size))";

async fn server(more: &[&str]) -> Server {
    let frozen = ["--speed", "0", "--api-minor", "13"];
    Server::start(&[&frozen, more].concat()).await
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn ids(page: &Value) -> Vec<String> {
    let items = page.as_array().unwrap().iter();
    items
        .map(|item| item["trackingId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_page_tells_what_the_status_of_each_tells() {
    let server = server(&["--transfers", "60", "--senders", "1"]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let everything = "fields=trackingId,status,transfer&page-size=100";
    let page = ada.get(&format!("{SENT}?{everything}")).await.data();
    assert_eq!(page.as_array().unwrap().len(), 60);
    for item in page.as_array().unwrap() {
        let id = item["trackingId"].as_str().unwrap();
        let single = ada.get(&format!("transfers/{id}")).await.data();
        for place in [
            "/status/state",
            "/status/warnings",
            "/transfer/expirationDate",
        ] {
            assert_eq!(
                item.pointer(place),
                single.pointer(place),
                "{place} of {id}"
            );
        }
        assert_eq!(keys(&item["status"]), keys(&single["status"]));
        assert_eq!(keys(&item["transfer"]), keys(&single["transfer"]));
    }
}

#[tokio::test]
async fn the_default_fields_are_those_of_the_contract() {
    let server = server(&["--transfers", "12", "--senders", "1"]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let page = ada.get(SENT).await.data();
    assert_eq!(page.as_array().unwrap().len(), 10, "the default size");
    let item = &page[0];
    assert_eq!(keys(item), ["status", "trackingId", "transfer"]);
    assert_eq!(keys(&item["status"]), ["recipients", "sender", "state"]);
    assert_eq!(keys(&item["status"]["sender"]), ["email"]);
    let recipient = &item["status"]["recipients"][0];
    assert_eq!(keys(recipient).len(), 5, "bare means whole: {recipient}");
    assert_eq!(keys(&item["transfer"]), ["recipients"]);
}

#[tokio::test]
async fn pages_and_active_divide_what_was_sent() {
    let server = server(&["--transfers", "250", "--senders", "1"]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let read = async |more: &str| {
        let mut all = Vec::new();
        for page in 1.. {
            let query = format!("{SENT}?page={page}&page-size=100&fields=trackingId{more}");
            let ids = ids(&ada.get(&query).await.data());
            all.extend(ids.clone());
            if ids.len() < 100 {
                break;
            }
        }
        all
    };
    let all = read("").await;
    let mut newest_first = all.clone();
    newest_first.sort_by(|a, b| b[..15].cmp(&a[..15]));
    assert_eq!((all.len(), &all), (250, &newest_first));
    let (active, inactive) = (read("&active=true").await, read("&active=false").await);
    let truth = server.truth().await;
    let told = truth["senders"][&ada.address]["transfers"]
        .as_object()
        .unwrap();
    let is_active = |id: &&String| told[id.as_str()]["state"] == "active";
    assert_eq!(
        active.iter().collect::<Vec<_>>(),
        all.iter().filter(is_active).collect::<Vec<_>>()
    );
    let parts: BTreeSet<_> = active.iter().chain(&inactive).collect();
    assert_eq!(parts.len(), 250);

    server
        .quirks(json!({"active-includes-processing": true}))
        .await;
    let processing = told.values().filter(|told| told["state"] == "processing");
    assert_eq!(
        read("&active=true").await.len(),
        active.len() + processing.count()
    );
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let server = server(&["--senders", "1"]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    for query in [
        "page=0",
        "page=x",
        "page=%2B1",
        "page=2147483648",
        "page-size=0",
        "page-size=101",
        "active=yes",
        "fields=",
        "fields=a(",
        "fields=a,,b",
    ] {
        let answer = ada.get(&format!("{SENT}?{query}")).await;
        assert_eq!(answer.error(), (400, 1004), "{query}");
    }
    let blanks = "fields=trackingId,%20status(%20state%20),+nobody";
    let page = ada.get(&format!("{SENT}?{blanks}")).await.data();
    assert_eq!(keys(&page[0]), ["status", "trackingId"]);
    let stranger = Stranger::new(&server, &server.senders[0]);
    assert_eq!(stranger.get(SENT).await.error(), (401, 3002));
}

#[tokio::test]
async fn an_older_server_takes_the_words_for_a_tracking_id() {
    let server = Server::start(&["--speed", "0", "--api-minor", "11"]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    for path in [SENT, RECEIVED] {
        assert_eq!(ada.get(path).await.error(), (404, 2003));
        let mut newer = Stranger::new(&server, &ada.address);
        newer.minor = 12;
        assert_eq!(newer.get(path).await.error(), (404, 2004));
    }
}

#[tokio::test]
async fn recipients_see_what_was_provided_to_them_and_nobody_else() {
    let server = server(&["--senders", "2", "--transfers", "0"]).await;
    let [ada, bob] = [&server.senders[0], &server.senders[1]];
    let mut plan = server.plan();
    plan["recipients"] = json!([bob.to_uppercase(), "eve@example.org"]);
    let id = server.post("transfers", plan).await["trackingId"].take();
    let id = id.as_str().unwrap();
    let bob = Stranger::verified(&server, bob).await;
    let query = format!("{RECEIVED}?fields=trackingId,status,transfer");
    assert_eq!(
        bob.get(&query).await.data(),
        json!([]),
        "nothing is provided yet"
    );
    server.happen(id, "activate", json!({})).await;
    server.happen(id, "retrieve", json!({})).await;
    let page = bob.get(&query).await.data();
    let item = &page[0];
    assert_eq!(item["status"]["sender"]["email"], *ada);
    let recipients = item["status"]["recipients"].as_array().unwrap();
    assert_eq!(recipients.len(), 1);
    assert_eq!(
        keys(&recipients[0]),
        ["fileDownloads", "id", "mail", "notificationFailed"]
    );
    assert_eq!(keys(&recipients[0]["fileDownloads"][0]), ["downloads"]);
    assert_eq!(
        keys(&item["status"]["files"][0]),
        ["removalCause", "removed"]
    );
    let text = page.to_string();
    assert!(!text.contains("eve@example.org") && !text.contains("confidentialMessageFileId"));
    let revoked = format!("{RECEIVED}?active=false");
    assert_eq!(bob.get(&revoked).await.data(), json!([]));
    server.happen(id, "revoke", json!({})).await;
    assert_eq!(
        bob.get(&revoked).await.data()[0]["status"]["state"],
        "DELETED_BY_REVOCATION"
    );
}

#[tokio::test]
async fn quirks_change_what_a_page_tells() {
    let server = server(&["--senders", "1", "--quirk", "bulk-without-lists"]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let item = async |query: &str| ada.get(&format!("{SENT}?{query}")).await.data()[0].take();
    let thin = item(FULL).await;
    assert_eq!(keys(&thin["status"]), ["recipients", "sender", "state"]);
    assert_eq!(
        keys(&thin["status"]["recipients"][0]),
        ["id", "mail", "notificationFailed"]
    );
    assert_eq!(keys(&thin["transfer"]), ["expirationDate"]);

    server.quirks(json!({"unselected_null": true})).await;
    let told = item("fields=trackingId").await;
    assert_eq!(
        (&told["status"], &told["transfer"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(keys(&told).len(), 3);

    server
        .quirks(json!({"page-size-capped": 1, "unknown-fields-refused": 1}))
        .await;
    assert!(ada.get(&format!("{SENT}?page-size=500")).await.status == 200);
    let unknown = ada.get(&format!("{SENT}?fields=nobody")).await;
    assert_eq!(unknown.error(), (400, 1004));

    server.quirks(json!({"full-list-recipients": true})).await;
    let listed = ada.get("transfers").await.data();
    assert_eq!(keys(&listed[0]["recipients"][0]).len(), 5);
}

#[test]
fn quirks_are_explained_and_checked() {
    let (code, told, _) = run(&["simulate", "--quirk", "list"]);
    assert_eq!(code, 0);
    assert!(
        told.lines()
            .any(|line| line.starts_with("bulk-without-lists ")),
        "{told}"
    );
    for wrong in ["nobody", "null-lists=2"] {
        let (code, _, complaint) = run(&["simulate", "--quirk", wrong]);
        assert_eq!(code, 2, "{complaint}");
    }
}

#[tokio::test]
async fn fifty_thousand_transfers_are_paged() {
    let server = server(&["--senders", "1", "--transfers", "50000"]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    for page in [1, 250, 500] {
        let query = format!("{SENT}?page={page}&page-size=100&{FULL}");
        assert_eq!(ada.get(&query).await.data().as_array().unwrap().len(), 100);
    }
    let beyond = format!("{SENT}?page=501&page-size=100&{FULL}");
    assert_eq!(ada.get(&beyond).await.data(), json!([]));
}
