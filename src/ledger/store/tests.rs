//! Power cuts: whatever part of the writes since the last sync reaches the
//! disk, what was acknowledged is there and nothing is half done.
//!
//! **Invariants.** Seeded: a failure names the seed that repeats it.

use std::sync::{Arc, Mutex};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use redb::StorageBackend;

use super::*;

/// Power cuts in one run.
const CUTS: u64 = 10_000;

/// Batches in one life at the most.
const BATCHES: u64 = 20;

/// A disk that loses power after some operations.
#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    /// What survives a cut for certain.
    synced: Vec<u8>,
    /// What the process sees.
    seen: Vec<u8>,
    /// Writes since the last sync, each within one sector.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Operations until the cut.
    left: u64,
}

/// A disk writes whole sectors, in any order.
const SECTOR: usize = 512;

impl Disk {
    fn new(image: Vec<u8>, left: u64) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            seen: image.clone(),
            synced: image,
            unsynced: Vec::new(),
            left,
        })))
    }

    fn cut(&self) {
        self.0.lock().unwrap().left = 0;
    }

    /// What is found on the disk when the power is back: of the writes that
    /// were not synced, any of them.
    fn after_the_cut(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut platter = self.0.lock().unwrap();
        let writes = std::mem::take(&mut platter.unsynced);
        let share = *[0.0, 0.5, 0.9, 1.0].choose(rng).unwrap();
        let mut image = std::mem::take(&mut platter.synced);
        for (offset, data) in writes.into_iter().filter(|_| rng.random_bool(share)) {
            put(&mut image, offset, &data);
        }
        image
    }
}

