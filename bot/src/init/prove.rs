//! The proof: the build that the service itself would run, behind a gateway that lets out what the manifest names.

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::future::{BoxFuture, FutureExt};
use longshore_gateway::{
    Doorkeeper, Gateway, GatewayParts, LlmEvent, LlmObserver, Open, Pass, Passes, SandboxToken, ToolResult, ToolSpec, Tools, Unlimited,
};
use longshore_github::GitHub;
use longshore_sandbox::{
    Bounds, BuildError, BuildOutcome, BuiltImage, CommitSha, DockerConfig, DockerEngine, Engine, ImageBuilder, Namespace, Progress,
    Rebuild, RegistryImage, StepFailure,
};
use longshore_session::{RepoName, RepositoryManifest};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    images::{Wanted, build_admitted},
    sandboxes::{Models, Sandboxes},
    serve,
    tools::AppCredentials,
};

const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// A command is shown as far as it fits beside its step.
const SHOWN_COMMAND: usize = 100;

/// Everything that a build wants, apart from a service that may run beside it: a namespace, a network, a gateway and a folder of its own.
pub struct Prover {
    docker: DockerConfig,
    engine: Arc<DockerEngine>,
    builder: ImageBuilder,
    sandboxes: Sandboxes,
    door: Arc<Door>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    folder: PathBuf,
    #[expect(dead_code, reason = "the lock goes with the file")]
    lock: File,
}

/// What a failed build tells.
#[derive(Debug)]
pub enum Refuted {
    /// A command of the manifest's did not succeed.
    Step {
        failure: Box<StepFailure>,
        /// All that it wrote.
        output: String,
        /// `host:port` that the gateway did not let out.
        refused: Vec<String>,
    },
    /// Something else: the words say what, and what to do.
    Otherwise(String),
}

impl Prover {
    pub async fn open(config: &Config, github: &GitHub) -> Result<Self> {
        let folder = std::path::absolute(folder(config))?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lock = File::create(folder.join("lock")).with_context(|| format!("cannot write to {}", folder.display()))?;
        if lock.try_lock().is_err() {
            bail!("another `longshore init` of this configuration runs: wait for its end");
        }
        let docker = DockerConfig { namespace: own_namespace(config)?, carriers: folder.join("carriers"), ..serve::docker_config(config)? };
        let engine = Arc::new(DockerEngine::connect(docker.clone()).await?);
        // What an earlier one left that was killed.
        engine.sweep(&HashSet::new()).await?;
        let models = Models {
            agent: &config.model.agent,
            offered: &[],
            small: &config.model.agent,
            sight: config.model.sight(),
            window: (config.model.context_tokens, config.model.output_tokens),
        };
        let sandboxes = Sandboxes::open(&folder, config.sandboxes.gateway_port, &models)?;
        let door = Arc::new(Door { passes: sandboxes.passes.clone(), refused: Mutex::default() });
        let parts = GatewayParts {
            doorkeeper: Arc::clone(&door) as Arc<dyn Doorkeeper>,
            credentials: Arc::new(AppCredentials(github.clone())),
            tools: Arc::new(Nothing),
            gate: Arc::new(Open),
            observer: Arc::new(Nothing),
            budget: Arc::new(Unlimited),
        };
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let gateway = Gateway::new(serve::gateway_config(config)?, parts)?;
        let address = SocketAddr::new(engine.gateway_address(), config.sandboxes.gateway_port);
        serve::open_gateway(gateway, address, &tasks, &shutdown).await?;
        let builder = ImageBuilder::new(Arc::clone(&engine), serve::image_config(config)?, sandboxes.tag_mark());
        Ok(Self { docker, engine, builder, sandboxes, door, tasks, shutdown, folder, lock })
    }

