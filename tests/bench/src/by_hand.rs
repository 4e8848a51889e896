//! The floors: sandboxes and agents driven directly, by the same crates, images, agent, gateway and model as the service's, with nothing of the
//! service round them.

mod gateway;

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use base64::Engine as _;
use longshore_agent::{
    Agent, AgentKind, AgentSessionId, AgentSettings, AgentUpdate, Carrier, ContentBlock, Cursor, Launch, LaunchSettings, McpServer,
    StartSession, opencode,
};
use longshore_gateway::{LlmRight, Pass, Passes, ToolRight};
use longshore_harness::{Harness, make_folder, take_away};
use longshore_sandbox::{
    DockerConfig, DockerEngine, Engine, GATEWAY_HOST, ImageRef, Namespace, Process, Sandbox, StartSandbox, Trial, TrialSandbox,
};
use longshore_session::{RepositoryManifest, SandboxId, TurnId};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::stage;

/// The same as the service's own: each namespace has an address of its own.
const PORT: u16 = 7353;
/// What the harness's configuration names.
const MODEL: &str = "longshore-scripted";
const SMALL_MODEL: &str = "longshore-scripted-fast";
const AGENT_LIMIT: Duration = Duration::from_secs(120);
const TURN_LIMIT: Duration = Duration::from_secs(120);
/// As the service's pool does it.
const PRIMING: &str = "Say ok.";
const STRAGGLERS: Duration = Duration::from_millis(500);

/// An engine and a gateway of the program's own, beside a harness's emulators.
pub struct ByHand {
    pub engine: Arc<DockerEngine>,
    pub folder: PathBuf,
    passes: Passes,
    launch: Launch,
    namespace: String,
    _stop: DropGuard,
}

/// A sandbox with an agent, driven by hand.
pub struct HandSandbox {
    pub id: SandboxId,
    pub agent: Agent,
    mcp: McpServer,
}

impl ByHand {
    /// Opens it. [`ByHand::close`] takes away what it made.
    pub async fn beside(harness: &Harness) -> Result<Self> {
        let namespace = format!("b{:08x}", rand::random::<u32>());
        let folder = make_folder(&namespace)?;
        let config = DockerConfig {
            socket: None,
            namespace: Namespace::parse(namespace.as_str())?,
            gateway_port: PORT,
            carriers: folder.join("data/carriers"),
            registry: None,
        };
        let engine = Arc::new(DockerEngine::connect(config).await?);
        let passes = Passes::new();
        let stop = CancellationToken::new();
        let gateway = gateway::beside(harness, &passes)?;
        let address = SocketAddr::new(engine.gateway_address(), PORT);
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let stopped = stop.clone();
        tokio::spawn(async move {
            if let Err(error) = gateway.serve(listener, stopped).await {
                tracing::error!(%error, "the gateway ended");
            }
        });
        let launch = AgentKind::OpenCode.launch(&LaunchSettings::new(gateway_url(), MODEL, SMALL_MODEL));
        Ok(Self { engine, folder, passes, launch, namespace, _stop: stop.drop_guard() })
    }

    /// Takes everything away.
    pub async fn close(self) -> Result<()> {
        take_away(&self.namespace, &self.folder, None).await
    }

    /// Creates and starts a sandbox whose process is the agent.
    pub async fn start(&self, image: &str, manifest: &RepositoryManifest) -> Result<HandSandbox> {
        let id = SandboxId::random();
        let mut pass = Pass::nothing(id.clone());
        pass.llm = LlmRight::AnyModel;
        pass.tools = ToolRight::Offered;
        let token = self.passes.issue(pass);
        let mut environment = variables(&token_text(&token));
        environment.extend(self.launch.environment.clone());
        let process = Process::Agent { argv: self.launch.command.clone() };
        let sandbox = self.engine.start(request(&id, image, manifest, process, environment)?).await?;
        self.passes.bind(&id, sandbox.address);
        let agent = self.attach(&sandbox).await?;
        Ok(HandSandbox { id, agent, mcp: opencode::mcp_server(&gateway_url(), &token_text(&token)) })
    }

    /// Makes a sandbox like one of the warm pool's: its agent is primed, with answers of the gateway's own, and it is paused.
    pub async fn pooled(&self, image: &str, manifest: &RepositoryManifest) -> Result<HandSandbox> {
        let mut sandbox = self.start(image, manifest).await?;
        self.passes.change(&sandbox.id, |pass| pass.llm = LlmRight::Priming);
        let conversation = sandbox.conversation(None);
        sandbox.agent.prime(&conversation, PRIMING).await?;
        // A title for the priming's conversation is asked for beside it.
        tokio::time::sleep(STRAGGLERS).await;
        self.passes.change(&sandbox.id, |pass| pass.llm = LlmRight::AnyModel);
        self.engine.pause(&sandbox.id).await?;
        Ok(sandbox)
    }

    /// Starts a sandbox without an agent, which reaches nothing.
    pub async fn start_idle(&self, image: &str, manifest: &RepositoryManifest) -> Result<SandboxId> {
        let id = SandboxId::random();
        self.engine.start(request(&id, image, manifest, Process::Idle, Vec::new())?).await?;
        Ok(id)
    }

    async fn attach(&self, sandbox: &Sandbox) -> Result<Agent> {
        let carrier = Carrier::open(&sandbox.carrier.folder)?;
        let settings = AgentSettings { start_limit: AGENT_LIMIT, ..AgentSettings::default() };
        Ok(Agent::attach(carrier, Cursor::START, settings).await?)
    }

