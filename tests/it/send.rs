//! Sending as a stranger's client does it: policy, session, files, finalize,
//! watch, revoke.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    rig::Server,
    stranger::{Answer, Stranger, send},
};

pub const SESSIONS: &str = "transfer-sessions";

async fn frozen() -> Server {
    let arguments = "--speed 0 --senders 1 --transfers 0 --api-minor 13";
    Server::start(&arguments.split(' ').collect::<Vec<_>>()).await
}

/// Sends JSON to a path below the user's.
pub async fn tell(stranger: &Stranger<'_>, method: Method, path: &str, body: &Value) -> Answer {
    send(stranger.request(method, path).body(body.to_string())).await
}

/// The last segment of `Location`, which must be absolute.
fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("http://127.0.0.1:"), "{location}");
    location.rsplit('/').next().unwrap().to_owned()
}

/// Opens a session to `recipients`.
pub async fn open(ada: &Stranger<'_>, recipients: &[&str]) -> String {
    let to: Vec<_> = recipients
        .iter()
        .map(|mail| json!({"mail": mail}))
        .collect();
    let body = json!({
        "sender": {"name": "Ada", "phone": "0", "email": ada.address},
        "recipients": {"to": to, "cc": [], "bcc": null},
    });
    let answer = tell(ada, Method::POST, SESSIONS, &body).await;
    assert_eq!(answer.bytes.len(), 0);
    id_of(&answer)
}

/// Adds a file with its content; the answer is its id.
pub async fn attach(ada: &Stranger<'_>, session: &str, name: &str, content: &[u8]) -> String {
    attach_as(
        ada,
        session,
        json!({"fileName": name, "size": content.len()}),
        content,
    )
    .await
}

async fn attach_as(ada: &Stranger<'_>, session: &str, file: Value, content: &[u8]) -> String {
    let files = format!("{SESSIONS}/{session}/files");
    let answer = tell(ada, Method::POST, &files, &file).await;
    let id = id_of(&answer);
    assert_eq!(answer.json()["data"]["fileId"], id.as_str());
    let path = format!("{files}/{id}/content");
    let put = send(ada.request(Method::PUT, &path).body(content.to_vec())).await;
    assert_eq!((put.status, put.bytes.len()), (200, 0));
    id
}

pub async fn finalize(ada: &Stranger<'_>, session: &str) {
    let answer = ada.post(&format!("{SESSIONS}/{session}"), "").await;
    assert_eq!(id_of(&answer), session);
    assert!(answer.header("location").unwrap().contains("/transfers/"));
}

async fn status(ada: &Stranger<'_>, id: &str) -> Value {
    ada.get(&format!("transfers/{id}")).await.data()
}

async fn process(server: &Server) {
    server.post("clock", json!({"advance_seconds": 60})).await;
}

/// Opens a session and changes what can be changed.
async fn prepare(ada: &Stranger<'_>) -> String {
    let id = open(ada, &["bob@example.org", "eve@nowhere.invalid"]).await;
    assert_eq!(
        (id.len(), ada.get(&format!("transfers/{id}")).await.error()),
        (24, (404, 2003))
    );
    let change = json!({
        "expirationDate": null, "unknown": 1, "showFileNames": false, "recipientLanguage": "fr",
        "notificationMessage": {"subject": "Hello", "body": "there"},
        "securityMode": {"name": "ONE_TIME_PASSWORD", "config": {"passwordMode": "MANUAL", "password": "Sesame2026"}},
    });
    let path = format!("{SESSIONS}/{id}");
    let edited = tell(ada, Method::PATCH, &path, &change).await.data();
    let read = ada.get(&path).await.data();
    assert_eq!(read["securityMode"], edited["securityMode"]);
    assert_eq!(
        (&edited["showFileNames"], &edited["recipientLanguage"]),
        (&json!(false), &json!("fr"))
    );
    assert_eq!(edited["securityMode"]["config"]["password"], "Sesame2026");
    assert_eq!(edited["files"], json!([]));
    id
}

