//! One build from beginning to end.

use std::time::Duration;

use longshore_session::{RepositoryManifest, fault_point};
use tokio::time::Instant;

use super::{
    BuildError, BuildOutcome, BuildStep, BuiltImage, ImageBuild, ImageBuilder, Rebuild,
    disk::outgrown,
    inputs::Inputs,
    log::BuildLog,
    steps::{END_PROCESSES, FIND_SECRETS, Run, SCRUB, SERVICES_DOWN, SERVICES_UP, checkout, define, tidy},
    trial::{self, Trial},
    vocabulary,
};
use crate::{
    CommitSha, Engine, EngineError, Exec, ExecUser, ImageRef, Process, StartSandbox,
    docker::{ImageFacts, Kind},
};

/// Builds from one another before the layers are put together by a full one.
const MOST_GENERATIONS: u32 = 30;
/// A text shorter than this would be found everywhere.
const SHORTEST_SECRET: usize = 12;
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What a build starts from.
struct Plan {
    inputs: Inputs,
    from: ImageRef,
    /// Whether `from` holds the repository already.
    goes_on: bool,
}

/// What is known of an image that works.
struct Tried {
    vocabulary: Vec<String>,
    start: Duration,
}

impl ImageBuilder {
    /// Builds, tries and pushes an image. The last good one is never touched. The build's container is gone afterwards, whatever happened; its log stays.
    pub async fn build(&self, mut build: ImageBuild, trial: &dyn Trial) -> Result<BuildOutcome, BuildError> {
        let (base, base_facts) = self.base_of(&build.manifest).await?;
        let plan = match self.plan(&build, base, &base_facts).await? {
            Ok(plan) => plan,
            Err(unchanged) => return Ok(unchanged),
        };

        let secrets = secrets_of(&build.environment);
        let log = BuildLog::create(&build.log, secrets.clone())?;
        let mut run = Run {
            engine: &self.engine,
            sandbox: build.sandbox.clone(),
            log,
            deadline: Instant::now() + build.manifest.image.timeout(),
            progress: build.progress.clone(),
        };
        let progress = build.progress.clone();
        let watched = build.sandbox.clone();
        let most = build.bounds.written;
        let written = async {
            match most {
                Some(most) => (outgrown(&self.engine, &watched, &progress, most).await, most),
                None => std::future::pending().await,
            }
        };
        let built = tokio::select! {
            built = Box::pin(self.run(&mut build, &plan, trial, &mut run)) => built,
            // Whatever of it still runs ends with the container.
            (written, most) = written => {
                let step = progress.at().unwrap_or(BuildStep::Setup);
                run.log.output(format!("== ended: it has written {written} bytes, and {most} is the most\n").as_bytes());
                Err(BuildError::WroteTooMuch { step, written, most })
            }
        };
        progress.leave();
        if let Err(error) = self.engine.remove(&build.sandbox).await {
            tracing::warn!(sandbox = %build.sandbox, %error, "a build's container could not be removed");
        }
        fault_point!("image.cleaned.after");
        let built = built?;
        tracing::info!(repository = %build.manifest.repository, commit = %build.commit, image = %built.reference, "image built");
        Ok(BuildOutcome::Built(built))
    }

    /// Names commit, recipe and base together, as [`BuiltImage::input_hash`] does.
    pub async fn inputs_of(&self, manifest: &RepositoryManifest, commit: &CommitSha) -> Result<String, BuildError> {
        let (_, base) = self.base_of(manifest).await?;
        Ok(Inputs::new(manifest, commit, &base.id).hash())
    }

    async fn base_of(&self, manifest: &RepositoryManifest) -> Result<(ImageRef, ImageFacts), BuildError> {
        let base = match &manifest.image.base {
            Some(base) => ImageRef::parse(base.clone())
                .map_err(|error| EngineError::Refused { during: "reading `image.base`".to_owned(), message: error.to_string() })?,
            None => self.config.base.clone(),
        };
        match self.engine.find_or_pull(&base).await {
            Ok(facts) => Ok((base, facts)),
            Err(EngineError::ImageMissing { image, .. }) => Err(BuildError::BaseMissing { image }),
            Err(error) => Err(error.into()),
        }
    }

