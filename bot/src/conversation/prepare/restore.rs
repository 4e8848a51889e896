//! A sandbox from the session's snapshot: the same files, the same branch, and an agent that goes on with the same conversation.

use std::{sync::Arc, time::Duration};

use longshore_agent::{Agent, AgentError, AgentSessionId, AgentSettings, Carrier, Cursor, Permissions, StartSession};
use longshore_sandbox::{EngineError, ImageRef};
use longshore_session::{
    Memory, RepositoryManifest, SandboxId, SandboxOrigin, SessionRecord, SnapshotRecord, TurnFailure, TurnId, fault_point,
};

use super::{
    Heard, discard, failure,
    obtain::{Launch, Obtained, Unlaunched, launch, model},
    sync,
};
use crate::{app::App, snapshots};

/// Why a snapshot brought no sandbox.
pub enum Unrestored {
    /// It is of no use: the image and the branch are.
    Unusable,
    /// Nothing else would work now either.
    Failed(TurnFailure),
}

/// Why one try brought no sandbox.
enum Missed {
    /// The agent does not come up in what the snapshot holds.
    Agent,
    Otherwise(Unrestored),
}

/// `last` is the last turn that an agent of the session was given.
pub async fn restore(
    app: &Arc<App>,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    taken: (&SnapshotRecord, Option<TurnId>),
) -> Result<Obtained, Unrestored> {
    let mut missed = attempt(app, record, manifest, taken, Memory::Whole).await;
    if matches!(missed, Err(Missed::Agent)) {
        // What it keeps of its conversations may be damaged. The files are the session's work.
        tracing::warn!("restoring the snapshot's files without the agent's memory");
        missed = attempt(app, record, manifest, taken, Memory::Lost).await;
    }
    missed.map_err(|missed| match missed {
        Missed::Agent => Unrestored::Unusable,
        Missed::Otherwise(unrestored) => unrestored,
    })
}

async fn attempt(
    app: &Arc<App>,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    (snapshot, last): (&SnapshotRecord, Option<TurnId>),
    memory: Memory,
) -> Result<Obtained, Missed> {
    let failed = |failure| Missed::Otherwise(Unrestored::Failed(failure));
    let unusable = || Missed::Otherwise(Unrestored::Unusable);
    let image = ImageRef::parse(snapshot.image.as_str()).map_err(|_| unusable())?;
    let model = model(app, record).await.map_err(failed)?;
    fault_point!("restore.started.before");
    let sandbox = match launch(app, record, manifest, Launch { image, model, inherited: snapshot.bytes, memory }).await {
        Ok(sandbox) => sandbox,
        Err(Unlaunched::Untried(failure)) => return Err(failed(failure)),
        Err(Unlaunched::Engine(error @ (EngineError::Unreachable { .. } | EngineError::DiskFull { .. }))) => {
            tracing::error!(%error, "cannot start a sandbox");
            return Err(failed(failure(&error)));
        }
        Err(Unlaunched::Engine(error)) => {
            tracing::warn!(image = snapshot.image, %error, "the snapshot gives no sandbox");
            if matches!(error, EngineError::ImageMissing { .. }) {
                snapshots::forget_lost(app, snapshot).await;
            }
            return Err(unusable());
        }
    };
    fault_point!("restore.started.after");
    let conversation = snapshot.facts.conversation.clone().filter(|_| memory == Memory::Whole);
    let is_behind = last.is_some_and(|last| last > snapshot.facts.through);
    let checkout = async { if is_behind { sync::catch_up(app, record, &sandbox).await } else { Ok(()) } };
    let (resumed, checked) = tokio::join!(resume(app, &sandbox, conversation.as_deref()), checkout);
    let missed = match (resumed, checked) {
        (Ok(memory), Ok(())) => {
            fault_point!("restore.resumed.after");
            let origin = SandboxOrigin::Restored { taken: snapshot.taken, through: snapshot.facts.through, memory };
            tracing::info!(%sandbox, ?memory, "restored a sandbox");
            let conversation = conversation.filter(|_| memory == Memory::Whole);
            return Ok(Obtained { sandbox, origin, heard: Some(Heard { offset: 0, conversation }) });
        }
        (Err(error), _) => {
            tracing::warn!(%sandbox, %error, "the agent of a restored sandbox does not come up");
            Missed::Agent
        }
        // What came after the snapshot is on GitHub, which cannot be asked now: it can with the next prompt.
        (Ok(_), Err(failure @ (TurnFailure::GitHubAway { .. } | TurnFailure::EngineUnavailable))) => {
            tracing::error!(%sandbox, "cannot catch up with the session's branch");
            failed(failure)
        }
        (Ok(_), Err(failure)) => {
            tracing::warn!(%sandbox, ?failure, "the checkout of a restored sandbox cannot be gone on with");
            unusable()
        }
    };
    discard(app, &sandbox).await;
    Err(missed)
}

/// Has the agent take up its conversation, while there is still another way if it does not come up. Whoever attaches next finds that done.
async fn resume(app: &App, sandbox: &SandboxId, conversation: Option<&str>) -> Result<Memory, AgentError> {
    let mut agent = take_up(app, sandbox, Cursor::START, Permissions::Held).await?;
    let ended = async {
        let exit = app.engine.wait(sandbox).await;
        AgentError::Faulty(exit.words())
    };
    let Some(id) = conversation.and_then(|id| AgentSessionId::parse(id).ok()) else {
        return tokio::select! {
            up = agent.initialize() => up.map(|()| Memory::Lost),
            error = ended => Err(error),
        };
    };
    let resumed = tokio::select! {
        resumed = agent.start_session(StartSession { resume: Some(id), ..app.sandboxes.conversation(sandbox) }) => resumed,
        error = ended => Err(error),
    };
    match resumed {
        Ok(_) => Ok(Memory::Whole),
        Err(error @ (AgentError::Refused { .. } | AgentError::CannotResume)) => {
            tracing::warn!(%sandbox, %error, "the agent does not take up its conversation");
            Ok(Memory::Lost)
        }
        Err(error) => Err(error),
    }
}

/// The agent of a sandbox, read from there on. `permissions` are for one that asks for them in place of our hook.
pub async fn take_up(app: &App, sandbox: &SandboxId, cursor: Cursor, permissions: Permissions) -> Result<Agent, AgentError> {
    let limits = &app.config.limits;
    let settings = AgentSettings {
        start_limit: Duration::from_secs(limits.agent_start_seconds),
        silence_limit: Duration::from_secs(limits.silence_seconds),
        secrets: vec![app.sandboxes.token(sandbox).expose().to_owned()],
        permissions,
        ..AgentSettings::default()
    };
    let carrier = Carrier::open(&app.engine.carrier(sandbox).folder)?;
    Agent::attach(carrier, cursor, settings).await
}
