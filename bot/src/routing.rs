//! From a prompt that is in no session yet to its session: by the classifier, by the picker, or to an answer that needs none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use longshore_classifier::{Correction, DecidedBy, Decision, Request, Verdict, WhyLexical, unknown_repository};
use longshore_github::GitHubError;
use longshore_session::{
    Ask, AskState, Asked, OutboxOwner, Phase, RepoName, RepositoryProfile, Said, SessionId, SessionRecord, Timestamp, Work,
};
use longshore_slack::{AgentHelp, Answer, Candidate, Message, Notice, PickerDone, Posted, Priority, RepositoryPicker, UnknownRepository};
use tracing::Instrument;

use crate::{app::App, conversation, home, outbox::Owed, thread};

/// How long a picker may be used.
const PICKER_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Picks that routing learns from.
const PICKS: u32 = 2_000;
/// How long an access that was seen is believed: as long as a prompt takes from its arrival to its session.
const REACH_AGE: Duration = Duration::from_secs(10);
/// Messages before a prompt that the classifier and the agent are given, beside the thread's first.
const THREAD: usize = 30;
/// Stands for the messages between that one and those.
const LEFT_OUT: &str = "(left out here)";

/// Stores a prompt that is to become a session, and routes it. Where a handler comes here again after a crash, the start has seen to it.
pub async fn begin(app: &Arc<App>, ask: Ask) -> Result<()> {
    match app.store.begin_ask(ask.clone(), key_of(&ask, "final")).await? {
        Asked::New => route(app, ask),
        Asked::Known => tracing::info!(prompt = %ask.prompt.id, "the prompt is known"),
    }
    Ok(())
}

/// Routes in the background: the delivery's lane is free meanwhile, and the prompt is stored.
pub fn route(app: &Arc<App>, ask: Ask) {
    let app = Arc::clone(app);
    let span = tracing::info_span!("route", prompt = %ask.prompt.id);
    let tracked = app.tasks.clone();
    let routing = app.routed.begin(&ask.prompt.id);
    tracked.spawn(
        async move {
            let _routing = routing;
            tokio::select! {
                // The ask is stored; the next start routes it.
                () = app.shutdown.cancelled() => {}
                result = try_route(&app, ask.clone()) => if let Err(error) = result {
                    tracing::error!(error = format!("{error:#}"), "routing broke off");
                    let reference = ask.prompt.id.to_string();
                    if let Err(error) = end(&app, &ask, Notice::Broken { reference }.render()).await {
                        tracing::error!(error = format!("{error:#}"), "the prompt's end cannot be told");
                    }
                }
            }
        }
        .instrument(span),
    );
}

async fn try_route(app: &Arc<App>, mut ask: Ask) -> Result<()> {
    let repos: Vec<&RepoName> = app.manifests.keys().collect();
    if let Some(named) = unknown_repository(&ask.prompt.text, &repos) {
        return end(app, &ask, UnknownRepository { named: Some(named) }.render()).await;
    }
    let profiles = profiles(app).await?;
    ask.prompt.context = thread_before(app, &ask).await;
    let request = Request {
        message: ask.prompt.text.clone(),
        thread: ask.prompt.context.iter().filter(|said| said.name != LEFT_OUT).map(|said| said.text.clone()).collect(),
        channel: Some(app.channel_name(&ask.thread.channel).await),
        corrections: picks(app).await?,
    };
    let decision = app.classifier.classify(&request, &profiles).await;
    ask.phases.push((Phase::Classified, app.clock.now()));
    tracing::info!(verdict = verdict_word(&decision), decided_by = ?decision.decided_by, took_ms = decision.elapsed.as_millis(), "classified");
    match &decision.verdict {
        Verdict::Repository { repo, .. } => {
            let why = why(&decision);
            settle(app, ask, repo.clone(), why).await.map(drop)
        }
        Verdict::Unknown => default_or_ask(app, ask, &decision, &profiles).await,
        // The fast model is not given the files, so it cannot know that none is needed.
        Verdict::NoRepositoryNeeded if !ask.prompt.files.is_empty() => default_or_ask(app, ask, &decision, &profiles).await,
        Verdict::NoRepositoryNeeded => {
            let message = match app.classifier.answer(&request, &profiles).await {
                Some(markdown) => Answer { markdown }.render(),
                None => AgentHelp { bot: app.bot.user.clone() }.render(),
            };
            end(app, &ask, message).await
        }
    }
}

