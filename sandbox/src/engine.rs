//! What an engine of sandboxes does. Docker is the first; nothing here says that there is one host.

use std::{collections::HashSet, fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use longshore_session::{SandboxId, SandboxLimits};

use crate::{CarrierPaths, EngineError, Exec, ExecOutput, Exit, ImageRef};

/// The host name under which every sandbox reaches the service's gateway, so that images and snapshots hold no address.
pub const GATEWAY_HOST: &str = "gateway.longshore";

/// What an engine can do beside the rest. Callers ask before they rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// [`Engine::snapshot`] keeps the whole file system.
    pub snapshot: bool,
    /// [`Engine::pause`] stops the sandbox's processes and keeps their memory.
    pub pause: bool,
}

/// What runs as the sandbox's own process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// An agent that reads the carrier's `in` and writes to its `out` and `err`. The sandbox ends when it does. No secret belongs into the words.
    Agent { argv: Vec<String> },
    /// Nothing: the sandbox waits for commands.
    Idle,
}

/// A sandbox to be started.
#[derive(Clone)]
pub struct StartSandbox {
    pub id: SandboxId,
    pub image: ImageRef,
    pub limits: SandboxLimits,
    pub process: Process,
    /// Variables of every process in it, also secret ones: they lie in the carrier, never in the container's configuration.
    pub environment: Vec<(String, String)>,
    /// What [`Engine::list`] finds it by.
    pub labels: Vec<(String, String)>,
}

impl fmt::Debug for StartSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.environment.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("StartSandbox")
            .field("id", &self.id)
            .field("image", &self.image)
            .field("limits", &self.limits)
            .field("process", &self.process)
            .field("environment", &keys)
            .field("labels", &self.labels)
            .finish()
    }
}

/// A sandbox that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub id: SandboxId,
    /// What its connections to the gateway come from.
    pub address: IpAddr,
    pub carrier: CarrierPaths,
    /// From the request to the running process.
    pub took: Duration,
}

/// Whether a sandbox's processes run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxState {
    Running { address: IpAddr },
    Paused { address: IpAddr },
    Ended(Exit),
}

/// A sandbox as the engine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxInfo {
    pub id: SandboxId,
    pub state: SandboxState,
    /// As given to [`StartSandbox::labels`].
    pub labels: Vec<(String, String)>,
}

/// A sandbox's file system, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What to start from. Where nothing had changed, this is the image that the sandbox itself came from, and `bytes` is 0.
    pub image: ImageRef,
    /// What this snapshot added.
    pub bytes: u64,
    /// Layers in all; engines allow about 125.
    pub layers: usize,
}

/// A snapshot that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotImage {
    pub image: ImageRef,
    /// As given to [`Engine::snapshot`].
    pub labels: Vec<(String, String)>,
}

/// What a sweep took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    pub sandboxes: Vec<SandboxId>,
    /// Carriers without a sandbox.
    pub carriers: Vec<SandboxId>,
}

/// Where sandboxes run.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    fn capabilities(&self) -> Capabilities;

    /// The address that the gateway must listen on for sandboxes to reach it.
    fn gateway_address(&self) -> IpAddr;

    /// The carrier of a sandbox, whether it runs or not.
    fn carrier(&self, id: &SandboxId) -> CarrierPaths;

    /// Starts a sandbox; pulls the image where it is pinned by digest and not here. What a sandbox of the same id left is replaced; one that runs is
    /// [`EngineError::AlreadyRunning`]. Nothing is left behind on an error.
    async fn start(&self, request: StartSandbox) -> Result<Sandbox, EngineError>;

    /// Runs a command. A paused sandbox is resumed first, and stays so.
    async fn exec(&self, id: &SandboxId, exec: Exec) -> Result<ExecOutput, EngineError>;

    /// Unpacks a tar archive into a folder. Owners are those that the archive names.
    async fn copy_in(&self, id: &SandboxId, folder: &str, archive: Bytes) -> Result<(), EngineError>;

    /// A file or folder as a tar archive of at most `limit` bytes.
    async fn copy_out(&self, id: &SandboxId, path: &str, limit: u64) -> Result<Bytes, EngineError>;

    /// One sandbox's state.
    async fn inspect(&self, id: &SandboxId) -> Result<SandboxInfo, EngineError>;

    /// Every sandbox of ours that has this label (all, without one), ended ones too.
    async fn list(&self, label: Option<(&str, &str)>) -> Result<Vec<SandboxInfo>, EngineError>;

    /// Resolves when the sandbox has ended. Bears the engine's absence: a lost connection is no death.
    async fn wait(&self, id: &SandboxId) -> Exit;

    /// Keeps the file system, of a running, a paused or an ended sandbox, without the carrier. `labels` are the image's. A running sandbox stands
    /// still meanwhile, and whatever would make it go on ([`Engine::resume`], [`Engine::exec`]) waits.
    async fn snapshot(&self, id: &SandboxId, labels: Vec<(String, String)>) -> Result<Snapshot, EngineError>;

    /// Whether a sandbox could start from it without asking a registry.
    async fn has_image(&self, image: &ImageRef) -> Result<bool, EngineError>;

    /// The same files, settings and labels as another image of few layers: a chain of snapshots does not grow for ever. The first one stays.
    async fn flatten(&self, image: &ImageRef) -> Result<Snapshot, EngineError>;

    /// Every snapshot of ours that has this label (all, without one).
    async fn snapshots(&self, label: Option<(&str, &str)>) -> Result<Vec<SnapshotImage>, EngineError>;

    /// Removes a snapshot or an image; one that is not there is no error, one that something still uses is [`EngineError::Refused`].
    async fn remove_image(&self, image: &ImageRef) -> Result<(), EngineError>;

    /// Stops the processes where they are. Idempotent.
    async fn pause(&self, id: &SandboxId) -> Result<(), EngineError>;

    /// Lets them go on. Idempotent.
    async fn resume(&self, id: &SandboxId) -> Result<(), EngineError>;

    /// Ends the processes; the file system and the carrier stay. Idempotent.
    async fn stop(&self, id: &SandboxId, grace: Duration) -> Result<(), EngineError>;

    /// Removes the sandbox, running or not, and its carrier. Idempotent.
    async fn remove(&self, id: &SandboxId) -> Result<(), EngineError>;

    /// Removes every sandbox and carrier of ours that is not `known`, but for image builds that are under way.
    async fn sweep(&self, known: &HashSet<SandboxId>) -> Result<Removed, EngineError>;
}
