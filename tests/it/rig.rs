//! A simulator and an exporter as processes of their own, and how to ask them.
//!
//! Every wait is for a condition and ends after [`LIMIT`].

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest wait for any condition.
pub const LIMIT: Duration = Duration::from_mins(1);

/// The exporter's binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_cryptshare-exporter");

/// A child that is killed when it is dropped, and what it wrote.
pub struct Process {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts the exporter's binary with `arguments`.
    pub fn start<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts `command` and gathers its lines.
    pub fn spawn(command: Command) -> Self {
        Self::with_input(command, Stdio::null())
    }

    /// The same with something on standard input.
    pub fn with_input(mut command: Command, input: Stdio) -> Self {
        command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        gather(child.stdout.take().unwrap(), &output);
        gather(child.stderr.take().unwrap(), &output);
        Self { child, output }
    }

    /// Writes to standard input, which is a pipe.
    pub fn write(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// The last lines that are no mere information.
    pub fn problems(&self) -> Vec<String> {
        let lines = self.lines();
        let problems = lines.iter().filter(|line| !line.contains("level=info"));
        problems.rev().take(10).cloned().collect()
    }

    /// Waits for a line that `find` makes something of.
    pub async fn line<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        eventually(what, async || {
            self.lines().iter().find_map(|line| find(line))
        })
        .await
    }

    /// Sends the signal called `name`.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub async fn exit(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        eventually("the end of the process", async || {
            child.lock().unwrap().try_wait().unwrap()
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn gather(stream: impl std::io::Read + Send + 'static, output: &Arc<Mutex<Vec<String>>>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            output.lock().unwrap().push(line);
        }
    });
}

/// Runs the binary to its end: exit code, standard output, standard error.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Asks `check` until it has something, at most [`LIMIT`] long.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = tokio::time::Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(begin.elapsed() < LIMIT, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The simulator.
pub struct Server {
    _process: Process,
    client: reqwest::Client,
    pub url: String,
    pub client_id: String,
    pub senders: Vec<String>,
}

impl Server {
    /// A simulator with `arguments`; without a version among them that of the
    /// oldest servers, which list no whole transfers.
    pub async fn start(arguments: &[&str]) -> Self {
        let oldest: &[&str] = if arguments.contains(&"--api-minor") {
            &[]
        } else {
            &["--api-minor", "8"]
        };
        let process = Process::start(&[&["simulate"], oldest, arguments].concat());
        let ready: Value = process
            .line("the simulator's address", |line| {
                serde_json::from_str(line).ok()
            })
            .await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            _process: process,
            client: client(),
            url: text(&ready["base_url"]),
            client_id: text(&ready["client_id"]),
            senders: ready["senders"]
                .as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect(),
        }
    }

    /// `/_sim/truth`.
    pub async fn truth(&self) -> Value {
        self.get("truth").await
    }

    /// GETs from the control API.
    pub async fn get(&self, path: &str) -> Value {
        self.ask(reqwest::Method::GET, path, json!({})).await
    }

    /// POSTs to the control API.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(reqwest::Method::POST, path, body).await
    }

    /// Sets the faults.
    pub async fn faults(&self, faults: Value) {
        self.ask(reqwest::Method::PUT, "faults", faults).await;
    }

    /// Sets the quirks.
    pub async fn quirks(&self, quirks: Value) {
        self.ask(reqwest::Method::PUT, "quirks", quirks).await;
    }

    /// PUTs to the control API.
    pub async fn put(&self, path: &str, body: Value) {
        self.ask(reqwest::Method::PUT, path, body).await;
    }

    /// The answer must be good.
    async fn ask(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_sim/{path}", self.url);
        let request = self.client.request(method, url).body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Creates an active transfer of the first sender with two files and two
    /// recipients; the answer is its tracking id.
    pub async fn active_transfer(&self) -> String {
        let created = self.post("transfers", self.plan()).await;
        let id = created["trackingId"].as_str().unwrap().to_owned();
        self.happen(&id, "activate", json!({})).await;
        id
    }

    /// What [`Self::active_transfer`] creates.
    pub fn plan(&self) -> Value {
        json!({
            "sender": self.senders[0],
            "files": [{"name": "first-canary.pdf", "size": 1000}, {"name": "second-canary.zip", "size": 24}],
            "recipients": ["first.canary@example.org", "second.canary@example.org"],
            "processing_seconds": 1_000_000,
            "retention_seconds": 10_000_000,
        })
    }

    /// Lets something happen to a transfer.
    pub async fn happen(&self, id: &str, event: &str, which: Value) {
        self.post(&format!("transfers/{id}/{event}"), which).await;
    }
}

/// The exporter.
pub struct Exporter {
    pub process: Process,
    client: reqwest::Client,
    pub url: String,
    directory: TempDir,
}

