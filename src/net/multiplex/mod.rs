//! HTTP/2: several requests at a time on one connection.
//!
//! An answer is given out in pieces that tell when they have been taken, for a
//! peer may leave one where it is and yet keep the connection busy.
//!
//! **Invariants.** Pieces are parts of the page itself, never copies. A panic
//! while answering is passed on. No answer stays longer than its peer's patience
//! allows, whatever else moves.

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    rt::Executor,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Body,
    follow::{HEAD_BYTES, follow, unwind},
    patience::STEP,
    places::Seat,
};

/// How many requests may be under way on one connection; a scraper has one, a
/// browser a few.
const STREAMS: u32 = 8;

/// How much of an answer is taken from its page ahead of the peer.
const AHEAD_BYTES: usize = STEP;

/// Bodies of requests are not read, so the least that the protocol knows.
const WINDOW_BYTES: u32 = 65_535;

/// Answers the requests that come over `stream`.
pub(super) async fn speak<S, F, R>(stream: S, seat: Arc<Seat>, stop: CancellationToken, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    seat.patience().multiplex();
    let service = service_fn(|request| {
        let lane = Lane::enter(&seat);
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await.map(|body| lane.follow(body))) }
    });
    let tasks = Tasks::default();
    let connection = protocol(&tasks).serve_connection(TokioIo::new(stream), service);
    let mut followed = std::pin::pin!(follow(connection, &seat, stop));
    poll_fn(|cx| {
        let ended = followed.as_mut().poll(cx);
        tasks.poll_ended(cx);
        ended
    })
    .await;
}

fn protocol(tasks: &Tasks) -> http2::Builder<Tasks> {
    let mut protocol = http2::Builder::new(tasks.clone());
    protocol
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(AHEAD_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    protocol
}

/// What runs beside the connection and ends with it.
#[derive(Debug, Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Takes in those that have ended.
    fn poll_ended(&self, cx: &mut Context<'_>) {
        loop {
            let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Poll::Ready(Some(ended)) = tasks.poll_join_next(cx) else {
                return;
            };
            drop(tasks);
            unwind(ended);
        }
    }
}

impl<T: Future<Output = ()> + Send + 'static> Executor<T> for Tasks {
    fn execute(&self, task: T) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(task);
    }
}

/// A request and its answer, as long as anything of them is there.
#[derive(Debug)]
struct Lane {
    seat: Arc<Seat>,
    id: u64,
}

impl Lane {
    fn enter(seat: &Arc<Seat>) -> Arc<Self> {
        Arc::new(Self {
            id: seat.patience().enter_lane(),
            seat: Arc::clone(seat),
        })
    }

    fn moves(&self) {
        self.seat.move_lane(self.id);
    }

    /// The answer is there: from now on the peer is waited for.
    fn follow(self: Arc<Self>, body: Body) -> Body {
        self.moves();
        let pieces = Pieces {
            lane: self,
            body,
            left: Bytes::new(),
        };
        pieces.boxed()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.seat.patience().leave_lane(self.id);
    }
}

/// A body whose lane moves when a piece of it was taken.
struct Pieces {
    // Dropped before the lane is left.
    body: Body,
    left: Bytes,
    lane: Arc<Lane>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left.is_empty() {
            let next = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match next.map(|next| next.map(Frame::into_data)) {
                Some(Ok(Ok(part))) => self.left = part,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.left.len().min(STEP);
        let piece = Piece {
            bytes: self.left.split_to(length),
            lane: Arc::clone(&self.lane),
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let left = u64::try_from(self.left.len()).unwrap_or(u64::MAX);
        if let Some(exact) = hint.exact() {
            hint.set_exact(exact.saturating_add(left));
        }
        hint
    }
}

/// A piece on its way to the peer.
struct Piece {
    bytes: Bytes,
    lane: Arc<Lane>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.lane.moves();
    }
}
