//! A secret, inline or from a file.
//!
//! **Invariants.** The value of a secret is in no problem.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use secrecy::{ExposeSecret, SecretString};

use super::{Surroundings, Table};
use crate::config::{document::Place, values};

/// Bits of a file's mode that let others read it.
const READABLE_BY_OTHERS: u32 = 0o004;

/// `client_id` or `client_id_file`, exactly one of them; each that stands there
/// is checked.
pub(super) fn client_id(table: &mut Table<'_>, around: &Surroundings) -> Option<SecretString> {
    let inline = table.text("client_id");
    let file = table.text("client_id_file");
    match (&inline, &file) {
        (Some((place, _)), Some(_)) => {
            let problem = place.problem("stands beside client_id_file", "keep one of them");
            table.problems.add(problem);
        }
        (None, None) if !table.is_told("client_id") && !table.is_told("client_id_file") => {
            let remedy = "add client_id_file, or client_id";
            table.wrong("there is no client id", remedy);
        }
        _ => {}
    }
    let inline = inline.map(|(place, text)| (place, SecretString::from(text)));
    let file = file.and_then(|(place, name)| from_file(table, around, place, &name));
    let found = inline.into_iter().chain(file);
    let good = found.filter_map(|(place, secret)| checked(table, &place, secret));
    // All are checked, not only the first.
    good.collect::<Vec<_>>().pop()
}

fn from_file(
    table: &Table<'_>,
    around: &Surroundings,
    place: Place,
    name: &str,
) -> Option<(Place, SecretString)> {
    let path = around.file(name);
    match read(&path) {
        Ok((secret, mode)) => {
            if mode & READABLE_BY_OTHERS != 0 {
                let wrong = "everybody on the machine can read the file";
                around.warn(&place, wrong, "run chmod o-r on it");
            }
            Some((place, secret))
        }
        Err(error) => {
            // Whoever wrote the client id in place of the file's name must not
            // find it in a log.
            let is_the_secret = values::client_id(name).is_ok();
            let shown = (!is_the_secret).then(|| path.display().to_string());
            let shown = shown.as_deref().unwrap_or("the file");
            let wrong = format!("{shown} cannot be read ({error})");
            let remedy = "create the file with the client id as its only line";
            table.problems.add(place.problem(wrong, remedy));
            None
        }
    }
}

fn checked(table: &Table<'_>, place: &Place, secret: SecretString) -> Option<SecretString> {
    match values::client_id(secret.expose_secret()) {
        Ok(()) => Some(secret),
        Err((wrong, remedy)) => {
            table.problems.add(place.problem(wrong, remedy));
            None
        }
    }
}

fn read(path: &Path) -> io::Result<(SecretString, u32)> {
    let mode = fs::metadata(path)?.permissions().mode();
    let text = fs::read_to_string(path)?;
    Ok((SecretString::from(text.trim_end()), mode))
}
