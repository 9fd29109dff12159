//! Passwords: a good one, whether one is good, and what is asked of them
//! (contract, section 6).
//!
//! **Invariants.** A token that is brought must be good; none needs to be
//! brought, since these paths have no address for it.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::{check_versions, client_id, token_of},
    refusal::{MISSING_PARAMETER, NO_ENDPOINT, Refusal, WRONG_TOKEN, WRONG_VALUE},
};
use crate::simulator::{asked::Asked, names, world::World};

#[derive(Debug, Deserialize)]
struct Wanted {
    password: Option<String>,
}

/// Answers below `/api/password`.
pub(super) fn route(world: &mut World, asked: &Asked, rest: &[&str]) -> Result<Value, Refusal> {
    check_versions(world, asked)?;
    let client_id = client_id(asked)?;
    let now = world.now();
    let is_good = |token: String| world.tokens.is_of(&token, &client_id, now);
    if !token_of(asked).is_none_or(is_good) {
        return Err(WRONG_TOKEN);
    }
    match (&asked.method, rest) {
        (&Method::GET, []) => Ok(json!({"password": names::password(&mut world.dice)})),
        (&Method::POST, []) => {
            let wanted: Wanted = asked.object().ok_or(WRONG_VALUE)?;
            let password = wanted.password.ok_or(MISSING_PARAMETER)?;
            let broken = rules(world, &password, |is_kept| !is_kept);
            Ok(json!({"valid": broken.is_empty(), "rulesNotFulfilled": broken}))
        }
        (&Method::GET, ["requirements"]) => Ok(json!(rules(world, "", |_| true))),
        _ => Err(NO_ENDPOINT),
    }
}

/// The rules that `password` keeps or breaks, as is wanted.
fn rules(world: &World, password: &str, is_wanted: fn(bool) -> bool) -> Vec<Value> {
    let rules = world.policy.password_rules(password).into_iter();
    let rules = rules.filter(|(_, _, is_kept)| is_wanted(*is_kept));
    let rules = rules.map(|(name, details, _)| json!({"name": name, "details": details}));
    rules.collect()
}
