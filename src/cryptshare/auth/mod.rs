//! The verification token of one sender: held, renewed ahead of time and when
//! the server refuses it, one renewal at a time.
//!
//! Two ways lead to a token. With a client id that is registered it is asked
//! for at any time; with a mailed code a human fetches it once in a while
//! (`verify`) and leaves it in the file, where it is found at the next call. A
//! new token is tried by one call before the others use it. So a server that
//! refuses whatever it hands out is asked for little more than in health.
//!
//! **Invariants.** A token never leaves its secret type but as a header. After
//! a refused renewal, or a new token that was refused, nobody renews again
//! before the pause is over, however many reads wait.

mod held;

use std::{io, sync::Arc};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use self::held::{Held, Refusal};
use super::{
    Endpoint, Error, SenderSettings, Settings,
    answers::Methods,
    identity::Identity,
    tokens::{Flow, Kept, TokenFile},
    transport::Transport,
    verification,
};
use crate::model::{Reason, Verification};

pub(super) use self::held::Token;

/// A sender as the server knows it.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) identity: Identity,
    file: TokenFile,
    held: Arc<Mutex<Held>>,
}

impl Login {
    /// A login that takes up the token that an earlier process has kept.
    pub(super) fn new(settings: &Settings, sender: &SenderSettings) -> Self {
        let directory = settings.token_directory.as_deref();
        let file = directory.map(|d| TokenFile::new(d, &sender.id, &settings.client_id));
        let file = file.unwrap_or_default();
        let mut held = Held {
            seen: file.stamp(),
            ..Held::default()
        };
        if let Some(kept) = file.read() {
            held.take(kept);
        }
        Self {
            identity: Identity::new(settings, sender),
            file,
            held: Arc::new(Mutex::new(held)),
        }
    }

    /// The login of the same sender, which may be spelled otherwise: what is
    /// held is shared.
    pub(super) fn follow(&self, settings: &Settings, sender: &SenderSettings) -> Self {
        Self {
            identity: Identity::new(settings, sender),
            ..self.clone()
        }
    }

