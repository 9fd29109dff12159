//! What is wrong with a configuration, and what would be right.
//!
//! **Invariants.** Never holds the value of a secret. One line, whatever the
//! file quotes.

use std::fmt;

use crate::printable::Printable;

/// One problem at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, counted from 1.
    pub line: usize,
    /// The dotted path of the key.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub remedy: String,
}

/// A longer problem, in characters, is cut: it quotes something absurd.
const LONGEST: usize = 600;

/// Keys come from the file, and the line goes to a terminal or a log.
fn write_printable(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => write!(f, "{}…", Printable(text.get(..end).unwrap_or_default())),
        None => write!(f, "{}", Printable(text)),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            key,
            wrong,
            remedy,
        } = self;
        let text = format!("{line}: {key}: {wrong}; {remedy}");
        write_printable(f, &text)
    }
}
