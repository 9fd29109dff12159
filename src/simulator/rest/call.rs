//! Who asks: headers or their query twins, versions, addresses, tokens
//! (contract, section 2).
//!
//! **Invariants.** Nothing is answered to a caller before all of this is
//! checked.

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::refusal::{
    MISSING_PARAMETER, NO_VERSION, NO_VERSION_406, NOT_LICENSED, Refusal, WRONG_PATH, WRONG_TOKEN,
    WRONG_VALUE,
};
use crate::simulator::{
    answers::Reader, asked::Asked, quirk::Quirk, verification::Pair, world::World,
};

/// The product keys that are known (contract, section 2).
pub(super) const PRODUCT_KEYS: [&str; 2] = ["api.rest", "server"];

/// The length of a transfer id and of a file id.
const ID: usize = 10;

/// Who asks.
pub(super) struct Caller {
    /// As the path spells it.
    pub(super) address: String,
    pub(super) sender: Option<usize>,
    pub(super) client_id: String,
}

impl Caller {
    /// Whom tokens and codes are bound to.
    pub(super) fn pair(&self) -> Pair<'_> {
        (&self.client_id, &self.address)
    }
}

/// The client id of a call that needs one.
pub(super) fn client_id(asked: &Asked) -> Result<String, Refusal> {
    let client_id = asked.parameter("x-cs-clientid", "client-id");
    let client_id = client_id.ok_or(MISSING_PARAMETER)?;
    let alphanumeric = client_id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !(50..=4000).contains(&client_id.len()) || !alphanumeric {
        return Err(WRONG_VALUE);
    }
    Ok(client_id)
}

/// Checks headers and address of a call that needs no token.
pub(super) fn caller(world: &mut World, asked: &Asked, address: &str) -> Result<Caller, Refusal> {
    check_versions(world, asked)?;
    let client_id = client_id(asked)?;
    let address = percent_decode_str(address).decode_utf8();
    let address = address.unwrap_or_default().into_owned();
    if !is_address(&address) {
        return Err(WRONG_PATH);
    }
    Ok(Caller {
        sender: world.sender(&address),
        address,
        client_id,
    })
}

/// Whether it could be an email address.
pub(super) fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '%' | '"');
    let good = |(local, host): (&str, &str)| {
        let dotted = host.contains('.') && !host.starts_with('.') && !host.ends_with('.');
        !local.is_empty() && dotted && !host.contains('@')
    };
    !text.contains(odd) && text.split_once('@').is_some_and(good)
}

/// The same, for a call that needs a token.
pub(super) fn verified(world: &mut World, asked: &Asked, address: &str) -> Result<Caller, Refusal> {
    let caller = caller(world, asked, address)?;
    let Some(token) = token_of(asked) else {
        if world.shows(Quirk::MissingTokenIs400) {
            return Err(MISSING_PARAMETER);
        }
        return Err(WRONG_TOKEN);
    };
    if valid_until(world, asked, &caller).is_none() {
        return Err(WRONG_TOKEN);
    }
    if world.shows(Quirk::PollingRefreshes) {
        let now = world.now();
        world.tokens.refresh(&token, now);
    }
    Ok(caller)
}

/// The token that the caller brings, good or not.
pub(super) fn token_of(asked: &Asked) -> Option<String> {
    asked.parameter("x-cs-verificationtoken", "verification-token")
}

/// The end of the caller's token, if it is good.
pub(super) fn valid_until(world: &World, asked: &Asked, caller: &Caller) -> Option<Timestamp> {
    let token = token_of(asked)?;
    world.tokens.valid_until(&token, caller.pair(), world.now())
}

/// The number of a version. One that is too large for any is still a number.
fn number(text: &str) -> Result<u32, Refusal> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG_VALUE);
    }
    Ok(text.parse().unwrap_or(u32::MAX))
}

/// The id of a transfer or of a file in a path (contract 4.1).
pub(super) fn check_id(id: &str) -> Result<(), Refusal> {
    let is_good = id.len() == ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_good.then_some(()).ok_or(WRONG_PATH)
}

/// How an answer was asked for.
pub(super) fn reader(asked: &Asked) -> Reader {
    Reader {
        language: asked.language(),
        token: token_of(asked),
        query: twins(asked),
    }
}

/// The general parameters and the password as a query: who follows a link sends
/// no header (contract 1.1).
pub(super) fn twins(asked: &Asked) -> String {
    let parameter = |(header, twin): (&str, &'static str)| {
        let value = if twin == "password" {
            password_of(asked)
        } else {
            asked.parameter(header, twin)
        };
        let value = utf8_percent_encode(&value?, NON_ALPHANUMERIC).to_string();
        Some(format!("{twin}={value}"))
    };
    let parameters = [
        ("x-cs-majorapiversion", "major-api-version"),
        ("x-cs-minimumminorapiversion", "minimum-minor-api-version"),
        ("x-cs-productkey", "product-key"),
        ("x-cs-clientid", "client-id"),
        ("x-cs-password", "password"),
    ];
    let twins: Vec<_> = parameters.into_iter().filter_map(parameter).collect();
    twins.join("&")
}

/// The password: URL-encoded in the header, a parameter else.
pub(super) fn password_of(asked: &Asked) -> Option<String> {
    let header = asked
        .header("x-cs-password")
        .filter(|text| !text.is_empty());
    let header = header.map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    header.or_else(|| asked.query("password"))
}

/// Checks what every call but `/api/status` must carry.
pub(super) fn check_versions(world: &mut World, asked: &Asked) -> Result<(), Refusal> {
    if !asked.is_text() {
        return Err(WRONG_VALUE);
    }
    let number = |header, query| number(&asked.parameter(header, query).ok_or(MISSING_PARAMETER)?);
    let major = number("x-cs-majorapiversion", "major-api-version")?;
    let minor = number("x-cs-minimumminorapiversion", "minimum-minor-api-version")?;
    let key = asked.parameter("x-cs-productkey", "product-key");
    if !key.is_none_or(|key| PRODUCT_KEYS.contains(&key.as_str())) {
        return Err(WRONG_VALUE);
    }
    if major != 1 || minor > world.api_minor {
        if world.shows(Quirk::VersionIs406) {
            return Err(NO_VERSION_406);
        }
        return Err(NO_VERSION);
    }
    if !world.policy.licensed {
        return Err(NOT_LICENSED);
    }
    Ok(())
}
