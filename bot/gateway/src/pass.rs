//! What a sandbox may do, and the token that it shows for it.

use std::{fmt, net::IpAddr, sync::Arc};

use longshore_session::{RepoName, SandboxId, SessionId};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::{EgressRule, RegistryRight};

/// The secret by which one sandbox is known. Of no use outside that sandbox: it is bound to the sandbox's address and ends with it.
#[derive(Clone)]
pub struct SandboxToken(SecretString);

impl SandboxToken {
    /// A new token: 256 random bits in hexadecimal, with a prefix by which secret scanners can know it.
    pub fn random() -> Self {
        let mut bytes = [0u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        let hex = bytes.iter().fold(String::from("lsx_"), |mut text, byte| {
            use fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self(hex.into())
    }

    /// A token as it came over the wire or out of a sandbox's environment file. Any text is a token; few are known.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The token itself, for the sandbox's environment file and nowhere else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }
}

impl fmt::Debug for SandboxToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxToken(…)")
    }
}

/// All that one sandbox may do through the gateway. Decided outside of the sandbox, read anew for every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    pub sandbox: SandboxId,
    /// Whose it is, for the log.
    pub session: Option<SessionId>,
    /// Repositories that may be fetched. The one of `push` may be fetched as well, whether it is listed or not.
    pub fetch: Vec<RepoName>,
    pub push: Option<PushRule>,
    /// What the forward proxy lets out.
    pub egress: Vec<EgressRule>,
    /// Private package registries that may be read.
    pub registries: Vec<RegistryRight>,
    pub llm: LlmRight,
    pub tools: ToolRight,
}

impl Pass {
    /// A pass that allows nothing yet; fill in what the sandbox is for.
    pub fn nothing(sandbox: SandboxId) -> Self {
        Self {
            sandbox,
            session: None,
            fetch: Vec::new(),
            push: None,
            egress: Vec::new(),
            registries: Vec::new(),
            llm: LlmRight::None,
            tools: ToolRight::None,
        }
    }

    /// GitHub's names know no case; the pass's own spelling is what goes upstream.
    pub(crate) fn may_fetch(&self, owner: &str, name: &str) -> Option<&RepoName> {
        self.fetch.iter().chain(self.push.as_ref().map(|rule| &rule.repo)).find(|repo| is_named(repo, owner, name))
    }

    pub(crate) fn may_push(&self, owner: &str, name: &str) -> Option<&PushRule> {
        self.push.as_ref().filter(|rule| is_named(&rule.repo, owner, name))
    }
}

fn is_named(repo: &RepoName, owner: &str, name: &str) -> bool {
    repo.owner().eq_ignore_ascii_case(owner) && repo.name().eq_ignore_ascii_case(name)
}

/// The one branch that a sandbox may create and update. Deleting it is not allowed, nor is any tag or other ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRule {
    pub repo: RepoName,
    /// Without `refs/heads/`.
    pub branch: String,
}

impl PushRule {
    pub(crate) fn git_ref(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }
}

/// Which models a sandbox may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LlmRight {
    /// Image builds, for instance.
    None,
    AnyModel,
    Only(Vec<String>),
    /// Every model answers, but it is the gateway that does: nothing goes upstream and nothing is spent. For an agent that is warmed up before it
    /// has anything to do.
    Priming,
}

/// Whether a sandbox is offered tools over MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolRight {
    None,
    Offered,
}

/// Says who stands at the door. [`crate::Passes`] is one.
pub trait Doorkeeper: Send + Sync {
    /// The pass that belongs to the token, when it is shown from the address that it is bound to. Called once per request: no blocking.
    fn admit(&self, token: &SandboxToken, peer: IpAddr) -> Option<Arc<Pass>>;

    /// The proxy did not let the sandbox out to this target, because its egress does not name it. For whoever proposes what it should name.
    fn not_let_out(&self, _pass: &Pass, _host: &str, _port: u16) {}
}
