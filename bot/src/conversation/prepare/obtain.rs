//! A session's sandbox: the one that it still has, one from its snapshot, one that waited in the pool, or a new one from the promoted image.

use std::{net::IpAddr, sync::Arc};

use longshore_agent::opencode;
use longshore_sandbox::{EngineError, Exit, ImageRef, Process, SandboxState, StartSandbox};
use longshore_session::{
    FallBack, Memory, Prompt, RepositoryManifest, SandboxId, SandboxOrigin, SandboxRecord, SessionRecord, SnapshotRecord, TurnFailure,
    TurnId, fault_point,
};

use super::{
    Before, Heard, failure,
    restore::{Unrestored, restore},
    stored,
};
use crate::{
    app::App,
    conversation::Note,
    home,
    images::{self, Choice, NotReady},
    pool, room, snapshots,
};

/// Images that one preparation finds lost before it gives up.
const MOST_LOST: u32 = 4;

/// A sandbox whose agent can be prompted.
#[derive(Debug)]
pub struct Obtained {
    pub sandbox: SandboxId,
    pub origin: SandboxOrigin,
    /// Set where its agent wrote something before.
    pub heard: Option<Heard>,
}

impl Obtained {
    fn kept(sandbox: SandboxId) -> Self {
        Self { sandbox, origin: SandboxOrigin::Kept, heard: None }
    }
}

