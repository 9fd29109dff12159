//! What a poll costs: a page of a bulk list from its bytes into the ledger, and
//! single reads over loopback.
//!
//! ```sh
//! cargo bench --bench poll
//! ```
//!
//! Times are of a page of 100 transfers. Single reads are held against a loop
//! of the HTTP library that throws the bodies away, in turns, so that whatever
//! else the machine does slows both.
//!
//! **Invariants.** The server answers a fixed text, so that it is never what is
//! measured.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench talks to whoever has started it, and panics where it cannot go on"
)]

mod page;

use std::{
    future::{Ready, ready},
    hint::black_box,
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use cryptshare_exporter::{
    budget::Budget,
    clock::Clock,
    cryptshare::{Client, SenderSettings, Settings, Way},
    net::{self, Body, Places},
    telemetry::Telemetry,
};
use hyper::{Method, Request, Response, body::Incoming};
use page::{Answers, PAGE};
use reqwest::RequestBuilder;
use serde::de::IgnoredAny;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Reads at a time.
const READERS: u32 = 4;

/// Reads of each of them in a turn.
const READS: u32 = 200;

/// Turns of either side.
const TURNS: usize = 31;

fn pages(bench: &mut Criterion) {
    let Answers { before, after, .. } = Answers::of_simulator();
    println!("{} bytes for each transfer", after.len() / PAGE);
    let mut group = bench.benchmark_group("a page of 100 transfers");
    group.throughput(Throughput::Elements(PAGE.try_into().unwrap()));
    group.bench_function("its grammar alone", |bench| {
        bench.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&after)));
    });
    group.bench_function("decoded and translated", |bench| {
        bench.iter(|| page::decode(black_box(&after)));
    });
    let mut ledger = page::ledger(&after);
    group.bench_function("merged, unchanged", |bench| {
        let input = || page::decode(&after);
        let routine = |page| assert_eq!(page::merge(&mut ledger, page), 0);
        bench.iter_batched(input, routine, BatchSize::SmallInput);
    });
    group.bench_function("merged, all changed", |bench| {
        let input = || (page::ledger(&before), page::decode(&after));
        let routine = |(mut ledger, page)| {
            assert_eq!(page::merge(&mut ledger, page), PAGE);
            ledger
        };
        bench.iter_batched(input, routine, BatchSize::SmallInput);
    });
    group.bench_function("in all, unchanged", |bench| {
        bench.iter(|| page::merge(&mut ledger, page::decode(black_box(&after))));
    });
    group.bench_function("in all, all changed", |bench| {
        let routine = |mut ledger| {
            page::merge(&mut ledger, page::decode(black_box(&after)));
            ledger
        };
        bench.iter_batched(|| page::ledger(&before), routine, BatchSize::SmallInput);
    });
    group.finish();
}

/// Both sides take turns on the runtime that the exporter has, and share the
/// machine with the server; the medians are told.
fn reads(_: &mut Criterion) {
    let answers = Answers::of_simulator();
    let server = serve(answers.status.clone());
    let own = format!("http://{server}/api/users/{}/transfers", page::ADDRESS);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = Arc::new(client(server));
    let bare = || {
        let (http, own, id) = (http.clone(), own.clone(), answers.id.clone());
        async move {
            for _ in 0..READS {
                discard(http.get(format!("{own}/{id}"))).await;
            }
        }
    };
    let ours = || {
        let (client, id) = (Arc::clone(&client), answers.id.clone());
        async move {
            for _ in 0..READS {
                client.inspect(&page::sender(), &id).await.unwrap();
            }
        }
    };
    let (mut by_bare, mut by_ours) = (Vec::new(), Vec::new());
    Runtime::new().unwrap().block_on(async {
        for _ in 0..TURNS {
            by_bare.push(turn(bare).await);
            by_ours.push(turn(ours).await);
        }
    });
    let [bare, ours] = [by_bare, by_ours].map(rate);
    let length = answers.status.len();
    let share = 100.0 * ours / bare;
    println!("single reads of {length} bytes, {READERS} at a time");
    println!("a bare loop {bare:.0}/s, ours {ours:.0}/s, {share:.0} %");
}

async fn discard(request: RequestBuilder) {
    let mut answer = request.send().await.unwrap();
    while answer.chunk().await.unwrap().is_some() {}
}

/// Lets some readers read at a time; the answer is how long it took.
async fn turn<F>(reader: impl Fn() -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let begin = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(reader());
    }
    readers.join_all().await;
    begin.elapsed()
}

/// Reads a second in the median turn.
fn rate(mut turns: Vec<Duration>) -> f64 {
    turns.sort();
    f64::from(READERS * READS) / turns[TURNS / 2].as_secs_f64()
}

fn client(server: SocketAddr) -> Client {
    let limit = Duration::from_secs(10);
    let sender = SenderSettings {
        id: page::sender(),
        label: "invoices".to_owned(),
        address: page::ADDRESS.to_owned(),
        language: "en".to_owned(),
    };
    let settings = Settings {
        server: "prod".to_owned(),
        url: format!("http://{server}").parse().unwrap(),
        client_id: "client".into(),
        way: Way::default(),
        connect_timeout: limit,
        read_timeout: limit,
        request_timeout: limit,
        max_response_bytes: 1 << 20,
        token_directory: None,
        senders: vec![sender],
    };
    let budget = Budget::new(READERS.try_into().unwrap(), u32::MAX);
    Client::new(&settings, budget, Clock::System, Telemetry::new().unwrap()).unwrap()
}

/// A server on a thread of its own that answers every GET with `status` and
/// every POST with a token.
fn serve(status: Bytes) -> SocketAddr {
    let (told, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let answer = move |request| answer(&request, status.clone());
            net::serve(
                listener,
                Places::of_process(),
                CancellationToken::new(),
                answer,
            )
            .await;
        });
    });
    address.recv().unwrap()
}

fn answer(request: &Request<Incoming>, status: Bytes) -> Ready<Response<Body>> {
    let body = match *request.method() {
        Method::POST => Bytes::from_static(br#"{"data":{"token":"token"}}"#),
        _ => status,
    };
    ready(Response::new(net::body([body])))
}

criterion_group!(benches, pages, reads);
criterion_main!(benches);
