//! Bodies of the server: every answer is read or told as malformed, without a
//! byte of it in the error, and what is good in it is never lost.
//!
//! The judge is `serde_json::Value`, which knows nothing of our reader.

use std::{error::Error as _, time::Duration};

use cryptshare_exporter::{
    cryptshare::{
        Error,
        answers::{self, Decoded},
    },
    model::{Reason, State, TrackingId, Transfer},
};
use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};
use serde::de::IgnoredAny;
use serde_json::Value;

/// A body of Transfer Status, and the same bytes in every place of a good one.
pub fn status(data: &[u8]) {
    let id = TrackingId::parse("20260401-081500-Qx7Lm2Za").unwrap();
    tell(&answers::verification(data));
    tell(&answers::token(data));
    let read = answers::status(&id, data);
    tell(&read);
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        // Printed anew, no member stands twice.
        let again = answers::status(&id, value.to_string().as_bytes());
        judge_status(&value, again.ok().as_ref());
    }
    if is_json(data) {
        status_beside(&id, data);
    }
}

/// A body of a list, and the same bytes as an item between good ones.
pub fn list(data: &[u8]) {
    tell(&answers::list(data));
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        let again = answers::list(value.to_string().as_bytes());
        judge_list(&value, again.ok());
    }
    if is_json(data) {
        list_beside(data);
    }
}

/// An answer that is not 2xx: its status, a line, `Retry-After`, a line, and
/// its body.
pub fn error(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (status, pause, body) = (next(), next(), next());
    let Ok(status) = StatusCode::from_bytes(status) else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(pause) = HeaderValue::from_bytes(pause) {
        headers.insert(RETRY_AFTER, pause);
    }
    let failure = answers::failure(status, &headers, body);
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let code = value.get("errorCode").and_then(Value::as_u64);
        let again = answers::failure(status, &headers, value.to_string().as_bytes());
        assert_eq!(again.code, code);
    }
    let is_gone = status == StatusCode::NOT_FOUND && failure.code == Some(2003);
    assert_eq!(failure.reason == Reason::NotFound, is_gone);
    let seconds = std::str::from_utf8(pause).ok();
    if let Some(seconds) = seconds.and_then(|text| text.parse::<u32>().ok())
        && pause.iter().all(u8::is_ascii_digit)
    {
        let seconds = Duration::from_secs(seconds.into());
        assert_eq!(failure.retry_after, Some(seconds));
    }
}

/// An error says one of a few sentences, whatever the body said.
fn tell<T>(answer: &Result<T, Error>) {
    const ACTIONS: [&str; 4] = [
        "failed to read the status of a transfer: ",
        "failed to list the transfers: ",
        "failed to read the verification: ",
        "failed to obtain a verification token: ",
    ];
    const DETAILS: [&str; 4] = [
        "the answer is not JSON (line , column )",
        "the answer is no JSON object",
        "the answer has no data of the right type",
        "the answer has no usable token",
    ];
    let Err(error) = answer else { return };
    assert_eq!(error.reason(), Reason::Malformed);
    assert!(error.source().is_none());
    let mut text = error.to_string();
    text.retain(|c| !c.is_ascii_digit());
    let mut details = ACTIONS.iter().filter_map(|a| text.strip_prefix(a));
    assert!(details.any(|d| DETAILS.contains(&d)), "{error}");
}

/// Whether the bytes are one JSON value for a reader that looks at its grammar
/// alone.
fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

fn is_id(value: Option<&Value>) -> bool {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    !text.is_empty() && text.len() <= 200 && !text.contains('\u{fffd}')
}

/// The items of a list that have an id.
fn items<'a>(list: &'a Value, name: &str) -> Vec<&'a Value> {
    let items = list.get(name).and_then(Value::as_array);
    let with_id = |item: &&Value| is_id(item.get("id"));
    items.into_iter().flatten().filter(with_id).collect()
}

