//! The REST API: paths, headers, errors (contract, sections 1 to 5).
//!
//! **Invariants.** Every error code stands in the situation where the contract
//! puts it.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{
    Asked,
    answers::{self, Frame},
    fault::Fault,
    names,
    reply::Reply,
    world::World,
};

/// The product keys that are known (contract, section 2).
const PRODUCT_KEYS: [&str; 2] = ["api.rest", "server"];

/// An error of the contract: status, code, text.
type Refusal = (u16, u64, &'static str);

/// Who asks.
struct Caller {
    address: String,
    sender: Option<usize>,
    client_id: String,
}

/// Answers a request of the REST API; a fault may spoil the answer.
pub(super) fn answer(world: &mut World, asked: &Asked) -> (Reply, Option<Fault>) {
    let path = asked.uri.path().to_owned();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let endpoint = endpoint(&segments);
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
fn endpoint(segments: &[&str]) -> &'static str {
    match segments {
        ["api", "clients"] => "clients",
        ["api", "status"] => "api_status",
        ["api", "users", _, "verification"] => "verification",
        ["api", "users", _, "verification", "token"] => "verification_token",
        ["api", "users", _, "transfers"] => "transfers",
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
            list(world, asked, &caller).map(|items| data(&items))
        }
        ["api", "users", address, "transfers", id] if get => {
            let caller = verified(world, asked, address)?;
            status(world, asked, &caller, id).map(|status| data(&status))
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

fn list(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Value, Refusal> {
    let number = |name, default, most| match query(asked, name) {
        None => Ok(default),
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or((400, 1004, "Parameter has a wrong value.")),
    };
    let page = number("page", 1, usize::MAX)?;
    let size = number("page-size", 10, 100)?;
    let skipped = (page - 1).saturating_mul(size);
    let World {
        transfers,
        index,
        quirks,
        dice,
        base_url,
        ..
    } = world;
    let mut frame = Frame {
        sender: &caller.address,
        base_url,
        language: "",
        quirks: *quirks,
        dice,
    };
    let listed = caller.sender.map_or(&[][..], |sender| index.listed(sender));
    let newest_first = listed.iter().rev().skip(skipped).take(size);
    let items = newest_first
        .filter_map(|position| transfers.get(*position))
        .map(|transfer| frame.list_item(transfer));
    Ok(items.collect())
}

fn status(world: &mut World, asked: &Asked, caller: &Caller, id: &str) -> Result<Value, Refusal> {
    let missing = (404, 2003, "Entity does not exist.");
    let id = percent_decode_str(id).decode_utf8_lossy();
    let position = world.index.find(&id).ok_or(missing)?;
    let transfer = world.transfers.get(position).ok_or(missing)?;
    if Some(transfer.sender) != caller.sender {
        return Err(missing);
    }
    let language = asked.headers.get("accept-language");
    let language = language.and_then(|language| language.to_str().ok());
    let mut frame = Frame {
        sender: &caller.address,
        base_url: &world.base_url,
        language: language.unwrap_or_default(),
        quirks: world.quirks,
        dice: &mut world.dice,
    };
    Ok(frame.status(transfer))
}

/// Checks headers and address of a call that needs no token.
fn caller(world: &World, asked: &Asked, address: &str) -> Result<Caller, Refusal> {
    check_versions(world, asked)?;
    let client_id = parameter(asked, "x-cs-clientid", "client-id");
    let client_id = client_id.ok_or((400, 1002, "Client id is missing."))?;
    let alphanumeric = client_id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !(50..=4000).contains(&client_id.len()) || !alphanumeric {
        return Err((400, 1004, "Client id has a wrong format."));
    }
    let address = percent_decode_str(address).decode_utf8();
    let address = address.unwrap_or_default().into_owned();
    if !is_address(&address) {
        return Err((400, 1005, "Email address is malformed."));
    }
    Ok(Caller {
        sender: world.sender(&address),
        address,
        client_id,
    })
}

fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '%' | '"');
    let good = |(local, host): (&str, &str)| {
        let dotted = host.contains('.') && !host.starts_with('.') && !host.ends_with('.');
        !local.is_empty() && dotted && !host.contains('@')
    };
    !text.contains(odd) && text.split_once('@').is_some_and(good)
}

/// The same, for a call that needs a token.
fn verified(world: &World, asked: &Asked, address: &str) -> Result<Caller, Refusal> {
    let caller = caller(world, asked, address)?;
    match valid_until(world, asked, &caller) {
        Some(_) => Ok(caller),
        None => Err((401, 3002, "Verification token is wrong.")),
    }
}

fn valid_until(world: &World, asked: &Asked, caller: &Caller) -> Option<Timestamp> {
    let token = parameter(asked, "x-cs-verificationtoken", "verification-token")?;
    let pair = (caller.client_id.as_str(), caller.address.as_str());
    world.tokens.valid_until(&token, pair, world.now())
}

fn check_versions(world: &World, asked: &Asked) -> Result<(), Refusal> {
    let number = |header, query| {
        let text = parameter(asked, header, query).ok_or((400, 1002, "Version is missing."))?;
        text.parse::<u32>()
            .map_err(|_| (400, 1004, "Version is not a number."))
    };
    let major = number("x-cs-majorapiversion", "major-api-version")?;
    let minor = number("x-cs-minimumminorapiversion", "minimum-minor-api-version")?;
    let key = parameter(asked, "x-cs-productkey", "product-key");
    if !key.is_none_or(|key| PRODUCT_KEYS.contains(&key.as_str())) {
        return Err((400, 1004, "Product key is unknown."));
    }
    if major != 1 || minor > world.api_minor {
        return Err((404, 2004, "API version is not supported."));
    }
    Ok(())
}

/// A header or its query twin; an empty one is absent.
fn parameter(asked: &Asked, header: &str, twin: &str) -> Option<String> {
    let told = |value: &String| !value.is_empty();
    let value = asked.headers.get(header).and_then(|v| v.to_str().ok());
    let value = value.map(str::to_owned).filter(told);
    value.or_else(|| query(asked, twin).filter(told))
}

fn query(asked: &Asked, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(asked.uri.query()?.as_bytes());
    let mut named = pairs.filter(|(key, _)| key == name);
    named.next().map(|(_, value)| value.into_owned())
}
