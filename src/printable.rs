//! Texts from outside, as people can read them.
//!
//! **Invariants.** What a terminal or a browser would obey instead of showing it
//! is never passed on as it is.

use std::fmt::{self, Write};

/// Whether `c` is obeyed and not shown: a control character, an end of a line
/// or of a paragraph, or one that turns the direction of a text.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text in which such a character stands as an escape: `\n`, `\u{202e}`.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_obeyed(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_stands_there_as_an_escape() {
        let text = "a\n\u{7f}\u{9b}31m\u{202e}\u{2028}\u{2069}\u{feff}é漢\u{200d}";
        let expect = "a\\n\\u{7f}\\u{9b}31m\\u{202e}\\u{2028}\\u{2069}\\u{feff}é漢\u{200d}";
        assert_eq!(Printable(text).to_string(), expect);
    }
}
