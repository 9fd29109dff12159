//! What is wrong with a configuration, and what would be right.
//!
//! **Invariants.** Never holds the value of a secret. One line, whatever the
//! file quotes.

use std::fmt::{self, Write};

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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            key,
            wrong,
            remedy,
        } = self;
        for c in format!("{line}: {key}: {wrong}; {remedy}").chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}
