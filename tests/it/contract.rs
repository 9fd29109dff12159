//! What a client reads in the contract and finds nowhere else: languages, who
//! sees an address that opens a transfer, limits, malformed ids.

use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

use crate::{
    rig::Server,
    send::{SESSIONS, attach, finalize, open, tell},
    stranger::{Stranger, send},
};

async fn frozen() -> Server {
    let arguments = "--speed 0 --senders 1 --transfers 12 --api-minor 13";
    Server::start(&arguments.split(' ').collect::<Vec<_>>()).await
}

/// Sends a transfer to Bob; `change` is a change of its session.
async fn sent(server: &Server, ada: &Stranger<'_>, change: &Value) -> String {
    let id = open(ada, &["bob@example.org"]).await;
    let path = format!("{SESSIONS}/{id}");
    assert_eq!(tell(ada, Method::PATCH, &path, change).await.status, 200);
    attach(ada, &id, "a.txt", b"abc").await;
    finalize(ada, &id).await;
    server.post("clock", json!({"advance_seconds": 60})).await;
    id
}

fn mode(word: &str) -> Value {
    let config = json!({"passwordMode": word});
    json!({"securityMode": {"name": "ONE_TIME_PASSWORD", "config": config}})
}

/// Bob's id of the newest transfer.
async fn bobs_id(server: &Server) -> String {
    let mails = server.get("mailbox?email=bob@example.org").await;
    let newest = mails.as_array().unwrap().last().unwrap();
    newest["transferId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_address_that_opens_a_transfer_is_for_the_token_that_sent_it() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = sent(&server, &ada, &mode("NONE")).await;
    let closed = sent(&server, &ada, &mode("GENERATED")).await;
    let mut again = Stranger::verified(&server, &server.senders[0]).await;
    again.minor = 12;
    let url = async |who: &Stranger<'_>, id: &str| {
        let told = who.get(&format!("transfers/{id}")).await.data();
        told["status"]["recipients"][0]["downloadUrl"].clone()
    };
    let own = url(&ada, &id).await;
    assert!(own.as_str().unwrap().contains("&password="), "{own}");
    assert_eq!(url(&again, &id).await, Value::Null);
    assert!(url(&again, &closed).await.is_string());
    let fields = "sent-transfers?page-size=100&fields=trackingId,status(recipients(downloadUrl)),transfer(securityMode)";
    let listed = again.get(&format!("transfers/{fields}")).await.data();
    for item in listed.as_array().unwrap() {
        let config = &item["transfer"]["securityMode"]["config"];
        let is_open = config["passwordMode"] == "NONE";
        assert_eq!(config["password"].is_null(), is_open, "{item}");
        for recipient in item["status"]["recipients"].as_array().unwrap() {
            assert_eq!(recipient["downloadUrl"].is_null(), is_open, "{item}");
        }
    }
    server.quirks(json!({"urls-for-any-token": true})).await;
    assert_eq!(url(&again, &id).await, own);
}

#[tokio::test]
async fn every_file_has_a_link_with_the_general_parameters() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    sent(&server, &ada, &mode("NONE")).await;
    let listed = ada.get("transfers?page-size=100").await.data();
    for item in listed.as_array().unwrap() {
        let id = item["trackingId"].as_str().unwrap();
        let told = ada.get(&format!("transfers/{id}")).await.data();
        for file in told["transfer"]["files"].as_array().unwrap() {
            let Some(href) = file["href"].as_str() else {
                assert_eq!(file["state"], "REMOVED");
                continue;
            };
            let (path, query) = href.split_once('?').unwrap();
            let end = format!("/files/{}", file["id"].as_str().unwrap());
            assert!(path.starts_with("/api/") && path.ends_with(&end), "{href}");
            let client = format!(
                "major-api-version=1&minimum-minor-api-version=8&client-id={}",
                ada.client_id
            );
            assert_eq!(query, client);
        }
    }
}

