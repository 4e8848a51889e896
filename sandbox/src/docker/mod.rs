//! Sandboxes on one Docker engine. The only place that knows of its client's types.

mod client;
mod container;
mod exec;
mod files;
mod image;
mod network;
mod shelf;
mod snapshot;
mod wait;

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use longshore_session::SandboxId;

use self::client::Client;
pub(crate) use self::{
    container::Kind, exec::Part, image::ImageFacts, network::firewall_works, shelf::Shelved, snapshot::IMAGE_LABEL_PREFIX,
};
use crate::{
    Capabilities, CarrierPaths, Engine, EngineError, Exec, ExecOutput, Exit, ImageRef, Namespace, RegistryConfig, Removed, Sandbox,
    SandboxInfo, Snapshot, SnapshotImage, StartSandbox, carrier,
};

/// How to reach the engine, and what part of it is ours.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The engine's Unix socket; `/var/run/docker.sock` where none is given.
    pub socket: Option<PathBuf>,
    pub namespace: Namespace,
    /// The one port of the host's that sandboxes reach.
    pub gateway_port: u16,
    /// Whose credentials images are pulled and pushed with.
    pub registry: Option<RegistryConfig>,
    /// The folder for all carriers; made where it is missing, and closed to other users.
    pub carriers: PathBuf,
}

/// Sandboxes as Docker containers on this machine.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    namespace: Namespace,
    gateway: Ipv4Addr,
    carriers: PathBuf,
    registry: Option<RegistryConfig>,
    memory: Mutex<Memory>,
}

/// What is known of sandboxes beyond what the engine says. Losing it with a restart does no harm.
#[derive(Debug, Default)]
struct Memory {
    /// Image builds under way, which a sweep leaves alone.
    building: HashSet<SandboxId>,
    /// Sandboxes that we ended ourselves: their signal is no accident.
    ended_by_us: HashSet<SandboxId>,
    /// Held while a sandbox's file system is being kept.
    keeping: HashMap<SandboxId, Arc<tokio::sync::Mutex<()>>>,
    /// How often the out-of-memory killer had struck when we last looked.
    oom_kills: HashMap<SandboxId, u64>,
}

impl DockerEngine {
    /// Connects, and sees to the network and its firewall. Errors name what is missing and how to get it.
    pub async fn connect(config: DockerConfig) -> Result<Self, EngineError> {
        let socket = socket_of(&config);
        let client = Client::connect(&socket).await?;
        let carriers = carrier::make_root(&config.carriers)?;
        let gateway = network::ensure(&client, &config.namespace, config.gateway_port).await?;
        let inner = Inner { client, namespace: config.namespace, gateway, carriers, registry: config.registry, memory: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The engine's version, for an operator to read.
    pub(crate) async fn version(config: &DockerConfig) -> Result<String, EngineError> {
        let client = Client::connect(&socket_of(config)).await?;
        let version = client.call("reading the version", client::QUICK, client.docker.version()).await?;
        Ok(format!("{} (API {})", version.version.unwrap_or_default(), version.api_version.unwrap_or_default()))
    }

    /// Where the engine keeps images and containers.
    pub(crate) async fn storage(&self) -> Result<PathBuf, EngineError> {
        let info = self.inner.client.call("reading its settings", client::QUICK, self.inner.client.docker.info()).await?;
        Ok(PathBuf::from(info.docker_root_dir.unwrap_or_else(|| "/var/lib/docker".to_owned())))
    }

    /// Removes the namespace's network and firewall rules: for whoever takes an installation away. Fails while a sandbox is on it.
    pub async fn remove_network(&self) -> Result<(), EngineError> {
        network::remove(&self.inner.client, &self.inner.namespace).await
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.inner.namespace
    }

    fn client(&self) -> &Client {
        &self.inner.client
    }

    fn carriers(&self) -> &Path {
        &self.inner.carriers
    }

    /// Whoever holds it has a sandbox that stands as it is.
    fn stillness(&self, id: &SandboxId) -> Arc<tokio::sync::Mutex<()>> {
        self.remember(|memory| Arc::clone(memory.keeping.entry(id.clone()).or_default()))
    }

    fn remember<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(&mut self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn socket_of(config: &DockerConfig) -> String {
    config.socket.as_ref().map_or_else(|| client::DEFAULT_SOCKET.to_owned(), |path| path.display().to_string())
}

#[async_trait]
impl Engine for DockerEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities { snapshot: true, pause: true }
    }

    fn gateway_address(&self) -> IpAddr {
        IpAddr::V4(self.inner.gateway)
    }

    fn carrier(&self, id: &SandboxId) -> CarrierPaths {
        CarrierPaths::of(self.carriers(), id)
    }

    async fn start(&self, request: StartSandbox) -> Result<Sandbox, EngineError> {
        self.start_as(Kind::Sandbox, request).await
    }

    async fn exec(&self, id: &SandboxId, exec: Exec) -> Result<ExecOutput, EngineError> {
        self.run(id, exec, &mut |_| {}).await
    }

    async fn copy_in(&self, id: &SandboxId, folder: &str, archive: Bytes) -> Result<(), EngineError> {
        self.upload(id, folder, archive).await
    }

    async fn copy_out(&self, id: &SandboxId, path: &str, limit: u64) -> Result<Bytes, EngineError> {
        self.download(id, path, limit).await
    }

    async fn inspect(&self, id: &SandboxId) -> Result<SandboxInfo, EngineError> {
        self.look_at(id).await
    }

    async fn list(&self, label: Option<(&str, &str)>) -> Result<Vec<SandboxInfo>, EngineError> {
        self.find(label).await
    }

    async fn wait(&self, id: &SandboxId) -> Exit {
        self.wait_for_end(id).await
    }

    async fn snapshot(&self, id: &SandboxId, labels: Vec<(String, String)>) -> Result<Snapshot, EngineError> {
        self.take_snapshot(id, labels).await
    }

    async fn has_image(&self, image: &ImageRef) -> Result<bool, EngineError> {
        Ok(self.find_image(image).await?.is_some())
    }

    async fn flatten(&self, image: &ImageRef) -> Result<Snapshot, EngineError> {
        self.put_together(image).await
    }

    async fn snapshots(&self, label: Option<(&str, &str)>) -> Result<Vec<SnapshotImage>, EngineError> {
        self.find_snapshots(label).await
    }

    async fn remove_image(&self, image: &ImageRef) -> Result<(), EngineError> {
        self.forget_image(image).await
    }

    async fn pause(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.halt(id).await
    }

    async fn resume(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.go_on(id).await
    }

    async fn stop(&self, id: &SandboxId, grace: Duration) -> Result<(), EngineError> {
        self.end(id, grace).await
    }

    async fn remove(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.take_away(id).await
    }

    async fn sweep(&self, known: &HashSet<SandboxId>) -> Result<Removed, EngineError> {
        self.sweep_strays(known).await
    }
}
