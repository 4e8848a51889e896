//! Which image sandboxes of a repository start from: built on a schedule, promoted when it is good, kept when a newer one is not.

pub mod collect;
pub mod command;
mod history;
mod rollback;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use longshore_agent::{Agent, AgentError, AgentSettings, Carrier, Cursor};
use longshore_api::Asked;
use longshore_sandbox::{
    Bound, Bounds, BuildError, BuildOutcome, BuiltImage, CommitSha, ImageBuild, ImageBuilder, ImageRef, Process, Progress, Rebuild,
    Sandbox, Trial, TrialSandbox,
};
use longshore_session::{EarlierImage, FallBack, ImageRecord, RepoName, RepositoryManifest, SandboxId, Store, Timestamp, fault_point};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::rollback::Attempts;
pub use self::rollback::{Choice, image_of};

use crate::{app::App, config::ImageSection, sandboxes::Sandboxes};

/// The wait after the first failed build; it doubles with each further one.
const BACK_OFF: Duration = Duration::from_secs(60);
/// For the agent of a trial, on a machine that is busy with the builds.
const AGENT_LIMIT: Duration = Duration::from_secs(180);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(6 * 3600);

/// Why no sandbox can be started.
#[derive(Debug)]
pub enum NotReady {
    /// No image was ever good, and the last build failed.
    Failed {
        detail: String,
    },
    ShuttingDown,
}

/// The state of all images.
pub struct Images {
    store: Store,
    builder: ImageBuilder,
    at_once: Semaphore,
    building: Mutex<HashSet<RepoName>>,
    /// Ticks whenever a build ended.
    ended: watch::Sender<u64>,
    attempts: Attempts,
    /// Sandboxes that were not started from the newest image, until their threads are told.
    fallen_back: Mutex<HashMap<SandboxId, FallBack>>,
    shutdown: CancellationToken,
}

impl Images {
    pub fn new(store: Store, builder: ImageBuilder, at_once: usize, shutdown: CancellationToken) -> Self {
        Self {
            store,
            builder,
            at_once: Semaphore::new(at_once),
            building: Mutex::default(),
            ended: watch::Sender::new(0),
            attempts: Attempts::default(),
            fallen_back: Mutex::default(),
            shutdown,
        }
    }

    /// The promoted image. Waits for the first build, if that is still to come.
    pub async fn ready(&self, repo: &RepoName) -> Result<String, NotReady> {
        let mut ended = self.ended.subscribe();
        loop {
            ended.borrow_and_update();
            let record = self.store.image(repo.clone()).await.map_err(|error| NotReady::Failed { detail: error.to_string() })?;
            if let Some(reference) = record.reference {
                return Ok(reference);
            }
            if let Some(detail) = record.failure
                && !self.is_building(repo)
            {
                return Err(NotReady::Failed { detail });
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(NotReady::ShuttingDown),
                changed = ended.changed() => if changed.is_err() { return Err(NotReady::ShuttingDown) },
            }
        }
    }

    /// Changes whenever a build ended.
    pub fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    pub fn is_building(&self, repo: &RepoName) -> bool {
        self.building.lock().unwrap_or_else(PoisonError::into_inner).contains(repo)
    }

    /// None when a build of it runs already.
    fn begin(&self, repo: &RepoName) -> Option<Building<'_>> {
        let new = self.building.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.clone());
        new.then(|| Building { images: self, repo: repo.clone() })
    }
}

/// Two builds of one repository never run at once.
struct Building<'a> {
    images: &'a Images,
    repo: RepoName,
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.images.building.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.repo);
        self.images.ended.send_modify(|count| *count += 1);
    }
}

/// Why a round comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Its time has come: builds if something changed and the last failure is long enough ago.
    Due,
    /// An operator wants it: in full, whatever was before, and however large or slow it becomes.
    Asked,
}

/// One round for one repository.
pub async fn refresh(app: &Arc<App>, repo: &RepoName) {
    round(app, repo, Round::Due).await;
}

/// Begins a build that somebody asked for.
pub fn rebuild(app: &Arc<App>, repo: &RepoName) -> Asked {
    if app.manifest(repo).is_none() {
        return Asked::Unknown;
    }
    if app.images.is_building(repo) {
        return Asked::Running;
    }
    let (app, repo, shutdown) = (Arc::clone(app), repo.clone(), app.shutdown.clone());
    app.tasks.clone().spawn(async move { shutdown.run_until_cancelled(round(&app, &repo, Round::Asked)).await });
    Asked::Begun
}

