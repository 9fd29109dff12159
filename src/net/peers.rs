//! Peers of every kind, on tokio's paused clock and without sockets.
//!
//! **Invariants.** Only tests are here.

use std::{
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Body, Places,
    accept::part,
    body,
    converse::converse,
    patience::{LINGER, REQUEST, REST, STEP, STEP_TIME},
    places::{SLOW, SLOW_READERS, SPARED},
    stream::Wire,
};

const LARGE: &str = "GET /large HTTP/1.1\r\n\r\n";
const SMALL: &str = "GET /small HTTP/1.1\r\n\r\n";

/// The length of what `/large` answers.
const LARGE_BYTES: usize = 4 * STEP;

/// How long `/slow` takes.
const WORK: Duration = Duration::from_secs(3);

impl Wire for DuplexStream {
    fn forget_unsent(&self) {}

    fn address(&self) -> Option<IpAddr> {
        None
    }

    fn poll_hung_up(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let part = match request.uri().path() {
        "/large" => Bytes::from(vec![b'x'; LARGE_BYTES]),
        "/slow" => {
            sleep(WORK).await;
            Bytes::from_static(b"slow")
        }
        "/length" => match request.collect().await {
            Ok(whole) => whole.to_bytes().len().to_string().into(),
            Err(_) => Bytes::from_static(b"broken"),
        },
        _ => Bytes::from_static(b"small"),
    };
    Response::new(body([part]))
}

/// A server without a listener.
struct Server {
    places: Arc<Places>,
    stop: CancellationToken,
    conversations: JoinSet<()>,
    begin: Instant,
}

impl Server {
    fn with_places(count: usize) -> Self {
        Self {
            places: Places::new(count),
            stop: CancellationToken::new(),
            conversations: JoinSet::new(),
            begin: Instant::now(),
        }
    }

    /// A new peer; a few bytes fit between it and the server.
    async fn peer(&mut self) -> DuplexStream {
        self.peer_over(1024).await
    }

    async fn peer_over(&mut self, bytes: usize) -> DuplexStream {
        let (peer, wire) = duplex(bytes);
        let seat = self.places.take().await;
        let conversation = converse((wire, None), seat, self.stop.clone(), answer);
        self.conversations.spawn(conversation);
        peer
    }

