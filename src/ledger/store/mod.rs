//! The ledger on disk: one file, one transaction for a batch of changes.
//!
//! A row holds a whole record or all counters of a sender, never a difference,
//! so writing it again after a commit whose outcome is not known does no harm.
//!
//! A file gets its name when it is complete, so one that is empty, or holds
//! something else, has lost what it held: it is no reason to begin anew.
//!
//! **Invariants.** What [`Store::commit`] has acknowledged survives a power
//! loss. A file that cannot be understood is never changed.

mod aside;
mod look;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use look::Look;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError, backends::FileBackend,
};

use super::rows::{self, Malformed, Moment};
use crate::{
    files,
    model::{SenderId, TrackingId},
};

/// The version of the format that this exporter writes.
pub const FORMAT: u32 = 1;

/// The file in the state directory.
const FILE: &str = "ledger.redb";

/// Pages kept in memory; a batch touches few of them.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// `format` alone.
const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");

/// Server and address.
const SENDERS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("senders");

/// Server, address and tracking id.
const TRANSFERS: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("transfers");

/// When a sender's first listing ended, by server and address. It stands apart
/// since earlier exporters know nothing of it: they leave it alone, and a file
/// without it says that this is not known.
const BASELINES: TableDefinition<'_, (&str, &str), Moment> = TableDefinition::new("baselines");

/// The rows of one transaction; `None` takes a row away.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) senders: Vec<(SenderId, Option<Vec<u8>>)>,
    pub(super) baselines: Vec<(SenderId, Option<Moment>)>,
    pub(super) transfers: Vec<(SenderId, TrackingId, Option<Vec<u8>>)>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.senders.is_empty() && self.transfers.is_empty()
    }

    /// Lets what `content` knows of `sender` give way to this batch.
    pub fn replaces(&mut self, content: &Content, sender: &SenderId) {
        let old = content.transfers.iter().filter(|(id, ..)| id == sender);
        let gone = old.map(|(sender, id, _)| (sender.clone(), id.clone(), None));
        self.transfers.splice(..0, gone);
    }
}

/// Every row of a file.
#[derive(Debug, Default)]
pub struct Content {
    pub(super) senders: Vec<(SenderId, rows::Sender)>,
    /// When the first listing of each ended.
    pub(super) baselines: BTreeMap<SenderId, Moment>,
    pub(super) transfers: Vec<(SenderId, TrackingId, rows::Transfer)>,
}

impl Content {
    /// Every sender that anything is remembered of.
    pub fn senders(&self) -> impl Iterator<Item = &SenderId> {
        self.senders.iter().map(|(id, _)| id)
    }
}

/// Whether a file that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// A new one begins.
    Create,
    /// That is an error.
    Refuse,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there.
    #[error("{0} does not exist; check [state] directory")]
    Missing(PathBuf),
    /// Another process has it.
    #[error("{0} is in use by another process; stop that one first")]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("{0} cannot be opened; check that the directory exists, is writable and has space")]
    Inaccessible(PathBuf, #[source] Box<redb::Error>),
    /// It was written by a newer exporter.
    #[error(
        "{0} has format {1}, and this exporter knows formats up to {FORMAT}; run a newer exporter"
    )]
    Newer(PathBuf, u32),
    /// It is damaged.
    #[error("{0} is damaged; restore it from a backup, or begin anew with --state.reset")]
    Damaged(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is not in its place, or another file is.
    #[error(
        "{0} is no longer the file that was opened at the start, so nothing written there would last; \
         put that file back, or restart to go on from what is there now"
    )]
    Replaced(PathBuf),
    /// A row could not be written.
    #[error("{0} cannot be written")]
    Write(PathBuf, #[source] Box<redb::Error>),
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Which file it is, wherever it lies.
    identity: Identity,
    /// Closed after a failure, since the library refuses to go on after one.
    database: Option<Database>,
}

