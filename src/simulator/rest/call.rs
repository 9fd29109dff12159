//! Who asks: headers or their query twins, versions, addresses, tokens
//! (contract, section 2).
//!
//! **Invariants.** Nothing is answered to a caller before all of this is
//! checked.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::Refusal;
use crate::simulator::{Asked, world::World};

/// The product keys that are known (contract, section 2).
const PRODUCT_KEYS: [&str; 2] = ["api.rest", "server"];

/// Who asks.
pub(super) struct Caller {
    /// As the path spells it.
    pub(super) address: String,
    pub(super) sender: Option<usize>,
    pub(super) client_id: String,
}

/// Checks headers and address of a call that needs no token.
pub(super) fn caller(world: &World, asked: &Asked, address: &str) -> Result<Caller, Refusal> {
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
pub(super) fn verified(world: &World, asked: &Asked, address: &str) -> Result<Caller, Refusal> {
    let caller = caller(world, asked, address)?;
    match valid_until(world, asked, &caller) {
        Some(_) => Ok(caller),
        None => Err((401, 3002, "Verification token is wrong.")),
    }
}

/// The end of the caller's token, if it is good.
pub(super) fn valid_until(world: &World, asked: &Asked, caller: &Caller) -> Option<Timestamp> {
    let token = parameter(asked, "x-cs-verificationtoken", "verification-token")?;
    let pair = (caller.client_id.as_str(), caller.address.as_str());
    world.tokens.valid_until(&token, pair, world.now())
}

/// Checks what every call but `/api/status` must carry.
pub(super) fn check_versions(world: &World, asked: &Asked) -> Result<(), Refusal> {
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

/// A parameter of the query, decoded.
pub(super) fn query(asked: &Asked, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(asked.uri.query()?.as_bytes());
    let mut named = pairs.filter(|(key, _)| key == name);
    named.next().map(|(_, value)| value.into_owned())
}
