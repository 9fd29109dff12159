//! What must never be shown, searched for in everything that is: logs, pages,
//! errors and the check of the configuration.
//!
//! The simulator says what it has planted. A fragment of any of it is enough to
//! fail, in any casing.

use std::{
    collections::{HashMap, HashSet},
    io::{Read, Write},
    net::TcpStream,
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{Exporter, Server, config, eventually, run, write};

/// So many bytes of a secret are a fragment that nothing else has by chance.
const FRAGMENT: usize = 10;

/// Fragments, and what each is of.
#[derive(Default)]
struct Canaries(HashMap<[u8; FRAGMENT], String>);

impl Canaries {
    /// Everything the simulator has told, but for the kinds that `allowed` names.
    async fn of(server: &Server, allowed: &[&str]) -> Self {
        let mut canaries = Self::default();
        let told = server.get("secrets").await;
        for (kind, texts) in told.as_object().unwrap() {
            let texts = texts.as_array().unwrap();
            assert!(!texts.is_empty(), "no {kind} is planted");
            for text in texts.iter().filter(|_| !allowed.contains(&kind.as_str())) {
                canaries.add(kind, text.as_str().unwrap());
            }
        }
        canaries
    }

    fn add(&mut self, kind: &str, text: &str) {
        // The host of an address is nobody's secret.
        let text = text.split('@').next().unwrap().to_lowercase();
        assert!(text.len() >= FRAGMENT, "{kind} {text} is too short");
        let kinds = windows(&text).map(|window| (window, kind.to_owned()));
        self.0.extend(kinds);
    }

    /// The kinds that `text` shows, each with a line that does.
    fn found(&self, text: &str) -> HashMap<&str, String> {
        let mut found = HashMap::new();
        for line in text.lines() {
            let lower = line.to_lowercase();
            for kind in windows(&lower).filter_map(|window| self.0.get(&window)) {
                found.insert(kind.as_str(), line.to_owned());
            }
        }
        found
    }

    fn check(&self, place: &str, text: &str) {
        let found = self.found(text);
        assert!(found.is_empty(), "{place} shows {found:#?}");
    }
}

fn windows(text: &str) -> impl Iterator<Item = [u8; FRAGMENT]> {
    let windows = text.as_bytes().windows(FRAGMENT);
    windows.map(|window| window.try_into().unwrap())
}

#[tokio::test]
async fn nothing_secret_or_personal_is_shown() {
    let server = world().await;
    let text = config(&server, "max_response_bytes = 1000000");
    let exporter = Exporter::start(&text, &["--log.format", "json"]).await;
    let log = stir(&server, &exporter).await;
    let canaries = Canaries::of(&server, &[]).await;
    canaries.check("the log", &log);
    check_pages(&canaries, &exporter).await;
}

#[tokio::test]
async fn nothing_secret_is_logged_at_debug() {
    let server = world().await;
    let directory = TempDir::new().unwrap();
    let file = write(directory.path(), "client-id", &server.client_id);
    let inline = format!("client_id = \"{}\"", server.client_id);
    let by_file = format!("client_id_file = \"{}\"", file.display());
    let text = config(&server, "max_response_bytes = 1000000").replace(&inline, &by_file);
    let exporter = Exporter::start(&text, &["--log.level", "debug"]).await;
    let log = stir(&server, &exporter).await;
    assert!(log.contains("read a transfer"), "{log}");
    // Who receives is personal, and may be read where everything is told.
    let canaries = Canaries::of(&server, &["recipient"]).await;
    canaries.check("the log", &log);
    check_pages(&Canaries::of(&server, &[]).await, &exporter).await;
}

async fn world() -> Server {
    let server =
        "--speed 0 --senders 2 --transfers 24 --activity 2 --seed 5 --quirk urls-for-any-token";
    Server::start(&server.split(' ').collect::<Vec<_>>()).await
}

/// Lets everything happen that is logged, and everything go wrong that can; the
/// answer is the log.
async fn stir(server: &Server, exporter: &Exporter) -> String {
    exporter.polls(1.0).await;
    check_planted(server).await;
    server.post("clock", json!({"speed": 20_000})).await;
    exporter
        .line_of_each(&[
            "a transfer appeared",
            "a file was removed",
            "a recipient could not be notified",
            "the upload summary could not be sent",
            "the confidential message could not be created",
            "a transfer ended unretrieved",
        ])
        .await;
    server.post("clock", json!({"speed": 0})).await;
    let lost = server.active_transfer().await;
    let labels = [("tracking_id", lost.as_str())];
    exporter.is("cryptshare_transfer_files", &labels, 2.0).await;
    server.happen(&lost, "forget", json!({})).await;
    exporter.line_of_each(&["a transfer vanished"]).await;
    go_wrong(server, exporter).await;
    exporter.process.lines().join("\n")
}

/// The search finds every kind in an answer of the server, so it would find it
/// elsewhere.
async fn check_planted(server: &Server) {
    let mut ids = Vec::new();
    // Only one password mode in three has passwords in addresses.
    for _ in 0..20 {
        ids.push(server.active_transfer().await);
    }
    let secrets = server.get("secrets").await;
    let client = reqwest::Client::builder().build().unwrap();
    let sender = &server.senders[0];
    let mut found = HashSet::new();
    let canaries = Canaries::of(server, &["client_id", "token"]).await;
    // One of the tokens is this sender's.
    let tokens = secrets["token"].as_array().unwrap();
    for (token, id) in tokens
        .iter()
        .flat_map(|t| ids.iter().map(move |id| (t, id)))
    {
        let url = format!("{}/api/users/{sender}/transfers/{id}", server.url);
        let request = client
            .get(&url)
            .header("X-CS-MajorApiVersion", "1")
            .header("X-CS-MinimumMinorApiVersion", "8")
            .header("X-CS-ClientId", &server.client_id)
            .header("X-CS-VerificationToken", token.as_str().unwrap());
        let answer = request.send().await.unwrap().text().await.unwrap();
        found.extend(canaries.found(&answer).into_keys());
    }
    let planted: HashSet<_> = secrets.as_object().unwrap().keys().collect();
    assert_eq!(found.len(), planted.len() - 2, "{found:?} of {planted:?}");
}

/// Spoils answers of every endpoint in every way, until each fault was met.
async fn go_wrong(server: &Server, exporter: &Exporter) {
    let mut faults = Vec::new();
    let spoiled = [
        json!({"kind": "latency", "milliseconds": 2500}),
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 503, "retryAfter": 1}),
        json!({"kind": "status", "status": 429, "errorCode": 2007}),
        json!({"kind": "status", "status": 404, "errorCode": 1006}),
        json!({"kind": "stall"}),
        json!({"kind": "reset"}),
        json!({"kind": "truncated"}),
        json!({"kind": "html"}),
        json!({"kind": "oversized", "bytes": 2_000_000}),
        json!({"kind": "wrong_type"}),
        json!({"kind": "redirect"}),
        json!({"kind": "expired_token"}),
    ];
    for endpoint in ["transfer_status", "transfers", "verification_token"] {
        for fault in &spoiled {
            let mut fault = fault.clone();
            fault["endpoint"] = json!(endpoint);
            fault["times"] = json!(1);
            faults.push(fault);
        }
    }
    server.faults(json!(faults)).await;
    eventually("every fault", async || {
        let left = server.get("faults").await;
        let is_over = |fault: &Value| fault["times"] == 0;
        left.as_array().unwrap().iter().all(is_over).then_some(())
    })
    .await;
    // The last one of all: a renewal that is refused, and refused again.
    server
        .faults(json!([
            {"kind": "expired_token", "endpoint": "transfers", "times": 1},
            {"kind": "status", "status": 403, "errorCode": 3002, "endpoint": "verification_token"},
        ]))
        .await;
    exporter.is("cryptshare_verified", &[], 0.0).await;
    exporter.line_of_each(&["polling fails"]).await;
}