/// Makes the session in this repository and wakes it. None when the prompt went elsewhere meanwhile.
pub async fn settle(app: &Arc<App>, ask: Ask, repo: RepoName, why: String) -> Result<Option<SessionId>> {
    if !reachable(app, &repo).await {
        end(app, &ask, UnknownRepository { named: Some(repo.to_string()) }.render()).await?;
        return Ok(None);
    }
    let now = app.clock.now();
    let id = SessionId::random();
    let record = SessionRecord {
        id: id.clone(),
        repo,
        thread: ask.thread.clone(),
        owner: ask.prompt.author.slack_user.clone(),
        title: conversation::shortened(&ask.prompt.text, 120),
        why,
        phase: SessionRecord::NEW.to_owned(),
        has_work: Work::Some,
        created: now,
        touched: now,
    };
    let prompt = ask.prompt.id.clone();
    // Phases and an edit's words are in the stored ask.
    if let Some(mut stored) = app.store.ask(prompt.clone()).await? {
        stored.phases = ask.phases;
        stored.prompt.context = ask.prompt.context;
        app.store.change_ask(stored).await?;
    }
    if app.store.begin_session(prompt, record).await?.is_none() {
        return Ok(None);
    }
    conversation::wake(app, &id).await?;
    Ok(Some(id))
}

/// Where nothing decides, the asker's own default does, if there is one.
async fn default_or_ask(app: &Arc<App>, ask: Ask, decision: &Decision, profiles: &[RepositoryProfile]) -> Result<()> {
    match home::defaults(app, &ask.prompt.author.slack_user).await?.repository {
        Some(repo) => settle(app, ask, repo, "your default, since nothing else decides".to_owned()).await.map(drop),
        None => ask_for_repository(app, ask, decision, profiles).await,
    }
}

/// What GitHub gave access to a moment ago.
#[derive(Default)]
pub struct Reach(Mutex<HashMap<RepoName, Timestamp>>);

