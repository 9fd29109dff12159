//! Peers that speak HTTP/2, on tokio's paused clock and without sockets.
//!
//! **Invariants.** Only tests are here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::{Request, Response, body::Incoming};
use tokio::{
    io::duplex,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::speak;
use crate::net::{
    Body, Peer, Places, body,
    patience::{REST, STEP, STEP_TIME},
    places::{SLOW, SLOW_READERS},
    stream::Stream,
};

/// The length of what `/large` answers.
const LARGE_BYTES: usize = 4 * STEP;

/// How long `/slow` takes: longer than a request may.
const WORK: Duration = Duration::from_secs(20);

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let part = match request.uri().path() {
        "/large" => Bytes::from(vec![b'x'; LARGE_BYTES]),
        "/slow" => {
            sleep(WORK).await;
            Bytes::from_static(b"slow")
        }
        "/panic" => panic!("by a test"),
        _ => Bytes::from_static(b"small"),
    };
    Response::new(body([part]))
}

/// A server without a listener.
struct Server {
    places: Arc<Places>,
    stop: CancellationToken,
    conversations: JoinSet<()>,
    peers: JoinSet<()>,
    begin: Instant,
}

impl Server {
    fn new() -> Self {
        Self {
            places: Places::new(100),
            stop: CancellationToken::new(),
            conversations: JoinSet::new(),
            peers: JoinSet::new(),
            begin: Instant::now(),
        }
    }

    /// A peer that lets each answer have this window.
    async fn peer(&mut self, window: u32) -> SendRequest<Bytes> {
        let (peer, wire) = duplex(1024);
        let seat = self.places.take().await;
        let stream = Stream::new((wire, Peer::default()), Arc::clone(&seat));
        self.conversations
            .spawn(speak(stream, seat, self.stop.clone(), answer));
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let (requests, connection) = builder.handshake(peer).await.unwrap();
        self.peers.spawn(async move { drop(connection.await) });
        requests
    }

    /// When the next conversation ended, since the beginning.
    async fn end(&mut self) -> Duration {
        self.conversations.join_next().await.unwrap().unwrap();
        self.begin.elapsed()
    }
}

fn get(path: &str) -> Request<()> {
    let uri = format!("https://localhost{path}");
    Request::get(uri).body(()).unwrap()
}

/// Asks for `path` and reads the whole answer; its length.
async fn ask(peer: &SendRequest<Bytes>, path: &str) -> usize {
    let mut peer = peer.clone().ready().await.unwrap();
    let (answer, _) = peer.send_request(get(path), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        length += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    length
}

#[track_caller]
fn assert_at(time: Duration, expect: Duration) {
    let difference = time.abs_diff(expect);
    assert!(difference <= SLOW, "{time:?} is not {expect:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_between_scrapes_but_not_for_ever() {
    let mut server = Server::new();
    let peer = server.peer(65_535).await;
    for _ in 0..3 {
        assert_eq!(ask(&peer, "/small").await, 5);
        assert_eq!(ask(&peer, "/large").await, LARGE_BYTES);
        sleep(Duration::from_mins(5)).await;
    }
    assert_at(server.end().await, Duration::from_mins(10) + REST);
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_wait_for_each_other_and_our_time_is_not_the_peers() {
    let mut server = Server::new();
    let peer = server.peer(65_535).await;
    let (slow, small) = tokio::join!(ask(&peer, "/slow"), async {
        let length = ask(&peer, "/small").await;
        (length, server.begin.elapsed())
    });
    assert_eq!((slow, small.0), (4, 5));
    assert_at(small.1, Duration::ZERO);
    assert_at(server.begin.elapsed(), WORK);
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_be_taken_whatever_else_moves() {
    for window in [0, 1000] {
        let mut server = Server::new();
        let mut peer = server.peer(window).await.ready().await.unwrap();
        let (left, _) = peer.send_request(get("/large"), true).unwrap();
        let busy = async {
            // The other answer has no body, so it needs no window.
            loop {
                sleep(Duration::from_secs(1)).await;
                let head = Request::head("https://localhost/none").body(()).unwrap();
                let Ok(mut ready) = peer.clone().ready().await else {
                    return;
                };
                let Ok((answer, _)) = ready.send_request(head, true) else {
                    return;
                };
                drop(answer.await);
            }
        };
        let ((), end) = tokio::join!(busy, server.end());
        assert_at(end, STEP_TIME);
        drop(left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_at_the_least_pace_gets_all() {
    let mut server = Server::new();
    let mut peer = server.peer(65_535).await.ready().await.unwrap();
    let (answer, _) = peer.send_request(get("/large"), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        length += data.len();
        sleep(Duration::from_millis(200)).await;
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(length, LARGE_BYTES);
    assert!(server.begin.elapsed() > Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn slow_readers_make_place_for_another() {
    let mut server = Server::new();
    let mut peers = Vec::new();
    for _ in 0..=SLOW_READERS {
        let mut peer = server.peer(0).await.ready().await.unwrap();
        peers.push(peer.send_request(get("/large"), true).unwrap());
        sleep(SLOW).await;
    }
    sleep(SLOW).await;
    let ended = std::iter::from_fn(|| server.conversations.try_join_next());
    assert_eq!(ended.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_stop_the_requests_under_way_finish() {
    let mut server = Server::new();
    let peer = server.peer(65_535).await;
    let stop = server.stop.clone();
    let (length, ()) = tokio::join!(ask(&peer, "/slow"), async {
        sleep(WORK / 2).await;
        stop.cancel();
    });
    assert_eq!(length, 4);
    assert_at(server.end().await, WORK);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_passed_on() {
    let mut server = Server::new();
    let mut peer = server.peer(65_535).await.ready().await.unwrap();
    let (answer, _) = peer.send_request(get("/panic"), true).unwrap();
    let ended = server.conversations.join_next().await.unwrap();
    assert!(ended.unwrap_err().is_panic());
    drop(answer);
}
