//! A secret, inline or from a file.
//!
//! **Invariants.** The value of a secret is in no problem.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use secrecy::{ExposeSecret, SecretString};

use super::{Surroundings, Table};
use crate::config::values;

/// Bits of a file's mode that let others read it.
const READABLE_BY_OTHERS: u32 = 0o004;

/// `client_id` or `client_id_file`, exactly one of them.
pub(super) fn client_id(table: &mut Table<'_>, around: &Surroundings) -> Option<SecretString> {
    let inline = table.text("client_id");
    let file = table.text("client_id_file");
    let (place, secret) = match (inline, file) {
        (Some((place, text)), None) => (place, SecretString::from(text)),
        (None, Some((place, name))) => {
            let path = around.file(&name);
            match read(&path) {
                Ok((secret, mode)) => {
                    if mode & READABLE_BY_OTHERS != 0 {
                        let wrong = "everybody on the machine can read the file";
                        around.warn(&place, wrong, "run chmod o-r on it");
                    }
                    (place, secret)
                }
                // Somebody took the key of a file for that of the secret.
                Err(_) if values::client_id(&name).is_ok() => {
                    let wrong = "is no file, but may be the client id itself";
                    let problem = place.problem(wrong, "write it into a file, and name that");
                    table.problems.add(problem);
                    return None;
                }
                Err(error) => {
                    let wrong = format!("{} cannot be read ({error})", path.display());
                    let remedy = "create the file with the client id as its only line";
                    table.problems.add(place.problem(wrong, remedy));
                    return None;
                }
            }
        }
        (Some((place, _)), Some(_)) => {
            let problem = place.problem("stands beside client_id_file", "keep one of them");
            table.problems.add(problem);
            return None;
        }
        (None, None) => {
            let remedy = "add client_id_file, or client_id";
            table.wrong("there is no client id", remedy);
            return None;
        }
    };
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
