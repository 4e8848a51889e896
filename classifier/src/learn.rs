//! Learns from what people picked: how far the words alone were wrong about earlier requests, and for which requests that holds again.
//!
//! A multinomial logistic regression over words and parts of words whose starting point is the words' own ranking. Where the ranking was right about an
//! earlier request there is next to nothing to learn; where it was wrong, the features of that request are moved towards the repository that was chosen. So
//! without any choice the ranking stands, and each further one changes it by as much as it contradicts it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use longshore_session::{RepoName, RepositoryProfile};

use crate::{
    classifier::Correction,
    features::{Counts, Inventory, Vector},
    lexical::{Candidate, LexicalRanker, Query, Ranking},
    words::Words,
};

/// What holds back from believing few choices: the weight of the squared coefficients against one choice's likelihood.
const RESTRAINT: f32 = 0.1;
/// What one phrase of a manifest counts against one choice. It keeps what is learnt from forgetting what the repositories are.
const PHRASE: f32 = 0.3;
/// So many choices are needed until half of what they have in common is known to be nothing special, and until phrases count half.
const FEW: f32 = 10.0;
/// The words are never surer than this of what they say: all alternatives together keep such a share.
const DOUBT: f64 = 0.02;
/// How likely a request without any familiar word is still about one of the repositories, once people choose: they may simply call it something else.
const OTHER_NAMES: f64 = 0.35;
/// A repository that was chosen more often is not likelier for it: people correct what went wrong, not what is frequent. Within these bounds, or a single
/// choice would outweigh hundreds.
const BALANCE: (f32, f32) = (1.0 / 3.0, 3.0);
/// Rounds over all choices, and steps in all up to which there may be more. Three come within a few thousandths of the optimum's accuracy.
const ROUNDS: usize = 3;
const ENOUGH: usize = 2_000;
const MOST_ROUNDS: usize = 10;
/// Only the latest choices are learnt from: enough for hundreds of each repository, and older ones are of repositories as they were.
const LATEST: usize = 2_000;
/// Likeness (0 to 1) from which two requests may be called similar to people.
const SIMILAR: f32 = 0.1;
/// How much (in nats) the choices must speak for a repository to be named as the reason.
const TELLING: f32 = 0.7;

/// How much (in nats) a word must speak for a repository to be shown as learnt.
const AUDIBLE: f32 = 0.05;

/// What there is to learn from. Each choice is looked at once, when it comes; [`Learner::fit`] takes milliseconds.
pub struct Learner {
    ranker: Arc<LexicalRanker>,
    repos: Vec<RepoName>,
    words: Words,
    phrases: Vec<(usize, Counts)>,
    lessons: VecDeque<Lesson>,
}

/// One choice, as it is learnt from.
#[derive(Clone)]
struct Lesson {
    correction: Correction,
    /// The repository's index, or the number of repositories for "none of ours".
    class: usize,
    counts: Counts,
    /// What the words alone say of it.
    prior: Vec<f32>,
}

impl Learner {
    pub fn new(profiles: &[RepositoryProfile]) -> Self {
        let words = Words::new();
        let phrases = profiles.iter().enumerate().flat_map(|(class, profile)| phrases(profile).into_iter().map(move |text| (class, text)));
        Self {
            ranker: Arc::new(LexicalRanker::new(profiles)),
            repos: profiles.iter().map(|profile| profile.repo.clone()).collect(),
            phrases: phrases.map(|(class, text)| (class, Counts::of(&words, &text))).collect(),
            words,
            lessons: VecDeque::new(),
        }
    }

    /// Takes one more choice. One for a repository that there is not teaches nothing.
    pub fn learn(&mut self, correction: &Correction) {
        let class = match &correction.repo {
            None => Some(self.repos.len()),
            Some(repo) => self.repos.iter().position(|other| other == repo),
        };
        let Some(class) = class else { return };
        if self.lessons.len() == LATEST {
            self.lessons.pop_front();
        }
        let ranking = self.ranker.rank(&Query { message: &correction.text, ..Query::default() });
        self.lessons.push_back(Lesson {
            correction: correction.clone(),
            class,
            counts: Counts::of(&self.words, &correction.text),
            prior: prior(&ranking, &self.repos),
        });
    }

