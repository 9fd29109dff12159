//! What an answer tells more or less than others.
//!
//! **Invariants.** Takes members away or adds some, and changes none.

use serde_json::{Value, json};

/// Takes away what a recipient does not get (contract 5.2), and the password,
/// which is the sender's to tell.
pub(super) fn strip(item: &mut Value) {
    for recipient in each(item, "/status/recipients") {
        take(Some(recipient), &["downloadUrl"]);
        for files in each(recipient, "/fileDownloads") {
            take(Some(files), &["id"]);
        }
    }
    for file in each(item, "/status/files") {
        take(Some(file), &["id"]);
    }
    for file in each(item, "/transfer/files") {
        take(Some(file), &["id", "href"]);
    }
    take(item.get_mut("transfer"), &["confidentialMessageFileId"]);
    take(
        item.pointer_mut("/transfer/securityMode/config"),
        &["password"],
    );
}

/// Takes away what no source shows in an answer (contract, section 8, row 6).
pub(super) fn thin(item: &mut Value) {
    take(
        item.get_mut("status"),
        &["warnings", "emlCreationFailed", "files"],
    );
    take(item.get_mut("transfer"), &["files"]);
    for recipient in each(item, "/status/recipients") {
        take(Some(recipient), &["fileDownloads"]);
    }
}

/// Takes away every member that is null.
pub(super) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Adds members that no client knows to every object.
pub(super) fn with_more(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(with_more);
            let more = json!({"kind": "NEW", "parts": [1, null]});
            members.insert("futureMember".to_owned(), more);
        }
        Value::Array(items) => items.iter_mut().for_each(with_more),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The items of the list at `place`; none if it is null.
fn each<'a>(value: &'a mut Value, place: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = value.pointer_mut(place).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn take(value: Option<&mut Value>, names: &[&str]) {
    if let Some(members) = value.and_then(Value::as_object_mut) {
        members.retain(|name, _| !names.contains(&name.as_str()));
    }
}
