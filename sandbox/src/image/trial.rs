//! Trying a new image as sessions would use it, before any does.

use std::time::Duration;

use async_trait::async_trait;
use longshore_session::SandboxId;
use tokio::time::Instant;

use super::{
    BuildError, BuildStep, ImageBuild,
    steps::{Run, SERVICES_UP},
};
use crate::{Engine, Exec, ExecUser, ImageRef, Process, Sandbox, StartSandbox, docker::Kind};

/// A start is measured again where it is over its bound: another machine's work, or a cold cache, is no fault of the image's.
const STARTS: u32 = 3;

/// A sandbox to try an image with, as a session's would be.
#[derive(Debug)]
pub struct TrialSandbox {
    pub id: SandboxId,
    pub process: Process,
    pub environment: Vec<(String, String)>,
}

/// What a session does with a new sandbox: here nobody knows how to talk to its agent.
#[async_trait]
pub trait Trial: Send + Sync {
    /// Asked for once for each start.
    fn sandbox(&self) -> TrialSandbox;

    /// Waits until the sandbox can be prompted. The reason where it cannot, in words.
    async fn answers(&self, sandbox: &Sandbox) -> Result<(), String>;

    /// The sandbox is gone.
    fn over(&self, id: &SandboxId);
}

/// A measure of the image before, and what a new one may have at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<T> {
    pub before: T,
    pub most: T,
}

/// What a build and a new image must keep to. None: no bound, because there is no image before it, or nothing is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    pub bytes: Option<Bound<u64>>,
    /// From the request for a sandbox to an agent that answers.
    pub start: Option<Bound<Duration>>,
    /// Bytes that the build may write.
    pub written: Option<u64>,
}

/// How thoroughly a sandbox is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Checkout, services and check.
    Whole,
    /// How long it took to start.
    Start,
}

/// Whether sessions could work in this image; how long one takes to start.
pub(super) async fn run(image: &ImageRef, build: &ImageBuild, trial: &dyn Trial, run: &mut Run<'_>) -> Result<Duration, BuildError> {
    let mut best = once(Look::Whole, image, build, trial, run).await?;
    let Some(bound) = build.bounds.start else { return Ok(best) };
    for _ in 1..STARTS {
        if best <= bound.most {
            break;
        }
        best = best.min(once(Look::Start, image, build, trial, run).await?);
    }
    if best > bound.most { Err(BuildError::TooSlow { took: best, bound }) } else { Ok(best) }
}

async fn once(look: Look, image: &ImageRef, build: &ImageBuild, trial: &dyn Trial, run: &mut Run<'_>) -> Result<Duration, BuildError> {
    let TrialSandbox { id, process, environment } = trial.sandbox();
    let start = StartSandbox {
        id: id.clone(),
        image: image.clone(),
        limits: build.manifest.limits,
        process,
        environment,
        labels: vec![("kind".to_owned(), "trial".to_owned())],
    };
    let tried = attempt(look, start, build, trial, run).await;
    trial.over(&id);
    let removed = run.engine.remove(&id).await;
    let took = tried?;
    removed?;
    Ok(took)
}

async fn attempt(
    look: Look,
    start: StartSandbox,
    build: &ImageBuild,
    trial: &dyn Trial,
    run: &mut Run<'_>,
) -> Result<Duration, BuildError> {
    let begun = Instant::now();
    run.log.heading("boot: a sandbox as a session's would be");
    let sandbox = run.engine.start_as(Kind::Trial, start).await?;
    trial.answers(&sandbox).await.map_err(|reason| BuildError::Boot { reason })?;
    let took = begun.elapsed();
    run.log.output(format!("its agent answers after {:.1} s\n", took.as_secs_f64()).as_bytes());
    if look == Look::Start {
        return Ok(took);
    }
    checkout(&sandbox, build, run).await?;
    if !build.manifest.image.services.is_empty() {
        // It started them by itself: this waits for them.
        run.line_in(&sandbox.id, BuildStep::Boot, ExecUser::Agent, "services", SERVICES_UP).await?;
    }
    if let Some(check) = &build.manifest.image.check {
        run.line_in(&sandbox.id, BuildStep::Boot, ExecUser::Agent, check, check).await?;
    }
    Ok(took)
}

async fn checkout(sandbox: &Sandbox, build: &ImageBuild, run: &Run<'_>) -> Result<(), BuildError> {
    let script = "git rev-parse HEAD && git status --porcelain && git config --local --get remote.origin.url";
    let output = run.engine.exec(&sandbox.id, Exec::shell(script).timeout(Duration::from_secs(60))).await?;
    let expected = format!("{}\nhttps://github.com/{}.git\n", build.commit, build.manifest.repository);
    if output.succeeded() && output.stdout_text() == expected {
        return Ok(());
    }
    let said = format!("{}{}", output.stdout_text(), output.stderr_text());
    Err(BuildError::Boot { reason: format!("its checkout is not what it should be: {}", super::tail(said.as_bytes())) })
}
