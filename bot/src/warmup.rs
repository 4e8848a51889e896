//! Early signs that somebody is about to ask for something, and which repositories that will likely be about.
//!
//! A sign comes before a prompt (somebody opens the assistant) or before its routing (a mention arrives). No model is asked: what counts is what the
//! person and the place were about lately. Whoever can use the head start implements [`Warmth`]; the record that `/v1/warmups` shows is the first to do so.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use longshore_api::Typing;
use longshore_classifier::Request;
use longshore_session::{ChannelId, RepoName, SlackUserId, Timestamp};
use serde::Serialize;

use crate::{app::App, home, routing};

/// Repositories that one signal names.
const LIKELY: usize = 5;
/// Sessions of the person, and of the channel, that count.
const RECENT: u32 = 5;
/// Signals that the record holds.
const RECORDED: usize = 100;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The app's messages were opened.
    MessagesOpened,
    /// A thread with the assistant was opened.
    AssistantOpened,
    /// Somebody with the assistant open looks at another channel.
    AssistantMoved,
    /// A mention or a direct message arrived.
    PromptArrived,
    /// A client told that somebody is writing.
    Typing,
}

/// Why a repository is likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The prompt's words.
    Words,
    /// The channel's manifest default.
    ChannelDefault,
    /// The channel is named in the manifest.
    ChannelTalk,
    /// What was asked in the channel lately.
    ChannelSessions,
    /// The person's own default.
    PersonDefault,
    /// What the person asked lately.
    PersonSessions,
    /// The client that told says so.
    Named,
}

/// A repository that may be needed in a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Likely {
    pub repository: RepoName,
    /// More is likelier. Comparable within one signal only.
    pub score: f64,
    pub because: Vec<Because>,
}

/// A sign, and what is likely to follow. Holds nothing of what people wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signal {
    pub at: Timestamp,
    pub sign: Sign,
    pub user: SlackUserId,
    /// Where the person is, as far as the sign tells.
    pub channel: Option<ChannelId>,
    /// Best first.
    pub likely: Vec<Likely>,
}

/// Whoever uses the head start. Called at once and in turn, so it may only note the signal.
pub trait Warmth: Send + Sync {
    fn warm(&self, signal: &Signal);
}

/// All who hear of signals.
pub struct Warmups {
    hearers: Vec<Arc<dyn Warmth>>,
}

impl Warmups {
    pub fn new(hearers: Vec<Arc<dyn Warmth>>) -> Self {
        Self { hearers }
    }

    fn tell(&self, signal: &Signal) {
        for hearer in &self.hearers {
            hearer.warm(signal);
        }
    }
}

/// The latest signals.
#[derive(Default)]
pub struct Record(Mutex<VecDeque<Signal>>);

impl Record {
    /// Newest first.
    pub fn latest(&self) -> Vec<Signal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

impl Warmth for Record {
    fn warm(&self, signal: &Signal) {
        let mut signals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signals.len() >= RECORDED {
            signals.pop_front();
        }
        signals.push_back(signal.clone());
    }
}

/// What is known before anybody asks a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// By the prompt's words, 0 to 1 each.
    pub words: Vec<(RepoName, f64)>,
    pub channel_defaults: Vec<RepoName>,
    pub channel_talk: Vec<RepoName>,
    /// Newest first, one for each session.
    pub channel_sessions: Vec<RepoName>,
    pub person_default: Option<RepoName>,
    /// Newest first, one for each session.
    pub person_sessions: Vec<RepoName>,
}

/// The likeliest repositories, best first. Words weigh most; a person's latest session weighs more than the ones before it.
pub fn rank(evidence: &Evidence) -> Vec<Likely> {
    let mut scores: BTreeMap<&RepoName, (f64, Vec<Because>)> = BTreeMap::new();
    let mut add = |repo, weight: f64, because| {
        let (score, reasons) = scores.entry(repo).or_default();
        *score += weight;
        if !reasons.contains(&because) {
            reasons.push(because);
        }
    };
    for (repo, score) in &evidence.words {
        add(repo, *score, Because::Words);
    }
    for repo in &evidence.channel_defaults {
        add(repo, 0.4, Because::ChannelDefault);
    }
    for repo in &evidence.channel_talk {
        add(repo, 0.2, Because::ChannelTalk);
    }
    for (repo, weight) in evidence.channel_sessions.iter().zip(halved(0.15)) {
        add(repo, weight, Because::ChannelSessions);
    }
    if let Some(repo) = &evidence.person_default {
        add(repo, 0.3, Because::PersonDefault);
    }
    for (repo, weight) in evidence.person_sessions.iter().zip(halved(0.25)) {
        add(repo, weight, Because::PersonSessions);
    }
    let mut likely: Vec<Likely> =
        scores.into_iter().map(|(repo, (score, because))| Likely { repository: repo.clone(), score, because }).collect();
    // Equal ones stay in the order of their names.
    likely.sort_by(|a, b| b.score.total_cmp(&a.score));
    likely.truncate(LIKELY);
    likely
}

/// The weight, half of it, half of that, …
fn halved(first: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), |weight| Some(weight / 2.0))
}

