//! Texts as weighted features for learning: what stands in them, down to parts of words, so that `obfuscated` and `obfuscation` have something in common.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
};

use crate::words::Words;

/// Characters of a text that are looked at: what a request is about stands at its beginning, and a pasted log must not drown it.
const MOST: usize = 4_000;

/// Characters of a part of a word. Three to five did no better than four alone, which costs a third.
const GRAM: usize = 4;

/// The two ways a text is looked at. Both have the same say, however many features each finds.
const VIEWS: usize = 2;

/// How often each feature occurs, in each view: the ranker's own terms, and the parts of the words.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts([Vec<(u64, f32)>; VIEWS]);

impl Counts {
    pub(crate) fn of(words: &Words, text: &str) -> Self {
        let text: String = text.chars().take(MOST).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let terms = words.terms(&text).into_iter().map(|(term, found)| (hashed(&term), found.weight as f32)).collect();
        let mut grams: BTreeMap<u64, f32> = BTreeMap::new();
        let mut padded: Vec<char> = Vec::new();
        for word in text.split_whitespace() {
            padded.clear();
            padded.push(' ');
            padded.extend(word.chars().flat_map(char::to_lowercase));
            padded.push(' ');
            for gram in padded.windows(GRAM.min(padded.len())) {
                *grams.entry(hashed(gram)).or_default() += 1.0;
            }
        }
        let mut views = [terms, grams.into_iter().collect::<Vec<_>>()];
        for (_, count) in views.iter_mut().flatten() {
            // The third time says less than the first.
            *count = if *count > 1.0 { 1.0 + count.ln() } else { *count };
        }
        Self(views)
    }
}

fn hashed<T: Hash + ?Sized>(feature: &T) -> u64 {
    // The same in every run: it is built with fixed keys.
    let mut hasher = DefaultHasher::new();
    feature.hash(&mut hasher);
    hasher.finish()
}

/// A text's features by their number in an [`Inventory`]. Its length is 1, or 0 where it has no known feature.
pub(crate) type Vector = Vec<(u32, f32)>;

type Numbers = HashMap<u64, u32, BuildHasherDefault<Hashed>>;

/// Features are hashes already: hashing them again was half of the time that learning took.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, feature: u64) {
        self.0 = feature;
    }
}

/// The features of all texts that are learnt from, each with how much it says: a rare one more than one that is everywhere.
pub(crate) struct Inventory {
    views: [Numbers; VIEWS],
    rarity: Vec<f32>,
}

impl Inventory {
    /// From texts that count as so many each.
    pub(crate) fn new<'a>(texts: impl Iterator<Item = (&'a Counts, f32)>) -> Self {
        let mut views: [Numbers; VIEWS] = Default::default();
        let mut frequency: Vec<f32> = Vec::new();
        let mut all = 0.0;
        for (counts, weight) in texts {
            all += weight;
            for (view, counts) in views.iter_mut().zip(&counts.0) {
                for (feature, _) in counts {
                    let number = *view.entry(*feature).or_insert_with(|| {
                        frequency.push(0.0);
                        frequency.len() as u32 - 1
                    });
                    frequency[number as usize] += weight;
                }
            }
        }
        let rarity = frequency.into_iter().map(|frequency| ((all + 1.0) / (frequency + 1.0)).ln() + 1.0).collect();
        Self { views, rarity }
    }

    pub(crate) fn len(&self) -> usize {
        self.rarity.len()
    }

    /// The number of one of the ranker's own terms.
    pub(crate) fn term(&self, term: &str) -> Option<u32> {
        self.views[0].get(&hashed(term)).copied()
    }

    /// How much a feature says when it occurs, by its number.
    pub(crate) fn rarity(&self, number: u32) -> f32 {
        self.rarity.get(number as usize).copied().unwrap_or(0.0)
    }

    pub(crate) fn vector(&self, counts: &Counts) -> Vector {
        let mut vector = Vector::new();
        for (view, counts) in self.views.iter().zip(&counts.0) {
            let from = vector.len();
            for (feature, count) in counts {
                if let Some(&number) = view.get(feature) {
                    vector.push((number, count * self.rarity[number as usize]));
                }
            }
            let square: f32 = vector[from..].iter().map(|(_, value)| value * value).sum();
            let scale = (square * VIEWS as f32).sqrt().max(f32::MIN_POSITIVE).recip();
            vector[from..].iter_mut().for_each(|(_, value)| *value *= scale);
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn likeness(a: &str, b: &str) -> f32 {
        let words = Words::new();
        let [a, b] = [a, b].map(|text| Counts::of(&words, text));
        let inventory = Inventory::new([(&a, 1.0), (&b, 1.0)].into_iter());
        let (a, b) = (inventory.vector(&a), inventory.vector(&b));
        a.iter().flat_map(|(x, p)| b.iter().filter(move |(y, _)| x == y).map(move |(_, q)| p * q)).sum()
    }

    #[test]
    fn parts_of_words_make_texts_alike() {
        assert!(likeness("obfuscation breaks", "obfuscated names") > 0.05);
        assert_eq!(likeness("obfuscation", "lamps"), 0.0);
        assert!(likeness("since 24.7.1", "with 23.11.0") > 0.0, "numbers are alike by their shape");
    }

    proptest! {
        #[test]
        fn a_text_is_most_like_itself(text in "\\PC{0,200}", other in "[a-z ]{0,80}") {
            let own = likeness(&text, &text);
            prop_assert!(own == 0.0 || (own > 0.45 && own < 1.0 + 1e-4), "{own}");
            prop_assert!(likeness(&text, &other) <= 1.0 + 1e-4);
        }
    }
}
