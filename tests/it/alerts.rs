//! The alerts: judged by promtool and amtool, and followed from the server to
//! whoever is called.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::rig::{Exporter, Process, Server, eventually, run, write};

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const RULES: &str = "deploy/prometheus/rules.yml";
const TESTS: &str = "deploy/prometheus/alerts_test.yml";
const ALERTMANAGER: &str = "deploy/prometheus/alertmanager.yml";

/// Runs a judge; what it says is told if it is not content.
fn judge(program: &str, arguments: &[&str]) {
    let judged = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}, from scripts/test: {error}"));
    let said = [judged.stdout, judged.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(judged.status.success(), "{arguments:?}: {said}");
}

#[test]
fn promtool_and_amtool_find_nothing_to_complain_about() {
    judge("promtool", &["check", "rules", ALERTS, RULES]);
    judge("promtool", &["test", "rules", TESTS]);
    judge("amtool", &["check-config", ALERTMANAGER]);
}

fn names() -> Vec<String> {
    let alerts = fs::read_to_string(ALERTS).unwrap();
    let name = |line: &str| line.trim().strip_prefix("- alert: ").map(str::to_owned);
    alerts.lines().filter_map(name).collect()
}

#[tokio::test]
async fn each_alert_has_its_test_and_its_runbook() {
    let server = Server::start(&["--speed", "0", "--senders", "1"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    let tests = fs::read_to_string(TESTS).unwrap();
    let names = names();
    assert!(names.len() > 20);
    for name in names {
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name}");
        let runbook = exporter.get(&format!("/runbooks/{name}")).await;
        assert!(runbook.contains(&format!("<h1>{name}</h1>")), "{name}");
        assert!(runbook.contains("What to look at"), "{name}");
    }
}

#[test]
fn rules_ask_for_what_there_is() {
    let (_, catalog, _) = run(&["metrics", "--format", "json"]);
    let catalog: Vec<Value> = serde_json::from_str(&catalog).unwrap();
    let known: Vec<_> = catalog
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    let mut asked = 0;
    for file in [ALERTS, RULES] {
        let rules = fs::read_to_string(file).unwrap();
        let expressions = rules.lines().filter(|line| {
            let line = line.trim_start();
            !line.starts_with('#') && !line.starts_with("- record:")
        });
        let words =
            expressions.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        for word in words.filter(|word| word.starts_with("cryptshare_")) {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(known.contains(&name), "{file}: {word}");
            asked += 1;
        }
    }
    assert!(asked > 25);
}

/// Somebody who is called by Alertmanager.
struct Webhook {
    url: String,
    /// What came, one call after the other.
    calls: Arc<Mutex<Vec<Value>>>,
    /// Ends with this.
    _answering: JoinSet<()>,
}

impl Webhook {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let calls = Arc::<Mutex<Vec<Value>>>::default();
        let heard = Arc::clone(&calls);
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Some(call) = called(stream).await {
                    heard.lock().unwrap().push(call);
                }
            }
        });
        Self {
            url,
            calls,
            _answering: answering,
        }
    }

    /// Whether somebody was called for a firing alert of this name.
    fn has(&self, name: &str) -> bool {
        let calls = self.calls.lock().unwrap();
        let mut alerts = calls
            .iter()
            .flat_map(|call| call["alerts"].as_array().unwrap());
        alerts.any(|alert| alert["labels"]["alertname"] == name && alert["status"] == "firing")
    }
}

