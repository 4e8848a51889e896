//! Which sessions there are and where they stand, for the lists that people see.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use futures_util::future::join_all;
use longshore_github::{PullRequestState, Readiness};
use longshore_session::{
    Activity, Ask, AskState, ChannelId, ImageRecord, MessageTs, PullRequestRef, RepoName, SessionId, SessionRecord, SlackUserId, ThreadKey,
    Timestamp,
};
use longshore_slack::{
    CardPhase, DiskLine, ImageLine, ImageState, PoolLine, PullRequestLine, PullRequestStanding, Rest, Room, SessionLine, SessionStage,
    Spent,
};

use crate::{app::App, conversation, images};

/// Idle sessions that a list looks at: nobody goes on with what lies further back by a list.
const IDLE: u32 = 8;
/// Sessions that wait for an answer, those that wait longest: each is woken to be looked at.
const WAITING: usize = 40;
/// GitHub is asked again about a pull request after this.
const PULL_AGE: Duration = Duration::from_secs(60);
/// A list does not wait longer for GitHub.
const PULL_PATIENCE: Duration = Duration::from_secs(4);
/// Pull requests whose state is remembered.
const PULLS: usize = 1_000;

/// Whose sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Begun by this person, or at work on something that this person asked.
    Of(SlackUserId),
    In(ChannelId),
    All,
}

/// Sessions by where they stand.
#[derive(Debug, Default)]
pub struct Overview {
    pub running: Vec<SessionLine>,
    pub asking: Vec<SessionLine>,
    pub queued: Vec<SessionLine>,
    /// Newest first.
    pub idle: Vec<SessionLine>,
    /// Turns and waiting prompts of others.
    pub elsewhere: usize,
}

impl Overview {
    /// The repositories that it speaks of.
    pub fn repositories(&self) -> BTreeSet<RepoName> {
        let lists = [&self.running, &self.asking, &self.queued, &self.idle];
        lists.into_iter().flatten().filter_map(|line| line.repo.clone()).collect()
    }
}

/// What GitHub said lately about pull requests, by their pages.
#[derive(Default)]
pub struct Pulls(Mutex<HashMap<String, (Timestamp, PullRequestStanding)>>);

/// Looks at every session with work, and at those that can be gone on with.
pub async fn overview(app: &Arc<App>, whose: &Whose) -> Result<Overview> {
    let mut all = Overview::default();
    let working = app.store.working_sessions().await?;
    let mut waiting = app.store.waiting_sessions().await?;
    waiting.retain(|record| working.iter().all(|other| other.id != record.id));
    waiting.truncate(WAITING);
    for record in working.into_iter().chain(waiting) {
        look(app, &record, whose, &mut all).await;
    }
    for ask in app.store.asks().await? {
        take_ask(app, &ask, whose, &mut all);
    }
    let recent = match whose {
        Whose::Of(user) => app.store.sessions_begun_by(user.clone(), IDLE).await?,
        Whose::In(channel) => app.store.sessions_in(channel.clone(), IDLE).await?,
        Whose::All => app.store.recent_sessions(IDLE).await?,
    };
    let shown: BTreeSet<SessionId> =
        [&all.running, &all.asking, &all.queued].into_iter().flatten().filter_map(|l| l.session.clone()).collect();
    for record in recent.into_iter().filter(|record| !shown.contains(&record.id)) {
        let line = idle(app, &record).await;
        all.idle.push(line);
    }
    ask_github(app, &mut all).await;
    Ok(all)
}

