//! Tokens: bound to client id and address, with an end (contract, section 3).
//!
//! **Invariants.** A token is good for its pair alone, and only until its end.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// The usual validity (contract 3.4).
const VALIDITY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The tokens that were handed out.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    good: HashMap<String, Grant>,
    /// Every token there ever was, oldest first.
    handed_out: Vec<String>,
}

#[derive(Debug)]
struct Grant {
    client_id: String,
    address: String,
    valid_until: Timestamp,
}

impl Tokens {
    /// Hands out `token`; the answer is its end.
    pub(super) fn grant(
        &mut self,
        token: String,
        (client_id, address): (&str, &str),
        now: Timestamp,
    ) -> Timestamp {
        let valid_until = now.checked_add(VALIDITY).unwrap_or(Timestamp::MAX);
        let grant = Grant {
            client_id: client_id.to_owned(),
            address: address.to_lowercase(),
            valid_until,
        };
        self.handed_out.push(token.clone());
        self.good.insert(token, grant);
        valid_until
    }

    /// Every token there ever was, oldest first.
    pub(super) fn handed_out(&self) -> &[String] {
        &self.handed_out
    }

    /// The latest end of a token of `address`.
    pub(super) fn newest_of(&self, address: &str) -> Option<Timestamp> {
        let address = address.to_lowercase();
        let own = self.good.values().filter(|grant| grant.address == address);
        own.map(|grant| grant.valid_until).max()
    }

    /// The end of `token`, if it is good for the pair.
    pub(super) fn valid_until(
        &self,
        token: &str,
        (client_id, address): (&str, &str),
        now: Timestamp,
    ) -> Option<Timestamp> {
        let grant = self.good.get(token)?;
        let is_of_pair = grant.client_id == client_id && grant.address == address.to_lowercase();
        (is_of_pair && now < grant.valid_until).then_some(grant.valid_until)
    }

    /// The administrator's reset: no token is good any more.
    pub(super) fn reset(&mut self) {
        self.good.clear();
    }
}
