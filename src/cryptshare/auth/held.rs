//! What is held for one sender, and when it is to be renewed.
//!
//! **Invariants.** Pure: dates and instants are arguments. A pause that a
//! server has earned is never shortened but by a token that somebody brings.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::super::{
    answers::Methods,
    tokens::{Flow, Kept},
    transport,
};
use crate::{files::Stamp, model::Reason};

/// A token is renewed a tenth of its life before it ends, but at most this
/// long.
const LONGEST_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// And at least this long, which is some rounds; or half its life if that is
/// shorter.
const LEAST_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A token that only a human can renew is told of this long before it ends.
const TOLD_AHEAD: SignedDuration = SignedDuration::from_hours(3 * 24);

/// After a renewal that did not help, the next one waits this long: a round of
/// many reads asks once, and a human's remedy is seen within a minute.
pub(super) const PAUSE: Duration = Duration::from_secs(30);

/// The longest pause where tokens keep ending early.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// While a token is good, a renewal that failed is not repeated sooner than the
/// last of these.
const LONGEST_REST: Duration = Duration::from_hours(1);

/// A token that is refused at this age has been ended by something.
const YOUNG: Duration = Duration::from_hours(1);

/// So many tokens in a row may end young before renewals pause: an
/// administrator resets them now and then.
const EARLY_ENDS: u32 = 4;

/// A human is reminded so often.
const REMINDER: Duration = Duration::from_hours(24);

/// What is known of a server that a human has a token from.
const BY_CODE: Methods = Methods {
    client_id: false,
    email: true,
};

/// A token in use.
#[derive(Debug, Clone)]
pub(in super::super) struct Token {
    pub(in super::super) kept: Arc<Kept>,
    /// The token as every call carries it.
    pub(in super::super) header: HeaderValue,
    /// Tells it from the ones before it.
    pub(super) number: u64,
    /// When we came to hold it.
    pub(super) taken_at: Instant,
    /// The last new token was refused; this one has to prove itself.
    pub(super) is_suspect: bool,
}

impl Token {
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        self.kept.is_valid(now)
    }
}

/// What is held for one sender.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) token: Option<Token>,
    /// The last renewal, or the token that it brought, was refused.
    pub(super) refused: Option<Refusal>,
    /// What the server said last of how it would verify the sender.
    pub(super) methods: Option<Methods>,
    /// The token cannot be renewed without a human, although it is good yet.
    pub(super) needs_human: bool,
    /// The state of the file that was looked at last.
    pub(super) seen: Option<Stamp>,
    pub(super) taken: u64,
    pub(super) early_ends: u32,
    pub(super) failed_ahead: u32,
    pub(super) rests_until: Option<Instant>,
    pub(super) reminded_at: Option<Instant>,
}

/// Why renewals pause, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    until: Instant,
}

impl Refusal {
    pub(super) fn now(reason: Reason) -> Self {
        Self::lasting(reason, PAUSE)
    }

    fn lasting(reason: Reason, pause: Duration) -> Self {
        Self {
            reason,
            until: Instant::now() + pause,
        }
    }
}

impl Held {
    /// Takes a token into use. Where the last new token was refused, this one
    /// is on trial.
    pub(super) fn take(&mut self, kept: Kept) -> Token {
        self.taken += 1;
        let on_trial = self.refused.filter(|r| r.reason == Reason::Unauthorized);
        self.refused = on_trial.map(|refusal| Refusal::now(refusal.reason));
        if kept.flow == Flow::Code {
            self.methods = Some(BY_CODE);
        }
        self.needs_human = false;
        self.failed_ahead = 0;
        self.rests_until = None;
        self.reminded_at = None;
        let token = Token {
            header: transport::sensitive(&kept.secret),
            kept: Arc::new(kept),
            number: self.taken,
            taken_at: Instant::now(),
            is_suspect: self.refused.is_some(),
        };
        self.token = Some(token.clone());
        token
    }

    /// The same for a token that a human has brought: whatever was refused
    /// before is over.
    pub(super) fn bring(&mut self, kept: Kept) {
        self.refused = None;
        self.early_ends = 0;
        self.take(kept);
    }

    /// What the server offers, if that is not to verify by the client id.
    pub(super) fn unregistered(&self) -> Option<Methods> {
        self.methods.filter(|methods| !methods.client_id)
    }

    /// The refusal after which renewals pause at this moment.
    pub(super) fn pause(&self) -> Option<Refusal> {
        self.refused.filter(|r| Instant::now() < r.until)
    }

    /// Whether the token has to be renewed before anything is asked.
    pub(super) fn is_due(&self, token: &Token, now: Timestamp) -> bool {
        let pause_is_over = self.refused.is_some() && self.pause().is_none();
        let rests = self.rests_until.is_some_and(|until| Instant::now() < until);
        let ends = renew_at(&token.kept).is_some_and(|at| at <= now);
        pause_is_over || (ends && !(rests && token.is_valid(now)))
    }

    /// Whether the token is of no use any more.
    pub(super) fn is_dead(&self, now: Timestamp) -> bool {
        self.refused.is_some() || !self.token.as_ref().is_some_and(|t| t.is_valid(now))
    }

    /// Takes in that a renewal ahead of time has failed: the token is good yet,
    /// so the server is left alone for longer each time.
    pub(super) fn rest(&mut self) {
        let doubled = PAUSE.saturating_mul(2_u32.saturating_pow(self.failed_ahead));
        let rest = if self.unregistered().is_some() {
            LONGEST_REST
        } else {
            doubled.min(LONGEST_REST)
        };
        self.failed_ahead = self.failed_ahead.saturating_add(1);
        self.rests_until = Some(Instant::now() + rest);
    }

