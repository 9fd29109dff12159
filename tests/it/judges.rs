//! Judges that we did not write: promtool, the Python client's reader of
//! OpenMetrics, and Prometheus itself.

use std::{
    collections::HashSet,
    io::Write,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    rig::{Exporter, Process, Server, address, eventually, run, write},
    webfile,
};

/// Starts `demo` on a free port.
async fn demo() -> (Process, String) {
    let process = Process::start(&["demo", "--web.listen-address", "127.0.0.1:0"]);
    let url = address(&process).await;
    (process, url)
}

async fn text(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// The body of `/metrics` for `accept`, once things have happened.
async fn metrics(url: &str, accept: &str) -> String {
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
fn judged(program: &str, arguments: &[&str], body: &str) -> String {
    let mut judge = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}, from scripts/test: {error}"));
    let mut stdin = judge.stdin.take().unwrap();
    // A judge that gives up early says why on its standard error.
    drop(stdin.write_all(body.as_bytes()));
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
    let told = judged("promtool", &["check", "metrics", "--extended"], &body);
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
    let told = judged("target/tools/bin/python", &["-c", READER], &body);
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

/// What the Python client does not see.
fn every_series_stands_once_in_its_family(body: &str) {
    let (mut families, mut series) = (HashSet::new(), HashSet::new());
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
        }
    }
}

/// Starts Prometheus, which scrapes `url`; its port. `more` are further keys of
/// the job.
fn prometheus(directory: &Path, url: &str, more: &str) -> (Process, u16) {
    let target = url.strip_prefix("http://").unwrap();
    let config = format!(
        "scrape_configs:\n- job_name: cryptshare\n  scrape_interval: 1s\n{more}  static_configs:\n  - targets: ['{target}']\n"
    );
    let config = write(directory, "prometheus.yml", &config);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", directory.display()));
    (Process::spawn(command), port)
}

/// Over TLS with a certificate of its own, a password, and HTTP/2, which it
/// chooses where it is offered.
#[tokio::test]
async fn prometheus_scrapes_over_tls_with_a_password() {
    let directory = TempDir::new().unwrap();
    webfile::cases(directory.path());
    let hash = bcrypt::hash("word", 4).unwrap();
    for http2 in ["true", "false"] {
        let web = format!(
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  \
             client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n\
             http_server_config:\n  http2: {http2}\n\
             basic_auth_users:\n  scraper: {hash}\n"
        );
        let web = write(directory.path(), "web.yml", &web);
        let server = Server::start(&["--speed", "0", "--senders", "1"]).await;
        let arguments = ["--web.config.file", web.to_str().unwrap()];
        let exporter = Exporter::watching(&server, &arguments).await;
        let more = "  scheme: https\n  tls_config:\n    ca_file: ca.pem\n    \
                    cert_file: server.pem\n    key_file: server.key\n  \
                    basic_auth:\n    username: scraper\n    password: word\n";
        let (_prometheus, port) = prometheus(directory.path(), &exporter.url, more);
        let query = format!(
            "http://127.0.0.1:{port}/api/v1/query?query=count_over_time(cryptshare_up[5m])"
        );
        eventually("several scrapes", async || {
            let answer = reqwest::get(&query).await.ok()?.text().await.ok()?;
            let answer: Value = serde_json::from_str(&answer).ok()?;
            let count = answer["data"]["result"][0]["value"][1].as_str()?;
            (count.parse::<u32>().ok()? >= 3).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn prometheus_scrapes_every_family() {
    let (_demo, url) = demo().await;
    let directory = TempDir::new().unwrap();
    let (prometheus, port) = prometheus(directory.path(), &url, "");
    let (_, catalog, _) = run(&["metrics", "--format", "json"]);
    let catalog: Vec<Value> = serde_json::from_str(&catalog).unwrap();
    assert!(catalog.len() > 50);
    for metric in &catalog {
        let name = metric["name"].as_str().unwrap();
        let series = match metric["type"].as_str() {
            Some("histogram") => format!("{name}_bucket"),
            _ => name.to_owned(),
        };
        let query =
            format!("http://127.0.0.1:{port}/api/v1/query?query=last_over_time({series}[5m])");
        eventually(&format!("{series} in Prometheus"), async || {
            let answer = reqwest::get(&query).await.ok()?.text().await.ok()?;
            let answer: Value = serde_json::from_str(&answer).ok()?;
            let result = answer["data"]["result"].as_array()?;
            (!result.is_empty()).then_some(())
        })
        .await;
    }
    // It asks for OpenMetrics by itself, and only that knows this type.
    let about = format!("http://127.0.0.1:{port}/api/v1/metadata?metric=cryptshare_exporter_build");
    let about: Value = serde_json::from_str(&text(&about).await).unwrap();
    let types = &about["data"]["cryptshare_exporter_build"];
    assert_eq!(types[0]["type"], "info", "{about}");
    drop(prometheus);
}
