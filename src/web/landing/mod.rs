//! The page at `/`: how every sender is doing, at a glance.
//!
//! **Invariants.** No script, no external resource, no address of a recipient;
//! every text from outside is escaped.

mod html;
mod problems;
mod senders;

use std::fmt::{self, Write};

use html::{Ago, Clock, Escaped};

use crate::{
    status::{EventStatus, Status},
    telemetry::{REVISION, VERSION},
};

/// What a browser may load for our pages: nothing but their own style.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("style.css");

/// Seconds until a browser asks for the page anew.
const REFRESH: u32 = 30;

/// The page.
pub(super) fn page(status: &Status, telemetry_path: &str) -> String {
    document("Cryptshare exporter", true, |html| {
        write_head(html, status, telemetry_path)?;
        problems::write(html, status)?;
        senders::write(html, status)?;
        write_events(html, status)?;
        write!(
            html,
            "<footer>Version {VERSION}, revision {REVISION}. Times are UTC.</footer>"
        )
    })
}

/// The page of a runbook, as it stands in the documentation.
pub(super) fn runbook(title: &str, text: &str) -> String {
    document(title, false, |html| {
        write!(
            html,
            "<header><h1>{}</h1><nav><a href=\"/\">Senders</a></nav></header><pre>{}</pre>",
            Escaped(title),
            Escaped(text)
        )
    })
}

fn document(title: &str, refreshes: bool, body: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut html = String::new();
    match write_document(&mut html, title, refreshes, body) {
        Ok(()) => html,
        Err(fmt::Error) => "The page could not be written.".to_owned(),
    }
}

fn write_document(
    html: &mut String,
    title: &str,
    refreshes: bool,
    body: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    html.write_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    if refreshes {
        write!(html, "<meta http-equiv=\"refresh\" content=\"{REFRESH}\">")?;
    }
    write!(
        html,
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body>",
        Escaped(title)
    )?;
    body(html)?;
    html.write_str("</body></html>\n")
}

fn write_head(html: &mut String, status: &Status, telemetry_path: &str) -> fmt::Result {
    let is_good = status.senders.iter().all(|sender| sender.up != Some(false));
    let fresh = status.senders.iter().filter(|sender| !sender.is_stale);
    let transfers = fresh.flat_map(|sender| &sender.states);
    let transfers = transfers.fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    write!(
        html,
        "<header><h1>Cryptshare exporter</h1><nav><a href=\"{path}\">Metrics</a>\
         <a href=\"/-/healthy\">Health</a><a href=\"/-/ready\">Readiness</a></nav></header>\
         <p class=\"sum\"><b class=\"{class}\">{up}</b> {transfers} transfers \
         <span class=\"dim\">at {clock}</span></p>",
        path = Escaped(telemetry_path),
        class = if is_good { "good" } else { "bad" },
        up = status.summary(),
        clock = Clock(status.at),
    )
}

fn write_events(html: &mut String, status: &Status) -> fmt::Result {
    html.write_str("<section><h2>Lately</h2>")?;
    if status.events.is_empty() {
        html.write_str("<p class=\"dim\">Nothing has happened since the start.</p>")?;
    } else {
        html.write_str("<table class=\"events\"><tbody>")?;
        for event in &status.events {
            write_event(html, event, status)?;
        }
        html.write_str("</tbody></table>")?;
    }
    html.write_str("</section>")
}

fn write_event(html: &mut String, event: &EventStatus, status: &Status) -> fmt::Result {
    let class = if event.is_trouble { "bad" } else { "" };
    write!(
        html,
        "<tr><td class=\"dim\">{ago}</td><td>{sender} <span class=\"dim\">{server}</span></td>\
         <td><code>{id}</code></td><td class=\"{class}\">{what}</td></tr>",
        ago = Ago(event.at, status.at),
        sender = Escaped(&event.sender),
        server = Escaped(&event.server),
        id = Escaped(&event.tracking_id),
        what = Escaped(&event.what),
    )
}

#[cfg(test)]
mod tests;
