//! `watch_files`, and the files that it names.
//!
//! A watch file is written by an application, so it may be wrong at any time:
//! what it says counts whole or not at all.
//!
//! **Invariants.** Reads no file. A watch file names transfers of senders that
//! the configuration knows, so whoever can write one cannot make us ask for
//! somebody else's.

use std::{collections::HashSet, path::Path};

use glob::Pattern;

use super::{Surroundings, Table, root, transfer};
use crate::{
    config::{NamedTransfer, Server, document::Problems, problem::Problem, values::Wrong},
    model::{SenderId, TrackingId},
};

/// `watch_files`: patterns of whole paths.
pub(super) fn patterns(table: &mut Table<'_>, around: &Surroundings) -> Vec<String> {
    let mut patterns = Vec::new();
    for (place, text) in table.list("watch_files") {
        match pattern(&text, &around.directory) {
            Ok(pattern) => patterns.push(pattern),
            Err((wrong, remedy)) => table.problems.add(place.problem(wrong, remedy)),
        }
    }
    patterns
}

/// A pattern, made absolute if `directory` is.
fn pattern(text: &str, directory: &Path) -> Result<String, Wrong> {
    let wrong = |wrong: &str| {
        let remedy = "write for example \"/var/spool/invoices/*.toml\"";
        (wrong.to_owned(), remedy.to_owned())
    };
    if text.is_empty() || text.ends_with('/') || text.contains('\0') {
        return Err(wrong("names no file"));
    }
    if text.contains("**") {
        return Err(wrong("** would search whole trees"));
    }
    Pattern::new(text).map_err(|error| wrong(&format!("is not a pattern ({error})")))?;
    if text.starts_with('/') || directory.as_os_str().is_empty() {
        return Ok(text.to_owned());
    }
    let directory = Pattern::escape(&directory.to_string_lossy());
    Ok(format!("{directory}/{text}"))
}

/// What a watch file says of the transfers of `server`, or all that is wrong
/// with it. What is only odd is told when the transfer is not found.
pub(in crate::config) fn read(
    text: &str,
    server: &Server,
) -> Result<Vec<(SenderId, NamedTransfer)>, Vec<Problem>> {
    let problems = Problems::default();
    let mut root = root(text, &problems)?;
    if !root.is_told("transfer") {
        // Also what a writer leaves in between that empties the file first.
        let remedy = "add one for each transfer, or remove the file";
        root.wrong("there is no [[transfer]]", remedy);
    }
    let around = Surroundings::default();
    let (mut ids, mut named) = (HashSet::new(), Vec::new());
    for table in root.tables("transfer") {
        named.extend(entry(table, server, &around, &mut ids));
    }
    root.finish();
    match problems.take() {
        none if none.is_empty() => Ok(named),
        problems => Err(problems),
    }
}

