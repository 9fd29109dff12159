//! Floods of wrong passwords, and the scraper that has the right one.

use std::net::SocketAddr;

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Duration, Instant, timeout},
};

use crate::{
    rig::{Exporter, Server, eventually, parse, sum},
    tls::Files,
};

/// How Prometheus limits a scrape unless it is told otherwise.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many peers of a flood ask at the same time.
const PEERS: usize = 200;

/// An exporter that knows `ada`, whose hash has this cost.
async fn exporter(server: &Server, cost: u32) -> Exporter {
    let hash = bcrypt::hash("word", cost).unwrap();
    let text = format!("basic_auth_users:\n  ada: {hash}\n");
    Files::new().exporter(server, &text).await
}

async fn simulator() -> Server {
    Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await
}

/// Sends a scrape with `password` from the address `from`.
async fn send(from: &str, url: &str, password: &str) -> std::io::Result<TcpStream> {
    let to: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{from}:0").parse().unwrap())?;
    let mut peer = socket.connect(to).await?;
    let pair = BASE64_STANDARD.encode(format!("ada:{password}"));
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic {pair}\r\n\r\n"
    );
    peer.write_all(request.as_bytes()).await?;
    Ok(peer)
}

/// The whole answer to a scrape.
async fn scrape(from: &str, url: &str, password: &str) -> std::io::Result<String> {
    let mut peer = send(from, url, password).await?;
    let mut answer = String::new();
    peer.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A flood from the address `from`, of another password each time. Half of its
/// peers hang up as soon as they have asked.
fn flood(from: &'static str, url: &str) -> JoinSet<()> {
    let mut peers = JoinSet::new();
    for peer in 0..PEERS {
        let url = url.to_owned();
        peers.spawn(async move {
            for n in 0_u64.. {
                let password = format!("{peer} {n}");
                let asked = async {
                    match peer % 2 {
                        0 => drop(send(from, &url, &password).await),
                        _ => drop(scrape(from, &url, &password).await),
                    }
                };
                drop(timeout(SCRAPE_TIMEOUT, asked).await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    peers
}

/// Waits until the flood is felt: somebody is told to come later.
async fn is_felt(from: &str, url: &str) {
    let mut n = 0;
    eventually("a flood", async || {
        n += 1;
        let answer = timeout(SCRAPE_TIMEOUT, scrape(from, url, &format!("felt {n}"))).await;
        let answer = answer.ok()?.ok()?;
        let is_turned_away = answer.starts_with("HTTP/1.1 429");
        assert!(
            !is_turned_away || answer.contains("\r\nretry-after: 1\r\n"),
            "{answer}"
        );
        is_turned_away.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_from_elsewhere_delays_the_first_scrape_by_a_moment() {
    let server = simulator().await;
    let exporter = exporter(&server, 8).await;
    let _flood = flood("127.0.0.2", &exporter.url);
    is_felt("127.0.0.2", &exporter.url).await;
    for _ in 0..3 {
        let answer = timeout(SCRAPE_TIMEOUT, scrape("127.0.0.1", &exporter.url, "word")).await;
        let answer = answer.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.100}");
    }
}

#[tokio::test]
async fn a_scraper_in_the_midst_of_a_flood_gets_in_when_it_comes_again() {
    let server = simulator().await;
    let exporter = exporter(&server, 8).await;
    let _flood = flood("127.0.0.1", &exporter.url);
    is_felt("127.0.0.1", &exporter.url).await;
    let mut scrapes = 0;
    eventually("the first scrape that is served", async || {
        scrapes += 1;
        let answer = timeout(SCRAPE_TIMEOUT, scrape("127.0.0.1", &exporter.url, "word")).await;
        answer.ok()?.ok()?.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    assert!(scrapes <= 5, "{scrapes}");
    // From now on it is known.
    let answer = scrape("127.0.0.1", &exporter.url, "word").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.100}");
}

#[tokio::test]
async fn the_same_wrong_password_is_verified_once_however_often_it_comes() {
    let server = simulator().await;
    let exporter = exporter(&server, 8).await;
    for _ in 0..300 {
        let answer = scrape("127.0.0.1", &exporter.url, "wrong").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let page = scrape("127.0.0.1", &exporter.url, "word").await.unwrap();
    let (_, page) = page.split_once("\r\n\r\n").unwrap();
    let spent = sum(&parse(page), "process_cpu_seconds_total", &[]).unwrap();
    let begin = Instant::now();
    assert!(!bcrypt::verify("wrong", &bcrypt::hash("word", 8).unwrap()).unwrap());
    let one = begin.elapsed().as_secs_f64() / 2.0;
    assert!(spent < 100.0 * one, "{spent} s, where one takes {one} s");
}

/// The first one is being verified for long; who waits behind it hangs up.
#[tokio::test]
async fn who_hangs_up_leaves_the_line() {
    let server = simulator().await;
    let exporter = exporter(&server, 15).await;
    let open = async || {
        let page = scrape("127.0.0.1", &exporter.url, "word").await.unwrap();
        let (_, page) = page.split_once("\r\n\r\n").unwrap();
        sum(&parse(page), "process_open_fds", &[]).unwrap()
    };
    let idle = open().await;
    let mut first = send("127.0.0.2", &exporter.url, "first").await.unwrap();
    let mut crowd = Vec::new();
    for n in 0..4 {
        crowd.push(
            send("127.0.0.2", &exporter.url, &format!("{n}"))
                .await
                .unwrap(),
        );
    }
    eventually("five connections", async || {
        (open().await >= idle + 5.0).then_some(())
    })
    .await;
    drop(crowd);
    eventually("one connection", async || {
        (open().await <= idle + 1.0).then_some(())
    })
    .await;
    let is_answered = timeout(Duration::from_millis(1), first.read_u8()).await;
    assert!(is_answered.is_err(), "the first one waits all the while");
}
