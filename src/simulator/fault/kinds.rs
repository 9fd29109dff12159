//! The kinds of faults: their names, what belongs to each, what each does.
//!
//! **Invariants.** A member is told for the kinds alone that heed it.

use super::{ENDPOINTS, Kind};

/// What may stand beside every kind.
const COMMON: [&str; 5] = ["kind", "endpoint", "times", "share", "seconds"];

/// Each kind, its own members, and what it does.
const TABLE: [(Kind, &str, &[&str], &str); 17] = [
    (
        Kind::Latency,
        "latency",
        &["milliseconds"],
        "the answer comes late, by a second if nothing is told",
    ),
    (
        Kind::Status,
        "status",
        &["status", "errorCode", "retryAfter"],
        "an error, 500 with 5000 if nothing is told; retryAfter in seconds",
    ),
    (
        Kind::Stall,
        "stall",
        &[],
        "half of the body, and then nothing more",
    ),
    (
        Kind::Reset,
        "reset",
        &[],
        "half of the body, and then the connection breaks",
    ),
    (
        Kind::Truncated,
        "truncated",
        &[],
        "half of the body, as if it were the whole",
    ),
    (
        Kind::Html,
        "html",
        &["status"],
        "a page for people instead of JSON",
    ),
    (
        Kind::Oversized,
        "oversized",
        &["bytes"],
        "a body of so many bytes, 32 MiB if nothing is told",
    ),
    (
        Kind::WrongType,
        "wrong_type",
        &[],
        "a text where an object or a list belongs",
    ),
    (
        Kind::ContentType,
        "content_type",
        &[],
        "JSON that calls itself text/plain",
    ),
    (
        Kind::ExpiredToken,
        "expired_token",
        &[],
        "no token is good any more",
    ),
    (
        Kind::ClockSkew,
        "clock_skew",
        &["skewSeconds"],
        "the date is so far ahead, an hour if nothing is told",
    ),
    (
        Kind::ShiftedPage,
        "shifted_page",
        &["items"],
        "so many transfers came since the page before, or went if negative",
    ),
    (
        Kind::DuplicateItems,
        "duplicate_items",
        &[],
        "each item of a list stands there twice",
    ),
    (
        Kind::CorruptItem,
        "corrupt_item",
        &[],
        "one item of a good list is no item",
    ),
    (Kind::EmptyList, "empty_list", &[], "a list that is empty"),
    (
        Kind::Redirect,
        "redirect",
        &["location"],
        "302 to another host, or to the location",
    ),
    (
        Kind::RedirectLoop,
        "redirect_loop",
        &[],
        "307 to where the request went",
    ),
];

impl Kind {
    fn row(self) -> (&'static str, &'static [&'static str]) {
        let row = TABLE.into_iter().find(|(kind, ..)| *kind == self);
        row.map_or(("", &[]), |(_, name, own, _)| (name, own))
    }

    /// Refuses the first of `members` that means nothing to this kind.
    pub(super) fn heeds<'a>(
        self,
        mut members: impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        let (name, own) = self.row();
        let Some(odd) = members.find(|member| !COMMON.contains(member) && !own.contains(member))
        else {
            return Ok(());
        };
        let may = [own, &["endpoint", "times", "share", "seconds"]].concat();
        Err(format!(
            "{odd} means nothing to {name}, which may have {}",
            may.join(", ")
        ))
    }
}

/// The name of every kind.
pub fn kinds() -> String {
    TABLE.map(|(_, name, ..)| name).join(", ")
}

/// A line for each kind, and what may stand beside all of them.
pub fn explanation() -> String {
    let line = |(_, name, own, meaning): (_, &str, &[&str], &str)| {
        format!("{name:15} {meaning}{}\n", belongings(own))
    };
    format!(
        "{}\nEach may have endpoint=NAME, times=N answers, share=X of them from 0 to 1, \
         seconds=N.\nThe endpoints are {}.\n",
        TABLE.map(line).concat(),
        ENDPOINTS.join(", ")
    )
}

fn belongings(own: &[&str]) -> String {
    if own.is_empty() {
        return String::new();
    }
    format!(" ({})", own.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_names_are_those_of_the_control_api() {
        for (kind, name, ..) in TABLE {
            assert_eq!(json!(kind), name);
        }
        let unknown = serde_json::from_value::<Kind>(json!("")).unwrap_err();
        let unknown = unknown.to_string();
        let known = unknown.matches('`').count() / 2 - 1;
        assert_eq!(known, TABLE.len(), "{unknown}");
    }
}
