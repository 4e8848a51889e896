//! A sandbox as a container: made, looked at, paused, ended, removed.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use bollard::{
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, HostConfig, HostConfigLogConfig, ResourcesUlimits,
        RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptions, EventsOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions, StopContainerOptions,
    },
};
use futures_util::StreamExt;
use longshore_session::{SandboxId, SandboxLimits};

use super::{
    DockerEngine,
    client::{Fault, QUICK, SLOW, already},
};
use crate::{
    EngineError, Exit, GATEWAY_HOST, ImageRef, Process, Removed, Sandbox, SandboxInfo, SandboxState, StartSandbox,
    carrier::{self, CarrierPaths, shell_quoted},
    exit::OomKilled,
};

pub(super) const NAMESPACE_LABEL: &str = "dev.longshore.sandbox.namespace";
pub(super) const ID_LABEL: &str = "dev.longshore.sandbox.id";
/// Before the keys of [`StartSandbox::labels`].
pub(super) const LABEL_PREFIX: &str = "dev.longshore.sandbox.label.";
pub(super) const AGENT_USER: &str = "1000:1000";
/// A documentation address, where nobody answers: the engine's own name server would forward queries to the world.
const DEAD_NAME_SERVER: &str = "192.0.2.1";
/// Not more: an engine can give only as many as it has itself, and in a virtual machine or container of its own that may be 20,000.
const OPEN_FILES: i64 = 16_384;
/// Bytes that one file may have in a sandbox. The carrier lies on the disk of the service's own databases, and its files are among them.
const LARGEST_FILE: i64 = 4 << 30;
/// For what the engine remembers of a sandbox.
const RECALL: Duration = Duration::from_secs(2);
/// From the kernel's kill to the end of what was killed.
const RIGHT_BEFORE_NS: i64 = 2_000_000_000;
/// What package managers need to unpack files for other users and to drop their own rights. None of these reaches out of the container.
const BUILD_CAPABILITIES: [&str; 7] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"];

/// Of the 1024 that every other container has.
const BUILD_CPU_SHARES: i64 = 256;
/// Of 10 to 1000, where others have 500. An engine whose kernel has no such weights says so in its log, and goes on.
const BUILD_IO_WEIGHT: u16 = 100;
const BUILD_OOM_SCORE: i64 = 500;

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An agent's: no capability at all.
    Sandbox,
    /// As an agent's, for trying an image.
    Trial,
    /// An image build's: root in it may install packages.
    Build,
}

impl DockerEngine {
    pub(crate) async fn start_as(&self, kind: Kind, request: StartSandbox) -> Result<Sandbox, EngineError> {
        let begun = Instant::now();
        let id = request.id.clone();
        if matches!(kind, Kind::Build | Kind::Trial) {
            self.remember(|memory| memory.building.insert(id.clone()));
        }
        self.make_way(&id).await?;
        let paths = CarrierPaths::of(self.carriers(), &id);
        let started = match self.create_and_start(kind, &request, &paths).await {
            Ok(address) => Ok(Sandbox { id: id.clone(), address, carrier: paths, took: begun.elapsed() }),
            Err(error) => Err(error),
        };
        match &started {
            Ok(sandbox) => tracing::info!(sandbox = %id, image = %request.image, took_ms = sandbox.took.as_millis(), "sandbox started"),
            Err(_) => {
                if let Err(error) = self.take_away(&id).await {
                    tracing::warn!(sandbox = %id, %error, "what a failed start left could not be removed");
                }
            }
        }
        started
    }

    /// Removes what an ended sandbox of the same id left.
    async fn make_way(&self, id: &SandboxId) -> Result<(), EngineError> {
        match self.look_at(id).await {
            Err(EngineError::NoSuchSandbox { .. }) => {}
            Err(error) => return Err(error),
            Ok(SandboxInfo { state: SandboxState::Ended(_), .. }) => self.remove_container(id).await?,
            Ok(_) => return Err(EngineError::AlreadyRunning { id: id.clone() }),
        }
        self.remember(|memory| {
            memory.ended_by_us.remove(id);
            memory.oom_kills.remove(id);
        });
        Ok(())
    }