    /// Takes in that `lost` was refused. Tokens that keep ending long before
    /// their time are ended by somebody who renews as we do: with each of them
    /// we wait longer, and leave him his.
    pub(super) fn lose(&mut self, lost: &Token, now: Timestamp) {
        let is_early = lost.is_valid(now) && lost.taken_at.elapsed() < YOUNG;
        self.early_ends = if is_early { self.early_ends + 1 } else { 0 };
        if let Some(doublings) = self.early_ends.checked_sub(EARLY_ENDS + 1) {
            let pause = PAUSE.saturating_mul(2_u32.saturating_pow(doublings));
            let pause = pause.min(LONGEST_PAUSE);
            self.refused = Some(Refusal::lasting(Reason::Unauthorized, pause));
        }
    }

    /// Takes in that nobody but a human brings another token.
    pub(super) fn refuse(&mut self) {
        self.token = None;
        self.refused = Some(Refusal::now(Reason::NotVerified));
    }

    /// Whether it is time to remind a human.
    pub(super) fn reminds(&mut self) -> bool {
        let is_time = self.reminded_at.is_none_or(|at| at.elapsed() >= REMINDER);
        if is_time {
            self.reminded_at = Some(Instant::now());
        }
        is_time
    }
}

/// When a token is to be renewed, if it ends at all. Where its age is not known
/// only its end counts.
fn renew_at(kept: &Kept) -> Option<Timestamp> {
    let until = kept.valid_until?;
    let life = kept.granted_at.map(|at| until.duration_since(at));
    let tenth = life.map_or(LEAST_AHEAD, |life| life / 10);
    let ahead = match kept.flow {
        Flow::ClientId => tenth.clamp(LEAST_AHEAD, LONGEST_AHEAD),
        Flow::Code => TOLD_AHEAD,
    };
    let ahead = life.map_or(ahead, |life| ahead.min(life / 2));
    let soonest = kept.granted_at.and_then(|at| at.checked_add(PAUSE).ok());
    until.checked_sub(ahead).ok().max(soonest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(flow: Flow, life: SignedDuration) -> Kept {
        let granted_at = Timestamp::UNIX_EPOCH;
        Kept {
            secret: "t".into(),
            valid_until: Some(granted_at + life),
            granted_at: Some(granted_at),
            flow,
        }
    }

    #[test]
    fn a_token_is_renewed_a_tenth_of_its_life_ahead_within_bounds() {
        let check = |flow, life: SignedDuration, ahead: SignedDuration| {
            let kept = kept(flow, life);
            let at = renew_at(&kept).unwrap();
            assert_eq!(kept.valid_until.unwrap().duration_since(at), ahead);
        };
        let (hours, mins) = (SignedDuration::from_hours, SignedDuration::from_mins);
        check(Flow::ClientId, hours(30 * 24), hours(24));
        check(Flow::ClientId, hours(20), hours(2));
        check(Flow::ClientId, mins(20), mins(5));
        check(Flow::ClientId, mins(4), mins(2));
        // Never sooner than a pause after it was granted.
        check(
            Flow::ClientId,
            SignedDuration::from_secs(40),
            SignedDuration::from_secs(10),
        );
        check(Flow::Code, hours(30 * 24), hours(3 * 24));
        check(Flow::Code, hours(24), hours(12));
        let old = Kept {
            granted_at: None,
            ..kept(Flow::ClientId, hours(100))
        };
        let at = renew_at(&old).unwrap();
        assert_eq!(old.valid_until.unwrap().duration_since(at), LEAST_AHEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_keep_ending_young_are_renewed_ever_more_rarely() {
        let now = Timestamp::UNIX_EPOCH;
        let mut held = Held::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let token = held.take(kept(Flow::ClientId, SignedDuration::from_hours(720)));
            held.refused = None;
            held.lose(&token, now);
            let pause = held.refused.map_or(Duration::ZERO, |refusal| {
                refusal.until.duration_since(Instant::now())
            });
            pauses.push(pause.as_secs());
            tokio::time::advance(pause).await;
        }
        let expect = [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900];
        assert_eq!(pauses, expect);
        let token = held.take(kept(Flow::ClientId, SignedDuration::from_hours(720)));
        held.refused = None;
        tokio::time::advance(YOUNG).await;
        held.lose(&token, now);
        assert!(held.refused.is_none(), "an old token has lived its life");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_ahead_of_time_that_fails_rests_while_the_token_is_good() {
        let mut held = Held::default();
        let token = held.take(kept(Flow::ClientId, SignedDuration::from_hours(100)));
        let near = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(99);
        let over = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(101);
        assert!(held.is_due(&token, near) && !held.is_dead(near));
        held.rest();
        assert!(!held.is_due(&token, near));
        assert!(held.is_due(&token, over), "one that ended cannot wait");
        tokio::time::advance(PAUSE).await;
        assert!(held.is_due(&token, near));
        held.rest();
        tokio::time::advance(PAUSE).await;
        assert!(!held.is_due(&token, near), "the second rest is longer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_human_is_reminded_once_a_day() {
        let mut held = Held::default();
        assert!(held.reminds() && !held.reminds());
        tokio::time::advance(REMINDER).await;
        assert!(held.reminds() && !held.reminds());
    }
}
