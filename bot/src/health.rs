//! Whether the service can do its work: asked when somebody wants to know, and remembered for a moment.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use longshore_sandbox::{SandboxInfo, SandboxState};
use longshore_session::StorageHealth;
use tokio::time::Instant;

use crate::{app::App, config::SlackMode};

/// Who asks often does not make the engine work for it.
const BELIEVED: Duration = Duration::from_secs(3);
/// What does not answer within this is taken for away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Slack is asked less often: it counts.
const SLACK_BELIEVED: Duration = Duration::from_secs(30);

/// What the service cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The service itself: it is starting, or leaving.
    Service,
    Slack,
    Engine,
    Storage,
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Service, Self::Slack, Self::Engine, Self::Storage];

    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Slack => "slack",
            Self::Engine => "engine",
            Self::Storage => "storage",
        }
    }
}

/// Sandboxes by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SandboxCount {
    pub running: u64,
    pub paused: u64,
    pub ended: u64,
}

impl SandboxCount {
    fn of(sandboxes: &[SandboxInfo]) -> Self {
        let mut count = Self::default();
        for sandbox in sandboxes {
            match sandbox.state {
                SandboxState::Running { .. } => count.running += 1,
                SandboxState::Paused { .. } => count.paused += 1,
                SandboxState::Ended(_) => count.ended += 1,
            }
        }
        count
    }
}

/// What keeps the service from its work.
#[derive(Debug)]
pub struct Health {
    reasons: Mutex<BTreeMap<Part, String>>,
    /// Held by whoever looks; others wait for what is found.
    looked: tokio::sync::Mutex<Looked>,
}

#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    slack_at: Option<Instant>,
    sandboxes: Option<SandboxCount>,
}

impl Default for Health {
    fn default() -> Self {
        let starting = BTreeMap::from([(Part::Service, "starting".to_owned())]);
        Self { reasons: Mutex::new(starting), looked: tokio::sync::Mutex::default() }
    }
}

impl Health {
    /// All is well with this part, as far as is known.
    pub fn well(&self, part: Part) {
        if self.lock().remove(&part).is_some() {
            tracing::info!(part = part.word(), "ready");
        }
    }

    pub fn ill(&self, part: Part, why: impl Into<String>) {
        let why = why.into();
        let mut reasons = self.lock();
        // While the service starts or leaves, nothing else is news.
        let is_news = !reasons.contains_key(&part) && !reasons.contains_key(&Part::Service) && part != Part::Service;
        if is_news {
            tracing::warn!(part = part.word(), why, "not ready");
        }
        reasons.insert(part, why);
    }

    /// What is wrong, by part. Empty where nothing is.
    pub fn reasons(&self) -> BTreeMap<Part, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Part, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong now, in words. Whoever asks waits for the engine and the disk for [`PATIENCE`] at the most.
pub async fn not_ready(app: &Arc<App>) -> Vec<String> {
    look(app).await;
    app.health.reasons().into_values().collect()
}

/// Asks the engine, the disk and Slack, unless that was done a moment ago. Gives the sandboxes that were found.
pub async fn look(app: &Arc<App>) -> Option<SandboxCount> {
    let mut looked = app.health.looked.lock().await;
    if looked.at.is_some_and(|at| at.elapsed() < BELIEVED) {
        return looked.sandboxes;
    }
    let (engine, storage) = tokio::join!(tokio::time::timeout(PATIENCE, app.engine.list(None)), stored(app));
    looked.sandboxes = match engine {
        Ok(Ok(sandboxes)) => {
            app.health.well(Part::Engine);
            Some(SandboxCount::of(&sandboxes))
        }
        Ok(Err(error)) => {
            app.health.ill(Part::Engine, format!("the sandbox engine cannot be used: {error}"));
            None
        }
        Err(_) => {
            app.health.ill(Part::Engine, format!("the sandbox engine does not answer within {} s", PATIENCE.as_secs()));
            None
        }
    };
    match storage {
        Ok(()) => app.health.well(Part::Storage),
        Err(why) => app.health.ill(Part::Storage, why),
    }
    match app.config.slack.mode {
        // Its connections say it themselves.
        SlackMode::Socket => {}
        SlackMode::Http if looked.slack_at.is_some_and(|at| at.elapsed() < SLACK_BELIEVED) => {}
        SlackMode::Http => {
            match tokio::time::timeout(PATIENCE, app.slack.auth_test()).await {
                Ok(Ok(_)) => app.health.well(Part::Slack),
                Ok(Err(error)) => app.health.ill(Part::Slack, format!("Slack cannot be used: {error}")),
                Err(_) => app.health.ill(Part::Slack, format!("Slack does not answer within {} s", PATIENCE.as_secs())),
            }
            looked.slack_at = Some(Instant::now());
        }
    }
    looked.at = Some(Instant::now());
    looked.sandboxes
}

/// Whether something can be stored, or why not.
async fn stored(app: &App) -> Result<(), String> {
    // While it is full, the little that is written here may still find room, and would say that all is well.
    if let StorageHealth::Full(path) = &*app.store.health().borrow() {
        return Err(format!("the disk that holds {} is full: make room, the service goes on by itself", path.display()));
    }
    match tokio::time::timeout(PATIENCE, app.store.probe()).await {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(_) => Err(format!("nothing could be stored within {} s", PATIENCE.as_secs())),
    }
}
