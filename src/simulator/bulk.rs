//! What an item of the bulk lists does not tell.
//!
//! **Invariants.** Takes members away and changes none.

use serde_json::Value;

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
