//! The REST API: paths, headers, errors (contract, sections 1 to 5).
//!
//! **Invariants.** Every error code stands in the situation where the contract
//! puts it.

mod call;
mod downloads;
mod edit;
mod emails;
mod fields;
mod lists;
mod password;
mod products;
mod query;
mod refusal;
mod sessions;
mod verification;

use hyper::Method;
use serde_json::json;

use super::{asked::Asked, bulk, fault::Fault, names, quirk::Quirk, reply::Reply, world::World};
use call::{Caller, caller, check_versions, verified};
use refusal::{NO_ENDPOINT, Refusal};

/// The first minor version with `sent-transfers` and `received-transfers`; in
/// an older one the words are looked up as a tracking id (contract 5.2).
const BULK: u32 = 12;

/// The first minor version in which a transfer can be revoked, and in which the texts
/// of mails can be had.
const REVOCATION: u32 = 10;

/// The first minor version with `/api/status` (contract, section 2).
const API_STATUS: u32 = 13;

/// What is counted for a path that no version has.
const NOWHERE: &str = "other";

/// Answers a request of the REST API; a fault may spoil the answer.
pub(super) fn answer(world: &mut World, asked: &Asked) -> (Reply, Option<Fault>) {
    let path = asked.uri.path().to_owned();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let endpoint = endpoint(&segments, world.api_minor);
    *world.requests.entry(endpoint).or_default() += 1;
    let fault = world.faults.take(endpoint, &mut world.dice);
    world.shift = fault.as_ref().map_or(0, Fault::shift);
    if fault.as_ref().is_some_and(Fault::expires_tokens) {
        world.tokens.reset();
    }
    let result = if endpoint == NOWHERE {
        Err(NO_ENDPOINT)
    } else {
        route(world, asked, &segments)
    };
    let mut reply = result.unwrap_or_else(Refusal::reply);
    reply.date = Some(world.now());
    (reply, fault)
}

/// The endpoint's name, for counting and for faults.
fn endpoint(segments: &[&str], minor: u32) -> &'static str {
    match segments {
        ["api", "clients"] => "clients",
        ["api", "status"] => "api_status",
        ["api", "users", _, "verification"] => "verification",
        ["api", "users", _, "verification", "code", "email"] => "verification_code",
        ["api", "users", _, "verification", "token"] => "verification_token",
        ["api", "users", _, "transfer-policy"] => "transfer_policy",
        ["api", "users", _, "transfer-sessions", ..] => "transfer_sessions",
        ["api", "password", ..] => "password",
        ["api", "transfers", ..] => "downloads",
        ["api", "products", ..] => "products",
        ["api", "logs"] => "logs",
        ["api", "users", _, "transfers", _, "emails", ..] => "emails",
        ["api", "users", _, "transfers"] => "transfers",
        ["api", "users", _, "transfers", "sent-transfers"] if minor >= BULK => "sent_transfers",
        ["api", "users", _, "transfers", "received-transfers"] if minor >= BULK => {
            "received_transfers"
        }
        ["api", "users", _, "transfers", _] => "transfer_status",
        _ => NOWHERE,
    }
}

fn route(world: &mut World, asked: &Asked, segments: &[&str]) -> Result<Reply, Refusal> {
    let get = asked.method == Method::GET;
    match segments {
        ["api", "status"] if get && world.api_minor >= API_STATUS => {
            let versions = json!([{"major": 1, "minor": world.api_minor}]);
            let status = json!({"apiVersions": {"uiApiVersions": versions}});
            if world.shows(Quirk::WrappedStatus) {
                return Ok(Reply::data(&status));
            }
            Ok(Reply::json(200, &status))
        }
        ["api", "clients"] if get => {
            check_versions(world, asked)?;
            let client_id = names::alphanumeric(64, &mut world.dice);
            Ok(Reply::data(&json!({"clientId": client_id})))
        }
        ["api", "users", address, "verification", rest @ ..] => {
            let caller = caller(world, asked, address)?;
            match (&asked.method, rest) {
                (&Method::GET, []) => {
                    verification::state(world, asked, &caller).map(|state| Reply::data(&state))
                }
                (&Method::POST, ["code", "email"]) => verification::code(world, asked, &caller),
                (&Method::POST, ["token"]) => verification::token(world, asked, &caller),
                _ => Err(NO_ENDPOINT),
            }
        }
        ["api", "users", address, rest @ ..] => {
            let caller = verified(world, asked, address)?;
            of_user(world, asked, &caller, rest)
        }
        ["api", "password", rest @ ..] => {
            password::route(world, asked, rest).map(|told| Reply::data(&told))
        }
        ["api", "transfers", rest @ ..] => downloads::route(world, asked, rest),
        ["api", "products", rest @ ..] => products::route(world, asked, rest),
        ["api", "logs"] if asked.method == Method::POST => products::logs(world, asked),
        _ => Err(NO_ENDPOINT),
    }
}

/// Answers what needs a token of the user.
fn of_user(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
    rest: &[&str],
) -> Result<Reply, Refusal> {
    let (minor, with_bulk) = (world.api_minor, world.api_minor >= BULK);
    let data = match (&asked.method, rest) {
        (&Method::GET, ["transfers"]) => lists::short(world, asked, caller),
        (&Method::GET, ["transfers", "sent-transfers"]) if with_bulk => {
            lists::sent(world, asked, caller)
        }
        (&Method::GET, ["transfers", "received-transfers"]) if with_bulk => {
            lists::received(world, asked, caller)
        }
        (&Method::GET, ["transfers", id]) => lists::status(world, asked, caller, id),
        (&Method::POST, ["transfer-policy"]) => sessions::policy(world, asked, caller),
        (&Method::PATCH, ["transfers", id]) if minor >= REVOCATION => {
            return edit::revoke(world, asked, caller, id);
        }
        (&Method::POST, ["transfers", id, "emails", kind @ ..]) if minor >= REVOCATION => {
            return emails::route(world, asked, caller, (id, kind));
        }
        (_, ["transfer-sessions", below @ ..]) => {
            return sessions::route(world, asked, caller, below);
        }
        _ => Err(NO_ENDPOINT),
    };
    let mut data = data?;
    if world.shows(Quirk::NullsAbsent) {
        bulk::without_nulls(&mut data);
    }
    if world.shows(Quirk::NewMembers) {
        bulk::with_more(&mut data);
    }
    Ok(Reply::data(&data))
}
