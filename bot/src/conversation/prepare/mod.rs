//! From a prompt to a sandbox that can take it: claimed or started, on the session's branch, with the author's name on its commits.

mod obtain;
mod sync;

use std::sync::Arc;

use longshore_sandbox::EngineError;
use longshore_session::{Person, Phase, Prompt, SandboxId, SandboxOrigin, SessionRecord, TakenFile, Timestamp, TurnFailure};

use self::obtain::{Obtained, obtain};
pub use self::obtain::{discard, wake};
use super::files;
use crate::app::App;

/// A sandbox that can be prompted.
#[derive(Debug)]
pub struct Prepared {
    pub sandbox: SandboxId,
    pub origin: SandboxOrigin,
    /// The prompt's files, as far as they could be had.
    pub files: Vec<TakenFile>,
    pub reached: Vec<(Phase, Timestamp)>,
}

/// `kept` is the sandbox that the session still has, if it has one.
pub async fn prepare(app: Arc<App>, record: SessionRecord, prompt: Prompt, kept: Option<SandboxId>) -> Result<Prepared, TurnFailure> {
    let (ready, fetched) = tokio::join!(ready(&app, &record, &prompt.author, kept.clone()), files::fetch(&app, &prompt));
    let (Obtained { sandbox, origin }, reached) = ready?;
    match files::place(&app, &sandbox, &prompt, fetched).await {
        Ok(files) => Ok(Prepared { sandbox, origin, files, reached }),
        Err(failure) => {
            if origin != SandboxOrigin::Kept {
                discard(&app, &sandbox).await;
            }
            Err(failure)
        }
    }
}

/// A sandbox on the session's branch, and when it got how far.
async fn ready(
    app: &App,
    record: &SessionRecord,
    author: &Person,
    kept: Option<SandboxId>,
) -> Result<(Obtained, Vec<(Phase, Timestamp)>), TurnFailure> {
    let Some(manifest) = app.manifest(&record.repo) else {
        return Err(TurnFailure::NoImage { detail: format!("there is no manifest for {} any more", record.repo) });
    };
    // One that ends between being taken up and being used is replaced like one that was found ended.
    let mut kept = kept;
    loop {
        let retaken = kept.is_some();
        let obtained = obtain(app, record, manifest, kept.take()).await?;
        let mut reached = vec![(Phase::SandboxReady, app.clock.now())];
        let readied = async {
            if obtained.origin != SandboxOrigin::Kept {
                sync::sync(app, record, manifest, &obtained.sandbox).await?;
            }
            sync::identify(app, &obtained.sandbox, author).await
        };
        match readied.await {
            Ok(()) => {
                reached.push((Phase::Synced, app.clock.now()));
                return Ok((obtained, reached));
            }
            Err(TurnFailure::SandboxKilled { .. }) if retaken && obtained.origin == SandboxOrigin::Kept => {}
            Err(failure) => {
                if obtained.origin != SandboxOrigin::Kept {
                    discard(app, &obtained.sandbox).await;
                }
                return Err(failure);
            }
        }
    }
}

/// What a person is told of an engine's error.
pub fn failure(error: &EngineError) -> TurnFailure {
    match error {
        EngineError::Unreachable { .. } => TurnFailure::EngineUnavailable,
        EngineError::DiskFull { .. } => TurnFailure::DiskFull,
        EngineError::ImageMissing { .. } => TurnFailure::NoImage { detail: error.to_string() },
        EngineError::NotRunning { .. } | EngineError::NoSuchSandbox { .. } => TurnFailure::SandboxKilled { detail: error.to_string() },
        _ => TurnFailure::SandboxStart { detail: error.to_string() },
    }
}

fn stored(error: &longshore_session::StoreError) -> TurnFailure {
    tracing::error!(%error, "cannot store a sandbox");
    match error {
        longshore_session::StoreError::DiskFull(_) => TurnFailure::DiskFull,
        _ => TurnFailure::Internal,
    }
}

/// The last `limit` characters.
pub fn tail(text: &str, limit: usize) -> String {
    let skip = text.chars().count().saturating_sub(limit);
    text.chars().skip(skip).collect()
}
