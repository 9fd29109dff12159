//! What is the matter, and what to do about it.
//!
//! **Invariants.** One entry for each cause, however many senders have it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use super::html::Escaped;
use crate::{
    status::{SenderStatus, Status},
    web::runbooks,
};

/// More senders of one cause are told by their number.
const NAMED: usize = 5;

/// Nothing if nothing is the matter.
pub(super) fn write(html: &mut String, status: &Status) -> fmt::Result {
    let causes = causes(status);
    let remedies: Vec<_> = status.senders.iter().filter_map(remedy).collect();
    if causes.is_empty() && remedies.is_empty() && !status.is_ledger_failing {
        return Ok(());
    }
    html.write_str("<section class=\"problems\"><h2>Problems</h2><ul>")?;
    if status.is_ledger_failing {
        write_cause(html, "ledger", "", &[])?;
    }
    for ((server, reason), senders) in causes {
        write_cause(html, reason, server, &senders)?;
    }
    for (sender, remedy) in remedies {
        write!(
            html,
            "<li class=\"wait\"><b>{}</b> {}</li>",
            Escaped(&sender.sender),
            Escaped(remedy)
        )?;
    }
    html.write_str("</ul></section>")
}

/// The senders by the server and the cause of their failure.
fn causes(status: &Status) -> BTreeMap<(&str, &'static str), Vec<&str>> {
    let mut causes: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for sender in &status.senders {
        if let Some(reason) = sender.failure {
            let senders = causes.entry((&*sender.server, reason)).or_default();
            senders.push(&sender.sender);
        }
    }
    causes
}

/// What a human has to do for this sender alone.
fn remedy(sender: &SenderStatus) -> Option<(&SenderStatus, &str)> {
    Some((sender, sender.remedy.as_deref()?))
}

fn write_cause(html: &mut String, reason: &str, server: &str, senders: &[&str]) -> fmt::Result {
    let title = runbooks::find(reason).map_or(reason, |runbook| runbook.title());
    write!(
        html,
        "<li class=\"bad\"><b>{}</b> {} <span class=\"dim\">{}</span> \
         <a href=\"{}{reason}\">What to do</a></li>",
        Escaped(server),
        Escaped(title),
        Escaped(&listed(senders)),
        runbooks::PATH,
    )
}

fn listed(senders: &[&str]) -> String {
    let named = senders.iter().take(NAMED).copied().collect::<Vec<_>>();
    let more = senders.len() - named.len();
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
