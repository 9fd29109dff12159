//! What a tolerant reader makes of odd answers.
//!
//! **Invariants.** Each test begins with the bytes of an answer.

use secrecy::ExposeSecret;

use super::*;
use crate::model::{Method, State};

const ID: &str = "20260401-081500-Qx7Lm2Za";

fn read(body: impl AsRef<[u8]>) -> (Transfer, Notes) {
    let id = TrackingId::parse(ID).unwrap();
    let Decoded { value, notes } = status(&id, body.as_ref()).unwrap();
    (value, notes)
}

/// A list of `items`, which are bytes of any kind, between two good ones.
fn between(items: &[u8]) -> (Vec<String>, usize, Notes) {
    let body = [
        br#"{"data":[{"trackingId":"first","state":"ACTIVE"},"#,
        items,
        br#",{"trackingId":"last"}]}"#,
    ]
    .concat();
    let Decoded { value, notes } = list(&body).unwrap();
    let ids = value.transfers.iter().map(|t| t.id.to_string());
    (ids.collect(), value.items, notes)
}

#[test]
fn dates_are_read_in_every_form_the_contract_allows() {
    for text in [
        "2020-10-09T11:51:46+02:00",
        "2020-10-09T09:51:46Z",
        "2020-10-09T11:51:46.000+0200",
    ] {
        let (reading, _) = read(format!(
            r#"{{"data":{{"transfer":{{"expirationDate":"{text}"}},"status":{{}}}}}}"#
        ));
        let at = reading.expires_at.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(at.to_string(), "2020-10-09T09:51:46Z");
    }
    let (reading, _) = read(r#"{"data":{"transfer":{"expirationDate":"soon"},"status":{}}}"#);
    assert_eq!(reading.expires_at, None);
}

#[test]
fn one_bad_item_rejects_that_item_alone() {
    let (reading, notes) = read(
        r#"{"data":{"status":{"state":"Active","recipients":[7,
            {"id":"a","mail":"A@example.org","fileDownloads":[{"id":"f","downloads":[
                {"downloadDate":"bad","retrievalMethod":"VIEWED"}, "x",
                {"retrievalMethod":"PRINTED"}]}]}]}}}"#,
    );
    assert_eq!(reading.state, Some(State::Active));
    let recipients = reading.recipients.unwrap();
    assert_eq!(recipients.len(), 1);
    assert_eq!(recipients[0].mail.as_deref(), Some("A@example.org"));
    assert!(!format!("{recipients:?}").contains("example.org"));
    let files = recipients[0].downloads.as_ref().unwrap();
    let retrievals = files[0].retrievals.iter().flatten();
    let methods: Vec<_> = retrievals.map(|r| r.method).collect();
    assert_eq!(methods, [Method::Viewed, Method::Other]);
    assert_eq!((notes.rejected, notes.unknown_methods), (2, 1));
}

#[test]
fn what_is_absent_null_or_of_a_wrong_type_is_not_told() {
    let (reading, _) = read(
        r#"{"data":{"transfer":{"expirationDate":5,"files":[{"size":1},{"size":null}]},
            "status":{"state":null,"warnings":"yes","files":null,"sender":[]}}}"#,
    );
    assert_eq!(reading, Transfer::untold(reading.id.clone()));
}