    pub fn fit(&self) -> Learned {
        let texts = self.lessons.iter().map(|lesson| (&lesson.counts, 1.0));
        let phrases = self.phrases.iter().map(|(_, counts)| (counts, PHRASE));
        let inventory = Inventory::new(texts.chain(phrases));
        let vectors: Vec<Vector> = self.lessons.iter().map(|lesson| inventory.vector(&lesson.counts)).collect();
        let mut model = Model::new(self.repos.len() + 1, common(&vectors, inventory.len()));
        let mut terms: Vec<Term<'_>> = Vec::with_capacity(self.lessons.len() + self.phrases.len());
        let weights = self.weights();
        for (lesson, vector) in self.lessons.iter().zip(&vectors) {
            terms.push(Term::new(&model, vector.clone(), lesson.class, &lesson.prior, weights[lesson.class]));
        }
        let few = self.lessons.len() as f32 / (self.lessons.len() as f32 + FEW);
        let undecided = vec![0.0; self.repos.len() + 1];
        if !self.lessons.is_empty() {
            for (class, counts) in &self.phrases {
                terms.push(Term::new(&model, inventory.vector(counts), *class, &undecided, PHRASE * few));
            }
        }
        // Few are gone over as often as it takes; with many, each round sees everything many times over.
        for _ in 0..ROUNDS.max(ENOUGH / terms.len().max(1)).min(MOST_ROUNDS) {
            for term in &mut terms {
                model.approach(term);
            }
        }
        Learned {
            ranker: Arc::clone(&self.ranker),
            repos: self.repos.clone(),
            words: Words::new(),
            inventory,
            model,
            choices: self.lessons.iter().map(|lesson| lesson.correction.clone()).zip(vectors).collect(),
        }
    }

    /// What one choice of each class counts.
    fn weights(&self) -> Vec<f32> {
        let mut counts = vec![0_usize; self.repos.len() + 1];
        for lesson in &self.lessons {
            counts[lesson.class] += 1;
        }
        let classes = counts.iter().filter(|count| **count > 0).count().max(1);
        let even = self.lessons.len() as f32 / classes as f32;
        counts.into_iter().map(|count| (even / count.max(1) as f32).clamp(BALANCE.0, BALANCE.1)).collect()
    }
}

/// What was learnt, ready to be asked.
pub struct Learned {
    ranker: Arc<LexicalRanker>,
    repos: Vec<RepoName>,
    words: Words,
    inventory: Inventory,
    model: Model,
    choices: Vec<(Correction, Vector)>,
}

impl Learned {
    /// From these choices, oldest first.
    pub fn new(profiles: &[RepositoryProfile], corrections: &[Correction]) -> Self {
        let mut learner = Learner::new(profiles);
        for correction in corrections {
            learner.learn(correction);
        }
        learner.fit()
    }

    /// How many choices this rests on.
    pub fn choices(&self) -> usize {
        self.choices.len()
    }