impl Exporter {
    /// Starts the exporter with a configuration.
    pub async fn start(config: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(BINARY), config, arguments).await
    }

    /// The same for a process that may have this many files open.
    pub async fn with_open_files(count: u64, config: &str) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, BINARY]);
        Self::spawn(shell, config, &[]).await
    }

    /// The same for a process with further variables in its environment.
    pub async fn with_environment(variables: &[(&str, &str)], config: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.envs(variables.iter().copied());
        Self::spawn(command, config, &[]).await
    }

    /// Starts the exporter by a command that takes its arguments.
    pub async fn spawn(mut command: Command, config: &str, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let file = write(directory.path(), "exporter.toml", config);
        let fixed = [
            "--config.file",
            file.to_str().unwrap(),
            "--web.listen-address",
            "127.0.0.1:0",
        ];
        command.args([&fixed, arguments].concat());
        let process = Process::spawn(command);
        let url = address(&process).await;
        Self {
            process,
            client: client(),
            url,
            directory,
        }
    }

    /// Starts an exporter that discovers the transfers of every sender.
    pub async fn watching(server: &Server, arguments: &[&str]) -> Self {
        Self::start(&config(server, ""), arguments).await
    }

    /// Writes another configuration in the place of its own.
    pub fn configure(&self, config: &str) {
        write(self.directory.path(), "exporter.toml", config);
    }

    /// Puts a link to `file` in the place of the configuration.
    pub fn link_configuration(&self, file: &Path) {
        let link = self.directory.path().join("link");
        std::os::unix::fs::symlink(file, &link).unwrap();
        std::fs::rename(link, self.directory.path().join("exporter.toml")).unwrap();
    }

    /// Has the configuration loaded again: the status and what is told.
    pub async fn reload(&self, method: &str) -> (u16, String) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self
            .client
            .request(method, format!("{}/-/reload", self.url));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The text of `path`.
    pub async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.url));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Every sample of `/metrics`.
    pub async fn samples(&self) -> Vec<Sample> {
        parse(&self.get("/metrics").await)
    }

    /// The sum of all samples called `name` that have all of `labels`.
    pub async fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        sum(&self.samples().await, name, labels)
    }

    /// Waits until the sum is `expect`.
    pub async fn is(&self, name: &str, labels: &[(&str, &str)], expect: f64) {
        let what = format!("{name}{labels:?} = {expect}");
        eventually(&what, async || {
            let sum = self.sum(name, labels).await;
            sum.filter(|sum| (sum - expect).abs() < 1e-9)
        })
        .await;
    }

    /// Waits until each of `texts` has been logged.
    pub async fn line_of_each(&self, texts: &[&str]) {
        for text in texts {
            let has = |line: &str| line.contains(text).then_some(());
            self.process.line(text, has).await;
        }
    }

    /// Waits until every sender has been polled `more` times from now on.
    pub async fn polls(&self, more: f64) {
        let before = polls(&self.samples().await);
        eventually("further polls", async || {
            let now = polls(&self.samples().await);
            let further = |(now, then): (&f64, &f64)| now - then >= more;
            let done = now.iter().zip(&before).all(further);
            (done && !now.is_empty()).then_some(())
        })
        .await;
    }
}

/// How often each sender has been polled.
pub fn polls(samples: &[Sample]) -> Vec<f64> {
    let name = "cryptshare_exporter_polls_total";
    let polls = samples.iter().filter(|sample| sample.name == name);
    polls.map(|sample| sample.value).collect()
}

/// Connections are not kept: one that the other side ends for its idleness
/// would fail the next request.
fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().pool_max_idle_per_host(0);
    builder.build().unwrap()
}

/// The address that a process says it listens on.
pub async fn address(process: &Process) -> String {
    let found = process.line("the exporter's address", |line| {
        if let Ok(line) = serde_json::from_str::<Value>(line) {
            let address = line["address"].as_str()?;
            return Some(format!("http://{address}"));
        }
        let (_, address) = line.split_once("msg=listening address=")?;
        Some(format!("http://{address}"))
    });
    found.await
}

/// A configuration that discovers the transfers of every sender.
pub fn config(server: &Server, more: &str) -> String {
    let mut text = format!(
        "[defaults]\npoll_interval = \"1s\"\nprocessing_interval = \"1s\"\nlisting_interval = \"1s\"\n\
         [metrics]\nremoval_causes = {{ malware = \"(?i)virus\", file_type = \"(?i)type of file\" }}\n\
         max_transfers = 0\n\
         [[server]]\nname = \"sim\"\nurl = \"{}\"\nclient_id = \"{}\"\n\
         read_timeout = \"1s\"\nrequest_timeout = \"2s\"\nmax_backoff = \"1s\"\n\
         max_concurrency = 16\nmax_requests_per_second = 2000\n{more}\n",
        server.url, server.client_id
    );
    let sender = |address: &String| format!("[[server.sender]]\nemail = \"{address}\"\n");
    text.extend(server.senders.iter().map(sender));
    text
}

/// Writes a file.
pub fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

/// One line of the text format.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// The sum of the samples called `name` with all of `labels`; none if there
/// are none.
pub fn sum(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let has = |sample: &&Sample| {
        let label = |(name, value): &(&str, &str)| {
            sample.labels.iter().any(|(n, v)| n == name && v == value)
        };
        sample.name == name && labels.iter().all(label)
    };
    let values: Vec<_> = samples.iter().filter(has).map(|s| s.value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Reads the text format, as far as our own labels need it.
pub fn parse(text: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let pair = |pair: &str| {
            let (name, value) = pair.split_once("=\"").unwrap();
            (name.to_owned(), value.to_owned())
        };
        let pairs = labels.strip_suffix('"').map(|labels| labels.split("\","));
        Sample {
            name: name.to_owned(),
            labels: pairs.into_iter().flatten().map(pair).collect(),
            value: value.parse().unwrap(),
        }
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(sample).collect()
}
