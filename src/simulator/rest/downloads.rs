//! The recipient's side: what there is, files, archives, checksums (contract,
//! section 6).
//!
//! **Invariants.** No verification, but the password of the transfer. A file
//! that leaves counts as one retrieval, in an archive, too.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    call::{check_id, check_versions, client_id, password_of, twins},
    query,
    refusal::{
        DELETED_NOW, INTERNAL, LOCKED, NO_EID, NO_ENDPOINT, NO_ENTITY, NO_QUICK, Refusal,
        WRONG_PASSWORD,
    },
};
use crate::simulator::{
    archive::{self, Entry, Head},
    asked::Asked,
    guard::Verdict,
    letter::{Content, PasswordMode, Security, SimFile, Way},
    reply::Reply,
    scan,
    transfer::{Happening, SimTransfer, Stage},
    world::World,
};

/// Larger contents are not made up.
const MOST_MADE_UP: u64 = 256 * 1024 * 1024;

/// Attachments up to so many megabytes are in the mail itself.
const THRESHOLD: u32 = 10;

/// What an open transfer is to its recipient: position of the transfer, and of
/// the recipient in it.
#[derive(Debug, Clone, Copy)]
struct Open {
    position: usize,
    recipient: usize,
}

/// Answers below `/api/transfers`.
pub(super) fn route(world: &mut World, asked: &Asked, rest: &[&str]) -> Result<Reply, Refusal> {
    check_versions(world, asked)?;
    client_id(asked)?;
    let [id, below @ ..] = rest else {
        return Err(NO_ENDPOINT);
    };
    if asked.method != hyper::Method::GET {
        return Err(NO_ENDPOINT);
    }
    let open = open(world, asked, id)?;
    match below {
        [] => info(world, open),
        ["files"] => files(world, asked, open),
        ["zip"] | ["files", "zip"] => zip(world, asked, open),
        ["eml"] | ["files", "eml"] => eml(world, asked, open),
        ["checksums"] => checksums(world, open),
        ["files", file] => one(world, open, file),
        _ => Err(NO_ENDPOINT),
    }
}

/// Opens the transfer for the recipient with this id and the right password.
fn open(world: &mut World, asked: &Asked, id: &str) -> Result<Open, Refusal> {
    check_id(id)?;
    let (position, recipient) = world.index.recipient(id).ok_or(NO_ENTITY)?;
    let transfer = world.transfers.get(position).ok_or(NO_ENTITY)?;
    let now = world.now();
    // What has expired is there until the cleanup task has run: the page of the
    // vendor says that an active transfer is available.
    if transfer.stage != Stage::Active {
        return Err(NO_ENTITY);
    }
    match transfer.letter.security {
        Security::OneTimePassword => {}
        Security::Quick => return Err(NO_QUICK),
        Security::Eid => return Err(NO_EID),
    }
    if world.guard.is_locked(id, now) {
        return Err(LOCKED);
    }
    let password = password_of(asked).ok_or(WRONG_PASSWORD)?;
    let own = transfer.recipients.get(recipient).ok_or(NO_ENTITY)?;
    let expected = match transfer.letter.mode {
        PasswordMode::Unasked => Some(&own.password),
        PasswordMode::Generated | PasswordMode::Manual => transfer.letter.password.as_ref(),
    };
    if expected == Some(&password) {
        world.guard.right(id);
        return Ok(Open {
            position,
            recipient,
        });
    }
    match world.guard.wrong(id, world.policy.protection, now) {
        Verdict::Wrong => Err(WRONG_PASSWORD),
        Verdict::Locked => Err(LOCKED),
        Verdict::Deleted => {
            let deleted = Happening::Entered(Stage::DeletedBySecurity);
            drop(world.happen(position, &deleted, now));
            Err(DELETED_NOW)
        }
    }
}

fn info(world: &World, open: Open) -> Result<Reply, Refusal> {
    let size: u64 = kept(world, open)?.iter().map(|(_, file)| file.size).sum();
    let algorithm = algorithm(world, open)?;
    Ok(Reply::data(
        &json!({"checksumAlgorithm": algorithm, "totalSize": size}),
    ))
}

fn files(world: &World, asked: &Asked, open: Open) -> Result<Reply, Refusal> {
    let id = transfer(world, open)?.recipients.get(open.recipient);
    let id = &id.ok_or(NO_ENTITY)?.id;
    let (query, algorithm) = (twins(asked), algorithm(world, open)?);
    let told = kept(world, open)?.into_iter().map(|(_, file)| {
        Ok(json!({
            "id": file.id,
            "fileName": file.name,
            "size": file.size,
            "checksum": checksum(file, &algorithm)?,
            "href": format!("/api/transfers/{id}/files/{}?{query}", file.id),
        }))
    });
    let told = told.collect::<Result<Vec<Value>, Refusal>>()?;
    Ok(Reply::data(&json!(told)))
}

fn one(world: &mut World, open: Open, id: &str) -> Result<Reply, Refusal> {
    check_id(id)?;
    let kept = kept(world, open)?;
    let (place, file) = kept
        .iter()
        .find(|(_, file)| file.id == id)
        .ok_or(NO_ENTITY)?;
    let (place, name, content) = (*place, file.name.clone(), content(file)?.into_owned());
    retrieve(world, open, &[place]);
    Ok(bytes("application/octet-stream", &name, content))
}

