//! The ledger on a disk that is full, read-only or holds something else.
//!
//! A disk that takes nothing more is a limit on the size of files, which holds
//! for everybody, root included.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use redb::{ReadableTable, TableDefinition};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    oracle::{self, Watch},
    rig::{BINARY, Exporter, Process, Server, config, eventually, write},
};

const RETRIEVALS: &str = "cryptshare_retrievals_total";
const FAILURES: &str = "cryptshare_exporter_ledger_commit_failures_total";
const UNWRITTEN: &str = "the ledger cannot be written";
const WRITTEN: &str = "the ledger is written again";

fn kept(server: &Server, directory: &Path) -> String {
    let state = format!("[state]\ndirectory = \"{}\"\n", directory.display());
    state + &config(server, "")
}

/// Lets the files of the process grow to this size at the most.
fn limit(process: &Process, bytes: &str) {
    let (id, limit) = (process.id().to_string(), format!("--fsize={bytes}:"));
    let set = Command::new("prlimit")
        .args(["--pid", &id, &limit])
        .status();
    assert!(set.unwrap().success());
}

/// How many lines say this.
fn lines(process: &Process, text: &str) -> usize {
    let lines = process.lines();
    lines.iter().filter(|line| line.contains(text)).count()
}

/// Something of each kind that counts, and that the gauges show.
async fn happen(server: &Server) {
    let id = server.active_transfer().await;
    let events = ["retrieve", "view", "notification_failure", "eml_failure"];
    for event in events {
        server.happen(&id, event, json!({})).await;
    }
    let removed = json!({"cause": "a virus"});
    server.happen(&id, "remove_file", removed).await;
    let revoked = server.active_transfer().await;
    server.happen(&revoked, "revoke", json!({})).await;
    let failed = server.post("transfers", server.plan()).await;
    let id = failed["trackingId"].as_str().unwrap();
    server.happen(id, "fail", json!({})).await;
}

/// Waits until every counter of the page is what the truth says.
async fn counts_the_truth(server: &Server, exporter: &Exporter) {
    let watch = Watch {
        ended_before: BTreeSet::new(),
        named: BTreeMap::new(),
        missed_by: String::new(),
    };
    let expected = oracle::expected(&server.truth().await, &watch);
    for round in ["at first", "two polls later"] {
        eventually(&format!("the truth {round}"), async || {
            let shown = oracle::shown(&exporter.samples().await);
            let mut counters = oracle::counters_by_sender(&expected);
            let is_true = counters.all(|(name, count)| shown.get(name) == Some(&count));
            is_true.then_some(())
        })
        .await;
        exporter.polls(2.0).await;
    }
}

/// A simulator, and an exporter that knows its transfers and counts from here.
async fn begin(directory: &Path) -> (Server, Exporter, String) {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "40"]).await;
    let text = kept(&server, directory);
    let exporter = Exporter::start(&text, &[]).await;
    exporter.polls(2.0).await;
    server.post("mark", json!({})).await;
    happen(&server).await;
    counts_the_truth(&server, &exporter).await;
    (server, exporter, text)
}

