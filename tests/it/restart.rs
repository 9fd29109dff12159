//! What outlives the process: stopped, killed, or refused a start.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::json;

use crate::rig::{Exporter, Server, config, run, write};

const RETRIEVALS: &str = "cryptshare_retrievals_total";
const ENTERED: &str = "cryptshare_state_transitions_total";

fn kept(server: &Server, directory: &Path) -> String {
    let state = format!("[state]\ndirectory = \"{}\"\n", directory.display());
    state + &config(server, "")
}

async fn retrieve(server: &Server, id: &str) {
    for event in ["retrieve", "view"] {
        server.happen(id, event, json!({})).await;
    }
}

#[tokio::test]
async fn counters_go_on_after_a_stop_and_after_a_kill() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "40"]).await;
    let directory = tempfile::tempdir().unwrap();
    let text = kept(&server, directory.path());
    let mut first = Exporter::start(&text, &[]).await;
    first.polls(1.0).await;
    let id = server.active_transfer().await;
    retrieve(&server, &id).await;
    first.is(RETRIEVALS, &[], 2.0).await;
    first.process.signal("TERM");
    assert_eq!(first.process.exit().await.code(), Some(0));

    // What happens while nobody looks counts, as far as the server still tells.
    retrieve(&server, &id).await;
    let revoked = server.active_transfer().await;
    server.happen(&revoked, "revoke", json!({})).await;
    let mut second = Exporter::start(&text, &[]).await;
    second.is(RETRIEVALS, &[], 4.0).await;
    let ended = [("state", "deleted_by_revocation")];
    second.is(ENTERED, &ended, 1.0).await;
    retrieve(&server, &id).await;
    second.is(RETRIEVALS, &[], 6.0).await;
    second.process.signal("KILL");
    second.process.exit().await;

    let third = Exporter::start(&text, &[]).await;
    third.polls(2.0).await;
    assert_eq!(third.sum(RETRIEVALS, &[]).await, Some(6.0));
    assert_eq!(third.sum(ENTERED, &ended).await, Some(1.0));
    let active = [("state", "active")];
    assert_eq!(third.sum(ENTERED, &active).await, Some(2.0));
}

#[tokio::test]
async fn the_last_gauges_are_shown_while_the_server_is_still_silent() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "24"]).await;
    let directory = tempfile::tempdir().unwrap();
    let text = kept(&server, directory.path());
    let mut first = Exporter::start(&text, &[]).await;
    first.is("cryptshare_up", &[], 1.0).await;
    let transfers = first.sum("cryptshare_transfers", &[]).await;
    first.process.signal("TERM");
    first.process.exit().await;
    drop(server);
    let second = Exporter::start(&text, &[]).await;
    assert_eq!(second.sum("cryptshare_transfers", &[]).await, transfers);
    second.is("cryptshare_up", &[], 0.0).await;
    assert_eq!(second.sum("cryptshare_transfers", &[]).await, transfers);
}

#[tokio::test]
async fn a_round_without_a_change_writes_nothing() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "24"]).await;
    let directory = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(&kept(&server, directory.path()), &[]).await;
    exporter.polls(2.0).await;
    let commits = "cryptshare_exporter_ledger_commits_total";
    let before = exporter.sum(commits, &[]).await.unwrap();
    assert!(before >= 1.0);
    exporter.polls(3.0).await;
    assert_eq!(exporter.sum(commits, &[]).await, Some(before));
    let size = exporter
        .sum("cryptshare_exporter_ledger_size_bytes", &[])
        .await;
    assert!(size > Some(0.0));
    let file = directory.path().join("ledger.redb");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_refuses_the_start_and_is_left_alone() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "3"]).await;
    let directory = tempfile::tempdir().unwrap();
    let text = kept(&server, directory.path());
    let first = Exporter::start(&text, &[]).await;
    first.polls(1.0).await;
    let configs = tempfile::tempdir().unwrap();
    let file = write(configs.path(), "exporter.toml", &text);
    let start = || {
        let file = file.to_str().unwrap();
        run(&["--config.file", file, "--web.listen-address", "127.0.0.1:0"])
    };
    let (code, _, told) = start();
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("in use by another process"), "{told}");
    drop(first);

    let ledger = directory.path().join("ledger.redb");
    let mut bytes = fs::read(&ledger).unwrap();
    bytes[..64].fill(0x55);
    fs::write(&ledger, &bytes).unwrap();
    let (code, _, told) = start();
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("ledger.redb is damaged"), "{told}");
    assert_eq!(
        fs::read(&ledger).unwrap(),
        bytes,
        "nothing is reset silently"
    );
}