#[test]
fn an_item_that_no_parser_likes_leaves_its_neighbors_alone() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_id = format!(r#"{{"trackingId":{deep}}}"#);
    let long = format!(r#"{{"trackingId":"{}"}}"#, "x".repeat(1_000_000));
    for item in [
        &b"null"[..],
        b"{}",
        b"1e999",
        br#"{"trackingId":-1e999999}"#,
        br#"{"trackingId":"\ud800"}"#,
        b"{\"trackingId\":\"a\xff\"}",
        b"{\"trackingId\":\"a\nb\"}",
        b"{\"\xff\":1}",
        br#"{"trackingId":""}"#,
        deep.as_bytes(),
        deep_id.as_bytes(),
        long.as_bytes(),
    ] {
        let (ids, items, notes) = between(item);
        let shown = String::from_utf8_lossy(&item[..item.len().min(40)]);
        assert_eq!(ids, ["first", "last"], "{shown}");
        assert_eq!((items, notes.rejected), (3, 1), "{shown}");
    }
}

#[test]
fn a_bad_member_of_a_good_item_is_not_told() {
    for (item, state) in [
        (&b"\"state\":\"\xff\""[..], Some(State::Other)),
        (br#""state":"\ud800""#, Some(State::Other)),
        (br#""state":1e999"#, None),
        (br#""state":{"a":[1,{"b":"\udfff"}]}"#, None),
        (b"\"x\xff\":{},\"state\":\"FAILED\"", Some(State::Failed)),
    ] {
        let body = [br#"{"data":[{"trackingId":"a","#, item, b"}]}"].concat();
        let Decoded { value, notes } = list(&body).unwrap();
        assert_eq!(value.transfers[0].state, state);
        assert_eq!(notes.rejected, 0);
    }
}

#[test]
fn of_a_member_that_stands_twice_the_last_usable_one_counts() {
    let (ids, items, notes) = between(
        br#"{"trackingId":"a","trackingId":"b","trackingId":7,"recipients":null,"recipients":[]}"#,
    );
    assert_eq!(ids, ["first", "b", "last"]);
    assert_eq!((items, notes.rejected), (3, 0));
    let (reading, _) = read(
        r#"{"data":5,"data":{"status":{"state":"ACTIVE","state":"FAILED"},"status":[]},
            "data":null}"#,
    );
    assert_eq!(reading.state, Some(State::Failed));
}

#[test]
fn rubbish_takes_no_more_memory_than_it_has_bytes() {
    let body = format!(r#"{{"data":[{}0]}}"#, "0,{},".repeat(100_000));
    let Decoded { value, notes } = list(body.as_bytes()).unwrap();
    assert_eq!((value.items, notes.rejected), (200_001, 200_001));
    assert_eq!(value.transfers.capacity(), 0);
}

#[test]
fn what_is_no_answer_says_where_it_ends_to_be_one() {
    for (body, detail) in [
        ("", "the answer is not JSON (line 1, column 0)"),
        ("<html>secret", "the answer is not JSON (line 1, column 1)"),
        (
            "{\"data\":\n\"secret",
            "the answer is not JSON (line 2, column 7)",
        ),
        ("[{\"data\": \"secret\"}]", "the answer is no JSON object"),
        ("\"secret\"", "the answer is no JSON object"),
        ("{}", "the answer has no data of the right type"),
        (
            "{\"data\": {\"secret\": 1}}",
            "the answer has no data of the right type",
        ),
    ] {
        let error = list(body.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), Reason::Malformed);
        let expect = format!("failed to list the transfers: {detail}");
        assert_eq!(error.to_string(), expect);
    }
}

#[test]
fn a_verification_may_come_in_every_spelling() {
    let Decoded { value, notes } = verification(
        br#"{"data":{"verified":true,"validUntil":"2026-04-30T09:15:00+02:00",
            "verificationMethods":["clientId","EMAIL","CLIENT_ID","fax",7]},"meta":null}"#,
    )
    .unwrap();
    assert_eq!(value.verified, Some(true));
    assert!(value.valid_until.is_some());
    let both = Methods {
        client_id: true,
        email: true,
    };
    assert_eq!(value.methods, Some(both));
    assert_eq!(notes.unknown_verification_methods, 1);
}

#[test]
fn methods_that_are_not_told_are_not_known() {
    for (told, expect) in [
        ("[]", Some((false, false))),
        (r#"["email"]"#, Some((false, true))),
        ("null", None),
    ] {
        let body = format!(r#"{{"data":{{"verificationMethods":{told}}}}}"#);
        let methods = verification(body.as_bytes()).unwrap().value.methods;
        assert_eq!(methods.map(|m| (m.client_id, m.email)), expect, "{told}");
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_none() {
    let grant = token(br#"{"data":{"token":"opaque-string","validUntil":null}}"#).unwrap();
    assert_eq!(grant.token.expose_secret(), "opaque-string");
    assert_eq!(grant.valid_until, None);
    for bad in [r#""""#, r#""a b""#, r#""\n""#, r#""\ud800""#, "null", "7"] {
        let body = format!(r#"{{"data":{{"token":{bad}}}}}"#);
        let error = token(body.as_bytes()).unwrap_err();
        let expect = "failed to obtain a verification token: the answer has no usable token";
        assert_eq!(error.to_string(), expect);
    }
}