/// Builds that run were another service's, which is gone.
pub async fn tidy(app: &App) -> Result<()> {
    Ok(app.store.interrupt_builds().await?)
}

/// Where the logs of builds are.
pub fn logs(app: &App) -> PathBuf {
    history::folder(&app.store)
}

async fn round(app: &Arc<App>, repo: &RepoName, round: Round) {
    let span = tracing::info_span!("image", %repo);
    async {
        if let Err(error) = try_refresh(app, repo, round).await {
            tracing::error!(error = format!("{error:#}"), "the image round broke off");
        }
    }
    .instrument(span)
    .await;
}

async fn try_refresh(app: &Arc<App>, repo: &RepoName, round: Round) -> Result<()> {
    let manifest = app.manifest(repo).context("no manifest")?.clone();
    let record = app.store.image(repo.clone()).await?;
    let now = app.clock.now();
    if round == Round::Due
        && let Some(failed) = record.failed_at
        && record.failures > 0
        // A time to come is one from before the clock was set back.
        && failed <= now
        && now.since(failed) < back_off(record.failures)
    {
        return Ok(());
    }
    let Some(_building) = app.images.begin(repo) else { return Ok(()) };
    let _turn = app.images.at_once.acquire().await?;
    let now = app.clock.now();
    // Sessions may take an image back while this round goes on, so every change is made to what stands there then.
    let record = app
        .store
        .change_image(repo.clone(), move |record| {
            record.building_since = Some(now);
            record.clone()
        })
        .await?;
    fault_point!("image.begun.after");
    let entry = history::Entry::begin(&app.store, repo).await?;
    fault_point!("image.entered.after");
    let before = match round {
        Round::Due => record,
        Round::Asked => ImageRecord::default(),
    };
    let (outcome, commit) = build(app, &manifest, &before, &entry).await;
    match &outcome {
        Ok(Came::Unchanged | Came::KnownBad(_)) => entry.forget(&app.store).await?,
        Ok(Came::Built(built)) => {
            fault_point!("image.ended.before");
            entry.promoted(&app.store, built).await?;
            fault_point!("image.ended.after");
        }
        Err(failure) => {
            // The rest is what the commands printed, and that is in the build's own log.
            let what = failure.lines().next().unwrap_or_default();
            let log = entry.log();
            tracing::error!(failure = what, log = %log.display(), "the build failed; sessions go on with the image before, if there is one");
            entry.failed(&app.store, failure, commit).await?;
        }
    }
    let (now, keep) = (app.clock.now(), app.config.images.keep);
    let is_new = matches!(outcome, Ok(Came::Built(_)));
    if is_new {
        fault_point!("image.promoted.before");
    }
    app.store.change_image(repo.clone(), move |record| conclude(record, outcome, now, keep)).await?;
    if is_new {
        fault_point!("image.promoted.after");
    }
    Ok(())
}

/// What a round came to.
enum Came {
    Unchanged,
    Built(Box<BuiltImage>),
    /// The same inputs made an image that was taken back.
    KnownBad(String),
}

fn conclude(record: &mut ImageRecord, outcome: Result<Came, String>, now: Timestamp, keep: usize) {
    record.building_since = None;
    match outcome {
        Ok(Came::Unchanged) => clear_failure(record),
        Ok(Came::KnownBad(why)) => {
            // No failed build: what became of it is told already.
            tracing::info!(why, "not built again");
            clear_failure(record);
        }
        Ok(Came::Built(built)) => {
            tracing::info!(digest = built.digest, commit = %built.commit, bytes = built.bytes, "promoted an image");
            let image = EarlierImage {
                reference: built.reference.to_string(),
                commit: Some(built.commit.to_string()),
                inputs: Some(built.input_hash),
                start_ms: u64::try_from(built.start.as_millis()).ok(),
                size: Some(built.bytes),
                built: Some(now),
            };
            record.promote(image, keep, now);
            record.vocabulary = built.vocabulary;
            clear_failure(record);
        }
        Err(failure) => {
            record.failure = Some(failure);
            record.failed_at = Some(now);
            record.failures += 1;
        }
    }
}

