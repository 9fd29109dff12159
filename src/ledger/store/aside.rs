//! Beginning anew without losing what was there.
//!
//! **Invariants.** A file is renamed and never deleted, and only while no
//! process has it open.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{FILE, Store, StoreError};

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
        if !path.exists() {
            return Err(StoreError::Missing(path));
        }
        let inaccessible = |error| {
            let error = redb::Error::Io(error);
            StoreError::Inaccessible(path.clone(), Box::new(error))
        };
        let file = File::options().read(true).write(true).open(&path);
        // The library locks whole files, too; this lock is held until the file
        // has its new name.
        let file = file.map_err(inaccessible)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(inaccessible(error)),
        }
        let aside = directory.join(format!("{FILE}.{}", at.strftime("%Y%m%dT%H%M%SZ")));
        fs::rename(&path, &aside).map_err(inaccessible)?;
        Ok(aside)
    }
}
