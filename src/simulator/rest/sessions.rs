//! Transfer sessions: create, read, edit, files, finalize, drop (contract,
//! section 6).
//!
//! **Invariants.** Every call but the first needs the token that the session
//! was created with. `Location` is absolute.

use std::collections::HashSet;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::{
    call::{Caller, check_id, is_address, reader, token_of},
    edit,
    refusal::{
        AGAINST_RULES, MISSING_PARAMETER, NO_ENDPOINT, NO_ENTITY, RECIPIENT_DENIED, Refusal,
        SENDER_DENIED, WRONG_TOKEN, WRONG_VALUE,
    },
};
use crate::simulator::{
    answers::{Frame, Viewer},
    asked::{Asked, Object},
    letter::{Content, Kind, SimFile},
    quirk::Quirk,
    reply::Reply,
    sending::{self, Opening},
    session::Session,
    world::World,
};

/// The body of the call that creates a session; other members are ignored.
#[derive(Debug, Deserialize)]
struct NewSession {
    sender: Option<Object<NewSender>>,
    recipients: Option<Object<NewRecipients>>,
}

#[derive(Debug, Deserialize)]
struct NewSender {
    name: Option<String>,
    phone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NewRecipients {
    to: Option<Vec<Object<NewRecipient>>>,
    cc: Option<Vec<Object<NewRecipient>>>,
    bcc: Option<Vec<Object<NewRecipient>>>,
}

#[derive(Debug, Deserialize)]
struct NewRecipient {
    mail: String,
}

/// The body of the call that adds a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewFile {
    file_name: Option<String>,
    size: Option<Number>,
    checksum: Option<String>,
}

/// Answers below `transfer-sessions`.
pub(super) fn route(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
    rest: &[&str],
) -> Result<Reply, Refusal> {
    let [id, below @ ..] = rest else {
        return match asked.method {
            Method::POST => create(world, asked, caller),
            _ => Err(NO_ENDPOINT),
        };
    };
    match (&asked.method, below) {
        (&Method::GET, []) => read(world, asked, caller, id),
        (&Method::PATCH, []) => {
            of(world, asked, caller, id)?;
            edit::apply(world, asked, caller, id)?;
            read(world, asked, caller, id)
        }
        (&Method::POST, []) => finalize(world, asked, caller, id),
        (&Method::DELETE, []) => {
            of(world, asked, caller, id)?;
            drop(world.sessions.take(id));
            Ok(Reply::empty(204))
        }
        (&Method::POST, ["files"]) => add(world, asked, caller, id),
        (&Method::DELETE, ["files", file]) => remove(world, asked, caller, (id, file)),
        (&Method::PUT, ["files", file, "content"]) => upload(world, asked, caller, (id, file)),
        _ => Err(NO_ENDPOINT),
    }
}

/// The session with this id, if the caller may touch it.
fn of<'a>(
    world: &'a mut World,
    asked: &Asked,
    caller: &Caller,
    id: &str,
) -> Result<&'a mut Session, Refusal> {
    let (sender, now) = (world.sender(&caller.address), world.now());
    let session = world.sessions.find(id, sender).ok_or(NO_ENTITY)?;
    let token = token_of(asked).ok_or(WRONG_TOKEN)?;
    if !session.is_of(&token) {
        return Err(WRONG_TOKEN);
    }
    session.touch(now);
    Ok(session)
}

/// The files of such a session, and the place of this one.
fn file_of<'a>(
    world: &'a mut World,
    asked: &Asked,
    caller: &Caller,
    (id, file): (&str, &str),
) -> Result<(&'a mut Vec<SimFile>, usize), Refusal> {
    check_id(file)?;
    let files = &mut of(world, asked, caller, id)?.transfer.files;
    let place = files.iter().position(|known| known.id == file);
    Ok((files, place.ok_or(NO_ENTITY)?))
}

