//! From a prompt to a sandbox that can take it: claimed or started, on the session's branch, with the author's name on its commits.

use std::{net::IpAddr, sync::Arc, time::Duration};

use longshore_sandbox::{EngineError, Exec, ImageRef, Process, SandboxState, StartSandbox};
use longshore_session::{
    Person, Phase, Prompt, RepositoryManifest, SandboxId, SandboxRecord, SessionRecord, TakenFile, Timestamp, TurnFailure,
};

use super::files;
use crate::{app::App, home, images::NotReady};

const SYNC_TIMEOUT: Duration = Duration::from_secs(300);

/// A sandbox that can be prompted.
#[derive(Debug)]
pub struct Prepared {
    pub sandbox: SandboxId,
    /// The prompt's files, as far as they could be had.
    pub files: Vec<TakenFile>,
    pub reached: Vec<(Phase, Timestamp)>,
}

/// Whether a sandbox still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alive {
    Yes,
    No,
}

/// Brings the session's branch up: the one that was pushed before, else a new one from the base. `BASE` and `BRANCH` are variables.
const SYNC: &str = r#"
set -e
git fetch --quiet --no-tags origin "+refs/heads/$BASE:refs/remotes/origin/$BASE"
start="origin/$BASE"
if git ls-remote --exit-code origin "refs/heads/$BRANCH" >/dev/null; then
  git fetch --quiet --no-tags origin "+refs/heads/$BRANCH:refs/remotes/origin/$BRANCH"
  start="origin/$BRANCH"
else
  status=$?
  [ "$status" = 2 ] || exit "$status"
fi
git checkout --quiet --force -B "$BRANCH" "$start"
"#;

const IDENTIFY: &str = r#"git config user.name "$AUTHOR_NAME" && git config user.email "$AUTHOR_EMAIL""#;

/// `kept` is the sandbox that the session still has, if it has one.
pub async fn prepare(app: Arc<App>, record: SessionRecord, prompt: Prompt, kept: Option<SandboxId>) -> Result<Prepared, TurnFailure> {
    let (ready, fetched) = tokio::join!(ready(&app, &record, &prompt.author, kept.clone()), files::fetch(&app, &prompt));
    let (sandbox, reached) = ready?;
    match files::place(&app, &sandbox, &prompt, fetched).await {
        Ok(files) => Ok(Prepared { sandbox, files, reached }),
        Err(failure) => {
            if kept.as_ref() != Some(&sandbox) {
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
) -> Result<(SandboxId, Vec<(Phase, Timestamp)>), TurnFailure> {
    let Some(manifest) = app.manifest(&record.repo) else {
        return Err(TurnFailure::NoImage { detail: format!("there is no manifest for {} any more", record.repo) });
    };
    let mut reached = Vec::new();
    if let Some(sandbox) = kept {
        match take_up(app, &sandbox, author, &mut reached).await {
            Ok(Alive::Yes) => return Ok((sandbox, reached)),
            // It ended between two turns, perhaps in this very moment: a new one takes its place.
            Ok(Alive::No) | Err(TurnFailure::SandboxKilled { .. }) => reached.clear(),
            Err(failure) => return Err(failure),
        }
    }
    let sandbox = start(app, record, manifest).await?;
    reached.push((Phase::SandboxReady, app.clock.now()));
    let readied = async {
        sync(app, record, manifest, &sandbox).await?;
        identify(app, &sandbox, author).await
    };
    if let Err(failure) = readied.await {
        discard(app, &sandbox).await;
        return Err(failure);
    }
    reached.push((Phase::Synced, app.clock.now()));
    Ok((sandbox, reached))
}

/// Makes the sandbox of the turn before ready for this one.
async fn take_up(app: &App, sandbox: &SandboxId, author: &Person, reached: &mut Vec<(Phase, Timestamp)>) -> Result<Alive, TurnFailure> {
    if wake(app, sandbox).await?.is_none() {
        return Ok(Alive::No);
    }
    reached.push((Phase::SandboxReady, app.clock.now()));
    identify(app, sandbox, author).await?;
    reached.push((Phase::Synced, app.clock.now()));
    Ok(Alive::Yes)
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
    if let Err(error) = app.engine.remove(sandbox).await {
        tracing::warn!(%sandbox, %error, "cannot remove a sandbox; the next sweep will");
        return;
    }
    if let Err(error) = app.store.forget_sandbox(sandbox.clone()).await {
        tracing::warn!(%sandbox, %error, "cannot forget a sandbox");
    }
}

async fn start(app: &App, record: &SessionRecord, manifest: &RepositoryManifest) -> Result<SandboxId, TurnFailure> {
    let reference = app.images.ready(&record.repo).await.map_err(|not_ready| match not_ready {
        NotReady::Failed { detail } => TurnFailure::NoImage { detail },
        NotReady::ShuttingDown => TurnFailure::Internal,
    })?;
    let image = ImageRef::parse(&reference).map_err(|error| TurnFailure::NoImage { detail: error.to_string() })?;
    let id = SandboxId::random();
    // Known before it is there: a sweep after a crash finds whose it is.
    let row = SandboxRecord {
        id: id.clone(),
        session: record.id.clone(),
        created: app.clock.now(),
        body: serde_json::json!({ "image": reference }),
    };
    app.store.put_sandbox(row).await.map_err(|error| stored(&error))?;
    app.sandboxes.admit_session(&id, &record.id, manifest);
    let model = model(app, record).await?;
    let started = app
        .engine
        .start(StartSandbox {
            id: id.clone(),
            image,
            limits: manifest.limits,
            process: Process::Agent { argv: app.sandboxes.command() },
            environment: app.sandboxes.session_environment(&id, &model),
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
            Err(failure(&error))
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

async fn sync(app: &App, record: &SessionRecord, manifest: &RepositoryManifest, sandbox: &SandboxId) -> Result<(), TurnFailure> {
    let exec = Exec::shell(SYNC)
        .variable("BASE", &manifest.base_branch)
        .variable("BRANCH", record.id.branch())
        .timeout(SYNC_TIMEOUT)
        .output_limit(8 << 10);
    let output = app.engine.exec(sandbox, exec).await.map_err(|error| failure(&error))?;
    if output.succeeded() {
        return Ok(());
    }
    let said = output.stderr_text();
    tracing::error!(%sandbox, end = ?output.end, "cannot sync with the base branch");
    let said = said.trim();
    if said.contains("not found") || said.contains("404") {
        return Err(TurnFailure::RepositoryGone);
    }
    if said.contains("No space left") {
        return Err(TurnFailure::DiskFull);
    }
    Err(TurnFailure::Sync { detail: tail(said, 400) })
}

async fn identify(app: &App, sandbox: &SandboxId, author: &Person) -> Result<(), TurnFailure> {
    let exec = Exec::shell(IDENTIFY).variable("AUTHOR_NAME", &author.name).variable("AUTHOR_EMAIL", &author.email);
    let output = app.engine.exec(sandbox, exec).await.map_err(|error| failure(&error))?;
    if output.succeeded() { Ok(()) } else { Err(TurnFailure::Sync { detail: tail(output.stderr_text().trim(), 400) }) }
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