fn entry(
    table: Table<'_>,
    server: &Server,
    around: &Surroundings,
    ids: &mut HashSet<TrackingId>,
) -> Option<(SenderId, NamedTransfer)> {
    let problems = table.problems.clone();
    let (place, (sender_place, address), named) = transfer::entry(table, around)?;
    let sender = SenderId::new(&server.name, &address);
    if !server.senders.iter().any(|known| known.id == sender) {
        let wrong = format!("the server \"{}\" has no such sender", server.name);
        let remedy =
            "correct it, or add a [[server.sender]] with this address to the configuration";
        problems.add(sender_place.problem(wrong, remedy));
    }
    if !ids.insert(named.tracking_id.clone()) {
        let wrong = format!("the transfer {} stands here twice", named.tracking_id);
        problems.add(place.problem(wrong, "keep one entry"));
    }
    Some((sender, named))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    const HEAD: &str = "[[server]]\nname = \"prod\"\nurl = \"https://cs.example.com\"\n";

    fn config(more: &str) -> Result<Config, crate::config::Error> {
        let id = "x".repeat(50);
        let text = format!(
            "{HEAD}client_id = \"{id}\"\n{more}\n[[server.sender]]\nemail = \"Ada@example.com\"\n"
        );
        Config::parse(&text, Path::new("/etc/[exporter]/config.toml"))
    }

    fn patterns_of(line: &str) -> Vec<String> {
        config(line).unwrap().servers.remove(0).watch_files
    }

    #[test]
    fn patterns_are_looked_for_beside_the_configuration() {
        assert_eq!(patterns_of(""), Vec::<String>::new());
        let line = "watch_files = [\"/var/spool/*.toml\", \"drop/*.toml\"]";
        let expect = ["/var/spool/*.toml", "/etc/[[]exporter[]]/drop/*.toml"];
        assert_eq!(patterns_of(line), expect);
    }

    #[test]
    fn a_list_that_is_none_is_told_with_its_line() {
        let check = |line: &str, expect: &str| {
            let told = config(line).unwrap_err().to_string();
            assert!(told.contains(&format!("config.toml:5: {expect}")), "{told}");
        };
        check(
            "watch_files = \"*.toml\"",
            "server[0].watch_files: is a string; write a list",
        );
        check(
            "watch_files = []",
            "server[0].watch_files: the list is empty",
        );
        check(
            "watch_files = [7]",
            "server[0].watch_files[0]: is an integer",
        );
        check(
            "watch_files = [\"\"]",
            "server[0].watch_files[0]: names no file",
        );
        check(
            "watch_files = [\"/var/\"]",
            "server[0].watch_files[0]: names no file",
        );
        check(
            "watch_files = [\"/**/*.toml\"]",
            "server[0].watch_files[0]: ** would search",
        );
        check(
            "watch_files = [\"/[a\"]",
            "server[0].watch_files[0]: is not a pattern",
        );
    }

    /// What is told of a watch file: its entries, or its problems.
    fn told(text: &str) -> Result<Vec<String>, Vec<String>> {
        let server = config("").unwrap().servers.remove(0);
        let entry = |(sender, named): (SenderId, NamedTransfer)| {
            format!("{} {} {}", sender.address(), named.tracking_id, named.name)
        };
        let entries = server.read_watch_file(text);
        let entries = entries.map(|entries| entries.into_iter().map(entry).collect());
        entries.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_watch_file_lists_transfers_as_the_configuration_does() {
        let text = "[[transfer]]\nsender = \"ada@EXAMPLE.com\"\ntracking_id = \"a\"\nname = \"May\"\n\
                    [[transfer]]\nsender = \"ada@example.com\"\ntracking_id = \"b\"\n";
        let expect = ["ada@example.com a May", "ada@example.com b "];
        assert_eq!(told(text).unwrap(), expect);
    }

    #[test]
    fn one_problem_makes_a_watch_file_void_and_all_are_told() {
        let text = "[[transfer]]\nsender = \"ada@example.com\"\ntracking_id = \"a\"\n\
                    [[transfer]]\nsender = \"bob@example.com\"\ntracking_id = \"b\"\n\
                    [[transfer]]\nsender = \"ada@example.com\"\ntracking_id = \"a\"\ncolor = 7\n\
                    [[transfer]]\ntracking_id = \"c/d\"\n";
        let told = told(text).unwrap_err();
        let expect = [
            (
                5,
                "transfer[1].sender: the server \"prod\" has no such sender; correct it",
            ),
            (9, "stands here twice; keep one entry"),
            (10, "unknown key"),
            (11, "there is no sender"),
            (12, "slash"),
        ];
        assert_eq!(told.len(), expect.len(), "{told:#?}");
        for (told, (line, expect)) in told.iter().zip(expect) {
            assert!(told.starts_with(&format!("{line}: ")), "{told}");
            assert!(told.contains(expect), "{told}");
            assert!(!told.contains("bob"), "{told}");
        }
    }

    #[test]
    fn a_file_that_a_writer_has_only_begun_is_void() {
        for text in [
            "",
            "# transfers\n",
            "transfer = []",
            "[[transfer]]\nsender = \"ada@ex",
        ] {
            assert!(told(text).is_err(), "{text}");
        }
    }
}
