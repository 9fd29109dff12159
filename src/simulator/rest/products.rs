//! What belongs to a product: language packs, legal texts, cross-origin rules,
//! logs (contract, section 6).
//!
//! **Invariants.** The texts are fixed and in no one's name.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    call::{PRODUCT_KEYS, check_versions, client_id},
    query,
    refusal::{
        LOGGING_IS_OFF, MISSING_PARAMETER, NO_ENDPOINT, NO_ENTITY, Refusal, WRONG_PACK, WRONG_PATH,
        WRONG_VALUE,
    },
};
use crate::simulator::{asked::Asked, reply::Reply, world::World};

/// When all of it was changed last.
const CHANGED: &str = "2026-01-15T08:00:00+02:00";

/// Locale, name and major version of each language pack.
const PACKS: [(&str, &str, u32); 3] = [
    ("en-US", "English (US)", 2),
    ("de-DE", "Deutsch", 2),
    ("fr-FR", "Français", 1),
];

/// Answers below `/api/products`.
pub(super) fn route(world: &mut World, asked: &Asked, rest: &[&str]) -> Result<Reply, Refusal> {
    check_versions(world, asked)?;
    client_id(asked)?;
    let [key, below @ ..] = rest else {
        return Err(NO_ENDPOINT);
    };
    if asked.method != Method::GET {
        return Err(NO_ENDPOINT);
    }
    if !PRODUCT_KEYS.contains(key) {
        return Err(WRONG_PATH);
    }
    let data = match below {
        ["language-packs"] => packs(asked, key)?,
        ["language-packs", id] => pack(key, id)?,
        ["legal", "terms-of-use"] => json!({
            "active": true,
            "lastChangeTimestamp": CHANGED,
            "terms": [
                {"locale": "en-US", "title": "Terms of Use", "type": "html", "content": "<p>Send only what is yours.</p>"},
                {"locale": "de-DE", "title": "Nutzungsbedingungen", "type": "html", "content": "<p>Senden Sie nur, was Ihnen gehört.</p>"},
            ],
        }),
        ["legal", "imprint"] => {
            json!({"type": "html", "content": "<h1>Imprint</h1><p>A simulated server.</p>"})
        }
        ["cors"] => {
            asked.header("origin").ok_or(MISSING_PARAMETER)?;
            json!({"active": false})
        }
        ["logging"] => {
            json!({"remoteLoggingEnabled": world.policy.remote_logging, "level": "warn"})
        }
        _ => return Err(NO_ENDPOINT),
    };
    Ok(Reply::data(&data))
}

/// Takes log entries of a client, and forgets them.
pub(super) fn logs(world: &mut World, asked: &Asked) -> Result<Reply, Refusal> {
    check_versions(world, asked)?;
    client_id(asked)?;
    if !world.policy.remote_logging {
        return Err(LOGGING_IS_OFF);
    }
    if asked.body.is_empty() {
        return Err(MISSING_PARAMETER);
    }
    let body: Value = asked.json().map_err(|_| WRONG_VALUE)?;
    let one = || std::slice::from_ref(&body);
    let entries = body.as_array().map_or_else(one, Vec::as_slice);
    if !entries.iter().all(Value::is_object) {
        return Err(WRONG_VALUE);
    }
    Ok(Reply::empty(201))
}

fn packs(asked: &Asked, key: &str) -> Result<Value, Refusal> {
    let major = query::number(asked, "major-version", 0)?;
    let fitting = PACKS
        .iter()
        .filter(|pack| major.is_none_or(|major| pack.2 == major));
    Ok(fitting.map(|pack| described(key, pack)).collect())
}

fn pack(key: &str, id: &str) -> Result<Value, Refusal> {
    let known = PACKS.iter().find(|pack| id_of(pack) == id);
    let has_form = id.split_once('_').is_some_and(|(locale, version)| {
        locale.len() == 5 && version.bytes().all(|byte| byte.is_ascii_digit())
    });
    let missing = if has_form { NO_ENTITY } else { WRONG_PACK };
    known.map(|pack| described(key, pack)).ok_or(missing)
}

fn id_of((locale, _, major): &(&str, &str, u32)) -> String {
    format!("{locale}_{major}")
}

fn described(key: &str, pack: &(&str, &str, u32)) -> Value {
    let (locale, name, major) = pack;
    let id = id_of(pack);
    json!({
        "id": id,
        "displayName": name,
        "locale": locale,
        "version": format!("{major}.1"),
        "lastChangeTimestamp": CHANGED,
        "href": format!("/api/products/{key}/language-packs/{id}"),
    })
}
