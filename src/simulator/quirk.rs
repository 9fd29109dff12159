//! Where the contract leaves open what a server says: switches for a test.
//!
//! **Invariants.** A quirk changes how the truth is told, or which true things
//! happen; it never makes an answer a lie.

use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// The quirks in force, each as a share from 0 to 1.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Quirks {
    /// Lists of a transfer that lives are null (contract, section 8, rows 11
    /// and 12).
    pub(super) null_lists: f64,
    /// Retrievals are of a method that no client knows.
    pub(super) unknown_methods: f64,
}

impl Quirks {
    /// Whether every share is one.
    pub(super) fn is_good(self) -> bool {
        let is_share = |share| (0.0..=1.0).contains(&share);
        is_share(self.null_lists) && is_share(self.unknown_methods)
    }
}

/// Whether a thing of this share comes about now.
pub(super) fn comes(share: f64, rng: &mut StdRng) -> bool {
    share > 0.0 && rng.random_bool(share.min(1.0))
}
