//! The ranker that needs no model: weighted words of the manifests against the words of the request.
//!
//! BM25's ideas on a handful of short documents. Each field of a profile counts with its weight, repeated evidence saturates, and a word that only one
//! repository has counts more than one that all share. Words that no profile has are compared by their trigrams. What remains is turned into a score by two
//! questions: does the request speak of any of these repositories at all (*familiarity*), and if so, of which.

use std::collections::{BTreeMap, HashMap, HashSet};

use longshore_session::{RepoName, RepositoryProfile};

use crate::{
    knowledge,
    words::{Term, Words},
};

/// A request as the ranker sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// What the person wrote, or a title.
    pub message: &'a str,
    /// What stands around it: the thread so far, or the text below a title.
    pub context: &'a str,
    /// Name of the channel, with or without `#`.
    pub channel: Option<&'a str>,
}

/// One repository that a request may be about.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub repo: RepoName,
    /// 0 to 1; the candidates' scores add up to at most 1.
    pub score: f64,
    /// For people: what spoke for it.
    pub reason: String,
}

/// All repositories by descending score, and how far the request speaks of any of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    pub candidates: Vec<Candidate>,
    /// 0 to 1: how likely the request is about one of these repositories at all.
    pub familiarity: f64,
}

/// What each kind of evidence counts. `docs/routing.md` says how these were chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weights {
    pub(crate) name: f64,
    pub(crate) description: f64,
    pub(crate) keywords: f64,
    pub(crate) examples: f64,
    pub(crate) languages: f64,
    /// Words of the ecosystem of a language or platform that a field names.
    pub(crate) ecosystem: f64,
    pub(crate) channels: f64,
    pub(crate) vocabulary: f64,
    /// The thread's or body's words against the message's.
    pub(crate) context: f64,
}

impl Weights {
    pub(crate) const CHOSEN: Self = Self {
        name: 2.0,
        description: 1.0,
        keywords: 2.0,
        examples: 1.0,
        languages: 1.0,
        ecosystem: 0.5,
        channels: 1.0,
        vocabulary: 0.2,
        context: 0.5,
    };
}

/// Evidence at which a field's word counts half of what it can count at most.
const SATURATION: f64 = 3.0;
/// The reason where there is none.
pub(crate) const NOTHING: &str = "nothing in the text points to it";
/// Software talk against other words.
const TALK: f64 = 0.4;
/// A similar word against the same word, and the least similarity (Dice's coefficient of the trigrams).
const SIMILAR: f64 = 0.3;
const LEAST_SIMILARITY: f64 = 0.7;
/// A channel that a manifest names: as much as two or three words of a description that only that repository has, so that a clear message outweighs it.
const CHANNEL: f64 = 0.75;
/// The channel name's own words against the message's.
const CHANNEL_WORDS: f64 = 0.5;
/// More vocabulary than this counts less per word, so that a large repository does not win by its size.
const FULL_VOCABULARY: usize = 200;
/// Calibration: fitted by maximum likelihood, see `docs/routing.md`.
const SHARPNESS: f64 = 7.0;
const FAMILIARITY: (f64, f64) = (60.0, -1.4);

/// Ranks repositories for requests without a model. Deterministic. Build it once for a set of profiles: that costs far more than ranking.
pub struct LexicalRanker {
    words: Words,
    weights: Weights,
    repos: Vec<RepoName>,
    /// For each term its strength (0 to 1) in the repositories that have it.
    strengths: Vec<Vec<(usize, f64)>>,
    rarity: Vec<f64>,
    terms: HashMap<String, usize>,
    /// The trigrams of each term, and which terms have a trigram.
    trigrams: Vec<HashSet<[char; 3]>>,
    with_trigram: HashMap<[char; 3], Vec<usize>>,
    channels: HashMap<String, Vec<usize>>,
}

impl LexicalRanker {
    pub fn new(profiles: &[RepositoryProfile]) -> Self {
        Self::with_weights(profiles, Weights::CHOSEN)
    }

