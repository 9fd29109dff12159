//! Peers that speak TLS, on tokio's paused clock and without sockets.
//!
//! **Invariants.** Only tests are here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{Request, Response, body::Incoming};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::net::{
    Body, Places, body,
    converse::converse,
    patience::{LINGER, REQUEST, REST, STEP, STEP_TIME},
};

const LARGE_BYTES: usize = 4 * STEP;

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let length = match request.uri().path() {
        "/large" => LARGE_BYTES,
        _ => 5,
    };
    Response::new(body([Bytes::from(vec![b'x'; length])]))
}

/// A server without a listener, and what its clients trust.
struct Server {
    tls: Tls,
    trusted: CertificateDer<'static>,
    conversations: JoinSet<()>,
    begin: Instant,
}

impl Server {
    fn new(http2: bool) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let settings = TlsSettings {
            certificates: cert.pem().into_bytes(),
            key: signing_key.serialize_pem().into(),
            clients: ClientSettings::default(),
            versions: vec![&TLS13],
            cipher_suites: None,
            prefers_own_suites: true,
            curves: None,
            http2,
        };
        Self {
            tls: Tls::new(&settings).unwrap(),
            trusted: cert.der().clone(),
            conversations: JoinSet::new(),
            begin: Instant::now(),
        }
    }

    async fn wire(&mut self) -> DuplexStream {
        let (peer, wire) = duplex(1024);
        let seat = Places::new(1).take().await;
        let wire = (wire, Some(self.tls.newest()));
        let conversation = converse(wire, seat, CancellationToken::new(), answer);
        self.conversations.spawn(conversation);
        peer
    }

    /// A peer that offers these protocols, after its handshake.
    async fn peer(&mut self, protocols: &[&[u8]]) -> TlsStream<DuplexStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let wire = self.wire().await;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, wire).await.unwrap()
    }

    /// When the next conversation ended, since the beginning.
    async fn end(&mut self) -> Duration {
        self.conversations.join_next().await.unwrap().unwrap();
        self.begin.elapsed()
    }
}

#[track_caller]
fn assert_at(time: Duration, expect: Duration) {
    let difference = time.abs_diff(expect);
    let granularity = Duration::from_millis(2);
    assert!(difference <= granularity, "{time:?} is not {expect:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_begins_is_cut() {
    let mut server = Server::new(true);
    let _peer = server.wire().await;
    assert_at(server.end().await, REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_must_be_complete_in_time_however_it_trickles() {
    let mut server = Server::new(true);
    let mut peer = server.wire().await;
    let mut trickle = JoinSet::new();
    trickle.spawn(async move {
        // The head of a record that would hold 4 KiB of a handshake.
        let head = [22, 3, 1, 16, 0, 1, 0, 15, 252];
        peer.write_all(&head).await.unwrap();
        while peer.write_all(&[0]).await.is_ok() {
            sleep(Duration::from_secs(3)).await;
        }
    });
    assert_at(server.end().await, REQUEST);
}

#[tokio::test(start_paused = true)]
async fn whoever_shakes_hands_and_then_falls_silent_is_cut() {
    for protocols in [&[H2][..], &[HTTP1]] {
        let mut server = Server::new(true);
        let _peer = server.peer(protocols).await;
        let end = server.end().await;
        assert!((REQUEST..=REQUEST + LINGER).contains(&end), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_ends_the_connection_and_nothing_else() {
    let mut server = Server::new(true);
    for nonsense in [
        "GET / HTTP/1.1\r\n\r\n",
        "\0\0\0\0\0\0",
        "\u{16}\u{3}\u{1}\0\0",
    ] {
        let mut peer = server.wire().await;
        peer.write_all(nonsense.as_bytes()).await.unwrap();
        drop(peer.shutdown().await);
        server.conversations.join_next().await.unwrap().unwrap();
    }
    assert_at(server.begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_between_scrapes_and_gets_all_of_each() {
    let mut server = Server::new(false);
    let mut peer = server.peer(&[]).await;
    for _ in 0..3 {
        peer.write_all(b"GET /large HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(peer.read_u8().await.unwrap());
        }
        let mut whole = vec![0; LARGE_BYTES];
        peer.read_exact(&mut whole).await.unwrap();
        assert!(whole.ends_with(b"x"));
        sleep(Duration::from_mins(5)).await;
    }
    assert_at(server.end().await, Duration::from_mins(10) + REST);
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_be_taken_at_a_least_pace() {
    let mut server = Server::new(false);
    let mut peer = server.peer(&[]).await;
    peer.write_all(b"GET /large HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    assert_at(server.end().await, STEP_TIME);
}

#[tokio::test(start_paused = true)]
async fn http2_is_spoken_with_who_offers_it_if_it_may() {
    for (http2, offered, expect) in [
        (true, &[H2, HTTP1][..], Some(H2)),
        (true, &[HTTP1, H2], Some(H2)),
        (true, &[HTTP1], Some(HTTP1)),
        (true, &[], None),
        (false, &[H2, HTTP1], Some(HTTP1)),
    ] {
        let mut server = Server::new(http2);
        let peer = server.peer(offered).await;
        assert_eq!(peer.get_ref().1.alpn_protocol(), expect);
        if expect == Some(H2) {
            let (requests, connection) = h2::client::handshake(peer).await.unwrap();
            let mut peers = JoinSet::new();
            peers.spawn(async move { drop(connection.await) });
            let mut requests = requests.ready().await.unwrap();
            let request = Request::get("https://localhost/").body(()).unwrap();
            let (answer, _) = requests.send_request(request, true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            assert_eq!(body.data().await.unwrap().unwrap(), "xxxxx");
        }
    }
}