    /// The words' ranking, changed by what people chose. Without a choice it is exactly the words'.
    pub fn rank(&self, query: &Query<'_>) -> Ranking {
        let words = self.ranker.rank(query);
        if self.choices.is_empty() {
            return words;
        }
        let vector = self.vector(query);
        let learnt = self.model.say(&vector);
        let prior = prior(&words, &self.repos);
        let shares = shares(prior.iter().zip(&learnt));
        let middle = learnt.iter().sum::<f32>() / learnt.len() as f32;
        let chosen = self.similar_repos(&vector);
        let mut candidates: Vec<Candidate> = words.candidates;
        for candidate in &mut candidates {
            let Some(index) = self.repos.iter().position(|repo| *repo == candidate.repo) else { continue };
            candidate.score = shares[index];
            if learnt[index] - middle >= TELLING && chosen[index] {
                let earlier = format!("people chose {} for similar requests", candidate.repo);
                let alone = learnt[index] - middle >= prior[index] - prior.iter().sum::<f32>() / prior.len() as f32;
                candidate.reason = if alone { earlier } else { format!("{}; {earlier}", candidate.reason) };
            }
        }
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.repo.cmp(&b.repo)));
        Ranking { familiarity: 1.0 - shares[self.repos.len()], candidates }
    }

    /// The choices most like the request, most alike first, at most so many. One that has nothing in common with it is left out.
    pub fn similar(&self, query: &Query<'_>, most: usize) -> Vec<&Correction> {
        let likeness = self.likeness(&self.vector(query));
        let mut alike: Vec<(usize, f32)> = likeness.into_iter().enumerate().filter(|(_, likeness)| *likeness > 0.0).collect();
        // Of equals the later one.
        alike.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        alike.into_iter().take(most).map(|(index, _)| &self.choices[index].0).collect()
    }

    /// The words of earlier requests that now speak most for a repository, strongest first, at most so many each.
    pub fn telling(&self, most: usize) -> Vec<(RepoName, Vec<String>)> {
        // In a lesson's text with a number every digit is the same one: such a word would tell nobody anything.
        let spoken: BTreeMap<String, String> = self
            .choices
            .iter()
            .flat_map(|(correction, _)| self.words.terms(&correction.text))
            .filter(|(term, _)| !term.contains(|c: char| c.is_ascii_digit()) && !self.words.is_software_talk(term))
            .map(|(term, found)| (term, found.written))
            .collect();
        let said: Vec<(&String, Vec<f32>)> = spoken
            .iter()
            .filter_map(|(term, written)| {
                let number = self.inventory.term(term)?;
                Some((written, self.model.alone(number, self.inventory.rarity(number))))
            })
            .collect();
        let telling = self.repos.iter().enumerate().map(|(class, repo)| {
            let mut words: Vec<(f32, &String)> = said.iter().map(|(written, said)| (said[class], *written)).collect();
            words.retain(|(strength, _)| *strength >= AUDIBLE);
            words.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
            let mut named: Vec<String> = Vec::new();
            for (_, word) in words {
                if named.len() < most && !named.iter().any(|other| other.contains(word.as_str()) || word.contains(other.as_str())) {
                    named.push(word.clone());
                }
            }
            (repo.clone(), named)
        });
        telling.collect()
    }

    fn vector(&self, query: &Query<'_>) -> Vector {
        self.inventory.vector(&Counts::of(&self.words, &format!("{}\n{}", query.message, query.context)))
    }

    fn likeness(&self, vector: &Vector) -> Vec<f32> {
        let mut values = vec![0.0; self.inventory.len()];
        for &(feature, value) in vector {
            values[feature as usize] = value;
        }
        self.choices.iter().map(|(_, choice)| dot(choice, &values)).collect()
    }

    /// For which repositories people chose in a request much like this.
    fn similar_repos(&self, vector: &Vector) -> Vec<bool> {
        let mut chosen = vec![false; self.repos.len()];
        for (likeness, (correction, _)) in self.likeness(vector).into_iter().zip(&self.choices) {
            if likeness >= SIMILAR
                && let Some(index) = correction.repo.as_ref().and_then(|repo| self.repos.iter().position(|other| other == repo))
            {
                chosen[index] = true;
            }
        }
        chosen
    }
}

/// The coefficients: what each feature says for each class, beyond what all choices have in common.
struct Model {
    classes: usize,
    /// Row by row, a feature's coefficients for all classes.
    coefficients: Vec<f32>,
    /// What the choices have in common.
    common: Vec<f32>,
    /// Its square, the sum of the choices' pulls, and the coefficients' product with it.
    square: f32,
    pulls: Vec<f32>,
    offset: Vec<f32>,
}

/// A choice or phrase in the fit.
struct Term<'a> {
    vector: Vector,
    class: usize,
    prior: &'a [f32],
    /// Its weight over the restraint.
    force: f32,
    /// The vector's product with what is common, and the squared length beyond that.
    common: f32,
    length: f32,
    /// What it adds to its features' coefficients for each class.
    pull: Vec<f32>,
}

impl<'a> Term<'a> {
    fn new(model: &Model, vector: Vector, class: usize, prior: &'a [f32], weight: f32) -> Self {
        let common = dot(&vector, &model.common);
        let length = vector.iter().map(|(_, value)| value * value).sum::<f32>() - 2.0 * common + model.square;
        Self { vector, class, prior, force: weight / RESTRAINT, common, length: length.max(0.0), pull: vec![0.0; prior.len()] }
    }
}

impl Model {
    fn new(classes: usize, common: Vec<f32>) -> Self {
        let square = common.iter().map(|value| value * value).sum();
        Self {
            classes,
            coefficients: vec![0.0; classes * common.len()],
            common,
            square,
            pulls: vec![0.0; classes],
            offset: vec![0.0; classes],
        }
    }

    /// What the features say for each class, in nats.
    fn say(&self, vector: &Vector) -> Vec<f32> {
        let common = dot(vector, &self.common);
        self.sum(vector, common)
    }