fn judge_status(value: &Value, read: Option<&Decoded<Transfer>>) {
    let status = value.get("data").and_then(|data| data.get("status"));
    let status = status.filter(|status| status.is_object());
    assert_eq!(read.is_some(), status.is_some());
    let (Some(status), Some(read)) = (status, read) else {
        return;
    };
    let state = status.get("state").and_then(Value::as_str);
    assert_eq!(read.value.state, state.map(State::from_word));
    let files = read.value.files.iter().flatten();
    assert_eq!(files.count(), items(status, "files").len());
    let recipients = items(status, "recipients");
    let downloads = recipients.iter().flat_map(|r| items(r, "fileDownloads"));
    let entries = downloads.filter_map(|d| d.get("downloads")?.as_array());
    let expected = entries.flatten().filter(|entry| entry.is_object());
    let told = read.value.recipients.iter().flatten();
    let told = told.flat_map(|r| r.downloads.iter().flatten());
    let told = told.flat_map(|d| d.retrievals.iter().flatten());
    assert_eq!(told.count(), expected.count());
}

fn judge_list(value: &Value, read: Option<Decoded<answers::Page>>) {
    let items = value.get("data").and_then(Value::as_array);
    assert_eq!(read.is_some(), items.is_some());
    let (Some(items), Some(read)) = (items, read) else {
        return;
    };
    assert_eq!(read.value.items, items.len());
    let id = |item: &Value| {
        let text = item.get("trackingId")?.as_str()?;
        let id = TrackingId::parse(text).ok();
        id.filter(|_| !text.contains('\u{fffd}'))
    };
    let expected: Vec<_> = items.iter().filter_map(id).collect();
    let told = read.value.transfers.into_iter().map(|t| t.id);
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// A good status that has `data` in every place where something could stand.
fn status_beside(id: &TrackingId, data: &[u8]) {
    let template = br#"{"x":@,"data":{"transfer":@,"transfer":{"expirationDate":"2026-05-10T00:00:00Z","files":@},"status":{
        "state":"ACTIVE","warnings":true,"state":@,"x":@,"files":[@,{"id":"file","removed":true},@],"sender":@,"recipients":[@,
        {"id":"one","notificationFailed":true,"fileDownloads":[@,{"id":"file","downloads":[{},@,{}]},@]},@,
        {"x":@,"id":"two","id":@},@]}}}"#;
    let mut body = Vec::new();
    for piece in template.split(|byte| *byte == b'@') {
        body.extend_from_slice(piece);
        body.extend_from_slice(data);
    }
    body.truncate(body.len() - data.len());
    let Decoded { value, .. } = answers::status(id, &body).unwrap();
    let is_text = data.trim_ascii_start().first() == Some(&b'"');
    assert!(value.state == Some(State::Active) || is_text && value.state.is_some());
    assert_eq!(value.warnings, Some(true));
    let is_object = data.trim_ascii_start().first() == Some(&b'{');
    assert!(value.expires_at.is_some() || is_object);
    let files = value.files.unwrap();
    assert!(files.iter().any(|file| &*file.id == "file"));
    let recipients = value.recipients.unwrap();
    assert!(recipients.iter().any(|r| &*r.id == "two") || is_text);
    let one = recipients.iter().find(|r| &*r.id == "one").unwrap();
    assert_eq!(one.notification_failed, Some(true));
    let mut downloads = one.downloads.iter().flatten();
    let file = downloads.find(|d| &*d.file == "file" && d.retrievals.is_some());
    assert!(file.unwrap().retrievals.as_ref().unwrap().len() >= 2);
}

/// A list with `data` as an item between two good ones, and as every member of
/// a third.
fn list_beside(data: &[u8]) {
    let body = [
        br#"{"data":[{"trackingId":"first"},"#,
        data,
        br#",{"trackingId":"third","state":"#,
        data,
        br#","recipients":"#,
        data,
        br#","x":"#,
        data,
        br#"},{"trackingId":"last","state":"FAILED"}]}"#,
    ]
    .concat();
    let Decoded { value, notes } = answers::list(&body).unwrap();
    let ids: Vec<_> = value.transfers.iter().map(|t| t.id.as_str()).collect();
    assert_eq!(value.items, 4);
    assert_eq!(ids.first(), Some(&"first"));
    assert_eq!(ids.get(ids.len() - 2..), Some(&["third", "last"][..]));
    assert!(ids.len() == 4 || ids.len() == 3 && notes.rejected >= 1);
    let last = value.transfers.last().unwrap();
    assert_eq!(last.state, Some(State::Failed));
}
