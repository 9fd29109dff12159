//! Tokens on disk: one file for each server and sender, keyed also by a hash
//! of the client id, so that a new client id never meets an old token.
//!
//! **Invariants.** Mode 0600, owned like the directory, replaced atomically: a
//! reader finds the old or the new token, never half of one.

use std::{
    fs::{DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::{
    files::{self, Stamp},
    model::SenderId,
};

/// Where one sender's token is kept; nowhere without a state directory.
#[derive(Debug, Clone, Default)]
pub(super) struct TokenFile(Option<PathBuf>);

/// A token, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) secret: SecretString,
    /// When it ends, if the server told it.
    pub(super) valid_until: Option<Timestamp>,
    /// When the server handed it out, by the server's clock.
    pub(super) granted_at: Option<Timestamp>,
    pub(super) flow: Flow,
}

impl Kept {
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }
}

/// How a token was obtained (contract 3.2 and 3.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Flow {
    /// By a registered client id, so that it can be renewed at any time.
    #[default]
    ClientId,
    /// By a mailed code, so that only a human can renew it.
    Code,
}

/// The content of a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    token: String,
    valid_until: Option<String>,
    #[serde(default)]
    granted_at: Option<String>,
    #[serde(default)]
    flow: Flow,
}

impl TokenFile {
    /// The file below `directory`.
    pub(super) fn new(directory: &Path, sender: &SenderId, client_id: &SecretString) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in [sender.server(), sender.address(), client_id.expose_secret()] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
        let hash = hash.finish();
        let digits = hash
            .as_ref()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"));
        let digits: String = digits.collect();
        Self(Some(
            directory.join(format!("{}-{digits}.json", sender.server())),
        ))
    }

    /// Whether tokens are kept at all.
    pub(super) const fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// The present state of the file; none if there is none.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        Stamp::of(self.0.as_deref()?).ok()
    }

    /// The token, if the file holds one.
    pub(super) fn read(&self) -> Option<Kept> {
        let content = files::read(self.0.as_deref()?).ok()?;
        let stored: Stored = serde_json::from_slice(&content.bytes).ok()?;
        let date = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Some(Kept {
            secret: stored.token.into(),
            valid_until: date(stored.valid_until),
            granted_at: date(stored.granted_at),
            flow: stored.flow,
        })
    }

    /// Whether a token could be kept now.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub(super) fn rehearse(&self) -> io::Result<()> {
        let directory = self.0.as_deref().and_then(Path::parent);
        directory.map_or(Ok(()), |directory| unnamed(directory)?.close())
    }

    /// Keeps the token.
    ///
    /// # Errors
    /// If the directory cannot be written; the token is then held in memory.
    pub(super) fn write(&self, kept: &Kept) -> io::Result<()> {
        let Some((path, directory)) = self.0.as_deref().and_then(|p| Some((p, p.parent()?))) else {
            return Ok(());
        };
        let mut file = unnamed(directory)?;
        let stored = Stored {
            token: kept.secret.expose_secret().to_owned(),
            valid_until: kept.valid_until.map(|until| until.to_string()),
            granted_at: kept.granted_at.map(|at| at.to_string()),
            flow: kept.flow,
        };
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    }
}

/// A file of its own there, which nobody sees.
fn unnamed(directory: &Path) -> io::Result<NamedTempFile> {
    create(directory)?;
    // It is created with mode 0600.
    let file = NamedTempFile::new_in(directory)?;
    files::own_like(directory, file.as_file())?;
    Ok(file)
}

/// Creates the directory, for the owner of the one above it.
fn create(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        created => created?,
    }
    let Some(above) = directory.parent() else {
        return Ok(());
    };
    files::own_like(above, &File::open(directory)?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn kept(secret: &str) -> Kept {
        Kept {
            secret: secret.into(),
            valid_until: Some("2026-04-30T07:15:00Z".parse().unwrap()),
            granted_at: Some("2026-04-01T07:15:00Z".parse().unwrap()),
            flow: Flow::Code,
        }
    }

    #[test]
    fn a_token_is_found_again_under_its_own_client_id_alone() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = directory.path().join("tokens");
        let sender = SenderId::new("prod", "ada@example.com");
        let file = |client_id: &str| TokenFile::new(&tokens, &sender, &client_id.into());
        file("one").write(&kept("t1")).unwrap();
        let found = file("one").read().unwrap();
        assert_eq!(found.secret.expose_secret(), "t1");
        assert_eq!(found.valid_until, kept("").valid_until);
        assert_eq!(found.granted_at, kept("").granted_at);
        assert_eq!(found.flow, Flow::Code);
        assert!(file("two").read().is_none());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file("one").0.unwrap()), 0o600);
        assert_eq!(mode(&tokens), 0o700);
    }

    #[test]
    fn the_name_of_a_file_outlives_compilers() {
        let sender = SenderId::new("prod", "ada@example.com");
        let file = TokenFile::new(Path::new("tokens"), &sender, &"one".into());
        let path = file.0.unwrap();
        assert_eq!(path, Path::new("tokens/prod-429d6aed06a8d0d0.json"));
    }

    #[test]
    fn another_content_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let sender = SenderId::new("prod", "ada@example.com");
        let file = TokenFile::new(directory.path(), &sender, &"one".into());
        assert_eq!(file.stamp(), None);
        file.write(&kept("t1")).unwrap();
        let first = file.stamp();
        assert_eq!(first, file.stamp());
        file.write(&kept("t2")).unwrap();
        assert_ne!(first, file.stamp());
    }

    #[test]
    fn a_file_without_an_age_is_read_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let sender = SenderId::new("prod", "ada@example.com");
        let file = TokenFile::new(directory.path(), &sender, &"one".into());
        let text = r#"{"token":"t1","valid_until":null}"#;
        fs::write(file.0.as_deref().unwrap(), text).unwrap();
        let found = file.read().unwrap();
        assert_eq!((found.granted_at, found.flow), (None, Flow::ClientId));
    }
}