/// Sessions found the image gone from the engine and from the registry: the one before takes its place, and a new one is built.
///
/// True where one of those before takes its place at once.
pub async fn lost(app: &Arc<App>, repo: &RepoName, reference: &str) -> bool {
    let gone = reference.to_owned();
    match app
        .store
        .change_image(repo.clone(), move |record| {
            let news = record.lose(&gone);
            if news {
                clear_failure(record);
            }
            (news, record.reference.is_some())
        })
        .await
    {
        Ok((true, replaced)) => {
            tracing::error!(%repo, image = reference, "neither the engine nor the registry has the image any more; building it again");
            let (app, repo) = (Arc::clone(app), repo.clone());
            let shutdown = app.shutdown.clone();
            app.tasks.clone().spawn(async move { shutdown.run_until_cancelled(refresh(&app, &repo)).await });
            replaced
        }
        Ok((false, replaced)) => replaced,
        Err(error) => {
            tracing::error!(%repo, %error, "cannot note that an image is lost");
            false
        }
    }
}

fn clear_failure(record: &mut ImageRecord) {
    record.failure = None;
    record.failed_at = None;
    record.failures = 0;
}

fn back_off(failures: u32) -> Duration {
    (BACK_OFF * 2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST_BACK_OFF)
}

/// What came of it, and what it was to be made of. The error is in words for `/agent repos` and for threads.
async fn build(
    app: &Arc<App>,
    manifest: &RepositoryManifest,
    before: &ImageRecord,
    entry: &history::Entry,
) -> (Result<Came, String>, Option<String>) {
    let commit = match head(app, manifest).await {
        Ok(commit) => commit,
        Err(failure) => return (Err(failure), None),
    };
    let named = Some(commit.to_string());
    (try_build(app, manifest, before, entry, commit).await, named)
}

async fn try_build(
    app: &Arc<App>,
    manifest: &RepositoryManifest,
    before: &ImageRecord,
    entry: &history::Entry,
    commit: CommitSha,
) -> Result<Came, String> {
    if !before.bad.is_empty() {
        let inputs = app.images.builder.inputs_of(manifest, &commit).await.map_err(|error| error.to_string())?;
        if let Some(bad) = before.bad_of(&inputs) {
            let why = bad.why.lines().next().unwrap_or_default();
            return Ok(Came::KnownBad(format!(
                "the image of {commit} was taken back, since no session could start from it ({why}): it is built again when {}, its manifest or the base image change",
                manifest.base_branch
            )));
        }
    }
    let rebuild = match before.reference.as_deref().map(ImageRef::parse) {
        Some(Ok(reference)) => Rebuild::From(reference),
        Some(Err(_)) | None => Rebuild::Full,
    };
    let bounds = bounds(&app.config.images, before);
    let wanted = Wanted { manifest, commit, rebuild, log: entry.log(), bounds, progress: entry.progress.clone() };
    match build_admitted(&app.images.builder, &app.sandboxes, wanted).await {
        Ok(BuildOutcome::Unchanged { .. }) => Ok(Came::Unchanged),
        Ok(BuildOutcome::Built(built)) => Ok(Came::Built(Box::new(built))),
        Err(error) => Err(error.to_string()),
    }
}

async fn head(app: &Arc<App>, manifest: &RepositoryManifest) -> Result<CommitSha, String> {
    let repo = &manifest.repository;
    let commit = app
        .github
        .branch_head(repo, &manifest.base_branch)
        .await
        .map_err(|error| format!("cannot read the branch {} of {repo} on GitHub: {error}", manifest.base_branch))?
        .ok_or_else(|| format!("{repo} has no branch {}: correct `base_branch` in its manifest", manifest.base_branch))?;
    CommitSha::parse(commit.as_str()).map_err(|error| error.to_string())
}

/// A build that is to be run.
pub struct Wanted<'a> {
    pub manifest: &'a RepositoryManifest,
    pub commit: CommitSha,
    pub rebuild: Rebuild,
    pub log: PathBuf,
    /// What the image must keep to.
    pub bounds: Bounds,
    /// Shows how far it is.
    pub progress: Progress,
}

/// What the image before lets a new one be. The floors are there so that noise is no fault.
fn bounds(section: &ImageSection, before: &ImageRecord) -> Bounds {
    let most_bytes = |bytes: u64| {
        ((bytes as f64 * section.max_growth) as u64).max(bytes.saturating_add(section.growth_floor_mb.saturating_mul(1_000_000)))
    };
    let longest = |start: Duration| start.mul_f64(section.max_start_ratio).max(Duration::from_secs(section.start_floor_s));
    Bounds {
        written: Some(section.build_disk_mb.saturating_mul(1_000_000)),
        bytes: before.size.map(|bytes| Bound { before: bytes, most: most_bytes(bytes) }),
        start: before.start_ms.map(Duration::from_millis).map(|start| Bound { before: start, most: longest(start) }),
    }
}

