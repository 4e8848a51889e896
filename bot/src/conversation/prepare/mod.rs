//! From a prompt to a sandbox that can take it: kept, restored, claimed or started; and beside the agent, which reads already, on the session's branch with the
//! author's name on its commits.

mod obtain;
mod restore;
mod sync;

use std::sync::Arc;

use longshore_sandbox::EngineError;
use longshore_session::{
    Phase, Prompt, PullRequestEnd, SandboxId, SandboxOrigin, SessionRecord, TakenFile, Timestamp, TurnFailure, TurnId, fault_point,
};
use longshore_slack::PullRequestStanding;

use self::obtain::{Obtained, obtain};
pub use self::{
    obtain::{discard, find, wake},
    restore::take_up,
    sync::{Base, sync},
};
use super::{again, files};
use crate::{app::App, overview, snapshots::Moment};

/// What the session has when its turn begins.
#[derive(Debug)]
pub struct Before {
    /// The sandbox that it still has.
    pub sandbox: Option<SandboxId>,
    /// Held as long as that must be left alone.
    pub stillness: Arc<tokio::sync::Mutex<()>>,
    /// What no snapshot holds yet.
    pub due: Option<Moment>,
    /// The last turn that an agent was given.
    pub last: Option<TurnId>,
    /// The session's pull request, unless it is known to be over.
    pub pull_request: Option<u64>,
}

/// An agent that has written and been asked things before the session gets it.
#[derive(Debug)]
pub struct Heard {
    /// Bytes of its output that are not the session's.
    pub offset: u64,
    /// Its own id of the session's conversation, where it took one up.
    pub conversation: Option<String>,
}

/// A sandbox that can be prompted, for reading.
#[derive(Debug)]
pub struct Prepared {
    pub sandbox: SandboxId,
    pub origin: SandboxOrigin,
    /// Set where its agent wrote something before this turn that is not to be read.
    pub heard: Option<Heard>,
    /// The prompt's files, as far as they could be had.
    pub files: Vec<TakenFile>,
    /// How the session's pull request ended meanwhile.
    pub pull_request_end: Option<PullRequestEnd>,
    pub reached: Vec<(Phase, Timestamp)>,
}

/// What is given is not in sync yet: see [`sync()`].
pub async fn prepare(app: Arc<App>, record: SessionRecord, prompt: Prompt, before: Before) -> Result<Prepared, TurnFailure> {
    let Some(manifest) = app.manifest(&record.repo) else { return Err(no_manifest(&record)) };
    let obtained = async {
        // A snapshot that is being taken is waited for.
        let _held = Arc::clone(&before.stillness).lock_owned().await;
        again::past_engine_restart(|| obtain(&app, (&record, &prompt), manifest, &before)).await
    };
    let pull_request_end = async { pull_request_end(&app, &record, before.pull_request?).await };
    let (obtained, fetched, pull_request_end) = tokio::join!(obtained, files::fetch(&app, &prompt), pull_request_end);
    let Obtained { sandbox, origin, heard } = obtained?;
    let reached = vec![(Phase::SandboxReady, app.clock.now())];
    match files::place(&app, &sandbox, &prompt, fetched).await {
        Ok(files) => {
            fault_point!("files.placed.after");
            Ok(Prepared { sandbox, origin, heard, files, pull_request_end, reached })
        }
        Err(failure) => {
            if origin != SandboxOrigin::Kept {
                discard(&app, &sandbox).await;
            }
            Err(failure)
        }
    }
}

/// Whether somebody merged or closed the pull request since the last turn, where GitHub tells.
async fn pull_request_end(app: &App, record: &SessionRecord, number: u64) -> Option<PullRequestEnd> {
    match overview::ask_standing(app, &record.repo, number).await? {
        PullRequestStanding::Merged => Some(PullRequestEnd::Merged),
        PullRequestStanding::Closed => Some(PullRequestEnd::Closed),
        PullRequestStanding::Open | PullRequestStanding::Draft | PullRequestStanding::Unknown => None,
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
