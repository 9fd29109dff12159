//! How recipients are named in labels.
//!
//! **Invariants.** Of an address nothing is kept but the label that is made of
//! it here, and without labels nothing at all. The key is never shown.

use std::fmt;

use aws_lc_rs::hmac;

use crate::model::{Finding, TrackingId, Transfer};

/// As many digits of the hash are shown: enough to tell a million recipients
/// apart, and short enough for a label.
const HASH_DIGITS: usize = 12;

/// No address is longer (RFC 5321, section 4.5.3.1.3).
const LONGEST_ADDRESS: usize = 254;

/// Whether recipients have labels, and which.
#[derive(Clone, Default)]
pub enum RecipientLabels {
    /// They have none.
    #[default]
    Off,
    /// The first 12 hexadecimal digits of HMAC-SHA-256 over the address.
    Hash(Box<hmac::Key>),
    /// The address.
    Plain,
}

/// The labels of a transfer's recipients by recipient id.
pub(super) type Labels = Vec<(Box<str>, Box<str>)>;

impl RecipientLabels {
    /// Hashes with `key`.
    pub fn hash(key: &[u8]) -> Self {
        Self::Hash(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The label of an address, which has one spelling: lower case. None of
    /// what cannot be an address.
    pub fn label(&self, mail: &str) -> Option<Box<str>> {
        if mail.is_empty() || mail.len() > LONGEST_ADDRESS {
            return None;
        }
        let mail = mail.to_lowercase();
        match self {
            Self::Off => None,
            Self::Hash(key) => Some(hexadecimal(hmac::sign(key, mail.as_bytes()).as_ref())),
            Self::Plain => Some(mail.into()),
        }
    }

    /// Whether this may have made `label`, which stands since there was `before`.
    pub(super) fn may_have_made(&self, label: &str, before: &Self) -> bool {
        match (self, before) {
            (Self::Off, _) => false,
            (Self::Plain, _) => !is_hash(label),
            (Self::Hash(_), Self::Hash(_)) => {
                is_hash(label) && self.label(label) == before.label(label)
            }
            (Self::Hash(_), Self::Off | Self::Plain) => is_hash(label),
        }
    }

    /// The labels of every recipient whose address `finding` tells.
    pub(super) fn of(&self, finding: &Finding) -> Vec<(TrackingId, Labels)> {
        if matches!(self, Self::Off) {
            return Vec::new();
        }
        let readings = match finding {
            Finding::Seen(page) => page.as_slice(),
            Finding::Inspected(reading) => std::slice::from_ref(reading),
            Finding::Listed { .. } | Finding::Gone(_) | Finding::RoundEnded(_) => &[],
        };
        let of = |reading: &Transfer| (reading.id.clone(), self.of_reading(reading));
        readings.iter().map(of).collect()
    }

    fn of_reading(&self, reading: &Transfer) -> Labels {
        let recipients = reading.recipients.iter().flatten();
        let label = recipients.filter_map(|recipient| {
            let label = self.label(recipient.mail.as_deref()?)?;
            Some((recipient.id.clone(), label))
        });
        label.collect()
    }
}

impl fmt::Debug for RecipientLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Hash(_) => "Hash(..)",
            Self::Plain => "Plain",
        })
    }
}

fn is_hash(label: &str) -> bool {
    label.len() == HASH_DIGITS && label.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hexadecimal(bytes: &[u8]) -> Box<str> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default());
    digits.take(HASH_DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_hash_is_the_first_digits_of_the_keyed_hash_of_the_lower_case() {
        let labels = RecipientLabels::hash(b"key of thirty-two characters 123");
        for spelling in ["bob@example.org", "Bob@Example.ORG"] {
            assert_eq!(labels.label(spelling).as_deref(), Some("8305a23e11fc"));
        }
        let other = RecipientLabels::hash(b"another key of thirty-two chars!");
        assert_ne!(
            other.label("bob@example.org").as_deref(),
            Some("8305a23e11fc")
        );
        assert_eq!(format!("{labels:?}"), "Hash(..)");
    }

    #[test]
    fn labels_of_another_kind_or_key_are_none_of_ours() {
        let keyed = |key: &str| RecipientLabels::hash(key.repeat(32).as_bytes());
        let (plain, off) = (RecipientLabels::Plain, RecipientLabels::Off);
        let (one, other) = (keyed("1"), keyed("2"));
        let address = "bob@example.org";
        let hash = &one.label(address).unwrap();
        for (labels, before, label, expect) in [
            (&off, &off, address, false),
            (&off, &off, hash, false),
            (&plain, &off, address, true),
            (&plain, &one, hash, false),
            (&one, &plain, address, false),
            // As after a start, where nobody knows the key before.
            (&one, &off, hash, true),
            (&one, &one, hash, true),
            (&other, &one, hash, false),
        ] {
            let told = labels.may_have_made(label, before);
            assert_eq!(told, expect, "{labels:?} {before:?} {label}");
        }
    }

    #[test]
    fn plain_is_the_address_in_one_spelling_and_off_is_nothing() {
        let plain = RecipientLabels::Plain;
        assert_eq!(
            plain.label("Bob@Example.org").as_deref(),
            Some("bob@example.org")
        );
        assert_eq!(RecipientLabels::Off.label("bob@example.org"), None);
        assert_eq!(plain.label(""), None);
        assert_eq!(plain.label(&"x".repeat(255)), None);
    }
}
