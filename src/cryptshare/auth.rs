//! The verification token of one sender: held, renewed ahead of time and when
//! the server refuses it, one renewal at a time.
//!
//! A new token is tried by one call before the others use it. So a server that
//! refuses whatever it hands out is asked for little more than in health.
//!
//! **Invariants.** A token never leaves its secret type but as a header. After
//! a refused renewal, or a new token that was refused, nobody renews again
//! before the pause is over, however many reads wait.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use secrecy::SecretString;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Endpoint, Error, answers,
    tokens::TokenFile,
    transport::{Call, Transport},
    versions::PLAIN_MINOR,
};
use crate::model::{Reason, Verification};

/// A token is renewed this long before it ends, or after half its life if
/// that is shorter.
const RENEW_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// After a renewal that did not help, the next one waits this long: a round of
/// many reads asks once, and a human's remedy is seen within a minute.
const PAUSE: Duration = Duration::from_secs(30);

/// A sender as the server knows it.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// The address in its configured spelling.
    pub(super) address: String,
    /// `Accept-Language`.
    pub(super) language: String,
    file: TokenFile,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    token: Option<Token>,
    refused: Option<Refusal>,
    renewals: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    valid_until: Option<Timestamp>,
    renew_at: Option<Timestamp>,
    number: u64,
    /// The last new token was refused; this one has to prove itself.
    is_suspect: bool,
}

impl Token {
    fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    reason: Reason,
    until: Instant,
}

impl Refusal {
    fn now(reason: Reason) -> Self {
        Self {
            reason,
            until: Instant::now() + PAUSE,
        }
    }
}

impl Login {
    /// A login that takes up the token that an earlier process has kept.
    pub(super) fn new(address: String, language: String, file: TokenFile) -> Self {
        let kept = file.read().map(|(secret, valid_until)| Token {
            secret,
            valid_until,
            // Its age is not known, so only its end counts.
            renew_at: valid_until.and_then(|until| until.checked_sub(RENEW_AHEAD).ok()),
            number: 0,
            is_suspect: false,
        });
        let held = Held {
            token: kept,
            ..Held::default()
        };
        Self {
            address,
            language,
            file,
            held: Arc::new(Mutex::new(held)),
        }
    }

    /// The token to ask with, renewed first if it is about to end or has been
    /// refused for long enough.
    pub(super) async fn token(&self, transport: &Transport) -> Result<Token, Error> {
        let mut held = self.held.lock().await;
        let now = transport.server_now();
        let retries = held.refused.is_some_and(|r| Instant::now() >= r.until);
        match held.token.clone() {
            Some(token) if !retries && token.renew_at.is_none_or(|at| now < at) => Ok(Token {
                is_suspect: held.refused.is_some(),
                ..token
            }),
            known => {
                // A renewal ahead of time may fail; the old token is good yet.
                let renewed = self.renew(&mut held, transport).await;
                renewed.or_else(|error| known.filter(|t| t.is_valid(now)).ok_or(error))
            }
        }
    }

    /// Asks again after `refused` was refused: with the token that somebody
    /// else has renewed meanwhile, or with one that is renewed now. Whoever
    /// comes second waits for what the first one finds.
    pub(super) async fn retry<T>(
        &self,
        (refused, error): (&Token, Error),
        transport: &Transport,
        ask: impl AsyncFnOnce(Token) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut held = self.held.lock().await;
        if let Some(refusal) = held.refused.filter(|r| Instant::now() < r.until) {
            return Err(error.with_reason(refusal.reason));
        }
        let other = held.token.clone().filter(|t| t.number != refused.number);
        if let Some(token) = other.filter(|_| held.refused.is_none()) {
            drop(held);
            return ask(token).await;
        }
        let token = self.renew(&mut held, transport).await?;
        let answer = ask(token).await;
        match &answer {
            Err(error) if error.reason() == Reason::Unauthorized => {
                held.refused = Some(Refusal::now(Reason::Unauthorized));
            }
            Err(_) => {}
            Ok(_) => held.refused = None,
        }
        answer
    }

