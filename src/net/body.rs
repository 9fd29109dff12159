//! Bodies, as the connections write them.
//!
//! **Invariants.** A part is passed on as it is: many answers may share it. The length is known before the first byte is written.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body that may fail in its middle.
pub type Body = BoxBody<Bytes, io::Error>;

/// The body that consists of `parts`, one after the other.
pub fn body(parts: impl IntoIterator<Item = Bytes>) -> Body {
    let parts: Vec<_> = parts.into_iter().collect();
    let lengths = parts.iter().map(|part| u64::try_from(part.len()));
    let length = lengths.sum::<Result<u64, _>>();
    stream(length.unwrap_or(u64::MAX), parts.into_iter().map(Ok))
}

/// The body of `length` bytes that consists of `parts`, each made when its turn
/// comes.
pub fn stream<I>(length: u64, parts: I) -> Body
where
    I: Iterator<Item = io::Result<Bytes>> + Send + Sync + Unpin + 'static,
{
    Stream {
        left: length,
        parts,
    }
    .boxed()
}

/// What is left to be written.
#[derive(Debug)]
struct Stream<I> {
    left: u64,
    parts: I,
}

impl<I: Iterator<Item = io::Result<Bytes>> + Unpin> HttpBody for Stream<I> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let is_empty = |part: &io::Result<Bytes>| part.as_ref().is_ok_and(Bytes::is_empty);
        let part = self.parts.find(|part| !is_empty(part));
        if let Some(Ok(part)) = &part {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            self.left = self.left.saturating_sub(length);
        }
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
