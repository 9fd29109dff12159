//! `state`: looking at the ledger, and moving a sender from one instance to
//! another; and the flag that begins it anew.
//!
//! **Invariants.** None of these makes a ledger but an import, and none goes on
//! while an exporter has it open.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, BufWriter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{complain, finish, say};
use crate::{
    clock::Clock,
    config::Config,
    files,
    ledger::{self, Book, IfMissing, Imported, Ledger, Store},
    model::{Method, SenderId, State},
};

/// What has to be typed before the ledger is set aside.
const CONFIRMATION: &str = "begin anew";

/// The name of a file that means standard input.
const STANDARD_INPUT: &str = "-";

/// Which ledger is meant.
#[derive(Debug)]
pub struct StatePlace {
    /// The configuration that names the state directory.
    pub config_file: PathBuf,
    /// The state directory itself; then the configuration is not read.
    pub directory: Option<PathBuf>,
}

/// `state show`.
#[derive(Debug)]
pub struct Show {
    /// Which ledger.
    pub place: StatePlace,
    /// How it is printed.
    pub format: ShowFormat,
}

/// How the content of the ledger is printed.
#[derive(Debug, Clone, Copy)]
pub enum ShowFormat {
    /// Columns for people.
    Table,
    /// An array of objects with every counter.
    Json,
}

/// `state export`.
#[derive(Debug)]
pub struct Export {
    /// Which ledger.
    pub place: StatePlace,
    /// The sender's address, or its name in the configuration.
    pub sender: String,
    /// The server's name, where several know the sender.
    pub server: Option<String>,
}

/// `state import`.
#[derive(Debug)]
pub struct Import {
    /// Which ledger.
    pub place: StatePlace,
    /// What `state export` has written; standard input without one, or where it
    /// is `-`.
    pub file: Option<PathBuf>,
    /// The server's name in the configuration of this instance, where it is
    /// another.
    pub server: Option<String>,
    /// Whether what is known of the sender gives way.
    pub replace: bool,
}

/// Prints what the ledger remembers of each sender.
pub fn show(options: &Show) -> ExitCode {
    finish(try_show(options))
}

fn try_show(options: &Show) -> anyhow::Result<()> {
    let (ledger, _store) = Ledger::open(&options.place.find()?.directory, IfMissing::Refuse)?;
    match options.format {
        ShowFormat::Table => say(&table(&ledger)),
        ShowFormat::Json => say(&objects(&ledger)?),
    }
}

/// Writes everything that is remembered of a sender to standard output.
pub fn export(options: &Export) -> ExitCode {
    finish(try_export(options))
}

fn try_export(options: &Export) -> anyhow::Result<()> {
    let place = options.place.find()?;
    let (_store, content) = Store::open(&place.directory, IfMissing::Refuse)?;
    let asked = (options.sender.as_str(), options.server.as_deref());
    let sender = place.sender(content.senders(), asked)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let transfers = ledger::export(&content, &sender, &mut out).context("cannot write")?;
    let transfers = transfers.unwrap_or_default();
    complain(&format!(
        "exported {} of server {} with {transfers} transfers",
        sender.address(),
        sender.server()
    ));
    Ok(())
}

/// Takes in a sender that another instance has exported.
pub fn import(options: &Import) -> ExitCode {
    finish(try_import(options))
}

fn try_import(options: &Import) -> anyhow::Result<()> {
    let place = options.place.find()?;
    let directory = &place.directory;
    let imported = read_export(options)?;
    let (mut store, content) = Store::open(directory, IfMissing::Create)?;
    let (sender, mut batch) = (imported.sender, imported.batch);
    if content.senders().any(|known| *known == sender) {
        if !options.replace {
            bail!(
                "the ledger in {} already knows {} of server {}; to let it give way, add --replace",
                directory.display(),
                sender.address(),
                sender.server()
            );
        }
        batch.replaces(&content, &sender);
    }
    store.commit(&batch)?;
    complain(&format!(
        "imported {} of server {} with {} transfers",
        sender.address(),
        sender.server(),
        imported.transfers
    ));
    if !place.knows(&sender) {
        complain(&format!(
            "warning: {} watches no {} of server {}; add it before the exporter starts, \
             or import it under another name of the server with --server",
            options.place.config_file.display(),
            sender.address(),
            sender.server()
        ));
    }
    Ok(())
}

fn read_export(options: &Import) -> anyhow::Result<Imported> {
    let server = options.server.as_deref();
    let file = options.file.as_deref();
    let (from, imported) = match file.filter(|file| *file != Path::new(STANDARD_INPUT)) {
        Some(file) => {
            let from = file.display().to_string();
            let open = files::open(file).with_context(|| format!("cannot open {from}"))?;
            (from, ledger::import(BufReader::new(open), server))
        }
        None => (
            "standard input".to_owned(),
            ledger::import(io::stdin().lock(), server),
        ),
    };
    imported.with_context(|| format!("{from} cannot be imported"))
}

/// Sets the ledger aside after it was confirmed on standard input.
pub fn reset(config_file: &Path) -> ExitCode {
    let place = StatePlace {
        config_file: config_file.to_owned(),
        directory: None,
    };
    finish(try_reset(&place))
}

fn try_reset(place: &StatePlace) -> anyhow::Result<()> {
    let directory = place.find()?.directory;
    // Nobody should confirm what is then refused.
    Store::may_be_set_aside(&directory)?;
    complain(&format!(
        "{} will be set aside, and every counter begins at zero.\n\
         Type \"{CONFIRMATION}\" to go on:",
        Store::path_in(&directory).display()
    ));
    let mut typed = String::new();
    io::stdin()
        .lock()
        .read_line(&mut typed)
        .context("cannot read the confirmation")?;
    if typed.trim() != CONFIRMATION {
        bail!("not confirmed; nothing was changed");
    }
    let aside = Store::set_aside(&directory, Clock::System.now())?;
    say(&format!("set aside as {}", aside.display()))
}