impl Store {
    /// Opens the file in `directory`; a new one has mode 0600.
    ///
    /// # Errors
    /// If it is in use, newer, damaged or inaccessible; the file is not changed
    /// then.
    pub fn open(directory: &Path, missing: IfMissing) -> Result<(Self, Content), StoreError> {
        let path = directory.join(FILE);
        let (database, content) = match file_at(&path) {
            Ok(file) => {
                let content = content_of(file, &path)?;
                (open(&path)?, content)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match missing {
                IfMissing::Create => (create(directory, &path)?, Content::default()),
                IfMissing::Refuse => return Err(StoreError::Missing(path)),
            },
            Err(error) => return Err(inaccessible(&path, error)),
        };
        let store = Self {
            identity: identity(&path).map_err(|error| inaccessible(&path, error))?,
            path,
            database: Some(database),
        };
        Ok((store, content))
    }

    /// Writes the batch in one transaction that is durable when this returns.
    ///
    /// # Errors
    /// If the disk does not take it: then the next commit opens the file anew. If
    /// the file is not in its place: what is written to one that was removed is
    /// gone with the process, and somebody else may have begun another.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.check_place()?;
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        write(&database, batch)
            .map_err(|error| StoreError::Write(self.path.clone(), Box::new(error)))?;
        self.database = Some(database);
        Ok(())
    }

    /// To another file, and be it new and empty, the next batch would be all that
    /// is known.
    fn check_place(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => Err(StoreError::Replaced(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Replaced(self.path.clone()))
            }
            Err(error) => Err(inaccessible(&self.path, error)),
        }
    }

    /// The error of a file whose rows contradict each other.
    pub(super) fn damaged(&self, error: Malformed) -> StoreError {
        StoreError::Damaged(self.path.clone(), Box::new(error))
    }

    /// How large the file is, in bytes; none if that cannot be read.
    pub fn size_bytes(&self) -> Option<u64> {
        fs::metadata(&self.path).ok().map(|metadata| metadata.len())
    }
}

/// Why a file that could be opened could not be read.
#[derive(Debug)]
enum Unreadable {
    Newer(u32),
    Malformed(Malformed),
    Storage(redb::Error),
}

impl Unreadable {
    fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Newer(format) => StoreError::Newer(path, format),
            Self::Malformed(error) => StoreError::Damaged(path, Box::new(error)),
            Self::Storage(error) => StoreError::Damaged(path, Box::new(error)),
        }
    }
}

fn inaccessible(path: &Path, error: io::Error) -> StoreError {
    StoreError::Inaccessible(path.to_owned(), Box::new(redb::Error::Io(error)))
}

/// The file system, and the number of the file in it.
type Identity = (u64, u64);

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The file of an earlier life. A pipe does not keep us waiting, since it is
/// opened for reading and writing.
fn file_at(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if !file.metadata()?.is_file() {
        let what = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(file)
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Every row of the file, which is checked to the last page and not changed.
fn content_of(file: File, path: &Path) -> Result<Content, StoreError> {
    let is_empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    if is_empty {
        return Err(StoreError::Damaged(path.to_owned(), "it is empty".into()));
    }
    let look = Look::new(file).map_err(|error| refused(path, error))?;
    let mut builder = builder();
    builder.set_check_integrity_on_open(true);
    let database = builder.create_with_backend(look);
    let database = database.map_err(|error| refused(path, error))?;
    read(&database).map_err(|error| error.at(path))
}

fn open(path: &Path) -> Result<Database, StoreError> {
    let file = file_at(path).map_err(|error| inaccessible(path, error))?;
    let backend = FileBackend::new(file).map_err(|error| refused(path, error))?;
    let database = builder().create_with_backend(backend);
    database.map_err(|error| refused(path, error))
}

/// Makes a file with its tables under another name, and then gives it its own.
fn create(directory: &Path, path: &Path) -> Result<Database, StoreError> {
    let failed = |error| inaccessible(path, error);
    fs::create_dir_all(directory).map_err(failed)?;
    let mut unnamed = tempfile::Builder::new();
    // Its mode is 0600.
    let unnamed = unnamed.prefix(FILE).tempfile_in(directory);
    let unnamed = unnamed.map_err(failed)?;
    let file = unnamed.as_file().try_clone().map_err(failed)?;
    files::own_like(directory, &file).map_err(failed)?;
    let backend = FileBackend::new(file).map_err(|error| refused(path, error))?;
    let database = builder().create_with_backend(backend);
    let database = database.map_err(|error| refused(path, error))?;
    prepare(&database)
        .map_err(|error| StoreError::Inaccessible(path.to_owned(), Box::new(error)))?;
    let named = unnamed.persist_noclobber(path);
    named.map_err(|error| failed(error.error))?;
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(failed)?;
    Ok(database)
}

fn refused(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::InUse(path)
        }
        DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::UpgradeRequired(_) => {
            StoreError::Damaged(path, Box::new(error))
        }
        DatabaseError::Storage(StorageError::Io(ref cause))
            if matches!(
                cause.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Damaged(path, Box::new(error))
        }
        error @ (DatabaseError::Storage(_)
        | DatabaseError::RepairAborted
        | DatabaseError::TransactionInProgress
        | _) => StoreError::Inaccessible(path, Box::new(error.into())),
    }
}