fn create(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Reply, Refusal> {
    let body: NewSession = asked.object().ok_or(WRONG_VALUE)?;
    let Object(sender) = body.sender.ok_or(MISSING_PARAMETER)?;
    let Object(recipients) = body.recipients.ok_or(MISSING_PARAMETER)?;
    let recipients = [
        (Kind::To, recipients.to),
        (Kind::Cc, recipients.cc),
        (Kind::Bcc, recipients.bcc),
    ];
    let recipients = recipients.into_iter().flat_map(|(kind, given)| {
        let given = given.unwrap_or_default().into_iter();
        given.map(move |Object(recipient)| (kind, recipient.mail))
    });
    // They are sets.
    let mut known = HashSet::new();
    let is_new = |(kind, mail): &(Kind, String)| known.insert((kind.word(), mail.to_lowercase()));
    let recipients: Vec<_> = recipients.filter(is_new).collect();
    if recipients.is_empty() || !recipients.iter().all(|(_, mail)| is_address(mail)) {
        return Err(WRONG_VALUE);
    }
    if !world.policy.lets_send(&caller.address) {
        return Err(SENDER_DENIED);
    }
    if !recipients
        .iter()
        .all(|(_, mail)| world.policy.lets_receive(mail))
    {
        return Err(RECIPIENT_DENIED);
    }
    if world.sessions.count() >= world.policy.max_sessions {
        return Err(too_many(world));
    }
    let opening = Opening {
        address: caller.address.clone(),
        token: token_of(asked).unwrap_or_default(),
        name: sender.name.unwrap_or_default(),
        phone: sender.phone.unwrap_or_default(),
        recipients,
        language: asked.language(),
    };
    let id = sending::open(world, opening);
    let place = format!("/api/users/{}/transfer-sessions/{id}", caller.address);
    Ok(created(world, asked, &place))
}

/// The refusal while too many sessions are open: until the first is dropped.
fn too_many(world: &mut World) -> Refusal {
    let (term, now) = (world.policy.session_term(), world.now());
    let next = world.sessions.end_idle(term, now).unwrap_or(now);
    let wait = next.duration_since(now).as_secs();
    Refusal::throttled(u64::try_from(wait).unwrap_or_default().max(1))
}

fn read(world: &mut World, asked: &Asked, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let session = of(world, asked, caller, id)?.transfer.clone();
    let mut frame = Frame {
        viewer: Viewer::Sender(&caller.address),
        base_url: &world.base_url,
        reader: &reader(asked),
        quirks: &world.quirks,
        dice: &mut world.dice,
    };
    Ok(Reply::data(&frame.session(&session)))
}

fn add(world: &mut World, asked: &Asked, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    of(world, asked, caller, id)?;
    let file: NewFile = asked.object().ok_or(WRONG_VALUE)?;
    let name = file.file_name.ok_or(MISSING_PARAMETER)?;
    let size = file.size.ok_or(MISSING_PARAMETER)?;
    let size = bytes(&size).ok_or(WRONG_VALUE)?;
    let checksum = file.checksum.filter(|checksum| !checksum.is_empty());
    let new = sending::new_file(world, name, size, checksum);
    let session = of(world, asked, caller, id)?;
    let is_taken = session
        .transfer
        .files
        .iter()
        .any(|file| file.name == new.name);
    if new.name.is_empty() || is_taken {
        return Err(WRONG_VALUE);
    }
    let file_id = new.id.clone();
    session.transfer.files.push(new);
    let place = format!(
        "/api/users/{}/transfer-sessions/{id}/files/{file_id}",
        caller.address
    );
    let mut reply = Reply::data(&json!({"fileId": file_id}));
    let location = created(world, asked, &place).location;
    (reply.status, reply.location) = (201, location);
    Ok(reply)
}

/// A size of 63 bits, which JSON may write as `3.0`, too.
fn bytes(size: &Number) -> Option<u64> {
    let whole = size.as_f64().filter(|size| size.fract() == 0.0)?;
    let size = size.as_i64().or_else(|| format!("{whole:.0}").parse().ok());
    u64::try_from(size?).ok()
}

fn upload(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
    (id, file): (&str, &str),
) -> Result<Reply, Refusal> {
    let (files, place) = file_of(world, asked, caller, (id, file))?;
    let file = files.get_mut(place).ok_or(NO_ENTITY)?;
    if u64::try_from(asked.body.len()) != Ok(file.size) {
        return Err(WRONG_VALUE);
    }
    file.content = Content::Uploaded(asked.body.clone());
    Ok(Reply::empty(200))
}

fn remove(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
    (id, file): (&str, &str),
) -> Result<Reply, Refusal> {
    let (files, place) = file_of(world, asked, caller, (id, file))?;
    files.remove(place);
    let letter = &mut of(world, asked, caller, id)?.transfer.letter;
    letter.message_file.take_if(|message| message == file);
    Ok(Reply::empty(204))
}

fn finalize(world: &mut World, asked: &Asked, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let most = world.policy.max_total_bytes;
    let session = of(world, asked, caller, id)?;
    if !session.is_complete() || session.size() > most {
        return Err(AGAINST_RULES);
    }
    let session = world.sessions.take(id).ok_or(NO_ENTITY)?;
    sending::finalize(world, session);
    let place = format!("/api/users/{}/transfers/{id}", caller.address);
    Ok(created(world, asked, &place))
}

/// 201 with the absolute URL of `place`, as the client names this server.
fn created(world: &mut World, asked: &Asked, place: &str) -> Reply {
    let mut reply = Reply::empty(201);
    let base = match asked.header("host") {
        _ if world.shows(Quirk::RelativeLocation) => String::new(),
        Some(host) => format!("http://{host}"),
        None => world.base_url.clone(),
    };
    reply.location = Some(base + place);
    reply
}

/// The transfer policy for a set of recipients.
pub(super) fn policy(world: &World, asked: &Asked, caller: &Caller) -> Result<Value, Refusal> {
    #[derive(Debug, Deserialize)]
    struct Wanted {
        recipients: Option<Vec<String>>,
    }
    let wanted: Wanted = asked.object().ok_or(WRONG_VALUE)?;
    let recipients = wanted.recipients.ok_or(MISSING_PARAMETER)?;
    if !recipients.iter().all(|mail| is_address(mail)) {
        return Err(WRONG_VALUE);
    }
    if !world.policy.lets_send(&caller.address) {
        return Err(SENDER_DENIED);
    }
    let denied = recipients
        .iter()
        .filter(|mail| !world.policy.lets_receive(mail));
    let denied = denied.map(|mail| json!({"emailAddress": mail, "reason": "POLICY_MISMATCH"}));
    let denied: Vec<_> = denied.collect();
    if denied.is_empty() {
        return Ok(json!({"allowed": true, "settings": world.policy.settings(world.api_minor)}));
    }
    Ok(json!({"allowed": false, "failedRecipients": denied}))
}
