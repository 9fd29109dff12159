//! The senders, server by server.
//!
//! **Invariants.** What is too old to show is not shown.

use std::fmt::{self, Display, Write};

use super::html::{Ago, Escaped, Until};
use crate::status::{SenderStatus, Status};

/// The width of a bar.
const BAR: u64 = 320;

/// The narrowest segment that can be seen.
const SLIVER: u64 = 2;

pub(super) fn write(html: &mut String, status: &Status) -> fmt::Result {
    html.write_str("<section><h2>Senders</h2>")?;
    if status.senders.is_empty() {
        html.write_str("<p class=\"dim\">The configuration names no sender.</p></section>")?;
        return Ok(());
    }
    let servers = status.senders.chunk_by(|a, b| a.server == b.server);
    for senders in servers {
        let server = senders.first().map_or("", |sender| &*sender.server);
        write!(
            html,
            "<table><caption>{}</caption><thead><tr><th>Sender</th><th>Polling</th>\
             <th>Last poll</th><th>Verified for</th><th>Transfers</th></tr></thead><tbody>",
            Escaped(server)
        )?;
        for sender in senders {
            write_sender(html, sender, status)?;
        }
        html.write_str("</tbody></table>")?;
    }
    html.write_str("</section>")
}

fn write_sender(html: &mut String, sender: &SenderStatus, status: &Status) -> fmt::Result {
    let (class, word) = match (sender.up, sender.failure) {
        (None, _) => ("wait", "waiting"),
        (Some(true), _) => ("good", "works"),
        (Some(false), reason) => ("bad", reason.unwrap_or("fails")),
    };
    write!(
        html,
        "<tr><td>{}</td><td><span class=\"pill {class}\">{word}</span></td><td>",
        Escaped(&sender.sender),
    )?;
    if let Some(at) = sender.last_poll {
        write!(html, "{}", Ago(at, status.at))?;
    }
    write!(html, "</td><td>{}</td><td>", Verified(sender, status))?;
    match (sender.is_stale, sender.last_poll) {
        (false, _) => write_transfers(html, &sender.states)?,
        (true, Some(_)) => {
            let why = if sender.has_numbers {
                "the last numbers are too old"
            } else {
                "no numbers yet"
            };
            write!(html, "<span class=\"dim\">{why}</span>")?;
        }
        (true, None) => {}
    }
    html.write_str("</td></tr>")
}

/// How long the sender's token is valid.
struct Verified<'a>(&'a SenderStatus, &'a Status);

impl Display for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(sender, status) = self;
        match (sender.is_verified, sender.verified_until) {
            (Some(true), Some(until)) if sender.remedy.is_some() => {
                write!(f, "<span class=\"bad\">{}</span>", Until(until, status.at))
            }
            (Some(true), Some(until)) => Until(until, status.at).fmt(f),
            (Some(true), None) => f.write_str("<span class=\"dim\">an unknown time</span>"),
            (Some(false), _) => f.write_str("<span class=\"bad\">not verified</span>"),
            (None, _) => Ok(()),
        }
    }
}

/// A bar with one segment for each state that has transfers, and its legend.
fn write_transfers(html: &mut String, states: &[(&'static str, u64)]) -> fmt::Result {
    let total = states
        .iter()
        .fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    if total == 0 {
        return html.write_str("<span class=\"dim\">none</span>");
    }
    write_bar(html, states, total)?;
    html.write_str("<ul>")?;
    for (state, count) in states.iter().filter(|(_, count)| *count > 0) {
        let words = state.replace('_', " ");
        write!(html, "<li class=\"{state}\"><b>{count}</b> {words}</li>")?;
    }
    html.write_str("</ul>")
}

fn write_bar(html: &mut String, states: &[(&'static str, u64)], total: u64) -> fmt::Result {
    let width = |count: u64| (count.saturating_mul(BAR) / total).max(SLIVER);
    let told = || states.iter().filter(|(_, count)| *count > 0);
    let all = told().fold(0, |sum, (_, count)| sum + width(*count));
    write!(
        html,
        "<svg viewBox=\"0 0 {all} 8\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"transfers by state\">"
    )?;
    let mut x = 0;
    for (state, count) in told() {
        let width = width(*count);
        write!(
            html,
            "<rect class=\"{state}\" x=\"{x}\" width=\"{width}\" height=\"8\">\
             <title>{count} {state}</title></rect>"
        )?;
        x += width;
    }
    html.write_str("</svg>")
}
