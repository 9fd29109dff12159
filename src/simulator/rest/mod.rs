//! The REST API: paths, headers, errors (contract, sections 1 to 5).
//!
//! **Invariants.** Every error code stands in the situation where the contract
//! puts it.

mod call;
mod fields;
mod lists;

use serde_json::{Value, json};

use super::{Asked, answers, fault::Fault, names, reply::Reply, world::World};
use call::{Caller, caller, check_versions, valid_until, verified};

/// The first minor version with `sent-transfers` and `received-transfers`; in
/// an older one the words are looked up as a tracking id (contract 5.2).
const BULK: u32 = 12;

/// An error of the contract: status, code, text.
type Refusal = (u16, u64, &'static str);

/// Answers a request of the REST API; a fault may spoil the answer.
pub(super) fn answer(world: &mut World, asked: &Asked) -> (Reply, Option<Fault>) {
    let path = asked.uri.path().to_owned();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let endpoint = endpoint(&segments, world.api_minor);
    *world.requests.entry(endpoint).or_default() += 1;
    let fault = world.faults.take(endpoint);
    if fault.as_ref().is_some_and(Fault::expires_tokens) {
        world.tokens.reset();
    }
    let result = route(world, asked, &segments);
    let mut reply = match result {
        Ok(data) => Reply::json(200, &data),
        Err((status, code, text)) => Reply::error(status, code, text),
    };
    reply.date = Some(world.now());
    (reply, fault)
}

/// The endpoint's name, for counting and for faults.
fn endpoint(segments: &[&str], minor: u32) -> &'static str {
    match segments {
        ["api", "clients"] => "clients",
        ["api", "status"] => "api_status",
        ["api", "users", _, "verification"] => "verification",
        ["api", "users", _, "verification", "token"] => "verification_token",
        ["api", "users", _, "transfers"] => "transfers",
        ["api", "users", _, "transfers", "sent-transfers"] if minor >= BULK => "sent_transfers",
        ["api", "users", _, "transfers", "received-transfers"] if minor >= BULK => {
            "received_transfers"
        }
        ["api", "users", _, "transfers", _] => "transfer_status",
        _ => "other",
    }
}

fn route(world: &mut World, asked: &Asked, segments: &[&str]) -> Result<Value, Refusal> {
    let get = asked.method == hyper::Method::GET;
    let post = asked.method == hyper::Method::POST;
    match segments {
        ["api", "status"] if get && world.api_minor >= 13 => {
            let versions = json!([{"major": 1, "minor": world.api_minor}]);
            Ok(json!({"apiVersions": {"uiApiVersions": versions}}))
        }
        ["api", "clients"] if get => {
            check_versions(world, asked)?;
            let client_id = names::alphanumeric(64, &mut world.dice);
            Ok(data(&json!({"clientId": client_id})))
        }
        ["api", "users", address, "verification"] if get => {
            let caller = caller(world, asked, address)?;
            Ok(data(&verification(world, asked, &caller)))
        }
        ["api", "users", address, "verification", "token"] if post => {
            let caller = caller(world, asked, address)?;
            token(world, asked, &caller).map(|token| data(&token))
        }
        ["api", "users", address, "transfers"] if get => {
            let caller = verified(world, asked, address)?;
            lists::short(world, asked, &caller).map(|items| data(&items))
        }
        ["api", "users", address, "transfers", "sent-transfers"]
            if get && world.api_minor >= BULK =>
        {
            let caller = verified(world, asked, address)?;
            lists::sent(world, asked, &caller).map(|items| data(&items))
        }
        ["api", "users", address, "transfers", "received-transfers"]
            if get && world.api_minor >= BULK =>
        {
            let caller = verified(world, asked, address)?;
            lists::received(world, asked, &caller).map(|items| data(&items))
        }
        ["api", "users", address, "transfers", id] if get => {
            let caller = verified(world, asked, address)?;
            lists::status(world, asked, &caller, id).map(|status| data(&status))
        }
        _ => Err((404, 1006, "Endpoint does not exist.")),
    }
}

fn data(data: &Value) -> Value {
    json!({"data": data, "meta": null})
}

fn verification(world: &World, asked: &Asked, caller: &Caller) -> Value {
    let until = valid_until(world, asked, caller);
    let registered = caller.client_id == world.client_id() && caller.sender.is_some();
    let methods: &[&str] = if registered { &["clientId"] } else { &[] };
    json!({
        "verified": until.is_some(),
        "validUntil": until.map(answers::date),
        "verificationMethods": methods,
    })
}

/// The client-id flow (contract 3.3): no code, an empty body or `{}`.
fn token(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Value, Refusal> {
    let body: Value = if asked.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&asked.body).map_err(|_| (400, 1004, "Body is not JSON."))?
    };
    if !(body.is_null() || body.is_object()) {
        return Err((400, 1004, "Body is not an object."));
    }
    let has_code = body.get("verificationCode").is_some_and(|c| !c.is_null());
    let registered = caller.client_id == world.client_id() && caller.sender.is_some();
    if has_code || !registered {
        return Err((403, 3002, "Invalid verification data."));
    }
    let token = names::alphanumeric(40, &mut world.dice);
    let now = world.now();
    let pair = (caller.client_id.as_str(), caller.address.as_str());
    let until = world.tokens.grant(token.clone(), pair, now);
    Ok(json!({"token": token, "validUntil": answers::date(until)}))
}
