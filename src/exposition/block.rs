//! Samples that change together, finished.
//!
//! A block holds the samples of a list of families, those of each by
//! themselves, since a family must stand in one piece: a page writes the first
//! family of all its blocks, then the second one.
//!
//! **Invariants.** Nothing is kept of a sample but its finished bytes, deflated.
//! A family that is written as before is not deflated again.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{
    Deflater, Family, Value,
    deflate::Part,
    format::{Protocol, Syntax},
};

/// Finished samples of a list of families.
#[derive(Debug, Clone, Default)]
pub struct Block {
    pieces: Box<[Piece]>,
}

/// The samples of one family.
#[derive(Debug, Clone, Default)]
struct Piece {
    /// Of the samples in text. What is the same there is the same everywhere.
    digest: u64,
    text: Part,
    /// Shares the bytes of `text`, unless a histogram tells the two apart.
    openmetrics: Part,
    protobuf: Part,
}

impl Block {
    /// Finishes the samples of `families`. What is written as in `before`, which
    /// holds the same families, is taken from there.
    pub fn render(families: &[Family<'_>], before: Option<&Self>, deflater: &mut Deflater) -> Self {
        let mut plain = Vec::new();
        let known = before.map(|block| &*block.pieces).unwrap_or_default();
        let pieces = families.iter().enumerate().map(|(place, family)| {
            plain.clear();
            Protocol::Text.samples(family, &mut plain);
            let digest = digest(&plain);
            match known.get(place) {
                Some(piece) if piece.digest == digest => piece.clone(),
                Some(_) | None => Piece::finish(family, digest, &mut plain, deflater),
            }
        });
        Self {
            pieces: pieces.collect(),
        }
    }

    /// The samples of the family in this place of the list.
    pub(super) fn part(&self, place: usize, syntax: Syntax) -> Option<&Part> {
        let piece = self.pieces.get(place)?;
        let part = match syntax {
            Syntax::Text => &piece.text,
            Syntax::OpenMetrics => &piece.openmetrics,
            Syntax::Protobuf => &piece.protobuf,
        };
        (part.sum.length > 0).then_some(part)
    }
}

impl Piece {
    /// `plain` holds the samples in text.
    fn finish(
        family: &Family<'_>,
        digest: u64,
        plain: &mut Vec<u8>,
        deflater: &mut Deflater,
    ) -> Self {
        let text = deflater.part(plain);
        let mut written = |protocol: Protocol| {
            plain.clear();
            protocol.samples(family, plain);
            deflater.part(plain)
        };
        let is_histogram = |sample: &super::Sample<'_>| match sample.value {
            Value::Histogram { .. } => true,
            Value::Number(_) | Value::Count(_) => false,
        };
        Self {
            digest,
            openmetrics: if family.samples.iter().any(is_histogram) {
                written(Protocol::OpenMetrics1)
            } else {
                text.clone()
            },
            protobuf: written(Protocol::Protobuf),
            text,
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
