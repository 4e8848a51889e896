//! Which image sandboxes of a repository start from: built on a schedule, promoted when it is good, kept when a newer one is not.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use longshore_sandbox::{BuildError, BuildOutcome, CommitSha, ImageBuild, ImageBuilder, ImageRef, Rebuild};
use longshore_session::{ImageRecord, RepoName, RepositoryManifest, SandboxId, Store, Timestamp};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{app::App, sandboxes::Sandboxes};

/// The wait after the first failed build; it doubles with each further one.
const BACK_OFF: Duration = Duration::from_secs(60);
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
    shutdown: CancellationToken,
}

impl Images {
    pub fn new(store: Store, builder: ImageBuilder, at_once: usize, shutdown: CancellationToken) -> Self {
        Self { store, builder, at_once: Semaphore::new(at_once), building: Mutex::default(), ended: watch::Sender::new(0), shutdown }
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

/// One round for one repository: builds if something changed and the last failure is long enough ago.
pub async fn refresh(app: &Arc<App>, repo: &RepoName) {
    let span = tracing::info_span!("image", %repo);
    async {
        if let Err(error) = try_refresh(app, repo).await {
            tracing::error!(error = format!("{error:#}"), "the image round broke off");
        }
    }
    .instrument(span)
    .await;
}

async fn try_refresh(app: &Arc<App>, repo: &RepoName) -> Result<()> {
    let manifest = app.manifest(repo).context("no manifest")?.clone();
    let mut record = app.store.image(repo.clone()).await?;
    let now = app.clock.now();
    if let Some(failed) = record.failed_at
        && record.failures > 0
        && now.since(failed) < back_off(record.failures)
    {
        return Ok(());
    }
    let Some(_building) = app.images.begin(repo) else { return Ok(()) };
    let _turn = app.images.at_once.acquire().await?;
    record.building_since = Some(app.clock.now());
    app.store.put_image(repo.clone(), record.clone()).await?;
    let outcome = build(app, &manifest, &record).await;
    record.building_since = None;
    match outcome {
        Ok(BuildOutcome::Unchanged { .. }) => clear_failure(&mut record),
        Ok(BuildOutcome::Built(built)) => {
            tracing::info!(digest = built.digest, commit = %built.commit, bytes = built.bytes, "promoted an image");
            record.reference = Some(built.reference.to_string());
            record.commit = Some(built.commit.to_string());
            record.inputs = Some(built.input_hash);
            record.size = Some(built.bytes);
            record.built = Some(app.clock.now());
            record.vocabulary = built.vocabulary;
            clear_failure(&mut record);
        }
        Err(failure) => {
            // The rest is what the commands printed, and that is in the build's own log.
            let what = failure.lines().next().unwrap_or_default();
            let log = log_path(app, repo);
            tracing::error!(failure = what, log = %log.display(), "the build failed; sessions go on with the image before, if there is one");
            record.failure = Some(failure);
            record.failed_at = Some(app.clock.now());
            record.failures += 1;
        }
    }
    app.store.put_image(repo.clone(), record).await?;
    Ok(())
}

fn clear_failure(record: &mut ImageRecord) {
    record.failure = None;
    record.failed_at = None;
    record.failures = 0;
}

fn back_off(failures: u32) -> Duration {
    (BACK_OFF * 2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST_BACK_OFF)
}

/// The error is in words for `/agent repos` and for threads.
async fn build(app: &Arc<App>, manifest: &RepositoryManifest, record: &ImageRecord) -> Result<BuildOutcome, String> {
    let repo = &manifest.repository;
    let commit = app
        .github
        .branch_head(repo, &manifest.base_branch)
        .await
        .map_err(|error| format!("cannot read the branch {} of {repo} on GitHub: {error}", manifest.base_branch))?
        .ok_or_else(|| format!("{repo} has no branch {}: correct `base_branch` in its manifest", manifest.base_branch))?;
    let commit = CommitSha::parse(commit.as_str()).map_err(|error| error.to_string())?;
    let rebuild = match record.reference.as_deref().map(ImageRef::parse) {
        Some(Ok(reference)) => Rebuild::From(reference),
        Some(Err(_)) | None => Rebuild::Full,
    };
    let wanted = Wanted { manifest, commit, rebuild, log: log_path(app, repo) };
    build_admitted(&app.images.builder, &app.sandboxes, wanted).await.map_err(|error| error.to_string())
}

/// A build that is to be run.
pub struct Wanted<'a> {
    pub manifest: &'a RepositoryManifest,
    pub commit: CommitSha,
    pub rebuild: Rebuild,
    pub log: PathBuf,
}

/// Runs a build with a pass of its own at the gateway, which must listen already.
pub async fn build_admitted(builder: &ImageBuilder, sandboxes: &Sandboxes, wanted: Wanted<'_>) -> Result<BuildOutcome, BuildError> {
    let sandbox = SandboxId::random();
    sandboxes.admit_build(&sandbox, wanted.manifest);
    let (address, told) = oneshot::channel();
    let request = ImageBuild {
        sandbox: sandbox.clone(),
        manifest: wanted.manifest.clone(),
        commit: wanted.commit,
        rebuild: wanted.rebuild,
        environment: sandboxes.build_environment(&sandbox),
        log: wanted.log,
        address: Some(address),
    };
    let bind = async {
        if let Ok(address) = told.await {
            sandboxes.bind(&sandbox, address);
        }
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = builder.build(request) => outcome,
        () = bind => unreachable!("it waits for ever"),
    };
    sandboxes.release(&sandbox);
    outcome
}

/// Where the log of a repository's newest build is.
pub fn log_path(app: &App, repo: &RepoName) -> PathBuf {
    app.store.folder().join("builds").join(format!("{}-{}.log", repo.owner(), repo.name()))
}

/// How old an image is.
pub fn age(record: &ImageRecord, now: Timestamp) -> Duration {
    record.built.map_or(Duration::ZERO, |built| now.since(built))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_ever_later() {
        assert_eq!(back_off(1), Duration::from_secs(60));
        assert_eq!(back_off(3), Duration::from_secs(240));
        assert_eq!(back_off(60), LONGEST_BACK_OFF);
    }
}
