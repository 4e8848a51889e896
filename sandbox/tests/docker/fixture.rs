//! An engine of a test's own: namespace, network, carriers.

use std::{
    collections::HashSet,
    future::Future,
    net::{IpAddr, TcpListener},
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use longshore_sandbox::{
    DockerConfig, DockerEngine, Engine, EngineError, Exec, ExecOutput, ImageRef, Namespace, Process, Sandbox, StartSandbox,
};
use longshore_session::{SandboxId, SandboxLimits};
use tempfile::TempDir;

pub const GATEWAY_PORT: u16 = 7353;
pub const SECRET: &str = "sb-3c9f2f6d1e4b4c0a9c7e";

pub struct Fixture {
    pub engine: Arc<DockerEngine>,
    pub namespace: Namespace,
    pub folder: TempDir,
}

/// Runs a test's story with an engine, and cleans up after it whatever happens.
pub fn with_engine<F: Future<Output = ()>>(story: impl FnOnce(Arc<Fixture>) -> F) {
    with_engine_of(|config| config, story);
}

/// As [`with_engine`], with another configuration.
pub fn with_engine_of<F: Future<Output = ()>>(change: impl FnOnce(DockerConfig) -> DockerConfig, story: impl FnOnce(Arc<Fixture>) -> F) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let namespace = Namespace::parse(format!("t{:010x}", rand::random::<u32>())).unwrap();
        let config = change(config(&namespace, folder.path().join("carriers")));
        let engine = match DockerEngine::connect(config).await {
            Ok(engine) => Arc::new(engine),
            Err(error) => panic!("these tests need a Docker engine: run `make setup`. {error}"),
        };
        let fixture = Arc::new(Fixture { engine, namespace, folder });
        let base = fixture.image_exists("longshore/base:latest");
        let outcome = AssertUnwindSafe(async {
            assert!(base, "these tests need the base image: run `make setup`");
            tokio::time::timeout(Duration::from_secs(300), story(fixture.clone())).await.expect("the story takes too long");
        })
        .catch_unwind()
        .await;
        let torn_down = fixture.tear_down().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        torn_down.unwrap();
    });
}

pub fn config(namespace: &Namespace, carriers: PathBuf) -> DockerConfig {
    DockerConfig { socket: None, namespace: namespace.clone(), gateway_port: GATEWAY_PORT, registry: None, carriers }
}

pub fn base() -> ImageRef {
    ImageRef::parse("longshore/base:latest").unwrap()
}

/// The docker CLI, for looking at what the crate did from outside.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).env("DOCKER_API_VERSION", "1.41").output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Fixture {
    pub fn request(&self, id: &SandboxId) -> StartSandbox {
        StartSandbox {
            id: id.clone(),
            image: base(),
            limits: SandboxLimits { memory_mb: 512, cpus: 1.0, pids: 128 },
            process: Process::Idle,
            environment: vec![("LONGSHORE_TOKEN".to_owned(), SECRET.to_owned())],
            labels: Vec::new(),
        }
    }

    pub async fn start(&self) -> Sandbox {
        self.engine.start(self.request(&SandboxId::random())).await.unwrap()
    }

    pub async fn run(&self, id: &SandboxId, line: &str) -> ExecOutput {
        self.engine.exec(id, Exec::shell(line)).await.unwrap()
    }

    /// What a line prints, without the line end.
    pub async fn text(&self, id: &SandboxId, line: &str) -> String {
        let output = self.run(id, line).await;
        assert!(output.succeeded(), "{line}: {:?} {}", output.end, output.stderr_text());
        output.stdout_text().trim_end().to_owned()
    }

    pub fn container(&self, id: &SandboxId) -> String {
        format!("{}-{id}", self.namespace)
    }

    pub fn image_exists(&self, image: &str) -> bool {
        !docker(&["image", "inspect", image]).contains("No such image")
    }

    /// A listener on the bridge's address, as the service's gateway is.
    pub fn listen(&self, address: IpAddr, port: u16) -> TcpListener {
        TcpListener::bind((address, port)).unwrap()
    }

    async fn tear_down(&self) -> Result<(), EngineError> {
        self.engine.sweep(&HashSet::new()).await?;
        let filter = format!("label=dev.longshore.image.namespace={}", self.namespace);
        let images = docker(&["image", "ls", "-q", "--no-trunc", "--filter", &filter]);
        for image in images.split_whitespace().collect::<HashSet<_>>() {
            docker(&["image", "rm", "--force", image]);
        }
        self.engine.remove_network().await
    }
}
