//! Making the image that a repository's sandboxes start from.

mod build;
mod disk;
mod error;
mod inputs;
mod log;
mod progress;
mod steps;
mod stock;
mod trial;
mod vocabulary;

use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use longshore_session::{RepositoryManifest, SandboxId};
use tokio::sync::{RwLock, oneshot};

pub use self::error::{BuildError, StepFailure};
pub(crate) use self::log::tail;
pub use self::progress::{Progress, StepTiming};
pub use self::stock::{CollectionError, EngineImage, HeldBy, RegistryImage, Removal, Stocked};
pub use self::trial::{Bound, Bounds, Trial, TrialSandbox};
use crate::{CommitSha, DockerEngine, ImageRef, RegistryConfig, TagMark};

/// What holds for all builds.
#[derive(Debug, Clone)]
pub struct ImageConfig {
    /// Where images are pushed to.
    pub registry: RegistryConfig,
    /// What images start from whose manifest names no `base`.
    pub base: ImageRef,
}

/// Whether a build may go on from the last good image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuild {
    /// From this one, as long as recipe and base are still those that it was made with and it has not grown too many layers; else from the base.
    From(ImageRef),
    /// From the base.
    Full,
}

/// One build.
pub struct ImageBuild {
    /// The build container's id, which the gateway knows its token by.
    pub sandbox: SandboxId,
    pub manifest: RepositoryManifest,
    /// What to check out.
    pub commit: CommitSha,
    pub rebuild: Rebuild,
    /// Variables of the build container (token, proxies, git's rewriting): none of them gets into the image.
    pub environment: Vec<(String, String)>,
    /// The build's log, written as it goes; its folder is made where it is missing.
    pub log: PathBuf,
    /// What it must keep to.
    pub bounds: Bounds,
    /// Shows how far it is.
    pub progress: Progress,
    /// Told the build container's address before the first command runs.
    pub address: Option<oneshot::Sender<IpAddr>>,
}

impl fmt::Debug for ImageBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageBuild")
            .field("sandbox", &self.sandbox)
            .field("repository", &self.manifest.repository)
            .field("commit", &self.commit)
            .field("rebuild", &self.rebuild)
            .finish_non_exhaustive()
    }
}

/// What came of a build.
#[derive(Debug, Clone)]
pub enum BuildOutcome {
    /// The last good image was made of the very same things; no container was started.
    Unchanged {
        reference: ImageRef,
        input_hash: String,
    },
    Built(BuiltImage),
}

/// A new image, pushed and tried. Whether sessions start from it is the caller's decision.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// `registry/name@sha256:…`.
    pub reference: ImageRef,
    /// The same by its tag.
    pub tagged: ImageRef,
    /// `sha256:…` of it.
    pub digest: String,
    pub commit: CommitSha,
    /// Names commit, recipe and base together.
    pub input_hash: String,
    pub bytes: u64,
    pub layers: usize,
    /// Words of the repository itself, for routing.
    pub vocabulary: Vec<String>,
    /// From the request for a sandbox to an agent that answers, where it was tried.
    pub start: Duration,
    pub timings: Vec<StepTiming>,
}

/// The parts of a build, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BuildStep {
    Start,
    Checkout,
    SetupRoot,
    Setup,
    Services,
    Warm,
    Check,
    Vocabulary,
    Scrub,
    Commit,
    Boot,
    Push,
}

impl fmt::Display for BuildStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Checkout => "checkout",
            Self::SetupRoot => "setup_root",
            Self::Setup => "setup",
            Self::Services => "services",
            Self::Warm => "warm",
            Self::Check => "check",
            Self::Vocabulary => "vocabulary",
            Self::Scrub => "scrub",
            Self::Commit => "commit",
            Self::Boot => "boot",
            Self::Push => "push",
        })
    }
}

/// Builds images on a Docker engine, and pushes them to a registry.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    engine: Arc<DockerEngine>,
    config: ImageConfig,
    mark: TagMark,
    /// Pushes read, the registry's collection writes.
    pushing: Arc<RwLock<()>>,
}

impl ImageBuilder {
    /// `mark` is on the tags that it gives, and no other installation's.
    pub fn new(engine: Arc<DockerEngine>, config: ImageConfig, mark: TagMark) -> Self {
        Self { engine, config, mark, pushing: Arc::default() }
    }
}
