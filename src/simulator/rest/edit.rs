//! What a client changes: a session before it is finalized, and the state of a
//! transfer by revoking it (contract, section 6).
//!
//! **Invariants.** All of a change is checked before any of it is made. Unknown
//! members and nulls change nothing.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{
    call::Caller,
    refusal::{AGAINST_RULES, MISSING_PARAMETER, NO_ENTITY, Refusal, WRONG_VALUE},
};
use crate::simulator::{
    asked::{Asked, Object},
    letter::{Letter, PasswordMode, Switch},
    mailbox::Kind,
    names,
    quirk::Quirk,
    reply::Reply,
    scan,
    transfer::{Happening, Stage},
    world::World,
};

/// What may be changed of a session, beside the switches.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Patch {
    sender: Option<Object<Sender>>,
    expiration_date: Option<String>,
    security_mode: Option<Object<SecurityMode>>,
    notification_message: Option<Object<Message>>,
    sender_language: Option<String>,
    recipient_language: Option<String>,
    classification_id: Option<String>,
    confidential_message_file_id: Option<String>,
    file_checksum_algorithm: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sender {
    name: Option<String>,
    phone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SecurityMode {
    name: Option<String>,
    config: Option<Object<SecurityConfig>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityConfig {
    password_mode: Option<String>,
    password: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    subject: Option<String>,
    body: Option<String>,
}

/// The body of a revocation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revocation {
    status: Option<Object<WantedStatus>>,
    revocation_options: Option<Object<Options>>,
}

#[derive(Debug, Deserialize)]
struct WantedStatus {
    state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    notify_sender: Option<bool>,
    notify_recipients: Option<bool>,
    /// What the mails say in place of the language pack's text.
    message: Option<String>,
}

/// Edits an open session, which the caller must be allowed to.
pub(super) fn apply(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
    id: &str,
) -> Result<(), Refusal> {
    let raw: Value = asked.object().ok_or(WRONG_VALUE)?;
    let switches = switches(&raw)?;
    let patch: Patch = serde_json::from_value(raw).map_err(|_| WRONG_VALUE)?;
    let expires_at = expiration(world, patch.expiration_date.as_deref())?;
    let sender = world.sender(&caller.address);
    let session = world.sessions.find(id, sender).ok_or(NO_ENTITY)?;
    let mut letter = session.transfer.letter.clone();
    if let Some(file) = &patch.confidential_message_file_id {
        let files = &session.transfer.files;
        if !files.iter().any(|known| known.id == *file) {
            return Err(AGAINST_RULES);
        }
    }
    if let Some(Object(mode)) = &patch.security_mode {
        secure(world, &mut letter, mode)?;
    }
    write(&mut letter, patch)?;
    for (switch, is_on) in switches {
        letter.set(switch, is_on);
    }
    let session = world.sessions.find(id, sender).ok_or(NO_ENTITY)?;
    session.transfer.letter = letter;
    session.transfer.expires_at = expires_at.unwrap_or(session.transfer.expires_at);
    Ok(())
}

fn switches(raw: &Value) -> Result<Vec<(Switch, bool)>, Refusal> {
    let mut switches = Vec::new();
    for switch in Switch::ALL {
        match raw.get(switch.word()) {
            None | Some(Value::Null) => {}
            Some(Value::Bool(is_on)) => switches.push((switch, *is_on)),
            Some(_) => return Err(WRONG_VALUE),
        }
    }
    Ok(switches)
}

fn expiration(world: &World, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let wanted: Timestamp = text.parse().map_err(|_| WRONG_VALUE)?;
    let days = i64::from(world.policy.max_retention_days);
    // The whole last day is permitted, whatever the hour is now.
    let most = SignedDuration::from_hours(24 * (days + 1));
    let ahead = wanted.duration_since(world.now());
    if ahead <= SignedDuration::ZERO || ahead > most {
        return Err(AGAINST_RULES);
    }
    Ok(Some(wanted))
}

fn secure(world: &mut World, letter: &mut Letter, wanted: &SecurityMode) -> Result<(), Refusal> {
    if wanted
        .name
        .as_deref()
        .is_some_and(|name| name != "ONE_TIME_PASSWORD")
    {
        return Err(WRONG_VALUE);
    }
    let Some(Object(config)) = &wanted.config else {
        return Ok(());
    };
    let told = config
        .password
        .clone()
        .filter(|password| !password.is_empty());
    let mode = match config.password_mode.as_deref() {
        None => letter.mode,
        Some(wanted_mode) => {
            let mut modes = PasswordMode::ALL.into_iter();
            modes
                .find(|mode| mode.word() == wanted_mode)
                .ok_or(WRONG_VALUE)?
        }
    };
    letter.password = match (mode, told) {
        (PasswordMode::Unasked, _) => None,
        (PasswordMode::Generated, None) => Some(names::password(&mut world.dice)),
        (PasswordMode::Manual, None) => return Err(AGAINST_RULES),
        (PasswordMode::Generated | PasswordMode::Manual, Some(password)) => {
            let rules = world.policy.password_rules(&password);
            if !rules.iter().all(|(_, _, is_kept)| *is_kept) {
                return Err(AGAINST_RULES);
            }
            Some(password)
        }
    };
    letter.mode = mode;
    Ok(())
}

fn write(letter: &mut Letter, patch: Patch) -> Result<(), Refusal> {
    if let Some(Object(Sender { name, phone })) = patch.sender {
        put(&mut letter.sender_name, name);
        put(&mut letter.sender_phone, phone);
    }
    if let Some(Object(Message { subject, body })) = patch.notification_message {
        letter.subject = subject.or(letter.subject.take());
        letter.body = body.or(letter.body.take());
    }
    put(&mut letter.sender_language, patch.sender_language);
    put(&mut letter.recipient_language, patch.recipient_language);
    if let Some(algorithm) = patch.file_checksum_algorithm {
        scan::algorithm_of(&algorithm).ok_or(WRONG_VALUE)?;
        letter.algorithm = algorithm;
    }
    letter.classification = patch.classification_id.or(letter.classification.take());
    let message_file = patch.confidential_message_file_id;
    letter.message_file = message_file.or(letter.message_file.take());
    Ok(())
}

fn put(place: &mut String, wanted: Option<String>) {
    if let Some(wanted) = wanted {
        *place = wanted;
    }
}

/// Revokes an active transfer.
pub(super) fn revoke(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
    id: &str,
) -> Result<Reply, Refusal> {
    let body: Revocation = asked.object().ok_or(WRONG_VALUE)?;
    let Object(status) = body.status.ok_or(MISSING_PARAMETER)?;
    let state = status.state.ok_or(MISSING_PARAMETER)?;
    if state != Stage::DeletedByRevocation.word() {
        return Err(WRONG_VALUE);
    }
    let position = world.index.find(id).ok_or(NO_ENTITY)?;
    let transfer = world.transfers.get(position).ok_or(NO_ENTITY)?;
    if Some(transfer.sender) != caller.sender {
        return Err(NO_ENTITY);
    }
    let now = world.now();
    if transfer.expires_at <= now {
        return Err(AGAINST_RULES);
    }
    world
        .happen(
            position,
            &Happening::Entered(Stage::DeletedByRevocation),
            now,
        )
        .map_err(|_| AGAINST_RULES)?;
    let Object(options) = body.revocation_options.unwrap_or_default();
    if let Some(transfer) = world.transfers.get_mut(position) {
        transfer.letter.revocation = options.message;
    }
    let mut mails = Vec::new();
    if let Some(post) = world.post(position) {
        if options.notify_sender != Some(false) {
            mails.extend(post.to_sender(Kind::Revocation));
        }
        if options.notify_recipients != Some(false) {
            mails.extend(post.to_recipients(Kind::Revocation));
        }
    }
    world.deliver(position, mails, now);
    let is_204 = world.shows(Quirk::RevokeIs204);
    Ok(Reply::empty(if is_204 { 204 } else { 200 }))
}
