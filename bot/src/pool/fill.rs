//! Makes an entry: a sandbox from the promoted image, its agent primed, its checkout on the base branch; then it is paused.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, bail};
use longshore_agent::{Agent, AgentKind, AgentSettings, Carrier, Cursor};
use longshore_sandbox::{Exec, ImageRef, Process, StartSandbox};
use longshore_session::{PoolReady, PoolRecord, RepositoryManifest, SandboxId, fault_point};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Making;
use crate::app::App;

/// What the agent is asked; the gateway answers. People never see it, models neither.
const PRIMING: &str = "Say ok.";
/// A title that was not asked for by then will not be.
const STRAGGLERS: Duration = Duration::from_secs(10);
const SYNC_TIMEOUT: Duration = Duration::from_secs(300);

/// `BASE` is a variable. The session's own branch is made when there is a session.
const SYNC: &str = r#"
set -e
git fetch --quiet --no-tags origin "+refs/heads/$BASE:refs/remotes/origin/$BASE"
git checkout --quiet --force --detach "origin/$BASE"
"#;

/// Makes one; leaves nothing behind where that fails. Dropped half-way it leaves a row that is not ready, which the next start removes.
pub async fn fill(app: &App, manifest: &RepositoryManifest, image: &str) -> Result<()> {
    let reference = ImageRef::parse(image)?;
    let sandbox = SandboxId::random();
    if !app.room.enter_if_spare(&sandbox) {
        return Ok(());
    }
    let (answered, count) = watch::channel(0);
    let broken_off = CancellationToken::new();
    app.pool.lock().making.insert(sandbox.clone(), Making { answered, broken_off: broken_off.clone() });
    let begun = Instant::now();
    let made = make(app, manifest, (reference, &sandbox), (count, broken_off)).await;
    app.pool.lock().making.remove(&sandbox);
    match made {
        Ok(()) => {
            tracing::info!(%sandbox, repo = %manifest.repository, took_ms = begun.elapsed().as_millis(), "a sandbox waits in the pool");
            Ok(())
        }
        Err(error) => {
            super::remove(app, &sandbox).await?;
            app.room.leave_unless_stuck(&sandbox);
            Err(error)
        }
    }
}

async fn make(
    app: &App,
    manifest: &RepositoryManifest,
    (image, sandbox): (ImageRef, &SandboxId),
    (answered, broken_off): (watch::Receiver<u32>, CancellationToken),
) -> Result<()> {
    let row = PoolRecord {
        sandbox: sandbox.clone(),
        repo: manifest.repository.clone(),
        image: image.to_string(),
        created: app.clock.now(),
        ready: None,
    };
    // Known before it is there: a sweep after a crash finds whose it is.
    fault_point!("pool.noted.before");
    app.store.put_pooled(row).await?;
    fault_point!("pool.noted.after");
    app.sandboxes.admit_pool(sandbox, manifest);
    let request = StartSandbox {
        id: sandbox.clone(),
        image,
        limits: manifest.limits,
        process: Process::Agent { argv: app.sandboxes.command() },
        environment: app.sandboxes.usual_environment(sandbox),
        labels: vec![("pool".to_owned(), "yes".to_owned()), ("repository".to_owned(), manifest.repository.to_string())],
    };
    let started = app.engine.start(request).await?;
    fault_point!("pool.started.after");
    app.sandboxes.bind(sandbox, started.address);
    // From here on there is something to remove.
    let finished = finish(app, manifest, (sandbox, started.address), answered);
    broken_off.run_until_cancelled(finished).await.unwrap_or_else(|| bail!("a session needs its place"))
}

/// From a sandbox to an entry.
async fn finish(
    app: &App,
    manifest: &RepositoryManifest,
    (sandbox, address): (&SandboxId, IpAddr),
    mut answered: watch::Receiver<u32>,
) -> Result<()> {
    let (agent, synced) = tokio::join!(prime(app, sandbox), sync(app, manifest, sandbox));
    synced?;
    let mut agent = agent?;
    let stragglers = answered.wait_for(|count| *count >= AgentKind::OpenCode.priming_requests());
    if tokio::time::timeout(STRAGGLERS, stragglers).await.is_err() {
        tracing::warn!(%sandbox, "the agent asked for less than expected while it was primed");
    }
    let output = agent.pass_over().0;
    fault_point!("pool.primed.after");
    app.engine.pause(sandbox).await?;
    fault_point!("pool.paused.after");
    let ready = PoolReady { at: app.clock.now(), models: app.config.model.models(), address, output };
    if !app.store.pooled_is_ready(sandbox.clone(), ready).await? {
        bail!("its row is gone");
    }
    fault_point!("pool.ready.after");
    Ok(())
}

async fn prime(app: &App, sandbox: &SandboxId) -> Result<Agent> {
    let settings = AgentSettings {
        start_limit: Duration::from_secs(app.config.limits.agent_start_seconds),
        secrets: vec![app.sandboxes.token(sandbox).expose().to_owned()],
        ..AgentSettings::default()
    };
    let carrier = Carrier::open(&app.engine.carrier(sandbox).folder)?;
    let mut agent = Agent::attach(carrier, Cursor::START, settings).await?;
    agent.prime(&app.sandboxes.conversation(sandbox), PRIMING).await.context("the agent cannot be primed")?;
    Ok(agent)
}

async fn sync(app: &App, manifest: &RepositoryManifest, sandbox: &SandboxId) -> Result<()> {
    let exec = Exec::shell(SYNC).variable("BASE", &manifest.base_branch).timeout(SYNC_TIMEOUT).output_limit(8 << 10);
    let output = app.engine.exec(sandbox, exec).await?;
    if !output.succeeded() {
        bail!("the base branch cannot be fetched: {}", output.stderr_text().trim());
    }
    Ok(())
}
