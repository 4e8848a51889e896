//! Building a repository's image: all of it, after one commit, and where nothing changed.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use longshore_harness::Harness;
use longshore_sandbox::{
    Bounds, BuildOutcome, BuildStep, BuiltImage, CommitSha, ImageBuild, ImageBuilder, ImageConfig, ImageRef, Progress, Rebuild,
    RegistryConfig, TagMark,
};
use longshore_session::{RepositoryManifest, SandboxId};
use tokio::{process::Command, sync::oneshot};

use crate::{
    by_hand::ByHand,
    docker::{docker, run},
    figure::{Figure, Name, Selection},
    stage,
};

const FULL_SAMPLES: usize = 1;
const COMMIT_SAMPLES: usize = 2;
const NOOP_SAMPLES: usize = 10;
const BASE_IMAGE: &str = "longshore/base:latest";

/// What a build does for the repository's own sake: the rest is ours.
const OF_THE_REPOSITORY: [BuildStep; 6] =
    [BuildStep::Checkout, BuildStep::SetupRoot, BuildStep::Setup, BuildStep::Services, BuildStep::Warm, BuildStep::Check];

/// The figures among these that are selected; the full build comes first, since the others go on from it.
pub async fn measure(selection: &Selection, harness: &Harness, hand: &ByHand) -> Result<Vec<Figure>> {
    let builds = Builds::new(harness, hand).await?;
    let mut full = Figure::new(Name::ImageFull, format!("A build of {} from the base image, tried and pushed.", stage::REPOSITORY));
    let mut last = None;
    let samples = if selection.has(Name::ImageFull) { FULL_SAMPLES } else { 1 };
    for _ in 0..samples {
        last = Some(builds.built(Rebuild::Full, &mut full).await?);
    }
    let mut last = last.context("nothing was built")?.reference;

    let mut noop = Figure::new(Name::ImageNoop, "A build that finds commit, manifest and base as they were.");
    let mut floor = Vec::new();
    if selection.has(Name::ImageNoop) {
        for _ in 0..NOOP_SAMPLES {
            let begun = Instant::now();
            docker(&["image", "inspect", last.as_str()]).await?;
            floor.push(stage::millis(begun.elapsed()));
            noop.samples.push(builds.unchanged(&last).await?);
        }
    }
    noop.floor = Some(("`docker image inspect` of the image, as a command.".to_owned(), floor));

    let mut commit = Figure::new(
        Name::ImageOneCommit,
        "A build that goes on from the last image after one commit to the base branch, tried and pushed.",
    );
    if selection.has(Name::ImageOneCommit) {
        for number in 0..COMMIT_SAMPLES {
            push_a_commit(harness, number).await?;
            last = builds.built(Rebuild::From(last), &mut commit).await?.reference;
        }
    }
    Ok([full, noop, commit].into_iter().filter(|figure| selection.has(figure.name)).collect())
}

struct Builds<'a> {
    builder: ImageBuilder,
    hand: &'a ByHand,
    harness: &'a Harness,
    manifest: RepositoryManifest,
}

impl<'a> Builds<'a> {
    async fn new(harness: &'a Harness, hand: &'a ByHand) -> Result<Self> {
        let image = harness.image(stage::REPOSITORY).await?;
        let registry = image.split('/').next().context("the image names no registry")?.to_owned();
        let config = ImageConfig { registry: RegistryConfig::at(registry), base: ImageRef::parse(BASE_IMAGE)? };
        Ok(Self {
            builder: ImageBuilder::new(hand.engine.clone(), config, TagMark::of(b"bench")),
            hand,
            harness,
            manifest: stage::manifest()?,
        })
    }

    async fn build(&self, rebuild: Rebuild) -> Result<BuildOutcome> {
        let head = self.harness.github.branch_head(stage::REPOSITORY, &self.manifest.base_branch).await?;
        let sandbox = SandboxId::random();
        let (address, told) = oneshot::channel();
        let request = ImageBuild {
            sandbox: sandbox.clone(),
            manifest: self.manifest.clone(),
            commit: CommitSha::parse(head.context("the base branch is gone")?)?,
            rebuild,
            environment: self.hand.admit_build(&sandbox, &self.manifest),
            log: self.hand.folder.join("build.log"),
            bounds: Bounds::default(),
            progress: Progress::default(),
            address: Some(address),
        };
        let trial = self.hand.trial(&self.manifest);
        let bind = async {
            if let Ok(address) = told.await {
                self.hand.bind(&sandbox, address);
            }
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = self.builder.build(request, &trial) => outcome,
            () = bind => bail!("it waits for ever"),
        };
        self.hand.release(&sandbox);
        Ok(outcome?)
    }

    /// Milliseconds of a build that has nothing to do.
    async fn unchanged(&self, from: &ImageRef) -> Result<f64> {
        let begun = Instant::now();
        match self.build(Rebuild::From(from.clone())).await? {
            BuildOutcome::Unchanged { .. } => Ok(stage::millis(begun.elapsed())),
            BuildOutcome::Built(_) => bail!("an image was built where nothing had changed"),
        }
    }

    /// Builds, and takes it up with its steps; the floor is what the repository's own commands took.
    async fn built(&self, rebuild: Rebuild, figure: &mut Figure) -> Result<BuiltImage> {
        let begun = Instant::now();
        let BuildOutcome::Built(built) = self.build(rebuild).await? else { bail!("nothing was built") };
        figure.samples.push(stage::millis(begun.elapsed()));
        for timing in &built.timings {
            figure.part(&timing.step.to_string(), stage::millis(timing.took));
        }
        let own = built.timings.iter().filter(|timing| OF_THE_REPOSITORY.contains(&timing.step)).map(|timing| stage::millis(timing.took));
        let what = "what its own steps took in the same build: checkout, set-up, warm-up and check.";
        figure.floor.get_or_insert_with(|| (what.to_owned(), Vec::new())).1.push(own.sum());
        Ok(built)
    }
}

async fn push_a_commit(harness: &Harness, number: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let token = harness.people.tokens.get(stage::ASKER).context("the asker has no GitHub account")?;
    let url = harness.github.clone_url(stage::REPOSITORY, token);
    let script = format!(
        "git clone --quiet {url} . && echo 'Note {number}.' >>README.md && git add . \
         && git -c user.name=Ana -c user.email=ana@example.com commit --quiet --message 'Note {number}' && git push --quiet origin HEAD"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(folder.path());
    run(command).await.map(drop)
}