#[tokio::test]
async fn a_transfer_is_sent_watched_and_revoked() {
    let server = frozen().await;
    let mut ada = Stranger::new(&server, "ada.new@example.net");
    let code = ada.mailed_code().await;
    ada.redeem(&code).await;
    let id = prepare(&ada).await;
    let path = format!("{SESSIONS}/{id}");

    attach(&ada, &id, "offer.pdf", b"first").await;
    let doubtful = attach(&ada, &id, "drop.pdf", b"x").await;
    let removed = tell(
        &ada,
        Method::DELETE,
        &format!("{path}/files/{doubtful}"),
        &json!({}),
    )
    .await;
    assert_eq!(removed.status, 204);
    finalize(&ada, &id).await;
    assert_eq!(
        ada.get(&path).await.error(),
        (404, 2003),
        "the session is over"
    );
    assert_eq!(status(&ada, &id).await["status"]["state"], "PROCESSING");
    process(&server).await;
    let active = status(&ada, &id).await;
    assert_eq!(active["status"]["state"], "ACTIVE");
    assert_eq!(
        (
            &active["status"]["warnings"],
            &active["transfer"]["files"][0]["size"]
        ),
        (&json!(true), &json!(5))
    );
    let failed = active["status"]["recipients"].as_array().unwrap().iter();
    let failed: Vec<_> = failed.filter(|r| r["notificationFailed"] == true).collect();
    assert_eq!(
        (failed.len(), &failed[0]["mail"]),
        (1, &json!("eve@nowhere.invalid"))
    );

    revoke(&ada, &id).await;
    check_mails(&server, &ada).await;
    let truth = server.truth().await;
    let own = &truth["senders"][&ada.address];
    assert_eq!(
        own["transfers"][&id]["states_passed"],
        json!(["processing", "active", "deleted_by_revocation"])
    );
    assert_eq!(own["totals"]["appeared"], 1);
    assert_eq!(own["totals"]["recipient_notification_failures"], 1);
    assert_eq!(
        own["totals"]["ended_unretrieved"]["deleted_by_revocation"],
        1
    );
}

async fn revoke(ada: &Stranger<'_>, id: &str) {
    let revoke = json!({"status": {"state": "DELETED_BY_REVOCATION"}, "revocationOptions": {"notifySender": false}});
    let path = format!("transfers/{id}");
    assert_eq!(tell(ada, Method::PATCH, &path, &revoke).await.status, 200);
    assert_eq!(
        tell(ada, Method::PATCH, &path, &revoke).await.error(),
        (409, 2001)
    );
    assert_eq!(
        status(ada, id).await["status"]["state"],
        "DELETED_BY_REVOCATION"
    );
}

async fn check_mails(server: &Server, ada: &Stranger<'_>) {
    let kinds = async |who: &str| -> Vec<String> {
        let mails = server.get(&format!("mailbox?email={who}")).await;
        mails
            .as_array()
            .unwrap()
            .iter()
            .map(|mail| mail["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        kinds("bob@example.org").await,
        ["recipient_notification", "revocation"]
    );
    assert_eq!(
        kinds(&ada.address).await,
        ["verification", "upload_summary", "download_summary"]
    );
}

#[tokio::test]
async fn files_are_removed_for_what_is_in_them() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let virus = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!";
    let id = open(&ada, &["bob@example.org"]).await;
    attach(&ada, &id, "good.txt", b"good").await;
    attach(&ada, &id, "virus.txt", virus).await;
    attach(&ada, &id, "setup.exe", b"MZ").await;
    let wrong = json!({"fileName": "wrong.txt", "size": 3, "checksum": "00"});
    attach_as(&ada, &id, wrong, b"abc").await;
    finalize(&ada, &id).await;
    process(&server).await;
    let told = status(&ada, &id).await;
    assert_eq!(told["status"]["state"], "ACTIVE");
    let files = told["status"]["files"].as_array().unwrap().iter();
    let mut causes: Vec<_> = files
        .filter_map(|file| file["removalCause"].as_str())
        .collect();
    causes.sort_unstable();
    assert_eq!(
        causes,
        [
            "A virus was found in this file.",
            "The checksum of this file is wrong.",
            "This type of file is not permitted."
        ]
    );

    let id = open(&ada, &["bob@example.org"]).await;
    attach(&ada, &id, "virus.txt", virus).await;
    finalize(&ada, &id).await;
    process(&server).await;
    assert_eq!(status(&ada, &id).await["status"]["state"], "FAILED");
    let totals = server.get("totals").await;
    assert_eq!(totals["totals"]["files_removed"], 4);
}

#[tokio::test]
async fn a_session_is_bound_to_its_token_and_can_be_dropped() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let again = Stranger::verified(&server, &server.senders[0]).await;
    let bob = Stranger::verified(&server, "bob@example.org").await;
    let id = open(&ada, &["bob@example.org"]).await;
    let path = format!("{SESSIONS}/{id}");
    for method in [Method::GET, Method::PATCH, Method::POST, Method::DELETE] {
        let other = tell(&again, method.clone(), &path, &json!({})).await;
        assert_eq!(other.error(), (401, 3002), "{method}");
        assert_eq!(
            tell(&bob, method, &path, &json!({})).await.error(),
            (404, 2003)
        );
    }
    assert_eq!(
        tell(&ada, Method::DELETE, &path, &json!({})).await.status,
        204
    );
    assert_eq!(ada.get(&path).await.error(), (404, 2003));
    assert_eq!(server.get("totals").await["totals"]["appeared"], 0);
}

