//! The machine that the documents speak of: a directory.
//!
//! Paths below `/etc`, `/var/lib` and the like are taken to lie in it, the ports
//! are free ones, and the server is a simulator.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use regex::Regex;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::rig::{BINARY, Process, Server, eventually};

/// How a command is walked.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Walked {
    /// To its end.
    Here,
    /// It runs on.
    Serves,
    /// It asks for a mailed code.
    Verified,
    /// It is a name alone, which has a help.
    Name,
}

/// A port that nobody has.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// The directory that a document takes for the machine.
pub struct Machine {
    root: TempDir,
    /// The administrator's server, whose client ids and mails the walk sees to.
    server: Server,
    /// Where mails to senders lie.
    mailbox: String,
    /// The ports of the exporter and of the document's own simulator.
    ports: (u16, u16),
    /// `export` lines so far.
    variables: Vec<String>,
    /// The demo or the exporter, of which there is one at a time.
    exporter: Option<Process>,
    /// What else runs: simulators, and whoever speaks TLS.
    others: Vec<Process>,
}

/// What lies on the machine before the first command, and where.
const THERE: [(&str, &str); 5] = [
    ("config/exporter.toml", "home/exporter.toml"),
    (
        "deploy/systemd/cryptshare-exporter.service",
        "home/cryptshare-exporter.service",
    ),
    (
        "deploy/systemd/cryptshare-exporter.socket",
        "home/cryptshare-exporter.socket",
    ),
    (
        "deploy/prometheus/alerts.yml",
        "etc/prometheus/cryptshare/alerts.yml",
    ),
    (
        "deploy/prometheus/rules.yml",
        "etc/prometheus/cryptshare/rules.yml",
    ),
];

const CONFIG: &str = "etc/cryptshare-exporter/config.toml";
const STATE: &str = "var/lib/cryptshare-exporter";
const CLIENT_ID: &str = "etc/cryptshare-exporter/client-id";
const START: &str = "cryptshare-exporter --config.file /etc/cryptshare-exporter/config.toml";
const FOLDERS: [&str; 5] = [
    "etc/systemd/system",
    "etc/grafana",
    "usr/local/bin",
    "usr/bin",
    "var/lib",
];

impl Machine {
    /// An administrator's server and what somebody has unpacked.
    pub async fn new() -> Self {
        let arguments = ["--senders", "3", "--api-minor", "13", "--speed", "60"];
        let server = Server::start(&arguments).await;
        let machine = Self {
            root: TempDir::new().unwrap(),
            mailbox: server.url.clone(),
            server,
            ports: (free_port(), free_port()),
            variables: Vec::new(),
            exporter: None,
            others: Vec::new(),
        };
        for folder in FOLDERS {
            fs::create_dir_all(machine.root.path().join(folder)).unwrap();
        }
        for (from, to) in THERE {
            machine.put(to, &machine.here(&fs::read_to_string(from).unwrap()));
        }
        let binary = machine.root.path().join("home/cryptshare-exporter");
        fs::copy(BINARY, binary).unwrap();
        // Only a good answer is a success.
        machine.put("home/.curlrc", "fail-with-body\n");
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        machine.put("home/server.pem", &own.cert.pem());
        machine.put("home/server.key", &own.signing_key.serialize_pem());
        machine
    }

    /// Where systemd or a package would make it.
    pub fn has_a_state_directory(&self) {
        fs::create_dir_all(self.root.path().join(STATE)).unwrap();
    }

    /// Has an exporter run with this configuration, and something that speaks
    /// TLS.
    pub async fn lives(&mut self, block: &str) {
        self.has_a_state_directory();
        self.put(CLIENT_ID, &"x".repeat(64));
        self.configure(block).await;
        self.serves(START, None).await;
        let mut tls = Command::new("openssl");
        tls.args([
            "s_server",
            "-cert",
            "server.pem",
            "-key",
            "server.key",
            "-accept",
        ]);
        tls.arg(format!("127.0.0.1:{}", self.ports.1));
        tls.current_dir(self.root.path().join("home"));
        // At the end of its input it would hang up.
        let tls = Process::with_input(tls, Stdio::piped());
        tls.line("its readiness", |line| {
            line.contains("ACCEPT").then_some(())
        })
        .await;
        self.others.push(tls);
    }

    /// Somebody writes a block of a configuration to where it belongs.
    pub async fn configure(&self, block: &str) {
        let block = self.here(block);
        if block.contains("[[server]]") {
            self.put(CONFIG, &block);
        } else if block.starts_with("watch_files") {
            let config = fs::read_to_string(self.root.path().join(CONFIG)).unwrap();
            let sender = "\n[[server.sender]]";
            self.put(CONFIG, &config.replace(sender, &format!("{block}{sender}")));
        } else {
            self.exporter.as_ref().unwrap().signal("HUP");
            self.put("var/spool/cryptshare-exporter/one.toml", &block);
            self.samples("cryptshare_transfers_not_found", " 1").await;
        }
    }

