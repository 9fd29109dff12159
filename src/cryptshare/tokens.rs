//! Tokens on disk: one file for each server and sender, keyed also by a hash
//! of the client id, so that a new client id never meets an old token.
//!
//! **Invariants.** Mode 0600, replaced atomically: a reader finds the old or
//! the new token, never half of one.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::model::SenderId;

/// Where one sender's token is kept; nowhere without a state directory.
#[derive(Debug, Clone, Default)]
pub(super) struct TokenFile(Option<PathBuf>);

/// The content of a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    token: String,
    valid_until: Option<String>,
}

impl TokenFile {
    /// The file below `directory`.
    pub(super) fn new(directory: &Path, sender: &SenderId, client_id: &SecretString) -> Self {
        let mut hasher = DefaultHasher::new();
        (sender.server(), sender.address(), client_id.expose_secret()).hash(&mut hasher);
        let name = format!("{}-{:016x}.json", sender.server(), hasher.finish());
        Self(Some(directory.join(name)))
    }

    /// The token and its end, if a file holds them.
    pub(super) fn read(&self) -> Option<(SecretString, Option<Timestamp>)> {
        let text = fs::read(self.0.as_deref()?).ok()?;
        let stored: Stored = serde_json::from_slice(&text).ok()?;
        let until = stored.valid_until.and_then(|until| until.parse().ok());
        Some((stored.token.into(), until))
    }

    /// Keeps the token.
    ///
    /// # Errors
    /// If the directory cannot be written; the token is then held in memory.
    pub(super) fn write(&self, token: &SecretString, until: Option<Timestamp>) -> io::Result<()> {
        let Some((path, directory)) = self.0.as_deref().and_then(|p| Some((p, p.parent()?))) else {
            return Ok(());
        };
        fs::create_dir_all(directory)?;
        let stored = Stored {
            token: token.expose_secret().to_owned(),
            valid_until: until.map(|until| until.to_string()),
        };
        // A temporary file is created with mode 0600.
        let mut file = NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_found_again_under_its_own_client_id_alone() {
        let directory = tempfile::tempdir().unwrap();
        let sender = SenderId::new("prod", "ada@example.com");
        let file = |client_id: &str| TokenFile::new(directory.path(), &sender, &client_id.into());
        let until: Timestamp = "2026-04-30T07:15:00Z".parse().unwrap();
        file("one").write(&"t1".into(), Some(until)).unwrap();
        let (token, end) = file("one").read().unwrap();
        assert_eq!((token.expose_secret(), end), ("t1", Some(until)));
        assert!(file("two").read().is_none());
        let path = file("one").0.unwrap();
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
