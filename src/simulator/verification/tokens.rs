//! Tokens: bound to client id and address, with two ends (contract 3.4).
//!
//! **Invariants.** A token is good for its pair alone, and only until the
//! earlier of its ends.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Pair;

/// How long a token is good.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulator) struct Terms {
    /// In seconds from the verification on.
    maximum: Option<u64>,
    /// In seconds from the last transfer on.
    idle: u64,
}

impl Terms {
    pub(super) const fn new(maximum: Option<u64>, idle: u64) -> Self {
        Self { maximum, idle }
    }
}

/// The tokens that were handed out.
#[derive(Debug)]
pub(in crate::simulator) struct Tokens {
    good: HashMap<String, Grant>,
    /// Every token there ever was, oldest first.
    handed_out: Vec<String>,
    terms: Terms,
}

#[derive(Debug)]
struct Grant {
    client_id: String,
    address: String,
    granted_at: Timestamp,
    used_at: Timestamp,
}

impl Grant {
    fn is_of(&self, (client_id, address): Pair<'_>) -> bool {
        self.client_id == client_id && self.address == address.to_lowercase()
    }

    fn end(&self, terms: Terms) -> Timestamp {
        let idle = after(self.used_at, terms.idle);
        let maximum = terms.maximum.map(|term| after(self.granted_at, term));
        maximum.map_or(idle, |maximum| maximum.min(idle))
    }
}

impl Tokens {
    pub(in crate::simulator) fn new(terms: Terms) -> Self {
        Self {
            good: HashMap::new(),
            handed_out: Vec::new(),
            terms,
        }
    }

    /// Sets other terms, for the tokens that are out there, too.
    pub(in crate::simulator) fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Hands out `token`; the answer is its end.
    pub(in crate::simulator) fn grant(
        &mut self,
        token: String,
        (client_id, address): Pair<'_>,
        now: Timestamp,
    ) -> Timestamp {
        let grant = Grant {
            client_id: client_id.to_owned(),
            address: address.to_lowercase(),
            granted_at: now,
            used_at: now,
        };
        let end = grant.end(self.terms);
        self.handed_out.push(token.clone());
        self.good.insert(token, grant);
        end
    }

    /// Ends every token of the pair.
    pub(in crate::simulator) fn end(&mut self, pair: Pair<'_>) {
        self.good.retain(|_, grant| !grant.is_of(pair));
    }

    /// A transfer was sent with `token`: the idle term of its sender and client
    /// begins anew.
    pub(in crate::simulator) fn refresh(&mut self, token: &str, now: Timestamp) {
        let Some(grant) = self.good.get(token) else {
            return;
        };
        let (client_id, address) = (grant.client_id.clone(), grant.address.clone());
        let own = self.good.values_mut();
        for grant in own.filter(|grant| grant.is_of((&client_id, &address))) {
            grant.used_at = grant.used_at.max(now);
        }
    }

    /// Every token there ever was, oldest first.
    pub(in crate::simulator) fn handed_out(&self) -> &[String] {
        &self.handed_out
    }

    /// By address in lower case, the latest end of its tokens.
    pub(in crate::simulator) fn newest(&self) -> HashMap<&str, Timestamp> {
        let mut newest = HashMap::new();
        for grant in self.good.values() {
            let own = grant.end(self.terms);
            let end = newest.entry(grant.address.as_str()).or_insert(own);
            *end = own.max(*end);
        }
        newest
    }

    /// The end of `token`, if it is good for the pair.
    pub(in crate::simulator) fn valid_until(
        &self,
        token: &str,
        pair: Pair<'_>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let grant = self.good.get(token)?;
        let end = grant.end(self.terms);
        (grant.is_of(pair) && now < end).then_some(end)
    }

    /// Whether `token` is good for any address of the client.
    pub(in crate::simulator) fn is_of(&self, token: &str, client_id: &str, now: Timestamp) -> bool {
        let grant = self.good.get(token);
        grant.is_some_and(|grant| grant.client_id == client_id && now < grant.end(self.terms))
    }

    /// The administrator's reset: no token is good any more.
    pub(in crate::simulator) fn reset(&mut self) {
        self.good.clear();
    }
}

fn after(at: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let end = at.checked_add(SignedDuration::from_secs(seconds));
    end.unwrap_or(Timestamp::MAX)
}
