//! A file as it would be with what was written, and as it still is.
//!
//! The library writes to a file as soon as it opens one, and more where it
//! mends what a crash has left. To know beforehand whether the file is ours and
//! whole, what it writes is held in memory, which is little.
//!
//! **Invariants.** The file is read and locked, and never changed.

use std::{
    fs::File,
    io,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// The storage of one look.
#[derive(Debug)]
pub(super) struct Look {
    file: FileBackend,
    changes: Mutex<Changes>,
}

/// What was written.
#[derive(Debug)]
struct Changes {
    /// How long the storage is by now.
    length: u64,
    /// How much of the file itself is still to be seen.
    kept: u64,
    /// Offsets and bytes, in the order in which they were written.
    written: Vec<(u64, Vec<u8>)>,
}

impl Look {
    pub(super) fn new(file: File) -> Result<Self, redb::DatabaseError> {
        let length = file.metadata().map(|metadata| metadata.len());
        let length = length.map_err(redb::StorageError::Io)?;
        Ok(Self {
            file: FileBackend::new(file)?,
            changes: Mutex::new(Changes {
                length,
                kept: length,
                written: Vec::new(),
            }),
        })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Look {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        if end(offset, out) > changes.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let kept = usize::try_from(changes.kept.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (old, new) = out.split_at_mut(kept.min(out.len()));
        self.file.read(offset, old)?;
        new.fill(0);
        for (at, bytes) in &changes.written {
            lay_over(offset, out, *at, bytes);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut changes = self.changes();
        changes.length = length;
        changes.kept = changes.kept.min(length);
        for (at, bytes) in &mut changes.written {
            let left = usize::try_from(length.saturating_sub(*at));
            bytes.truncate(left.unwrap_or(usize::MAX));
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        changes.length = changes.length.max(end(offset, data));
        changes.written.push((offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(from, to)
    }

    fn try_lock_shared_range(
        &self,
        from: Bound<u64>,
        to: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(from, to)
    }

    fn unlock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(from, to)
    }

    fn query_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(from, to)
    }
}

fn end(offset: u64, bytes: &[u8]) -> u64 {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    offset.saturating_add(length)
}

/// Puts what of `bytes`, which stand at `at`, belongs to `out`, which begins
/// at `offset`.
fn lay_over(offset: u64, out: &mut [u8], at: u64, bytes: &[u8]) {
    let skipped = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).ok();
    let target = skipped(offset, at).and_then(|n| out.get_mut(n..));
    let source = skipped(at, offset).and_then(|n| bytes.get(n..));
    for (target, source) in target
        .into_iter()
        .flatten()
        .zip(source.into_iter().flatten())
    {
        *target = *source;
    }
}