fn put(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

impl Platter {
    fn spend(&mut self) -> Result<(), io::Error> {
        if self.left == 0 {
            return Err(io::Error::other("the power is cut"));
        }
        self.left -= 1;
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(u64::try_from(self.0.lock().unwrap().seen.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let platter = self.0.lock().unwrap();
        let begin = usize::try_from(offset).unwrap();
        let bytes = platter.seen.get(begin..begin + out.len());
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut platter = self.0.lock().unwrap();
        platter.spend()?;
        let len = usize::try_from(len).unwrap();
        platter.seen.resize(len, 0);
        // The file system journals lengths.
        platter.synced.resize(len, 0);
        platter
            .unsynced
            .retain(|(offset, data)| offset + data.len() <= len);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut platter = self.0.lock().unwrap();
        platter.spend()?;
        for (offset, data) in std::mem::take(&mut platter.unsynced) {
            put(&mut platter.synced, offset, &data);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut platter = self.0.lock().unwrap();
        platter.spend()?;
        let begin = usize::try_from(offset).unwrap();
        put(&mut platter.seen, begin, data);
        for (n, sector) in data.chunks(SECTOR).enumerate() {
            platter.unsynced.push((begin + n * SECTOR, sector.to_vec()));
        }
        Ok(())
    }
}

fn sender() -> SenderId {
    SenderId::new("prod", "ada@example.com")
}

/// The `n`-th batch: the sender's counters and some transfers, all of which
/// tell `n`.
fn batch(n: u64, rng: &mut StdRng) -> Batch {
    let row = rows::Sender {
        counters: rows::Counters {
            vanished: n,
            ..rows::Counters::default()
        },
        ..rows::Sender::default()
    };
    let transfer = |slot: u64| {
        let row = rows::Transfer {
            last_retrieval: Some(i64::try_from(n).unwrap()),
            files: vec![("x".repeat(rng.random_range(0..400)).into(), false)],
            ..rows::Transfer::default()
        };
        let id = TrackingId::parse(&format!("t{slot}")).unwrap();
        (sender(), id, Some(row.encode()))
    };
    Batch {
        baselines: Vec::new(),
        senders: vec![(sender(), Some(row.encode()))],
        // The first ones are written each time, so they tell which batch came
        // last; the others come and go.
        transfers: [0, 1, 2, n % 40 + 3].map(transfer).into(),
    }
}

/// The number of the last batch that the disk knows; zero before the first.
fn last_batch(content: &Content) -> u64 {
    let Some((_, row)) = content.senders.first() else {
        assert!(
            content.transfers.is_empty(),
            "transfers without their sender"
        );
        return 0;
    };
    let n = row.counters.vanished;
    for (_, id, row) in content.transfers.iter().take(3) {
        let told = row.last_retrieval.and_then(|n| u64::try_from(n).ok());
        if ["t0", "t1", "t2"].contains(&id.as_str()) {
            assert_eq!(told, Some(n), "{id} is of another batch");
        }
    }
    n
}

/// A file has its tables before it gets its name, so none is cut without them.
fn new_image() -> Vec<u8> {
    let disk = Disk::new(Vec::new(), u64::MAX);
    let database = builder().create_with_backend(disk.clone()).unwrap();
    prepare(&database).unwrap();
    drop(database);
    let platter = disk.0.lock().unwrap();
    platter.synced.clone()
}

fn open_disk(disk: &Disk) -> Result<Database, DatabaseError> {
    builder().create_with_backend(disk.clone())
}

/// Writes batches after `acknowledged` until the power is cut; the answer is
/// the last one that was acknowledged.
fn live(disk: &Disk, mut acknowledged: u64, rng: &mut StdRng) -> u64 {
    let Ok(database) = open_disk(disk) else {
        return acknowledged;
    };
    for _ in 0..BATCHES {
        if write(&database, &batch(acknowledged + 1, rng)).is_err() {
            break;
        }
        acknowledged += 1;
    }
    // What is not written yet must not be written by an orderly end.
    disk.cut();
    acknowledged
}

#[test]
fn ten_thousand_power_cuts_lose_nothing_that_was_acknowledged() {
    let mut image = new_image();
    let mut acknowledged = 0;
    let mut in_commit = 0;
    for seed in 0..CUTS {
        let mut rng = StdRng::seed_from_u64(seed);
        let disk = Disk::new(image, rng.random_range(1..60));
        acknowledged = live(&disk, acknowledged, &mut rng);
        image = disk.after_the_cut(&mut rng);
        let whole = Disk::new(image.clone(), u64::MAX);
        let database = open_disk(&whole).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let content = read(&database).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        let found = last_batch(&content);
        let is_whole = found == acknowledged || found == acknowledged + 1;
        assert!(is_whole, "seed {seed}: {found} instead of {acknowledged}");
        in_commit += u64::from(found > acknowledged);
        acknowledged = found;
    }
    assert!(acknowledged > CUTS / 2, "only {acknowledged} batches");
    assert!(in_commit > CUTS / 100, "only {in_commit} cuts in a commit");
}

#[test]
fn what_is_committed_is_found_again_and_what_is_dropped_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let (mut store, content) = Store::open(directory.path(), IfMissing::Create).unwrap();
    assert!(content.senders.is_empty());
    store.commit(&batch(1, &mut rng)).unwrap();
    let id = TrackingId::parse("t3").unwrap();
    let dropped = Batch {
        baselines: Vec::new(),
        senders: Vec::new(),
        transfers: vec![(sender(), id, None)],
    };
    store.commit(&dropped).unwrap();
    drop(store);
    let (_, content) = Store::open(directory.path(), IfMissing::Create).unwrap();
    assert_eq!(last_batch(&content), 1);
    let ids: Vec<_> = content
        .transfers
        .iter()
        .map(|(_, id, _)| id.as_str())
        .collect();
    assert_eq!(ids, ["t0", "t1", "t2", "t4"]);
}

/// The file of a store that was closed in order, or whose process was killed.
fn file(is_killed: bool) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let (mut store, _) = Store::open(directory.path(), IfMissing::Create).unwrap();
    for n in 1..60 {
        store.commit(&batch(n, &mut rng)).unwrap();
    }
    let path = directory.path().join(FILE);
    let killed = fs::read(&path).unwrap();
    drop(store);
    if is_killed {
        killed
    } else {
        fs::read(&path).unwrap()
    }
}

/// Opens a store whose file has these bytes; a refusal must leave them alone.
fn reopened(bytes: &[u8]) -> Result<Content, StoreError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, bytes).unwrap();
    let opened = Store::open(directory.path(), IfMissing::Create).map(|(_, content)| content);
    if opened.is_err() {
        assert!(fs::read(&path).unwrap() == bytes, "it was changed");
    }
    opened
}

