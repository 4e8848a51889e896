//! Decides which repository a request is about: what is said outright, else the model, else the words.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use longshore_session::{RepoName, RepositoryProfile};
use tokio::time::Instant;

use crate::{
    explicit,
    lexical::{Candidate, LexicalRanker, Query, Ranking},
    model::{Choice, ModelAnswer, ModelClassifier},
    small_talk,
};

/// Any OpenAI-compatible endpoint.
#[derive(Clone)]
pub struct ModelConfig {
    /// Up to and with the version, such as `https://api.openai.com/v1`.
    pub base_url: String,
    pub api_key: String,
    pub model: String,
}

impl std::fmt::Debug for ModelConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelConfig").field("base_url", &self.base_url).field("model", &self.model).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub struct Config {
    pub model: Option<ModelConfig>,
    /// After this the model's answer is no longer waited for.
    pub time_limit: Duration,
    /// Least confidence of the model (0 to 1) at which its choice is taken.
    pub threshold: f64,
    /// Least [`Ranking::familiarity`] at which the lexical ranker's choice is taken. Another scale than `threshold`.
    pub familiarity_threshold: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { model: None, time_limit: Duration::from_secs(3), threshold: 0.5, familiarity_threshold: 0.65 }
    }
}

/// A person waits for it, but not for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Two best candidates closer than this say nothing about which of them it is.
pub(crate) const TIE: f64 = 0.01;

/// How many candidates a decision offers.
const OFFERED: usize = 5;

/// An earlier request, and the repository that people chose for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    pub text: String,
    pub repo: RepoName,
}

/// What somebody asked, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Without the mention of the bot.
    pub message: String,
    /// The thread's earlier messages, oldest first.
    pub thread: Vec<String>,
    pub channel: Option<String>,
    pub corrections: Vec<Correction>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// `confidence` is 0 to 1.
    Repository { repo: RepoName, confidence: f64 },
    /// Ask, with the decision's candidates.
    Unknown,
    /// A greeting, thanks, a question about the bot itself: answer without a sandbox.
    NoRepositoryNeeded,
}

/// Why the words decided and not the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyLexical {
    ModelMissing,
    ModelTimedOut,
    ModelFailed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    /// The message names the repository.
    Explicit,
    Model,
    Lexical {
        why: WhyLexical,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub verdict: Verdict,
    /// For a picker, best first; up to five, all of them existing.
    pub candidates: Vec<Candidate>,
    /// One short line for the person who asked.
    pub reason: String,
    pub decided_by: DecidedBy,
    pub elapsed: Duration,
}

/// Works out repositories. With a model, the process must have installed a rustls crypto provider before one is built.
pub struct Classifier {
    model: Option<ModelClassifier>,
    time_limit: Duration,
    threshold: f64,
    familiarity_threshold: f64,
    /// The ranker of the last call: profiles and corrections seldom change, and building one costs far more than asking it.
    ranker: Mutex<Option<Arc<Prepared>>>,
}

struct Prepared {
    /// With what people chose for earlier requests as examples.
    profiles: Vec<RepositoryProfile>,
    ranker: LexicalRanker,
}

impl Classifier {
    pub fn new(config: Config) -> Self {
        Self {
            model: config.model.as_ref().map(ModelClassifier::new),
            time_limit: config.time_limit,
            threshold: config.threshold,
            familiarity_threshold: config.familiarity_threshold,
            ranker: Mutex::default(),
        }
    }

    /// Never fails and never takes longer than the time limit (and a few milliseconds): whatever goes wrong with the model, the words decide.
    pub async fn classify(&self, request: &Request, profiles: &[RepositoryProfile]) -> Decision {
        let begun = Instant::now();
        let ranking = self.rank(request, profiles);
        let mut decision = self.decide(request, profiles, ranking).await;
        decision.elapsed = begun.elapsed();
        decision
    }

    /// The words' ranking.
    fn rank(&self, request: &Request, profiles: &[RepositoryProfile]) -> Ranking {
        let thread = request.thread.join("\n");
        let profiles = taught(request, profiles);
        let prepared = {
            // What a panicking thread left is whole: it is replaced in one go.
            let mut last = self.ranker.lock().unwrap_or_else(PoisonError::into_inner);
            match last.as_ref().filter(|prepared| prepared.profiles == profiles) {
                Some(prepared) => Arc::clone(prepared),
                None => {
                    let prepared = Arc::new(Prepared { ranker: LexicalRanker::new(&profiles), profiles });
                    *last = Some(Arc::clone(&prepared));
                    prepared
                }
            }
        };
        prepared.ranker.rank(&Query { message: &request.message, context: &thread, channel: request.channel.as_deref() })
    }

