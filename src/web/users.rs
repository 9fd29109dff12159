//! Names and passwords, as HTTP's Basic scheme brings them.
//!
//! A password is verified once by bcrypt, which is slow by design; after that
//! it is known by its keyed hash.
//!
//! **Invariants.** An unknown name costs as much as a wrong password. One
//! password is verified at a time, however many are tried. What is remembered
//! is one keyed hash for each user, so nobody can push out another's, and no
//! password is kept.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use bcrypt::HashParts;
use hyper::{HeaderMap, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Everybody who is known; never nobody.
#[derive(Debug)]
pub(super) struct Users {
    by_name: HashMap<String, User>,
    /// The hash that takes the longest: unknown names are compared with it.
    slowest: SecretString,
    key: hmac::Key,
    turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct User {
    hash: SecretString,
    /// The keyed hash of the password that was verified last.
    verified: Mutex<Option<hmac::Tag>>,
}

impl Users {
    /// The users with these hashes; none if there is nobody.
    pub(super) fn new(users: Vec<(String, SecretString)>, key: &[u8; 32]) -> Option<Self> {
        let cost = |hash: &SecretString| {
            let parts = HashParts::from_str(hash.expose_secret());
            parts.map_or(0, |parts| parts.get_cost())
        };
        let hashes = users.iter().map(|(_, hash)| hash);
        let slowest = hashes.max_by_key(|hash| cost(hash))?.clone();
        let user = |(name, hash)| {
            let verified = Mutex::default();
            (name, User { hash, verified })
        };
        Some(Self {
            by_name: users.into_iter().map(user).collect(),
            slowest,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether `headers` hold the name and the password of one of them.
    pub(super) async fn know(&self, headers: &HeaderMap) -> bool {
        let Some((name, password)) = credentials(headers) else {
            return false;
        };
        let tag = hmac::sign(&self.key, password.expose_secret());
        let user = self.by_name.get(&name);
        if user.is_some_and(|user| user.has_shown(&tag)) {
            return true;
        }
        let hash = user.map_or(&self.slowest, |user| &user.hash);
        let is_right = self.verify(password, hash.clone()).await;
        match user {
            Some(user) if is_right => {
                user.remember(tag);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Asks bcrypt, when it is our turn. It runs to its end even if the peer
    /// hangs up, and keeps the turn until then.
    async fn verify(&self, password: SecretSlice<u8>, hash: SecretString) -> bool {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let verifying = spawn_blocking(move || {
            let verified = bcrypt::verify(password.expose_secret(), hash.expose_secret());
            drop(turn);
            verified.unwrap_or(false)
        });
        match verifying.await {
            Ok(is_right) => is_right,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process is about to end.
                Err(_) => false,
            },
        }
    }
}

impl User {
    fn has_shown(&self, tag: &hmac::Tag) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.is_some_and(|known| {
            let compared = aws_lc_rs::constant_time::verify_slices_are_equal;
            compared(known.as_ref(), tag.as_ref()).is_ok()
        })
    }

    fn remember(&self, tag: hmac::Tag) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        *verified = Some(tag);
    }
}

/// The name and the password of `Authorization`, if that is the scheme.
fn credentials(headers: &HeaderMap) -> Option<(String, SecretSlice<u8>)> {
    let (scheme, coded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = SecretSlice::from(BASE64_STANDARD.decode(coded.trim()).ok()?);
    let bytes = decoded.expose_secret();
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (name, rest) = bytes.split_at_checked(colon)?;
    let name = String::from_utf8(name.to_vec()).ok()?;
    let password = rest.get(1..)?.to_vec();
    Some((name, SecretSlice::from(password)))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    /// As cheap as bcrypt can be.
    const COST: u32 = 4;

    fn users() -> Users {
        let user = |name: &str| {
            let hash = bcrypt::hash(format!("word of {name}"), COST).unwrap();
            (name.to_owned(), SecretString::from(hash))
        };
        Users::new(vec![user("ada"), user("zoë"), user("")], &[7; 32]).unwrap()
    }

    fn header(scheme: &str, pair: &str) -> HeaderMap {
        let value = format!("{scheme} {}", BASE64_STANDARD.encode(pair));
        let value = HeaderValue::from_str(&value).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    #[tokio::test]
    async fn the_right_password_is_let_in_again_and_again_and_no_other() {
        let users = users();
        for _ in 0..2 {
            for pair in ["ada:word of ada", "zoë:word of zoë", ":word of "] {
                assert!(users.know(&header("Basic", pair)).await, "{pair}");
                assert!(users.know(&header("bAsIC", pair)).await, "{pair}");
                assert!(!users.know(&header("Bearer", pair)).await, "{pair}");
            }
            for pair in [
                "ada:word of zoë",
                "ada:",
                "ada",
                "",
                "eve:word of ada",
                "Ada:word of ada",
                "ada:word of ada ",
            ] {
                assert!(!users.know(&header("Basic", pair)).await, "{pair}");
            }
        }
        assert!(!users.know(&HeaderMap::new()).await);
        for odd in ["Basic", "Basic !", "Basic YQ", "Basic \u{7f}"] {
            let odd = HeaderValue::from_bytes(odd.as_bytes());
            let headers = odd.map(|odd| HeaderMap::from_iter([(AUTHORIZATION, odd)]));
            assert!(!users.know(&headers.unwrap_or_default()).await);
        }
    }

    #[tokio::test]
    async fn a_password_is_verified_once_and_wrong_ones_push_nothing_out() {
        let users = users();
        let right = header("Basic", "ada:word of ada");
        assert!(users.know(&right).await);
        // Nobody gets a turn any more, so what is known is known without bcrypt.
        let turn = users.turn.acquire().await.unwrap();
        assert!(users.know(&right).await);
        drop(turn);
        for n in 0..20 {
            let wrong = header("Basic", &format!("ada:{n}"));
            assert!(!users.know(&wrong).await);
        }
        let _turn = users.turn.acquire().await.unwrap();
        assert!(users.know(&right).await);
    }

    #[test]
    fn unknown_names_are_compared_with_the_slowest_hash() {
        let user = |name: &str, cost| {
            let hash = bcrypt::hash("word", cost).unwrap();
            (name.to_owned(), SecretString::from(hash))
        };
        let users = vec![user("a", COST), user("b", COST + 2), user("c", COST)];
        let slowest = users[1].1.clone();
        let users = Users::new(users, &[0; 32]).unwrap();
        assert_eq!(users.slowest.expose_secret(), slowest.expose_secret());
        assert!(Users::new(Vec::new(), &[0; 32]).is_none());
    }

    #[test]
    fn no_hash_is_shown() {
        assert!(!format!("{:?}", users()).contains("$2"));
    }
}
