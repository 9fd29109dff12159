//! A secret, inline or from a file.
//!
//! **Invariants.** The value of a secret is in no problem.

use secrecy::{ExposeSecret, SecretString};

use super::{Surroundings, Table};
use crate::config::{document::Place, values};

/// Bits of a file's mode that let others read it.
const READABLE_BY_OTHERS: u32 = 0o004;

/// The two keys of a secret.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    inline: &'static str,
    file: &'static str,
    remedy: &'static str,
}

const CLIENT_ID: Keys = Keys {
    inline: "client_id",
    file: "client_id_file",
    remedy: "create the file with the client id as its only line",
};

const RECIPIENT_HASH_KEY: Keys = Keys {
    inline: "recipient_hash_key",
    file: "recipient_hash_key_file",
    remedy: "create the file with the hash key as its only line",
};

const PRIVATE_KEY: Keys = Keys {
    inline: "key",
    file: "key_file",
    remedy: "name a file with the private key of cert_file, in PEM",
};

const PROXY_URL: Keys = Keys {
    inline: "proxy_url",
    file: "proxy_url_file",
    remedy: "create the file with the URL of the proxy as its only line",
};

/// What a table says of a secret.
pub(super) enum Given {
    Not,
    /// There is a problem, which has been told.
    Wrong,
    Is(Place, SecretString),
}

/// `client_id` or `client_id_file`, exactly one of them.
pub(super) fn client_id(table: &mut Table<'_>, around: &Surroundings) -> Option<SecretString> {
    match checked(table, around, CLIENT_ID, values::client_id) {
        Given::Is(_, secret) => Some(secret),
        Given::Wrong => None,
        Given::Not => {
            let remedy = "add client_id_file, or client_id";
            table.wrong("there is no client id", remedy);
            None
        }
    }
}

/// `recipient_hash_key` or `recipient_hash_key_file`, at most one of them.
pub(super) fn recipient_hash_key(table: &mut Table<'_>, around: &Surroundings) -> Given {
    checked(table, around, RECIPIENT_HASH_KEY, values::hash_key)
}

/// `key` or `key_file`, at most one of them.
pub(super) fn private_key(table: &mut Table<'_>, around: &Surroundings) -> Given {
    checked(table, around, PRIVATE_KEY, values::private_key)
}

/// `proxy_url` or `proxy_url_file`, at most one of them.
pub(super) fn proxy_url(table: &mut Table<'_>, around: &Surroundings) -> Given {
    checked(table, around, PROXY_URL, values::proxy_url)
}

type Check = fn(&str) -> Result<(), values::Wrong>;

/// Each of the two that stands there is checked, also where both do.
fn checked(table: &mut Table<'_>, around: &Surroundings, keys: Keys, check: Check) -> Given {
    let inline = table.text(keys.inline);
    let file = table.text(keys.file);
    let problems = table.problems.clone();
    let stands_beside = match (&inline, &file) {
        (Some((place, _)), Some(_)) => {
            let wrong = format!("stands beside {}", keys.file);
            problems.add(place.problem(wrong, "keep one of them"));
            true
        }
        _ => false,
    };
    let inline =
        inline.map(|(place, text)| judged(table, &place, (text.into(), check), str::to_owned));
    let file = file.map(|(place, name)| from_file(table, around, (place, &name), (keys, check)));
    match file.or(inline) {
        Some(_) if stands_beside => Given::Wrong,
        Some(given) => given,
        // A value of a wrong type has been told where it was read.
        None if table.is_told(keys.inline) || table.is_told(keys.file) => Given::Wrong,
        None => Given::Not,
    }
}

/// The secret, if it is one; what is wrong is told as `tell` has it.
fn judged(
    table: &Table<'_>,
    place: &Place,
    (secret, check): (SecretString, Check),
    tell: impl FnOnce(&str) -> String,
) -> Given {
    match check(secret.expose_secret()) {
        Ok(()) => Given::Is(place.clone(), secret),
        Err((wrong, remedy)) => {
            table.problems.add(place.problem(tell(&wrong), remedy));
            Given::Wrong
        }
    }
}

fn from_file(
    table: &Table<'_>,
    around: &Surroundings,
    (place, name): (Place, &str),
    (keys, check): (Keys, Check),
) -> Given {
    match read(around, name) {
        Ok((secret, mode)) => {
            if mode & READABLE_BY_OTHERS != 0 {
                let wrong = "everybody on the machine can read the file";
                around.warn(&place, wrong, "run chmod o-r on it");
            }
            judged(table, &place, (secret, check), |wrong| {
                format!("{name}: {wrong}")
            })
        }
        Err((path, error)) => {
            // Whoever wrote the secret in place of the file's name must not
            // find it in a log.
            let is_the_secret = check(name).is_ok();
            let shown = if is_the_secret { "the file" } else { &path };
            let wrong = format!("{shown} cannot be read ({error})");
            table.problems.add(place.problem(wrong, keys.remedy));
            Given::Wrong
        }
    }
}

fn read(around: &Surroundings, name: &str) -> Result<(SecretString, u32), (String, String)> {
    let content = around.read(name)?;
    let text = String::from_utf8(content.bytes);
    let text = text.map_err(|_| (name.to_owned(), "it is not text".to_owned()))?;
    Ok((SecretString::from(text.trim_end()), content.mode))
}