/// Nothing that a disk makes of a file is taken for an empty ledger, or leads
/// to a panic. Where the last commit is damaged it counts as one that was cut:
/// the one before it stands, and the server tells the rest.
#[test]
fn whatever_is_done_to_a_file_it_is_whole_or_refused_and_left_alone() {
    for is_killed in [false, true] {
        let whole = file(is_killed);
        assert_eq!(last_batch(&reopened(&whole).unwrap()), 59);
        let mut refused = 0;
        for seed in 0..400 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut bytes = whole.clone();
            let at = rng.random_range(0..bytes.len());
            match seed % 4 {
                0 => bytes[at] ^= rng.random_range(1..=255),
                1 => bytes.truncate(at),
                2 => bytes[at..].fill(0),
                _ => {
                    let end = (at + SECTOR).min(whole.len());
                    rng.fill(&mut bytes[at..end]);
                }
            }
            match reopened(&bytes) {
                Ok(content) => assert!(last_batch(&content) >= 58, "seed {seed}"),
                Err(StoreError::Damaged(..)) => refused += 1,
                Err(error) => panic!("seed {seed}: {error:?}"),
            }
        }
        assert!(refused > 100, "only {refused} were refused");
    }
}

#[test]
fn a_file_that_holds_something_else_is_refused() {
    for bytes in [&b""[..], b"\0", &[0; 4096], b"[state]\n"] {
        let error = reopened(bytes).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(..)), "{error}");
    }
}

/// As a newer exporter leaves it, and as one leaves it that was killed.
#[test]
fn a_newer_format_is_refused_and_left_alone() {
    for is_killed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let (store, _) = Store::open(directory.path(), IfMissing::Create).unwrap();
        let database = store.database.as_ref().unwrap();
        let transaction = database.begin_write().unwrap();
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("format", FORMAT + 1).unwrap();
        drop(meta);
        transaction.commit().unwrap();
        let killed = fs::read(&path).unwrap();
        drop(store);
        let bytes = if is_killed {
            killed
        } else {
            fs::read(&path).unwrap()
        };
        let error = reopened(&bytes).unwrap_err();
        assert!(matches!(error, StoreError::Newer(_, 2)), "{error}");
    }
}

#[test]
fn a_row_that_is_none_is_told_as_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(directory.path(), IfMissing::Create).unwrap();
    let nonsense = Batch {
        baselines: Vec::new(),
        senders: vec![(sender(), Some(vec![0xff; 3]))],
        transfers: Vec::new(),
    };
    store.commit(&nonsense).unwrap();
    drop(store);
    let error = Store::open(directory.path(), IfMissing::Create).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(..)), "{error}");
}

/// After a failed write the file is opened anew, and nothing is lost.
#[test]
fn a_commit_that_failed_is_made_again_when_the_disk_takes_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let (mut store, _) = Store::open(directory.path(), IfMissing::Create).unwrap();
    store.commit(&batch(1, &mut rng)).unwrap();
    let whole = store.database.take();
    let full = Disk::new(new_image(), 40);
    store.database = Some(open_disk(&full).unwrap());
    full.cut();
    assert!(store.commit(&batch(2, &mut rng)).is_err());
    drop(whole);
    store.commit(&batch(2, &mut rng)).unwrap();
    drop(store);
    let (_, content) = Store::open(directory.path(), IfMissing::Create).unwrap();
    assert_eq!(last_batch(&content), 2);
}

/// Where the directory is gone or is another one, as after an unmount, there
/// is no new ledger that would know the last changes alone.
#[test]
fn a_store_is_opened_anew_only_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let aside = directory.path().join("aside");
    let mut rng = StdRng::seed_from_u64(1);
    let (mut store, _) = Store::open(directory.path(), IfMissing::Create).unwrap();
    store.commit(&batch(1, &mut rng)).unwrap();
    drop(store.database.take());
    fs::rename(&path, &aside).unwrap();
    let error = store.commit(&batch(2, &mut rng)).unwrap_err();
    assert!(matches!(error, StoreError::Replaced(..)), "{error}");
    assert!(!path.exists());
    drop(Store::open(directory.path(), IfMissing::Create).unwrap());
    let error = store.commit(&batch(2, &mut rng)).unwrap_err();
    assert!(matches!(error, StoreError::Replaced(..)), "{error}");
    fs::rename(&aside, &path).unwrap();
    store.commit(&batch(2, &mut rng)).unwrap();
    drop(store);
    let (_, content) = Store::open(directory.path(), IfMissing::Create).unwrap();
    assert_eq!(last_batch(&content), 2);
}
