//! A conversation with one peer: TLS if there is any, then the protocol that
//! the peer speaks.
//!
//! **Invariants.** The deadlines lie below TLS, so that a handshake is bounded as
//! a request is.

use std::{convert::Infallible, future::Future, sync::Arc};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Body, Peer,
    follow::{HEAD_BYTES, follow},
    multiplex,
    places::Seat,
    stream::{Stream, Wire},
    tls::H2,
};

/// What a TLS session may hold of an answer that the system does not take yet.
const SEALED_BYTES: usize = 32 * 1024;

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
