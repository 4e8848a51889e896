//! Decides which repository a request is about: what is said outright, else the model, else the words.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use longshore_session::{RepoName, RepositoryProfile};
use tokio::time::Instant;

use crate::{
    explicit,
    learn::{Learned, Learner},
    lexical::{Candidate, NOTHING, Query, Ranking},
    model::{Choice, ModelAnswer, ModelClassifier},
    rules::RoutingRules,
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
    /// What operators decided beforehand.
    pub rules: RoutingRules,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            time_limit: Duration::from_secs(3),
            threshold: 0.5,
            familiarity_threshold: 0.65,
            rules: RoutingRules::default(),
        }
    }
}

/// A person waits for it, but not for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Two best candidates closer than this say nothing about which of them it is.
pub(crate) const TIE: f64 = 0.01;

/// How many candidates a decision offers.
const OFFERED: usize = 5;

/// How many earlier choices the model is shown: those most like the request.
const SHOWN: usize = 12;

/// An earlier request, and the repository that people chose for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    pub text: String,
    /// None: people said that it is about none of the repositories.
    pub repo: Option<RepoName>,
}

/// What somebody asked, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Without the mention of the bot.
    pub message: String,
    /// The thread's earlier messages, oldest first.
    pub thread: Vec<String>,
    pub channel: Option<String>,
    /// What people chose before, oldest first. The classifier keeps what it learnt of them, so that only new ones at the end cost anything.
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
    /// A keyword rule of the operator's.
    Rule,
    /// Nothing was sure, and the channel has a default.
    ChannelDefault,
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
    rules: RoutingRules,
    /// What the last call learnt: profiles and corrections seldom change, and learning costs far more than asking.
    prepared: Mutex<Option<Prepared>>,
}

struct Prepared {
    profiles: Vec<RepositoryProfile>,
    corrections: Vec<Correction>,
    learner: Learner,
    learned: Arc<Learned>,
}

impl Prepared {
    fn new(profiles: &[RepositoryProfile]) -> Self {
        let learner = Learner::new(profiles);
        Self { profiles: profiles.to_vec(), corrections: Vec::new(), learned: Arc::new(learner.fit()), learner }
    }

    /// Learns what is new. `corrections` begins with those known already.
    fn learn(&mut self, corrections: &[Correction]) {
        let new = &corrections[self.corrections.len()..];
        if !new.is_empty() {
            new.iter().for_each(|correction| self.learner.learn(correction));
            self.corrections.extend_from_slice(new);
            self.learned = Arc::new(self.learner.fit());
        }
    }
}

impl Classifier {
    pub fn new(config: Config) -> Self {
        Self {
            model: config.model.as_ref().map(ModelClassifier::new),
            time_limit: config.time_limit,
            threshold: config.threshold,
            familiarity_threshold: config.familiarity_threshold,
            rules: config.rules,
            prepared: Mutex::default(),
        }
    }

    /// Never fails and never takes longer than the time limit (and a few milliseconds): whatever goes wrong with the model, the words decide.
    pub async fn classify(&self, request: &Request, profiles: &[RepositoryProfile]) -> Decision {
        let begun = Instant::now();
        let learned = self.learned(&request.corrections, profiles);
        let thread = request.thread.join("\n");
        let query = Query { message: &request.message, context: &thread, channel: request.channel.as_deref() };
        let ranking = learned.rank(&query);
        let similar = learned.similar(&query, SHOWN);
        let mut decision = self.decide(request, profiles, &similar, ranking).await;
        self.apply_channel_default(request, profiles, &mut decision);
        decision.elapsed = begun.elapsed();
        decision
    }

    /// The repositories that words, channel or earlier picks speak for, best first, at most five: without a model, so in milliseconds.
    pub fn likely(&self, request: &Request, profiles: &[RepositoryProfile]) -> Vec<Candidate> {
        let thread = request.thread.join("\n");
        let query = Query { message: &request.message, context: &thread, channel: request.channel.as_deref() };
        let ranking = self.learned(&request.corrections, profiles).rank(&query);
        ranking.candidates.into_iter().filter(|candidate| candidate.reason != NOTHING).take(OFFERED).collect()
    }

