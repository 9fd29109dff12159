//! What the server has told and a client must not show: the canaries.
//!
//! **Invariants.** Every member of an answer that is secret or personal is
//! here, each with a word that stands nowhere else.

use serde_json::{Value, json};

use super::{transfer::SimTransfer, world::World};

/// Everything that must not be shown, by what it is.
pub(super) fn of_world(world: &World) -> Value {
    of(world, &world.transfers)
}

fn of(world: &World, transfers: &[SimTransfer]) -> Value {
    let recipients = || transfers.iter().flat_map(|transfer| &transfer.recipients);
    let files = || transfers.iter().flat_map(|transfer| &transfer.files);
    let letters = || transfers.iter().map(|transfer| &transfer.letter);
    let mut all = json!({
        "client_id": [world.client_id()],
        "token": world.tokens.handed_out(),
        "download_url": list(recipients().map(|r| &r.password)),
        "password": list(letters().filter_map(|letter| letter.password.as_ref())),
        "recipient": list(recipients().map(|r| &r.mail)),
        "file_name": list(files().map(|file| &file.name)),
        "checksum": list(files().filter_map(|file| file.checksum.as_ref())),
        "sender_name": list(letters().map(|letter| &letter.sender_name)),
        "sender_phone": list(letters().map(|letter| &letter.sender_phone)),
        "subject": list(letters().filter_map(|letter| letter.subject.as_ref())),
        "body": list(letters().filter_map(|letter| letter.body.as_ref())),
    });
    let codes = world.codes.mailed();
    if let Some(all) = all.as_object_mut().filter(|_| !codes.is_empty()) {
        all.insert("code".to_owned(), json!(codes));
    }
    all
}

/// A sentence that quotes one of each, as a careless server's error might.
pub(super) fn quote(world: &World) -> String {
    let newest = world.transfers.last();
    let all = of(world, newest.map_or(&[], std::slice::from_ref));
    let last = |(what, texts): (&String, &Value)| {
        let texts = texts.as_array()?;
        Some(format!("{what} {}", texts.last()?.as_str()?))
    };
    let quoted = all.as_object().into_iter().flatten().filter_map(last);
    quoted.collect::<Vec<_>>().join(", ")
}

fn list<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    texts.map(String::as_str).collect()
}
