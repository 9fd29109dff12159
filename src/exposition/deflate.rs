//! Bytes that are kept only deflated, and stitched together when they are sent.
//!
//! A [`Part`] is raw deflate (RFC 1951) that refers to nothing before it and
//! ends on a byte boundary, so parts one after the other are one stream: a gzip
//! member is its head, any parts, [`END`], and the CRC and the length of all.
//!
//! **Invariants.** The CRC and the length of a part are those of the bytes that
//! it inflates to. Joined parts are never inflated to know these of all of
//! them.

use std::collections::HashMap;

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};

/// An empty last block: what ends a stream of parts.
pub(super) const END: &[u8] = &[0x03, 0x00];

/// The head of a gzip member (RFC 1952): deflate, no name, no time, and a system
/// that nobody knows.
pub(super) const HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A stored block has at most this length, and this much before its bytes.
const STORED: usize = 0xffff;
const STORED_HEAD: usize = 5;

/// Labels repeat so much that twice the effort makes parts only a fiftieth
/// smaller.
const LEVEL: u32 = 2;

/// Some bytes, deflated.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) deflated: Bytes,
    /// Of the bytes that went in.
    pub(super) sum: Sum,
}

/// The polynomial of the CRC, and the polynomial 1. The highest bit is that of
/// the lowest power.
const POLYNOMIAL: u32 = 0xedb8_8320;
const ONE: u32 = 1 << 31;

/// Length and CRC-32 of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) length: u64,
    crc: u32,
    /// What these bytes multiply the CRC of those before them with: x to the
    /// power of how many bits they are. To find it takes ten times as long as
    /// to use it.
    shift: u32,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            length: 0,
            crc: 0,
            shift: ONE,
        }
    }
}

impl Sum {
    fn of(bytes: &[u8]) -> Self {
        let length = length(bytes);
        let mut shift = Hasher::new_with_initial(ONE);
        shift.combine(&Hasher::new_with_initial_len(0, length));
        Self {
            length,
            crc: crc32fast::hash(bytes),
            shift: shift.finalize(),
        }
    }

    /// Those of the same bytes with `next` after them.
    pub(super) const fn then(self, next: Self) -> Self {
        Self {
            length: self.length + next.length,
            crc: times(self.crc, next.shift) ^ next.crc,
            shift: times(self.shift, next.shift),
        }
    }

    /// What ends a gzip member, [`END`] included.
    pub(super) fn trailer(self) -> Bytes {
        let length = self.length.to_le_bytes();
        let crc = self.crc.to_le_bytes();
        // The length is told modulo 2^32: its low half.
        let low = length.into_iter().take(4);
        END.iter().copied().chain(crc).chain(low).collect()
    }
}

/// The product of two polynomials, modulo that of the CRC.
const fn times(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        if a & ONE != 0 {
            product ^= b;
        }
        a <<= 1;
        let carry = b & 1;
        b >>= 1;
        if carry != 0 {
            b ^= POLYNOMIAL;
        }
    }
    product
}

/// Makes parts.
#[derive(Debug)]
pub struct Deflater {
    compress: Compress,
    plain: Vec<u8>,
    out: Vec<u8>,
    /// The heads of families on the page that is made, and on the one before.
    heads: HashMap<Box<[u8]>, Part>,
    old_heads: HashMap<Box<[u8]>, Part>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self {
            compress: Compress::new(Compression::new(LEVEL), false),
            plain: Vec::new(),
            out: Vec::new(),
            heads: HashMap::new(),
            old_heads: HashMap::new(),
        }
    }
}

impl Deflater {
    /// A page begins.
    pub(super) fn begin(&mut self) {
        self.old_heads = std::mem::take(&mut self.heads);
    }

    /// The part of the head of a family. Most stood on the page before: to
    /// deflate a hundred short texts anew takes milliseconds.
    pub(super) fn head(&mut self, plain: &[u8]) -> Part {
        if let Some(part) = self.heads.get(plain) {
            return part.clone();
        }
        let known = self.old_heads.remove(plain);
        let part = known.unwrap_or_else(|| self.part(plain));
        self.heads.insert(plain.into(), part.clone());
        part
    }

    /// The part of what `write` appends.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Part {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        write(&mut plain);
        let part = self.part(&plain);
        self.plain = plain;
        part
    }

    /// The part of `plain`. What deflating does not make smaller is stored.
    pub(super) fn part(&mut self, plain: &[u8]) -> Part {
        let deflated = match plain {
            [] => Bytes::new(),
            _ => match self.deflated(plain) {
                Some(deflated) => Bytes::copy_from_slice(deflated),
                None => stored(plain).into(),
            },
        };
        Part {
            deflated,
            sum: Sum::of(plain),
        }
    }

    /// The bytes deflated, if that is shorter than to store them.
    fn deflated(&mut self, plain: &[u8]) -> Option<&[u8]> {
        let most = plain.len() + STORED_HEAD * plain.len().div_ceil(STORED);
        self.compress.reset();
        self.out.clear();
        self.out.reserve(most);
        let flushed = self
            .compress
            .compress_vec(plain, &mut self.out, FlushCompress::Sync);
        // Where room is left, all is taken in and written out.
        let is_whole = flushed.is_ok_and(|status| status == Status::Ok);
        (is_whole && self.out.len() < most).then_some(&self.out)
    }
}

/// `plain` in stored blocks.
fn stored(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for block in plain.chunks(STORED) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out
}

/// The length of `bytes`, as sums of lengths have it.
pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let noise = prop::collection::vec(any::<u8>(), 0..300);
        let dull = (any::<u8>(), 0_usize..100_000).prop_map(|(byte, n)| vec![byte; n]);
        prop_oneof![noise, dull]
    }

    /// More noise than a stored block holds.
    fn noise() -> Vec<u8> {
        let next = |x: &u32| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        let states = std::iter::successors(Some(1), next);
        states.map(|x| x.to_be_bytes()[0]).take(200_000).collect()
    }

    fn check(plain: &[Vec<u8>]) {
        let mut deflater = Deflater::default();
        let parts: Vec<_> = plain.iter().map(|bytes| deflater.part(bytes)).collect();
        let sum = parts
            .iter()
            .fold(Sum::default(), |sum, part| sum.then(part.sum));
        let mut member = HEAD.to_vec();
        for part in &parts {
            member.extend_from_slice(&part.deflated);
        }
        member.extend_from_slice(&sum.trailer());
        let mut inflated = Vec::new();
        // It checks the CRC and the length.
        GzDecoder::new(&*member).read_to_end(&mut inflated).unwrap();
        assert_eq!(inflated, plain.concat());
        assert_eq!(sum, Sum::of(&inflated));
    }

    #[test]
    fn noise_is_stored() {
        let part = Deflater::default().part(&noise());
        assert_eq!(part.deflated.len(), 200_000 + 4 * STORED_HEAD);
        check(&[noise(), b"a".to_vec(), noise()]);
    }

    proptest! {
        #[test]
        fn parts_are_one_gzip_member(plain in prop::collection::vec(bytes(), 0..8)) {
            check(&plain);
        }
    }
}