/// A state directory, and what the configuration calls the senders, if it was
/// read.
struct Found {
    directory: PathBuf,
    names: Option<Vec<(String, SenderId)>>,
}

impl StatePlace {
    fn find(&self) -> anyhow::Result<Found> {
        if let Some(directory) = &self.directory {
            return Ok(Found {
                directory: directory.clone(),
                names: None,
            });
        }
        let config = Config::load(&self.config_file)?;
        let Some(directory) = config.state_directory else {
            let file = self.config_file.display();
            bail!("{file} has no [state] directory: counters are kept in memory alone");
        };
        let senders = config.servers.into_iter().flat_map(|server| server.senders);
        let names = senders.map(|sender| (sender.label().to_owned(), sender.id));
        Ok(Found {
            directory,
            names: Some(names.collect()),
        })
    }
}

impl Found {
    /// Whether the configuration watches the sender, as far as is known.
    fn knows(&self, sender: &SenderId) -> bool {
        let mut names = self.names.iter();
        names.all(|names| names.iter().any(|(_, named)| named == sender))
    }

    /// The one sender of `known` that `asked` means: its address or name, and
    /// perhaps its server.
    fn sender<'a>(
        &self,
        known: impl Iterator<Item = &'a SenderId>,
        (asked, server): (&str, Option<&str>),
    ) -> anyhow::Result<SenderId> {
        let is_named = |id: &SenderId| {
            self.names
                .iter()
                .flatten()
                .any(|(name, named)| name == asked && named == id)
        };
        let is_meant = |id: &&SenderId| {
            let is_there = server.is_none_or(|server| server == id.server());
            is_there && (id.address() == asked.to_lowercase() || is_named(id))
        };
        let (meant, others): (Vec<_>, Vec<_>) = known.partition(is_meant);
        match meant.as_slice() {
            [one] => Ok((*one).clone()),
            [] => bail!(
                "the ledger knows no sender {asked}; it knows {}",
                list(&others)
            ),
            several => bail!(
                "several servers know {asked}; choose one with --server: {}",
                list(several)
            ),
        }
    }
}

fn list(senders: &[&SenderId]) -> String {
    let named = senders
        .iter()
        .map(|id| format!("{} of server {}", id.address(), id.server()));
    let all: Vec<_> = named.collect();
    if all.is_empty() {
        return "none".to_owned();
    }
    all.join(", ")
}

/// What the table shows of each sender.
const COLUMNS: [&str; 8] = [
    "SERVER",
    "SENDER",
    "TRANSFERS",
    "REMEMBERED",
    "RETRIEVALS",
    "MAILS FAILED",
    "FILES REMOVED",
    "LAST GOOD POLL",
];

fn table(ledger: &Ledger) -> String {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(ledger.remembered().map(|(id, book)| columns(id, book)));
    let mut widths = [0; COLUMNS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS.len()]| {
        let cells = row.iter().zip(widths);
        // A width in the format has a limit, and a cell has none.
        let pad = |(cell, width): (&String, usize)| {
            let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
            format!("{cell}{blanks}")
        };
        let padded: Vec<_> = cells.map(pad).collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn columns(id: &SenderId, book: &Book) -> [String; COLUMNS.len()] {
    let counters = book.counters();
    let mails = counters.recipient_notification_failures + counters.sender_notification_failures;
    let removed: u64 = counters.files_removed.values().sum();
    let last = match (book.unwatched_since(), good_poll(book)) {
        (Some(since), _) => format!("not watched since {since}"),
        (None, Some(at)) => at.to_string(),
        (None, None) => "never".to_owned(),
    };
    [
        id.server().to_owned(),
        id.address().to_owned(),
        book.present().count().to_string(),
        book.remembered().to_string(),
        counters.retrievals.total().to_string(),
        mails.to_string(),
        removed.to_string(),
        last,
    ]
}

fn good_poll(book: &Book) -> Option<Timestamp> {
    book.presence.and_then(|presence| presence.good_at)
}

fn objects(ledger: &Ledger) -> anyhow::Result<String> {
    let all: Vec<_> = ledger
        .remembered()
        .map(|(id, book)| object(id, book))
        .collect();
    serde_json::to_string_pretty(&all).context("cannot write")
}

/// Everything that is counted for a sender, under the names of the labels.
fn object(id: &SenderId, book: &Book) -> Value {
    let counters = book.counters();
    let by_state = |counts: &BTreeMap<State, u64>| -> BTreeMap<_, _> {
        counts
            .iter()
            .map(|(state, count)| (state.label(), *count))
            .collect()
    };
    let retrievals: BTreeMap<_, _> = Method::ALL
        .map(|method| (method.label(), counters.retrievals.get(method)))
        .into();
    json!({
        "server": id.server(),
        "sender": id.address(),
        "transfers": book.present().count(),
        "transfers_remembered": book.remembered(),
        "last_good_poll": good_poll(book).map(|at| at.to_string()),
        "unwatched_since": book.unwatched_since().map(|at| at.to_string()),
        "counters": {
            "retrievals": retrievals,
            "recipient_notification_failures": counters.recipient_notification_failures,
            "sender_notification_failures": counters.sender_notification_failures,
            "eml_creation_failures": counters.eml_creation_failures,
            "files_removed": counters.files_removed,
            "state_transitions": by_state(&counters.transitions),
            "transfers_ended_unretrieved": by_state(&counters.ended_unretrieved),
            "transfers_vanished": counters.vanished,
            "transfers_processed": counters.processing.total(),
        },
    })
}
