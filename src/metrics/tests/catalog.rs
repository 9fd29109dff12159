//! The catalog: names, HELP texts, order, and the table of the vendor's page.
//!
//! **Invariants.** The page's words are written here once more, since a test
//! cannot read the page.

use std::collections::BTreeSet;

use super::{ADA, Desk, calm};
use crate::{
    exposition::{Family, Protocol},
    ledger::RecipientLabels,
    metric::{Kind, Metric},
    metrics::{catalog, document, seed},
    model::State,
};

/// A ledger with something to show in every family.
fn full() -> Desk {
    let mut desk = Desk::new(RecipientLabels::Plain, &[]);
    let processing = calm("p", State::Processing);
    desk.round(ADA, 0, vec![calm("b", State::Active), processing]);
    desk
}

#[test]
fn names_say_what_they_are() {
    let mut names = BTreeSet::new();
    for metric in catalog::all() {
        let name = metric.name;
        assert!(names.insert(name), "{name} stands twice");
        let is_counter = metric.kind == Kind::Counter;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        assert_eq!(name.ends_with("_info"), metric.kind == Kind::Info, "{name}");
        assert!(!name.contains("_age"), "{name}: timestamps, never ages");
        let is_date =
            metric.help.starts_with("When ") || metric.help.contains("newest downloadDate");
        assert_eq!(name.contains("_time"), is_date, "{name}");
        assert!(metric.help.ends_with('.'), "{name}");
    }
}

#[test]
fn one_prefix_drops_the_families_by_transfer_and_no_others() {
    for metric in catalog::all() {
        let by_transfer = catalog::TRANSFER_FAMILIES.contains(&metric);
        let is_prefixed = metric.name.starts_with("cryptshare_transfer_");
        assert_eq!(by_transfer, is_prefixed, "{}", metric.name);
    }
    for (families, labels) in [
        (catalog::SENDER_FAMILIES, &["server", "sender"][..]),
        (
            catalog::TRANSFER_FAMILIES,
            &["server", "sender", "tracking_id"],
        ),
        (
            catalog::RECIPIENT_FAMILIES,
            &["server", "sender", "tracking_id", "recipient"],
        ),
    ] {
        for metric in families {
            assert!(metric.labels.starts_with(labels), "{}", metric.name);
        }
    }
}

/// What no field tells, but the poll itself or the configuration.
const WITHOUT_FIELD: [&str; 4] = [
    "cryptshare_up",
    "cryptshare_transfers_not_found",
    "cryptshare_transfers_vanished_total",
    "cryptshare_transfer_info",
];

#[test]
fn help_names_the_field_and_that_it_is_as_of_the_last_poll() {
    let is_telling = |field: &&str| field.contains(|c: char| c.is_uppercase() || c == '.');
    let fields = PAGE_FIELDS.iter().copied().filter(is_telling);
    let fields: Vec<_> = fields.chain(["warnings", "validUntil", "[]"]).collect();
    for metric in catalog::groups().iter().take(3).flat_map(|g| &g.families) {
        assert!(metric.help.contains("last poll"), "{}", metric.name);
        let has_field = fields.iter().any(|field| metric.help.contains(field));
        let is_without = WITHOUT_FIELD.contains(&metric.name);
        assert!(has_field || is_without, "{}: {}", metric.name, metric.help);
    }
}

#[test]
fn families_and_samples_are_in_order_and_labelled_as_the_catalog_says() {
    let expect: Vec<_> = catalog::groups()
        .iter()
        .take(3)
        .flat_map(|group| group.families.clone())
        .chain([&catalog::TRANSFERS_NOT_EXPORTED])
        .collect();
    full().naive(1, |families| {
        let names: Vec<_> = families.iter().map(|family| &*family.name).collect();
        let wanted: Vec<_> = expect.iter().map(|metric| metric.name).collect();
        assert_eq!(names, wanted);
        for (family, metric) in families.iter().zip(expect) {
            judge(family, metric);
        }
    });
}

fn judge(family: &Family<'_>, metric: &Metric) {
    assert_eq!((&*family.help, family.kind), (metric.help, metric.kind));
    let is_sorted = family.samples.is_sorted_by(|a, b| a.labels <= b.labels);
    assert!(is_sorted, "{}", metric.name);
    for sample in &family.samples {
        let labels: Vec<_> = sample.labels.iter().map(|(name, _)| &**name).collect();
        assert_eq!(labels, metric.labels, "{}", metric.name);
    }
    let is_shown = !family.samples.is_empty();
    let is_absent = metric.name == catalog::TRANSFER_LAST_RETRIEVAL.name
        || metric.name == catalog::VERIFICATION_EXPIRY.name;
    assert_eq!(is_shown, !is_absent, "{}", metric.name);
}

