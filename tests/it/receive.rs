//! Receiving as a stranger's client does it, and what guards it.

use std::io::Write;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    rig::Server,
    stranger::{Answer, Stranger, send},
};

const PASSWORD: &str = "Sesame 2026/ü";

/// A server with one active transfer of two files to Bob.
struct Story {
    server: Server,
    tracking_id: String,
    /// Bob's transfer id.
    id: String,
}

async fn story() -> Story {
    let arguments = "--speed 0 --senders 1 --transfers 0 --api-minor 13";
    let server = Server::start(&arguments.split(' ').collect::<Vec<_>>()).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let tell = async |method: Method, path: &str, body: Value| -> Answer {
        send(ada.request(method, path).body(body.to_string())).await
    };
    let to = json!([{"mail": "bob@example.org"}]);
    let session = json!({"sender": {"name": "Ada"}, "recipients": {"to": to}});
    let session = tell(Method::POST, "transfer-sessions", session).await;
    let location = session.header("location").unwrap();
    let tracking_id = location.rsplit('/').next().unwrap().to_owned();
    let path = format!("transfer-sessions/{tracking_id}");
    let config = json!({"passwordMode": "MANUAL", "password": PASSWORD});
    let mode = json!({"securityMode": {"name": "ONE_TIME_PASSWORD", "config": config}});
    assert_eq!(tell(Method::PATCH, &path, mode).await.status, 200);
    for (name, content) in [("grün.txt", "first"), ("b.txt", "second")] {
        let file = json!({"fileName": name, "size": content.len()});
        let file = tell(Method::POST, &format!("{path}/files"), file).await;
        let file_id = file.json()["data"]["fileId"].as_str().unwrap().to_owned();
        let content_path = format!("{path}/files/{file_id}/content");
        let put = ada.request(Method::PUT, &content_path).body(content);
        assert_eq!(send(put).await.status, 200);
    }
    assert_eq!(ada.post(&path, "").await.status, 201);
    server.post("clock", json!({"advance_seconds": 60})).await;
    let mails = server.get("mailbox?email=bob@example.org").await;
    let id = mails[0]["transferId"].as_str().unwrap().to_owned();
    drop(ada);
    Story {
        server,
        tracking_id,
        id,
    }
}

impl Story {
    /// Asks for a path of Bob's transfer.
    async fn get(&self, path: &str, password: &str) -> Answer {
        let bob = Stranger::new(&self.server, "bob@example.org");
        let url = format!("/api/transfers/{}{path}", self.id);
        let encoded: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
        let encoded = encoded.replace('+', "%20");
        send(
            bob.plain(Method::GET, &url)
                .header("X-CS-Password", encoded),
        )
        .await
    }

    async fn told(&self) -> Value {
        let truth = self.server.truth().await;
        truth["senders"][&self.server.senders[0]]["transfers"][&self.tracking_id].clone()
    }
}

#[tokio::test]
async fn files_are_fetched_by_links_without_a_header() {
    let story = story().await;
    let info = story.get("", PASSWORD).await.data();
    assert_eq!(
        info,
        json!({"checksumAlgorithm": "SHA-256", "totalSize": 11})
    );
    let files = story.get("/files", PASSWORD).await.data();
    assert_eq!(files.as_array().unwrap().len(), 2);
    let first = &files[0];
    assert_eq!(
        (&first["fileName"], &first["size"]),
        (&json!("grün.txt"), &json!(5))
    );
    let sum = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
    assert_eq!(first["checksum"], sum);
    let href = first["href"].as_str().unwrap();
    assert!(href.starts_with("/api/transfers/"));
    let client = reqwest::Client::builder().build().unwrap();
    let fetched = send(client.get(format!("{}{href}", story.server.url))).await;
    assert_eq!(
        (fetched.status, fetched.bytes.as_slice()),
        (200, b"first".as_slice())
    );
    assert_eq!(
        fetched.header("content-type"),
        Some("application/octet-stream")
    );
    let told = story.told().await;
    assert_eq!(
        told["retrievals"],
        json!({"downloaded": 1, "viewed": 0, "other": 0})
    );
    let sums = String::from_utf8(story.get("/checksums", PASSWORD).await.bytes).unwrap();
    assert_eq!(
        sums.lines().next(),
        Some(format!("\"grün.txt\",SHA-256,{sum}").as_str())
    );
}