/// Every page, and what answers a request that is none.
async fn check_pages(canaries: &Canaries, exporter: &Exporter) {
    let client = reqwest::Client::builder().build().unwrap();
    for (method, path, status) in [
        (Method::GET, "/metrics", 200),
        (Method::GET, "/", 200),
        (Method::GET, "/-/healthy", 200),
        (Method::GET, "/-/ready", 200),
        (Method::GET, "/nothing", 404),
        (Method::POST, "/-/reload", 403),
        (Method::POST, "/metrics", 405),
    ] {
        let url = format!("{}{path}", exporter.url);
        let answer = client.request(method, url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        canaries.check(path, &format!("{:?}", answer.headers()));
        canaries.check(path, &answer.text().await.unwrap());
    }
    for nonsense in ["GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let address = exporter.url.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        // A connection that is cut is an answer too.
        drop(socket.read_to_string(&mut answer));
        canaries.check(nonsense, &answer);
    }
}

#[tokio::test]
async fn the_check_of_a_configuration_shows_no_client_id() {
    let server = world().await;
    let id = &server.client_id;
    let directory = TempDir::new().unwrap();
    let good_file = write(directory.path(), "good-id", &format!("{id}\n"));
    let bad_file = write(directory.path(), "bad-id", &format!("{id}\n{id}\n"));
    let (good_file, bad_file) = (good_file.display(), bad_file.display());
    let mut canaries = Canaries::default();
    canaries.add("client_id", id);
    for (line, expect) in [
        (format!("client_id = \"{id}\""), 0),
        (format!("client_id_file = \"{good_file}\""), 0),
        (format!("client_id_file = \"{bad_file}\""), 3),
        (format!("client_id = \"{id}-\""), 3),
        (format!("client_id = [\"{id}\"]"), 3),
        (format!("client_id = {{ is = \"{id}\" }}"), 3),
        (format!("client_id = \"{id}"), 3),
        (format!("client_id = {id}"), 3),
        (format!("client_id {id}"), 3),
        (format!("client_idd = \"{id}\""), 3),
        (format!("client_id_file = \"{id}\""), 3),
        (
            format!("client_id = \"{id}\"\nclient_id_file = \"{good_file}\""),
            3,
        ),
        (
            format!("client_id = \"{id}\"\nurl = \"http://{id}@cs.example.com\""),
            3,
        ),
        (
            format!("client_id = \"{id}\"\nurl = \"http://cs.example.com/?client-id={id}\""),
            3,
        ),
    ] {
        let text = format!(
            "[[server]]\nname = \"a\"\n{line}\n{}[[server.sender]]\nemail = \"a@example.com\"\n",
            if line.contains("url = ") {
                ""
            } else {
                "url = \"http://127.0.0.1:1\"\n"
            },
        );
        let file = write(directory.path(), "exporter.toml", &text);
        let file = file.to_str().unwrap();
        let (code, out, problems) = run(&["--config.check", "--config.file", file]);
        assert_eq!(code, expect, "{text}{out}{problems}");
        canaries.check(&line, &format!("{out}{problems}"));
        if expect != 0 {
            let (code, out, problems) = run(&["--config.file", file]);
            assert_eq!(code, expect, "{text}{out}{problems}");
            canaries.check(&line, &format!("{out}{problems}"));
        }
    }
}
