//! Pages of blocks that change, against the same families written naively.
//!
//! **Invariants.** The judge is the plain writer of each protocol, and gzip is
//! read by a reader that is not ours.

use std::{io::Read, sync::Arc};

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::{Answer, Block, Coding, Deflater, Family, Page, Protocol, Sample, Section, Value};
use crate::metric::Kind;

const FAMILIES: [(&str, Kind); 4] = [
    ("c_total", Kind::Counter),
    ("h_seconds", Kind::Histogram),
    ("i_info", Kind::Info),
    ("g", Kind::Gauge),
];

/// The samples of a block, for each family: labels and values.
type Samples = [Vec<(String, u16)>; 4];

/// What happens to a store of blocks.
#[derive(Debug, Clone)]
enum Step {
    Put(usize, Samples),
    Remove(usize),
}

fn samples() -> impl Strategy<Value = Samples> {
    let label = prop_oneof!["[a-c]{0,3}", any::<String>()];
    let few = prop::collection::vec((label.clone(), any::<u16>()), 0..4);
    let many = prop::collection::vec((label, any::<u16>()), 500..600);
    let one = || prop_oneof![9 => few.clone(), 1 => many.clone()];
    [one(), one(), one(), one()]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..6, samples()).prop_map(|(place, samples)| Step::Put(place, samples)),
        1 => (0_usize..6).prop_map(Step::Remove),
    ]
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

fn sent(page: &Page, protocol: Protocol, tail: &[u8], coding: Coding) -> Vec<u8> {
    let answer = Answer::new(page.sheet(protocol), tail.to_vec(), coding);
    let pieces = answer.pieces.map(Result::unwrap);
    let body = pieces.collect::<Vec<_>>().concat();
    assert_eq!(answer.length, u64::try_from(body.len()).unwrap());
    body
}

/// The page of `blocks`, in each protocol and coding.
fn judge(page: &Page, blocks: &[(usize, Samples)]) {
    let samples: Vec<_> = blocks.iter().map(|(_, samples)| samples).collect();
    let tail = families(&samples);
    for protocol in Protocol::ALL {
        let mut own = Vec::new();
        protocol.write(&tail[..1], &mut own);
        own.extend_from_slice(protocol.end());
        let mut expect = Vec::new();
        protocol.write(&tail, &mut expect);
        expect.extend_from_slice(&own);
        assert!(sent(page, protocol, &own, Coding::Identity) == expect);
        let member = sent(page, protocol, &own, Coding::Gzip);
        let mut reader = GzDecoder::new(&*member);
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).unwrap();
        assert!(plain == expect);
        assert!(reader.into_inner().is_empty(), "one member and no more");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_page_of_blocks_is_what_is_written_naively(steps in prop::collection::vec(step(), 1..12)) {
        let mut deflater = Deflater::default();
        let mut kept: Vec<(usize, Samples)> = Vec::new();
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        for step in steps {
            match step {
                Step::Put(place, samples) => {
                    let families = families(&[&samples]);
                    match kept.binary_search_by_key(&place, |(place, _)| *place) {
                        Ok(at) => {
                            let block = Block::of(families, Some(&blocks[at]), &mut deflater);
                            blocks[at] = Arc::new(block);
                            kept[at].1 = samples.clone();
                        }
                        Err(at) => {
                            let block = Block::of(families, None, &mut deflater);
                            blocks.insert(at, Arc::new(block));
                            kept.insert(at, (place, samples.clone()));
                        }
                    }
                }
                Step::Remove(place) => {
                    if let Ok(at) = kept.binary_search_by_key(&place, |(place, _)| *place) {
                        blocks.remove(at);
                        kept.remove(at);
                    }
                }
            }
            let titles = families(&[]);
            let section = Section {
                families: titles.iter().map(Family::title).collect(),
                blocks: blocks.clone(),
            };
            judge(&Page::assemble(&[section], &mut deflater), &kept);
        }
    }
}

#[test]
fn an_empty_page_is_an_empty_member() {
    judge(&Page::default(), &[]);
}
