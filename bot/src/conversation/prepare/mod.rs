//! From a prompt to a sandbox that can take it: kept, claimed or started; and beside the agent, which reads already, on the session's branch with the
//! author's name on its commits.

mod obtain;
mod sync;

use std::sync::Arc;

use longshore_sandbox::EngineError;
use longshore_session::{Phase, Prompt, SandboxId, SandboxOrigin, SessionRecord, TakenFile, Timestamp, TurnFailure};

use self::obtain::{Obtained, obtain};
pub use self::{
    obtain::{discard, wake},
    sync::sync,
};
use super::files;
use crate::app::App;

/// A sandbox that can be prompted, for reading.
#[derive(Debug)]
pub struct Prepared {
    pub sandbox: SandboxId,
    pub origin: SandboxOrigin,
    /// Bytes of its agent's output that are not the session's, where there are any.
    pub unheard: Option<u64>,
    /// The prompt's files, as far as they could be had.
    pub files: Vec<TakenFile>,
    pub reached: Vec<(Phase, Timestamp)>,
}

/// `kept` is the sandbox that the session still has, if it has one. What is given is not in sync yet: see [`sync`].
pub async fn prepare(app: Arc<App>, record: SessionRecord, prompt: Prompt, kept: Option<SandboxId>) -> Result<Prepared, TurnFailure> {
    let Some(manifest) = app.manifest(&record.repo) else { return Err(no_manifest(&record)) };
    let (obtained, fetched) = tokio::join!(obtain(&app, &record, manifest, kept), files::fetch(&app, &prompt));
    let Obtained { sandbox, origin, unheard } = obtained?;
    let reached = vec![(Phase::SandboxReady, app.clock.now())];
    match files::place(&app, &sandbox, &prompt, fetched).await {
        Ok(files) => Ok(Prepared { sandbox, origin, unheard, files, reached }),
        Err(failure) => {
            if origin != SandboxOrigin::Kept {
                discard(&app, &sandbox).await;
            }
            Err(failure)
        }
    }
}

fn no_manifest(record: &SessionRecord) -> TurnFailure {
    TurnFailure::NoImage { detail: format!("there is no manifest for {} any more", record.repo) }
}

/// What a person is told of an engine's error.
pub fn failure(error: &EngineError) -> TurnFailure {
    match error {
        EngineError::Unreachable { .. } => TurnFailure::EngineUnavailable,
        EngineError::DiskFull { .. } => TurnFailure::DiskFull,
        EngineError::ImageMissing { .. } | EngineError::RegistryUnreachable { .. } | EngineError::RegistryRefused { .. } => {
            TurnFailure::NoImage { detail: error.to_string() }
        }
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