    /// Renews the token, unless somebody else has done so meanwhile.
    pub(super) async fn replace(&self, old: &Token, transport: &Transport) -> Result<(), Error> {
        let mut held = self.held.lock().await;
        match &held.token {
            Some(token) if token.number != old.number => Ok(()),
            _ => self.renew(&mut held, transport).await.map(|_| ()),
        }
    }

    /// Takes in that a token has proved itself.
    pub(super) async fn trust(&self, token: &Token) {
        if token.is_suspect {
            self.held.lock().await.refused = None;
        }
    }

    /// Takes in that the server does not hold the sender verified, although
    /// the token is new.
    pub(super) async fn distrust(&self) {
        self.held.lock().await.refused = Some(Refusal::now(Reason::NotVerified));
    }

    /// Takes over what GET verification said about the token's end.
    pub(super) async fn note_validity(&self, until: Option<Timestamp>, transport: &Transport) {
        let mut held = self.held.lock().await;
        if let Some(token) = &mut held.token {
            token.valid_until = until.or(token.valid_until);
            token.renew_at = renew_at(token.valid_until, transport.server_now());
        }
    }

    /// Whether the sender may ask.
    pub(super) async fn verification(&self, transport: &Transport) -> Verification {
        let held = self.held.lock().await;
        let now = transport.server_now();
        match &held.token {
            _ if held.refused.is_some() => Verification::Missing,
            Some(token) if token.is_valid(now) => Verification::Valid {
                until: token.valid_until,
            },
            Some(_) => Verification::Missing,
            None => Verification::Unknown,
        }
    }

    async fn renew(&self, held: &mut Held, transport: &Transport) -> Result<Token, Error> {
        if let Some(refusal) = held.refused.filter(|r| Instant::now() < r.until) {
            let detail = "the last renewal did not help; the next one waits";
            let action = Endpoint::VerificationToken.action();
            return Err(Error::new(action, refusal.reason, detail));
        }
        let asked = self.ask(transport).await;
        let token = asked.inspect_err(|error| {
            if error.reason() == Reason::NotVerified {
                held.token = None;
                held.refused = Some(Refusal::now(Reason::NotVerified));
            }
        })?;
        held.renewals += 1;
        // Where the last new token was refused, this one is on trial.
        let on_trial = held.refused.filter(|r| r.reason == Reason::Unauthorized);
        held.refused = on_trial.map(|refusal| Refusal::now(refusal.reason));
        let token = Token {
            number: held.renewals,
            is_suspect: held.refused.is_some(),
            ..token
        };
        held.token = Some(token.clone());
        if let Err(error) = self.file.write(&token.secret, token.valid_until) {
            tracing::warn!(%error, "the verification token could not be kept on disk");
        }
        Ok(token)
    }

    async fn ask(&self, transport: &Transport) -> Result<Token, Error> {
        let call = Call {
            endpoint: Endpoint::VerificationToken,
            method: Method::POST,
            url: transport.url_of(&self.address, &["verification", "token"]),
            minor: PLAIN_MINOR,
            token: None,
            language: &self.language,
        };
        let body = transport.send(call).await.map_err(|error| {
            // A token that is refused here is no token that ran out: a human
            // has to register the client id.
            let is_refused = error.reason() == Reason::Unauthorized;
            if is_refused {
                error.with_reason(Reason::NotVerified)
            } else {
                error
            }
        })?;
        let grant = answers::token(&body)?;
        let now = transport.server_now();
        // A new token that has ended already has a date that means nothing.
        let valid_until = grant.valid_until.filter(|until| *until > now);
        Ok(Token {
            secret: grant.token,
            valid_until,
            renew_at: renew_at(valid_until, now),
            number: 0,
            is_suspect: false,
        })
    }
}

fn renew_at(valid_until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let until = valid_until?;
    let life = until.duration_since(now);
    let ahead = RENEW_AHEAD.min(life / 2);
    let soonest = now.checked_add(PAUSE).ok();
    until.checked_sub(ahead).ok().max(soonest)
}