#[tokio::test]
async fn on_a_full_disk_gauges_go_on_and_counters_wait() {
    let directory = tempfile::tempdir().unwrap();
    let (server, exporter, _) = begin(directory.path()).await;
    let size = fs::metadata(directory.path().join("ledger.redb")).unwrap();
    // Nothing can be written, then a part of what must be.
    for (round, bytes) in [0, size.len() / 3].into_iter().enumerate() {
        let active = [("state", "active")];
        let counted = exporter.sum(RETRIEVALS, &[]).await;
        let known = exporter.sum("cryptshare_transfers", &active).await;
        let failures = exporter.sum(FAILURES, &[]).await.unwrap();
        limit(&exporter.process, &bytes.to_string());
        happen(&server).await;
        let expect = known.unwrap() + 1.0;
        exporter.is("cryptshare_transfers", &active, expect).await;
        eventually("failures of further commits", async || {
            let now = exporter.sum(FAILURES, &[]).await?;
            (now >= failures + 2.0).then_some(())
        })
        .await;
        exporter.polls(2.0).await;
        assert_eq!(exporter.sum("cryptshare_up", &[]).await, Some(1.0));
        assert_eq!(exporter.sum(RETRIEVALS, &[]).await, counted);
        assert_eq!(exporter.get("/-/ready").await, "Ready\n");
        let told = lines(&exporter.process, UNWRITTEN);
        assert_eq!(told, round + 1, "{:#?}", exporter.process.lines());
        limit(&exporter.process, "unlimited");
        counts_the_truth(&server, &exporter).await;
        assert_eq!(lines(&exporter.process, WRITTEN), round + 1);
    }
    let told = exporter.process.line("the failure", |line| {
        line.contains(UNWRITTEN).then(|| line.to_owned())
    });
    let told = told.await;
    for part in ["level=error", "ledger.redb", "File too large"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let again = exporter.process.line("the end of it", |line| {
        line.contains(WRITTEN).then(|| line.to_owned())
    });
    let again = again.await;
    assert!(again.contains("level=info") && again.contains("seconds="));
}

#[tokio::test]
async fn a_ledger_that_is_taken_away_is_missed_at_once_and_caught_up_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let (server, exporter, text) = begin(directory.path()).await;
    let ledger = directory.path().join("ledger.redb");
    let aside = directory.path().join("aside");
    let counted = exporter.sum(RETRIEVALS, &[]).await;
    for is_replaced in [false, true] {
        fs::rename(&ledger, &aside).unwrap();
        // Somebody else may begin one there; nobody's is harmed.
        let other = if is_replaced {
            Some(Exporter::start(&text, &[]).await)
        } else {
            None
        };
        let failures = exporter.sum(FAILURES, &[]).await.unwrap();
        happen(&server).await;
        eventually("a failure of a commit", async || {
            (exporter.sum(FAILURES, &[]).await? > failures).then_some(())
        })
        .await;
        if !is_replaced {
            assert_eq!(exporter.sum(RETRIEVALS, &[]).await, counted);
        }
        exporter
            .line_of_each(&["is no longer the file that was opened at the start"])
            .await;
        drop(other);
        fs::rename(&aside, &ledger).unwrap();
        counts_the_truth(&server, &exporter).await;
        let written = lines(&exporter.process, WRITTEN);
        assert_eq!(written, if is_replaced { 2 } else { 1 });
    }
}

#[tokio::test]
async fn after_a_kill_on_a_full_disk_nothing_is_lost_once_there_is_space() {
    let directory = tempfile::tempdir().unwrap();
    let (server, mut exporter, text) = begin(directory.path()).await;
    limit(&exporter.process, "0");
    happen(&server).await;
    exporter
        .process
        .line("the failure", |line| line.contains(UNWRITTEN).then_some(()))
        .await;
    exporter.process.signal("KILL");
    exporter.process.exit().await;
    happen(&server).await;

    let (code, told) = refused(&text, "ulimit -f 0;");
    assert_eq!(code, 3, "{told}");
    for part in ["ledger.redb", "has space", "File too large"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let exporter = Exporter::start(&text, &[]).await;
    counts_the_truth(&server, &exporter).await;
}

/// A command that runs its arguments with a file system of 2 MiB at
/// `directory`; what went wrong where that is not permitted.
fn small_disk(directory: &Path) -> Result<Command, std::io::Result<Output>> {
    let mount = "mount -t tmpfs -o size=2m tmpfs \"$0\"";
    let mut command = Command::new("unshare");
    let script = format!("{mount} && exec \"$@\"");
    command
        .args(["--mount", "sh", "-c", &script])
        .arg(directory);
    let mut trial = Command::new("unshare");
    let trial = trial.args(["--mount", "sh", "-c", mount]).arg(directory);
    match trial.output() {
        Ok(output) if output.status.success() => Ok(command),
        trial => Err(trial),
    }
}

#[tokio::test]
async fn a_small_file_system_that_fills_up_is_caught_up_when_it_is_emptied() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = match small_disk(directory.path()) {
        Ok(command) => command,
        Err(reason) => {
            eprintln!("skipped: no file system of its own here: {reason:?}");
            return;
        }
    };
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "40"]).await;
    let text = kept(&server, &directory.path().join("state"));
    command.arg(BINARY);
    let exporter = Exporter::spawn(command, &text, &[]).await;
    exporter.polls(2.0).await;
    server.post("mark", json!({})).await;
    let root = PathBuf::from(format!("/proc/{}/root", exporter.process.id()));
    let inside = directory.path().strip_prefix("/").unwrap();
    let filler = root.join(inside).join("filler");
    // The file has room left, so the disk is full before a commit fails.
    let full = fs::write(&filler, vec![1; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    eventually("a failed commit", async || {
        happen(&server).await;
        exporter.polls(1.0).await;
        let failures = exporter.sum(FAILURES, &[]).await?;
        (failures >= 1.0).then_some(())
    })
    .await;
    happen(&server).await;
    exporter.polls(2.0).await;
    exporter
        .line_of_each(&["No space left on device", UNWRITTEN])
        .await;
    fs::remove_file(&filler).unwrap();
    counts_the_truth(&server, &exporter).await;
    exporter.line_of_each(&[WRITTEN]).await;
}

/// Runs the exporter, which must end by itself, by this line of a shell: its
/// exit code and what it says.
fn refused(config: &str, line: &str) -> (i32, String) {
    let configs = TempDir::new().unwrap();
    let file = write(configs.path(), "exporter.toml", config);
    let script = format!("{line} timeout 60 \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script, BINARY, "--config.file"])
        .arg(file);
    let output = shell.args(["--web.listen-address", "127.0.0.1:0"]).output();
    let output = output.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), told)
}