#[tokio::test]
async fn archives_hold_every_file_on_both_paths() {
    let story = story().await;
    for path in ["/zip", "/files/zip?include-checksum-file=true"] {
        let archive = story.get(path, PASSWORD).await;
        assert_eq!(archive.header("content-type"), Some("application/zip"));
        let names = unzip(&archive.bytes);
        assert!(
            names.starts_with("grün.txt=first\nb.txt=second\n"),
            "{names}"
        );
        assert_eq!(names.contains("checksums.csv"), path.contains("true"));
    }
    let told = story.told().await;
    assert_eq!(
        told["retrievals"]["downloaded"], 4,
        "one of each file, each time"
    );
    for path in ["/eml", "/files/eml?threshold=1"] {
        let mail = story.get(path, PASSWORD).await;
        let text = String::from_utf8(mail.bytes).unwrap();
        assert!(
            text.contains("To: bob@example.org\r\n") && text.contains("\r\nZmlyc3Q=\r\n"),
            "{text}"
        );
    }
    let beside = story.get("/eml?threshold=0", PASSWORD).await;
    assert!(
        !String::from_utf8(beside.bytes)
            .unwrap()
            .contains("Zmlyc3Q=")
    );
    assert_eq!(
        story.get("/eml?threshold=x", PASSWORD).await.error(),
        (400, 1004)
    );
}

/// What Python's library finds in an archive: names and contents.
fn unzip(archive: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(archive).unwrap();
    let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
        for n in z.namelist(): print(n + '=' + z.read(n).decode())";
    let path = file.path().as_os_str();
    let told = std::process::Command::new("python3")
        .env("PYTHONIOENCODING", "utf-8")
        .args(["-c", script])
        .arg(path)
        .output()
        .unwrap();
    assert!(told.status.success(), "{told:?}");
    String::from_utf8(told.stdout).unwrap()
}

#[tokio::test]
async fn wrong_passwords_lock_one_recipient_out() {
    let story = story().await;
    let protection = json!({"protection": {"mode": "lock", "attempts": 3, "lock_minutes": 10}});
    story.server.put("policy", protection).await;
    for expect in [(401, 3003), (401, 3003), (403, 2005)] {
        assert_eq!(story.get("", "wrong").await.error(), expect);
    }
    assert_eq!(story.get("/files", PASSWORD).await.error(), (403, 2005));
    assert_eq!(story.told().await["state"], "active");
    story
        .server
        .post("clock", json!({"advance_seconds": 600}))
        .await;
    assert_eq!(story.get("/files", PASSWORD).await.status, 200);
    assert_eq!(story.get("", "").await.error(), (401, 3003));
}