    /// The token to ask with, renewed first if it is about to end or has been
    /// refused for long enough.
    pub(super) async fn token(&self, transport: &Transport) -> Result<Token, Error> {
        let mut held = self.held.lock().await;
        let now = transport.server_now();
        self.look(&mut held, now);
        match held.token.clone() {
            Some(token) if !held.is_due(&token, now) => Ok(Token {
                is_suspect: held.refused.is_some(),
                ..token
            }),
            Some(token) if !held.is_dead(now) => {
                // A renewal ahead of time may fail; the old token is good yet.
                let renewed = self.renew(&mut held, transport, false).await;
                Ok(renewed.unwrap_or_else(|error| self.postpone(&mut held, token, &error)))
            }
            _ => self.renew(&mut held, transport, true).await,
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
        let now = transport.server_now();
        self.look(&mut held, now);
        if let Some(refusal) = held.pause() {
            return Err(error.with_reason(refusal.reason));
        }
        let other = held.token.clone().filter(|t| t.number != refused.number);
        if let Some(token) = other.filter(|_| held.refused.is_none()) {
            drop(held);
            return ask(token).await;
        }
        held.lose(refused, now);
        let token = self.renew(&mut held, transport, true).await?;
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
            _ => self.renew(&mut held, transport, true).await.map(|_| ()),
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
        let now = transport.server_now();
        let mut held = self.held.lock().await;
        if let Some(token) = &mut held.token {
            // A date in the past contradicts the answer that it stands in.
            let until = until.filter(|until| *until > now);
            let kept = Arc::make_mut(&mut token.kept);
            kept.valid_until = until.or(kept.valid_until);
        }
    }

    /// Whether the sender may ask.
    pub(super) async fn verification(&self, transport: &Transport) -> Verification {
        let held = self.held.lock().await;
        let now = transport.server_now();
        match &held.token {
            _ if held.refused.is_some() => Verification::Missing,
            Some(token) if token.is_valid(now) => Verification::Valid {
                until: token.kept.valid_until,
                needs_human: held.needs_human,
            },
            Some(_) => Verification::Missing,
            None => Verification::Unknown,
        }
    }

    /// Whether a token could be kept now.
    pub(super) fn can_keep(&self) -> io::Result<()> {
        self.file.rehearse()
    }

    /// Exchanges a mailed code for a token and keeps it in the file. The error
    /// within is that of the disk.
    pub(super) async fn redeem(
        &self,
        code: &SecretString,
        transport: &Transport,
    ) -> Result<io::Result<Option<Timestamp>>, Error> {
        let kept = self.ask(Flow::Code, Some(code), transport).await?;
        let until = kept.valid_until;
        Ok(self.file.write(&kept).map(|()| until))
    }

    /// Takes up a token that somebody has put into the file.
    fn look(&self, held: &mut Held, now: Timestamp) {
        let stamp = self.file.stamp();
        if stamp == held.seen {
            return;
        }
        held.seen = stamp;
        let held_secret = held.token.as_ref().map(|t| t.kept.secret.expose_secret());
        let is_new = |kept: &Kept| held_secret != Some(kept.secret.expose_secret());
        let brought = self.file.read().filter(|kept| kept.is_valid(now));
        if let Some(kept) = brought.filter(is_new) {
            let until = kept.valid_until.map(|until| until.to_string());
            let Identity { server, label, .. } = &self.identity;
            tracing::info!(server, sender = label, until, "found a verification token");
            held.bring(kept);
        }
    }

    /// What is done when a token that is good yet could not be renewed.
    fn postpone(&self, held: &mut Held, token: Token, error: &Error) -> Token {
        held.rest();
        held.needs_human = error.reason() == Reason::NotVerified;
        let Identity { server, label, .. } = &self.identity;
        let until = token.kept.valid_until.map(|until| until.to_string());
        if !held.needs_human {
            tracing::debug!(server, sender = label, %error, "renewed no token ahead of time");
        } else if held.reminds() {
            tracing::warn!(
                server,
                sender = label,
                until,
                %error,
                "the verification ends soon, and nobody but a human can renew it"
            );
        }
        token
    }

    async fn renew(
        &self,
        held: &mut Held,
        transport: &Transport,
        is_dead: bool,
    ) -> Result<Token, Error> {
        if let Some(refusal) = held.pause() {
            let action = Endpoint::VerificationToken.action();
            return Err(Error::new(action, refusal.reason, self.why_paused(held)));
        }
        let asked = self.ask_unattended(held, transport).await;
        let kept = asked.inspect_err(|error| {
            if is_dead && error.reason() == Reason::NotVerified {
                held.refuse();
            }
        })?;
        let token = held.take(kept);
        match self.file.write(&token.kept) {
            Ok(()) => held.seen = self.file.stamp(),
            Err(error) => {
                tracing::warn!(%error, "the verification token could not be kept on disk");
            }
        }
        Ok(token)
    }

    fn why_paused(&self, held: &Held) -> String {
        match held.unregistered() {
            Some(methods) if held.token.is_none() => self.remedy(methods).to_owned(),
            _ => "the last renewal did not help; the next one waits".to_owned(),
        }
    }

    /// Asks for a token as the client id alone permits it. Where only a code
    /// would help, the server is asked for the ways first: it may have learned
    /// of the client id.
    async fn ask_unattended(&self, held: &mut Held, transport: &Transport) -> Result<Kept, Error> {
        if held.unregistered().is_some() {
            held.methods = self.methods(transport).await?;
            self.check(held)?;
        }
        let asked = self.ask(Flow::ClientId, None, transport).await;
        if let Err(error) = &asked
            && error.reason() == Reason::NotVerified
        {
            let methods = self.methods(transport).await;
            held.methods = methods.unwrap_or_default();
            self.check(held)?;
        }
        asked
    }

    /// Whether the server lets a client id have a token, as far as it tells.
    fn check(&self, held: &Held) -> Result<(), Error> {
        let Some(methods) = held.unregistered() else {
            return Ok(());
        };
        let action = Endpoint::VerificationToken.action();
        Err(Error::new(
            action,
            Reason::NotVerified,
            self.remedy(methods),
        ))
    }

    /// What a human can do.
    const fn remedy(&self, methods: Methods) -> &'static str {
        match (methods.email, self.file.is_kept()) {
            (true, true) => {
                "the server verifies this sender by a mailed code; run cryptshare-exporter verify for it"
            }
            (true, false) => {
                "the server verifies this sender by a mailed code, and there is no [state] directory \
                 to keep its token in; add one, then run cryptshare-exporter verify"
            }
            (false, _) => {
                "the server does not know the client id; have it registered for client-id \
                 verification, or have verification by email switched on"
            }
        }
    }

    /// How the server would verify the sender, if it tells.
    pub(super) async fn methods(&self, transport: &Transport) -> Result<Option<Methods>, Error> {
        let standing = verification::standing(transport, &self.identity).await?;
        Ok(standing.value.methods)
    }

    async fn ask(
        &self,
        flow: Flow,
        code: Option<&SecretString>,
        transport: &Transport,
    ) -> Result<Kept, Error> {
        let grant = verification::token(transport, &self.identity, code).await?;
        let now = transport.server_now();
        Ok(Kept {
            secret: grant.token,
            // A new token that has ended already has a date that means nothing.
            valid_until: grant.valid_until.filter(|until| *until > now),
            granted_at: Some(now),
            flow,
        })
    }
}
