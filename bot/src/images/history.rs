//! What is kept of every build: its record, and its log.

use std::path::{Path, PathBuf};

use anyhow::Result;
use longshore_sandbox::{BuiltImage, Progress};
use longshore_session::{BuildEnd, BuildRecord, BuildStepTook, RepoName, Store};

/// Builds of one repository that are remembered.
const KEPT: u32 = 50;

/// The folder of all builds' logs.
pub fn folder(store: &Store) -> PathBuf {
    store.folder().join("builds")
}

/// A build that runs.
pub struct Entry {
    record: BuildRecord,
    folder: PathBuf,
    pub progress: Progress,
}

impl Entry {
    pub async fn begin(store: &Store, repo: &RepoName) -> Result<Self> {
        let name = format!("{}-{}", repo.owner(), repo.name());
        let record = store.begin_build(repo.clone(), move |id| format!("{name}-{id}.log")).await?;
        Ok(Self { record, folder: folder(store), progress: Progress::default() })
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join(&self.record.report.log)
    }

    /// There was nothing to build.
    pub async fn forget(self, store: &Store) -> Result<()> {
        Ok(store.forget_build(self.record.id).await?)
    }

    pub async fn promoted(mut self, store: &Store, built: &BuiltImage) -> Result<()> {
        let report = &mut self.record.report;
        report.outcome = BuildEnd::Promoted;
        report.commit = Some(built.commit.to_string());
        report.reference = Some(built.reference.to_string());
        report.bytes = Some(built.bytes);
        report.layers = u64::try_from(built.layers).ok();
        report.start_ms = u64::try_from(built.start.as_millis()).ok();
        self.end(store).await
    }

    pub async fn failed(mut self, store: &Store, reason: &str, commit: Option<String>) -> Result<()> {
        let report = &mut self.record.report;
        report.outcome = BuildEnd::Failed;
        report.reason = Some(reason.to_owned());
        report.commit = commit;
        self.end(store).await
    }

    async fn end(mut self, store: &Store) -> Result<()> {
        let steps = self.progress.steps().into_iter();
        self.record.report.steps = steps
            .map(|timing| BuildStepTook { step: timing.step.to_string(), ms: u64::try_from(timing.took.as_millis()).unwrap_or(u64::MAX) })
            .collect();
        for old in store.end_build(self.record, KEPT).await? {
            remove(&self.folder.join(old));
        }
        Ok(())
    }
}

/// A build that failed before its first command has no log.
fn remove(log: &Path) {
    match std::fs::remove_file(log) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(log = %log.display(), %error, "an old build's log cannot be removed");
        }
        _ => {}
    }
}
