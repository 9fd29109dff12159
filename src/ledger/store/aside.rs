//! Beginning anew without losing what was there.
//!
//! **Invariants.** A file is renamed and never deleted, and only while no
//! process has it open.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{FILE, Store, StoreError, file_at, inaccessible};

impl Store {
    /// Where the ledger of `directory` is.
    pub fn path_in(directory: &Path) -> PathBuf {
        directory.join(FILE)
    }

    /// Sets the ledger of `directory` aside under a name that tells the time,
    /// so that the next start begins a new one. It may be damaged or newer. The
    /// answer is its new place.
    ///
    /// # Errors
    /// If there is none, a process has it open, or it cannot be renamed.
    pub fn set_aside(directory: &Path, at: Timestamp) -> Result<PathBuf, StoreError> {
        let path = Self::path_in(directory);
        // Held until the file has its new name.
        let _lock = locked(&path)?;
        let aside = directory.join(format!("{FILE}.{}", at.strftime("%Y%m%dT%H%M%SZ")));
        fs::rename(&path, &aside).map_err(|error| inaccessible(&path, error))?;
        Ok(aside)
    }

    /// Whether [`Store::set_aside`] would find what it needs now.
    ///
    /// # Errors
    /// If there is no ledger, a process has it open, or it cannot be opened.
    pub fn may_be_set_aside(directory: &Path) -> Result<(), StoreError> {
        locked(&Self::path_in(directory)).map(drop)
    }
}

/// The file, locked as the library does: it locks whole files, too.
fn locked(path: &Path) -> Result<File, StoreError> {
    let file = match file_at(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Missing(path.to_owned()));
        }
        opened => opened.map_err(|error| inaccessible(path, error))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(inaccessible(path, error)),
    }
}