    async fn create_and_start(&self, kind: Kind, request: &StartSandbox, paths: &CarrierPaths) -> Result<IpAddr, EngineError> {
        let image = self.find_or_pull(&request.image).await?;
        let mut variables = request.environment.clone();
        if let Process::Agent { argv } = &request.process {
            let words: Vec<String> = argv.iter().map(|word| shell_quoted(word)).collect();
            variables.push(("LONGSHORE_AGENT".to_owned(), words.join(" ")));
        }
        carrier::create(paths, &variables)?;

        // A snapshot's image carries the labels of the sandbox that it was taken of. They are blanked, or a search would find them again.
        let mut labels: HashMap<String, String> =
            image.labels.into_keys().filter(|key| key.starts_with(LABEL_PREFIX)).map(|key| (key, String::new())).collect();
        labels.extend(request.labels.iter().map(|(key, value)| (format!("{LABEL_PREFIX}{key}"), value.clone())));
        labels.insert(NAMESPACE_LABEL.to_owned(), self.inner.namespace.to_string());
        labels.insert(ID_LABEL.to_owned(), request.id.to_string());

        let body = ContainerCreateBody {
            image: Some(request.image.to_string()),
            // Capabilities are those of the container's own process: with another user there, a command of root's would have none.
            user: Some(match kind {
                Kind::Sandbox | Kind::Trial => AGENT_USER.to_owned(),
                Kind::Build => "0:0".to_owned(),
            }),
            working_dir: Some("/workspace".to_owned()),
            hostname: Some("sandbox".to_owned()),
            entrypoint: Some(Vec::new()),
            cmd: Some(vec!["/opt/longshore/run".to_owned()]),
            labels: Some(labels),
            host_config: Some(self.host_config(kind, &request.limits, paths)),
            ..Default::default()
        };
        let name = self.container_name(&request.id);
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        let docker = &self.client().docker;
        self.client().call("making a sandbox", SLOW, docker.create_container(Some(options), body)).await?;
        self.client().call("starting a sandbox", SLOW, docker.start_container(&name, None)).await?;
        let info = self.look_at(&request.id).await?;
        match info.state {
            SandboxState::Running { address } | SandboxState::Paused { address } => Ok(address),
            SandboxState::Ended(exit) => Err(EngineError::Refused { during: "starting a sandbox".to_owned(), message: exit.words() }),
        }
    }

