//! Judges that we did not write: promtool and Prometheus itself.

use std::{
    io::Write,
    net::TcpListener,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::rig::{Process, address, eventually, run, write};

/// Starts `demo` on a free port.
async fn demo() -> (Process, String) {
    let process = Process::start(&["demo", "--web.listen-address", "127.0.0.1:0"]);
    let url = address(&process).await;
    (process, url)
}

async fn text(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_about() {
    let (_demo, url) = demo().await;
    let body = eventually("rising counters", async || {
        let body = text(&format!("{url}/metrics")).await;
        let samples = crate::rig::parse(&body);
        let retrievals = crate::rig::sum(&samples, "cryptshare_retrievals_total", &[]);
        (retrievals > Some(0.0)).then_some(body)
    })
    .await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics", "--extended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed by scripts/test");
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(body.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    // The extended form prints the cardinalities; complaints go to stderr.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    let cardinalities = String::from_utf8_lossy(&output.stdout);
    assert!(cardinalities.contains("cryptshare_retrievals_total"));
}

#[tokio::test]
async fn prometheus_scrapes_every_family() {
    let (_demo, url) = demo().await;
    let directory = TempDir::new().unwrap();
    let target = url.strip_prefix("http://").unwrap();
    let config = format!(
        "scrape_configs:\n- job_name: cryptshare\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
    );
    let config = write(directory.path(), "prometheus.yml", &config);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.path().display()
        ));
    let prometheus = Process::spawn(command);
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
    drop(prometheus);
}