/// What `id -u` tells.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Modes hold for root, too, without the right to pass over them.
const MODES_HOLD: &str = "setpriv --bounding-set=-dac_override,-dac_read_search";

#[tokio::test]
async fn a_directory_that_cannot_be_written_refuses_the_start() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "3"]).await;
    let above = tempfile::tempdir().unwrap();
    let read_only = above.path().join("read-only");
    fs::create_dir(&read_only).unwrap();
    let file = above.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let set = |mode| fs::set_permissions(&read_only, fs::Permissions::from_mode(mode));
    set(0o555).unwrap();
    let before = if is_root() { MODES_HOLD } else { "" };
    for (directory, cause) in [
        (read_only.clone(), "Permission denied"),
        (read_only.join("below"), "Permission denied"),
        (file.clone(), "Not a directory"),
        (file.join("below"), "Not a directory"),
    ] {
        let (code, told) = refused(&kept(&server, &directory), before);
        assert_eq!(code, 3, "{told}");
        let name = directory.join("ledger.redb").display().to_string();
        for part in [&name, "check that the directory exists, is writable", cause] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

/// A ledger that an exporter has left, and what a start on it says.
struct Left {
    server: Server,
    directory: TempDir,
    file: PathBuf,
}

impl Left {
    async fn new() -> Self {
        let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "9"]).await;
        let directory = tempfile::tempdir().unwrap();
        let mut exporter = Exporter::start(&kept(&server, directory.path()), &[]).await;
        exporter.polls(1.0).await;
        exporter.process.signal("TERM");
        exporter.process.exit().await;
        Self {
            server,
            file: directory.path().join("ledger.redb"),
            directory,
        }
    }

    /// The start is refused, and what is said has all of these parts.
    fn refuses(&self, parts: &[&str]) {
        let (code, told) = refused(&kept(&self.server, self.directory.path()), "");
        assert_eq!(code, 3, "{told}");
        for part in [&["ledger.redb"], parts].concat() {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

#[tokio::test]
async fn a_file_that_lost_what_it_held_refuses_the_start_and_is_left_alone() {
    let left = Left::new().await;
    let whole = fs::read(&left.file).unwrap();
    let cut = |length: usize| whole[..length].to_vec();
    for bytes in [cut(0), cut(1), cut(4096), cut(whole.len() / 2)] {
        fs::write(&left.file, &bytes).unwrap();
        left.refuses(&["is damaged", "restore it from a backup"]);
        assert!(fs::read(&left.file).unwrap() == bytes, "it was changed");
    }
}

#[tokio::test]
async fn what_is_no_file_refuses_the_start() {
    let left = Left::new().await;
    let remedy = "check that the directory exists, is writable";
    fs::remove_file(&left.file).unwrap();
    fs::create_dir(&left.file).unwrap();
    left.refuses(&["Is a directory", remedy]);
    fs::remove_dir(&left.file).unwrap();
    let made = Command::new("mkfifo").arg(&left.file).status();
    assert!(made.unwrap().success());
    left.refuses(&["it is not a regular file", remedy]);
    fs::remove_file(&left.file).unwrap();
    std::os::unix::fs::symlink("nowhere", &left.file).unwrap();
    left.refuses(&[remedy]);
}

#[tokio::test]
async fn a_newer_format_refuses_the_start_and_is_left_alone() {
    const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");

    let left = Left::new().await;
    let database = redb::Database::open(&left.file).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut meta = transaction.open_table(META).unwrap();
    let format = meta.get("format").unwrap().unwrap().value();
    meta.insert("format", format + 1).unwrap();
    drop(meta);
    transaction.commit().unwrap();
    drop(database);
    let bytes = fs::read(&left.file).unwrap();
    left.refuses(&[
        "has format 2",
        "knows formats up to 1",
        "run a newer exporter",
    ]);
    assert!(fs::read(&left.file).unwrap() == bytes, "it was changed");
}