    fn host_config(&self, kind: Kind, limits: &SandboxLimits, paths: &CarrierPaths) -> HostConfig {
        let memory = i64::from(limits.memory_mb) * 1024 * 1024;
        let ulimit = |name: &str, value: i64| ResourcesUlimits { name: Some(name.to_owned()), soft: Some(value), hard: Some(value) };
        #[expect(clippy::cast_possible_truncation, reason = "a machine has fewer than 2^33 cores")]
        let nano_cpus = (limits.cpus * 1e9) as i64;
        let build = kind == Kind::Build;
        HostConfig {
            init: Some(true),
            binds: Some(vec![format!("{}:/run/longshore", paths.folder.display())]),
            network_mode: Some(self.inner.namespace.to_string()),
            dns: Some(vec![DEAD_NAME_SERVER.to_owned()]),
            dns_options: Some(vec!["timeout:1".to_owned(), "attempts:1".to_owned()]),
            extra_hosts: Some(vec![format!("{GATEWAY_HOST}:{}", self.inner.gateway)]),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: match kind {
                Kind::Sandbox | Kind::Trial => None,
                Kind::Build => Some(BUILD_CAPABILITIES.map(str::to_owned).to_vec()),
            },
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            // Where both want the processors or the disk, a session comes first; where memory runs out, a build ends first.
            cpu_shares: build.then_some(BUILD_CPU_SHARES),
            blkio_weight: build.then_some(BUILD_IO_WEIGHT),
            oom_score_adj: build.then_some(BUILD_OOM_SCORE),
            memory: Some(memory),
            // Memory and swap together: equal means no swap.
            memory_swap: Some(memory),
            nano_cpus: Some(nano_cpus),
            pids_limit: Some(i64::from(limits.pids)),
            ulimits: Some(match kind {
                Kind::Sandbox | Kind::Trial => vec![ulimit("nofile", OPEN_FILES), ulimit("core", 0), ulimit("fsize", LARGEST_FILE)],
                Kind::Build => vec![ulimit("nofile", OPEN_FILES), ulimit("core", 0)],
            }),
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([("max-size".to_owned(), "1m".to_owned()), ("max-file".to_owned(), "1".to_owned())])),
            }),
            ..Default::default()
        }
    }

    pub(super) fn container_name(&self, id: &SandboxId) -> String {
        format!("{}-{id}", self.inner.namespace)
    }

    /// An answer of the engine's about one container, where 404 means that there is no such sandbox.
    pub(super) fn or_missing<T>(&self, id: &SandboxId, answer: Result<T, Fault>) -> Result<T, EngineError> {
        answer.map_err(|fault| if fault.is(404) { EngineError::NoSuchSandbox { id: id.clone() } } else { fault.error })
    }

    /// Bytes that a container has written to its file system.
    pub(crate) async fn written(&self, id: &SandboxId) -> Result<u64, EngineError> {
        let name = self.container_name(id);
        let call = self.client().docker.inspect_container(&name, Some(InspectContainerOptions { size: true }));
        let answer = self.client().call("measuring a sandbox", SLOW, call).await;
        let container = self.or_missing(id, answer)?;
        Ok(container.size_rw.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))
    }

    pub(super) async fn inspect_container(&self, id: &SandboxId) -> Result<ContainerInspectResponse, EngineError> {
        let name = self.container_name(id);
        let call = self.client().docker.inspect_container(&name, None);
        let answer = self.client().call("looking at a sandbox", QUICK, call).await;
        self.or_missing(id, answer)
    }

    pub(super) async fn look_at(&self, id: &SandboxId) -> Result<SandboxInfo, EngineError> {
        let container = self.inspect_container(id).await?;
        let mut state = self.state_of(id, &container);
        if state == SandboxState::Ended(Exit::OutOfMemory) && !self.ended_of_memory(id).await {
            state = SandboxState::Ended(self.exit_of(id, Some(137), OomKilled::No));
        }
        let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
        Ok(SandboxInfo { id: id.clone(), state, labels: own_labels(&labels) })
    }

    /// The engine's flag says that the kernel killed something in there at some time: a command perhaps, whose end the agent survived. It was
    /// the sandbox's own end only if it came right before that.
    async fn ended_of_memory(&self, id: &SandboxId) -> bool {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let filters =
            HashMap::from([("container".to_owned(), vec![self.container_name(id)]), ("event".to_owned(), words(&["oom", "kill", "die"]))]);
        // Since long ago: what the engine remembers comes at once, and the end is the last of it.
        let options = EventsOptions { since: Some("1".to_owned()), until: None, filters: Some(filters) };
        let mut events = Box::pin(self.client().docker.events(Some(options)));
        let read = async {
            let mut kill = None;
            while let Some(Ok(event)) = events.next().await {
                match event.action.as_deref() {
                    Some("oom") => kill = event.time_nano,
                    // Somebody was faster.
                    Some("kill") => kill = None,
                    Some("die") => return Some((kill, event.time_nano)),
                    _ => {}
                }
            }
            None
        };
        match tokio::time::timeout(RECALL, read).await {
            Ok(Some((Some(kill), Some(end)))) => end.saturating_sub(kill) < RIGHT_BEFORE_NS,
            Ok(Some((None, _))) => false,
            // The engine was started anew since, or has forgotten: the flag is all there is.
            Ok(Some((_, None)) | None) | Err(_) => true,
        }
    }

    fn state_of(&self, id: &SandboxId, container: &ContainerInspectResponse) -> SandboxState {
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let endpoint = networks.and_then(|networks| networks.get(self.inner.namespace.as_str()));
        let address = endpoint.and_then(|endpoint| endpoint.ip_address.as_deref()).and_then(|text| text.parse().ok());
        let state = container.state.clone().unwrap_or_default();
        match (state.status, address) {
            (Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::RESTARTING), Some(address)) => {
                SandboxState::Running { address }
            }
            (Some(ContainerStateStatusEnum::PAUSED), Some(address)) => SandboxState::Paused { address },
            // Made, but not started: a start that was cut short.
            (Some(ContainerStateStatusEnum::CREATED), _) => SandboxState::Ended(Exit::Gone),
            _ => SandboxState::Ended(self.exit_of(id, state.exit_code, state.oom_killed.into())),
        }
    }

    pub(super) fn exit_of(&self, id: &SandboxId, status: Option<i64>, oom: OomKilled) -> Exit {
        match Exit::from_status(status.unwrap_or(0), oom) {
            Exit::Killed { .. } if self.remember(|memory| memory.ended_by_us.contains(id)) => Exit::Stopped,
            exit => exit,
        }
    }

    pub(super) async fn find(&self, label: Option<(&str, &str)>) -> Result<Vec<SandboxInfo>, EngineError> {
        let mut wanted = vec![format!("{NAMESPACE_LABEL}={}", self.inner.namespace)];
        wanted.extend(label.map(|(key, value)| format!("{LABEL_PREFIX}{key}={value}")));
        let options =
            ListContainersOptions { all: true, filters: Some(HashMap::from([("label".to_owned(), wanted)])), ..Default::default() };
        let containers = self.client().call("listing sandboxes", QUICK, self.client().docker.list_containers(Some(options))).await?;
        let mut found = Vec::new();
        for container in containers {
            let labels = container.labels.unwrap_or_default();
            let Some(id) = labels.get(ID_LABEL).and_then(|id| SandboxId::parse(id.as_str()).ok()) else { continue };
            match self.look_at(&id).await {
                Ok(info) => found.push(info),
                // It went while we were looking.
                Err(EngineError::NoSuchSandbox { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What image a sandbox was started from, as it was named then.
    pub(super) async fn image_of(&self, id: &SandboxId) -> Result<ImageRef, EngineError> {
        let container = self.inspect_container(id).await?;
        let name = container.config.and_then(|config| config.image).unwrap_or_default();
        ImageRef::parse(name)
            .map_err(|error| EngineError::Refused { during: "looking at a sandbox".to_owned(), message: error.to_string() })
    }

    pub(super) async fn halt(&self, id: &SandboxId) -> Result<(), EngineError> {
        let name = self.container_name(id);
        let call = self.client().docker.pause_container(&name);
        let answer = self.client().call("pausing a sandbox", SLOW, call).await;
        let Err(fault) = answer else { return Ok(()) };
        // The engine's own state can lag behind a quick pair of calls: what counts is where it ended up.
        match self.look_at(id).await?.state {
            SandboxState::Paused { .. } => Ok(()),
            SandboxState::Ended(_) => Err(EngineError::NotRunning { id: id.clone() }),
            SandboxState::Running { .. } => Err(fault.error),
        }
    }

    pub(super) async fn go_on(&self, id: &SandboxId) -> Result<(), EngineError> {
        // It may be paused for a snapshot, which is to hold one moment and not two.
        let stillness = self.stillness(id);
        let _still = stillness.lock().await;
        let name = self.container_name(id);
        let call = self.client().docker.unpause_container(&name);
        let answer = self.client().call("resuming a sandbox", SLOW, call).await;
        let Err(fault) = answer else { return Ok(()) };
        match self.look_at(id).await?.state {
            SandboxState::Running { .. } => Ok(()),
            SandboxState::Ended(_) => Err(EngineError::NotRunning { id: id.clone() }),
            SandboxState::Paused { .. } => Err(fault.error),
        }
    }

    pub(super) async fn end(&self, id: &SandboxId, grace: Duration) -> Result<(), EngineError> {
        let state = self.look_at(id).await?.state;
        if matches!(state, SandboxState::Ended(_)) {
            return Ok(());
        }
        self.remember(|memory| memory.ended_by_us.insert(id.clone()));
        if matches!(state, SandboxState::Paused { .. }) {
            // A paused process takes no signal.
            self.go_on(id).await?;
        }
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(seconds), ..Default::default() };
        let name = self.container_name(id);
        let call = self.client().docker.stop_container(&name, Some(options));
        already(self.client().call("stopping a sandbox", grace + SLOW, call).await)
    }

    pub(super) async fn take_away(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.remember(|memory| memory.ended_by_us.insert(id.clone()));
        self.remove_container(id).await?;
        carrier::remove(&CarrierPaths::of(self.carriers(), id).folder)?;
        self.remember(|memory| {
            memory.building.remove(id);
            memory.oom_kills.remove(id);
            memory.keeping.remove(id);
        });
        Ok(())
    }

    pub(super) async fn remove_container(&self, id: &SandboxId) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let name = self.container_name(id);
        let call = self.client().docker.remove_container(&name, Some(options));
        already(self.client().call("removing a sandbox", SLOW, call).await)
    }

    pub(super) async fn sweep_strays(&self, known: &HashSet<SandboxId>) -> Result<Removed, EngineError> {
        let building = self.remember(|memory| memory.building.clone());
        let stray = |id: &SandboxId| !known.contains(id) && !building.contains(id);
        let mut removed = Removed::default();
        for sandbox in self.find(None).await? {
            if stray(&sandbox.id) {
                self.take_away(&sandbox.id).await?;
                removed.sandboxes.push(sandbox.id);
            }
        }
        for id in carrier::list(self.carriers())? {
            if stray(&id) {
                carrier::remove(&CarrierPaths::of(self.carriers(), &id).folder)?;
                removed.carriers.push(id);
            }
        }
        Ok(removed)
    }
}

/// The labels that a caller gave, without our prefix, in order.
fn own_labels(labels: &HashMap<String, String>) -> Vec<(String, String)> {
    let mut own: Vec<(String, String)> = labels
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(LABEL_PREFIX)?.to_owned(), value.clone())))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    own.sort();
    own
}