    /// Has a block of a configuration in YAML checked by whoever reads it.
    pub async fn judge(&self, block: &str) {
        self.put("home/judged.yml", &self.here(block));
        let judge = if block.contains("scrape_configs") {
            "promtool check config judged.yml"
        } else {
            "cryptshare-exporter --config.check --web.config.file judged.yml"
        };
        self.ran(judge, Walked::Here, None).await;
    }

    /// Runs a command of the document as the table says.
    pub async fn follow(&mut self, command: &str, how: Walked, expect: Option<&str>) {
        if command.starts_with("cryptshare-exporter state") {
            self.has_stopped().await;
        }
        if command.contains("state import") {
            // That is another machine.
            fs::remove_file(self.ledger()).unwrap();
        }
        match how {
            Walked::Here if command.starts_with("export ") => {
                self.variables.push(self.here(command));
            }
            Walked::Here | Walked::Name => self.ran(command, how, expect).await,
            Walked::Serves => self.serves(command, expect).await,
            Walked::Verified => self.verified(command, expect).await,
        }
    }

    fn ledger(&self) -> PathBuf {
        self.root.path().join(STATE).join("ledger.redb")
    }

    /// The exporter has run and runs no more.
    async fn has_stopped(&mut self) {
        if !self.ledger().exists() {
            self.serves(START, None).await;
        }
        self.stop().await;
    }