pub async fn obtain(
    app: &Arc<App>,
    (record, prompt): (&SessionRecord, &Prompt),
    manifest: &RepositoryManifest,
    before: &Before,
) -> Result<Obtained, TurnFailure> {
    if let Some(sandbox) = &before.sandbox {
        match wake(app, sandbox).await {
            Ok(Some(_)) => return Ok(Obtained::kept(sandbox.clone())),
            // It ended between two turns, perhaps in this very moment: another one takes its place, with its files if they are there still.
            Ok(None) | Err(TurnFailure::SandboxKilled { .. }) => {
                if let Some(moment) = before.due.clone()
                    && let Err(error) = snapshots::take(app, &record.id, moment).await
                {
                    tracing::warn!(%sandbox, error = format!("{error:#}"), "an ended sandbox cannot be kept");
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    let snapshot = app.store.newest_snapshot(record.id.clone()).await.map_err(|error| stored(&error))?;
    if snapshot.is_none() {
        // Whoever waits for an image takes nobody's place meanwhile. What comes of it is for the start to say.
        let _ = app.images.ready(&record.repo).await;
    }
    let place = app.room.ask(record, prompt).await;
    app.conversations.note(&record.id, Note::Placed);
    let obtained = obtain_new(app, record, manifest, (snapshot, before.last)).await;
    drop(place);
    obtained
}

/// For a session that has a place and no sandbox.
async fn obtain_new(
    app: &Arc<App>,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    (snapshot, last): (Option<SnapshotRecord>, Option<TurnId>),
) -> Result<Obtained, TurnFailure> {
    let origin = match &snapshot {
        None => SandboxOrigin::Started,
        Some(snapshot) => match restore(app, record, manifest, (snapshot, last)).await {
            Ok(obtained) => return Ok(obtained),
            Err(Unrestored::Failed(failure)) => return Err(failure),
            Err(Unrestored::Unusable) => SandboxOrigin::Rebuilt { taken: snapshot.taken },
        },
    };
    let model = model(app, record).await?;
    if origin == SandboxOrigin::Started
        && let Some(claimed) = pool::claim(app, record, &model).await.map_err(|error| stored(&error))?
    {
        let heard = Some(Heard { offset: claimed.output, conversation: None });
        return Ok(Obtained { sandbox: claimed.sandbox, origin: SandboxOrigin::Claimed, heard });
    }
    Ok(Obtained { sandbox: start(app, record, manifest, model).await?, origin, heard: None })
}

/// The address of a sandbox that still runs, resumed if it was paused.
pub async fn wake(app: &App, sandbox: &SandboxId) -> Result<Option<IpAddr>, TurnFailure> {
    let address = match find(app, sandbox).await? {
        SandboxState::Running { address } => address,
        SandboxState::Paused { address } => {
            fault_point!("sandbox.woken.before");
            app.engine.resume(sandbox).await.map_err(|error| failure(&error))?;
            fault_point!("sandbox.woken.after");
            address
        }
        SandboxState::Ended(_) => return Ok(None),
    };
    Ok(Some(address))
}

/// Whether a sandbox runs. If so, its token counts from its address.
pub async fn find(app: &App, sandbox: &SandboxId) -> Result<SandboxState, TurnFailure> {
    let state = match app.engine.inspect(sandbox).await {
        Ok(info) => info.state,
        Err(EngineError::NoSuchSandbox { .. }) => return Ok(SandboxState::Ended(Exit::Gone)),
        Err(error) => return Err(failure(&error)),
    };
    match &state {
        SandboxState::Running { address } | SandboxState::Paused { address } => app.sandboxes.bind(sandbox, *address),
        SandboxState::Ended(_) => {}
    }
    Ok(state)
}

/// Removes a sandbox for good; its token ends first.
pub async fn discard(app: &App, sandbox: &SandboxId) {
    app.sandboxes.release(sandbox);
    app.gates.forget(sandbox);
    fault_point!("sandbox.removed.before");
    if let Err(error) = app.engine.remove(sandbox).await {
        tracing::warn!(%sandbox, %error, "cannot remove a sandbox; it is tried again");
        return app.room.stick(sandbox);
    }
    fault_point!("sandbox.removed.after");
    if let Err(error) = app.store.forget_sandbox(sandbox.clone()).await {
        tracing::warn!(%sandbox, %error, "cannot forget a sandbox");
    }
    fault_point!("sandbox.forgotten.after");
    app.room.leave(sandbox);
}

/// A new sandbox, of the newest image that does.
async fn start(app: &Arc<App>, record: &SessionRecord, manifest: &RepositoryManifest, model: String) -> Result<SandboxId, TurnFailure> {
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
        let mut started = start_from(app, record, manifest, &model, &reference).await;
        if let Err(Unlaunched::Engine(EngineError::RegistryUnreachable { .. } | EngineError::RegistryRefused { .. })) = &started
            && let Some(earlier) = app.images.on_engine(app, &record.repo).await
        {
            tracing::warn!(wanted = reference, taken = earlier, "the registry cannot be asked; starting from an earlier image");
            fall_back = Some(FallBack::RegistryAway);
            reference = earlier;
            started = start_from(app, record, manifest, &model, &reference).await;
        }
        match started {
            Ok(id) => {
                if let Some(why) = fall_back {
                    app.images.note_fall_back(&id, why);
                }
                return Ok(id);
            }
            Err(Unlaunched::Untried(failure)) => return Err(failure),
            Err(Unlaunched::Engine(EngineError::ImageMissing { .. })) if lost < MOST_LOST => {
                lost += 1;
                fall_back = images::lost(app, &record.repo, &reference).await.then_some(FallBack::Lost);
            }
            // It may be the image's fault: what is tried next tells.
            Err(Unlaunched::Engine(error @ EngineError::Refused { .. })) => {
                app.images.failed_start(&record.id, &reference, error.to_string())
            }
            Err(Unlaunched::Engine(error)) => return Err(failure(&error)),
        }
    }
}

async fn start_from(
    app: &App,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    model: &str,
    reference: &str,
) -> Result<SandboxId, Unlaunched> {
    let image = ImageRef::parse(reference).map_err(|error| Unlaunched::Untried(TurnFailure::NoImage { detail: error.to_string() }))?;
    launch(app, record, manifest, Launch { image, model: model.to_owned(), inherited: 0, memory: Memory::Whole }).await
}

/// What a sandbox is started from.
pub struct Launch {
    pub image: ImageRef,
    /// What its agent works with.
    pub model: String,
    /// Bytes of snapshots in it.
    pub inherited: u64,
    /// Whether its agent may look at what one before it kept.
    pub memory: Memory,
}

/// Why a sandbox did not start.
pub enum Unlaunched {
    Engine(EngineError),
    /// It was not even tried.
    Untried(TurnFailure),
}

/// A sandbox of the session's, with an agent in it. Nothing is left behind on an error.
pub async fn launch(
    app: &App,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    Launch { image, model, inherited, memory }: Launch,
) -> Result<SandboxId, Unlaunched> {
    let id = SandboxId::random();
    room::make_way(app).await;
    app.room.enter(&id, &record.id);
    // Known before it is there: a sweep after a crash finds whose it is.
    let row = SandboxRecord {
        id: id.clone(),
        session: record.id.clone(),
        created: app.clock.now(),
        body: serde_json::json!({ "image": image, snapshots::INHERITED: inherited }),
    };
    if let Err(error) = app.store.put_sandbox(row).await {
        app.room.leave(&id);
        return Err(Unlaunched::Untried(stored(&error)));
    }
    app.sandboxes.admit_session(&id, &record.id, manifest);
    let mut environment = app.sandboxes.session_environment(&id, &model);
    match memory {
        Memory::Whole => {}
        Memory::Lost => environment.push((opencode::FORGET.to_owned(), "1".to_owned())),
    }
    let started = app
        .engine
        .start(StartSandbox {
            id: id.clone(),
            image,
            limits: manifest.limits,
            process: Process::Agent { argv: app.sandboxes.command() },
            environment,
            labels: vec![("session".to_owned(), record.id.to_string()), ("repository".to_owned(), record.repo.to_string())],
        })
        .await;
    match started {
        Ok(sandbox) => {
            fault_point!("sandbox.started.after");
            app.sandboxes.bind(&id, sandbox.address);
            tracing::info!(sandbox = %id, took_ms = sandbox.took.as_millis(), "started a sandbox");
            Ok(id)
        }
        Err(error) => {
            discard(app, &id).await;
            Err(Unlaunched::Engine(error))
        }
    }
}

/// The model that the session's agent works with: what whoever began it chose at the time, as long as the configuration offers it.
pub async fn model(app: &App, record: &SessionRecord) -> Result<String, TurnFailure> {
    let usual = || app.config.model.agent.clone();
    let chosen = home::defaults(app, &record.owner).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "cannot read defaults");
        TurnFailure::Internal
    })?;
    let wished = chosen.model.unwrap_or_else(usual);
    let kept = app.store.keep_model(record.id.clone(), wished).await.map_err(|error| stored(&error))?;
    Ok(if app.config.model.models().contains(&kept) { kept } else { usual() })
}
