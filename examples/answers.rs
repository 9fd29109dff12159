//! How quickly the simulator answers, with 50,000 transfers.
//!
//! ```sh
//! cargo run --release --example answers
//! ```
//!
//! The server has a thread of its own, and what counts is the time that this
//! thread is on a core: whatever else the machine does takes nothing of it. The
//! last line is the verdict: 20,000 answers of status a second at least.
//!
//! **Invariants.** Everything goes over loopback, by requests of whole HTTP.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "an example talks to whoever has started it, and a missing member of JSON is null"
)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Parser;
use cryptshare_exporter::simulator::{Quirks, Scenario, Simulator};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
    runtime::{Builder, Handle},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// What one core has to answer in a second.
const LEAST: f64 = 20_000.0;

/// Connections that ask at the same time.
const CONNECTIONS: usize = 8;

#[derive(Debug, Clone, Copy, Parser)]
struct Options {
    /// How many transfers the sender has
    #[arg(long, default_value = "50000")]
    transfers: usize,
    /// How often to ask for a status
    #[arg(long, default_value = "200000")]
    asks: usize,
}

/// What a client needs to know of the server.
#[derive(Debug, Clone)]
struct Server {
    address: SocketAddr,
    sender: String,
    client_id: String,
    /// Where the server's thread can be asked.
    thread: Handle,
}

fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build();
    let told = runtime.map_err(anyhow::Error::from);
    match told.and_then(|runtime| runtime.block_on(measure(Options::parse()))) {
        Ok(rate) if rate >= LEAST => ExitCode::SUCCESS,
        Ok(_) => {
            println!("that is less than {LEAST} a second");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Asks for everything; the answer is the rate of status answers.
async fn measure(options: Options) -> anyhow::Result<f64> {
    let server = start(options.transfers)?;
    let token = Connection::open(&server, "").await?;
    let token = token.token(&server).await?;
    let pages = options.transfers.div_ceil(100).max(1);
    let page = |path: &str, page: usize| format!("{path}?page-size=100&page={page}");
    let mut ids = Vec::new();
    let mut connection = Connection::open(&server, &token).await?;
    for at in [1, pages / 4 + 1, pages / 2 + 1, pages] {
        let told = connection.get(&page("", at)).await?;
        let told: Value = serde_json::from_slice(&told)?;
        let items = told["data"].as_array().context("a list")?;
        let own = items.iter().filter_map(|item| item["trackingId"].as_str());
        ids.extend(own.map(|id| format!("/{id}")));
    }
    for (what, path) in [
        ("first page of transfers", page("", 1)),
        ("last page of transfers", page("", pages)),
        ("first page of sent-transfers", page("/sent-transfers", 1)),
        (
            "last page of sent-transfers",
            page("/sent-transfers", pages),
        ),
    ] {
        report(&server, &token, what, (vec![path], options.asks / 200)).await?;
    }
    report(&server, &token, "status", (ids, options.asks)).await
}

/// Starts the server in a thread of its own.
fn start(transfers: usize) -> anyhow::Result<Server> {
    let scenario = Scenario {
        seed: 1,
        speed: 1.0,
        senders: 1,
        transfers,
        ended: None,
        activity: 0.0,
        api_minor: 13,
        quirks: Quirks::default(),
        faults: Vec::new(),
        start: "2026-04-01T00:00:00Z".parse()?,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        runtime.block_on(async {
            let at = (Ipv4Addr::LOCALHOST, 0).into();
            let simulator = Simulator::bind(at, scenario).await?;
            let address = simulator.base_url().replace("http://", "");
            drop(tell.send(Server {
                address: address.parse()?,
                sender: simulator.senders().concat(),
                client_id: simulator.client_id(),
                thread: Handle::current(),
            }));
            simulator.serve(CancellationToken::new()).await
        })
    });
    told.recv().context("the server does not start")
}

/// Asks for `paths` in turns, so often in all; tells and answers how many
/// answers the server has for a second of its core.
async fn report(
    server: &Server,
    token: &str,
    what: &str,
    (paths, asks): (Vec<String>, usize),
) -> anyhow::Result<f64> {
    let paths = Arc::new(paths);
    let mut clients = JoinSet::new();
    let (busy, begun) = (server.busy().await?, Instant::now());
    for n in 0..CONNECTIONS {
        let mut connection = Connection::open(server, token).await?;
        let paths = Arc::clone(&paths);
        clients.spawn(async move {
            let own = paths.iter().cycle().skip(n * 7);
            for path in own.take(asks.div_ceil(CONNECTIONS)) {
                connection.get(path).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let (busy, passed) = (server.busy().await?.saturating_sub(busy), begun.elapsed());
    let answers = u32::try_from(asks.div_ceil(CONNECTIONS) * CONNECTIONS)?;
    let rate = f64::from(answers) / busy.as_secs_f64();
    let one = busy.div_f64(f64::from(answers));
    println!(
        "{what}: {answers} answers in {passed:.2?}, {one:.1?} of a core for each: {rate:.0} a second"
    );
    Ok(rate)
}

impl Server {
    /// How long the server's thread has been on a core.
    async fn busy(&self) -> anyhow::Result<Duration> {
        let told = self.thread.spawn(async {
            // In nanoseconds: on a core, waiting for one, and how often.
            std::fs::read_to_string("/proc/thread-self/schedstat")
        });
        let told = told.await??;
        let busy = told.split(' ').next().context("no time")?;
        Ok(Duration::from_nanos(busy.parse()?))
    }
}

/// A connection that is kept, below the sender's transfers.
#[derive(Debug)]
struct Connection {
    stream: BufStream<TcpStream>,
    /// What stands before a path in a request, and behind it.
    request: (String, String),
}

impl Connection {
    async fn open(server: &Server, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let before = format!("GET /api/users/{}/transfers", server.sender);
        let behind = format!(
            " HTTP/1.1\r\nHost: {}\r\nX-CS-MajorApiVersion: 1\r\nX-CS-MinimumMinorApiVersion: 12\r\n\
             X-CS-ClientId: {}\r\nX-CS-VerificationToken: {token}\r\n\r\n",
            server.address, server.client_id
        );
        let request = (before, behind);
        let stream = BufStream::new(stream);
        Ok(Self { stream, request })
    }

    /// Gets a token for the sender.
    async fn token(mut self, server: &Server) -> anyhow::Result<String> {
        let path = format!("/api/users/{}/verification/token", server.sender);
        let behind = self.request.1.clone();
        let told = self.ask(&format!("POST {path}{behind}")).await?;
        let told: Value = serde_json::from_slice(&told)?;
        Ok(told["data"]["token"].as_str().context("token")?.to_owned())
    }

    /// The body of a good answer.
    async fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        let (before, behind) = &self.request;
        let request = format!("{before}{path}{behind}");
        self.ask(&request).await
    }

    async fn ask(&mut self, request: &str) -> anyhow::Result<Vec<u8>> {
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).await?;
        ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line).await?;
            if let Some(told) = line.strip_prefix("content-length: ") {
                length = told.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(body)
    }
}
