//! Who asks: headers or their query twins, versions, addresses, tokens
//! (contract, section 2).
//!
//! **Invariants.** Nothing is answered to a caller before all of this is
//! checked.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::refusal::{
    MISSING_PARAMETER, NO_VERSION, NO_VERSION_406, NOT_LICENSED, Refusal, WRONG_PATH, WRONG_TOKEN,
    WRONG_VALUE,
};
use crate::simulator::{asked::Asked, quirk::Quirk, verification::Pair, world::World};

/// The product keys that are known (contract, section 2).
pub(super) const PRODUCT_KEYS: [&str; 2] = ["api.rest", "server"];

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

/// Checks what every call but `/api/status` must carry.
pub(super) fn check_versions(world: &mut World, asked: &Asked) -> Result<(), Refusal> {
    let number = |header, query| {
        let text = asked.parameter(header, query).ok_or(MISSING_PARAMETER)?;
        text.parse::<u32>().map_err(|_| WRONG_VALUE)
    };
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