    pub(crate) fn with_weights(profiles: &[RepositoryProfile], weights: Weights) -> Self {
        let words = Words::new();
        let documents: Vec<BTreeMap<String, f64>> = profiles.iter().map(|profile| document(&words, &weights, profile)).collect();
        let mut postings: BTreeMap<String, Vec<(usize, f64)>> = BTreeMap::new();
        for (index, document) in documents.into_iter().enumerate() {
            for (term, evidence) in document {
                postings.entry(term).or_default().push((index, evidence / (evidence + SATURATION)));
            }
        }
        let mut channels: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, profile) in profiles.iter().enumerate() {
            for channel in &profile.slack_channels {
                channels.entry(channel_name(channel)).or_default().push(index);
            }
        }
        let mut ranker = Self {
            words,
            weights,
            repos: profiles.iter().map(|profile| profile.repo.clone()).collect(),
            strengths: Vec::with_capacity(postings.len()),
            rarity: Vec::with_capacity(postings.len()),
            terms: HashMap::with_capacity(postings.len()),
            trigrams: Vec::with_capacity(postings.len()),
            with_trigram: HashMap::new(),
            channels,
        };
        for (id, (term, strengths)) in postings.into_iter().enumerate() {
            ranker.rarity.push(rarity(ranker.repos.len(), spread(&strengths)));
            let trigrams = if term.chars().count() >= 4 { trigrams(&term) } else { HashSet::new() };
            for trigram in &trigrams {
                ranker.with_trigram.entry(*trigram).or_default().push(id);
            }
            ranker.trigrams.push(trigrams);
            ranker.strengths.push(strengths);
            ranker.terms.insert(term, id);
        }
        ranker
    }

    /// All repositories, best first. Where nothing speaks for any, the order is the names'.
    pub fn rank(&self, query: &Query<'_>) -> Ranking {
        let mut evidence = vec![Evidence::default(); self.repos.len()];
        // What the request says in all, in the same unit: evidence is weighed against it, or long texts would always seem familiar.
        let mut said = 0.0;
        let unseen = 1.2 * rarity(self.repos.len(), 1.0);
        for (term, asked) in self.asked(query) {
            let weight = asked.weight * if self.words.is_software_talk(&term) { TALK } else { 1.0 };
            if let Some(&id) = self.terms.get(&term) {
                said += weight * self.rarity[id];
                for &(repo, strength) in &self.strengths[id] {
                    evidence[repo].add(weight * strength * self.rarity[id], &asked.written);
                }
            } else {
                said += weight * unseen;
                let similar = self.similar(&term);
                let rarity = rarity(self.repos.len(), spread(&similar));
                for (repo, strength) in similar {
                    evidence[repo].add(SIMILAR * weight * strength * rarity, &asked.written);
                }
            }
        }
        if let Some(channel) = query.channel.map(channel_name)
            && let Some(repos) = self.channels.get(&channel)
        {
            for &repo in repos {
                evidence[repo].add(CHANNEL * rarity(self.repos.len(), repos.len() as f64), &format!("#{channel}"));
            }
        }
        self.calibrate(evidence, said)
    }

    /// The terms of the whole request, each with what it counts and how it was written first.
    fn asked(&self, query: &Query<'_>) -> BTreeMap<String, Term> {
        // A channel that a manifest names is evidence as a whole, and not once more by its words.
        let channel: String = query.channel.map(channel_name).filter(|channel| !self.channels.contains_key(channel)).unwrap_or_default();
        let channel: Vec<&str> = channel.split(['-', '_']).filter(|word| !knowledge::is_channel_word(word)).collect();
        let channel = channel.join(" ");
        let mut asked: BTreeMap<String, Term> = BTreeMap::new();
        for (text, weight) in [(query.message, 1.0), (query.context, self.weights.context), (channel.as_str(), CHANNEL_WORDS)] {
            for (term, Term { weight: count, written }) in self.words.terms(text) {
                // Twice the same word says little more than once.
                let saturated = 2.0 * count / (count + 1.0);
                asked.entry(term).or_insert(Term { weight: 0.0, written }).weight += weight * saturated;
            }
        }
        asked
    }

    /// For each repository its strongest term that is spelled much like this one.
    fn similar(&self, term: &str) -> Vec<(usize, f64)> {
        if term.chars().count() < 4 {
            return Vec::new();
        }
        let own = trigrams(term);
        let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
        for id in own.iter().filter_map(|trigram| self.with_trigram.get(trigram)).flatten() {
            *shared.entry(*id).or_default() += 1;
        }
        let mut best: BTreeMap<usize, f64> = BTreeMap::new();
        for (id, shared) in shared {
            let dice = 2.0 * shared as f64 / (own.len() + self.trigrams[id].len()) as f64;
            if dice >= LEAST_SIMILARITY {
                for &(repo, strength) in &self.strengths[id] {
                    let best = best.entry(repo).or_default();
                    *best = best.max(dice * strength);
                }
            }
        }
        best.into_iter().collect()
    }

    fn calibrate(&self, evidence: Vec<Evidence>, said: f64) -> Ranking {
        let said = said.max(f64::MIN_POSITIVE);
        let most = evidence.iter().map(|evidence| evidence.sum).fold(0.0, f64::max);
        let familiarity = if most > 0.0 { 1.0 / (1.0 + (-(FAMILIARITY.0 * (most / said).min(1.0) + FAMILIARITY.1)).exp()) } else { 0.0 };
        let shares: Vec<f64> = evidence.iter().map(|evidence| (SHARPNESS * (evidence.sum - most) / said.max(1.0).sqrt()).exp()).collect();
        let all: f64 = shares.iter().sum();
        let mut candidates: Vec<Candidate> = evidence
            .iter()
            .zip(&self.repos)
            .zip(shares)
            .map(|((evidence, repo), share)| Candidate { repo: repo.clone(), score: familiarity * share / all, reason: evidence.reason() })
            .collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.repo.cmp(&b.repo)));
        Ranking { candidates, familiarity }
    }
}

