//! What a scrape costs, and a change before it, beside what others do.
//!
//! ```sh
//! cargo bench --bench scrape            # or of one size: -- 100000
//! ```
//!
//! The same series stand in the `prometheus` crate's registry and in that of
//! `prometheus-client`, which write and compress them for each scrape; and a
//! bare hyper server sends our own answer as a constant. Costs of CPU are those
//! of this whole process, the reader of the answer included.
//!
//! **Invariants.** All in one run, so that its ratios mean something.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench talks to whoever has started it, and panics where it cannot go on"
)]

mod crowd;

use std::{
    alloc::System,
    convert::Infallible,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, atomic::AtomicU64, mpsc},
    time::Duration,
};

use bytes::Bytes;
use crowd::{Crowd, News};
use cryptshare_exporter::{
    exposition::Shelf,
    metrics::catalog::TRANSFER_FAMILIES,
    telemetry::Telemetry,
    web::{self, Gate, Routes},
};
use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::{net::TcpListener, runtime::Builder, time::Instant};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Series of each transfer.
const SERIES: usize = 16;

/// Scrapes of each kind; the median counts.
const SCRAPES: usize = 41;

/// Changes of each kind.
const CHANGES: usize = 9;

fn main() {
    println!(
        "{:<42} {:>10} {:>10} {:>12} {:>8}",
        "", "wall ms", "CPU ms", "allocations", "ratio"
    );
    let only: Option<usize> = std::env::args().find_map(|text| text.parse().ok());
    let sizes = [10_000, 100_000, 1_000_000];
    for series in sizes
        .into_iter()
        .filter(|size| only.is_none_or(|only| only == *size))
    {
        println!("{series} series");
        let transfers = series / SERIES;
        let mut crowd = Crowd::new(transfers, transfers / 10);
        let first = Cost::of(|| drop(crowd.print()));
        first.print("the first page", None);
        Cost::of(|| drop(crowd.print())).print("the same page again", None);
        let (ours, body) = scrape_ours(&mut crowd);
        let fixed = scrape(fixed(body), SCRAPES, "gzip").0;
        fixed.print("a constant body from hyper, gzip", None);
        ours.print("a scrape, gzip", Some(fixed));
        change(&mut crowd, "of the active tenth");
        drop(crowd);
        let mut crowd = Crowd::new(transfers, transfers);
        drop(crowd.print());
        change(&mut crowd, "anywhere");
        drop(crowd);
        let registry = prometheus_registry(transfers);
        Cost::of(|| prometheus_body(&registry)).print("prometheus, gzip", Some(ours));
        drop(registry);
        let registry = client_registry(transfers);
        Cost::of(|| client_body(&registry)).print("prometheus-client, gzip", Some(ours));
    }
}

/// Time, time of the processors, and how often memory was asked for.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
    allocations: usize,
}

impl Cost {
    fn of<T>(run: impl FnOnce() -> T) -> Self {
        let region = Region::new(ALLOCATOR);
        let (begin, before) = (Instant::now(), cpu());
        std::hint::black_box(run());
        let (wall, cpu) = (begin.elapsed(), cpu().saturating_sub(before));
        let change = region.change();
        Self {
            wall,
            cpu,
            allocations: change.allocations + change.reallocations,
        }
    }

    fn median(mut costs: Vec<Self>) -> Self {
        let middle = costs.len() / 2;
        costs.sort_by_key(|cost| cost.wall);
        let wall = costs[middle].wall;
        costs.sort_by_key(|cost| cost.cpu);
        let cpu = costs[middle].cpu;
        costs.sort_by_key(|cost| cost.allocations);
        let allocations = costs[middle].allocations;
        Self {
            wall,
            cpu,
            allocations,
        }
    }

    fn print(self, what: &str, beside: Option<Self>) {
        let ratio = beside.map(|other| self.wall.div_duration_f64(other.wall));
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (wall, cpu) = (ms(self.wall), ms(self.cpu));
        let count = self.allocations;
        println!("{what:<42} {wall:>10.2} {cpu:>10.2} {count:>12} {ratio:>8}");
    }
}

fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// A hundredth of all changes again and again.
fn change(crowd: &mut Crowd, place: &str) {
    let mut turns = |what: &str, news: fn(u16) -> News| {
        let turn = |_| {
            crowd.change(news);
            Cost::of(|| drop(crowd.print()))
        };
        let cost = Cost::median((0..CHANGES).map(turn).collect());
        cost.print(&format!("1 % {what}, {place}"), None);
    };
    turns("extended", News::Expiration);
    turns("retrieved", News::Retrievals);
}

