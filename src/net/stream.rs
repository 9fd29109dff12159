//! The stream that HTTP is spoken over, with a peer's deadlines on it.
//!
//! **Invariants.** Moves bytes as they are and copies none. Whoever waits on it
//! is woken at the peer's deadline and then fails with `TimedOut`. A peer that
//! does not take its answer leaves nothing behind in the system's buffers.

use std::{
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::AsFd,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::either::Either;

use super::{Peer, places::Seat};

/// What a peer sends after we hung up is read and dropped in pieces of this
/// size.
const DREGS: usize = 4096;

/// Bytes to and from a peer.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Lets the system forget what the peer has not taken when the wire is
    /// dropped.
    fn forget_unsent(&self);

    /// The peer's address, if it comes by the network.
    fn address(&self) -> Option<IpAddr>;

    /// Ready once the peer has hung up.
    fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Whether the peer of `socket` will send no more. What it has sent may lie there
/// unread, so reading would not tell.
fn is_hung_up(socket: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

impl Wire for TcpStream {
    fn forget_unsent(&self) {
        // It fails only on a socket that has nothing to forget.
        drop(self.set_zero_linger());
    }

    fn address(&self) -> Option<IpAddr> {
        self.peer_addr().ok().map(|address| address.ip())
    }

    fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_read_ready(cx) {
            Poll::Ready(_) if is_hung_up(self) => Poll::Ready(()),
            Poll::Ready(_) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Wire for UnixStream {
    fn forget_unsent(&self) {
        // What the peer does not take is gone with the socket.
    }

    fn address(&self) -> Option<IpAddr> {
        None
    }

    fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_read_ready(cx) {
            Poll::Ready(_) if is_hung_up(self) => Poll::Ready(()),
            Poll::Ready(_) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<L: Wire, R: Wire> Wire for Either<L, R> {
    fn forget_unsent(&self) {
        match self {
            Self::Left(wire) => wire.forget_unsent(),
            Self::Right(wire) => wire.forget_unsent(),
        }
    }

    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Left(wire) => wire.address(),
            Self::Right(wire) => wire.address(),
        }
    }

    fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Left(wire) => wire.poll_hung_up(cx),
            Self::Right(wire) => wire.poll_hung_up(cx),
        }
    }
}

/// A wire whose peer has a place and deadlines.
#[derive(Debug)]
pub(super) struct Stream<W: Wire> {
    // Before the seat, so that the descriptor is closed when the place is free.
    wire: W,
    seat: Arc<Seat>,
    peer: Peer,
    alarm: Pin<Box<Sleep>>,
    /// Once we hang up: whether we wait for the peer to hang up as well.
    lingers: Option<bool>,
}

impl<W: Wire> Stream<W> {
    /// Puts the deadlines of `seat` on `wire`.
    pub(super) fn new((wire, peer): (W, Peer), seat: Arc<Seat>) -> Self {
        Self {
            wire,
            peer,
            seat,
            alarm: Box::pin(sleep_until(Instant::now())),
            lingers: None,
        }
    }

    /// Pending until `deadline`, then a failure.
    fn poll_until<T>(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Result<T>> {
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes in what became of a write.
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                let deadline = self.seat.wants_room();
                self.poll_until(cx, deadline)
            }
            Poll::Ready(Ok(count)) => {
                self.seat.patience().took_bytes(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// Reads and drops what still comes. A request that was whole leaves
    /// nothing; the rest of another one must not turn into a reset that takes
    /// our answer with it.
    fn poll_dregs(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut dregs = [0; DREGS];
        loop {
            let mut dregs = ReadBuf::new(&mut dregs);
            match Pin::new(&mut self.wire).poll_read(cx, &mut dregs) {
                Poll::Ready(Ok(())) if !dregs.filled().is_empty() => self.lingers = Some(true),
                Poll::Pending if self.lingers == Some(true) => break,
                Poll::Pending | Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
        let deadline = self.seat.patience().wants_bytes(Instant::now());
        self.poll_until::<()>(cx, deadline).map(|_| Ok(()))
    }
}

impl<W: Wire> AsyncRead for Stream<W> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.wire).poll_read(cx, buffer) {
            Poll::Pending => {
                let deadline = this.seat.patience().wants_bytes(Instant::now());
                this.poll_until(cx, deadline)
            }
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                this.seat.patience().got_bytes(Instant::now());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(ended) => Poll::Ready(ended),
        }
    }
}

impl<W: Wire> AsyncWrite for Stream<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.wire).poll_write(cx, bytes);
        this.poll_written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.wire).poll_write_vectored(cx, pieces);
        this.poll_written(cx, written)
    }

    /// So that hyper passes our pages on instead of copying them together.
    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // HTTP/1.1 comes by here while the answer to a request is being made.
        if this.seat.patience().is_asked() && this.wire.poll_hung_up(cx).is_ready() {
            this.peer.hang_up();
        }
        ready!(Pin::new(&mut this.wire).poll_flush(cx))?;
        this.seat.patience().took_all();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingers.is_none() {
            ready!(Pin::new(&mut this.wire).poll_shutdown(cx))?;
            this.lingers = Some(this.seat.patience().hang_up(Instant::now()));
        }
        this.poll_dregs(cx)
    }
}

impl<W: Wire> Drop for Stream<W> {
    fn drop(&mut self) {
        if self.seat.patience().writing_since().is_some() {
            self.wire.forget_unsent();
        }
    }
}
