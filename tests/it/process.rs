//! The families of the process, on an ordinary `/proc` and on one that shows
//! processes alone.

use std::{
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::rig::{Exporter, Process, Server, address, config, eventually, parse, sum, write};

/// What must be there, and what it must at least be.
const EXPECTED: [(&str, f64); 8] = [
    ("process_cpu_seconds_total", 0.0),
    ("process_max_fds", 100.0),
    ("process_open_fds", 5.0),
    ("process_resident_memory_bytes", 1e6),
    ("process_start_time_seconds", 1.7e9),
    ("process_threads", 2.0),
    ("process_virtual_memory_bytes", 1e6),
    ("process_virtual_memory_max_bytes", 1e6),
];

fn check(page: &str) {
    let samples = parse(page);
    for (name, least) in EXPECTED {
        let value = sum(&samples, name, &[]).unwrap_or_else(|| panic!("{name} is absent"));
        assert!(value >= least && value.is_finite(), "{name} {value}");
    }
    let started = sum(&samples, "process_start_time_seconds", &[]).unwrap();
    let now = now();
    assert!(
        (now - 120.0..now + 1.0).contains(&started),
        "{started}, {now}"
    );
    let open = sum(&samples, "process_open_fds", &[]);
    assert!(open < sum(&samples, "process_max_fds", &[]));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the exporter asks the same clock"
)]
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

#[tokio::test]
async fn the_process_shows_itself() {
    let server = Server::start(&["--speed", "0", "--transfers", "1"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    check(&exporter.get("/metrics").await);
}

/// With `subset=pid`, as hardened units and containers have it, `/proc/stat`,
/// `/proc/sys` and the like are not there.
#[tokio::test]
async fn a_proc_of_processes_alone_is_enough() {
    const MOUNT: &str = "mount -t proc -o subset=pid proc /proc && test ! -e /proc/stat";
    let may = Command::new("unshare")
        .args(["--mount", "sh", "-c", MOUNT])
        .output();
    match &may {
        Ok(output) if output.status.success() => {}
        reason => {
            eprintln!("skipped: no mount namespace with its own /proc here: {reason:?}");
            return;
        }
    }
    let server = Server::start(&["--speed", "0", "--transfers", "1"]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "exporter.toml", &config(&server, ""));
    let mut command = Command::new("unshare");
    let run =
        format!("{MOUNT} && exec \"$0\" --config.file \"$1\" --web.listen-address 127.0.0.1:0");
    command.args([
        "--mount",
        "sh",
        "-c",
        &run,
        env!("CARGO_BIN_EXE_cryptshare-exporter"),
    ]);
    command.arg(&file);
    let process = Process::spawn(command);
    let url = address(&process).await;
    let page = eventually("the page", async || {
        let answer = reqwest::get(format!("{url}/metrics")).await.ok()?;
        answer.text().await.ok()
    })
    .await;
    check(&page);
    assert!(fs::exists("/proc/stat").unwrap(), "only there");
}
