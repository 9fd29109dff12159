//! The page at `/` as a browser shows it.
//!
//! The browser is driven by `WebDriver`, whose text of an element is
//! what a person can see of it.

use std::{fs, path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Client;
use serde_json::{Value, json};

use crate::rig::{self, Exporter, Process, Server};

/// A browser without a window.
struct Browser {
    http: Client,
    session: String,
    _driver: Process,
}

impl Browser {
    async fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let driver = Process::spawn(command);
        let port = driver
            .line("the driver's port", |line| {
                let (_, port) = line.split_once("successfully on port ")?;
                Some(port.trim_end_matches('.').to_owned())
            })
            .await;
        let http = Client::builder().no_proxy().build().unwrap();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
        }}});
        let mut browser = Self {
            http,
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
        };
        let session = browser.post("", wanted).await;
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let answer = self.http.post(url).body(body.to_string()).send().await;
        value(&answer.unwrap().bytes().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}{path}", self.session))
            .send()
            .await;
        value(&answer.unwrap().bytes().await.unwrap())
    }

    async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Ends the browser, which would outlive its driver.
    async fn quit(self) {
        let answer = self.http.delete(&self.session).send().await;
        value(&answer.unwrap().bytes().await.unwrap());
    }

    /// What can be seen of the page.
    async fn text(&self) -> String {
        let wanted = json!({"using": "css selector", "value": "body"});
        let element = self.post("/element", wanted).await;
        let id = element.as_object().unwrap().values().next().unwrap();
        let path = format!("/element/{}/text", id.as_str().unwrap());
        self.get(&path).await.as_str().unwrap().to_owned()
    }

    /// Follows the link that has this text.
    async fn follow(&self, text: &str) {
        let wanted = json!({"using": "link text", "value": text});
        let element = self.post("/element", wanted).await;
        let id = element.as_object().unwrap().values().next().unwrap();
        let path = format!("/element/{}/click", id.as_str().unwrap());
        self.post(&path, json!({})).await;
    }

    /// The color behind the page, when the user prefers this scheme.
    async fn background(&self, scheme: &str) -> String {
        let preference = json!({"name": "prefers-color-scheme", "value": scheme});
        let command = json!({"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [preference],
        }});
        self.post("/goog/cdp/execute", command).await;
        let script = "return getComputedStyle(document.body).backgroundColor";
        let wanted = json!({"script": script, "args": []});
        let color = self.post("/execute/sync", wanted).await;
        color.as_str().unwrap().to_owned()
    }

    /// Keeps a picture of the page beside the results of the build.
    async fn picture(&self, name: &str) {
        let size = json!({"width": 1200, "height": 1100});
        self.post("/window/rect", size).await;
        let picture = self.get("/screenshot").await;
        let bytes = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// The member `value` of an answer that is no error.
fn value(answer: &[u8]) -> Value {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    assert!(answer["value"]["error"].is_null(), "{answer}");
    answer["value"].clone()
}

#[tokio::test]
#[ignore = "needs a browser, which the judges stage installs"]
async fn a_browser_shows_senders_events_and_problems() {
    let server = Server::start(&["--speed", "0", "--senders", "2", "--transfers", "12"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(2.0).await;
    let id = server.active_transfer().await;
    exporter.is("cryptshare_up", &[], 2.0).await;
    for event in ["retrieve", "notification_failure"] {
        server.happen(&id, event, json!({})).await;
    }
    let browser = Browser::start().await;
    let seen = rig::eventually("the page tells what happened", async || {
        browser.open(&exporter.url).await;
        let text = browser.text().await;
        text.contains("a recipient could not be notified")
            .then_some(text)
    })
    .await;
    for text in [
        "2 of 2 senders up",
        "works",
        "a file was downloaded",
        &id,
        " active",
    ] {
        assert!(seen.contains(text), "{text}: {seen}");
    }
    for text in ["Problems", "@example.org"] {
        assert!(!seen.contains(text), "{text}: {seen}");
    }
    let (light, dark) = (
        browser.background("light").await,
        browser.background("dark").await,
    );
    assert_ne!(light, dark);
    browser.picture("page-dark.png").await;
    browser.background("light").await;
    browser.picture("page-light.png").await;

    server
        .faults(json!([{"kind": "status", "status": 503}]))
        .await;
    let seen = rig::eventually("the page tells the problem", async || {
        browser.open(&exporter.url).await;
        let text = browser.text().await;
        text.contains("Problems").then_some(text)
    })
    .await;
    assert!(seen.contains("The server fails"), "{seen}");
    browser.picture("page-problem.png").await;
    browser.follow("What to do").await;
    let runbook = browser.text().await;
    assert!(runbook.contains("What to look at"), "{runbook}");
    browser.quit().await;
}