/// A session with work: a line for what it does and one for each prompt that waits in it.
async fn look(app: &Arc<App>, record: &SessionRecord, whose: &Whose, all: &mut Overview) {
    let standing = match conversation::standing(app, &record.id).await {
        Ok(standing) => standing,
        Err(error) => {
            tracing::warn!(session = %record.id, %error, "a list goes without this session");
            return;
        }
    };
    let now = app.clock.now();
    let is_meant = |asker: &SlackUserId| match whose {
        Whose::Of(user) => user == asker || *user == record.owner,
        Whose::In(channel) => *channel == record.thread.channel,
        Whose::All => true,
    };
    let pull_request = standing.state.pull_request.as_ref().map(pull_line);
    let phase = match &standing.state.activity {
        // What is left to it is a message on its way.
        Activity::Idle => None,
        Activity::Preparing { .. } => Some(match app.room.place_of(&record.id) {
            Some(place) => CardPhase::Queued { place },
            None => CardPhase::Preparing,
        }),
        Activity::Working { .. } => Some(CardPhase::Working),
        Activity::Stopping { .. } => Some(CardPhase::Stopping),
        Activity::Finishing { .. } => Some(CardPhase::Finishing),
    };
    if let (Some(phase), Some(prompt)) = (phase, standing.state.activity.prompt()) {
        let asker = &prompt.author.slack_user;
        if is_meant(asker) {
            let stage = SessionStage::Live(phase);
            let line = SessionLine {
                title: prompt.text.clone(),
                since: now.since(standing.since),
                spent: standing.spent,
                pull_request: pull_request.clone(),
                stoppable: phase.is_live(),
                ..line_of(app, record, asker, stage)
            };
            let list = if matches!(phase, CardPhase::Queued { .. }) { &mut all.queued } else { &mut all.running };
            list.push(line);
        } else {
            all.elsewhere += 1;
        }
    }
    if let (Activity::Idle, Some(question)) = (&standing.state.activity, &standing.state.question) {
        if is_meant(&record.owner) {
            let stage = SessionStage::Asking { question: question.text.clone() };
            let since = now.since(standing.since);
            all.asking.push(SessionLine { since, spent: standing.spent, pull_request, ..line_of(app, record, &record.owner, stage) });
        } else {
            all.elsewhere += 1;
        }
    }
    for (index, prompt) in standing.state.queue.iter().enumerate() {
        let asker = &prompt.author.slack_user;
        if !is_meant(asker) {
            all.elsewhere += 1;
            continue;
        }
        let stage = SessionStage::Behind { place: index + 1 };
        let line = SessionLine {
            title: prompt.text.clone(),
            since: now.since(prompt.received),
            age: now.since(prompt.received),
            ..line_of(app, record, asker, stage)
        };
        all.queued.push(line);
    }
}

/// A prompt whose repository is still open.
fn take_ask(app: &App, ask: &Ask, whose: &Whose, all: &mut Overview) {
    let is_meant = match whose {
        Whose::Of(user) => *user == ask.prompt.author.slack_user,
        Whose::In(channel) => *channel == ask.thread.channel,
        Whose::All => true,
    };
    if !is_meant {
        all.elsewhere += 1;
        return;
    }
    let since = app.clock.now().since(ask.prompt.received);
    let line = |stage| SessionLine {
        session: None,
        repo: None,
        title: ask.prompt.text.clone(),
        asker: ask.prompt.author.slack_user.clone(),
        stage,
        since,
        age: since,
        spent: Spent::default(),
        pull_request: None,
        thread_url: thread_url(app, &ask.thread),
        stoppable: false,
    };
    match ask.state {
        AskState::Routing => all.running.push(line(SessionStage::Live(CardPhase::Choosing))),
        AskState::Picking => all.asking.push(line(SessionStage::Asking { question: "Which repository is this about?".to_owned() })),
    }
}

async fn idle(app: &Arc<App>, record: &SessionRecord) -> SessionLine {
    let now = app.clock.now();
    let line =
        SessionLine { since: now.since(record.touched), ..line_of(app, record, &record.owner, SessionStage::Idle { rest: Rest::Gone }) };
    match conversation::standing(app, &record.id).await {
        Ok(standing) => SessionLine {
            stage: SessionStage::Idle { rest: standing.rest },
            spent: standing.spent,
            pull_request: standing.state.pull_request.as_ref().map(pull_line),
            ..line
        },
        Err(error) => {
            tracing::warn!(session = %record.id, %error, "a list knows only the index of this session");
            line
        }
    }
}

fn line_of(app: &App, record: &SessionRecord, asker: &SlackUserId, stage: SessionStage) -> SessionLine {
    let age = app.clock.now().since(record.created);
    SessionLine {
        session: Some(record.id.clone()),
        repo: Some(record.repo.clone()),
        title: record.title.clone(),
        asker: asker.clone(),
        stage,
        since: age,
        age,
        spent: Spent::default(),
        pull_request: None,
        thread_url: thread_url(app, &record.thread),
        stoppable: false,
    }
}

fn pull_line(pull: &PullRequestRef) -> PullRequestLine {
    PullRequestLine { number: pull.number, url: pull.url.clone(), standing: PullRequestStanding::Unknown }
}

/// Where a browser finds the thread. Slack's own form of a permalink, made without asking for each.
pub fn thread_url(app: &App, thread: &ThreadKey) -> Option<String> {
    let workspace = app.workspace_url.trim_end_matches('/');
    (!workspace.is_empty()).then(|| format!("{workspace}/archives/{}/p{}", thread.channel, thread.thread.as_str().replace('.', "")))
}