#[tokio::test]
async fn a_session_begins_in_the_language_that_is_asked_for() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let body = json!({"sender": {}, "recipients": {"to": [{"mail": "bob@example.org"}]}});
    for (accept, expect) in [
        ("de-DE,de;q=0.9,en;q=0.5", "de"),
        ("it, fr;q=0.3, en;q=0.2", "fr"),
        ("it", "en"),
    ] {
        let request = ada.request(Method::POST, SESSIONS).body(body.to_string());
        let made = send(request.header("Accept-Language", accept)).await;
        let location = made.header("location").unwrap();
        let id = location.rsplit('/').next().unwrap();
        let told = ada.get(&format!("{SESSIONS}/{id}")).await.data();
        assert_eq!(told["senderLanguage"], expect);
        assert_eq!(told["recipientLanguage"], expect);
    }
}

#[tokio::test]
async fn mails_are_in_the_language_that_is_asked_for() {
    let server = frozen().await;
    let mut ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = sent(&server, &ada, &mode("GENERATED")).await;
    ada.minor = 10;
    let bob = bobs_id(&server).await;
    for path in [
        "sender".to_owned(),
        "sent".to_owned(),
        format!("recipients/{bob}"),
    ] {
        let text = async |language: &str| {
            let path = format!("transfers/{id}/emails/{path}");
            let request = ada.request(Method::POST, &path);
            let answer = send(request.header("Accept-Language", language)).await;
            assert_eq!(answer.status, 200);
            assert_eq!(
                answer.header("content-type"),
                Some("text/html;charset=utf-8")
            );
            String::from_utf8(answer.bytes).unwrap()
        };
        let (german, french) = (text("de").await, text("fr;q=0.8").await);
        assert!(german.contains("Dateien"), "{german}");
        assert!(french.contains("ichiers"), "{french}");
        assert!(text("").await.contains("iles"));
    }
}

#[tokio::test]
async fn limits_are_told_before_and_after_they_are_reached() {
    let server = frozen().await;
    server
        .put("verification", json!({"tokens_per_minute": 2}))
        .await;
    let ada = Stranger::new(&server, &server.senders[0]);
    let mut told = Vec::new();
    for _ in 0..3 {
        let answer = ada.post("verification/token", "{}").await;
        let number = |name: &str| answer.header(name).map(str::to_owned);
        told.push((
            answer.status,
            number("x-ratelimit-limit").unwrap(),
            number("x-ratelimit-remaining").unwrap(),
            number("retry-after").is_some(),
        ));
    }
    let expect = |status, left: &str, waits| (status, "2".to_owned(), left.to_owned(), waits);
    assert_eq!(
        told,
        [
            expect(200, "1", false),
            expect(200, "0", false),
            expect(429, "0", true)
        ]
    );
}

#[tokio::test]
async fn odd_headers_and_ids_have_the_code_of_the_contract() {
    let server = frozen().await;
    let mut ada = Stranger::verified(&server, &server.senders[0]).await;
    let session = open(&ada, &["bob@example.org"]).await;
    let path = format!("{SESSIONS}/{session}/files/a!");
    let answer = send(ada.request(Method::DELETE, &path)).await;
    assert_eq!(answer.error(), (400, 1005));
    let id = sent(&server, &ada, &mode("GENERATED")).await;
    ada.minor = 10;
    let path = format!("transfers/{id}/emails/recipients/abc!");
    assert_eq!(ada.post(&path, "").await.error(), (400, 1005));
    let odd = HeaderValue::from_bytes(b"abc\xff").unwrap();
    let request = ada.request(Method::GET, "transfers");
    let answer = send(request.header("X-CS-ProductKey", odd)).await;
    assert_eq!(answer.error(), (400, 1004));
    for (minor, expect) in [("4294967296", (404, 2004)), ("-1", (400, 1004))] {
        let path = format!(
            "/api/users/{}/transfers?minimum-minor-api-version={minor}",
            ada.address
        );
        let url = format!("{}{path}&major-api-version=1", server.url);
        let client = reqwest::Client::builder().build().unwrap();
        let answer = send(client.get(url).header("X-CS-ClientId", &ada.client_id)).await;
        assert_eq!(answer.error(), expect, "{minor}");
    }
}

