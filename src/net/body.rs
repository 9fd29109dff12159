//! Bodies, as the connections write them.
//!
//! **Invariants.** A part is passed on as it is, never copied: many answers may
//! share it. The length is known before the first byte is written.

use std::{
    collections::VecDeque,
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
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    Parts(parts.collect()).boxed()
}

/// What is left to be written; no part is empty.
#[derive(Debug)]
struct Parts(VecDeque<Bytes>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let lengths = self.0.iter().map(|part| u64::try_from(part.len()));
        let length = lengths.sum::<Result<u64, _>>();
        length.map_or_else(|_| SizeHint::default(), SizeHint::with_exact)
    }
}