#[tokio::test]
async fn what_the_rules_forbid_is_refused() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = open(&ada, &["bob@example.org"]).await;
    let path = format!("{SESSIONS}/{id}");
    let mode =
        |config: Value| json!({"securityMode": {"name": "ONE_TIME_PASSWORD", "config": config}});
    for (change, expect) in [
        (
            json!({"expirationDate": "2020-10-09T11:51:46+02:00"}),
            (409, 2001),
        ),
        (
            json!({"expirationDate": "2199-10-09T11:51:46+02:00"}),
            (409, 2001),
        ),
        (json!({"expirationDate": "tomorrow"}), (400, 1004)),
        (json!({"showFileNames": "yes"}), (400, 1004)),
        (json!({"fileChecksumAlgorithm": "CRC"}), (400, 1004)),
        (
            json!({"confidentialMessageFileId": "0000000000"}),
            (409, 2001),
        ),
        (
            mode(json!({"passwordMode": "MANUAL", "password": "short"})),
            (409, 2001),
        ),
        (mode(json!({"passwordMode": "MANUAL"})), (409, 2001)),
        (mode(json!({"passwordMode": "SECRET"})), (400, 1004)),
        (json!([]), (400, 1004)),
    ] {
        let answer = tell(&ada, Method::PATCH, &path, &change).await;
        assert_eq!(answer.error(), expect, "{change}");
    }
}

#[tokio::test]
async fn files_that_do_not_fit_are_refused() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let id = open(&ada, &["bob@example.org"]).await;
    let path = format!("{SESSIONS}/{id}");
    assert_eq!(ada.post(&path, "").await.error(), (409, 2001), "no file");
    let files = format!("{path}/files");
    for (file, expect) in [
        (json!({"size": 1}), (400, 1002)),
        (json!({"fileName": "a", "size": "x"}), (400, 1004)),
        (json!({"fileName": "a", "size": 1.5}), (400, 1004)),
        (json!({"fileName": "a", "size": 1_u64 << 63}), (400, 1004)),
        (json!([1, "a"]), (400, 1004)),
    ] {
        let answer = tell(&ada, Method::POST, &files, &file).await;
        assert_eq!(answer.error(), expect, "{file}");
    }
    let file = json!({"fileName": "a", "size": 1.0});
    let file_id = id_of(&tell(&ada, Method::POST, &files, &file).await);
    assert_eq!(
        tell(&ada, Method::POST, &files, &file).await.error(),
        (400, 1004),
        "the name is taken"
    );
    assert_eq!(
        ada.post(&path, "").await.error(),
        (409, 2001),
        "not uploaded"
    );
    let content = |file: &str| ada.request(Method::PUT, &format!("{files}/{file}/content"));
    assert_eq!(
        send(content(&file_id).body("xx")).await.error(),
        (400, 1004)
    );
    assert_eq!(
        send(content("0000000000").body("x")).await.error(),
        (404, 2003)
    );
    let unknown = format!("{files}/0000000000");
    assert_eq!(
        tell(&ada, Method::DELETE, &unknown, &json!({}))
            .await
            .error(),
        (404, 2003)
    );
}

