//! A page and what is rendered for a scrape, as the bytes of an answer.
//!
//! A gzip answer is stitched from what is deflated already; only the tail is
//! deflated for it. An identity answer is inflated as it is sent.
//!
//! **Invariants.** The length is known before the first byte. No body stands
//! whole in memory: an answer holds its page and one piece of it inflated.

use std::{fmt, io, sync::Arc};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress};

use super::{
    Deflater, Sheet,
    deflate::{HEAD, length},
    negotiate::Coding,
};

/// A page is sent in pieces of about this length: what a slow reader costs. In
/// smaller ones the system is called so often that it takes longer than to copy
/// the parts together.
const PIECE: usize = 64 * 1024;

/// What is sent.
pub struct Answer {
    /// The length of all bytes.
    pub length: u64,
    /// The bytes, one piece after the other.
    pub pieces: Pieces,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The pieces of an answer. An error means that memory is broken: what we
/// deflated does not inflate.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Bytes>> + Send + Sync>;

impl Answer {
    /// The page on `sheet`, and `tail` after it.
    pub fn new(sheet: &Arc<Sheet>, tail: Vec<u8>, coding: Coding) -> Self {
        let sheet = Arc::clone(sheet);
        match coding {
            Coding::Gzip => Self::stitched(sheet, &tail),
            Coding::Identity => Self {
                length: sheet.sum.length + length(&tail),
                pieces: Box::new(Inflating::new(sheet).chain([Ok(tail.into())])),
            },
        }
    }

    fn stitched(sheet: Arc<Sheet>, tail: &[u8]) -> Self {
        let tail = Deflater::default().part(tail);
        let trailer = sheet.sum.then(tail.sum).trailer();
        let end = [tail.deflated, trailer];
        let own = HEAD.len() + end.iter().map(Bytes::len).sum::<usize>();
        let length = sheet.deflated + u64::try_from(own).unwrap_or(u64::MAX);
        Self {
            length,
            pieces: Box::new(Stitching::new(sheet, end).map(Ok)),
        }
    }
}

/// The parts of a sheet as they are, within a member of gzip.
struct Stitching {
    sheet: Arc<Sheet>,
    place: usize,
    /// What is not sent yet of what stands around the sheet.
    head: &'static [u8],
    end: Option<[Bytes; 2]>,
}

impl Stitching {
    const fn new(sheet: Arc<Sheet>, end: [Bytes; 2]) -> Self {
        Self {
            sheet,
            place: 0,
            head: HEAD,
            end: Some(end),
        }
    }
}

impl Iterator for Stitching {
    type Item = Bytes;

    fn next(&mut self) -> Option<Self::Item> {
        let mut piece = Vec::with_capacity(PIECE);
        piece.extend_from_slice(std::mem::take(&mut self.head));
        while let Some(part) = self.sheet.parts.get(self.place)
            && (piece.is_empty() || piece.len() + part.deflated.len() <= PIECE)
        {
            piece.extend_from_slice(&part.deflated);
            self.place += 1;
        }
        if self.place == self.sheet.parts.len() {
            let end = self.end.take();
            end.iter()
                .flatten()
                .for_each(|part| piece.extend_from_slice(part));
        }
        (!piece.is_empty()).then(|| piece.into())
    }
}

/// The parts of a sheet as one stream that is being inflated.
struct Inflating {
    sheet: Arc<Sheet>,
    inflater: Decompress,
    /// The part that is read, and how much of it is read already.
    place: usize,
    read: usize,
}

impl Inflating {
    fn new(sheet: Arc<Sheet>) -> Self {
        Self {
            sheet,
            inflater: Decompress::new(false),
            place: 0,
            read: 0,
        }
    }

    /// Inflates what is left of the present part, as far as there is room.
    fn inflate(&mut self, deflated: &[u8], piece: &mut Vec<u8>) -> io::Result<()> {
        let unread = deflated.get(self.read..).unwrap_or_default();
        let before = self.inflater.total_in();
        self.inflater
            .decompress_vec(unread, piece, FlushDecompress::None)?;
        let taken = usize::try_from(self.inflater.total_in() - before);
        self.read += taken.unwrap_or(usize::MAX);
        // Where no room is left, more of this part may be to come.
        if piece.len() < piece.capacity() {
            if self.read < deflated.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.place += 1;
            self.read = 0;
        }
        Ok(())
    }
}

impl Iterator for Inflating {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.sheet.sum.length - self.inflater.total_out();
        let size = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        // One byte of room is always left, to see that a part has ended.
        let mut piece = Vec::with_capacity(size + 1);
        let sheet = Arc::clone(&self.sheet);
        while piece.len() < size
            && let Some(part) = sheet.parts.get(self.place)
        {
            if let Err(error) = self.inflate(&part.deflated, &mut piece) {
                return Some(Err(error));
            }
        }
        (!piece.is_empty()).then(|| Ok(piece.into()))
    }
}
