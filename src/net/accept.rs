//! The loop that accepts connections and serves HTTP on them.
//!
//! **Invariants.** Every connection has a place and deadlines before its first
//! byte is read; the loop pauses when the system has no more descriptors
//! instead of spinning.

use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Body,
    places::{Places, Seat},
    stream::{Stream, Wire},
};

/// The largest head of a request, which is also the largest buffer that a
/// connection has; ten times what a browser sends.
const HEAD_BYTES: usize = 16 * 1024;

/// What the system may hold of an answer that it cannot send yet. By default
/// that is megabytes, and a slow reader would not be noticed for minutes.
const UNSENT_BYTES: u32 = 64 * 1024;

/// How long the loop pauses when the system refuses a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// After `stop`, everything is cut in the end; the supervisor's own grace
/// period is three times as long.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How often is looked for who is slow after `stop`.
const LAST_LOOKS: Duration = Duration::from_millis(100);

/// Serves `answer` on `listener` until `stop`, then lets the requests under
/// way finish. Several listeners may share `places`.
pub async fn serve<F, R>(
    listener: TcpListener,
    places: Arc<Places>,
    stop: CancellationToken,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
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
        connections.spawn(converse(wire, seat, stop.clone(), answer.clone()));
        while let Some(ended) = connections.try_join_next() {
            unwind(ended);
        }
    }
    drop(listener);
    part(connections, &places).await;
}

/// The next connection that the system gives us.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((wire, _)) => {
                // It fails if the peer is gone already, and reading tells so.
                drop(tune(&wire));
                return wire;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

fn tune(wire: &TcpStream) -> io::Result<()> {
    // The parts of a body are written one by one; the last must not wait for
    // the peer to acknowledge the others.
    wire.set_nodelay(true)?;
    SockRef::from(wire).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Answers the requests that come over `wire`.
pub(super) async fn converse<W, F, R>(wire: W, seat: Arc<Seat>, stop: CancellationToken, answer: F)
where
    W: Wire + 'static,
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
    let stream = TokioIo::new(Stream::new(wire, Arc::clone(&seat)));
    let mut connection = pin!(protocol().serve_connection(stream, service));
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
fn unwind(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
