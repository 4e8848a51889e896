//! What the service is made of, handed to whatever handles a mention.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use longshore_classifier::Classifier;
use longshore_github::GitHub;
use longshore_sandbox::Engine;
use longshore_session::{ChannelId, Clock, Person, RepoName, RepositoryManifest, SessionId, SlackUserId, Store, TeamId};
use longshore_slack::{BotIdentity, SlackClient, SlackError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backup::Restored,
    config::Config,
    conversation::{Conversations, Easel},
    dispatch::Threads,
    gate::{Gates, Rules},
    health::Health,
    home::Homes,
    images::{Images, collect::Collector},
    intake::Acknowledged,
    ledger::{Routed, Survey},
    metrics::Metrics,
    outbox::Outbox,
    overview::Pulls,
    pool::Pool,
    room::Room,
    routing::Reach,
    sandboxes::Sandboxes,
    snapshots::Taking,
    warmup::Warmups,
};

/// How long a profile or a channel's name is believed.
const PROFILE_AGE: Duration = Duration::from_secs(600);

/// Everything that handlers share. One per process.
pub struct App {
    pub config: Config,
    pub manifests: BTreeMap<RepoName, RepositoryManifest>,
    pub clock: Arc<dyn Clock>,
    pub store: Store,
    pub slack: SlackClient,
    pub bot: BotIdentity,
    /// The workspace.
    pub team: TeamId,
    /// The workspace's address, `https://….slack.com/`.
    pub workspace_url: String,
    pub github: GitHub,
    pub classifier: Classifier,
    pub engine: Arc<dyn Engine>,
    pub sandboxes: Sandboxes,
    pub gates: Gates,
    /// Of the repositories' manifests, for tool calls.
    pub rules: BTreeMap<RepoName, Rules>,
    /// Of snapshots.
    pub taking: Arc<Taking>,
    pub images: Images,
    pub collector: Collector,
    pub pool: Pool,
    pub room: Room,
    pub reach: Reach,
    pub outbox: Outbox,
    pub conversations: Conversations,
    pub easel: Easel,
    /// Work that must not be dropped half-way; the end of the process waits for it, up to a deadline.
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
    pub people: People,
    pub threads: Threads,
    pub pulls: Pulls,
    pub homes: Homes,
    pub warmups: Warmups,
    pub channels: ChannelNames,
    pub acknowledged: Arc<Acknowledged>,
    /// What is owed, as it was found last.
    pub survey: Survey,
    pub routed: Arc<Routed>,
    pub restored: Restored,
    pub health: Health,
    pub metrics: Metrics,
}

impl App {
    /// What commits carry and messages show of a Slack user.
    pub async fn person(&self, user: &SlackUserId) -> Result<Person, SlackError> {
        let now = self.clock.now();
        if let Some((at, person)) = self.people.lock().get(user)
            && now.since(*at) < PROFILE_AGE
        {
            return Ok(person.clone());
        }
        let (name, email) = match self.slack.user_info(user).await {
            Ok(profile) => (profile.name, profile.email),
            // Somebody who left, or whom this workspace does not show: what they asked is still theirs.
            Err(error) if matches!(error.code(), Some("user_not_found" | "user_not_visible")) => {
                tracing::warn!(%user, %error, "Slack does not tell who this is");
                (user.to_string(), None)
            }
            Err(error) => return Err(error),
        };
        let email = email.unwrap_or_else(|| format!("{}@users.noreply.slack.invalid", user.as_str().to_lowercase()));
        let person = Person { slack_user: user.clone(), name, email };
        self.people.lock().insert(user.clone(), (now, person.clone()));
        Ok(person)
    }

    /// A channel's name without `#`; empty where Slack does not tell.
    pub async fn channel_name(&self, channel: &ChannelId) -> String {
        let now = self.clock.now();
        if let Some((at, name)) = self.channels.lock().get(channel)
            && now.since(*at) < PROFILE_AGE
        {
            return name.clone();
        }
        match self.slack.channel_name(channel).await {
            Ok(name) => {
                self.channels.lock().insert(channel.clone(), (now, name.clone()));
                name
            }
            Err(error) => {
                tracing::warn!(%channel, %error, "cannot read the channel's name");
                String::new()
            }
        }
    }

    /// Where a browser shows a session, for whoever has the link.
    pub fn session_url(&self, session: &SessionId) -> String {
        format!("{}/sessions/{session}?key={}", self.config.http.public_url(), self.sandboxes.page_key(session))
    }

    pub fn manifest(&self, repo: &RepoName) -> Option<&RepositoryManifest> {
        self.manifests.get(repo)
    }
}

/// Profiles that were read lately.
#[derive(Default)]
pub struct People(Mutex<HashMap<SlackUserId, (longshore_session::Timestamp, Person)>>);

impl People {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SlackUserId, (longshore_session::Timestamp, Person)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Channels' names that were read lately.
#[derive(Default)]
pub struct ChannelNames(Mutex<HashMap<ChannelId, (longshore_session::Timestamp, String)>>);

impl ChannelNames {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelId, (longshore_session::Timestamp, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
