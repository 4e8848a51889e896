#![doc = include_str!("../README.md")]

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};

/// The longest input: parsers' limits that lie above it have tests of their own.
const LONGEST: usize = 4096;

/// Hands `target` as many inputs as `PROPTEST_CASES` says: what `seeds` look like after something went wrong with them, and bytes of no
/// shape at all. Panics with the smallest input that `target` panics with.
pub fn throw(seeds: &[&[u8]], target: fn(&[u8])) {
    for seed in seeds {
        target(seed);
    }
    // What fails is printed, and goes into the test beside it: no files are left in the tree.
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let run = runner.run(&inputs(seeds), |input| {
        target(&input);
        Ok::<(), TestCaseError>(())
    });
    match run {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{why}\nminimal failing input: b\"{}\"", input.escape_ascii()),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Seeds after up to six accidents, and bytes of no shape.
pub fn inputs(seeds: &[&[u8]]) -> BoxedStrategy<Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    if seeds.is_empty() {
        return bytes.boxed();
    }
    let all = seeds.clone();
    let damaged = (prop::sample::select(seeds), prop::collection::vec(accident(), 0..6)).prop_map(move |(mut input, accidents)| {
        for accident in &accidents {
            accident.befall(&mut input, &all);
        }
        input.truncate(LONGEST);
        input
    });
    prop_oneof![1 => bytes, 8 => damaged].boxed()
}

/// What can happen to an input. Places are shares of its length.
#[derive(Debug, Clone)]
enum Accident {
    /// The rest is missing.
    Cut(Index),
    Change(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    /// A part comes once more, as often as this.
    Repeat(Index, Index, usize),
    /// From here on it is another one of the seeds.
    Become(Index, Index, Index),
    /// A word that parsers treat specially.
    Say(Index, &'static [u8]),
}

const WORDS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"\"",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775807",
    b"0.1",
    b"../",
    b"/",
    b"%2e%2e",
    b"%00",
    b" ",
    b",",
    b":",
    b"0000",
    b"0004",
    b"ffff",
    b"refs/heads/main",
    b"refs/tags/v1",
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    "ü".as_bytes(),
    b"\xff",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

fn accident() -> impl Strategy<Value = Accident> {
    let place = any::<Index>;
    prop_oneof![
        place().prop_map(Accident::Cut),
        (place(), any::<u8>()).prop_map(|(at, byte)| Accident::Change(at, byte)),
        (place(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Accident::Insert(at, bytes)),
        (place(), place()).prop_map(|(from, to)| Accident::Remove(from, to)),
        (place(), place(), 1usize..20).prop_map(|(from, to, times)| Accident::Repeat(from, to, times)),
        (place(), place(), place()).prop_map(|(at, seed, from)| Accident::Become(at, seed, from)),
        (place(), prop::sample::select(WORDS)).prop_map(|(at, word)| Accident::Say(at, word)),
    ]
}

impl Accident {
    fn befall(&self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let ends = input.len() + 1;
        let part = |from: &Index, to: &Index| {
            let (from, to) = (from.index(ends), to.index(ends));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Cut(at) => input.truncate(at.index(ends)),
            Self::Change(at, byte) if !input.is_empty() => {
                let at = at.index(input.len());
                input[at] = *byte;
            }
            Self::Change(..) => {}
            Self::Insert(at, bytes) => {
                let at = at.index(ends);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(from, to) => drop(input.drain(part(from, to))),
            Self::Repeat(from, to, times) => {
                let part = part(from, to);
                let again = input[part.clone()].repeat((*times).min(LONGEST / part.len().max(1)));
                input.splice(part.end..part.end, again);
            }
            Self::Become(at, seed, from) => {
                input.truncate(at.index(ends));
                let seed = &seeds[seed.index(seeds.len())];
                input.extend_from_slice(&seed[from.index(seed.len() + 1)..]);
            }
            Self::Say(at, word) => {
                let at = at.index(ends);
                input.splice(at..at, word.iter().copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    #[should_panic(expected = "minimal failing input")]
    fn a_target_that_panics_is_found() {
        throw(&[b"a seed of some length"], |input| assert!(input.len() < 40));
    }

    #[test]
    fn every_seed_is_tried_as_it_is_and_most_inputs_are_not_it() {
        static WHOLE: AtomicUsize = AtomicUsize::new(0);
        static ALL: AtomicUsize = AtomicUsize::new(0);
        throw(&[b"a seed of some length"], |input| {
            ALL.fetch_add(1, Ordering::Relaxed);
            WHOLE.fetch_add(usize::from(input == b"a seed of some length"), Ordering::Relaxed);
            assert!(input.len() <= LONGEST);
        });
        let (whole, all) = (WHOLE.load(Ordering::Relaxed), ALL.load(Ordering::Relaxed));
        assert!(whole >= 1 && whole * 2 < all, "{whole} of {all}");
    }
}