    /// What to start from; or that there is nothing to do.
    async fn plan(&self, build: &ImageBuild, base: ImageRef, base_facts: &ImageFacts) -> Result<Result<Plan, BuildOutcome>, BuildError> {
        let inputs = Inputs::new(&build.manifest, &build.commit, &base_facts.id);
        let full = Plan { inputs: inputs.clone(), from: base, goes_on: false };
        let Rebuild::From(previous) = &build.rebuild else { return Ok(Ok(full)) };
        let facts = match self.engine.find_or_pull(previous).await {
            Ok(facts) => facts,
            Err(EngineError::ImageMissing { reason, .. }) => {
                tracing::warn!(repository = %build.manifest.repository, image = %previous, %reason, "the last good image is lost; building in full");
                return Ok(Ok(full));
            }
            Err(error) => return Err(error.into()),
        };
        let Some(before) = Inputs::read(&facts.labels) else { return Ok(Ok(full)) };
        if before.same_as(&inputs) {
            return Ok(Err(BuildOutcome::Unchanged { reference: previous.clone(), input_hash: inputs.hash() }));
        }
        if before.foundation != inputs.foundation || before.generation >= MOST_GENERATIONS {
            return Ok(Ok(full));
        }
        let inputs = Inputs { generation: before.generation + 1, ..inputs };
        Ok(Ok(Plan { inputs, from: previous.clone(), goes_on: true }))
    }

    async fn run(&self, build: &mut ImageBuild, plan: &Plan, trial: &dyn Trial, run: &mut Run<'_>) -> Result<BuiltImage, BuildError> {
        let recipe = build.manifest.image.clone();
        run.log.heading(&format!("{} at {} from {}", build.manifest.repository, build.commit, plan.from));
        let start = StartSandbox {
            id: build.sandbox.clone(),
            image: plan.from.clone(),
            limits: recipe.limits.unwrap_or(build.manifest.limits),
            process: Process::Idle,
            environment: build.environment.clone(),
            labels: vec![("kind".to_owned(), "build".to_owned())],
        };
        run.progress.enter(BuildStep::Start);
        let sandbox = run.engine.start_as(Kind::Build, start).await?;
        fault_point!("image.started.after");
        if let Some(told) = build.address.take() {
            // Nobody has to want it.
            let _ = told.send(sandbox.address);
        }

        let line = checkout(&build.manifest, &build.commit);
        let title = format!("git clone https://github.com/{}.git", build.manifest.repository);
        run.progress.enter(BuildStep::Checkout);
        run.line(BuildStep::Checkout, ExecUser::Agent, &title, &line).await?;
        if !plan.goes_on {
            run.progress.enter(BuildStep::SetupRoot);
            run.lines(BuildStep::SetupRoot, ExecUser::Root, &recipe.setup_root).await?;
        }
        run.progress.enter(BuildStep::Setup);
        run.lines(BuildStep::Setup, ExecUser::Agent, &recipe.setup).await?;
        if !recipe.services.is_empty() {
            run.progress.enter(BuildStep::Services);
            run.line(BuildStep::Services, ExecUser::Root, "define services", &define(&recipe.services)).await?;
            run.line(BuildStep::Services, ExecUser::Agent, "start services", SERVICES_UP).await?;
        }
        run.progress.enter(BuildStep::Warm);
        run.lines(BuildStep::Warm, ExecUser::Agent, &recipe.warm).await?;
        let check: Vec<String> = recipe.check.iter().cloned().collect();
        run.progress.enter(BuildStep::Check);
        run.lines(BuildStep::Check, ExecUser::Agent, &check).await?;
        run.progress.enter(BuildStep::Vocabulary);
        let words = gather(run).await?;
        if !recipe.services.is_empty() {
            // Ended well, or their data is not sound.
            run.progress.enter(BuildStep::Services);
            run.line(BuildStep::Services, ExecUser::Agent, "stop services", SERVICES_DOWN).await?;
        }
        run.progress.enter(BuildStep::Scrub);
        run.line(BuildStep::Scrub, ExecUser::Root, "end what still runs", END_PROCESSES).await?;
        run.line(BuildStep::Scrub, ExecUser::Agent, "restore tracked files", &tidy(&build.commit)).await?;
        run.line(BuildStep::Scrub, ExecUser::Root, "remove what no image should hold", SCRUB).await?;
        refuse_secrets(run, &secrets_of(&build.environment)).await?;
        // Nothing changes under the commit.
        run.engine.stop(&run.sandbox, STOP_GRACE).await?;
        fault_point!("image.ready.after");

        let local = format!("{}/image", self.engine.namespace());
        let sandbox = build.sandbox.clone();
        let mut labels = plan.inputs.labels();
        labels.push(("repository".to_owned(), build.manifest.repository.to_string()));
        run.progress.enter(BuildStep::Commit);
        let image = match run.engine.commit(&sandbox, &local, sandbox.as_str(), labels).await {
            Err(EngineError::DiskFull { .. }) => return Err(BuildError::DiskFull { step: BuildStep::Commit }),
            result => result?,
        };
        fault_point!("image.committed.after");
        let published = match self.measure_and_try(build, &image, trial, run).await {
            Ok(start) => self.publish(build, plan, &image, Tried { vocabulary: words, start }, run).await,
            Err(error) => Err(error),
        };
        // The pushed one has a name of its own; this one only carried it there.
        if let Err(error) = self.engine.remove_image(&image).await {
            tracing::warn!(%image, %error, "a build's working name could not be removed");
        }
        published
    }

