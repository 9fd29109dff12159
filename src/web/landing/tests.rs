//! The pages, read as text.
//!
//! **Invariants.** Whoever reads them sees what a browser would show.

use jiff::Timestamp;

use super::*;
use crate::status::SenderStatus;

const NOW: &str = "2026-04-01T08:15:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sender() -> SenderStatus {
    SenderStatus {
        server: "prod".to_owned(),
        sender: "invoices".to_owned(),
        up: Some(true),
        last_poll: Some(at("2026-04-01T08:14:48Z")),
        failure: None,
        is_verified: Some(true),
        verified_until: Some(at("2026-04-08T09:00:00Z")),
        remedy: None,
        is_stale: false,
        has_numbers: true,
        states: vec![("active", 3), ("failed", 0), ("deleted_by_admin", 1)],
    }
}

fn status(senders: Vec<SenderStatus>) -> Status {
    Status {
        at: at(NOW),
        senders,
        ..Status::default()
    }
}

fn html(senders: Vec<SenderStatus>) -> String {
    page(&status(senders), "/metrics")
}

#[test]
fn a_good_sender_is_told_in_one_row_and_has_no_problem() {
    let html = html(vec![sender()]);
    for text in [
        "1 of 1 senders up",
        "4 transfers",
        "12 s ago",
        ">7 days</time>",
        "<b>3</b> active",
        "<b>1</b> deleted by admin",
        "Nothing has happened since the start.",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    for text in ["Problems", "failed</li>", "<script"] {
        assert!(!html.contains(text), "{text}: {html}");
    }
}

#[test]
fn a_text_with_markup_is_shown_as_text() {
    let odd = SenderStatus {
        server: "<b>".to_owned(),
        sender: "<script>\"x\"".to_owned(),
        remedy: Some("run <this>".to_owned()),
        ..sender()
    };
    let mut status = status(vec![odd]);
    status.events.push(EventStatus {
        at: at(NOW),
        server: "<i>".to_owned(),
        sender: "'x'".to_owned(),
        tracking_id: "<u>".to_owned(),
        what: "<s>".to_owned(),
        is_trouble: true,
    });
    let html = page(&status, "/\"><em>");
    for tag in ["<script", "<this", "<i>", "<u>", "<s>", "<em>", "'x'"] {
        assert!(!html.contains(tag), "{tag}: {html}");
    }
    assert!(html.contains("&lt;script&gt;&quot;x&quot;"));
    assert!(html.contains("<caption>&lt;b&gt;</caption>"));
}

#[test]
fn what_a_browser_would_obey_is_shown_instead() {
    let odd = SenderStatus {
        sender: "a\u{202e}b\u{9b}\u{2028}c".to_owned(),
        ..sender()
    };
    let mut status = status(vec![odd]);
    status.events.push(EventStatus {
        at: at(NOW),
        server: "prod".to_owned(),
        sender: "x".to_owned(),
        tracking_id: "20260401\u{2067}".to_owned(),
        what: "\u{feff}".to_owned(),
        is_trouble: true,
    });
    let html = page(&status, "/metrics");
    let is_obeyed = |c: char| c != '\n' && crate::printable::is_obeyed(c);
    assert!(!html.contains(is_obeyed), "{html}");
    assert!(html.contains("a\\u{202e}b\\u{9b}\\u{2028}c"), "{html}");
    assert!(html.contains("<code>20260401\\u{2067}</code>"), "{html}");
}

#[test]
fn senders_of_one_cause_are_one_problem_with_its_runbook() {
    let failing = |n: usize| SenderStatus {
        sender: format!("s{n}"),
        up: Some(false),
        failure: Some("unreachable"),
        ..sender()
    };
    let html = html((1..=7).map(failing).collect());
    assert_eq!(html.matches("What to do").count(), 1);
    for text in [
        "The server cannot be reached",
        "s1, s2, s3, s4, s5 and 2 more",
        "href=\"/runbooks/unreachable\"",
        "0 of 7 senders up",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
}

#[test]
fn what_needs_a_human_soon_is_a_problem_though_the_sender_works() {
    let ending = SenderStatus {
        remedy: Some("the verification ends soon".to_owned()),
        ..sender()
    };
    let html = html(vec![ending]);
    assert!(html.contains("<b>invoices</b> the verification ends soon"));
}

#[test]
fn numbers_that_are_too_old_are_not_shown() {
    let stale = SenderStatus {
        is_stale: true,
        ..sender()
    };
    let html = html(vec![stale]);
    assert!(html.contains("too old"));
    assert!(html.contains(" 0 transfers"));
    assert!(!html.contains("<b>3</b>"), "{html}");
    let never = SenderStatus {
        is_stale: true,
        has_numbers: false,
        ..sender()
    };
    let html = self::html(vec![never]);
    assert!(html.contains("no numbers yet") && !html.contains("too old"));
}

#[test]
fn a_failing_ledger_is_a_problem() {
    let mut status = status(vec![sender()]);
    status.is_ledger_failing = true;
    let html = page(&status, "/metrics");
    assert!(html.contains("The ledger cannot be written"));
    assert!(html.contains("href=\"/runbooks/ledger\""));
}