    /// Builds in full, as at a repository's first round; `say` is told each command as it begins.
    pub async fn build(
        &self,
        manifest: &RepositoryManifest,
        commit: &CommitSha,
        log: &Path,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<BuiltImage, Refuted> {
        self.door.take();
        // Its lines are those of the build before until the builder begins anew.
        let _ = std::fs::remove_file(log);
        let wanted = Wanted {
            manifest,
            commit: commit.clone(),
            rebuild: Rebuild::Full,
            log: log.to_owned(),
            bounds: Bounds::default(),
            progress: Progress::default(),
        };
        let outcome = {
            let mut build = std::pin::pin!(build_admitted(&self.builder, &self.sandboxes, wanted));
            let mut told = Headings::default();
            loop {
                tokio::select! {
                    outcome = &mut build => {
                        told.tell(log, say);
                        break outcome;
                    }
                    () = tokio::time::sleep(LOOK_AGAIN) => told.tell(log, say),
                }
            }
        };
        match outcome {
            Ok(BuildOutcome::Built(built)) => {
                self.forget(manifest, &built).await;
                Ok(built)
            }
            Ok(BuildOutcome::Unchanged { .. }) => Err(Refuted::Otherwise("the builder found nothing to build".to_owned())),
            Err(BuildError::Step(failure)) => {
                let whole = std::fs::read(&failure.log).unwrap_or_default();
                let whole = String::from_utf8_lossy(&whole).into_owned();
                let heading = format!("\n== {}: {}", failure.step, failure.command);
                let output = whole.rfind(&heading).map_or("", |at| &whole[at + heading.len()..]).to_owned();
                Err(Refuted::Step { failure, output, refused: self.door.take() })
            }
            Err(error) => Err(Refuted::Otherwise(error.to_string())),
        }
    }

    /// The image was a proof: the service builds its own.
    async fn forget(&self, manifest: &RepositoryManifest, built: &BuiltImage) {
        for image in [&built.tagged, &built.reference] {
            if let Err(error) = self.engine.remove_image(image).await {
                tracing::debug!(%image, %error, "a proof's image could not be removed");
            }
        }
        let pushed =
            RegistryImage { reference: built.reference.clone(), repository: manifest.repository.clone(), created: None, blobs: Vec::new() };
        if let Err(error) = self.builder.remove_from_registry(&pushed).await {
            tracing::debug!(image = %pushed.reference, %error, "a proof's image could not be deleted from the registry");
        }
    }

    /// Takes everything away again, also a build that was broken off.
    pub async fn close(self) -> Result<()> {
        // One that knows of no build under way, which a sweep would leave alone.
        let engine = DockerEngine::connect(self.docker).await?;
        engine.sweep(&HashSet::new()).await?;
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        engine.remove_network().await?;
        let _ = std::fs::remove_dir_all(self.folder.join("carriers"));
        Ok(())
    }
}

/// Where `init` keeps what it needs, and proposals that did not work.
pub fn folder(config: &Config) -> PathBuf {
    config.data.join("init")
}

/// Where the log of a repository's newest proof is.
pub fn log_path(config: &Config, repo: &RepoName) -> PathBuf {
    config.data.join("builds").join(format!("init-{}-{}.log", repo.owner(), repo.name()))
}

/// A service that runs has its own network, whose gateway and sweeps must not meet this one's.
fn own_namespace(config: &Config) -> Result<Namespace> {
    let namespace = serve::docker_config(config)?.namespace;
    let mut short: String = namespace.as_str().chars().take(19).collect();
    while short.ends_with('-') {
        short.pop();
    }
    Ok(Namespace::parse(format!("{short}-init"))?)
}

/// Lets the build's sandbox in, and notes where it was not let out to.
struct Door {
    passes: Passes,
    refused: Mutex<BTreeSet<String>>,
}

impl Door {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

impl Doorkeeper for Door {
    fn admit(&self, token: &SandboxToken, peer: IpAddr) -> Option<Arc<Pass>> {
        self.passes.admit(token, peer)
    }

    fn not_let_out(&self, _: &Pass, host: &str, port: u16) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{host}:{port}"));
    }
}

/// A build asks no model and no tool.
struct Nothing;

impl Tools for Nothing {
    fn list(&self, _: &Pass) -> Vec<ToolSpec> {
        Vec::new()
    }

    fn call<'a>(&'a self, _: &'a Pass, name: &'a str, _: serde_json::Value) -> BoxFuture<'a, ToolResult> {
        async move { ToolResult::failed(format!("there is no tool `{name}`")) }.boxed()
    }
}

impl LlmObserver for Nothing {
    fn observe(&self, _: LlmEvent) {}
}

/// The headings in a build's log, each told once.
#[derive(Default)]
struct Headings {
    read: u64,
    rest: String,
}

impl Headings {
    fn tell(&mut self, log: &Path, say: &mut (dyn FnMut(&str) + Send)) {
        let Ok(mut file) = File::open(log) else { return };
        let mut fresh = Vec::new();
        if file.seek(SeekFrom::Start(self.read)).is_err() || file.read_to_end(&mut fresh).is_err() {
            return;
        }
        self.read += fresh.len() as u64;
        self.rest.push_str(&String::from_utf8_lossy(&fresh));
        while let Some((line, rest)) = self.rest.split_once('\n') {
            if let Some(heading) = line.strip_prefix("== ")
                && let Some((step, command)) = heading.split_once(": ")
                && !step.contains(' ')
            {
                // What a build writes may look like a heading, and may hold what a terminal obeys.
                let command: String = command.chars().filter(|c| !c.is_control()).collect();
                let command = if command.chars().count() > SHOWN_COMMAND {
                    format!("{} …", command.chars().take(SHOWN_COMMAND).collect::<String>())
                } else {
                    command
                };
                say(&format!("{step}: {command}"));
            }
            self.rest = rest.to_owned();
        }
    }
}
