//! Texts of the configuration into values, each with what would be right.
//!
//! **Invariants.** Pure, and total: every text gives a value or a remedy.

use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use url::Url;

use crate::{
    model::{TrackingId, identity},
    printable::is_obeyed,
};

/// A text that is wrong, and what would be right.
pub(super) type Wrong = (String, String);

/// The units of a duration in seconds.
const UNITS: [(&str, u64); 5] = [
    ("s", 1),
    ("m", 60),
    ("h", 3600),
    ("d", 86_400),
    ("w", 604_800),
];

/// Units below a second, which others know.
const TOO_SMALL: [&str; 5] = ["ms", "us", "µs", "μs", "ns"];

/// The longest duration: far beyond any use, and safe to add to any date.
const LONGEST: Duration = Duration::from_hours(24 * 3660);

/// A duration such as `60s`, `1m 30s` or `7d`, of at least a second.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = |what: &str| {
        let wrong = format!("\"{text}\" {what}");
        (
            wrong,
            "write for example \"30s\", \"1m 30s\", \"24h\" or \"7d\"".to_owned(),
        )
    };
    let begins_well = text.starts_with(|c: char| c.is_ascii_digit());
    if begins_well && TOO_SMALL.iter().any(|unit| text.ends_with(unit)) {
        return Err(wrong("has a unit that is too small: the least is \"1s\""));
    }
    let seconds = seconds(text).ok_or_else(|| wrong("is not a duration"))?;
    let duration = Duration::from_secs(seconds);
    if duration.is_zero() || duration > LONGEST {
        return Err(wrong("is not between 1s and ten years"));
    }
    Ok(duration)
}

fn seconds(text: &str) -> Option<u64> {
    let mut sum = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, tail) = tail.split_at(end.unwrap_or(tail.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = tail.trim_start();
    }
    Some(sum)
}

/// The address of a server: http or https, a host, perhaps a path prefix.
pub(super) fn url(text: &str) -> Result<Url, Wrong> {
    let wrong = |what: &str| {
        let remedy = "write for example \"https://transfer.example.com\"";
        (what.to_owned(), remedy.to_owned())
    };
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return Err(wrong("is not an http or https URL"));
        }
        Err(error) => return Err(wrong(&format!("is not a URL ({error})"))),
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the URL holds a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("the URL has a query or a fragment"));
    }
    if url.path().trim_end_matches('/').ends_with("/api") {
        return Err(wrong(
            "the URL ends in /api, which the exporter adds itself",
        ));
    }
    Ok(url)
}

/// A text that is shown to people holds nothing that would be obeyed instead.
fn shown(text: &str) -> Result<(), Wrong> {
    match text.chars().find(|c| is_obeyed(*c)) {
        None => Ok(()),
        Some(c) => {
            let wrong = format!(
                "has the character U+{:04X}, which cannot be seen",
                u32::from(c)
            );
            Err((wrong, "type it anew instead of pasting it".to_owned()))
        }
    }
}

/// An address of a sender, as far as it can be judged from its form.
pub(super) fn address(text: &str) -> Result<String, Wrong> {
    shown(text)?;
    if !identity::is_address(text) {
        let wrong = "is not an email address".to_owned();
        return Err((
            wrong,
            "write for example \"invoices@example.com\"".to_owned(),
        ));
    }
    Ok(text.to_owned())
}

/// A tracking id.
pub(super) fn tracking_id(text: &str) -> Result<TrackingId, Wrong> {
    shown(text)?;
    let remedy = "copy it from the transfer, for example \"20260401-081500-Qx7Lm2Za\"";
    TrackingId::parse(text).map_err(|error| (error.to_string(), remedy.to_owned()))
}

/// The name of a server.
pub(super) fn server_name(text: &str) -> Result<String, Wrong> {
    if !identity::is_server_name(text) {
        let wrong = "cannot be a name".to_owned();
        let remedy = "use up to 200 letters, digits, dots, dashes and underscores";
        return Err((wrong, remedy.to_owned()));
    }
    Ok(text.to_owned())
}

/// A directory.
pub(super) fn directory(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.contains('\0') {
        let remedy = "write for example \"/var/lib/cryptshare-exporter\"";
        return Err(("is not a directory".to_owned(), remedy.to_owned()));
    }
    Ok(text.to_owned())
}

/// A label that is shown to people.
pub(super) fn label(text: &str) -> Result<String, Wrong> {
    shown(text)?;
    let is_bare = text.trim() == text && !text.is_empty();
    if !is_bare || text.len() > 200 {
        let wrong = "is empty, longer than 200 bytes, or has blanks around it";
        return Err((wrong.to_owned(), "write a short name".to_owned()));
    }
    Ok(text.to_owned())
}

/// A value of Accept-Language.
pub(super) fn language(text: &str) -> Result<String, Wrong> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || text.len() > 35 || !text.chars().all(good) {
        let wrong = format!("\"{}\" is not a language tag", text.escape_debug());
        return Err((wrong, "write for example \"en\" or \"de-DE\"".to_owned()));
    }
    Ok(text.to_owned())
}