/// The body of one request, which gets an answer and the end of the connection.
async fn called(stream: TcpStream) -> Option<Value> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// A port that is free, which the programs want to be told.
fn port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// Alertmanager with our inhibitions, which calls `url` at once.
fn alertmanager(directory: &Path, url: &str) -> (Process, u16) {
    let shipped = fs::read_to_string(ALERTMANAGER).unwrap();
    let (_, inhibitions) = shipped.split_once("inhibit_rules:\n").unwrap();
    let config = format!(
        "route:\n  receiver: webhook\n  group_by: ['...']\n  group_wait: 0s\n\
         receivers:\n- name: webhook\n  webhook_configs:\n  - url: {url}\n\
         inhibit_rules:\n{inhibitions}"
    );
    let config = write(directory, "alertmanager.yml", &config);
    let port = port();
    let mut command = Command::new("prometheus-alertmanager");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .arg(format!(
            "--storage.path={}",
            directory.join("alerts").display()
        ));
    (Process::spawn(command), port)
}

/// Prometheus with our alerts, which wait for nothing here.
fn prometheus(directory: &Path, exporter: &str, alertmanager: u16) -> (Process, u16) {
    let alerts = fs::read_to_string(ALERTS).unwrap();
    let waits = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with("for:") && !line.starts_with("keep_firing_for:")
    };
    let alerts: Vec<_> = alerts.lines().filter(waits).collect();
    write(directory, "alerts.yml", &alerts.join("\n"));
    let target = exporter.strip_prefix("http://").unwrap();
    let config = format!(
        "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n\
         rule_files: [alerts.yml]\n\
         alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: ['127.0.0.1:{alertmanager}']\n\
         scrape_configs:\n- job_name: cryptshare\n  static_configs:\n  - targets: ['{target}']\n"
    );
    let config = write(directory, "prometheus.yml", &config);
    let port = port();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.join("data").display()
        ));
    (Process::spawn(command), port)
}

#[tokio::test]
async fn an_alert_travels_from_the_server_to_whoever_is_called() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "3"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(2.0).await;
    let webhook = Webhook::start().await;
    let directory = TempDir::new().unwrap();
    let (_alertmanager, port) = alertmanager(directory.path(), &webhook.url);
    let (_prometheus, asked) = prometheus(directory.path(), &exporter.url, port);
    let id = server.active_transfer().await;
    exporter
        .is(
            "cryptshare_state_transitions_total",
            &[("state", "active")],
            1.0,
        )
        .await;
    let api = format!("http://127.0.0.1:{port}/api/v2/alerts");
    let alerts = async || {
        let answer = reqwest::get(&api).await.ok()?.bytes().await.ok()?;
        serde_json::from_slice::<Vec<Value>>(&answer).ok()
    };
    eventually("Alertmanager answers", async || alerts().await.map(drop)).await;
    // A rise is seen from the second sample on.
    let query =
        format!("http://127.0.0.1:{asked}/api/v1/query?query=count_over_time(cryptshare_up[1m])");
    eventually("two scrapes", async || {
        let answer = reqwest::get(&query).await.ok()?.bytes().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer).ok()?;
        let count = answer["data"]["result"][0]["value"][1].as_str()?;
        (count.parse::<u32>().ok()? >= 2).then_some(())
    })
    .await;
    for event in ["notification_failure", "security_delete"] {
        server.happen(&id, event, json!({})).await;
    }
    for name in [
        "CryptshareRecipientNotificationFailed",
        "CryptshareDeletedBySecurity",
    ] {
        eventually(name, async || webhook.has(name).then_some(())).await;
    }

    server
        .faults(json!([{"kind": "status", "status": 503}]))
        .await;
    eventually(
        "the server's alert inhibits those of its transfers",
        async || {
            let alerts = alerts().await?;
            let of_transfers = |alert: &&Value| alert["labels"]["scope"] == "transfers";
            let is_inhibited = |alert: &Value| {
                !alert["status"]["inhibitedBy"]
                    .as_array()
                    .unwrap()
                    .is_empty()
            };
            alerts.iter().find(of_transfers)?;
            let mut of_transfers = alerts.iter().filter(of_transfers);
            of_transfers.all(is_inhibited).then_some(())
        },
    )
    .await;
    assert!(webhook.has("CryptshareServerUnreachable"));
}
