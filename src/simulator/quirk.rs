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
    CapitalizedWords,
    LowerWords,
    DatesWithFraction,
    DatesInUtc,
    DatesWithCompactZone,
    NullExpiration,
    NullsAbsent,
    EmptyWhileProcessing,
    NewMembers,
    RemovedFilesUnlisted,
    DashedAlgorithm,
    PendingSessions,
    UnknownIdIs1006,
    ForeignIdIs401,
    VersionIs406,
    WrappedStatus,
    BlanksRefused,
    RelativeLocation,
    RevokeIs204,
    LocalTrackingIds,
    UrlsForAnyToken,
}

/// Every quirk: its name, and what it does.
const TABLE: [(Quirk, &str, &str); 34] = [
    (
        Quirk::NullLists,
        "null-lists",
        "the lists of a transfer that lives are null instead of what they are",
    ),
    (
        Quirk::UnknownMethods,
        "unknown-methods",
        "files are retrieved by a method that no client knows",
    ),
    (
        Quirk::FullListRecipients,
        "full-list-recipients",
        "/transfers tells of recipients what the status tells, not mail and id alone",
    ),
    (
        Quirk::BulkWithoutLists,
        "bulk-without-lists",
        "sent- and received-transfers never answer warnings, emlCreationFailed, files and fileDownloads",
    ),
    (
        Quirk::UnselectedNull,
        "unselected-null",
        "members that `fields` leaves out are null instead of absent",
    ),
    (
        Quirk::UnknownFieldsRefused,
        "unknown-fields-refused",
        "an unknown name in `fields` is an error, 400 with 1004, instead of ignored",
    ),
    (
        Quirk::PageSizeCapped,
        "page-size-capped",
        "a page-size above 100 is taken as 100 instead of refused",
    ),
    (
        Quirk::ActiveIncludesProcessing,
        "active-includes-processing",
        "`active` holds for transfers that are processed, too",
    ),
    (
        Quirk::UpperMethods,
        "upper-methods",
        "verificationMethods are CLIENT_ID and EMAIL instead of clientId and email",
    ),
    (
        Quirk::StaleTokenForbidden,
        "stale-token-forbidden",
        "GET verification with a token that is no good is 403 with 3002 instead of `verified: false`",
    ),
    (
        Quirk::MissingTokenIs400,
        "missing-token-is-400",
        "a call without a token is 400 with 1002 instead of 401 with 3002",
    ),
    (
        Quirk::NewTokenEndsOlder,
        "new-token-ends-older",
        "a new token ends the older ones of its client id and address",
    ),
    (
        Quirk::PollingRefreshes,
        "polling-refreshes",
        "any call with a token begins its idle term anew, not transfers alone",
    ),
    (
        Quirk::CapitalizedWords,
        "capitalized-words",
        "states and retrieval methods as Deleted_by_admin and Viewed instead of in capitals",
    ),
    (
        Quirk::LowerWords,
        "lower-words",
        "the same as deleted_by_admin and viewed",
    ),
    (
        Quirk::DatesWithFraction,
        "dates-with-fraction",
        "dates have a fraction of a second",
    ),
    (Quirk::DatesInUtc, "dates-in-utc", "dates end with Z"),
    (
        Quirk::DatesWithCompactZone,
        "dates-with-compact-zone",
        "the zone of a date is +0200 instead of +02:00",
    ),
    (
        Quirk::NullExpiration,
        "null-expiration",
        "expirationDate is null",
    ),
    (
        Quirk::NullsAbsent,
        "nulls-absent",
        "members that are null are left out",
    ),
    (
        Quirk::EmptyWhileProcessing,
        "empty-while-processing",
        "the lists in the status of a transfer that is processed are empty",
    ),
    (
        Quirk::NewMembers,
        "new-members",
        "answers have members that no client knows",
    ),
    (
        Quirk::RemovedFilesUnlisted,
        "removed-files-unlisted",
        "fileDownloads leaves out files that were removed",
    ),
    (
        Quirk::DashedAlgorithm,
        "dashed-algorithm",
        "fileChecksumAlgorithm is SHA-256 instead of SHA256",
    ),
    (
        Quirk::PendingSessions,
        "pending-sessions",
        "the status of a session that is not finalized is PENDING instead of 404",
    ),
    (
        Quirk::UnknownIdIs1006,
        "unknown-id-is-1006",
        "the status of an unknown tracking id is 404 with 1006 instead of 2003",
    ),
    (
        Quirk::ForeignIdIs401,
        "foreign-id-is-401",
        "the status of another sender's transfer is 401 with 3002 instead of 404 with 2003",
    ),
    (
        Quirk::VersionIs406,
        "version-is-406",
        "an unsupported version is 406 instead of 404, with 2004",
    ),
    (
        Quirk::WrappedStatus,
        "wrapped-status",
        "/api/status answers within `data`",
    ),
    (
        Quirk::BlanksRefused,
        "blanks-refused",
        "blanks in `fields` are an error, 400 with 1004",
    ),
    (
        Quirk::RelativeLocation,
        "relative-location",
        "Location is a path instead of a URL",
    ),
    (
        Quirk::RevokeIs204,
        "revoke-is-204",
        "a revocation answers 204 instead of 200",
    ),
    (
        Quirk::LocalTrackingIds,
        "local-tracking-ids",
        "the date in a tracking id is local, two hours ahead of UTC",
    ),
    (
        Quirk::UrlsForAnyToken,
        "urls-for-any-token",
        "downloadUrl without a password is told to any token of the sender, not only to that of the finalization",
    ),
];

impl Quirk {
    fn named(name: &str) -> Option<Self> {
        let name = name.replace('_', "-");
        let entry = TABLE.into_iter().find(|(_, known, _)| *known == name);
        entry.map(|(quirk, ..)| quirk)
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
        let line = |(_, name, meaning)| format!("{name:27} {meaning}\n");
        TABLE.map(line).concat()
    }

    /// The share of each quirk by its name.
    pub(super) fn shares(&self) -> BTreeMap<&'static str, f64> {
        let share = |(quirk, name, _)| (name, self.share(quirk));
        TABLE.map(share).into()
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
        assert_eq!(shares.len(), TABLE.len());
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
