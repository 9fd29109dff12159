//! Samples that change together, finished.
//!
//! A block holds the samples of a list of families, those of each by
//! themselves, since a family must stand in one piece: a page writes the first
//! family of all its blocks, then the second one.
//!
//! **Invariants.** Nothing is kept of a sample but its finished bytes, deflated.
//! A family that is written as before is not deflated again.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use super::{
    Deflater, Family, Sample, Value,
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
    /// Of all that decides how the samples are written.
    digest: u64,
    text: Part,
    /// Shares the bytes of `text`, unless a histogram tells the two apart.
    openmetrics: Part,
    protobuf: Part,
}

impl Block {
    /// Finishes `families`, as [`render`](Self::render) does.
    pub fn of(families: Vec<Family<'_>>, before: Option<&Self>, deflater: &mut Deflater) -> Self {
        let drafts = families.into_iter().map(|f| (digest(&f), move || f));
        Self::render(drafts, before, deflater)
    }

    /// Finishes families. Of each comes a digest of all that decides how its
    /// samples are written, and what makes it: this is called only if the family
    /// in its place of `before` has another digest.
    pub fn render<'a, F>(
        drafts: impl IntoIterator<Item = (u64, F)>,
        before: Option<&Self>,
        deflater: &mut Deflater,
    ) -> Self
    where
        F: FnOnce() -> Family<'a>,
    {
        let known = before.map(|block| &*block.pieces).unwrap_or_default();
        let piece = |(place, (digest, family)): (usize, (u64, F))| match known.get(place) {
            Some(piece) if piece.digest == digest => piece.clone(),
            Some(_) | None => Piece::finish(&family(), digest, deflater),
        };
        Self {
            pieces: drafts.into_iter().enumerate().map(piece).collect(),
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
    fn finish(family: &Family<'_>, digest: u64, deflater: &mut Deflater) -> Self {
        let mut written =
            |protocol: Protocol| deflater.written(|plain| protocol.samples(family, plain));
        let text = written(Protocol::Text);
        let is_histogram = |sample: &Sample<'_>| match sample.value {
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

/// Of the samples in text: what is the same there is the same everywhere.
fn digest(family: &Family<'_>) -> u64 {
    let mut plain = Vec::new();
    Protocol::Text.samples(family, &mut plain);
    FixedState::default().hash_one(plain)
}
