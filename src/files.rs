//! Files: reading those that a user names, telling whether one has changed, and
//! whose one that we make should be.
//!
//! **Invariants.** Nothing but a regular file is opened, for a pipe would keep
//! us waiting, and a device might never end; none is read whole beyond
//! [`LIMIT`].

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

/// The largest file that is read, in bytes: far beyond every list of transfers
/// and every bundle of certificates, and no burden for the memory.
pub const LIMIT: u64 = 16 * 1024 * 1024;

/// A file that was read whole.
#[derive(Debug)]
pub struct Content {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its mode, as `chmod` has it.
    pub mode: u32,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory, a pipe, a socket or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// It exceeds [`LIMIT`].
    #[error("it is larger than {LIMIT} bytes")]
    TooLarge,
    /// It is not in UTF-8.
    #[error("it is not text in UTF-8")]
    NotText,
    /// The system refuses.
    #[error(transparent)]
    Io(io::Error),
}

/// Reads a regular file whole.
///
/// # Errors
/// If it is of another kind, exceeds [`LIMIT`] or cannot be read.
pub fn read(path: &Path) -> Result<Content, Error> {
    let (file, metadata) = opened(path)?;
    if metadata.len() > LIMIT {
        return Err(Error::TooLarge);
    }
    let mut bytes = Vec::new();
    let mut limited = file.take(LIMIT.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(Error::Io)?;
    if limited.limit() == 0 {
        return Err(Error::TooLarge);
    }
    let mode = metadata.permissions().mode();
    Ok(Content { bytes, mode })
}

/// Reads a regular file whole, as text.
///
/// # Errors
/// As [`read`], and if it is not in UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?.bytes).map_err(|_| Error::NotText)
}

/// Opens a regular file, for a reader that limits what it takes at a time.
///
/// # Errors
/// If it is of another kind or cannot be opened.
pub fn open(path: &Path) -> Result<File, Error> {
    opened(path).map(|(file, _)| file)
}

fn opened(path: &Path) -> Result<(File, fs::Metadata), Error> {
    // To open a device may already do something.
    check(&fs::metadata(path).map_err(Error::Io)?)?;
    // A pipe that has taken the file's place meanwhile must not keep us.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(Error::Io)?;
    let metadata = file.metadata().map_err(Error::Io)?;
    check(&metadata)?;
    Ok((file, metadata))
}

/// What changes when a file does, known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file at `path`.
    ///
    /// # Errors
    /// If it is not there or cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Gives what the superuser has made in a directory of somebody else to its
/// owner: a command must not lock the exporter out of its own state. Nobody
/// else could give it away.
///
/// # Errors
/// If the directory cannot be looked at, or the system refuses.
pub fn own_like(directory: &Path, made: &File) -> io::Result<()> {
    let (wanted, present) = (fs::metadata(directory)?, made.metadata()?);
    let differs = (wanted.uid(), wanted.gid()) != (present.uid(), present.gid());
    if differs && present.uid() == 0 {
        fchown(made, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    Ok(())
}

fn check(metadata: &fs::Metadata) -> Result<(), Error> {
    if !metadata.is_file() {
        return Err(Error::NotRegular);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pipe_a_device_and_a_directory_are_refused_and_keep_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for path in [pipe.as_path(), Path::new("/dev/zero"), directory.path()] {
            let refused = read(path).unwrap_err().to_string();
            assert_eq!(refused, "it is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_not_beyond() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(LIMIT).unwrap();
        assert_eq!(read(&path).unwrap().bytes.len(), 16 * 1024 * 1024);
        file.set_len(LIMIT + 1).unwrap();
        assert!(matches!(read(&path), Err(Error::TooLarge)));
        assert!(matches!(
            read(&directory.path().join("none")),
            Err(Error::Io(_))
        ));
    }
}
