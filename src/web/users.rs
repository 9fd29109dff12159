//! Names and passwords, as HTTP's Basic scheme brings them.
//!
//! A password is verified once by bcrypt, which is slow by design; after that
//! it is known by its keyed hash.
//!
//! **Invariants.** An unknown name costs as much as a wrong password. One
//! password is verified at a time, however many are tried, and who is known
//! waits for none of them. What is remembered is one keyed hash for each user,
//! so nobody can push out another's, and a part of such a hash of those that
//! were wrong or turned away; no password is kept.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use bcrypt::HashParts;
use hyper::{HeaderMap, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tokio::task::spawn_blocking;

use super::{
    marks::{Mark, Marks},
    turns::{Busy, Line, Turn, Turns},
};
use crate::net::Peer;

/// What was wrong lately is wrong without bcrypt: so many at 20 a second are
/// three minutes of guesses.
const WRONG: usize = 4096;

/// Who was turned away goes first when he comes again. Some thousand a second
/// push him out no sooner than a scraper's interval.
const TURNED_AWAY: usize = 65_536;

/// Everybody who is known; never nobody.
#[derive(Debug)]
pub(super) struct Users {
    by_name: HashMap<String, User>,
    /// The hash that takes the longest: unknown names are compared with it.
    slowest: SecretString,
    key: hmac::Key,
    turns: Turns,
    wrong: Marks,
    turned_away: Marks,
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
            turns: Turns::default(),
            wrong: Marks::new(WRONG),
            turned_away: Marks::new(TURNED_AWAY),
        })
    }

    /// Whether `headers` hold the name and the password of one of them, or why
    /// that cannot be told now.
    pub(super) async fn know(&self, headers: &HeaderMap, peer: &Peer) -> Result<bool, Busy> {
        let Some((name, password)) = credentials(headers) else {
            return Ok(false);
        };
        let tag = self.tag(&name, &password);
        let user = self.by_name.get(&name);
        if let Some(told) = self.remembered(user, &tag) {
            return Ok(told);
        }
        let turn = self.turn(Mark::of(&tag), peer).await?;
        // The same may have been verified while we waited.
        if let Some(told) = self.remembered(user, &tag) {
            return Ok(told);
        }
        let hash = user.map_or(&self.slowest, |user| &user.hash);
        let is_right = verify(password, hash.clone(), turn).await;
        match user {
            Some(user) if is_right => user.remember(tag),
            Some(_) | None => self.wrong.add(Mark::of(&tag)),
        }
        Ok(is_right && user.is_some())
    }

    /// The keyed hash of a name and its password.
    fn tag(&self, name: &str, password: &SecretSlice<u8>) -> hmac::Tag {
        let mut signing = hmac::Context::with_key(&self.key);
        signing.update(name.as_bytes());
        // No name has a colon.
        signing.update(b":");
        signing.update(password.expose_secret());
        signing.sign()
    }

    /// What is known without bcrypt.
    fn remembered(&self, user: Option<&User>, tag: &hmac::Tag) -> Option<bool> {
        if user.is_some_and(|user| user.has_shown(tag)) {
            return Some(true);
        }
        self.wrong.has(Mark::of(tag)).then_some(false)
    }

    /// Waits for a turn at bcrypt as long as the peer does.
    async fn turn(&self, mark: Mark, peer: &Peer) -> Result<Turn, Busy> {
        let line = if self.turned_away.has(mark) {
            Line::Again
        } else {
            Line::of(peer.address())
        };
        let turn = tokio::select! {
            turn = self.turns.take(line) => turn,
            () = peer.gone() => return Err(Busy::Line),
        };
        turn.inspect_err(|_| self.turned_away.add(mark))
    }
}

/// Asks bcrypt. It runs to its end even if the peer hangs up, and keeps the turn
/// until then.
async fn verify(password: SecretSlice<u8>, hash: SecretString, turn: Turn) -> bool {
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
    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

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

    /// What comes of a future at once.
    fn look<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Option<T> {
        let mut cx = Context::from_waker(Waker::noop());
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }

    async fn knows(users: &Users, headers: &HeaderMap) -> bool {
        users.know(headers, &Peer::default()).await.unwrap()
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
                assert!(knows(&users, &header("Basic", pair)).await, "{pair}");
                assert!(knows(&users, &header("bAsIC", pair)).await, "{pair}");
                assert!(!knows(&users, &header("Bearer", pair)).await, "{pair}");
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
                assert!(!knows(&users, &header("Basic", pair)).await, "{pair}");
            }
        }
        assert!(!knows(&users, &HeaderMap::new()).await);
        for odd in ["Basic", "Basic !", "Basic YQ", "Basic \u{7f}"] {
            let odd = HeaderValue::from_bytes(odd.as_bytes());
            let headers = odd.map(|odd| HeaderMap::from_iter([(AUTHORIZATION, odd)]));
            assert!(!knows(&users, &headers.unwrap_or_default()).await);
        }
    }

    #[tokio::test]
    async fn a_password_is_verified_once_and_wrong_ones_push_nothing_out() {
        let users = users();
        let right = header("Basic", "ada:word of ada");
        assert!(knows(&users, &right).await);
        // Nobody gets a turn any more, so what is known is known without bcrypt.
        let turn = users.turns.take(Line::Local).await.unwrap();
        assert!(knows(&users, &right).await);
        drop(turn);
        for n in 0..20 {
            let wrong = header("Basic", &format!("ada:{n}"));
            assert!(!knows(&users, &wrong).await);
        }
        let _turn = users.turns.take(Line::Local).await.unwrap();
        assert!(knows(&users, &right).await);
        assert!(!knows(&users, &header("Basic", "ada:7")).await);
    }

    #[tokio::test]
    async fn who_is_turned_away_goes_first_when_he_comes_again_and_who_hangs_up_leaves() {
        let users = users();
        let peer = Peer::default();
        let turn = users.turns.take(Line::Local).await.unwrap();
        let crowd = (0..10).map(|n| header("Basic", &format!("ada:{n}")));
        let crowd: Vec<_> = crowd.collect();
        let asked = crowd.iter().map(|wrong| Box::pin(users.know(wrong, &peer)));
        let mut asked: Vec<_> = asked.collect();
        let told: Vec<_> = asked.iter_mut().filter_map(look).collect();
        assert_eq!(told, [Err(Busy::Line); 6]);
        let again = crowd.iter().filter(|wrong| {
            let (name, password) = credentials(wrong).unwrap();
            users
                .turned_away
                .has(Mark::of(&users.tag(&name, &password)))
        });
        assert_eq!(again.count(), 6);
        peer.hang_up();
        let gone = asked.iter_mut().take(4).filter_map(look);
        assert_eq!(gone.count(), 4);
        let right = header("Basic", "ada:word of ada");
        let other = Peer::default();
        let mut waits = Box::pin(users.know(&right, &other));
        assert!(look(&mut waits).is_none(), "there is a place in the line");
        drop(turn);
        assert_eq!(waits.await, Ok(true));
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
