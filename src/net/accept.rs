//! The loop that accepts connections and serves HTTP on them.
//!
//! **Invariants.** Every connection has a deadline for its request head, a
//! small buffer and a place among a bounded number; the loop pauses when the
//! system has no more descriptors instead of spinning.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// A body that may fail in its middle.
pub type Body = BoxBody<Bytes, io::Error>;

/// Requests have no body and few headers; what takes longer to send its head
/// is no client of ours.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// hyper's smallest buffer; enough for any head we answer.
const HEAD_BYTES: usize = 16 * 1024;

/// Connections at a time. A handful of scrapers is usual; the rest waits in
/// the system's backlog.
const CONNECTIONS: usize = 512;

/// How long the loop pauses when the system refuses a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `answer` on `listener` until `stop`, then lets the requests under
/// way finish.
pub async fn serve<F, R>(listener: TcpListener, stop: CancellationToken, answer: F)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answered = answer(request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let connection = protocol().serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // A peer that breaks off or talks nonsense is none of our failures.
            let ended = connection.await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke off");
            }
            drop(place);
        });
        while let Some(ended) = connections.try_join_next() {
            unwind(ended);
        }
    }
    drop(listener);
    graceful.shutdown().await;
    while let Some(ended) = connections.join_next().await {
        unwind(ended);
    }
}

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES)
        .half_close(true);
    protocol
}

/// A panic while answering is a fault of ours: it ends the process by name.
fn unwind(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