#[tokio::test]
async fn wrong_passwords_delete_the_transfer() {
    let story = story().await;
    let protection = json!({"protection": {"mode": "delete", "attempts": 2}});
    story.server.put("policy", protection).await;
    for expect in [(401, 3003), (410, 2006), (404, 2003)] {
        assert_eq!(story.get("", "wrong").await.error(), expect);
    }
    let told = story.told().await;
    assert_eq!(told["state"], "deleted_by_security");
    assert_eq!(told["retrievals"]["downloaded"], 0);
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_code() {
    let story = story().await;
    let bob = Stranger::new(&story.server, "bob@example.org");
    let get = async |path: &str| send(bob.plain(Method::GET, path)).await.error();
    assert_eq!(get("/api/transfers/0000000000").await, (404, 2003));
    assert_eq!(get("/api/transfers/short").await, (400, 1005));
    assert_eq!(
        story.get("/files/0000000000", PASSWORD).await.error(),
        (404, 2003)
    );
    assert_eq!(
        story.get("/files/short", PASSWORD).await.error(),
        (400, 1005)
    );
    assert_eq!(story.get("/nothing", PASSWORD).await.error(), (404, 1006));
    story
        .server
        .happen(&story.tracking_id, "expire", json!({}))
        .await;
    let info = story.get("", PASSWORD).await;
    assert_eq!(
        info.status, 200,
        "what has expired is active until it is cleaned up"
    );
}

#[tokio::test]
async fn texts_and_settings_of_the_product_are_told() {
    let story = story().await;
    let bob = Stranger::new(&story.server, "bob@example.org");
    let get = async |path: &str| {
        let request = bob.plain(Method::GET, &format!("/api/products/{path}"));
        send(request.header("Origin", "http://example.org")).await
    };
    let packs = get("server/language-packs?major-version=2").await.data();
    assert_eq!(
        (packs.as_array().unwrap().len(), &packs[0]["id"]),
        (2, &json!("en-US_2"))
    );
    assert_eq!(
        get("api.rest/language-packs/en-US_2").await.data()["locale"],
        "en-US"
    );
    assert_eq!(
        get("api.rest/language-packs/xx-XX_2").await.error(),
        (404, 2003)
    );
    assert_eq!(get("api.rest/language-packs/x").await.error(), (404, 1005));
    assert_eq!(get("nobody/language-packs").await.error(), (400, 1005));
    assert_eq!(
        get("api.rest/legal/terms-of-use").await.data()["active"],
        true
    );
    assert_eq!(get("api.rest/legal/imprint").await.data()["type"], "html");
    assert_eq!(get("api.rest/cors").await.data(), json!({"active": false}));
    let settings = json!({"remoteLoggingEnabled": false, "level": "warn"});
    assert_eq!(get("api.rest/logging").await.data(), settings);
    let without_origin = bob.plain(Method::GET, "/api/products/api.rest/cors");
    assert_eq!(send(without_origin).await.error(), (400, 1002));
    let log = async || send(bob.plain(Method::POST, "/api/logs").body("[]")).await;
    assert_eq!(log().await.error(), (403, 3004));
    story
        .server
        .put("policy", json!({"remote_logging": true}))
        .await;
    assert_eq!(log().await.status, 201);
}

#[tokio::test]
async fn the_texts_of_mails_are_the_senders_to_read() {
    let story = story().await;
    let ada = Stranger::verified(&story.server, &story.server.senders[0]).await;
    let path = format!("transfers/{}/emails", story.tracking_id);
    for kind in ["sender", "sent"] {
        let mail = ada.post(&format!("{path}/{kind}"), "").await;
        assert_eq!(mail.header("content-type"), Some("text/html;charset=utf-8"));
    }
    let own = ada
        .post(&format!("{path}/recipients/{}", story.id), "")
        .await;
    let text = String::from_utf8(own.bytes).unwrap();
    assert!(
        text.contains(&format!("/download?id={}", story.id)),
        "{text}"
    );
    let other = ada.post(&format!("{path}/recipients/0000000000"), "").await;
    assert_eq!(other.error(), (404, 2003));
}

#[tokio::test]
async fn the_server_tidies_up_on_its_schedule() {
    let story = story().await;
    let schedule = json!({"cleanup_every_minutes": 24 * 60, "forget_after_hours": 2});
    story.server.put("policy", schedule).await;
    story
        .server
        .happen(&story.tracking_id, "expire", json!({}))
        .await;
    let ada = Stranger::verified(&story.server, &story.server.senders[0]).await;
    let path = format!("transfers/{}", story.tracking_id);
    let state = async || ada.get(&path).await.data()["status"]["state"].take();
    let advance = async |seconds: i64| {
        story
            .server
            .post("clock", json!({"advance_seconds": seconds}))
            .await;
    };
    let now: jiff::Timestamp = story.server.truth().await["now"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let until_midnight = 86_400 - now.as_second().rem_euclid(86_400);
    advance(until_midnight - 1).await;
    assert_eq!(state().await, "ACTIVE", "expired, and the task has not run");
    let revoke = json!({"status": {"state": "DELETED_BY_REVOCATION"}}).to_string();
    let revoked = send(ada.request(Method::PATCH, &path).body(revoke)).await;
    assert_eq!(revoked.error(), (409, 2001));
    advance(2).await;
    assert_eq!(state().await, "DELETED_BY_EXPIRATION");
    advance(2 * 3_600).await;
    assert_eq!(ada.get(&path).await.error(), (404, 2003));
    assert_eq!(story.told().await["forgotten"], true);
}

#[tokio::test]
async fn other_security_modes_are_not_for_this_api() {
    let story = story().await;
    let ada = Stranger::verified(&story.server, &story.server.senders[0]).await;
    for (mode, code) in [("QUICK", 5001), ("EID", 5002)] {
        let mut plan = story.server.plan();
        plan["security_mode"] = json!(mode);
        let created = story.server.post("transfers", plan).await;
        let id = created["trackingId"].as_str().unwrap();
        story.server.happen(id, "activate", json!({})).await;
        let status = ada.get(&format!("transfers/{id}")).await.data();
        assert_eq!(status["transfer"]["securityMode"]["name"], mode);
        let bobs = created["recipients"][0].as_str().unwrap();
        for below in ["", "/files", "/zip", "/eml", "/checksums"] {
            let path = format!("/api/transfers/{bobs}{below}");
            let answer = send(ada.plain(Method::GET, &path)).await;
            assert_eq!(answer.error(), (501, code), "{path}");
        }
    }
}
