//! Names, addresses and ids of the simulated people and files.
//!
//! **Invariants.** Ids have the length and the alphabet of the contract. What
//! a client must not show holds a word that stands nowhere else.

use jiff::{Timestamp, tz::TimeZone};
use rand::{Rng, RngExt, rngs::StdRng};

use super::letter::{Kind, Letter, PasswordMode, Security, SimRecipient, Switch};

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8; 16] = b"0123456789abcdef";
const DESKS: [&str; 8] = [
    "invoices",
    "reports",
    "contracts",
    "payroll",
    "tenders",
    "claims",
    "audits",
    "press",
];
const PEOPLE: [&str; 8] = [
    "ada", "bob", "carol", "dan", "eve", "frank", "grace", "heidi",
];
const FILES: [(&str, &str); 6] = [
    ("offer", "pdf"),
    ("invoice", "pdf"),
    ("setup", "exe"),
    ("drawing", "dwg"),
    ("minutes", "docx"),
    ("ledger", "xlsx"),
];

/// The length of the words that stand nowhere else.
const WORD: usize = 10;

/// `length` letters and digits.
pub(super) fn alphanumeric(length: usize, rng: &mut StdRng) -> String {
    (0..length)
        .map(|_| char::from(*pick(ALPHABET, rng)))
        .collect()
}

/// One of `items`, which must not be empty.
pub(super) fn pick<'a, T>(items: &'a [T], rng: &mut impl Rng) -> &'a T {
    let at = rng.random_range(0..items.len().max(1));
    #[expect(
        clippy::indexing_slicing,
        reason = "the index is within the bounds of a list that is never empty"
    )]
    &items[at]
}

/// The address of the `n`-th sender.
pub(super) fn sender(n: usize) -> String {
    let desk = DESKS.get(n % DESKS.len()).copied().unwrap_or_default();
    match n / DESKS.len() {
        0 => format!("{desk}@example.com"),
        round => format!("{desk}.{round}@example.com"),
    }
}

/// An address of a recipient.
pub(super) fn recipient(rng: &mut StdRng) -> String {
    let person = *pick(&PEOPLE, rng);
    format!("{person}.{}@example.org", alphanumeric(WORD, rng))
}

/// A recipient who has not fetched anything yet.
pub(super) fn newcomer(kind: Kind, mail: String, rng: &mut StdRng) -> SimRecipient {
    SimRecipient {
        id: alphanumeric(10, rng),
        kind,
        mail,
        password: alphanumeric(12, rng),
        notification_failed: false,
        retrievals: Vec::new(),
    }
}

/// A file name.
pub(super) fn file(rng: &mut StdRng) -> String {
    let (stem, end) = *pick(&FILES, rng);
    format!("{stem}-{}.{end}", alphanumeric(WORD, rng))
}

/// What a sender writes.
pub(super) fn letter(rng: &mut StdRng) -> Letter {
    let mut word = || alphanumeric(WORD, rng);
    let (sender_name, sender_phone) = (format!("Ada {}", word()), format!("+49 761 {}", word()));
    let subject = format!("Documents {}", word());
    let body = format!("<p>Please fetch {}</p>", word());
    let password = word();
    let mode = *pick(&PasswordMode::ALL, rng);
    Letter {
        sender_name,
        sender_phone,
        subject: Some(subject),
        body: Some(body),
        password: (mode != PasswordMode::Unasked).then_some(password),
        security: Security::OneTimePassword,
        mode,
        sender_language: "en".to_owned(),
        recipient_language: "de".to_owned(),
        switches: Switch::ALL
            .into_iter()
            .filter(|switch| *switch != Switch::ShowZipFileContent)
            .collect(),
        classification: None,
        message_file: None,
        algorithm: "SHA256".to_owned(),
        revocation: None,
    }
}

/// A password that keeps the usual rules.
pub(super) fn password(rng: &mut StdRng) -> String {
    let of = |what: fn(&u8) -> bool, rng: &mut StdRng| {
        let letters: Vec<_> = ALPHABET.iter().copied().filter(what).collect();
        char::from(*pick(&letters, rng))
    };
    let mut password = alphanumeric(WORD, rng);
    for what in [
        u8::is_ascii_uppercase,
        u8::is_ascii_lowercase,
        u8::is_ascii_digit,
    ] {
        password.push(of(what, rng));
    }
    password
}

/// A SHA-256 in hexadecimal digits.
pub(super) fn checksum(rng: &mut StdRng) -> String {
    (0..64).map(|_| char::from(*pick(HEX, rng))).collect()
}

/// `YYYYMMDD-HHMMSS-` and eight letters or digits (contract 4.2).
pub(super) fn tracking_id(at: Timestamp, rng: &mut StdRng) -> String {
    let begun = TimeZone::UTC.to_datetime(at);
    format!(
        "{:04}{:02}{:02}-{:02}{:02}{:02}-{}",
        begun.year(),
        begun.month(),
        begun.day(),
        begun.hour(),
        begun.minute(),
        begun.second(),
        alphanumeric(8, rng)
    )
}
