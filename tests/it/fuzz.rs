//! The properties of the fuzz targets, tried on their seeds, on what a few
//! changes make of them, and on bytes of any kind.

use std::{fs, sync::OnceLock};

use proptest::{prelude::*, sample::Index};

use crate::properties;

/// The pieces that break readers, put where they do not belong.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"\\",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    "\u{fffd}\u{2028}".as_bytes(),
    b"null",
    b"{}",
    b"[]",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    br"\ud800",
    br"\u0000",
    b",",
    b":",
    b"[[[[[[[[[[[[[[[[",
    b"=",
    b";q=0",
    b"'''",
    b"client_id = \"aaaaaaaaaaaaaaaaaaaa\"\n",
    b"# EOF\n",
];

/// Bytes that a failure shows as text.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Put(Index, Index),
    Cut(Index, Index),
    Set(Index, u8),
    Repeat(Index, Index),
}

impl Change {
    fn apply(&self, text: &mut Vec<u8>) {
        let place = |at: &Index| at.index(text.len() + 1);
        let range = |from: &Index, to: &Index| {
            let (from, to) = (place(from), place(to));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Put(at, piece) => {
                let at = place(at);
                let piece = PIECES[piece.index(PIECES.len())];
                text.splice(at..at, piece.iter().copied());
            }
            Self::Cut(from, to) => drop(text.drain(range(from, to))),
            Self::Set(at, byte) => {
                let at = place(at);
                text.splice(at..(at + 1).min(text.len()), [*byte]);
            }
            Self::Repeat(from, to) => {
                let range = range(from, to);
                let copy = text[range.clone()].to_vec();
                text.splice(range.end..range.end, copy);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let (at, other) = (any::<Index>, any::<Index>);
    prop_oneof![
        4 => (at(), other()).prop_map(|(at, piece)| Change::Put(at, piece)),
        2 => (at(), other()).prop_map(|(from, to)| Change::Cut(from, to)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (at(), other()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

/// The seeds of a fuzz target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = fs::read_dir(format!("fuzz/seeds/{target}")).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "{target} has too few seeds");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A seed as it is or changed, or bytes of any kind.
fn bytes(seeds: &'static [Vec<u8>]) -> impl Strategy<Value = Bytes> {
    let changes = prop::collection::vec(change(), 0..6);
    let mutant = (prop::sample::select(seeds), changes).prop_map(|(mut text, changes)| {
        for change in changes {
            change.apply(&mut text);
        }
        text
    });
    let any_bytes = prop_oneof![
        6 => mutant,
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => any::<String>().prop_map(String::into_bytes),
    ];
    any_bytes.prop_map(Bytes)
}

macro_rules! hold {
    ($($name:ident: $target:ident in $cases:literal,)*) => {$(
        #[test]
        fn $name() {
            static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
            let seeds = SEEDS.get_or_init(|| seeds(stringify!($target)));
            for seed in seeds {
                properties::$target(seed);
            }
            proptest!(ProptestConfig::with_cases($cases), |(data in bytes(seeds))| {
                properties::$target(&data.0);
            });
        }
    )*};
}

hold! {
    no_page_is_put_together_wrongly: blocks in 300,
    no_status_is_misread: status in 2000,
    no_list_is_misread: list in 2000,
    no_error_is_misread: error in 2000,
    no_configuration_is_misread: config in 2000,
    no_web_configuration_is_misread: web in 2000,
    no_text_is_written_wrongly: escaping in 2000,
    no_accept_is_misread: accept in 2000,
}