#[tokio::test]
async fn recipients_are_a_set() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = open(
        &ada,
        &["bob@example.org", "Bob@example.org", "eve@example.org"],
    )
    .await;
    let told = ada.get(&format!("{SESSIONS}/{id}")).await.data();
    assert_eq!(told["recipients"]["to"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn checksums_are_of_the_algorithm_that_the_sender_has_chosen() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let mut change = mode("MANUAL");
    change["securityMode"]["config"]["password"] = json!("Sesame2026");
    change["fileChecksumAlgorithm"] = json!("SHA512");
    sent(&server, &ada, &change).await;
    let path = format!("/api/transfers/{}", bobs_id(&server).await);
    let fetch = async |below: &str| {
        let request = ada.plain(Method::GET, &format!("{path}{below}"));
        send(request.header("X-CS-Password", "Sesame2026")).await
    };
    assert_eq!(fetch("").await.data()["checksumAlgorithm"], "SHA-512");
    let sum = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
               2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    assert_eq!(fetch("/files").await.data()[0]["checksum"], sum);
    let csv = String::from_utf8(fetch("/checksums").await.bytes).unwrap();
    assert_eq!(csv, format!("\"a.txt\",SHA-512,{sum}\r\n"));
}

#[tokio::test]
async fn a_transfer_keeps_every_token_of_its_sender_and_client() {
    let server = frozen().await;
    let day = 86_400;
    server
        .put("verification", json!({"idle_seconds": 2 * day}))
        .await;
    let idle = Stranger::verified(&server, &server.senders[0]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    server.post("clock", json!({"advance_seconds": day})).await;
    sent(&server, &ada, &mode("GENERATED")).await;
    server
        .post("clock", json!({"advance_seconds": day * 3 / 2}))
        .await;
    for token in [&idle, &ada] {
        assert_eq!(token.get("transfers").await.status, 200);
    }
}

#[tokio::test]
async fn a_revocation_is_spelled_as_the_contract_does() {
    let server = frozen().await;
    let mut ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = sent(&server, &ada, &mode("GENERATED")).await;
    ada.minor = 10;
    let path = format!("transfers/{id}");
    let revoke = async |state: &str, message: Value| {
        let body = json!({"status": {"state": state}, "revocationOptions": {"message": message}});
        tell(&ada, Method::PATCH, &path, &body).await
    };
    let word = "DELETED_BY_REVOCATION";
    let lower = revoke(&word.to_lowercase(), Value::Null).await;
    assert_eq!(lower.error(), (400, 1004));
    assert_eq!(revoke(word, json!(7)).await.error(), (400, 1004));
    assert_eq!(revoke(word, json!("by *mistake*")).await.status, 200);
    let mails = server.get("mailbox?email=bob@example.org").await;
    let newest = mails.as_array().unwrap().last().unwrap();
    assert_eq!(newest["message"], "by *mistake*");
}

#[tokio::test]
async fn a_message_file_that_is_removed_is_no_message() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = open(&ada, &["bob@example.org"]).await;
    let file = attach(&ada, &id, "message.eml", b"abc").await;
    let path = format!("{SESSIONS}/{id}");
    let change = json!({"confidentialMessageFileId": file});
    let told = tell(&ada, Method::PATCH, &path, &change).await.data();
    assert_eq!(told["confidentialMessageFileId"], file.as_str());
    let removed = send(ada.request(Method::DELETE, &format!("{path}/files/{file}"))).await;
    assert_eq!(removed.status, 204);
    let told = ada.get(&path).await.data();
    assert_eq!(told["confidentialMessageFileId"], Value::Null);
}
