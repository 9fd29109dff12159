//! Who may speak for an address: methods, codes and tokens (contract,
//! section 3).
//!
//! **Invariants.** A code and a token are good for their pair of client id and
//! address alone.

mod codes;
mod gate;
mod tokens;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use codes::Codes;
pub(super) use gate::{Gate, Pass};
pub(super) use tokens::{Terms, Tokens};

/// A client id and an address.
pub(super) type Pair<'a> = (&'a str, &'a str);

/// The usual validity of 30 days, in seconds (contract 3.4).
const IDLE_SECONDS: u64 = 30 * 24 * 3_600;

/// What the administrator has set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// The methods for whom `senders` does not name.
    methods: Methods,
    /// By address in any casing.
    senders: BTreeMap<String, Methods>,
    /// What is registered beside the first client id.
    client_ids: Vec<String>,
    /// From the verification on; none: no maximum.
    maximum_seconds: Option<u64>,
    /// From the last transfer on.
    idle_seconds: u64,
    /// So many of the codes that were mailed last are good.
    pub(super) valid_codes: usize,
    /// More requests for codes by one pair are refused; none: no limit.
    pub(super) codes_per_minute: Option<u32>,
    /// The same for tokens.
    pub(super) tokens_per_minute: Option<u32>,
}

/// The methods that are switched on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Methods {
    pub(super) client_id: bool,
    pub(super) email: bool,
}

impl Default for Methods {
    fn default() -> Self {
        Self {
            client_id: true,
            email: true,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            methods: Methods::default(),
            senders: BTreeMap::new(),
            client_ids: Vec::new(),
            maximum_seconds: None,
            idle_seconds: IDLE_SECONDS,
            valid_codes: 1,
            codes_per_minute: Some(20),
            tokens_per_minute: None,
        }
    }
}

impl Settings {
    /// Whether `client_id` is registered beside the first one.
    pub(super) fn registers(&self, client_id: &str) -> bool {
        self.client_ids.iter().any(|known| known == client_id)
    }

    /// What is switched on for `address`.
    pub(super) fn methods(&self, address: &str) -> Methods {
        let named = |(of, _): &(&String, &Methods)| of.eq_ignore_ascii_case(address);
        let own = self.senders.iter().find(named);
        own.map_or(self.methods, |(_, methods)| *methods)
    }

    /// How long tokens are good.
    pub(super) const fn terms(&self) -> Terms {
        Terms::new(self.maximum_seconds, self.idle_seconds)
    }
}
