//! Verification by mailed code and by client id, as a stranger's client does
//! it.

use serde_json::{Value, json};

use crate::{rig::Server, stranger::Stranger};

const DAY: u64 = 24 * 3_600;

async fn frozen() -> Server {
    Server::start(&["--speed", "0", "--senders", "1", "--transfers", "0"]).await
}

/// A user whom no administrator has registered.
async fn unregistered(server: &Server) -> Stranger<'_> {
    let mut ada = Stranger::new(server, &server.senders[0]);
    let answer = crate::stranger::send(ada.plain(reqwest::Method::GET, "/api/clients")).await;
    answer.data()["clientId"]
        .as_str()
        .unwrap()
        .clone_into(&mut ada.client_id);
    assert_eq!(ada.client_id.len(), 64);
    ada
}

async fn state(stranger: &Stranger<'_>) -> Value {
    stranger.get("verification").await.data()
}

#[tokio::test]
async fn a_mailed_code_opens_once_and_for_its_pair_alone() {
    let server = frozen().await;
    let mut ada = unregistered(&server).await;
    let before = state(&ada).await;
    assert_eq!(
        before,
        json!({"verified": false, "validUntil": null, "verificationMethods": ["email"]})
    );
    let code = ada.mailed_code().await;
    assert_eq!(code.len(), 10);
    assert_eq!(ada.redeem("0000000000").await.error(), (403, 3002));
    let mut eve = Stranger::new(&server, "eve@example.org");
    assert_eq!(eve.redeem(&code).await.error(), (403, 3002));

    let told = ada.redeem(&code).await.data();
    assert_eq!(ada.redeem(&code).await.error(), (403, 3002));
    let after = state(&ada).await;
    assert_eq!(
        (&after["verified"], &after["validUntil"]),
        (&json!(true), &told["validUntil"])
    );
    assert_eq!(ada.get("transfers").await.data(), json!([]));

    ada.token.clone_into(&mut eve.token);
    assert_eq!(eve.get("transfers").await.error(), (401, 3002));
    let mut other = unregistered(&server).await;
    ada.token.clone_into(&mut other.token);
    assert_eq!(other.get("transfers").await.error(), (401, 3002));
}

#[tokio::test]
async fn only_the_newest_codes_are_good() {
    let server = frozen().await;
    let mut ada = unregistered(&server).await;
    let (old, new) = (ada.mailed_code().await, ada.mailed_code().await);
    assert_eq!(ada.redeem(&old).await.error(), (403, 3002));
    assert_eq!(ada.redeem(&new).await.status, 200);
    server.put("verification", json!({"valid_codes": 2})).await;
    let (old, new) = (ada.mailed_code().await, ada.mailed_code().await);
    assert_eq!(ada.redeem(&old).await.status, 200);
    assert_eq!(ada.redeem(&new).await.status, 200);
    assert_eq!(ada.mails().await.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn who_asks_too_often_has_to_wait() {
    let server = frozen().await;
    server
        .put(
            "verification",
            json!({"codes_per_minute": 2, "tokens_per_minute": 1}),
        )
        .await;
    let mut ada = unregistered(&server).await;
    let first = ada.post("verification/code/email", "").await;
    assert_eq!(first.header("x-ratelimit-remaining"), Some("1"));
    let code = ada.mailed_code().await;
    let refused = ada.post("verification/code/email", "").await;
    assert_eq!(refused.error(), (429, 2007));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(ada.redeem(&code).await.status, 200);
    assert_eq!(ada.redeem("0000000000").await.error(), (429, 2007));
}

#[tokio::test]
async fn methods_are_switched_for_all_or_for_one() {
    let server = frozen().await;
    let ada = Stranger::new(&server, &server.senders[0]);
    let bob = Stranger::new(&server, "bob@example.org");
    assert_eq!(
        state(&ada).await["verificationMethods"],
        json!(["clientId", "email"])
    );
    let only_email = json!({"client_id": false, "email": true});
    let only_client_id = json!({"client_id": true, "email": false});
    let settings = json!({"methods": only_client_id, "senders": {bob.address.clone(): only_email}});
    server.put("verification", settings).await;
    assert_eq!(
        state(&ada).await["verificationMethods"],
        json!(["clientId"])
    );
    assert_eq!(state(&bob).await["verificationMethods"], json!(["email"]));
    assert_eq!(ada.post("verification/code/email", "").await.error().0, 501);
    let coded = r#"{"verificationCode":"0123456789"}"#;
    assert_eq!(ada.post("verification/token", coded).await.error().0, 501);
    for body in ["", "{}", r#"{"verificationCode":null}"#] {
        assert_eq!(
            ada.post("verification/token", body).await.status,
            200,
            "{body}"
        );
        assert_eq!(
            bob.post("verification/token", body).await.error(),
            (403, 3002)
        );
    }
    for wrong in ["[]", "x", r#"{"verificationCode":7}"#] {
        assert_eq!(
            ada.post("verification/token", wrong).await.error(),
            (400, 1004)
        );
    }
}

#[tokio::test]
async fn a_token_ends_with_its_terms_or_the_reset() {
    let server = frozen().await;
    let terms = json!({"maximum_seconds": 5 * DAY, "idle_seconds": 2 * DAY});
    server.put("verification", terms).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let advance = async |seconds: u64| {
        server
            .post("clock", json!({"advance_seconds": seconds}))
            .await;
    };
    advance(2 * DAY - 60).await;
    assert_eq!(state(&ada).await["verified"], true);
    advance(60).await;
    assert_eq!(state(&ada).await["verified"], false);
    assert_eq!(ada.get("transfers").await.error(), (401, 3002));

    server.quirks(json!({"polling-refreshes": true})).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    for _ in 0..4 {
        advance(DAY).await;
        assert_eq!(ada.get("transfers").await.status, 200);
    }
    advance(DAY).await;
    assert_eq!(
        ada.get("transfers").await.error(),
        (401, 3002),
        "the maximum"
    );

    let ada = Stranger::verified(&server, &server.senders[0]).await;
    server.post("verification/reset", json!({})).await;
    assert_eq!(ada.get("transfers").await.error(), (401, 3002));
}

#[tokio::test]
async fn quirks_of_verification() {
    let server = frozen().await;
    let first = Stranger::verified(&server, &server.senders[0]).await;
    server
        .quirks(json!({"new-token-ends-older": 1, "upper-methods": 1, "stale-token-forbidden": 1, "missing-token-is-400": 1}))
        .await;
    let second = Stranger::verified(&server, &server.senders[0]).await;
    assert_eq!(first.get("transfers").await.error(), (401, 3002));
    assert_eq!(first.get("verification").await.error(), (403, 3002));
    assert_eq!(second.get("transfers").await.status, 200);
    assert_eq!(
        state(&second).await["verificationMethods"],
        json!(["CLIENT_ID", "EMAIL"])
    );
    let nobody = Stranger::new(&server, &server.senders[0]);
    assert_eq!(nobody.get("transfers").await.error(), (400, 1002));
    assert_eq!(state(&nobody).await["verified"], false);
}
