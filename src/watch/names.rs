//! The configuration and the watch files into one answer.
//!
//! **Invariants.** Pure. The configuration wins over a file, a file over those
//! after it. How a transfer came to be named does not change while it is named.

use super::{Entry, Named, Names};
use crate::ledger::Origin;

/// What is named now, where `before` was named until now. Of what is named
/// anew, the origin is that of its file.
pub(super) fn merge<'a>(
    configured: &Names,
    before: &Names,
    files: impl IntoIterator<Item = (Origin, &'a [Entry])>,
) -> Names {
    let mut names = configured.clone();
    for (origin, entries) in files {
        for entry in entries {
            let known = before.get(&entry.sender);
            let known = known.and_then(|known| known.get(&entry.id));
            let own = names.entry(entry.sender.clone()).or_default();
            own.entry(entry.id.clone()).or_insert_with(|| Named {
                name: entry.name.clone(),
                origin: known.map_or(origin, |known| known.origin),
            });
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SenderId, TrackingId};

    fn entry(id: &str, name: &str) -> Entry {
        Entry {
            sender: SenderId::new("prod", "ada@example.com"),
            id: TrackingId::parse(id).unwrap(),
            name: name.to_owned(),
        }
    }

    fn told(names: &Names) -> Vec<String> {
        let all = names.values().flatten();
        let one = all.map(|(id, named)| format!("{id} {} {:?}", named.name, named.origin));
        one.collect()
    }

    #[test]
    fn the_configuration_wins_then_the_first_file() {
        let none = Names::new();
        let by_config = [entry("a", "by config")];
        let configured = merge(&none, &none, [(Origin::Configured, &by_config[..])]);
        let first = [entry("a", "by a file"), entry("b", "by the first")];
        let second = [entry("b", "by the second"), entry("c", "")];
        let files = [
            (Origin::Dropped, &first[..]),
            (Origin::Dropped, &second[..]),
        ];
        let names = merge(&configured, &none, files);
        let expect = [
            "a by config Configured",
            "b by the first Dropped",
            "c  Dropped",
        ];
        assert_eq!(told(&names), expect);
    }

    #[test]
    fn an_origin_stays_while_the_transfer_is_named_wherever_it_moves() {
        let none = Names::new();
        let old = [entry("a", "old")];
        let start = merge(&none, &none, [(Origin::Configured, &old[..])]);
        let moved = [entry("a", "new"), entry("b", "")];
        let later = merge(&none, &start, [(Origin::Dropped, &moved[..])]);
        assert_eq!(told(&later), ["a new Configured", "b  Dropped"]);
        let without = merge(&none, &later, [(Origin::Dropped, &moved[1..])]);
        let again = merge(&none, &without, [(Origin::Dropped, &moved[..])]);
        assert_eq!(told(&again), ["a new Dropped", "b  Dropped"]);
    }
}