    /// When the next conversation ended, since the beginning.
    async fn end(&mut self) -> Duration {
        self.conversations.join_next().await.unwrap().unwrap();
        self.begin.elapsed()
    }
}

/// Whether two times are the same but for the granularity of the timer.
#[track_caller]
fn assert_at(time: Duration, expect: Duration) {
    assert!(
        time.abs_diff(expect) <= Duration::from_millis(2),
        "{time:?} is not {expect:?}"
    );
}

/// Reads one whole answer.
async fn read_answer(peer: &mut DuplexStream) -> String {
    let mut text = String::new();
    while !text.ends_with("small") && !text.ends_with("slow") {
        text.push(char::from(peer.read_u8().await.unwrap()));
    }
    text
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_cut() {
    let mut server = Server::with_places(1);
    let _peer = server.peer().await;
    assert_at(server.end().await, REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_head_must_be_complete_in_time_however_it_trickles() {
    let mut server = Server::with_places(1);
    let mut peer = server.peer().await;
    sleep(Duration::from_secs(5)).await;
    let mut trickle = JoinSet::new();
    trickle.spawn(async move {
        while peer.write_all(b"G").await.is_ok() {
            sleep(Duration::from_secs(3)).await;
        }
    });
    assert_at(server.end().await, Duration::from_secs(5) + REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_body_must_be_complete_in_time_however_it_trickles() {
    let mut server = Server::with_places(1);
    let mut peer = server.peer().await;
    let head = b"POST /length HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";
    peer.write_all(head).await.unwrap();
    let mut trickle = JoinSet::new();
    trickle.spawn(async move {
        while peer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(3)).await;
        }
    });
    assert_at(server.end().await, REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_announced_is_asked_for_and_read() {
    let mut server = Server::with_places(1);
    let mut peer = server.peer().await;
    let head = b"POST /length HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    peer.write_all(head).await.unwrap();
    let mut go_on = [0; 25];
    peer.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    sleep(REQUEST / 2).await;
    peer.write_all(b"abc").await.unwrap();
    let mut text = String::new();
    peer.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("\r\n\r\n3"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_between_scrapes_but_not_for_ever() {
    let mut server = Server::with_places(1);
    let mut peer = server.peer().await;
    for _ in 0..3 {
        peer.write_all(SMALL.as_bytes()).await.unwrap();
        assert!(read_answer(&mut peer).await.starts_with("HTTP/1.1 200"));
        sleep(Duration::from_mins(5)).await;
    }
    assert_at(server.end().await, Duration::from_mins(10) + REST);
}

#[tokio::test(start_paused = true)]
async fn our_own_time_is_not_the_peers() {
    let mut server = Server::with_places(1);
    let mut peer = server.peer().await;
    sleep(REQUEST.saturating_sub(WORK / 2)).await;
    peer.write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut peer).await.ends_with("slow"));
}

/// Reads `count` bytes of a large answer each `every` until the connection
/// ends; the answer is how many there were, and when it ended.
async fn read_slowly(count: usize, every: Duration) -> (usize, Duration) {
    let mut server = Server::with_places(1);
    let mut peer = server.peer().await;
    let request = LARGE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    peer.write_all(request.as_bytes()).await.unwrap();
    let mut reader = JoinSet::new();
    reader.spawn(async move {
        let (mut all, mut bytes) = (0, vec![0; count]);
        loop {
            sleep(every).await;
            match peer.read_exact(&mut bytes).await {
                Ok(read) => all += read,
                Err(_) => return all,
            }
        }
    });
    let end = server.end().await;
    (reader.join_next().await.unwrap().unwrap(), end)
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_be_taken_at_a_least_pace() {
    for count in [1, STEP / 2 - 1024] {
        let (all, end) = read_slowly(count, Duration::from_secs(29)).await;
        assert!(all < LARGE_BYTES, "{count}");
        assert_at(end, STEP_TIME);
    }
    let (all, _) = read_slowly(STEP, Duration::from_secs(29)).await;
    assert!(all >= LARGE_BYTES, "{all}");
    let (all, _) = read_slowly(4096, Duration::from_secs(1)).await;
    assert!(all >= LARGE_BYTES, "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_the_place_of_who_kept_us_waiting_the_longest() {
    let mut server = Server::with_places(3);
    let mut rests = server.peer().await;
    rests.write_all(SMALL.as_bytes()).await.unwrap();
    read_answer(&mut rests).await;
    sleep(Duration::from_secs(1)).await;
    let mut silent = server.peer().await;
    sleep(Duration::from_secs(1)).await;
    let mut busy = server.peer().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let mut first = server.peer().await;
    assert_eq!(rests.read(&mut [0]).await.unwrap(), 0);
    let mut second = server.peer().await;
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    for newcomer in [&mut first, &mut second] {
        newcomer.write_all(SMALL.as_bytes()).await.unwrap();
        assert!(read_answer(newcomer).await.ends_with("small"));
    }
    assert!(read_answer(&mut busy).await.ends_with("slow"));
}

#[tokio::test(start_paused = true)]
async fn slow_readers_make_place_for_another() {
    let mut server = Server::with_places(SLOW_READERS * 2);
    let mut peers = Vec::new();
    for _ in 0..=SLOW_READERS {
        let mut peer = server.peer().await;
        peer.write_all(LARGE.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        peers.push(peer);
    }
    server.end().await;
    assert_eq!(server.conversations.len(), SLOW_READERS);
    let mut last = Vec::new();
    peers[0].read_to_end(&mut last).await.unwrap();
    assert!(
        last.len() < LARGE_BYTES,
        "the first is the one that was cut"
    );
    let mut quick = server.peer().await;
    quick.write_all(LARGE.as_bytes()).await.unwrap();
    let mut all = vec![0; LARGE_BYTES];
    quick.read_exact(&mut all).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_readers_cuts_nobody_who_reads() {
    let mut server = Server::with_places(SLOW_READERS * 4);
    let mut peers = Vec::new();
    for _ in 0..SLOW_READERS * 3 {
        let mut peer = server.peer().await;
        peer.write_all(LARGE.as_bytes()).await.unwrap();
        peers.push(peer);
    }
    let mut all = vec![0; LARGE_BYTES];
    for peer in &mut peers {
        peer.read_exact(&mut all).await.unwrap();
    }
    for peer in &mut peers {
        peer.write_all(LARGE.as_bytes()).await.unwrap();
    }
    sleep(SLOW).await;
    let mut last = server.peer().await;
    last.write_all(LARGE.as_bytes()).await.unwrap();
    while server.conversations.len() > SLOW_READERS {
        server.end().await;
    }
    assert_at(server.begin.elapsed(), SLOW);
    last.read_exact(&mut all).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_waits_a_moment_for_others_that_are_new() {
    let mut server = Server::with_places(1);
    let mut first = server.peer().await;
    let mut second = server.peer().await;
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
    assert_at(server.begin.elapsed(), SPARED);
    second.write_all(SMALL.as_bytes()).await.unwrap();
    assert!(read_answer(&mut second).await.ends_with("small"));
}

#[tokio::test(start_paused = true)]
async fn after_stop_only_what_moves_may_finish() {
    let mut server = Server::with_places(9);
    let mut rests = server.peer().await;
    rests.write_all(SMALL.as_bytes()).await.unwrap();
    read_answer(&mut rests).await;
    let _silent = server.peer().await;
    let mut half = server.peer().await;
    half.write_all(b"GET").await.unwrap();
    let mut stuck = server.peer().await;
    stuck.write_all(LARGE.as_bytes()).await.unwrap();
    let mut asks = server.peer().await;
    asks.write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
    sleep(WORK / 6).await;
    server.stop.cancel();
    let stopped = Instant::now();
    let mut end = JoinSet::new();
    let places = Arc::clone(&server.places);
    end.spawn(async move { part(server.conversations, &places).await });
    assert_eq!(rests.read(&mut [0]).await.unwrap(), 0);
    assert_at(stopped.elapsed(), Duration::ZERO);
    assert_eq!(half.read(&mut [0]).await.unwrap(), 0);
    assert!(stopped.elapsed() < Duration::from_secs(1));
    let text = read_answer(&mut asks).await;
    assert!(text.contains("connection: close"), "{text}");
    end.join_next().await.unwrap().unwrap();
    assert_at(stopped.elapsed(), WORK * 5 / 6);
}

/// What a peer gets that sends `request` and nothing more.
async fn ask(request: &str) -> String {
    let mut server = Server::with_places(1);
    let mut peer = server.peer_over(200_000).await;
    peer.write_all(request.as_bytes()).await.unwrap();
    peer.shutdown().await.unwrap();
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).await.unwrap();
    server.end().await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_gets_a_clean_answer() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    let fat = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(17_000));
    for (request, status) in [
        ("GET /small HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
        (SMALL, "HTTP/1.1 200 OK"),
        ("GET http://a.b:1/small HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK"),
        ("\r\n\r\nGET /small HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/1.1\r\n: b\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (&long, "HTTP/1.1 431 Request Header Fields Too Large"),
        (&many, "HTTP/1.1 431 Request Header Fields Too Large"),
        (&fat, "HTTP/1.1 431 Request Header Fields Too Large"),
    ] {
        let answer = ask(request).await;
        assert_eq!(answer.lines().next(), Some(status), "{request:.60}");
        let is_good = status.ends_with("OK");
        assert_eq!(answer.ends_with("\r\n\r\nsmall"), is_good, "{answer}");
    }
    let pipelined = ask(&SMALL.repeat(20)).await;
    assert_eq!(pipelined.matches("HTTP/1.1 200 OK").count(), 20);
    for nothing in ["", "GET /", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        assert_eq!(ask(nothing).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_read_before_the_connection_breaks() {
    let mut server = Server::with_places(1);
    let mut peer = server.peer_over(20_000).await;
    peer.write_all(&vec![b'x'; 20_000]).await.unwrap();
    let mut refusal = String::new();
    peer.read_to_string(&mut refusal).await.unwrap();
    assert!(refusal.starts_with("HTTP/1.1 4"), "{refusal}");
    peer.write_all(&vec![b'x'; 100_000]).await.unwrap();
    assert_at(server.end().await, LINGER);
}

/// A wire that has one request and notes where the bytes of the answer lie.
struct Recorder {
    request: &'static [u8],
    written: Arc<Mutex<Vec<(usize, usize)>>>,
}

impl Wire for Recorder {
    fn forget_unsent(&self) {}

    fn address(&self) -> Option<IpAddr> {
        None
    }

    fn poll_hung_up(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.put_slice(std::mem::take(&mut self.request));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let place = |piece: &IoSlice<'_>| (piece.as_ptr().addr(), piece.len());
        self.written
            .lock()
            .unwrap()
            .extend(pieces.iter().map(place));
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_shared_page_is_written_from_where_it_lies() {
    let page = Bytes::from(vec![b'x'; 1_000_000]);
    let place = (page.as_ptr().addr(), page.len());
    let written = Arc::default();
    let wire = Recorder {
        request: SMALL.as_bytes(),
        written: Arc::clone(&written),
    };
    let answer = move |_| {
        let parts = [page.clone(), Bytes::from_static(b"own")];
        async { Response::new(body(parts)) }
    };
    let seat = Places::new(1).take().await;
    converse((wire, None), seat, CancellationToken::new(), answer).await;
    let written = written.lock().unwrap();
    assert!(written.contains(&place));
    assert_eq!(written.last().unwrap().1, 3);
}