    async fn measure_and_try(
        &self,
        build: &ImageBuild,
        image: &ImageRef,
        trial: &dyn Trial,
        run: &mut Run<'_>,
    ) -> Result<Duration, BuildError> {
        run.progress.enter(BuildStep::Boot);
        let bytes = self.engine.find_image(image).await?.unwrap_or_default().bytes;
        match build.bounds.bytes {
            Some(bound) if bytes > bound.most => Err(BuildError::TooLarge { bytes, bound }),
            Some(_) | None => trial::run(image, build, trial, run).await,
        }
    }

    async fn publish(
        &self,
        build: &ImageBuild,
        plan: &Plan,
        image: &ImageRef,
        tried: Tried,
        run: &mut Run<'_>,
    ) -> Result<BuiltImage, BuildError> {
        let repository = self.registry_path(&build.manifest.repository);
        let input_hash = plan.inputs.hash();
        fault_point!("image.tried.after");
        run.progress.enter(BuildStep::Push);
        let tag = self.mark.tag(&input_hash);
        let tagged = ImageRef::parse(format!("{repository}:{tag}"))
            .map_err(|error| EngineError::Refused { during: "naming an image".to_owned(), message: error.to_string() })?;
        let _pushing = self.pushing.read().await;
        let reference = match run.engine.push(image, &repository, &tag).await {
            Err(EngineError::DiskFull { .. }) => return Err(BuildError::DiskFull { step: BuildStep::Push }),
            result => result?,
        };
        fault_point!("image.pushed.after");
        run.progress.leave();
        let facts = self.engine.find_image(image).await?.unwrap_or_default();
        let digest = reference.as_str().split_once('@').map(|(_, digest)| digest.to_owned()).unwrap_or_default();
        Ok(BuiltImage {
            reference,
            tagged,
            digest,
            commit: build.commit.clone(),
            input_hash,
            bytes: facts.bytes,
            layers: facts.layers,
            vocabulary: tried.vocabulary,
            start: tried.start,
            timings: run.progress.steps(),
        })
    }
}

async fn gather(run: &mut Run<'_>) -> Result<Vec<String>, BuildError> {
    let exec = Exec::shell(vocabulary::GATHER).timeout(Duration::from_secs(60)).output_limit(4 * 1024 * 1024);
    let output = run.engine.exec(&run.sandbox, exec).await?;
    // Routing without these words still works: no reason to fail a build.
    Ok(if output.succeeded() { vocabulary::read(&output.stdout_text()) } else { Vec::new() })
}

async fn refuse_secrets(run: &mut Run<'_>, secrets: &[String]) -> Result<(), BuildError> {
    if secrets.is_empty() {
        return Ok(());
    }
    let exec = Exec::shell(FIND_SECRETS).user(ExecUser::Root).stdin(secrets.join("\n") + "\n").timeout(Duration::from_secs(300));
    let output = run.engine.exec(&run.sandbox, exec).await?;
    let files: Vec<String> = output.stdout_text().lines().map(str::to_owned).collect();
    if !files.is_empty() {
        return Err(BuildError::SecretLeft { files });
    }
    if !output.succeeded() {
        let message = format!("the search for secrets {}", output.end.words());
        return Err(EngineError::Refused { during: "scrubbing an image".to_owned(), message }.into());
    }
    Ok(())
}

/// The values that must not be found in an image: those whose names say so.
fn secrets_of(environment: &[(String, String)]) -> Vec<String> {
    let telling = ["TOKEN", "SECRET", "PASSWORD", "API_KEY", "PRIVATE_KEY"];
    let secret = |key: &str| telling.iter().any(|word| key.to_ascii_uppercase().contains(word));
    let long_lines = |value: &str| value.lines().map(str::to_owned).filter(|line| line.len() >= SHORTEST_SECRET).collect::<Vec<_>>();
    environment.iter().filter(|(key, _)| secret(key)).flat_map(|(_, value)| long_lines(value)).collect()
}