    pub async fn remove(&self, id: &SandboxId) -> Result<()> {
        self.passes.revoke(id);
        Ok(self.engine.remove(id).await?)
    }

    /// Lets an image build in, and gives the variables of its container, as the service does.
    pub fn admit_build(&self, id: &SandboxId, manifest: &RepositoryManifest) -> Vec<(String, String)> {
        let mut pass = Pass::nothing(id.clone());
        pass.fetch = vec![manifest.repository.clone()];
        pass.egress = manifest.egress.iter().filter_map(|rule| rule.parse().ok()).collect();
        variables(&token_text(&self.passes.issue(pass)))
    }

    pub fn bind(&self, id: &SandboxId, address: std::net::IpAddr) {
        self.passes.bind(id, address);
    }

    pub fn release(&self, id: &SandboxId) {
        self.passes.revoke(id);
    }

    /// What tries a new image of this repository.
    pub fn trial<'a>(&'a self, manifest: &'a RepositoryManifest) -> impl Trial + 'a {
        HandTrial { hand: self, manifest }
    }
}

/// Tries an image as the service does: its agent has to answer.
struct HandTrial<'a> {
    hand: &'a ByHand,
    manifest: &'a RepositoryManifest,
}

#[async_trait]
impl Trial for HandTrial<'_> {
    fn sandbox(&self) -> TrialSandbox {
        let id = SandboxId::random();
        let mut environment = self.hand.admit_build(&id, self.manifest);
        environment.extend(self.hand.launch.environment.clone());
        TrialSandbox { process: Process::Agent { argv: self.hand.launch.command.clone() }, environment, id }
    }

    async fn answers(&self, sandbox: &Sandbox) -> Result<(), String> {
        self.hand.bind(&sandbox.id, sandbox.address);
        let answered = async { anyhow::Ok(self.hand.attach(sandbox).await?.initialize().await?) };
        answered.await.map_err(|error| format!("{error:#}"))
    }

    fn over(&self, id: &SandboxId) {
        self.hand.release(id);
    }
}

impl HandSandbox {
    /// Waits for the agent, begins a conversation (or takes up the one that is named) and gives it a prompt.
    pub async fn prompt(&mut self, turn: u32, text: &str, resume: Option<AgentSessionId>) -> Result<()> {
        self.agent.start_session(self.conversation(resume)).await?;
        self.agent.prompt(TurnId(turn), &[ContentBlock::Text(text.to_owned())])?;
        Ok(())
    }

    /// Asks something new, and waits for the answer. Gives when the words reached the model, in milliseconds of the wall clock.
    pub async fn ask(&mut self, harness: &Harness) -> Result<i64> {
        let (text, mark) = stage::question();
        let from = harness.model().requests().len();
        self.prompt(1, &text, None).await?;
        let reached = stage::model_request(harness, from, &mark).await?;
        self.answered(1).await?;
        Ok(reached)
    }

    fn conversation(&self, resume: Option<AgentSessionId>) -> StartSession {
        StartSession { cwd: "/workspace".to_owned(), mcp_servers: vec![self.mcp.clone()], resume }
    }

    /// Waits until the agent has answered.
    pub async fn answered(&mut self, turn: u32) -> Result<()> {
        let wait = async {
            loop {
                for update in self.agent.next().await?.updates {
                    match update {
                        AgentUpdate::TurnEnded { turn: ended, .. } if ended == TurnId(turn) => return anyhow::Ok(()),
                        AgentUpdate::TurnFailed { turn: failed, .. } if failed == TurnId(turn) => bail!("the agent's turn failed"),
                        _ => {}
                    }
                }
            }
        };
        tokio::time::timeout(TURN_LIMIT, wait).await.context("the agent does not answer")?
    }
}

fn request(
    id: &SandboxId,
    image: &str,
    manifest: &RepositoryManifest,
    process: Process,
    environment: Vec<(String, String)>,
) -> Result<StartSandbox> {
    let image = ImageRef::parse(image)?;
    Ok(StartSandbox { id: id.clone(), image, limits: manifest.limits, process, environment, labels: Vec::new() })
}

fn gateway_url() -> String {
    format!("http://{GATEWAY_HOST}:{PORT}")
}

fn token_text(token: &longshore_gateway::SandboxToken) -> String {
    token.expose().to_owned()
}

/// What the service gives to a build's container and to a session's.
fn variables(token: &str) -> Vec<(String, String)> {
    let url = gateway_url();
    let proxy = format!("http://sandbox:{token}@{GATEWAY_HOST}:{PORT}");
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("sandbox:{token}"));
    let mut variables = HashMap::from([
        ("LONGSHORE_GATEWAY", url.clone()),
        ("LONGSHORE_TOKEN", token.to_owned()),
        ("GIT_CONFIG_COUNT", "2".to_owned()),
        ("GIT_CONFIG_KEY_0", format!("url.{url}/git/.insteadOf")),
        ("GIT_CONFIG_VALUE_0", "https://github.com/".to_owned()),
        ("GIT_CONFIG_KEY_1", format!("http.{url}/.extraHeader")),
        ("GIT_CONFIG_VALUE_1", format!("Authorization: Basic {basic}")),
        ("GIT_TERMINAL_PROMPT", "0".to_owned()),
    ]);
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        variables.insert(name, proxy.clone());
    }
    for name in ["no_proxy", "NO_PROXY"] {
        variables.insert(name, format!("{GATEWAY_HOST},localhost,127.0.0.1,::1"));
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