    /// What one feature by itself says for each class, beyond what it says for all of them.
    fn alone(&self, feature: u32, value: f32) -> Vec<f32> {
        let from = feature as usize * self.classes;
        let said = &self.coefficients[from..from + self.classes];
        let middle = said.iter().sum::<f32>() / said.len() as f32;
        said.iter().map(|said| value * (said - middle)).collect()
    }

    fn sum(&self, vector: &Vector, common: f32) -> Vec<f32> {
        // (x - m) times the sum of pulls times (xi - m), multiplied out so that only the features that occur are touched.
        let mut said: Vec<f32> = self.pulls.iter().zip(&self.offset).map(|(pull, offset)| pull * (self.square - common) - offset).collect();
        for &(feature, value) in vector {
            let from = feature as usize * self.classes;
            for (said, coefficient) in said.iter_mut().zip(&self.coefficients[from..from + self.classes]) {
                *said += value * coefficient;
            }
        }
        said
    }

    /// One step of dual coordinate ascent: at the optimum a term pulls by its force times what the model still gets wrong about it.
    fn approach(&mut self, term: &mut Term<'_>) {
        let said = self.sum(&term.vector, term.common);
        let mut changes: Vec<f32> = shares(said.iter().zip(term.prior)).into_iter().map(|share| share as f32).collect();
        let step = 1.0 / (1.0 + 0.5 * term.force * term.length);
        for (class, change) in changes.iter_mut().enumerate() {
            let wrong = if class == term.class { 1.0 - *change } else { -*change };
            *change = step * (term.force * wrong - term.pull[class]);
            term.pull[class] += *change;
            self.pulls[class] += *change;
            self.offset[class] += *change * term.common;
        }
        for &(feature, value) in &term.vector {
            let from = feature as usize * self.classes;
            for (coefficient, change) in self.coefficients[from..from + self.classes].iter_mut().zip(&changes) {
                *coefficient += value * change;
            }
        }
    }
}

/// Logarithms to shares that add up to 1.
fn shares<'a>(logarithms: impl Iterator<Item = (&'a f32, &'a f32)>) -> Vec<f64> {
    let mut shares: Vec<f64> = logarithms.map(|(one, other)| f64::from(one + other)).collect();
    let most = shares.iter().copied().fold(f64::MIN, f64::max);
    shares.iter_mut().for_each(|share| *share = (*share - most).exp());
    let all: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= all);
    shares
}

fn dot(vector: &Vector, dense: &[f32]) -> f32 {
    vector.iter().map(|(feature, value)| value * dense[*feature as usize]).sum()
}

/// The choices' mean, drawn to nothing while there are few.
fn common(vectors: &[Vector], features: usize) -> Vec<f32> {
    let mut common = vec![0.0; features];
    let share = 1.0 / (vectors.len() as f32 + FEW);
    for &(feature, value) in vectors.iter().flatten() {
        common[feature as usize] += share * value;
    }
    common
}

/// The logarithms of what the words say: each repository in the order of `repos`, then "none of these".
fn prior(ranking: &Ranking, repos: &[RepoName]) -> Vec<f32> {
    let (classes, strange) = ((repos.len() + 1) as f64, 1.0 - ranking.familiarity);
    let doubtful = |share: f64| ((1.0 - DOUBT) * share + DOUBT / classes).ln() as f32;
    let score =
        |repo: &RepoName| ranking.candidates.iter().find(|candidate| candidate.repo == *repo).map_or(0.0, |candidate| candidate.score);
    let other_names = OTHER_NAMES * strange / repos.len().max(1) as f64;
    repos.iter().map(|repo| score(repo) + other_names).chain([(1.0 - OTHER_NAMES) * strange]).map(doubtful).collect()
}

/// What a manifest says, piece by piece.
fn phrases(profile: &RepositoryProfile) -> Vec<String> {
    let sentences = profile.description.split_inclusive(['.', ':', ';']).map(str::trim).filter(|sentence| !sentence.is_empty());
    let names = profile.slack_channels.iter().map(|channel| channel.trim_start_matches('#').replace(['-', '_'], " "));
    let lists = profile.keywords.iter().chain(&profile.languages).chain(&profile.examples).cloned();
    sentences.map(str::to_owned).chain(names).chain(lists).chain([profile.repo.name().replace(['-', '_'], " ")]).collect()
}

#[cfg(test)]
mod tests;