/// What speaks for one repository.
#[derive(Debug, Clone, Default)]
struct Evidence {
    sum: f64,
    words: Vec<(f64, String)>,
}

impl Evidence {
    fn add(&mut self, amount: f64, written: &str) {
        self.sum += amount;
        self.words.push((amount, written.to_owned()));
    }

    /// The three strongest words, and the channel; a word within one already named is not repeated.
    fn reason(&self) -> String {
        let (channels, mut words): (Vec<_>, Vec<_>) = self.words.iter().partition(|(_, word)| word.starts_with('#'));
        words.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.len().cmp(&a.1.len())).then_with(|| a.1.cmp(&b.1)));
        let mut named: Vec<&str> = Vec::new();
        for (_, word) in words {
            if named.len() < 3 && !named.iter().any(|other| other.contains(word.as_str()) || word.contains(other)) {
                named.push(word);
            }
        }
        let words = (!named.is_empty()).then(|| format!("mentions {}", named.join(", ")));
        let channel = channels.first().map(|(_, channel)| format!("{channel} is mostly about it"));
        let reasons: Vec<String> = words.into_iter().chain(channel).collect();
        if reasons.is_empty() { NOTHING.to_owned() } else { reasons.join("; ") }
    }
}

/// Everything that a profile says, as terms with their evidence.
fn document(words: &Words, weights: &Weights, profile: &RepositoryProfile) -> BTreeMap<String, f64> {
    let mut document = Document { words, weights, terms: BTreeMap::new(), ecosystem: BTreeMap::new() };
    document.add(profile.repo.name(), weights.name);
    document.add(&profile.description, weights.description);
    for keyword in &profile.keywords {
        document.add(keyword, weights.keywords);
    }
    for example in &profile.examples {
        document.add(example, weights.examples);
    }
    // The first language named is the main one; each further counts less, and all together count as much as one.
    let ranks = || (1..=profile.languages.len()).map(|rank| 1.0 / rank as f64);
    let all: f64 = ranks().sum();
    for (language, share) in profile.languages.iter().zip(ranks()) {
        document.add(language, weights.languages * share / all);
    }
    for channel in &profile.slack_channels {
        document.add(&channel_name(channel).replace(['-', '_'], " "), weights.channels);
    }
    let size = profile.vocabulary.len().max(FULL_VOCABULARY);
    let each = weights.vocabulary * (FULL_VOCABULARY as f64 / size as f64).sqrt();
    for word in &profile.vocabulary {
        document.add(word, each);
    }
    document.finish()
}

struct Document<'a> {
    words: &'a Words,
    weights: &'a Weights,
    terms: BTreeMap<String, f64>,
    ecosystem: BTreeMap<String, f64>,
}

impl Document<'_> {
    fn add(&mut self, text: &str, weight: f64) {
        for (term, Term { weight: count, .. }) in self.words.terms(text) {
            *self.terms.entry(term).or_default() += weight * count.min(1.0);
        }
        let whole = text.trim().to_lowercase();
        for word in self.words.plain(text).iter().map(String::as_str).chain([whole.as_str()]) {
            for related in knowledge::ecosystem(knowledge::long_form(word)) {
                let evidence = self.ecosystem.entry(self.words.stem(related)).or_default();
                *evidence = evidence.max(weight);
            }
        }
    }

    fn finish(mut self) -> BTreeMap<String, f64> {
        for (term, evidence) in self.ecosystem {
            *self.terms.entry(term).or_default() += self.weights.ecosystem * evidence;
        }
        self.terms
    }
}

/// In how many repositories a term is at home: one that has it barely counts for less than one that lives by it.
fn spread(strengths: &[(usize, f64)]) -> f64 {
    let most = strengths.iter().map(|(_, strength)| *strength).fold(0.0, f64::max);
    if most > 0.0 { strengths.iter().map(|(_, strength)| strength / most).sum() } else { 0.0 }
}

/// BM25's inverse document frequency.
fn rarity(repositories: usize, spread: f64) -> f64 {
    let repositories = repositories as f64;
    (1.0 + (repositories - spread + 0.5).max(0.0) / (spread + 0.5)).ln()
}

fn trigrams(term: &str) -> HashSet<[char; 3]> {
    let padded: Vec<char> = std::iter::once('<').chain(term.chars()).chain(std::iter::once('>')).collect();
    padded.windows(3).map(|window| [window[0], window[1], window[2]]).collect()
}

fn channel_name(channel: &str) -> String {
    channel.trim().trim_start_matches('#').to_lowercase()
}

#[cfg(test)]
mod tests;
