//! Codes that were mailed (contract 3.2).
//!
//! **Invariants.** A code opens once.

use std::collections::HashMap;

use super::Pair;

/// The codes that were mailed and not used, by pair, the newest last.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Codes {
    good: HashMap<(String, String), Vec<String>>,
    /// Every code there ever was.
    mailed: Vec<String>,
}

impl Codes {
    /// Takes in a code; only so many of the newest stay good.
    pub(in crate::simulator) fn issue(&mut self, code: String, pair: Pair<'_>, most: usize) {
        self.mailed.push(code.clone());
        let good = self.good.entry(key(pair)).or_default();
        good.push(code);
        good.drain(..good.len().saturating_sub(most));
    }

    /// Whether the code is good for the pair; then it is used up.
    pub(in crate::simulator) fn redeem(&mut self, code: &str, pair: Pair<'_>) -> bool {
        let Some(good) = self.good.get_mut(&key(pair)) else {
            return false;
        };
        let before = good.len();
        good.retain(|known| known != code);
        good.len() < before
    }

    /// Every code there ever was.
    pub(in crate::simulator) fn mailed(&self) -> &[String] {
        &self.mailed
    }
}

fn key((client_id, address): Pair<'_>) -> (String, String) {
    (client_id.to_owned(), address.to_lowercase())
}
