//! Text to terms: words, their parts and what neighbouring words make together, stemmed, so that `source maps`, `sourcemaps`, `source-map` and `SourceMap`
//! meet.

use std::collections::{BTreeMap, HashSet};

use rust_stemmers::{Algorithm, Stemmer};

use crate::knowledge;

/// What a part of a compound (`Tracing` in `browserTracing`) counts against a whole word.
const PART: f64 = 0.3;

/// What verbs take to make the nouns that features are called by: log in, check out, back up.
const PARTICLES: [&str; 6] = ["in", "on", "off", "out", "up", "down"];

/// Words longer than this are data (hashes, base64), not language.
const LONGEST_WORD: usize = 40;

/// No text has more words than this looked at: a pasted log must not cost seconds.
const MOST_WORDS: usize = 4_000;

/// One term of a text, with what it counts and how it was written there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    pub(crate) weight: f64,
    pub(crate) written: String,
}

/// Turns texts into terms. Cheap to use, costs a few microseconds to build.
pub(crate) struct Words {
    stemmer: Stemmer,
    function_words: HashSet<&'static str>,
    software_talk: HashSet<String>,
}

impl Words {
    pub(crate) fn new() -> Self {
        let stemmer = Stemmer::create(Algorithm::English);
        let software_talk = knowledge::software_talk().map(|word| stemmer.stem(word).into_owned()).collect();
        Self { stemmer, function_words: knowledge::function_words().collect(), software_talk }
    }

    pub(crate) fn stem(&self, word: &str) -> String {
        self.stemmer.stem(knowledge::long_form(word)).into_owned()
    }

    /// Whether the (stemmed) term is talk that any repository's requests hold.
    pub(crate) fn is_software_talk(&self, term: &str) -> bool {
        self.software_talk.contains(term)
    }

    /// The terms of a text with their summed weights.
    pub(crate) fn terms(&self, text: &str) -> BTreeMap<String, Term> {
        let mut found = Found { words: self, terms: BTreeMap::new() };
        for phrase in phrases(text) {
            let mut before: Option<String> = None;
            for word in &phrase {
                let low = word.to_lowercase();
                found.add(&low, 1.0, &low);
                let parts = parts(word);
                if (2..8).contains(&parts.len()) {
                    for part in parts.iter().filter(|part| part.chars().count() >= 3) {
                        found.add(part, PART, &low);
                    }
                    for pair in parts.windows(2) {
                        let joined = pair.concat();
                        if joined != low && pair.iter().all(|part| part.chars().count() > 1) {
                            found.add(&joined, PART, &low);
                        }
                    }
                }
                if let Some(before) = before.filter(|before| !self.is_function_word(before)) {
                    let written = format!("{before} {low}");
                    if PARTICLES.contains(&low.as_str()) {
                        // `checking out` is about the `checkout`.
                        found.add(&format!("{}{low}", self.stem(&before)), PART, &written);
                    } else if !self.is_function_word(&low) && before.len() + low.len() >= 5 {
                        found.add(&format!("{before}{low}"), 1.0, &written);
                    }
                }
                before = Some(low);
            }
        }
        found.terms
    }

    /// The plain words of a text in lower case, function words left out.
    pub(crate) fn plain(&self, text: &str) -> Vec<String> {
        phrases(text).into_iter().flatten().map(|word| word.to_lowercase()).filter(|word| !self.is_function_word(word)).collect()
    }

    fn is_function_word(&self, low: &str) -> bool {
        self.function_words.contains(low)
    }
}

struct Found<'a> {
    words: &'a Words,
    terms: BTreeMap<String, Term>,
}

impl Found<'_> {
    fn add(&mut self, low: &str, weight: f64, written: &str) {
        let says_nothing = self.words.is_function_word(low) || low.chars().all(|c| c.is_numeric()) || low.chars().nth(1).is_none();
        if says_nothing || low.chars().count() > LONGEST_WORD {
            return;
        }
        let term = self.terms.entry(self.words.stem(low)).or_insert_with(|| Term { weight: 0.0, written: written.to_owned() });
        term.weight += weight;
    }
}