impl Reach {
    fn lock(&self) -> MutexGuard<'_, HashMap<RepoName, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks GitHub ahead, while a prompt is still being routed.
pub fn foresee(app: &Arc<App>, repo: &RepoName) {
    let (app, repo) = (Arc::clone(app), repo.clone());
    app.tasks.clone().spawn(async move { reachable(&app, &repo).await });
}

/// Whether GitHub gives access. No access and no such repository read the same.
pub async fn reachable(app: &App, repo: &RepoName) -> bool {
    let now = app.clock.now();
    if app.reach.lock().get(repo).is_some_and(|seen| now.since(*seen) < REACH_AGE) {
        return true;
    }
    match app.github.repository(repo).await {
        Ok(_) => {
            app.reach.lock().insert(repo.clone(), now);
            true
        }
        Err(GitHubError::NotFound { .. } | GitHubError::Forbidden { .. }) => false,
        Err(error) => {
            // The session says what is wrong when it comes to fetching, and can be taken up again.
            tracing::warn!(%repo, %error, "cannot ask GitHub about the repository");
            true
        }
    }
}

async fn ask_for_repository(app: &Arc<App>, mut ask: Ask, decision: &Decision, profiles: &[RepositoryProfile]) -> Result<()> {
    let candidates: Vec<Candidate> =
        decision.candidates.iter().map(|candidate| Candidate { repo: candidate.repo.clone(), reason: candidate.reason.clone() }).collect();
    ask.state = AskState::Picking;
    ask.candidates = candidates.iter().map(|candidate| candidate.repo.clone()).collect();
    let others = profiles.iter().map(|profile| profile.repo.clone()).filter(|repo| !ask.candidates.contains(repo)).collect();
    let picker = RepositoryPicker {
        prompt: ask.prompt.id.clone(),
        asker: ask.prompt.author.slack_user.clone(),
        asked: ask.prompt.text.clone(),
        candidates,
        others,
    };
    app.store.change_ask(ask.clone()).await?;
    app.homes.changed([&ask.prompt.author.slack_user]);
    tell(app, &ask, "picker", picker.render()).await
}

/// Routes once more what nobody is routing: the service was killed, or something broke off. A prompt whose picker was never asked for is one of them.
pub async fn take_up(app: &Arc<App>, asks: impl IntoIterator<Item = Ask>) -> Result<()> {
    for ask in asks {
        match ask.state {
            AskState::Routing => route(app, ask),
            // The picker stands in the thread, or is on its way there.
            AskState::Picking if app.store.sending(&OutboxOwner::Service, key_of(&ask, "picker")).await?.is_some() => {}
            AskState::Picking => route(app, Ask { state: AskState::Routing, ..ask }),
        }
    }
    Ok(())
}

/// Ends a prompt that becomes no turn, with its final message.
pub async fn end(app: &Arc<App>, ask: &Ask, message: Message) -> Result<()> {
    tell(app, ask, "final", message).await?;
    app.store.take_ask(ask.prompt.id.clone()).await?;
    app.homes.changed([&ask.prompt.author.slack_user]);
    Ok(())
}

/// As [`end`], and leaves no picker behind that nobody can use any more.
pub async fn end_picking(app: &Arc<App>, ask: &Ask, message: Message, picker: PickerDone) -> Result<()> {
    end(app, ask, message).await?;
    let Some(ts) = app.store.message_of(&OutboxOwner::Service, key_of(ask, "picker")).await? else { return Ok(()) };
    let posted = Posted { channel: ask.thread.channel.clone(), ts };
    if let Err(error) = app.slack.update_message(&posted, &picker.render(), Priority::Final).await {
        // A click on it is told that it came too late.
        tracing::warn!(%error, "an old picker cannot be replaced");
    }
    Ok(())
}

fn key_of(ask: &Ask, kind: &str) -> String {
    format!("{}:{kind}", ask.prompt.id)
}

async fn tell(app: &Arc<App>, ask: &Ask, kind: &'static str, message: Message) -> Result<()> {
    let owed = Owed {
        channel: ask.thread.channel.clone(),
        thread: Some(ask.thread.thread.clone()),
        message,
        asker: Some(ask.prompt.author.slack_user.clone()),
    };
    let mut draft = owed.draft(kind, key_of(ask, kind))?;
    // For the ledger: the ask itself goes.
    draft.body["received"] = serde_json::json!(ask.prompt.received);
    draft.body["ended"] = serde_json::json!(app.clock.now());
    app.store.enqueue(&OutboxOwner::Service, draft).await?;
    app.outbox.nudge(OutboxOwner::Service);
    Ok(())
}

/// Ends the prompts whose picker nobody used: they too are owed a final message.
pub async fn expire_pickers(app: &Arc<App>) -> Result<()> {
    let now = app.clock.now();
    for ask in app.store.asks().await? {
        if is_expired(&ask, now) {
            end_picking(app, &ask, PickerDone::Expired.render(), PickerDone::Closed).await?;
        }
    }
    Ok(())
}

fn is_expired(ask: &Ask, now: Timestamp) -> bool {
    ask.state == AskState::Picking && now.since(ask.prompt.received) >= PICKER_LIFE
}

/// What people chose before.
pub async fn picks(app: &App) -> Result<Vec<Correction>> {
    let picks = app.store.picks(PICKS).await?;
    Ok(picks.into_iter().map(|pick| Correction { text: pick.text, repo: Some(pick.repo) }).collect())
}

/// What routing knows of each repository.
pub async fn profiles(app: &App) -> Result<Vec<RepositoryProfile>> {
    let images = app.store.images().await?;
    let vocabulary =
        |repo: &RepoName| images.iter().find(|(known, _)| known == repo).map(|(_, record)| record.vocabulary.clone()).unwrap_or_default();
    Ok(app.manifests.values().map(|manifest| manifest.profile(vocabulary(&manifest.repository))).collect())
}

/// What people said in the thread before the prompt; nothing where Slack does not tell.
async fn thread_before(app: &App, ask: &Ask) -> Vec<Said> {
    if ask.prompt.post == ask.thread.thread {
        return Vec::new();
    }
    let (place, post) = (&ask.thread, &ask.prompt.post);
    let tail = match app.slack.thread_tail(&place.channel, &place.thread, Some(post), THREAD).await {
        Ok(tail) => tail,
        Err(error) => {
            tracing::warn!(%error, "cannot read the thread; going on with the message alone");
            return Vec::new();
        }
    };
    let mut said = Vec::new();
    if let Some(first) = &tail.first {
        said.extend(thread::said(app, first).await);
    }
    if tail.left_out > 0 {
        let text = format!("{} messages, which the tool `read_thread` gives", tail.left_out);
        said.push(Said { name: LEFT_OUT.to_owned(), text });
    }
    for reply in &tail.newest {
        said.extend(thread::said(app, reply).await);
    }
    said
}

/// As a part of a sentence, shown on the card.
fn why(decision: &Decision) -> String {
    match decision.decided_by {
        DecidedBy::Explicit | DecidedBy::Rule | DecidedBy::ChannelDefault | DecidedBy::Model => decision.reason.clone(),
        DecidedBy::Lexical { why: WhyLexical::ModelMissing } => decision.reason.clone(),
        DecidedBy::Lexical { why: WhyLexical::ModelTimedOut } => format!("{} (by words: the model took too long)", decision.reason),
        DecidedBy::Lexical { why: WhyLexical::ModelFailed } => format!("{} (by words: the model did not answer)", decision.reason),
    }
}

fn verdict_word(decision: &Decision) -> &'static str {
    match decision.verdict {
        Verdict::Repository { .. } => "repository",
        Verdict::Unknown => "unknown",
        Verdict::NoRepositoryNeeded => "none needed",
    }
}