    fn learned(&self, corrections: &[Correction], profiles: &[RepositoryProfile]) -> Arc<Learned> {
        let mut last = self.prepared.lock().unwrap_or_else(|poisoned| {
            // What a panicking thread left may be half learnt.
            let mut last = poisoned.into_inner();
            *last = None;
            last
        });
        let known = last.take().filter(|prepared| prepared.profiles == profiles && corrections.starts_with(&prepared.corrections));
        let prepared = last.insert(known.unwrap_or_else(|| Prepared::new(profiles)));
        prepared.learn(corrections);
        Arc::clone(&prepared.learned)
    }

    /// Answers what needs no repository. None without a model, or where it does not answer within half a minute.
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

    async fn decide(&self, request: &Request, profiles: &[RepositoryProfile], similar: &[&Correction], ranking: Ranking) -> Decision {
        if let Some(repo) = explicit::named_repository(&request.message, profiles) {
            return Decision {
                candidates: first(std::slice::from_ref(&repo), &ranking, "named in the message"),
                verdict: Verdict::Repository { repo, confidence: 1.0 },
                reason: "the message names it".to_owned(),
                decided_by: DecidedBy::Explicit,
                elapsed: Duration::ZERO,
            };
        }
        if let Some((keyword, repo)) = self.rules.by_keyword(&request.message, profiles) {
            return Decision {
                candidates: first(std::slice::from_ref(repo), &ranking, "a rule decides"),
                verdict: Verdict::Repository { repo: repo.clone(), confidence: 1.0 },
                reason: format!("a rule says that “{keyword}” belongs to {repo}"),
                decided_by: DecidedBy::Rule,
                elapsed: Duration::ZERO,
            };
        }
        let why = match &self.model {
            None => WhyLexical::ModelMissing,
            Some(model) => match tokio::time::timeout(self.time_limit, model.ask(request, profiles, similar)).await {
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

    /// Where the decision is to ask, and the channel has a default, that is the answer.
    fn apply_channel_default(&self, request: &Request, profiles: &[RepositoryProfile], decision: &mut Decision) {
        if decision.verdict != Verdict::Unknown {
            return;
        }
        let Some(channel) = request.channel.as_deref() else { return };
        let Some(repo) = self.rules.by_channel(channel, profiles) else { return };
        let known = decision.candidates.iter().position(|candidate| candidate.repo == *repo).map(|index| decision.candidates.remove(index));
        let confidence = known.map_or(0.0, |candidate| candidate.score);
        let reason = format!("{repo} is the default of #{}", channel.trim().trim_start_matches('#'));
        decision.candidates.insert(0, Candidate { repo: repo.clone(), score: confidence, reason: reason.clone() });
        decision.candidates.truncate(OFFERED);
        decision.verdict = Verdict::Repository { repo: repo.clone(), confidence };
        decision.reason = reason;
        decision.decided_by = DecidedBy::ChannelDefault;
    }

    fn by_model(&self, answer: ModelAnswer, ranking: &Ranking) -> Decision {
        let ModelAnswer { choice, confidence, reason, candidates } = answer;
        let mut offered = candidates;
        if let Choice::Repository(repo) = &choice {
            offered.retain(|other| other != repo);
            offered.insert(0, repo.clone());
        }
        let mut candidates = first(&offered, ranking, "");
        // The model gives a reason for its first choice alone; what speaks for the others is what the words and earlier picks say.
        for candidate in candidates.iter_mut().filter(|candidate| offered.contains(&candidate.repo)) {
            let found = ranking.candidates.iter().find(|other| other.repo == candidate.repo).map(|other| other.reason.as_str());
            candidate.reason = match found {
                Some(reason) if reason != NOTHING => format!("{reason}; the model thinks of it, too"),
                _ => "the model thinks of it, though no word points to it".to_owned(),
            };
        }
        let verdict = match choice {
            Choice::None => Verdict::NoRepositoryNeeded,
            Choice::Repository(repo) => {
                if let Some(candidate) = candidates.first_mut() {
                    candidate.score = confidence;
                    if !reason.is_empty() {
                        candidate.reason.clone_from(&reason);
                    }
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