#[tokio::test]
async fn the_policy_says_who_may_send_what_to_whom() {
    let server = frozen().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let eve = Stranger::verified(&server, "eve@example.org").await;
    let denied =
        json!({"denied_senders": ["eve@example.org"], "denied_recipients": ["@rival.example"]});
    server.put("policy", denied).await;
    let ask = json!({"recipients": ["bob@example.org", "ceo@rival.example"]});
    let told = tell(&ada, Method::POST, "transfer-policy", &ask)
        .await
        .data();
    let failed = json!([{"emailAddress": "ceo@rival.example", "reason": "POLICY_MISMATCH"}]);
    assert_eq!(told, json!({"allowed": false, "failedRecipients": failed}));
    let ask = json!({"recipients": ["bob@example.org"]});
    let told = tell(&ada, Method::POST, "transfer-policy", &ask)
        .await
        .data();
    assert_eq!(
        (&told["allowed"], &told["settings"]["maxRetentionPeriod"]),
        (&json!(true), &json!(30))
    );
    assert_eq!(told["settings"]["fileTypeFilterConfig"]["listMode"], "DENY");
    assert_eq!(
        tell(&eve, Method::POST, "transfer-policy", &ask)
            .await
            .error(),
        (403, 3010)
    );
    let session = |to: &str| json!({"sender": {}, "recipients": {"to": [{"mail": to}]}});
    let open = async |who: &Stranger<'_>, body: Value| {
        tell(who, Method::POST, SESSIONS, &body).await.error()
    };
    assert_eq!(open(&eve, session("bob@example.org")).await, (403, 3010));
    assert_eq!(open(&ada, session("ceo@rival.example")).await, (403, 3011));
    assert_eq!(open(&ada, session("bob")).await, (400, 1004));
    assert_eq!(
        open(&ada, json!({"sender": {}, "recipients": {}})).await,
        (400, 1004)
    );
    assert_eq!(open(&ada, json!({"sender": {}})).await, (400, 1002));
    let lists = json!({"sender": [null, null], "recipients": [[["bob@example.org"]], [], []]});
    assert_eq!(open(&ada, lists).await, (400, 1004));
    server.put("policy", json!({"licensed": false})).await;
    assert_eq!(ada.get("transfers").await.error(), (403, 3001));
}

#[tokio::test]
async fn passwords_are_made_and_judged() {
    let server = frozen().await;
    let ada = Stranger::new(&server, &server.senders[0]);
    let get = async |path: &str| send(ada.plain(Method::GET, path)).await.data();
    let judge = async |password: &str| {
        let body = json!({"password": password}).to_string();
        send(ada.plain(Method::POST, "/api/password").body(body))
            .await
            .data()
    };
    let made = get("/api/password").await;
    assert_eq!(
        judge(made["password"].as_str().unwrap()).await,
        json!({"valid": true, "rulesNotFulfilled": []})
    );
    let told = judge("abc").await;
    assert_eq!(
        (
            &told["valid"],
            told["rulesNotFulfilled"].as_array().unwrap().len()
        ),
        (&json!(false), 3)
    );
    let rules = get("/api/password/requirements").await;
    assert_eq!(
        rules[0],
        json!({"name": "minimumLengthRequired", "details": {"length": 8}})
    );
    let wrong = ada
        .plain(Method::GET, "/api/password")
        .header("X-CS-VerificationToken", "x");
    assert_eq!(send(wrong).await.error(), (401, 3002));
}

#[tokio::test]
async fn an_older_server_cannot_revoke() {
    let server = Server::start(&["--speed", "0", "--api-minor", "9", "--transfers", "0"]).await;
    let id = server.active_transfer().await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let revoke = json!({"status": {"state": "DELETED_BY_REVOCATION"}});
    let answer = tell(&ada, Method::PATCH, &format!("transfers/{id}"), &revoke).await;
    assert_eq!(answer.error(), (404, 1006));
}
