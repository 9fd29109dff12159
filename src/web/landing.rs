//! The page at `/`: how every sender is doing, at a glance.
//!
//! **Invariants.** No script, no external resource, no address of a recipient;
//! every text from outside is escaped.

use std::fmt::{self, Display, Write};

use crate::{
    status::{SenderStatus, Status},
    telemetry::{REVISION, VERSION},
};

/// What a browser may load for this page: nothing but its own style.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("landing.css");

/// The page.
pub(super) fn page(status: &Status, telemetry_path: &str) -> String {
    let mut html = String::new();
    match write_page(&mut html, status, telemetry_path) {
        Ok(()) => html,
        Err(fmt::Error) => "The page could not be written.".to_owned(),
    }
}

fn write_page(html: &mut String, status: &Status, telemetry_path: &str) -> fmt::Result {
    write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Cryptshare exporter</title><style>{STYLE}</style></head><body>\
         <h1>Cryptshare exporter</h1>\
         <p>Version {VERSION}, revision {REVISION}. \
         <a href=\"{path}\">Metrics</a> · <a href=\"/-/healthy\">Healthy</a> · \
         <a href=\"/-/ready\">Ready</a></p>\
         <table><thead><tr><th>Server</th><th>Sender</th><th>Polling</th>\
         <th>Last poll</th><th>Transfers</th></tr></thead><tbody>",
        path = Escaped(telemetry_path)
    )?;
    for sender in &status.senders {
        write_sender(html, sender)?;
    }
    html.write_str("</tbody></table></body></html>\n")
}

fn write_sender(html: &mut String, sender: &SenderStatus) -> fmt::Result {
    let (class, word) = match (sender.up, sender.failure) {
        (None, _) => ("wait", "waiting for the first poll"),
        (Some(true), _) => ("good", "works"),
        (Some(false), reason) => ("bad", reason.unwrap_or("fails")),
    };
    let last = sender.last_poll.map(|at| format!("{at:.0}"));
    write!(
        html,
        "<tr><td>{}</td><td>{}</td><td class=\"{class}\">{word}{}</td><td>{}</td><td>",
        Escaped(&sender.server),
        Escaped(&sender.sender),
        Remedy(sender.remedy.as_deref()),
        last.unwrap_or_default(),
    )?;
    match (sender.is_stale, sender.last_poll) {
        (false, _) => write_bar(html, &sender.states)?,
        (true, Some(_)) => html.write_str("the last numbers are too old to show")?,
        (true, None) => {}
    }
    html.write_str("</td></tr>")
}

/// One segment for each state that has transfers, as wide as its share.
fn write_bar(html: &mut String, states: &[(&'static str, u64)]) -> fmt::Result {
    html.write_str("<svg class=\"bar\" width=\"240\" height=\"10\" role=\"img\">")?;
    let total = states.iter().map(|(_, count)| count).sum::<u64>().max(1);
    let mut before = 0;
    for (state, count) in states.iter().filter(|(_, count)| *count > 0) {
        let (x, width) = (before * 240 / total, count * 240 / total);
        write!(
            html,
            "<rect class=\"{state}\" x=\"{x}\" width=\"{width}\" height=\"10\">\
             <title>{count} {state}</title></rect>"
        )?;
        before += count;
    }
    html.write_str("</svg><ul>")?;
    for (state, count) in states.iter().filter(|(_, count)| *count > 0) {
        write!(html, "<li class=\"{state}\">{count} {state}</li>")?;
    }
    html.write_str("</ul>")
}

/// What a human has to do, below what is the matter.
struct Remedy<'a>(Option<&'a str>);

impl Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(remedy) => write!(f, "<p class=\"wait\">{}</p>", Escaped(remedy)),
            None => Ok(()),
        }
    }
}

/// A text in HTML, in an element or in an attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_markup_is_shown_as_text() {
        let status = Status {
            senders: vec![SenderStatus {
                server: "prod".to_owned(),
                sender: "<script>\"x\"".to_owned(),
                up: Some(false),
                last_poll: None,
                is_stale: false,
                remedy: Some("run <this>".to_owned()),
                failure: Some("timeout"),
                states: vec![("active", 3), ("failed", 0)],
            }],
        };
        let html = page(&status, "/metrics");
        assert!(html.contains("&lt;script&gt;&quot;x&quot;"));
        assert!(!html.contains("<script"));
        assert!(
            html.contains("<td class=\"bad\">timeout<p class=\"wait\">run &lt;this&gt;</p></td>")
        );
        assert!(html.contains("3 active"));
        assert!(!html.contains("0 failed"));
        let stale = SenderStatus {
            is_stale: true,
            last_poll: Some(jiff::Timestamp::UNIX_EPOCH),
            ..status.senders[0].clone()
        };
        let status = Status {
            senders: vec![stale],
        };
        let html = page(&status, "/metrics");
        assert!(html.contains("too old"));
        assert!(!html.contains("3 active"));
    }
}
