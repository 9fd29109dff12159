//! Where the contract leaves open what a server says: switches for a test.
//!
//! **Invariants.** A quirk changes how the truth is told, or which true things
//! happen; it never makes an answer a lie.

use std::collections::BTreeMap;

use rand::{RngExt, rngs::StdRng};
use serde_json::Value;

/// One way in which servers may differ (contract, section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quirk {
    NullLists,
    UnknownMethods,
    FullListRecipients,
    BulkWithoutLists,
    UnselectedNull,
    UnknownFieldsRefused,
    PageSizeCapped,
    ActiveIncludesProcessing,
    UpperMethods,
    StaleTokenForbidden,
    MissingTokenIs400,
    NewTokenEndsOlder,
    PollingRefreshes,
}

impl Quirk {
    const ALL: [Self; 13] = [
        Self::NullLists,
        Self::UnknownMethods,
        Self::FullListRecipients,
        Self::BulkWithoutLists,
        Self::UnselectedNull,
        Self::UnknownFieldsRefused,
        Self::PageSizeCapped,
        Self::ActiveIncludesProcessing,
        Self::UpperMethods,
        Self::StaleTokenForbidden,
        Self::MissingTokenIs400,
        Self::NewTokenEndsOlder,
        Self::PollingRefreshes,
    ];

    /// Its name and what it does.
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::NullLists => (
                "null-lists",
                "the lists of a transfer that lives are null instead of what they are",
            ),
            Self::UnknownMethods => (
                "unknown-methods",
                "files are retrieved by a method that no client knows",
            ),
            Self::FullListRecipients => (
                "full-list-recipients",
                "/transfers tells of recipients what the status tells, not mail and id alone",
            ),
            Self::BulkWithoutLists => (
                "bulk-without-lists",
                "sent- and received-transfers never answer warnings, emlCreationFailed, files and fileDownloads",
            ),
            Self::UnselectedNull => (
                "unselected-null",
                "members that `fields` leaves out are null instead of absent",
            ),
            Self::UnknownFieldsRefused => (
                "unknown-fields-refused",
                "an unknown name in `fields` is an error, 400 with 1004, instead of ignored",
            ),
            Self::PageSizeCapped => (
                "page-size-capped",
                "a page-size above 100 is taken as 100 instead of refused",
            ),
            Self::ActiveIncludesProcessing => (
                "active-includes-processing",
                "`active` holds for transfers that are processed, too",
            ),
            Self::UpperMethods => (
                "upper-methods",
                "verificationMethods are CLIENT_ID and EMAIL instead of clientId and email",
            ),
            Self::StaleTokenForbidden => (
                "stale-token-forbidden",
                "GET verification with a token that is no good is 403 with 3002 instead of `verified: false`",
            ),
            Self::MissingTokenIs400 => (
                "missing-token-is-400",
                "a call without a token is 400 with 1002 instead of 401 with 3002",
            ),
            Self::NewTokenEndsOlder => (
                "new-token-ends-older",
                "a new token ends the older ones of its client id and address",
            ),
            Self::PollingRefreshes => (
                "polling-refreshes",
                "any call with a token begins its idle term anew, not transfers alone",
            ),
        }
    }

    fn named(name: &str) -> Option<Self> {
        let name = name.replace('_', "-");
        Self::ALL.into_iter().find(|quirk| quirk.told().0 == name)
    }
}

/// The quirks in force, each with the share of cases in which it shows, from 0
/// to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quirks(BTreeMap<Quirk, f64>);

impl Quirks {
    /// Reads `NAME`, or `NAME=SHARE` for a quirk that shows now and then.
    ///
    /// # Errors
    /// With what would be right.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, String> {
        let mut quirks = Self::default();
        for text in texts {
            let (name, share) = match text.as_ref().split_once('=') {
                Some((name, share)) => (name, share.parse::<f64>().ok()),
                None => (text.as_ref(), Some(1.0)),
            };
            quirks.set(name, share)?;
        }
        Ok(quirks)
    }

    /// Reads an object: a share, `true` or `false` for each name.
    pub(super) fn read(object: &BTreeMap<String, Value>) -> Result<Self, String> {
        let mut quirks = Self::default();
        for (name, share) in object {
            let share = match share.as_bool() {
                Some(is_on) => Some(if is_on { 1.0 } else { 0.0 }),
                None => share.as_f64(),
            };
            quirks.set(name, share)?;
        }
        Ok(quirks)
    }

    fn set(&mut self, name: &str, share: Option<f64>) -> Result<(), String> {
        let quirk = Quirk::named(name);
        let quirk = quirk.ok_or_else(|| format!("there is no quirk \"{name}\""))?;
        let share = share.filter(|share| (0.0..=1.0).contains(share));
        let share = share.ok_or("a share is from 0 to 1")?;
        self.0.insert(quirk, share);
        Ok(())
    }

    /// Every quirk there is and what it does, a line each.
    pub fn explanation() -> String {
        let line = |quirk: Quirk| {
            let (name, meaning) = quirk.told();
            format!("{name:27} {meaning}\n")
        };
        Quirk::ALL.map(line).concat()
    }

    /// The share of each quirk by its name.
    pub(super) fn shares(&self) -> BTreeMap<&'static str, f64> {
        let share = |quirk: Quirk| (quirk.told().0, self.share(quirk));
        Quirk::ALL.map(share).into()
    }

    /// Whether `quirk` shows this time.
    pub(super) fn shows(&self, quirk: Quirk, rng: &mut StdRng) -> bool {
        let share = self.share(quirk);
        share > 0.0 && rng.random_bool(share)
    }

    fn share(&self, quirk: Quirk) -> f64 {
        self.0.get(&quirk).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quirk_has_a_name_of_its_own() {
        let shares = Quirks::default().shares();
        assert_eq!(shares.len(), Quirk::ALL.len());
        for name in shares.keys() {
            assert!(Quirks::explanation().contains(name));
            assert!(Quirks::parse(&[format!("{name}=0.5")]).is_ok());
        }
    }

    #[test]
    fn unknown_names_and_odd_shares_are_refused() {
        for text in ["", "list", "null-lists=2", "null-lists=x"] {
            assert!(Quirks::parse(&[text]).is_err(), "{text}");
        }
    }
}