#[test]
fn a_body_is_the_same_bytes_every_time() {
    let body = |desk: &mut Desk| desk.body(1, Protocol::Text);
    let (mut one, mut other) = (full(), full());
    other.settings.max_transfers = 2;
    let first = body(&mut one);
    assert_eq!(first, body(&mut one));
    assert_eq!(first, body(&mut other));
}

#[test]
fn the_bounds_of_processing_are_those_of_the_catalog() {
    let text = String::from_utf8(full().body(1, Protocol::Text)).unwrap();
    let bucket = "cryptshare_processing_duration_seconds_bucket{server=\"prod\",sender=\"a\",le=\"";
    let bounds = text.lines().filter_map(|line| line.strip_prefix(bucket));
    let bounds: Vec<_> = bounds.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(
        bounds,
        [
            "5", "15", "30", "60", "120", "300", "600", "1800", "3600", "+Inf"
        ]
    );
}

/// Every field that the page names.
const PAGE_FIELDS: &[&str] = &[
    "transfer",
    "expirationDate",
    "id",
    "fileDownloads",
    "downloads",
    "downloadDate",
    "retrievalMethod",
    "status",
    "status.state",
    "mail",
    "downloadUrl",
    "notificationFailed",
    "warnings",
    "emlCreationFailed",
    "sender.notificationFailed",
    "recipients",
    "files",
    "removed",
    "removalCause",
];

/// Every state, method, transition and header that it names.
const PAGE_WORDS: &[&str] = &[
    "Active",
    "Deleted_by_expiration",
    "Deleted_by_revocation",
    "Deleted_by_admin",
    "Deleted_by_security",
    "Processing",
    "Failed",
    "Unknown",
    "Downloaded",
    "viewed",
    "finalized, then processing",
    "processing, then active",
    "processing, then failed",
    "until the Cleanup Task has run",
    "revoked",
    "Accept-Language",
    "sender email-address",
    "tracking-id",
    "verified sender addresses",
];

/// The general transfer information, which it only alludes to.
const SESSION_FIELDS: &[&str] = &[
    "sender.name",
    "sender.phone",
    "recipients.to[] .cc[] .bcc[]",
    "files[].id",
    "files[].fileName",
    "files[].size",
    "files[].checksum",
    "files[].state",
    "files[].href",
    "fileChecksumAlgorithm",
    "expirationDate",
    "securityMode.name",
    "securityMode.config.passwordMode",
    "securityMode.config.password",
    "notificationMessage.subject .body",
    "senderLanguage",
    "recipientLanguage",
    "showFileNames",
    "showZipFileContent",
    "sendDownloadNotifications",
    "sendDownloadSummary",
    "sendRecipientNotification",
    "sendUploadSummary",
    "classificationId",
    "confidentialMessageFileId",
];

#[test]
fn every_field_and_state_of_the_page_is_shown_or_has_a_reason() {
    let rows: Vec<_> = seed::rows().collect();
    for word in PAGE_FIELDS.iter().chain(PAGE_WORDS) {
        let has = |row: &&&seed::Row| row.word.contains(word);
        assert!(rows.iter().any(|row| has(&row)), "{word} has no row");
    }
    for field in SESSION_FIELDS {
        let word = format!("transfer.{field}");
        assert!(rows.iter().any(|row| row.word == word), "{word} has no row");
    }
    for state in State::ALL {
        let label = format!("`state=\"{}\"`", state.label());
        let has = |row: &&seed::Row| {
            let other = matches!(state, State::Pending | State::Other);
            row.note.starts_with(&label) || (other && row.note.contains(state.label()))
        };
        assert!(rows.iter().any(has), "{label} has no row");
    }
}

#[test]
fn every_row_of_the_page_leads_somewhere() {
    let known: BTreeSet<_> = catalog::all().map(|metric| metric.name).collect();
    for row in seed::rows() {
        for metric in row.metrics {
            assert!(known.contains(metric.name), "{}", metric.name);
        }
        let is_shown = !row.metrics.is_empty() || !row.logs.is_empty();
        assert!(is_shown || !row.note.is_empty(), "{}", row.word);
    }
}

#[test]
fn the_document_has_every_family_and_every_row_once() {
    let text = document::markdown();
    for metric in catalog::all() {
        let row = format!("| `{}` | {} |", metric.name, metric.kind.word());
        assert_eq!(text.matches(&row).count(), 1, "{row}");
    }
    for row in seed::rows() {
        assert_eq!(
            text.matches(&format!("\n| {} |", row.word)).count(),
            1,
            "{}",
            row.word
        );
    }
}
