//! Several addresses at once, IPv6, and a socket in the file system.

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
};

use tempfile::TempDir;

use crate::rig::{Exporter, Server, config, run};

/// What is answered over the socket at `path`.
fn ask(path: &Path, request: &str) -> String {
    let mut socket = UnixStream::connect(path).unwrap();
    write!(
        socket,
        "GET {request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn every_address_serves_the_same() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("exporter.sock");
    let unix = format!("unix:{}", path.display());
    let flag = "--web.listen-address";
    let arguments = [flag, "[::1]:0", flag, "127.0.0.1:0", flag, &unix];
    let mut exporter = Exporter::start(&config(&server, ""), &arguments).await;
    let listening = |line: &str| {
        let (_, address) = line.split_once("msg=listening address=")?;
        Some(address.to_owned())
    };
    let lines = exporter.process.lines();
    let addresses: Vec<_> = lines.iter().filter_map(|line| listening(line)).collect();
    assert_eq!(addresses.len(), 4, "{addresses:?}");
    assert_eq!(addresses[3], unix);
    for address in &addresses[..3] {
        let url = format!("http://{address}/-/healthy");
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "Healthy\n", "{address}");
    }
    assert!(addresses[1].starts_with("[::1]:"));
    assert!(ask(&path, "/-/ready").ends_with("\r\n\r\nReady\n"));
    assert!(ask(&path, "/metrics").contains("cryptshare_exporter_build_info"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    exporter.process.signal("KILL");
    exporter.process.exit().await;
    assert!(path.exists(), "nobody was left to take it away");
    let mut next = Exporter::start(&config(&server, ""), &[flag, &unix]).await;
    assert!(ask(&path, "/-/healthy").ends_with("\r\n\r\nHealthy\n"));
    next.process.signal("TERM");
    next.process.exit().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let directory = TempDir::new().unwrap();
    let file = crate::rig::write(directory.path(), "c.toml", &config(&server, ""));
    let start = |more: &[&str]| run(&[&["--config.file", file.to_str().unwrap()], more].concat());
    for (address, expect) in [
        ("vsock://:10062", "\"vsock://:10062\" is not an address"),
        (
            "unix:nowhere",
            "\"unix:nowhere\" is not an address to listen on",
        ),
        ("unix:/proc/x", "failed to listen on \"unix:/proc/x\""),
    ] {
        let (code, _, error) = start(&["--web.listen-address", address]);
        assert_eq!(code, 1, "{error}");
        let error = error.replace('\\', "");
        assert!(error.contains(expect), "{error}");
    }
    let (code, _, error) = start(&["--web.systemd-socket"]);
    assert_eq!(code, 1);
    let expect = "systemd passed no socket; start the exporter by a socket unit";
    assert!(error.contains(expect), "{error}");
}
