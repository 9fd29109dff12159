//! All that stands before what is rendered for each scrape, ready to be sent.
//!
//! **Invariants.** A page is one state of everything and never changes; who
//! sends it holds it whole. A family without samples is not written.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{
    Block, Deflater, Title,
    deflate::{Part, Sum, length},
    format::{Protocol, Syntax},
};

/// Families, and the blocks that hold their samples.
#[derive(Debug)]
pub struct Section<'a> {
    /// The families, in the order in which every block holds them.
    pub families: Vec<Title<'a>>,
    /// The blocks, in the order in which samples are written.
    pub blocks: Vec<Arc<Block>>,
}

/// Finished families, one [`Sheet`] for each syntax.
#[derive(Debug, Default)]
pub struct Page {
    text: Arc<Sheet>,
    openmetrics: Arc<Sheet>,
    protobuf: Arc<Sheet>,
}

impl Page {
    /// Puts the families of `sections` one after the other.
    pub fn assemble(sections: &[Section<'_>], deflater: &mut Deflater) -> Self {
        deflater.begin();
        let mut sheet = |protocol| Arc::new(Sheet::assemble(sections, protocol, deflater));
        Self {
            text: sheet(Protocol::Text),
            openmetrics: sheet(Protocol::OpenMetrics1),
            protobuf: sheet(Protocol::Protobuf),
        }
    }

    /// What stands there in the syntax of `protocol`.
    pub const fn sheet(&self, protocol: Protocol) -> &Arc<Sheet> {
        match protocol.syntax() {
            Syntax::Text => &self.text,
            Syntax::OpenMetrics => &self.openmetrics,
            Syntax::Protobuf => &self.protobuf,
        }
    }
}

/// A page in one syntax: parts that follow each other.
#[derive(Debug, Default)]
pub struct Sheet {
    pub(super) parts: Vec<Part>,
    /// Of all parts, as they inflate.
    pub(super) sum: Sum,
    /// The length of all parts, as they are.
    pub(super) deflated: u64,
}

impl Sheet {
    fn assemble(sections: &[Section<'_>], protocol: Protocol, deflater: &mut Deflater) -> Self {
        let mut sheet = Self::default();
        let mut head = Vec::new();
        for section in sections {
            for (place, title) in section.families.iter().enumerate() {
                let parts = section.blocks.iter();
                let parts = parts.filter_map(|block| block.part(place, protocol.syntax()));
                let samples = parts.clone().map(|part| part.sum.length).sum();
                if samples > 0 {
                    head.clear();
                    protocol.head(*title, samples, &mut head);
                    sheet.push(deflater.head(&head));
                    parts.cloned().for_each(|part| sheet.push(part));
                }
            }
        }
        sheet
    }

    fn push(&mut self, part: Part) {
        self.sum = self.sum.then(part.sum);
        self.deflated += length(&part.deflated);
        self.parts.push(part);
    }
}

/// Where the newest page stands.
#[derive(Debug, Default)]
pub struct Shelf(ArcSwap<Page>);

impl Shelf {
    /// Puts a newer page.
    pub fn put(&self, page: Page) {
        self.0.store(Arc::new(page));
    }

    /// Takes the newest page.
    pub fn take(&self) -> Arc<Page> {
        self.0.load_full()
    }
}
