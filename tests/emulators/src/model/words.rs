//! Words as the scripted model compares them: no case, no endings, no filler.

use std::collections::{BTreeMap, BTreeSet};

const FILLER: &str = "a about again all also although am an and any are as at be been but by can could did do does doesn don down each for from get \
    gets give go got great had has have her his how i if in into is isn it its itself just like ll looks m many me more my nice no not note now of off on \
    one or our out over please put re s same say says see should show shows shown so some t than thank thanks that the their them then there they this \
    those through to too try up us ve very was we were what when where which while who why will with would yes yet you your";

/// The words of a text that say something, in one form each.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    let filler: BTreeSet<&str> = FILLER.split_whitespace().collect();
    let lower = text.to_lowercase();
    let parts = lower.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.filter(|part| !filler.contains(part)).map(stem).collect()
}

/// Charge, charges, charged and charging are one word; so are retry, retries and retried.
fn stem(word: &str) -> String {
    let mut stem = word.to_owned();
    for (ending, least) in [("ing", 6), ("ied", 5), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4)] {
        if stem.len() >= least && stem.ends_with(ending) && !stem.ends_with("ss") && stem.is_ascii() {
            stem.truncate(stem.len() - ending.len());
            if matches!(ending, "ied" | "ies") {
                stem.push('y');
            }
            break;
        }
    }
    let bytes = stem.as_bytes();
    if let [.., a, b] = bytes
        && a == b
        && stem.len() > 4
        && b.is_ascii_alphabetic()
    {
        stem.pop();
    }
    if stem.len() > 3 && stem.ends_with('e') {
        stem.pop();
    }
    stem
}

/// How much each word tells: rare ones more.
#[derive(Debug, Clone, Default)]
pub(super) struct Weights {
    texts: f64,
    holding: BTreeMap<String, f64>,
}

impl Weights {
    pub(super) fn of<T: AsRef<str>>(texts: impl Iterator<Item = T>) -> Self {
        let mut weights = Self::default();
        for text in texts {
            weights.texts += 1.0;
            for word in words(text.as_ref()) {
                *weights.holding.entry(word).or_default() += 1.0;
            }
        }
        weights
    }

    pub(super) fn weight(&self, word: &str) -> f64 {
        let holding = self.holding.get(word).copied().unwrap_or(0.0);
        (1.0 + (self.texts + 1.0) / (holding + 1.0)).ln()
    }

    pub(super) fn sum<'a>(&self, words: impl Iterator<Item = &'a String>) -> f64 {
        words.map(|word| self.weight(word)).sum()
    }

    /// The part of `wanted` that `there` holds, by weight: 0 to 1.
    pub(super) fn share(&self, wanted: &BTreeSet<String>, there: &BTreeSet<String>) -> f64 {
        let all = self.sum(wanted.iter());
        if all == 0.0 { 0.0 } else { self.sum(wanted.intersection(there)) / all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one_word() {
        for forms in ["charge charges charged charging", "retry retries retried retrying", "stop stops stopped stopping", "coupon coupons"]
        {
            assert_eq!(words(forms).len(), 1, "{forms}: {:?}", words(forms));
        }
    }

    #[test]
    fn filler_is_no_word() {
        assert!(words("please, could you do that too? Thanks!").is_empty());
    }
}
