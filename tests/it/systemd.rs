//! What a service manager is told, and the sockets that it passes.

use std::{net::TcpListener, os::unix::net::UnixDatagram, process::Command, time::Duration};

use serde_json::json;
use tempfile::TempDir;

use crate::rig::{BINARY, Exporter, Process, Server, config, eventually, write};

/// The place of a service manager that listens.
pub struct Manager {
    directory: TempDir,
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Manager {
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        Self {
            directory,
            socket,
            told: Vec::new(),
        }
    }

    /// The path of its socket.
    pub fn socket(&self) -> String {
        let socket = self.directory.path().join("notify");
        socket.display().to_string()
    }

    /// Everything that it has been told.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Forgets what it has been told.
    pub fn forget(&mut self) {
        self.told.clear();
    }

    /// Waits until it is told this.
    pub async fn hears(&mut self, what: &str) {
        let (socket, told) = (&self.socket, &mut self.told);
        eventually(what, async || {
            let mut bytes = [0; 1024];
            while let Ok(length) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]);
                told.extend(text.lines().map(str::to_owned));
            }
            told.iter().any(|line| line == what).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_service_manager_is_told_how_things_are() {
    let server = Server::start(&["--speed", "0", "--senders", "2", "--transfers", "2"]).await;
    let mut manager = Manager::new();
    let socket = manager.socket();
    let variables = [
        ("NOTIFY_SOCKET", socket.as_str()),
        ("WATCHDOG_USEC", "300000"),
    ];
    let mut exporter = Exporter::with_environment(&variables, &config(&server, "")).await;
    manager.hears("READY=1").await;
    manager.hears("STATUS=2 of 2 senders up").await;
    manager.hears("WATCHDOG=1").await;
    server
        .faults(json!([{"kind": "status", "status": 500}]))
        .await;
    manager.hears("STATUS=0 of 2 senders up").await;
    exporter.process.signal("TERM");
    manager.hears("STOPPING=1").await;
    assert_eq!(exporter.process.exit().await.code(), Some(0));
}

/// systemd's own tool binds the sockets, and starts the exporter when somebody
/// connects.
#[tokio::test]
async fn sockets_that_systemd_has_bound_are_served() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let directory = TempDir::new().unwrap();
    let file = write(directory.path(), "exporter.toml", &config(&server, ""));
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let path = directory.path().join("exporter.sock");
    let mut command = Command::new("systemd-socket-activate");
    command
        .args(["-l", &address, "-l", path.to_str().unwrap(), BINARY])
        .args(["--web.systemd-socket", "--config.file"])
        .arg(&file);
    let found = Command::new("systemd-socket-activate")
        .arg("--version")
        .output();
    found.unwrap_or_else(|error| panic!("systemd-socket-activate, from scripts/test: {error}"));
    let mut process = Process::spawn(command);
    eventually("an answer over TCP", async || {
        let answer = reqwest::get(format!("http://{address}/-/healthy")).await;
        (answer.ok()?.text().await.ok()? == "Healthy\n").then_some(())
    })
    .await;
    let client = reqwest::Client::builder().unix_socket(path.as_path());
    let answer = client
        .build()
        .unwrap()
        .get("http://localhost/-/ready")
        .send();
    assert_eq!(answer.await.unwrap().text().await.unwrap(), "Ready\n");
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
    assert!(path.exists(), "the socket is systemd's");
}
