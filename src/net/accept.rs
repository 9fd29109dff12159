//! The loop that accepts connections and serves HTTP on them.
//!
//! **Invariants.** Every connection has a place and deadlines before its first
//! byte is read; the loop pauses when the system has no more descriptors
//! instead of spinning.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulConnection};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Body, Listener, Peer, Tls,
    listen::Accepted,
    multiplex,
    places::{Places, Seat},
    stream::{Stream, Wire},
    tls::H2,
};

/// The largest head of a request, which is also the largest buffer that a
/// connection has; ten times what a browser sends.
pub(super) const HEAD_BYTES: usize = 16 * 1024;

/// How long the loop pauses when the system refuses a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// After `stop`, everything is cut in the end; the supervisor's own grace
/// period is three times as long.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How often is looked for who is slow after `stop`.
const LAST_LOOKS: Duration = Duration::from_millis(100);

/// What a TLS session may hold of an answer that the system does not take yet.
const SEALED_BYTES: usize = 32 * 1024;

/// Where connections come from, and what is spoken on them.
#[derive(Debug)]
pub struct Entrance {
    /// The socket.
    pub listener: Listener,
    /// TLS, or HTTP as it is.
    pub tls: Option<Arc<Tls>>,
}

impl From<TcpListener> for Entrance {
    fn from(socket: TcpListener) -> Self {
        Self {
            listener: socket.into(),
            tls: None,
        }
    }
}

/// Serves `answer` at `entrance` until `stop`, then lets the requests under way
/// finish. Several entrances may share `places`.
pub async fn serve<F, R>(
    entrance: impl Into<Entrance>,
    places: Arc<Places>,
    stop: CancellationToken,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let Entrance { listener, tls } = entrance.into();
    let mut connections = JoinSet::new();
    loop {
        let newcomer = async {
            let wire = accept(&listener).await;
            (wire, places.take().await)
        };
        let (wire, seat) = tokio::select! {
            newcomer = newcomer => newcomer,
            () = stop.cancelled() => break,
        };
        let tls = tls.as_ref().map(|tls| tls.newest());
        connections.spawn(converse((wire, tls), seat, stop.clone(), answer.clone()));
        while let Some(ended) = connections.try_join_next() {
            unwind(ended);
        }
    }
    drop(listener);
    part(connections, &places).await;
}

/// The next connection that the system gives us.
async fn accept(listener: &Listener) -> Accepted {
    loop {
        match listener.accept().await {
            Ok(wire) => return wire,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the requests that come over `wire`, inside of `tls` if there is one.
pub(super) async fn converse<W, F, R>(
    (wire, tls): (W, Option<Arc<ServerConfig>>),
    seat: Arc<Seat>,
    stop: CancellationToken,
    answer: F,
) where
    W: Wire + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let peer = Peer::at(wire.address());
    let stream = Stream::new((wire, peer.clone()), Arc::clone(&seat));
    let answer = |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        answer(request)
    };
    let Some(tls) = tls else {
        return speak(stream, seat, stop, answer).await;
    };
    // The deadlines lie below, so a handshake is the beginning of a request.
    let handshake = TlsAcceptor::from(tls).accept_with(stream, |session| {
        session.set_buffer_limit(Some(SEALED_BYTES));
    });
    tokio::select! {
        shaken = handshake => match shaken {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(H2) => {
                multiplex::speak(stream, seat, stop, answer).await;
            }
            Ok(stream) => speak(stream, seat, stop, answer).await,
            Err(error) => tracing::debug!(%error, "a handshake broke off"),
        },
        () = seat.until_cut() => {}
        () = stop.cancelled() => {}
    }
}

/// Answers the requests that come over `stream` by HTTP/1.1.
async fn speak<S, F, R>(stream: S, seat: Arc<Seat>, stop: CancellationToken, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answered = answer(request);
        async {
            let response = answered.await;
            seat.patience().answered();
            Ok::<_, Infallible>(response)
        }
    });
    let connection = protocol().serve_connection(TokioIo::new(stream), service);
    follow(connection, &seat, stop).await;
}

/// Lets a connection come to its end; after `stop` that is the end of what is
/// under way.
pub(super) async fn follow<C>(connection: C, seat: &Seat, stop: CancellationToken)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = seat.until_cut() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = seat.until_cut() => return,
            }
        }
    };
    // A peer that breaks off or talks nonsense is none of our failures.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        // The stream has better ones: hyper's would also cut connections that
        // rest between two scrapes.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .half_close(true);
    protocol
}

/// Lets what is under way finish, as long as it moves.
pub(super) async fn part(mut connections: JoinSet<()>, places: &Places) {
    let end = Instant::now() + LAST_ANSWERS;
    let mut looks = interval(LAST_LOOKS);
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(ended) => unwind(ended),
                None => return,
            },
            _ = looks.tick() => places.cut_slow(),
            () = sleep_until(end) => return connections.shutdown().await,
        }
    }
}

/// A panic while answering is a fault of ours: it ends the process by name.
pub(super) fn unwind(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