    /// Writes a file of the machine.
    fn put(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What a document says, as it is here.
    fn here(&self, text: &str) -> String {
        let root = self.root.path().display();
        let build = Path::new(BINARY).parent().unwrap().display();
        let exporter = format!("127.0.0.1:{}", self.ports.0);
        let repository = std::env::current_dir().unwrap();
        let mut text = text.to_owned();
        for path in ["/etc/", "/var/lib/", "/var/spool/", "/usr/local/bin/"] {
            text = text.replace(path, &format!("{root}{path}"));
        }
        for (told, is) in [
            (" /usr/bin/", format!(" {root}/usr/bin/")),
            (" deploy/", format!(" {}/deploy/", repository.display())),
            ("target/dist/", format!("{build}/")),
            ("cargo run --release --", "cryptshare-exporter".to_owned()),
            ("localhost:10062", exporter.clone()),
            ("127.0.0.1:10062", exporter.clone()),
            ("HOST:10062", exporter),
            ("127.0.0.1:18080", format!("127.0.0.1:{}", self.ports.1)),
            ("HOST:443", format!("127.0.0.1:{}", self.ports.1)),
            ("-servername HOST", "-servername localhost".to_owned()),
            ("https://transfer.example.com", self.server.url.clone()),
            ("URL/", format!("{}/", self.server.url)),
            (
                "NAME --sender ADDRESS",
                "prod --sender invoices@example.com".to_owned(),
            ),
            (" --config.file FILE", String::new()),
        ] {
            text = text.replace(told, &is);
        }
        text
    }

    /// The same for a command, with flags for what the exporter would look for
    /// outside of the directory.
    fn command(&self, text: &str, how: Walked) -> String {
        let text = self.here(text);
        let (exporter, config) = (self.ports.0, self.root.path().join(CONFIG));
        if how == Walked::Name {
            return format!("{text} --help");
        }
        if text == "cryptshare-exporter healthcheck" {
            return format!("{text} http://127.0.0.1:{exporter}");
        }
        if text.starts_with("cryptshare-exporter demo") {
            return format!("{text} --web.listen-address 127.0.0.1:{exporter}");
        }
        if text.contains("--config.file") && how == Walked::Serves {
            return format!(
                "{text} --web.enable-lifecycle --web.listen-address 127.0.0.1:{exporter}"
            );
        }
        if text.contains("--config.file") {
            return text;
        }
        let looks = Regex::new(r"^cryptshare-exporter (--config\.check|verify|state \w+)").unwrap();
        let with = format!("$0 --config.file {}", config.display());
        looks.replace(&text, with).into_owned()
    }

    /// A shell that runs the command on the machine.
    fn shell(&self, command: &str, how: Walked) -> Command {
        let (home, command) = (self.root.path().join("home"), self.command(command, how));
        let exec = if how == Walked::Serves { "exec " } else { "" };
        let path = std::env::var("PATH").unwrap();
        let build = Path::new(BINARY).parent().unwrap();
        let installed = self.root.path().join("usr/local/bin");
        let mut shell = Command::new("bash");
        let variables = self.variables.join("\n");
        let script = format!("set -eo pipefail; exec 2>&1\n{variables}\n{exec}{command}");
        shell.args(["-c", &script]).current_dir(&home);
        shell.env("CURL_HOME", home);
        shell.env(
            "PATH",
            format!("{}:{}:{path}", installed.display(), build.display()),
        );
        shell
    }

    /// Runs a command to its end; whether it was content, and what it printed.
    async fn run(&self, command: &str, how: Walked) -> (bool, String) {
        let mut shell = self.shell(command, how);
        let ran = tokio::task::spawn_blocking(move || shell.stdin(Stdio::null()).output());
        let ran = ran.await.unwrap().unwrap();
        (ran.status.success(), String::from_utf8(ran.stdout).unwrap())
    }

    /// Runs a command to its end, and compares what it prints.
    async fn ran(&self, command: &str, how: Walked, expect: Option<&str>) {
        let may_fail = expect.is_some_and(|text| text.ends_with(" problems"));
        eventually(command, async || {
            let (is_good, printed) = self.run(command, how).await;
            let is_told = expect.is_none_or(|text| normal(text) == self.normal(&printed));
            let is_done = (is_good || may_fail) && is_told;
            // What only asks is asked again: things take their time.
            assert!(
                is_done || command.starts_with("curl"),
                "{command}: {printed}"
            );
            is_done.then_some(())
        })
        .await;
    }

    /// Starts what runs on, and waits for what it prints.
    async fn serves(&mut self, command: &str, expect: Option<&str>) {
        let is_simulator = command.contains(" simulate");
        if !is_simulator {
            self.stop().await;
            self.register().await;
        }
        let process = Process::spawn(self.shell(command, Walked::Serves));
        let ready = if is_simulator {
            "base_url"
        } else {
            "listening"
        };
        self.prints(&process, expect.unwrap_or(ready)).await;
        if is_simulator {
            if command.contains("--listen") {
                self.mailbox = format!("http://127.0.0.1:{}", self.ports.1);
            }
            self.others.push(process);
        } else {
            self.exporter = Some(process);
            self.samples("cryptshare_up", " 1").await;
        }
    }

    /// Lets a sender be verified by the code that the server mails to it.
    async fn verified(&self, command: &str, expect: Option<&str>) {
        let by_mail = json!({"methods": {"client_id": false, "email": true}});
        self.server.put("verification", by_mail).await;
        let shell = self.shell(command, Walked::Verified);
        let mut process = Process::with_input(shell, Stdio::piped());
        let mailed = |line: &str| {
            Some(
                line.split_once("a code to ")?
                    .1
                    .trim_end_matches('.')
                    .to_owned(),
            )
        };
        let address = process.line("word of a mail", mailed).await;
        let url = format!("{}/_sim/mailbox?email={address}", self.mailbox);
        let mails = reqwest::get(url).await.unwrap().text().await.unwrap();
        let mails: serde_json::Value = serde_json::from_str(&mails).unwrap();
        let newest = mails.as_array().unwrap().last().unwrap();
        process.write(&format!("{}\n", newest["code"].as_str().unwrap()));
        // Only a terminal is asked to type.
        let expect = expect
            .unwrap_or("is verified until")
            .replace("Type it here:\n", "");
        self.prints(&process, expect.trim_end_matches("\nType it here:"))
            .await;
        assert!(process.exit().await.success(), "{:?}", process.lines());
    }

    /// Waits until a process has printed each of the lines, or what has them.
    async fn prints(&self, process: &Process, lines: &str) {
        eventually(lines, async || {
            let printed = self.normal(&process.lines().join("\n"));
            let lines = normal(lines);
            lines
                .lines()
                .all(|line| printed.contains(line))
                .then_some(())
        })
        .await;
    }

    /// Waits for a sample of the exporter's.
    async fn samples(&self, name: &str, end: &str) {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports.0);
        eventually(name, async || {
            let page = reqwest::get(&url).await.ok()?.text().await.ok()?;
            let is_it = |line: &str| line.starts_with(name) && line.ends_with(end);
            page.lines().any(is_it).then_some(())
        })
        .await;
    }

    /// The administrator registers the client id that somebody has made.
    async fn register(&self) {
        if let Ok(id) = fs::read_to_string(self.root.path().join(CLIENT_ID)) {
            let registered = json!({"client_ids": [id.trim()]});
            self.server.put("verification", registered).await;
        }
    }

    async fn stop(&mut self) {
        if let Some(mut exporter) = self.exporter.take() {
            exporter.signal("TERM");
            assert!(exporter.exit().await.success(), "{:?}", exporter.problems());
        }
    }

    fn normal(&self, printed: &str) -> String {
        normal(&printed.replace(&self.root.path().display().to_string(), ""))
    }
}

/// A text without what is another one each time.
fn normal(text: &str) -> String {
    let mut text = text.trim_end().to_owned();
    for (changes, name) in [
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "DATE"),
        (r"(127\.0\.0\.1|\[::\]):\d+", "ADDRESS"),
        (r"\b\d+\b", "N"),
        (r" +", " "),
        (r"(?m)^[A-Za-z0-9]{10}$", "CODE"),
        (r"(?m) +$", ""),
    ] {
        text = Regex::new(changes)
            .unwrap()
            .replace_all(&text, name)
            .into_owned();
    }
    text
}
