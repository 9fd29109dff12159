//! A sender with its counters as text, to move it to another instance.
//!
//! One JSON object a line: a head, one line for each transfer, and an end that
//! counts them, so that a file that was cut is seen. The rows are those of the
//! store: what is moved counts on, and nothing becomes a baseline.
//!
//! **Invariants.** An import is whole or nothing.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use super::{
    book::Book,
    rows::{self, Malformed, Moment},
    store::{Batch, Content, FORMAT},
};
use crate::model::{SenderId, TrackingId, identity};

/// The longest line that is read, in bytes. That of a transfer grows with its
/// recipients and files, some hundred bytes for each pair.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// One line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Sender(Head),
    Transfer {
        tracking_id: String,
        row: rows::Transfer,
    },
    End {
        transfers: u64,
    },
}

/// Whose an export is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
    server: String,
    address: String,
    /// When the first listing ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Moment>,
    row: rows::Sender,
}

/// What an export holds.
#[derive(Debug)]
pub struct Imported {
    /// Whose it is.
    pub sender: SenderId,
    /// How many transfers it holds.
    pub transfers: u64,
    /// Its rows.
    pub batch: Batch,
}

/// Why a text is no export.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("line {0} cannot be read")]
    Unreadable(u64, #[source] io::Error),
    /// A line is not what it should be.
    #[error("line {0} is not a line of an export (column {1}); export the sender again")]
    Foreign(u64, usize),
    /// A line is longer than any that is exported.
    #[error("line {0} is longer than {LONGEST_LINE} bytes; export the sender again")]
    TooLong(u64),
    /// A line stands where it must not.
    #[error("line {0} is out of place: {1}; export the sender again")]
    OutOfPlace(u64, &'static str),
    /// It was written by another format.
    #[error("line 1 has format {0}, and this exporter reads format {FORMAT}; use the same version")]
    Format(u32),
    /// The sender could not be configured.
    #[error("line 1 names a server or a sender that no configuration can name")]
    Unnameable,
    /// Values contradict each other.
    #[error("line {0} holds values that cannot be; export the sender again")]
    Malformed(u64),
}

/// Writes what is remembered of `sender`; the answer is the number of
/// transfers, or none if nothing is remembered of it.
///
/// # Errors
/// If `out` fails.
pub fn export(
    content: &Content,
    sender: &SenderId,
    out: &mut impl Write,
) -> io::Result<Option<u64>> {
    let Some((id, row)) = content.senders.iter().find(|(id, _)| id == sender) else {
        return Ok(None);
    };
    let head = Head {
        format: FORMAT,
        server: id.server().to_owned(),
        address: id.address().to_owned(),
        since: content.baselines.get(id).copied(),
        row: row.clone(),
    };
    write_line(out, &Line::Sender(head))?;
    let mut transfers = 0;
    for (_, id, row) in content.transfers.iter().filter(|(id, ..)| id == sender) {
        let line = Line::Transfer {
            tracking_id: id.as_str().to_owned(),
            row: row.clone(),
        };
        write_line(out, &line)?;
        transfers += 1;
    }
    write_line(out, &Line::End { transfers })?;
    out.flush()?;
    Ok(Some(transfers))
}

fn write_line(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Reads an export. With `server` the sender goes to the server of that name.
///
/// # Errors
/// If `text` is not a whole export; the error names the line.
pub fn import(mut text: impl BufRead, server: Option<&str>) -> Result<Imported, ImportError> {
    let mut reading = Reading::default();
    let mut number = 1;
    while let Some(line) = next_line(&mut text, number)? {
        let line = serde_json::from_slice(&line);
        // The library's own words count lines anew, and may quote what no
        // terminal should be shown.
        let line = line.map_err(|error| ImportError::Foreign(number, error.column().max(1)))?;
        reading.take(line, number, server)?;
        number += 1;
    }
    let unfinished = ImportError::OutOfPlace(number, "the export is cut");
    match reading {
        Reading {
            head: Some(head),
            is_over: true,
            transfers,
            batch,
            ..
        } => Ok(Imported {
            sender: head,
            transfers,
            batch,
        }),
        _ => Err(unfinished),
    }
}

/// The line of this number, if the text has one.
fn next_line(text: &mut impl BufRead, number: u64) -> Result<Option<Vec<u8>>, ImportError> {
    let mut line = Vec::new();
    let mut limited = text.take(LONGEST_LINE.saturating_add(1));
    let taken = limited.read_until(b'\n', &mut line);
    taken.map_err(|error| ImportError::Unreadable(number, error))?;
    if limited.limit() == 0 && !line.ends_with(b"\n") {
        return Err(ImportError::TooLong(number));
    }
    Ok((!line.is_empty()).then_some(line))
}

/// Whether a configuration could name this, by its own rules: what cannot be
/// watched would stay for ever, and names go to terminals.
fn is_nameable(head: &Head, server: Option<&str>) -> bool {
    let server = server.unwrap_or(&head.server);
    identity::is_server_name(server) && identity::is_address(&head.address)
}

/// An export as far as it has been read.
#[derive(Default)]
struct Reading {
    head: Option<SenderId>,
    /// Tries the rows as a start would.
    trial: Book,
    transfers: u64,
    is_over: bool,
    batch: Batch,
}

impl Reading {
    fn take(&mut self, line: Line, number: u64, server: Option<&str>) -> Result<(), ImportError> {
        let out_of_place = |why| Err(ImportError::OutOfPlace(number, why));
        if self.is_over {
            return out_of_place("the export has ended");
        }
        let taken = match (line, self.head.clone()) {
            (Line::Sender(head), None) if head.format != FORMAT => {
                return Err(ImportError::Format(head.format));
            }
            (Line::Sender(head), None) if !is_nameable(&head, server) => {
                return Err(ImportError::Unnameable);
            }
            (Line::Sender(head), None) => self.begin(head, server),
            (Line::Transfer { tracking_id, row }, Some(sender)) => {
                self.add(sender, &tracking_id, row)
            }
            (Line::End { transfers }, Some(_)) if transfers == self.transfers => {
                self.is_over = true;
                Ok(())
            }
            (Line::End { .. }, Some(_)) => return out_of_place("lines are missing"),
            (Line::Sender(_), Some(_)) => return out_of_place("a second sender"),
            (Line::Transfer { .. } | Line::End { .. }, None) => {
                return out_of_place("the sender comes first");
            }
        };
        taken.map_err(|Malformed| ImportError::Malformed(number))
    }

    fn begin(&mut self, head: Head, server: Option<&str>) -> Result<(), Malformed> {
        self.trial = Book::restored(&head.row, head.since)?;
        let sender = SenderId::new(server.unwrap_or(&head.server), &head.address);
        // It is watched again from where it stopped, so that what happened on
        // the way counts.
        let row = rows::Sender {
            unwatched_since: None,
            ..head.row
        };
        let row = Some(row.encode());
        self.batch.senders.push((sender.clone(), row));
        self.batch.baselines.push((sender.clone(), head.since));
        self.head = Some(sender);
        Ok(())
    }

    fn add(&mut self, sender: SenderId, id: &str, row: rows::Transfer) -> Result<(), Malformed> {
        let id = TrackingId::parse(id).map_err(|_| Malformed)?;
        let bytes = row.encode();
        self.trial.restore_transfer(id.clone(), row)?;
        self.batch.transfers.push((sender, id, Some(bytes)));
        self.transfers += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let endless = BufReader::new(io::repeat(b' '));
        let refused = import(endless, None).unwrap_err();
        assert!(matches!(refused, ImportError::TooLong(1)), "{refused}");
    }
}