/// The words of each stretch between punctuation. Words of different stretches are no neighbours.
fn phrases(text: &str) -> Vec<Vec<String>> {
    let mut phrases = vec![Vec::new()];
    let mut word = String::new();
    let mut count = 0;
    let characters: Vec<char> = text.chars().take(LONGEST_WORD * MOST_WORDS).collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or(' ');
    let mut index = 0;
    while index <= characters.len() && count < MOST_WORDS {
        let c = at(index);
        if c.is_alphanumeric() {
            word.push(c);
            index += 1;
            continue;
        }
        if !word.is_empty() {
            let before = if index > word.chars().count() { at(index - word.chars().count() - 1) } else { ' ' };
            let phrase_word = match (word.to_ascii_lowercase().as_str(), c, at(index + 1)) {
                ("c", '+', '+') => "cpp".to_owned(),
                ("c", '#', _) => "csharp".to_owned(),
                ("net", _, _) if before == '.' => "dotnet".to_owned(),
                _ => std::mem::take(&mut word),
            };
            word.clear();
            if let Some(phrase) = phrases.last_mut() {
                phrase.push(phrase_word);
            }
            count += 1;
        }
        let alone = index > 0 && at(index - 1).is_whitespace() && at(index + 1).is_whitespace();
        let breaks = match c {
            ',' | ';' | ':' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\n' => true,
            '.' => at(index + 1).is_whitespace(),
            '-' | '–' | '—' | '|' | '/' => alone,
            _ => false,
        };
        if breaks && phrases.last().is_some_and(|phrase| !phrase.is_empty()) {
            phrases.push(Vec::new());
        }
        index += 1;
    }
    phrases
}

/// `browserTracing2Go` → `browser`, `tracing`, `2`, `go`; `HTTPServer` → `http`, `server`. Lower case.
fn parts(word: &str) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    let mut parts: Vec<String> = Vec::new();
    for (index, &c) in characters.iter().enumerate() {
        let starts = match index.checked_sub(1).map(|before| characters[before]) {
            None => true,
            Some(before) => {
                let after_is_lower = characters.get(index + 1).is_some_and(|c| c.is_lowercase());
                (before.is_lowercase() && c.is_uppercase())
                    || (before.is_uppercase() && c.is_uppercase() && after_is_lower)
                    || (before.is_numeric() != c.is_numeric())
            }
        };
        if starts {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.extend(c.to_lowercase());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn has(text: &str, term: &str) -> bool {
        let words = Words::new();
        words.terms(text).contains_key(&words.stem(term))
    }

    #[test]
    fn spellings_of_one_thing_meet() {
        for text in ["source maps", "sourcemaps", "source-map", "sourceMap", "source_maps are broken", "SourceMap"] {
            assert!(has(text, "sourcemap"), "{text}");
        }
    }

    #[test]
    fn compounds_give_their_parts_too() {
        assert_eq!(parts("browserTracingIntegration"), ["browser", "tracing", "integration"]);
        assert_eq!(parts("HTTPServer"), ["http", "server"]);
        assert_eq!(parts("log4j"), ["log", "4", "j"]);
        assert!(has("browserTracingIntegration", "tracing"));
        assert!(Words::new().terms("browserTracing")["trace"].weight < 1.0);
    }

    #[test]
    fn words_beyond_punctuation_are_no_neighbours() {
        assert!(!has("open the source, maps are elsewhere", "sourcemaps"));
        assert!(!has("use the source. Maps follow", "sourcemaps"));
    }

    #[test]
    fn languages_with_signs_keep_their_names() {
        assert!(has("a C++ binary", "cpp"));
        assert!(has("the C# client", "csharp"));
        assert!(has("for .NET 8", "dotnet"));
    }

    proptest! {
        #[test]
        fn any_text_has_terms(text in "\\PC{0,200}", ascii in "[ -~\\n]{0,200}") {
            let words = Words::new();
            for term in words.terms(&text).values().chain(words.terms(&ascii).values()) {
                prop_assert!(term.weight > 0.0);
            }
        }
    }
}
