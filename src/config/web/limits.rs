//! Who may ask, how often, and what headers an answer has.
//!
//! **Invariants.** No hash of a password is part of a problem.

use std::{str::FromStr, time::Duration};

use bcrypt::HashParts;
use hyper::header::HeaderValue;
use jiff::SignedDuration;
use secrecy::SecretString;

use super::{Rate, yaml::Mapping};
use crate::config::values::Wrong;

/// The headers that may be set, and their values where only these make sense.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Each step doubles the time that one password takes: 50 ms at 10, and at 18
/// longer than a scrape may take.
const COSTLIEST: u32 = 18;

/// `http2` and `headers`.
pub(super) fn http(mut mapping: Mapping) -> (bool, Vec<(String, String)>) {
    let http2 = mapping.flag("http2").unwrap_or(true);
    let mut headers = Vec::new();
    if let Some(named) = mapping.mapping("headers") {
        let problems = named.problems.clone();
        for (place, name, value) in named.texts() {
            match header(&name, &value) {
                Ok(()) if value.is_empty() => {}
                Ok(()) => headers.push((name, value)),
                Err((wrong, remedy)) => problems.add(place.problem(wrong, remedy)),
            }
        }
    }
    mapping.finish();
    (http2, headers)
}

fn header(name: &str, value: &str) -> Result<(), Wrong> {
    let Some((_, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
        let names = HEADERS.map(|(name, _)| name).join(", ");
        let remedy = format!("the headers are {names}");
        return Err(("cannot be set".to_owned(), remedy));
    };
    if !values.is_empty() && !values.contains(&value) {
        let remedy = format!("write {}", values.join(" or "));
        return Err(("has another value".to_owned(), remedy));
    }
    match HeaderValue::from_str(value) {
        Ok(_) => Ok(()),
        Err(_) => Err((
            "cannot stand in a header".to_owned(),
            "write it on one line".to_owned(),
        )),
    }
}

/// Names and hashes.
pub(super) fn users(mapping: Mapping) -> Vec<(String, SecretString)> {
    let problems = mapping.problems.clone();
    let mut users = Vec::new();
    for (place, name, hash) in mapping.texts() {
        let told = user(&name).and_then(|()| bcrypt_hash(&hash));
        match told {
            Ok(()) => users.push((name, SecretString::from(hash))),
            Err((wrong, remedy)) => problems.add(place.problem(wrong, remedy)),
        }
    }
    users
}

fn user(name: &str) -> Result<(), Wrong> {
    if name.contains(':') {
        let wrong = "the name of a user has no colon".to_owned();
        return Err((wrong, "choose another name".to_owned()));
    }
    Ok(())
}

/// The text is a secret, so the problem does not quote it.
fn bcrypt_hash(text: &str) -> Result<(), Wrong> {
    let Ok(parts) = HashParts::from_str(text) else {
        let remedy = "\"htpasswd -nBC 10 NAME\" (apache2-utils) prints one after the colon";
        return Err(("is no bcrypt hash".to_owned(), remedy.to_owned()));
    };
    if parts.get_cost() > COSTLIEST {
        let wrong = format!("the cost of the hash is {}", parts.get_cost());
        let remedy = format!("use a cost of 10; above {COSTLIEST} no scrape would end in time");
        return Err((wrong, remedy));
    }
    Ok(())
}

/// `interval` and `burst`; no interval means no limit.
pub(super) fn rate(mut mapping: Mapping) -> Option<Rate> {
    let interval = mapping.parsed("interval", interval);
    let burst = mapping.parsed("burst", burst);
    let (place, problems) = (mapping.place.clone(), mapping.problems.clone());
    mapping.finish();
    let interval = interval.filter(|interval| !interval.is_zero())?;
    if burst.unwrap_or_default() == 0 {
        let wrong = "a burst of 0 lets no request in";
        problems.add(place.problem(wrong, "write for example burst: 20"));
    }
    Some(Rate {
        interval,
        burst: burst.unwrap_or_default(),
    })
}

fn interval(text: &str) -> Result<Duration, Wrong> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let interval = text.parse::<SignedDuration>().ok();
    let interval = interval.and_then(|interval| Duration::try_from(interval).ok());
    interval.ok_or_else(|| {
        let remedy = "write for example 1s or 200ms, or 0 for no limit";
        ("is not a duration".to_owned(), remedy.to_owned())
    })
}

fn burst(text: &str) -> Result<u32, Wrong> {
    text.parse().map_err(|_| {
        let remedy = "write how many requests may come at once, for example 20";
        ("is not a whole number".to_owned(), remedy.to_owned())
    })
}