    /// Answers what needs no repository. None without a model, or where it does not answer within [`ANSWER_LIMIT`].
    pub async fn answer(&self, request: &Request, profiles: &[RepositoryProfile]) -> Option<String> {
        let model = self.model.as_ref()?;
        match tokio::time::timeout(ANSWER_LIMIT, model.answer(request, profiles)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the model gives no answer");
                None
            }
            Err(_) => {
                tracing::warn!("the model's answer took too long");
                None
            }
        }
    }

    async fn decide(&self, request: &Request, profiles: &[RepositoryProfile], ranking: Ranking) -> Decision {
        if let Some(repo) = explicit::named_repository(&request.message, profiles) {
            return Decision {
                candidates: first(std::slice::from_ref(&repo), &ranking, "named in the message"),
                verdict: Verdict::Repository { repo, confidence: 1.0 },
                reason: "the message names it".to_owned(),
                decided_by: DecidedBy::Explicit,
                elapsed: Duration::ZERO,
            };
        }
        let why = match &self.model {
            None => WhyLexical::ModelMissing,
            Some(model) => match tokio::time::timeout(self.time_limit, model.ask(request, profiles)).await {
                Ok(Ok(answer)) => return self.by_model(answer, &ranking),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the model did not choose a repository, the words decide");
                    WhyLexical::ModelFailed
                }
                Err(_) => {
                    tracing::warn!(
                        limit_ms = self.time_limit.as_millis(),
                        "the model took too long to choose a repository, the words decide"
                    );
                    WhyLexical::ModelTimedOut
                }
            },
        };
        self.by_words(request, ranking, why)
    }

    fn by_model(&self, answer: ModelAnswer, ranking: &Ranking) -> Decision {
        let ModelAnswer { choice, confidence, reason, candidates } = answer;
        let mut offered = candidates;
        if let Choice::Repository(repo) = &choice {
            offered.retain(|other| other != repo);
            offered.insert(0, repo.clone());
        }
        let mut candidates = first(&offered, ranking, "the model's choice");
        let verdict = match choice {
            Choice::None => Verdict::NoRepositoryNeeded,
            Choice::Repository(repo) => {
                if let Some(candidate) = candidates.first_mut() {
                    candidate.score = confidence;
                    candidate.reason.clone_from(&reason);
                }
                if confidence >= self.threshold { Verdict::Repository { repo, confidence } } else { Verdict::Unknown }
            }
            Choice::Unknown => Verdict::Unknown,
        };
        Decision { verdict, candidates, reason, decided_by: DecidedBy::Model, elapsed: Duration::ZERO }
    }

    fn by_words(&self, request: &Request, ranking: Ranking, why: WhyLexical) -> Decision {
        let best = ranking.candidates.first();
        let second = ranking.candidates.get(1).map_or(0.0, |second| second.score);
        let (verdict, reason) = match best {
            _ if small_talk::needs_no_repository(request) => (Verdict::NoRepositoryNeeded, "this needs no repository".to_owned()),
            Some(best) if ranking.familiarity >= self.familiarity_threshold && best.score - second >= TIE => {
                (Verdict::Repository { repo: best.repo.clone(), confidence: best.score }, best.reason.clone())
            }
            Some(_) if ranking.familiarity >= self.familiarity_threshold => {
                (Verdict::Unknown, "several repositories fit equally well".to_owned())
            }
            _ => (Verdict::Unknown, "nothing in the text points clearly to one repository".to_owned()),
        };
        let candidates = ranking.candidates.into_iter().take(OFFERED).collect();
        Decision { verdict, candidates, reason, decided_by: DecidedBy::Lexical { why }, elapsed: Duration::ZERO }
    }
}

/// What people chose for earlier requests counts as an example of that repository.
fn taught(request: &Request, profiles: &[RepositoryProfile]) -> Vec<RepositoryProfile> {
    let mut taught = profiles.to_vec();
    for profile in &mut taught {
        let chosen = request.corrections.iter().filter(|correction| correction.repo == profile.repo);
        profile.examples.extend(chosen.map(|correction| correction.text.clone()));
    }
    taught
}

/// These repositories first, then the words' best others.
fn first(repos: &[RepoName], ranking: &Ranking, reason: &str) -> Vec<Candidate> {
    let score =
        |repo: &RepoName| ranking.candidates.iter().find(|candidate| candidate.repo == *repo).map_or(0.0, |candidate| candidate.score);
    let named = repos.iter().map(|repo| Candidate { repo: repo.clone(), score: score(repo), reason: reason.to_owned() });
    let others = ranking.candidates.iter().filter(|candidate| !repos.contains(&candidate.repo)).cloned();
    named.chain(others).take(OFFERED).collect()
}

#[cfg(test)]
mod tests;
