//! Where the gateway leads to, and how much it lets through.

use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

/// All that the gateway is configured with. [`GatewayConfig::new`] fills in the limits.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The OpenAI-compatible provider behind `/llm/v1/…`. Without one, those routes answer 404.
    pub openai: Option<LlmUpstream>,
    /// The provider behind `/llm/anthropic/v1/messages`.
    pub anthropic: Option<LlmUpstream>,
    pub git: GitUpstream,
    pub proxy: ProxyPolicy,
    pub limits: Limits,
    /// The names by which sandboxes call the gateway itself: a request for one of them that comes as a proxy request is served here.
    pub own_names: Vec<String>,
}

impl GatewayConfig {
    pub fn new(git: GitUpstream) -> Self {
        Self {
            openai: None,
            anthropic: None,
            git,
            proxy: ProxyPolicy::default(),
            limits: Limits::default(),
            own_names: vec!["gateway.longshore".to_owned()],
        }
    }
}

/// A model provider.
#[derive(Debug, Clone)]
pub struct LlmUpstream {
    /// With the version: `https://api.openai.com/v1`, `https://api.anthropic.com/v1`.
    pub base_url: Url,
    /// None for a model server that asks for no key.
    pub api_key: Option<SecretString>,
}

/// Where the repositories are.
#[derive(Debug, Clone)]
pub struct GitUpstream {
    /// `https://github.com`, for instance; `/<owner>/<name>.git/…` is put behind it.
    pub base_url: Url,
}

/// What the forward proxy may connect to beyond the passes' rules.
#[derive(Debug, Clone, Default)]
pub struct ProxyPolicy {
    /// Ranges that are connected to although they are private or reserved (a package mirror in the operator's own network). Each host must
    /// still be named by the sandbox's egress.
    pub allow_private: Vec<IpNet>,
}

/// Sizes in bytes, times per step.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A model request's body.
    pub llm_request: usize,
    /// A push: commands and pack, unpacked from any transfer encoding.
    pub push: u64,
    /// The negotiation of a fetch.
    pub fetch_request: u64,
    /// An MCP message.
    pub mcp_request: usize,
    /// A question of the agent's hook.
    pub hook_request: usize,
    /// Requests and tunnels that one sandbox may have open at once.
    pub open_per_sandbox: usize,
    /// Connections that one address may have open at once, known or not.
    pub connections_per_address: usize,
    /// For a request's head, and for how long a kept-alive connection may wait for its next request.
    pub header: Duration,
    /// To reach an upstream.
    pub connect: Duration,
    /// For a model provider's first byte.
    pub llm_first_byte: Duration,
    /// Silence in the middle of a model provider's answer.
    pub llm_stall: Duration,
    /// For the repositories' host's answer, from the request's first byte: a push's whole upload lies in it.
    pub git_answer: Duration,
    /// Silence in the middle of a body, either way.
    pub stall: Duration,
    /// Silence in a tunnel.
    pub tunnel_idle: Duration,
    /// For one tool call; MCP clients commonly give up after 60 s.
    pub tool_call: Duration,
    /// For one answer to the agent's hook, which then asks again.
    pub hook_wait: Duration,
    /// For open requests when the service shuts down.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            llm_request: 32 * 1024 * 1024,
            push: 512 * MIB,
            fetch_request: 32 * MIB,
            mcp_request: 4 * 1024 * 1024,
            hook_request: 4 * 1024 * 1024,
            open_per_sandbox: 256,
            connections_per_address: 512,
            header: Duration::from_secs(75),
            connect: Duration::from_secs(10),
            llm_first_byte: Duration::from_secs(600),
            llm_stall: Duration::from_secs(300),
            git_answer: Duration::from_secs(1800),
            stall: Duration::from_secs(300),
            tunnel_idle: Duration::from_secs(300),
            tool_call: Duration::from_secs(55),
            hook_wait: Duration::from_secs(25),
            drain: Duration::from_secs(10),
        }
    }
}
