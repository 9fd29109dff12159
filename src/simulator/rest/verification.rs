//! Verification by client id and by mailed code (contract, section 3).
//!
//! **Invariants.** A method that is switched off is not offered and does not
//! work.

use serde_json::{Map, Value, json};

use super::{
    call::{Caller, token_of, valid_until},
    refusal::{METHOD_IS_OFF, Refusal, WRONG_VALUE, WRONG_VERIFICATION, limits},
};
use crate::simulator::{
    answers,
    asked::Asked,
    mailbox::Kind,
    names,
    quirk::Quirk,
    reply::Reply,
    verification::{Methods, Pass},
    world::World,
};

/// The length of a code (contract 3.2).
const CODE: usize = 10;

/// What is switched on for the caller, and registered.
fn methods(world: &World, caller: &Caller) -> Methods {
    let settings = &world.verification;
    let is_registered =
        caller.client_id == world.client_id() || settings.registers(&caller.client_id);
    let Methods { client_id, email } = settings.methods(&caller.address);
    Methods {
        client_id: client_id && is_registered,
        email,
    }
}

/// Whether the caller is verified, until when, and how that can be had.
pub(super) fn state(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Value, Refusal> {
    let until = valid_until(world, asked, caller);
    let is_stale = until.is_none() && token_of(asked).is_some();
    if is_stale && world.shows(Quirk::StaleTokenForbidden) {
        return Err(WRONG_VERIFICATION);
    }
    let words = if world.shows(Quirk::UpperMethods) {
        ["CLIENT_ID", "EMAIL"]
    } else {
        ["clientId", "email"]
    };
    let Methods { client_id, email } = methods(world, caller);
    let offered = words.into_iter().zip([client_id, email]);
    let offered = offered.filter_map(|(word, is_on)| is_on.then_some(word));
    Ok(json!({
        "verified": until.is_some(),
        "validUntil": until.map(answers::date),
        "verificationMethods": offered.collect::<Vec<_>>(),
    }))
}

/// Mails a code.
pub(super) fn code(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Reply, Refusal> {
    if !methods(world, caller).email {
        return Err(METHOD_IS_OFF);
    }
    let limit = world.verification.codes_per_minute;
    let headers = pass(world, "code", caller, limit)?;
    let code = names::alphanumeric(CODE, &mut world.dice);
    let most = world.verification.valid_codes;
    world.codes.issue(code.clone(), caller.pair(), most);
    let mut mail = Map::new();
    mail.insert("code".to_owned(), json!(code));
    mail.insert("language".to_owned(), json!(asked.language()));
    let now = world.now();
    world
        .mailboxes
        .send(&caller.address, Kind::Verification, now, mail);
    let mut reply = Reply::empty(200);
    reply.headers = headers;
    Ok(reply)
}

/// Hands out a token: for the code that was mailed, or for a registered client
/// id, which needs none.
pub(super) fn token(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Reply, Refusal> {
    let limit = world.verification.tokens_per_minute;
    let headers = pass(world, "token", caller, limit)?;
    let methods = methods(world, caller);
    let is_good = match code_of(asked)? {
        Some(_) if !methods.email => return Err(METHOD_IS_OFF),
        Some(code) => world.codes.redeem(&code, caller.pair()),
        None => methods.client_id,
    };
    if !is_good {
        return Err(WRONG_VERIFICATION);
    }
    if world.shows(Quirk::NewTokenEndsOlder) {
        world.tokens.end(caller.pair());
    }
    let token = names::alphanumeric(40, &mut world.dice);
    let now = world.now();
    let until = world.tokens.grant(token.clone(), caller.pair(), now);
    let mut reply = Reply::data(&json!({"token": token, "validUntil": answers::date(until)}));
    reply.headers = headers;
    Ok(reply)
}

/// The code in the body: an empty body, `{}` and null have none.
fn code_of(asked: &Asked) -> Result<Option<String>, Refusal> {
    let body: Value = asked.json().map_err(|_| WRONG_VALUE)?;
    match (&body, body.get("verificationCode")) {
        (Value::Null, _) | (Value::Object(_), None | Some(Value::Null)) => Ok(None),
        (_, Some(Value::String(code))) => Ok(Some(code.clone())),
        _ => Err(WRONG_VALUE),
    }
}

/// Counts the call, and says what is left.
fn pass(
    world: &mut World,
    what: &str,
    caller: &Caller,
    limit: Option<u32>,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let Some(limit) = limit else {
        return Ok(Vec::new());
    };
    let (client_id, address) = caller.pair();
    let key = format!("{what} {} {client_id}", address.to_lowercase());
    match world.gate.pass(key, limit) {
        Pass::Wait(seconds) => Err(Refusal::limited(limit, seconds)),
        Pass::Left(left) => Ok(limits(limit, left)),
    }
}
