//! A thousand peers that stall, and the scrape between them.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::rig::{Exporter, Server, config, eventually, parse, sum};

/// How many peers stall.
const PEERS: usize = 1002;

/// How Prometheus limits a scrape unless it is told otherwise.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// What all of them together may cost. The pages that the peers do not read
/// would be ten times as much if each had its own.
const COST: f64 = 80e6;

/// Descriptors that come and go: newcomers, connections to the server, files.
const OTHERS: f64 = 16.0;

/// The system keeps less than this of an answer that nobody reads.
const LARGE_PAGE: usize = 2_000_000;

/// What a stalled peer sends before it falls silent.
const KINDS: [&str; 3] = ["", "GET /metrics HTTP/1.1\r\nHost: ", PLAIN];

/// A request for a body that is inflated while it is sent, and for one that is
/// stitched; many of the latter, so that none is read to its end by the system.
const PLAIN: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
const STITCHED: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";

/// Lets this process hold its ends of all connections.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).unwrap();
}

/// Connects `count` peers that send `begin` and then stall.
async fn stall(address: &str, (begin, count): (&str, usize), peers: &mut Vec<TcpStream>) {
    for _ in 0..count {
        let mut peer = TcpStream::connect(address).await.unwrap();
        // It may have had to make place at once.
        drop(peer.write_all(begin.as_bytes()).await);
        peers.push(peer);
    }
}

/// One scrape over a connection of its own: memory and descriptors in use.
async fn scrape(exporter: &Exporter) -> (f64, f64) {
    let page = timeout(SCRAPE_TIMEOUT, exporter.get("/metrics")).await;
    let page = page.unwrap();
    assert!(page.len() > LARGE_PAGE, "{}", page.len());
    let value = |name| sum(&parse(&page), name, &[]).unwrap();
    (
        value("process_resident_memory_bytes"),
        value("process_open_fds"),
    )
}

/// An exporter with `open_files` and `places` for connections holds its own
/// among a thousand stalled peers of these kinds.
async fn check(open_files: u64, places: f64, kinds: &[&str]) {
    allow_descriptors();
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2000"]).await;
    let mut exporter = Exporter::with_open_files(open_files, &config(&server, "")).await;
    eventually("a large page", async || {
        (exporter.get("/metrics").await.len() > LARGE_PAGE).then_some(())
    })
    .await;
    exporter.polls(2.0).await;
    let (before, idle) = scrape(&exporter).await;
    let address = exporter.url.strip_prefix("http://").unwrap().to_owned();
    let mut peers = Vec::new();
    let mut most: f64 = 0.0;
    for begin in kinds {
        stall(&address, (begin, PEERS / kinds.len()), &mut peers).await;
        for _ in 0..3 {
            let (resident, open) = scrape(&exporter).await;
            assert!(resident < before + COST, "{before} became {resident}");
            most = most.max(open);
        }
        exporter.polls(2.0).await;
    }
    assert!(most > idle + places / 4.0, "the peers were there: {most}");
    assert!(most <= idle + places + OTHERS, "{most} descriptors");
    exporter.is("cryptshare_up", &[], 1.0).await;
    exporter.process.signal("TERM");
    let stopping = Instant::now();
    assert!(exporter.process.exit().await.success());
    assert!(stopping.elapsed() < Duration::from_secs(5));
    drop(peers);
}

#[tokio::test]
async fn a_scrape_gets_through_where_few_files_may_be_open() {
    check(256, 64.0, &KINDS).await;
}

#[tokio::test]
async fn a_scrape_gets_through_under_the_usual_limit_of_open_files() {
    check(1024, 448.0, &KINDS).await;
}

#[tokio::test]
async fn a_scrape_gets_through_between_a_thousand_slow_readers() {
    let stitched = STITCHED.repeat(20);
    check(1024, 448.0, &[PLAIN, &stitched]).await;
}