/// Works out what a sign makes likely, and tells whoever wants to know. In the background: nobody waits for a guess.
pub fn notice(app: &Arc<App>, sign: Sign, user: &SlackUserId, channel: Option<&ChannelId>, words: Option<String>) {
    let (app, user, channel) = (Arc::clone(app), user.clone(), channel.cloned());
    // When it was seen: whoever is quicker than the guess needs it no more.
    let at = app.clock.now();
    app.tasks.clone().spawn(async move {
        match likely(&app, &user, channel.as_ref(), words).await {
            Ok(likely) => {
                if let (Sign::PromptArrived, Some(best)) = (sign, likely.first()) {
                    routing::foresee(&app, &best.repository);
                }
                let signal = Signal { at, sign, user, channel, likely };
                let first = signal.likely.first().map(|likely| likely.repository.as_str());
                tracing::info!(?sign, user = %signal.user, repositories = signal.likely.len(), first, "warm-up signal");
                app.warmups.tell(&signal);
            }
            Err(error) => tracing::warn!(?sign, error = format!("{error:#}"), "a warm-up signal is lost"),
        }
    });
}

/// A client tells that somebody is writing. The error is for the client.
pub fn typing(app: &Arc<App>, typing: Typing) -> Result<(), String> {
    let Typing { user, channel, repository, text } = typing;
    let Some(repository) = repository else {
        notice(app, Sign::Typing, &user, channel.as_ref(), text);
        return Ok(());
    };
    if app.manifest(&repository).is_none() {
        return Err(format!("there is no repository {repository} here"));
    }
    let likely = vec![Likely { repository, score: 1.0, because: vec![Because::Named] }];
    app.warmups.tell(&Signal { at: app.clock.now(), sign: Sign::Typing, user, channel, likely });
    Ok(())
}

/// The likeliest repositories for this person at this place.
pub async fn likely(app: &App, user: &SlackUserId, channel: Option<&ChannelId>, words: Option<String>) -> Result<Vec<Likely>> {
    let channel_name = match channel {
        Some(channel) => app.channel_name(channel).await,
        None => String::new(),
    };
    let mut evidence = Evidence {
        person_default: home::defaults(app, user).await?.repository,
        person_sessions: app.store.sessions_begun_by(user.clone(), RECENT).await?.into_iter().map(|record| record.repo).collect(),
        ..Evidence::default()
    };
    if let Some(channel) = channel {
        evidence.channel_sessions = app.store.sessions_in(channel.clone(), RECENT).await?.into_iter().map(|record| record.repo).collect();
    }
    let names = |list: &[String]| !channel_name.is_empty() && list.iter().any(|name| name.trim_start_matches('#') == channel_name);
    for (repo, manifest) in &app.manifests {
        if names(&manifest.default_channels) {
            evidence.channel_defaults.push(repo.clone());
        }
        if names(&manifest.slack_channels) {
            evidence.channel_talk.push(repo.clone());
        }
    }
    if let Some(message) = words {
        let request = Request { message, corrections: routing::picks(app).await?, ..Request::default() };
        let candidates = app.classifier.likely(&request, &routing::profiles(app).await?);
        evidence.words = candidates.into_iter().map(|candidate| (candidate.repo, candidate.score)).collect();
    }
    // Sessions outlive their manifests.
    let mut likely = rank(&evidence);
    likely.retain(|likely| app.manifest(&likely.repository).is_some());
    Ok(likely)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(name: &str) -> RepoName {
        RepoName::parse(format!("acme/{name}")).unwrap()
    }

    fn ranked(evidence: &Evidence) -> Vec<String> {
        rank(evidence).into_iter().map(|likely| likely.repository.to_string()).collect()
    }

    #[test]
    fn nothing_known_makes_nothing_likely() {
        assert_eq!(rank(&Evidence::default()), []);
    }

    #[test]
    fn words_weigh_most_and_old_sessions_least() {
        let evidence = Evidence {
            words: vec![(repo("words"), 0.8)],
            channel_defaults: vec![repo("channel")],
            person_default: Some(repo("default")),
            person_sessions: vec![repo("newest"), repo("older"), repo("oldest")],
            ..Evidence::default()
        };
        assert_eq!(ranked(&evidence), ["acme/words", "acme/channel", "acme/default", "acme/newest", "acme/older"], "and five at most");
    }

    #[test]
    fn reasons_add_up() {
        let evidence = Evidence {
            channel_talk: vec![repo("both")],
            person_sessions: vec![repo("once"), repo("both"), repo("both")],
            channel_sessions: vec![repo("both")],
            ..Evidence::default()
        };
        let likely = rank(&evidence);
        assert_eq!(likely[0].repository, repo("both"));
        assert_eq!(likely[0].because, [Because::ChannelTalk, Because::ChannelSessions, Because::PersonSessions]);
        assert!((likely[0].score - (0.2 + 0.15 + 0.125 + 0.0625)).abs() < 1e-9, "{}", likely[0].score);
    }

    #[test]
    fn the_record_keeps_the_latest() {
        let record = Record::default();
        for n in 0..RECORDED + 3 {
            let at = Timestamp(n.try_into().unwrap());
            let user = SlackUserId::parse("U1").unwrap();
            record.warm(&Signal { at, sign: Sign::MessagesOpened, user, channel: None, likely: Vec::new() });
        }
        let latest = record.latest();
        assert_eq!((latest.len(), latest[0].at, latest[RECORDED - 1].at), (RECORDED, Timestamp(102), Timestamp(3)));
    }
}