fn zip(world: &mut World, asked: &Asked, open: Open) -> Result<Reply, Refusal> {
    let with_sums = query::switch(asked, "include-checksum-file")?;
    let includes = query::switch(asked, "is-customized-files-ids-include")?;
    let files: Vec<_> = kept(world, open)?
        .into_iter()
        .filter(|(_, file)| is_wanted(asked, file, includes.unwrap_or(true)))
        .collect();
    let mut contents = Vec::new();
    for (_, file) in &files {
        contents.push((file.name.as_str(), content(file)?));
    }
    if with_sums == Some(true) {
        let algorithm = algorithm(world, open)?;
        let sums = csv(files.iter().map(|(_, file)| *file), &algorithm)?.into_bytes();
        contents.push(("checksums.csv", Cow::Owned(sums)));
    }
    let entries: Vec<Entry<'_>> = contents.iter().map(|(n, c)| (*n, c.as_ref())).collect();
    let archive = archive::zip(&entries).ok_or(INTERNAL)?;
    let places: Vec<_> = files.iter().map(|(place, _)| *place).collect();
    retrieve(world, open, &places);
    Ok(bytes("application/zip", "transfer.zip", archive))
}

/// Whether `customized-files-ids` leaves the file in.
fn is_wanted(asked: &Asked, file: &SimFile, includes: bool) -> bool {
    let Some(ids) = asked.query("customized-files-ids") else {
        return true;
    };
    ids.split(',').any(|id| id.trim() == file.id) == includes
}

fn eml(world: &mut World, asked: &Asked, open: Open) -> Result<Reply, Refusal> {
    let threshold = query::number(asked, "threshold", 0)?.unwrap_or(THRESHOLD);
    let most = u64::from(threshold).saturating_mul(1024 * 1024);
    let files = kept(world, open)?;
    let (inside, beside): (Vec<_>, Vec<_>) = files.iter().partition(|(_, file)| file.size <= most);
    let mut contents = Vec::new();
    for (_, file) in &inside {
        contents.push((file.name.as_str(), content(file)?));
    }
    let entries: Vec<Entry<'_>> = contents.iter().map(|(n, c)| (*n, c.as_ref())).collect();
    let transfer = transfer(world, open)?;
    let missing = beside
        .iter()
        .map(|(_, file)| format!("<p>{}</p>", file.name));
    let body = transfer.letter.body.clone().unwrap_or_default() + &missing.collect::<String>();
    let to = transfer.recipients.get(open.recipient).ok_or(NO_ENTITY)?;
    let head = Head {
        from: world
            .senders
            .get(transfer.sender)
            .map_or("", String::as_str),
        to: &to.mail,
        subject: transfer.letter.subject.as_deref().unwrap_or_default(),
        body: &body,
    };
    let mail = archive::eml(&head, &entries);
    let places: Vec<_> = inside.iter().map(|(place, _)| *place).collect();
    retrieve(world, open, &places);
    Ok(bytes("application/octet-stream", "transfer.eml", mail))
}

fn checksums(world: &World, open: Open) -> Result<Reply, Refusal> {
    let files = kept(world, open)?;
    let algorithm = algorithm(world, open)?;
    let text = csv(files.into_iter().map(|(_, file)| file), &algorithm)?;
    Ok(bytes("text/csv", "checksums.csv", text.into_bytes()))
}

fn csv<'a>(files: impl Iterator<Item = &'a SimFile>, algorithm: &str) -> Result<String, Refusal> {
    let line = |file: &SimFile| {
        let name = file.name.replace('"', "\"\"");
        let sum = checksum(file, algorithm)?;
        Ok(format!("\"{name}\",{algorithm},{sum}\r\n"))
    };
    files.map(line).collect()
}

fn transfer(world: &World, open: Open) -> Result<&SimTransfer, Refusal> {
    world.transfers.get(open.position).ok_or(NO_ENTITY)
}

/// The files that were not removed, each with its place.
fn kept(world: &World, open: Open) -> Result<Vec<(usize, &SimFile)>, Refusal> {
    let files = transfer(world, open)?.files.iter().enumerate();
    Ok(files.filter(|(_, file)| file.removed.is_none()).collect())
}

fn content(file: &SimFile) -> Result<Cow<'_, [u8]>, Refusal> {
    match &file.content {
        Content::Uploaded(bytes) => Ok(Cow::Borrowed(bytes)),
        Content::Awaited => Err(NO_ENTITY),
        Content::MadeUp if file.size > MOST_MADE_UP => Err(INTERNAL),
        Content::MadeUp => {
            let size = usize::try_from(file.size).map_err(|_| INTERNAL)?;
            Ok(Cow::Owned(file.id.bytes().cycle().take(size).collect()))
        }
    }
}

/// The algorithm that the sender has chosen, in the spelling of the downloads
/// (contract, section 8, row 22).
fn algorithm(world: &World, open: Open) -> Result<String, Refusal> {
    let name = transfer(world, open)?.letter.algorithm.replace('-', "");
    Ok(name.to_uppercase().replacen("SHA", "SHA-", 1))
}

fn checksum(file: &SimFile, algorithm: &str) -> Result<String, Refusal> {
    scan::checksum(algorithm, &content(file)?).ok_or(INTERNAL)
}

fn retrieve(world: &mut World, open: Open, files: &[usize]) {
    let now = world.now();
    for file in files {
        let happening = Happening::Retrieved {
            recipient: open.recipient,
            file: *file,
            way: Way::Downloaded,
        };
        drop(world.happen(open.position, &happening, now));
    }
}

fn bytes(content_type: &'static str, name: &str, body: Vec<u8>) -> Reply {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let mut reply = Reply::empty(200);
    reply.content_type = content_type;
    reply.body = body;
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    reply.headers.push(("content-disposition", disposition));
    reply
}