/// A client id (contract, section 2). Its text is a secret, so the problem
/// does not quote it.
pub(super) fn client_id(text: &str) -> Result<(), Wrong> {
    if text.starts_with('\u{feff}') {
        let wrong = "begins with a byte order mark".to_owned();
        return Err((wrong, "save it as UTF-8 without one".to_owned()));
    }
    if text.contains('\n') {
        let wrong = match text.lines().count() {
            1 => "ends with a line break".to_owned(),
            lines => format!("has {lines} lines"),
        };
        let remedy = "leave the client id as the only one";
        return Err((wrong, remedy.to_owned()));
    }
    let length = text.chars().count();
    if !(50..=4000).contains(&length) || !text.chars().all(|c| c.is_ascii_alphanumeric()) {
        let wrong = format!("the client id of {length} characters breaks the server's rules");
        let remedy = "it has 50 to 4000 characters, letters and digits only";
        return Err((wrong, remedy.to_owned()));
    }
    Ok(())
}

/// The shortest key of a hash: as long as the hash itself, for addresses are
/// easily guessed and the key alone protects them.
const SHORTEST_HASH_KEY: usize = 32;

/// The key of a hash. Its text is a secret, so the problem does not quote it.
pub(super) fn hash_key(text: &str) -> Result<(), Wrong> {
    if text.len() < SHORTEST_HASH_KEY {
        let wrong = format!("the hash key has {} bytes only", text.len());
        let remedy = format!(
            "it has at least {SHORTEST_HASH_KEY}; \"openssl rand -hex 32\" prints a good one"
        );
        return Err((wrong, remedy));
    }
    Ok(())
}

/// A private key in PEM. Its text is a secret, so the problem does not quote
/// it.
pub(super) fn private_key(text: &str) -> Result<(), Wrong> {
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err((
            "holds no private key".to_owned(),
            "give the key in PEM, without a passphrase".to_owned(),
        )),
    }
}

/// The address of a proxy. It may hold a password, so the problem does not
/// quote it.
pub(super) fn proxy_url(text: &str) -> Result<(), Wrong> {
    let url = Url::parse(text).ok();
    let is_good = url.is_some_and(|url| {
        let scheme = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
        let bare = url.query().is_none() && url.fragment().is_none();
        scheme && bare && url.has_host() && matches!(url.path(), "" | "/")
    });
    if !is_good {
        let wrong = "is not the URL of a proxy".to_owned();
        let remedy = "write for example \"http://proxy.example.com:3128\"; \
                      the schemes are http, https, socks5 and socks5h";
        return Err((wrong, remedy.to_owned()));
    }
    Ok(())
}

/// A value of `recipient_labels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelWord {
    Off,
    Hash,
    Plain,
}

/// How recipients are named.
pub(super) fn label_word(text: &str) -> Result<LabelWord, Wrong> {
    match text {
        "off" => Ok(LabelWord::Off),
        "hash" => Ok(LabelWord::Hash),
        "plain" => Ok(LabelWord::Plain),
        other => {
            let wrong = format!("\"{}\" is no way to name recipients", other.escape_debug());
            let remedy = "write \"off\", \"hash\" or \"plain\"";
            Err((wrong, remedy.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, seconds) in [("60s", 60), ("1m 30s", 90), ("1m30s", 90), ("7d", 604_800)] {
            assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["", "60", "1.5s", "0s", "s", "5 s x", "99999w", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["1ms", "500 ms", "5µs", "1s 5ns"] {
            let (wrong, _) = duration(text).unwrap_err();
            assert!(wrong.contains("too small: the least is \"1s\""), "{text}");
        }
        assert!(duration("items").unwrap_err().0.contains("not a duration"));
    }

    #[test]
    fn urls_that_cannot_be_a_server_are_refused() {
        for text in ["https://cs.example.com", "http://127.0.0.1:8080/prefix/"] {
            assert!(url(text).is_ok(), "{text}");
        }
        for text in [
            "cs.example.com",
            "ftp://cs.example.com",
            "https://cs.example.com/api/",
            "https://u:p@cs.example.com",
            "https://cs.example.com/?q",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_and_client_ids_are_judged_by_their_form() {
        assert!(address("Ada.B+c@example.com").is_ok());
        for text in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a/b@c"] {
            assert!(address(text).is_err(), "{text}");
        }
        assert!(client_id(&"a1".repeat(25)).is_ok());
        assert!(client_id(&"a1".repeat(24)).is_err());
        assert!(client_id(&"a-".repeat(30)).is_err());
    }

    #[test]
    fn a_proxy_is_named_by_a_url_that_is_never_quoted() {
        for text in [
            "http://proxy.example.com:3128",
            "https://user:word@proxy.example.com/",
            "socks5://[::1]:1080",
            "socks5h://127.0.0.1:1080",
        ] {
            assert_eq!(proxy_url(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "proxy.example.com:3128",
            "user:canary@proxy:3128",
            "ftp://canary@proxy",
            "socks4://canary",
            "http://proxy/canary",
            "http://proxy?canary",
        ] {
            let (wrong, remedy) = proxy_url(text).unwrap_err();
            assert!(!format!("{wrong}{remedy}").contains("canary"), "{text}");
        }
    }

    #[test]
    fn a_private_key_is_never_quoted() {
        let (wrong, remedy) = private_key("canary").unwrap_err();
        assert!(!format!("{wrong}{remedy}").contains("canary"));
    }

    #[test]
    fn a_short_hash_key_is_refused_without_being_quoted() {
        assert_eq!(hash_key(&"k".repeat(32)), Ok(()));
        let (wrong, _) = hash_key("canary").unwrap_err();
        assert_eq!(wrong, "the hash key has 6 bytes only");
    }
}