#[cfg(test)]
mod tests {
    use longshore_session::{ChannelId, MessageTs, Person, Prompt, PromptId, SlackUserId, TeamId, ThreadKey};

    use super::*;

    #[test]
    fn a_picker_may_be_used_for_a_week() {
        let author = Person { slack_user: SlackUserId::parse("U1").unwrap(), name: "Ada".into(), email: "ada@example.com".into() };
        let post = MessageTs::parse("1.1").unwrap();
        let prompt = Prompt {
            id: PromptId::parse("p-1").unwrap(),
            author,
            text: "mend it".into(),
            context: Vec::new(),
            files: Vec::new(),
            post: post.clone(),
            received: Timestamp(1_000),
        };
        let thread = ThreadKey { team: TeamId::parse("T1").unwrap(), channel: ChannelId::parse("C1").unwrap(), thread: post };
        let ask = Ask { prompt, thread, state: AskState::Picking, candidates: Vec::new(), phases: Vec::new() };
        let after = |hours: i64| Timestamp(1_000 + hours * 3_600_000);
        assert!(!is_expired(&ask, after(24)), "a day later it works");
        assert!(!is_expired(&ask, after(7 * 24 - 1)));
        assert!(is_expired(&ask, after(7 * 24)));
        assert!(!is_expired(&Ask { state: AskState::Routing, ..ask }, after(7 * 24)), "that one is being worked on");
    }
}
