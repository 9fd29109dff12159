//! Prometheus itself as the judge, in each format that it can ask for.
//!
//! The one that is installed asks for OpenMetrics, or with a flag for protobuf;
//! to see it read text as well, and to see what it gets, it scrapes through a
//! go-between.

use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    judges::{demo, text},
    rig::{Exporter, Process, Server, eventually, run, write},
    webfile,
};

/// How Prometheus comes to a format.
struct Way {
    flags: &'static [&'static str],
    /// What it is made to ask for.
    accept: Option<&'static str>,
    content_type: &'static str,
}

const OPEN_METRICS: Way = Way {
    flags: &[],
    accept: None,
    content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8\r\n",
};

const PROTOBUF: Way = Way {
    flags: &["--enable-feature=native-histograms"],
    accept: None,
    content_type: "application/vnd.google.protobuf; proto=io.prometheus.client.metricfamily; \
                   encoding=delimited\r\n",
};

const TEXT: Way = Way {
    flags: &[],
    accept: Some("text/plain;version=0.0.4"),
    content_type: "text/plain; version=0.0.4; charset=utf-8\r\n",
};

/// Passes requests on, each over a connection of its own, and notes the heads
/// of the answers.
struct GoBetween {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
    /// Ends with this.
    _passing: JoinSet<()>,
}

impl GoBetween {
    async fn start(url: &str, accept: Option<&'static str>) -> Self {
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&heads);
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                // Whoever hangs up early is of no interest.
                let Some(request) = head(&mut client).await else {
                    continue;
                };
                let mut server = TcpStream::connect(&server).await.unwrap();
                let request = altered(&request, accept);
                server.write_all(request.as_bytes()).await.unwrap();
                if let Some(answer) = head(&mut server).await {
                    drop(client.write_all(answer.as_bytes()).await);
                    noted.lock().unwrap().push(answer);
                    drop(copy(&mut server, &mut client).await);
                }
            }
        });
        Self {
            url,
            heads,
            _passing: passing,
        }
    }
}

/// The head of a request or an answer.
async fn head(wire: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(wire.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// The request for one answer, in what it is made to ask for.
fn altered(head: &str, accept: Option<&str>) -> String {
    let is_changed = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.is_empty() || (accept.is_some() && line.starts_with("accept:"))
    };
    let lines = head.split("\r\n").filter(|line| !is_changed(line));
    let mut lines: Vec<_> = lines.collect();
    let accept = accept.map(|accept| format!("Accept: {accept}"));
    lines.extend(accept.as_deref());
    lines.extend(["Connection: close", "", ""]);
    lines.join("\r\n")
}

/// Starts Prometheus, which scrapes `url`; its port. `more` are further keys of
/// the job.
fn prometheus(directory: &Path, url: &str, more: &str) -> (Process, u16) {
    prometheus_with(directory, url, more, &[])
}

fn prometheus_with(directory: &Path, url: &str, more: &str, flags: &[&str]) -> (Process, u16) {
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
        .arg(format!("--storage.tsdb.path={}", directory.display()))
        .args(flags);
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

/// Prometheus scrapes through a go-between until it has every family; its port.
async fn scraped(url: &str, way: &Way) -> (Process, u16) {
    let directory = TempDir::new().unwrap();
    let between = GoBetween::start(url, way.accept).await;
    let (prometheus, port) = prometheus_with(directory.path(), &between.url, "", way.flags);
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
    let answers = between.heads.lock().unwrap().clone();
    assert!(!answers.is_empty());
    for head in answers {
        let head = head.to_ascii_lowercase();
        let content_type = format!("content-type: {}", way.content_type);
        assert!(head.contains(&content_type), "{head}");
        assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
        assert!(head.contains("content-length: "), "{head}");
    }
    (prometheus, port)
}

#[tokio::test]
async fn prometheus_scrapes_every_family() {
    let (_demo, url) = demo().await;
    let (prometheus, port) = scraped(&url, &OPEN_METRICS).await;
    // It asks for OpenMetrics by itself, and only that knows this type.
    let about = format!("http://127.0.0.1:{port}/api/v1/metadata?metric=cryptshare_exporter_build");
    let about: Value = serde_json::from_str(&text(&about).await).unwrap();
    let types = &about["data"]["cryptshare_exporter_build"];
    assert_eq!(types[0]["type"], "info", "{about}");
    drop(prometheus);
}

#[tokio::test]
async fn prometheus_scrapes_every_family_as_text() {
    let (_demo, url) = demo().await;
    scraped(&url, &TEXT).await;
}

#[tokio::test]
async fn prometheus_scrapes_every_family_as_protobuf() {
    let (_demo, url) = demo().await;
    scraped(&url, &PROTOBUF).await;
}
