//! Judges that we did not write: promtool, and the Python client's reader of
//! OpenMetrics.

use std::{
    collections::HashSet,
    io::Write,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    rig::{Process, address, eventually},
    webfile,
};

/// Starts `demo` on a free port.
pub async fn demo() -> (Process, String) {
    let process = Process::start(&["demo", "--web.listen-address", "127.0.0.1:0"]);
    let url = address(&process).await;
    (process, url)
}

pub async fn text(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// The body of `/metrics` for `accept`, once things have happened.
pub async fn metrics(url: &str, accept: &str) -> String {
    let client = reqwest::Client::builder().build().unwrap();
    eventually("rising counters", async || {
        let request = client.get(format!("{url}/metrics"));
        let answer = request.header("accept", accept).send().await.ok()?;
        let body = answer.text().await.ok()?;
        let samples = crate::rig::parse(&body);
        let retrievals = crate::rig::sum(&samples, "cryptshare_retrievals_total", &[]);
        (retrievals > Some(0.0)).then_some(body)
    })
    .await
}

/// Gives `body` to a judge; the answer is what it prints, if it is content.
pub fn judged(program: &str, arguments: &[&str], body: &[u8]) -> String {
    let mut judge = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}, from scripts/test: {error}"));
    let mut stdin = judge.stdin.take().unwrap();
    // A judge that gives up early says why on its standard error.
    drop(stdin.write_all(body));
    drop(stdin);
    let output = judge.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_about() {
    let (_demo, url) = demo().await;
    let body = metrics(&url, "*/*").await;
    // The extended form prints the cardinalities; complaints go to stderr.
    let told = judged(
        "promtool",
        &["check", "metrics", "--extended"],
        body.as_bytes(),
    );
    assert!(told.contains("cryptshare_retrievals_total"), "{told}");
}

#[test]
fn promtool_judges_web_configurations_as_we_do() {
    let directory = TempDir::new().unwrap();
    for case in webfile::cases(directory.path()) {
        let path = case.path.to_str().unwrap();
        let judged = Command::new("promtool")
            .args(["check", "web-config", path])
            .output()
            .unwrap_or_else(|error| panic!("promtool, from scripts/test: {error}"));
        let said = String::from_utf8_lossy(&judged.stderr);
        let accepts = judged.status.success();
        assert_eq!(accepts, case.promtool_accepts, "{}: {said}", case.name);
    }
}

/// Reads OpenMetrics, and prints each family, its type and its unit.
const READER: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    print(family.name, family.type, family.unit)
";

#[tokio::test]
async fn the_python_client_reads_what_we_write_as_openmetrics() {
    let (_demo, url) = demo().await;
    let body = metrics(&url, "application/openmetrics-text;version=1.0.0").await;
    let told = judged("target/tools/bin/python", &["-c", READER], body.as_bytes());
    let families: Vec<_> = told.lines().map(str::trim).collect();
    assert!(families.len() > 45, "{told}");
    for family in [
        "cryptshare_up gauge",
        "cryptshare_retrievals counter",
        "cryptshare_processing_duration_seconds histogram seconds",
        "cryptshare_transfer info",
        "cryptshare_transfer_size_bytes gauge bytes",
        "cryptshare_exporter_build info",
        "cryptshare_exporter_api_request_duration_seconds histogram seconds",
        "process_cpu_seconds counter seconds",
    ] {
        assert!(families.contains(&family), "{family}\n{told}");
    }
    every_series_stands_once_in_its_family(&body);
}

/// What the Python client does not see, nor that a transfer has one state.
pub fn every_series_stands_once_in_its_family(body: &str) {
    let (mut families, mut series) = (HashSet::new(), HashSet::new());
    let mut in_a_state = HashSet::new();
    let mut family = "";
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} stands twice");
        } else if let Some(rest) = line.strip_prefix("# ") {
            assert!(rest == "EOF" || rest.split(' ').nth(1) == Some(family));
        } else {
            assert!(line.starts_with(family), "{line} stands in {family}");
            let (name, _) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(name), "{name} stands twice");
            if let Some((transfer, _)) = name.split_once(",state=")
                && name.starts_with("cryptshare_transfer_state")
            {
                assert!(in_a_state.insert(transfer), "{transfer} has two states");
            }
        }
    }
}
