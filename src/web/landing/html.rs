//! Texts and times in HTML.
//!
//! **Invariants.** Nothing from outside reaches a page but through [`Escaped`].

use std::fmt::{self, Display, Write};

use jiff::{SignedDuration, Timestamp};

use crate::printable::is_obeyed;

/// A text in HTML, in an element or in an attribute. What a browser would obey,
/// such as a turn of the direction, stands there as an escape.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if is_obeyed(c) && c != '\n' => write!(f, "{}", c.escape_default())?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A date in UTC to the second, as people read it.
pub(super) struct Clock(pub(super) Timestamp);

impl Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = format!("{:.0}", self.0);
        let words = exact.replace('T', " ");
        let words = words.trim_end_matches('Z');
        write!(f, "<time datetime=\"{exact}\">{words}</time>")
    }
}

/// How long the first date is before the second one, the exact date as a hint.
pub(super) struct Ago(pub(super) Timestamp, pub(super) Timestamp);

impl Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at, now) = *self;
        let ago = Roughly(now.duration_since(at));
        write!(
            f,
            "<time datetime=\"{at:.0}\" title=\"{at:.0}\">{ago} ago</time>"
        )
    }
}

/// How long the first date is after the second one, the exact date as a hint.
pub(super) struct Until(pub(super) Timestamp, pub(super) Timestamp);

impl Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at, now) = *self;
        let left = Roughly(at.duration_since(now));
        write!(
            f,
            "<time datetime=\"{at:.0}\" title=\"{at:.0}\">{left}</time>"
        )
    }
}

/// A span in its largest whole unit; nothing below zero.
struct Roughly(SignedDuration);

impl Display for Roughly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs().max(0);
        match seconds {
            0..=119 => write!(f, "{seconds} s"),
            120..=7_199 => write!(f, "{} min", seconds / 60),
            7_200..=172_799 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} days", seconds / 86_400),
        }
    }
}