/// Where a browser finds one message of the thread.
pub fn message_url(app: &App, thread: &ThreadKey, message: &MessageTs) -> Option<String> {
    let of_thread = thread_url(app, &ThreadKey { thread: message.clone(), ..thread.clone() })?;
    let is_first = *message == thread.thread;
    Some(if is_first { of_thread } else { format!("{of_thread}?thread_ts={}&cid={}", thread.thread, thread.channel) })
}

/// Fills in where the pull requests stand, as far as GitHub tells in time.
async fn ask_github(app: &App, all: &mut Overview) {
    let lines = [&mut all.running, &mut all.asking, &mut all.idle].into_iter().flatten();
    let asked = lines.filter_map(|line| Some((line.repo.clone()?, line.pull_request.as_mut()?)));
    join_all(asked.map(async |(repo, pull)| pull.standing = standing_of(app, &repo, pull).await)).await;
}

async fn standing_of(app: &App, repo: &RepoName, pull: &PullRequestLine) -> PullRequestStanding {
    let now = app.clock.now();
    if let Some((at, standing)) = app.pulls.0.lock().unwrap_or_else(PoisonError::into_inner).get(&pull.url)
        && (now.since(*at) < PULL_AGE || *standing == PullRequestStanding::Merged)
    {
        return *standing;
    }
    let Some(standing) = ask_standing(app, repo, pull.number).await else { return PullRequestStanding::Unknown };
    let mut known = app.pulls.0.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= PULLS {
        known.clear();
    }
    known.insert(pull.url.clone(), (now, standing));
    standing
}

/// Where a pull request stands, if GitHub tells in time.
pub async fn ask_standing(app: &App, repo: &RepoName, number: u64) -> Option<PullRequestStanding> {
    let found = match tokio::time::timeout(PULL_PATIENCE, app.github.pull_request(repo, number)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%repo, number, %error, "GitHub does not say where the pull request stands");
            return None;
        }
        Err(_) => return None,
    };
    Some(match (found.state, found.readiness) {
        (PullRequestState::Merged, _) => PullRequestStanding::Merged,
        (PullRequestState::Closed, _) => PullRequestStanding::Closed,
        (PullRequestState::Open, Readiness::Draft) => PullRequestStanding::Draft,
        (PullRequestState::Open, Readiness::Ready) => PullRequestStanding::Open,
    })
}

/// What images and snapshots took when that was last looked at.
pub fn disk_line(app: &App) -> Option<DiskLine> {
    let disk = app.collector.latest()?;
    Some(DiskLine {
        engine: disk.engine.bytes,
        registry: disk.registry.map(|taken| taken.bytes),
        snapshots: disk.snapshots.bytes,
        limit: disk.limit,
        snapshot_limit: disk.snapshot_limit,
        room: if disk.is_over { Room::TooLittle } else { Room::Enough },
    })
}

/// How fresh these repositories' images are.
pub async fn image_lines(app: &App, repositories: impl IntoIterator<Item = RepoName>) -> Result<Vec<ImageLine>> {
    let now = app.clock.now();
    let pooled = app.store.pooled().await?;
    let mut lines = Vec::new();
    for repo in repositories {
        let record = app.store.image(repo.clone()).await?;
        let of_it = pooled.iter().filter(|entry| entry.repo == repo);
        let (ready, others): (Vec<_>, Vec<_>) = of_it.partition(|entry| entry.ready.is_some());
        let pool = PoolLine { waiting: ready.len(), being_made: others.len() };
        lines.push(ImageLine { pool, ..image_line(app, &repo, record, now) });
    }
    Ok(lines)
}

fn image_line(app: &App, repo: &RepoName, record: ImageRecord, now: Timestamp) -> ImageLine {
    let age = images::age(&record, now);
    let state = match (app.images.is_building(repo), record.building_since, record.commit) {
        (true, since, earlier) => ImageState::Building { since: since.map_or(Duration::ZERO, |since| now.since(since)), earlier },
        (false, _, Some(commit)) => ImageState::Ready { commit, age },
        (false, _, None) => ImageState::Missing,
    };
    let last_failure = record.failure.zip(record.failed_at).map(|(failure, at)| (failure, now.since(at)));
    let taken_back = record.bad.last().filter(|bad| record.built.is_none_or(|built| bad.at > built));
    let taken_back = taken_back.map(|bad| (bad.why.clone(), now.since(bad.at)));
    ImageLine { repo: repo.clone(), state, last_failure, taken_back, pool: PoolLine::default() }
}