/// Gives a new file its tables and its format.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    transaction.open_table(SENDERS)?;
    transaction.open_table(TRANSFERS)?;
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database) -> Result<Content, Unreadable> {
    let storage = |error: redb::Error| Unreadable::Storage(error);
    let format = format_of(database).map_err(storage)?;
    match format {
        Some(FORMAT) => {}
        Some(newer) if newer > FORMAT => return Err(Unreadable::Newer(newer)),
        Some(_) | None => return Err(Unreadable::Malformed(Malformed)),
    }
    let (senders, transfers) = raw_rows(database).map_err(storage)?;
    let mut content = Content {
        baselines: baselines(database).map_err(storage)?,
        ..Content::default()
    };
    for (id, bytes) in senders {
        let row = rows::Sender::decode(&bytes).map_err(Unreadable::Malformed)?;
        content.senders.push((id, row));
    }
    for (sender, id, bytes) in transfers {
        let id = TrackingId::parse(&id).map_err(|_| Unreadable::Malformed(Malformed))?;
        let row = rows::Transfer::decode(&bytes).map_err(Unreadable::Malformed)?;
        content.transfers.push((sender, id, row));
    }
    Ok(content)
}

fn format_of(database: &Database) -> Result<Option<u32>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(META)?;
    let format = table.get("format")?;
    Ok(format.map(|format| format.value()))
}

type RawSenders = Vec<(SenderId, Vec<u8>)>;
type RawTransfers = Vec<(SenderId, String, Vec<u8>)>;

fn raw_rows(database: &Database) -> Result<(RawSenders, RawTransfers), redb::Error> {
    let transaction = database.begin_read()?;
    let mut senders = Vec::new();
    for row in transaction.open_table(SENDERS)?.iter()? {
        let (key, value) = row?;
        let (server, address) = key.value();
        senders.push((SenderId::new(server, address), value.value().to_vec()));
    }
    let mut transfers = Vec::new();
    for row in transaction.open_table(TRANSFERS)?.iter()? {
        let (key, value) = row?;
        let (server, address, id) = key.value();
        let sender = SenderId::new(server, address);
        transfers.push((sender, id.to_owned(), value.value().to_vec()));
    }
    Ok((senders, transfers))
}

/// None in a file that only earlier exporters have written.
fn baselines(database: &Database) -> Result<BTreeMap<SenderId, Moment>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(BASELINES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        table => table?,
    };
    let mut baselines = BTreeMap::new();
    for row in table.iter()? {
        let (key, value) = row?;
        let (server, address) = key.value();
        baselines.insert(SenderId::new(server, address), value.value());
    }
    Ok(baselines)
}

fn write(database: &Database, batch: &Batch) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(SENDERS)?;
        for (sender, row) in &batch.senders {
            let key = (sender.server(), sender.address());
            match row {
                Some(row) => table.insert(key, row.as_slice())?,
                None => table.remove(key)?,
            };
        }
        let mut table = transaction.open_table(BASELINES)?;
        for (sender, since) in &batch.baselines {
            let key = (sender.server(), sender.address());
            match since {
                Some(since) => table.insert(key, *since)?,
                None => table.remove(key)?,
            };
        }
        let mut table = transaction.open_table(TRANSFERS)?;
        for (sender, id, row) in &batch.transfers {
            let key = (sender.server(), sender.address(), id.as_str());
            match row {
                Some(row) => table.insert(key, row.as_slice())?,
                None => table.remove(key)?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
