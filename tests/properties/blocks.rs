//! Pages of blocks that come, change and go: whatever happened, a page is what
//! is written naively, in each protocol and coding.
//!
//! The judge is the plain writer of each protocol, and gzip is read by a reader
//! that is not ours.

use std::{collections::BTreeMap, io::Read, sync::Arc};

use cryptshare_exporter::{
    exposition::{Answer, Block, Coding, Deflater, Family, Page, Protocol, Sample, Section, Value},
    metric::Kind,
};
use flate2::read::GzDecoder;

const FAMILIES: [(&str, Kind); 4] = [
    ("c_total", Kind::Counter),
    ("h_seconds", Kind::Histogram),
    ("i_info", Kind::Info),
    ("g", Kind::Gauge),
];

/// As many blocks there are at most, and as many steps are taken.
const PLACES: u8 = 6;
const STEPS: usize = 8;

/// The samples of a block, for each family: the values of a label, and what
/// makes the values.
type Samples = [Vec<(String, u16)>; FAMILIES.len()];

/// Steps, each some bytes.
pub fn blocks(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut store = Store::default();
    store.judge();
    for _ in 0..STEPS {
        if bytes.0.is_empty() {
            return;
        }
        store.step(&mut bytes);
        store.judge();
    }
}

/// What is left of the bytes; then zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// Few samples with labels of any text, or so many that they are sent in
    /// several pieces.
    fn samples(&mut self) -> Vec<(String, u16)> {
        let count = self.byte();
        let mut sample = |k: u8| {
            let length = usize::from(self.byte() % 8);
            let label = String::from_utf8_lossy(self.take(length)).into_owned();
            (label, u16::from_le_bytes([self.byte(), k]))
        };
        if count < 250 {
            return (0..count % 4).map(sample).collect();
        }
        let (label, value) = sample(count);
        let many = 0..u16::from(count - 200) * 10;
        many.map(|k| (format!("{label}{k}"), value.wrapping_mul(k)))
            .collect()
    }
}

#[derive(Default)]
struct Store {
    deflater: Deflater,
    blocks: BTreeMap<u8, (Samples, Arc<Block>)>,
}

impl Store {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let (place, what) = (bytes.byte() % PLACES, bytes.byte());
        let before = self.blocks.remove(&place);
        let (mut samples, before) = before.unzip();
        match what % 8 {
            0 => return,
            // One family changes, and the others stay.
            1..=4 => {
                let samples = samples.get_or_insert_default();
                samples[usize::from(what % 8 - 1)] = bytes.samples();
            }
            5.. => samples = Some([(); FAMILIES.len()].map(|()| bytes.samples())),
        }
        let samples = samples.unwrap_or_default();
        let block = Block::of(families(&[&samples]), before.as_deref(), &mut self.deflater);
        self.blocks.insert(place, (samples, Arc::new(block)));
    }

    fn judge(&mut self) {
        let titles = families(&[]);
        let section = Section {
            families: titles.iter().map(Family::title).collect(),
            blocks: self
                .blocks
                .values()
                .map(|(_, block)| Arc::clone(block))
                .collect(),
        };
        let page = Page::assemble(&[section], &mut self.deflater);
        let samples: Vec<_> = self.blocks.values().map(|(samples, _)| samples).collect();
        let families = families(&samples);
        for protocol in Protocol::ALL {
            judge(&page, protocol, &families);
        }
    }
}

/// The page with a first family again after it.
fn judge(page: &Page, protocol: Protocol, families: &[Family<'_>]) {
    let mut tail = Vec::new();
    protocol.write(&families[..1], &mut tail);
    tail.extend_from_slice(protocol.end());
    let mut expect = Vec::new();
    protocol.write(families, &mut expect);
    expect.extend_from_slice(&tail);
    assert!(sent(page, protocol, &tail, Coding::Identity) == expect);
    let member = sent(page, protocol, &tail, Coding::Gzip);
    let mut reader = GzDecoder::new(&*member);
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).unwrap();
    assert!(plain == expect);
    assert!(reader.into_inner().is_empty(), "one member and no more");
}

fn sent(page: &Page, protocol: Protocol, tail: &[u8], coding: Coding) -> Vec<u8> {
    let answer = Answer::new(page.sheet(protocol), tail.to_vec(), coding);
    let pieces = answer.pieces.map(Result::unwrap);
    let body = pieces.collect::<Vec<_>>().concat();
    assert_eq!(answer.length, u64::try_from(body.len()).unwrap());
    body
}

fn families<'a>(samples: &[&'a Samples]) -> Vec<Family<'a>> {
    let family = |(place, (name, kind)): (usize, (&'static str, Kind))| Family {
        name: name.into(),
        help: "Some \\ help.".into(),
        kind,
        samples: (samples.iter())
            .flat_map(|samples| &samples[place])
            .map(|(label, value)| Sample::new([("a", label.as_str())], told(kind, *value)))
            .collect(),
    };
    FAMILIES.into_iter().enumerate().map(family).collect()
}

fn told(kind: Kind, value: u16) -> Value {
    match kind {
        Kind::Histogram => Value::Histogram {
            buckets: vec![(0.25, 1), (10.0, u64::from(value))],
            sum: f64::from(value) / 8.0,
            count: u64::from(value) * 3,
        },
        Kind::Gauge => Value::Number(f64::from(value) / 3.0),
        Kind::Counter | Kind::Info => Value::Count(u64::from(value)),
    }
}