/// Runs a build with a pass of its own at the gateway, which must listen already.
pub async fn build_admitted(builder: &ImageBuilder, sandboxes: &Sandboxes, wanted: Wanted<'_>) -> Result<BuildOutcome, BuildError> {
    let sandbox = SandboxId::random();
    sandboxes.admit_build(&sandbox, wanted.manifest);
    let (address, told) = oneshot::channel();
    let mut environment = sandboxes.build_environment(&sandbox);
    environment.extend(sandboxes.registry_variables(&sandbox, wanted.manifest));
    let request = ImageBuild {
        sandbox: sandbox.clone(),
        manifest: wanted.manifest.clone(),
        commit: wanted.commit,
        rebuild: wanted.rebuild,
        environment,
        log: wanted.log,
        bounds: wanted.bounds,
        progress: wanted.progress,
        address: Some(address),
    };
    let trial = AgentTrial { sandboxes, manifest: wanted.manifest };
    let bind = async {
        if let Ok(address) = told.await {
            sandboxes.bind(&sandbox, address);
        }
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = builder.build(request, &trial) => outcome,
        () = bind => unreachable!("it waits for ever"),
    };
    sandboxes.release(&sandbox);
    outcome
}

/// Tries an image with the agent that sessions have.
struct AgentTrial<'a> {
    sandboxes: &'a Sandboxes,
    manifest: &'a RepositoryManifest,
}

#[async_trait]
impl Trial for AgentTrial<'_> {
    fn sandbox(&self) -> TrialSandbox {
        let id = SandboxId::random();
        self.sandboxes.admit_trial(&id, self.manifest);
        TrialSandbox { process: Process::Agent { argv: self.sandboxes.command() }, environment: self.sandboxes.usual_environment(&id), id }
    }

    async fn answers(&self, sandbox: &Sandbox) -> Result<(), String> {
        self.sandboxes.bind(&sandbox.id, sandbox.address);
        let settings = AgentSettings {
            start_limit: AGENT_LIMIT,
            secrets: vec![self.sandboxes.token(&sandbox.id).expose().to_owned()],
            ..AgentSettings::default()
        };
        let answered = async {
            let carrier = Carrier::open(&sandbox.carrier.folder)?;
            Agent::attach(carrier, Cursor::START, settings).await?.initialize().await
        };
        answered.await.map_err(|error: AgentError| format!("its agent does not answer: {error}"))
    }

    fn over(&self, id: &SandboxId) {
        self.sandboxes.release(id);
    }
}

/// How old an image is.
pub fn age(record: &ImageRecord, now: Timestamp) -> Duration {
    record.built.map_or(Duration::ZERO, |built| now.since(built))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_image_may_grow_by_a_factor_and_small_ones_by_the_floor() {
        let text = "base = \"longshore/base:latest\"\nregistry = \"127.0.0.1:5055\"\n";
        let section: ImageSection = toml::from_str(text).unwrap();
        let record = |bytes: u64, start_ms: u64| ImageRecord { size: Some(bytes), start_ms: Some(start_ms), ..ImageRecord::default() };
        let small = bounds(&section, &record(500_000_000, 900));
        assert_eq!(small.bytes, Some(Bound { before: 500_000_000, most: 1_500_000_000 }));
        assert_eq!(small.start, Some(Bound { before: Duration::from_millis(900), most: Duration::from_secs(30) }));
        let large = bounds(&section, &record(5_000_000_000, 20_000));
        assert_eq!(large.bytes.unwrap().most, 10_000_000_000);
        assert_eq!(large.start.unwrap().most, Duration::from_secs(60));
        let first = bounds(&section, &ImageRecord::default());
        assert_eq!((first.bytes, first.start), (None, None), "the first image is measured by nothing");
    }

    #[test]
    fn failures_are_tried_again_ever_later() {
        assert_eq!(back_off(1), Duration::from_secs(60));
        assert_eq!(back_off(3), Duration::from_secs(240));
        assert_eq!(back_off(60), LONGEST_BACK_OFF);
    }
}