/// Our own answers, by the exporter's server.
fn scrape_ours(crowd: &mut Crowd) -> (Cost, Bytes) {
    let shelf = Arc::<Shelf>::default();
    shelf.put(crowd.print());
    let routes = Routes {
        telemetry_path: "/metrics".into(),
        shelf,
        telemetry: Telemetry::new().unwrap(),
        board: Arc::default(),
        ready: Arc::default(),
        wishes: None,
    };
    let address = serve(async |listener: TcpListener| {
        let gate = Arc::new(Arc::new(Gate::default()).into());
        let stop = CancellationToken::new();
        web::serve(vec![listener.into()], routes, gate, stop)
            .await
            .unwrap();
    });
    let (identity, plain) = scrape(address, 5, "identity");
    identity.print("a scrape, identity", None);
    let (cost, body) = scrape(address, SCRAPES, "gzip");
    println!("{:<42} {} bytes, by gzip {}", "", plain.len(), body.len());
    (cost, body)
}

/// A server that does nothing but send this body.
fn fixed(body: Bytes) -> SocketAddr {
    serve(async move |listener: TcpListener| {
        loop {
            let (wire, _) = listener.accept().await.unwrap();
            let body = body.clone();
            let service = service_fn(move |_| {
                let body = Full::new(body.clone());
                async { Ok::<_, Infallible>(Response::new(body)) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
            drop(connection.await);
        }
    })
}

/// Runs `server` on a thread of its own.
fn serve<F>(server: F) -> SocketAddr
where
    F: AsyncFnOnce(TcpListener) + Send + 'static,
{
    let (told, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            server(listener).await;
        });
    });
    address.recv().unwrap()
}

/// The median of some scrapes over one connection, and the last body.
fn scrape(server: SocketAddr, times: usize, coding: &str) -> (Cost, Bytes) {
    let mut wire = TcpStream::connect(server).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n");
    let mut body = Vec::new();
    let costs = (0..times).map(|_| {
        Cost::of(|| {
            wire.write_all(request.as_bytes()).unwrap();
            body = read(&mut wire, std::mem::take(&mut body));
        })
    });
    (Cost::median(costs.collect()), body.into())
}

/// Reads one answer into `body`.
fn read(wire: &mut TcpStream, mut body: Vec<u8>) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        wire.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length = length.split_once('\r').unwrap().0.parse().unwrap();
    body.resize(length, 0);
    wire.read_exact(&mut body).unwrap();
    body
}

/// The label values of every series of a transfer in a family with `labels`.
fn rows(n: usize, labels: &[&str]) -> Vec<Vec<String>> {
    let base = ["prod".to_owned(), "invoices".to_owned(), crowd::name(n)];
    let with = |more: &[&str]| {
        let more = more.iter().map(|&value| value.to_owned());
        base.iter().cloned().chain(more).collect()
    };
    match labels.last() {
        Some(&"method") => ["downloaded", "other", "viewed"].map(|m| with(&[m])).into(),
        Some(&"state") => vec![with(&["active"])],
        Some(&"name") => vec![with(&[""])],
        _ => vec![with(&[])],
    }
}

fn prometheus_registry(transfers: usize) -> Registry {
    let registry = Registry::new();
    for metric in TRANSFER_FAMILIES {
        let family = GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels).unwrap();
        for n in 0..transfers {
            for row in rows(n, metric.labels) {
                let child = family.with_label_values(&row);
                child.set(1_775_000_000.0 + f64::from(u32::try_from(n).unwrap()));
            }
        }
        registry.register(Box::new(family)).unwrap();
    }
    registry
}

fn prometheus_body(registry: &Registry) -> Vec<u8> {
    let mut body = GzEncoder::new(Vec::new(), Compression::default());
    TextEncoder::new()
        .encode(&registry.gather(), &mut body)
        .unwrap();
    body.finish().unwrap()
}

type Labels = Vec<(String, String)>;

fn client_registry(transfers: usize) -> prometheus_client::registry::Registry {
    let mut registry = prometheus_client::registry::Registry::default();
    for metric in TRANSFER_FAMILIES {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for n in 0..transfers {
            for row in rows(n, metric.labels) {
                let names = metric.labels.iter().map(|&name| name.to_owned());
                let child = family.get_or_create_owned(&names.zip(row).collect());
                child.set(1_775_000_000.0 + f64::from(u32::try_from(n).unwrap()));
            }
        }
        registry.register(metric.name, metric.help, family);
    }
    registry
}

fn client_body(registry: &prometheus_client::registry::Registry) -> Vec<u8> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    let mut body = GzEncoder::new(Vec::new(), Compression::default());
    body.write_all(text.as_bytes()).unwrap();
    body.finish().unwrap()
}
