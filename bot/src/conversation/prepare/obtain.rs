//! A session's sandbox: the one that it still has, one that waited in the pool, or a new one from the promoted image.

use std::{net::IpAddr, sync::Arc};

use longshore_sandbox::{EngineError, ImageRef, Process, SandboxState, StartSandbox};
use longshore_session::{FallBack, RepositoryManifest, SandboxId, SandboxOrigin, SandboxRecord, SessionRecord, TurnFailure};

use super::{failure, stored};
use crate::{
    app::App,
    home,
    images::{self, Choice, NotReady},
    pool,
};

/// Images that one preparation finds lost before it gives up.
const MOST_LOST: u32 = 4;

/// A sandbox whose agent can be prompted.
#[derive(Debug)]
pub struct Obtained {
    pub sandbox: SandboxId,
    pub origin: SandboxOrigin,
    /// Bytes of its agent's output that are not the session's, where there are any.
    pub unheard: Option<u64>,
}

/// `kept` is the sandbox that the session still has, if it has one.
pub async fn obtain(
    app: &Arc<App>,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    kept: Option<SandboxId>,
) -> Result<Obtained, TurnFailure> {
    if let Some(sandbox) = kept {
        match wake(app, &sandbox).await {
            Ok(Some(_)) => return Ok(Obtained { sandbox, origin: SandboxOrigin::Kept, unheard: None }),
            // It ended between two turns, perhaps in this very moment: a new one takes its place.
            Ok(None) | Err(TurnFailure::SandboxKilled { .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    let model = model(app, record).await?;
    if let Some(claimed) = pool::claim(app, record, &model).await.map_err(|error| stored(&error))? {
        return Ok(Obtained { sandbox: claimed.sandbox, origin: SandboxOrigin::Claimed, unheard: Some(claimed.output) });
    }
    Ok(Obtained { sandbox: start(app, record, manifest, &model).await?, origin: SandboxOrigin::Started, unheard: None })
}

/// The address of a sandbox that still runs, resumed if it was paused.
pub async fn wake(app: &App, sandbox: &SandboxId) -> Result<Option<IpAddr>, TurnFailure> {
    let info = match app.engine.inspect(sandbox).await {
        Ok(info) => info,
        Err(EngineError::NoSuchSandbox { .. }) => return Ok(None),
        Err(error) => return Err(failure(&error)),
    };
    let address = match info.state {
        SandboxState::Running { address } => address,
        SandboxState::Paused { address } => {
            app.engine.resume(sandbox).await.map_err(|error| failure(&error))?;
            address
        }
        SandboxState::Ended(_) => return Ok(None),
    };
    app.sandboxes.bind(sandbox, address);
    Ok(Some(address))
}

/// Removes a sandbox for good; its token ends first.
pub async fn discard(app: &App, sandbox: &SandboxId) {
    app.sandboxes.release(sandbox);
    app.gates.forget(sandbox);
    if let Err(error) = app.engine.remove(sandbox).await {
        tracing::warn!(%sandbox, %error, "cannot remove a sandbox; the next sweep will");
        return;
    }
    if let Err(error) = app.store.forget_sandbox(sandbox.clone()).await {
        tracing::warn!(%sandbox, %error, "cannot forget a sandbox");
    }
}

/// A new sandbox, of the newest image that does.
async fn start(app: &Arc<App>, record: &SessionRecord, manifest: &RepositoryManifest, model: &str) -> Result<SandboxId, TurnFailure> {
    let mut fall_back = None;
    let mut lost = 0;
    loop {
        let choice = app.images.choose(record).await.map_err(|not_ready| match not_ready {
            NotReady::Failed { detail } => TurnFailure::NoImage { detail },
            NotReady::ShuttingDown => TurnFailure::Internal,
        })?;
        let mut reference = match choice {
            Choice::Start(reference) => reference,
            Choice::GiveUp(detail) => return Err(TurnFailure::SandboxStart { detail }),
        };
        let mut started = start_from(app, record, manifest, model, &reference).await;
        if let Err(NotStarted::Engine(EngineError::RegistryUnreachable { .. } | EngineError::RegistryRefused { .. })) = &started
            && let Some(earlier) = app.images.on_engine(app, &record.repo).await
        {
            tracing::warn!(wanted = reference, taken = earlier, "the registry cannot be asked; starting from an earlier image");
            fall_back = Some(FallBack::RegistryAway);
            reference = earlier;
            started = start_from(app, record, manifest, model, &reference).await;
        }
        match started {
            Ok(id) => {
                if let Some(why) = fall_back {
                    app.images.note_fall_back(&id, why);
                }
                return Ok(id);
            }
            Err(NotStarted::Turn(failure)) => return Err(failure),
            Err(NotStarted::Engine(EngineError::ImageMissing { .. })) if lost < MOST_LOST => {
                lost += 1;
                fall_back = images::lost(app, &record.repo, &reference).await.then_some(FallBack::Lost);
            }
            // It may be the image's fault: what is tried next tells.
            Err(NotStarted::Engine(error @ EngineError::Refused { .. })) => {
                app.images.failed_start(&record.id, &reference, error.to_string())
            }
            Err(NotStarted::Engine(error)) => return Err(failure(&error)),
        }
    }
}

/// Why there is no sandbox.
enum NotStarted {
    Engine(EngineError),
    Turn(TurnFailure),
}

async fn start_from(
    app: &App,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    model: &str,
    reference: &str,
) -> Result<SandboxId, NotStarted> {
    let image = ImageRef::parse(reference).map_err(|error| NotStarted::Turn(TurnFailure::NoImage { detail: error.to_string() }))?;
    let id = SandboxId::random();
    // Known before it is there: a sweep after a crash finds whose it is.
    let row = SandboxRecord {
        id: id.clone(),
        session: record.id.clone(),
        created: app.clock.now(),
        body: serde_json::json!({ "image": reference }),
    };
    app.store.put_sandbox(row).await.map_err(|error| NotStarted::Turn(stored(&error)))?;
    app.sandboxes.admit_session(&id, &record.id, manifest);
    let started = app
        .engine
        .start(StartSandbox {
            id: id.clone(),
            image,
            limits: manifest.limits,
            process: Process::Agent { argv: app.sandboxes.command() },
            environment: app.sandboxes.session_environment(&id, model),
            labels: vec![("session".to_owned(), record.id.to_string()), ("repository".to_owned(), record.repo.to_string())],
        })
        .await;
    match started {
        Ok(sandbox) => {
            app.sandboxes.bind(&id, sandbox.address);
            tracing::info!(sandbox = %id, took_ms = sandbox.took.as_millis(), "started a sandbox");
            Ok(id)
        }
        Err(error) => {
            tracing::error!(sandbox = %id, %error, "cannot start a sandbox");
            discard(app, &id).await;
            Err(NotStarted::Engine(error))
        }
    }
}

/// The model that the session's agent works with: what whoever began it chose at the time, as long as the configuration offers it.
async fn model(app: &App, record: &SessionRecord) -> Result<String, TurnFailure> {
    let usual = || app.config.model.agent.clone();
    let chosen = home::defaults(app, &record.owner).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "cannot read defaults");
        TurnFailure::Internal
    })?;
    let wished = chosen.model.unwrap_or_else(usual);
    let kept = app.store.keep_model(record.id.clone(), wished).await.map_err(|error| stored(&error))?;
    Ok(if app.config.model.models().contains(&kept) { kept } else { usual() })
}
