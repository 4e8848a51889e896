//! What the service gives to the gateway: where credentials come from, what the tools do, who hears of model requests.

use std::time::Duration;

use futures_util::future::BoxFuture;
use longshore_session::{RepoName, SandboxId};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::Pass;

/// What a git credential is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    Write,
}

/// Why there is no credential. The text reaches the agent through git, so it says nothing that a sandbox may not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The GitHub App is not installed on the repository, or may not do this there. Asking again does not help.
    #[error("{0}")]
    Denied(String),
    /// GitHub cannot be asked now. Asking again may help.
    #[error("{0}")]
    Unavailable(String),
}

/// Gives short-lived tokens for one repository (a GitHub App's installation tokens). The gateway sends one upstream and forgets it: whoever
/// implements this may keep it while it lives.
pub trait GitCredentials: Send + Sync {
    fn token<'a>(&'a self, repo: &'a RepoName, access: Access) -> BoxFuture<'a, Result<SecretString, CredentialError>>;

    /// The repositories' host did not take the token that was given last (revoked, or the repository is out of its reach): the next request
    /// asks for a token, and is not to be given the same.
    fn refused(&self, _repo: &RepoName, _access: Access) {}
}

/// A tool as the agent sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    pub name: String,
    /// When to use it and what comes of it: this is all that the agent knows.
    pub description: String,
    /// A JSON schema of type `object`.
    pub input_schema: Value,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    pub text: String,
    /// The tool ran and failed; the text says how, for the agent to act on.
    pub is_error: bool,
}

impl ToolResult {
    pub fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: false }
    }

    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: true }
    }
}

/// The tools that the agent is offered over MCP.
pub trait Tools: Send + Sync {
    fn list(&self, pass: &Pass) -> Vec<ToolSpec>;

    /// Called only with a name that `list` gave and an object as arguments (whether they fit the schema is for the tool to check). Runs to its end
    /// even when the agent hangs up, and may be called again then: it must have no second effect.
    fn call<'a>(&'a self, pass: &'a Pass, name: &'a str, arguments: Value) -> BoxFuture<'a, ToolResult>;
}

/// A tool call that the agent is about to make, or has made, in its own names.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    pub tool: String,
    /// Unique within the agent's conversation.
    pub call: String,
    /// The agent's conversation: its own, or a subagent's.
    pub conversation: String,
    /// As the agent wanted them, before and after the call. Long texts are cut.
    pub arguments: Map<String, Value>,
    /// The arguments that were cut, as paths with dots.
    pub cut: Vec<String>,
}

/// Tools that the agent need not ask about for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freely {
    pub tools: Vec<String>,
    pub during: Duration,
}

/// What becomes of a tool call.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Allow {
        /// These arguments take the place of those of the same name.
        changed: Map<String, Value>,
        /// Whether its outcome is to be told to [`ToolGate::after`].
        report: bool,
        freely: Option<Freely>,
    },
    /// The tool fails with this reason, and the agent goes on.
    Deny { reason: String },
    /// Nothing is decided yet: the agent asks again.
    Wait,
}

impl Verdict {
    /// The call goes on as it is.
    pub fn allow() -> Self {
        Self::Allow { changed: Map::new(), report: false, freely: None }
    }
}

/// Asked by the agent's hook around each tool call. The agent cooperates, and does what it is told; what protects is what a [`Pass`] allows.
pub trait ToolGate: Send + Sync {
    /// May take as long as it likes: the gateway has the agent ask again meanwhile, so it is called again for the same call.
    fn before<'a>(&'a self, pass: &'a Pass, call: ToolCall) -> BoxFuture<'a, Verdict>;

    /// What the agent is told beside the tool's own result.
    fn after<'a>(&'a self, pass: &'a Pass, call: ToolCall) -> BoxFuture<'a, Option<String>>;
}

/// A gate that stands open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl ToolGate for Open {
    fn before<'a>(&'a self, _: &'a Pass, _: ToolCall) -> BoxFuture<'a, Verdict> {
        Box::pin(async { Verdict::allow() })
    }

    fn after<'a>(&'a self, _: &'a Pass, _: ToolCall) -> BoxFuture<'a, Option<String>> {
        Box::pin(async { None })
    }
}

/// One model request of one sandbox, in three events or (when nothing came back) two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmEvent {
    pub sandbox: SandboxId,
    /// Unique in this process: ties the events of one request together.
    pub request: u64,
    pub kind: LlmEventKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LlmEventKind {
    /// Sent upstream from here on.
    Began { model: Option<String> },
    /// The provider's first token (text, reasoning or tool call) came through. `after` counts from `Began`.
    FirstToken { after: Duration },
    /// Always the last, also when the agent hung up.
    Ended {
        /// What the agent got.
        status: u16,
        /// As the provider names it, else as it was asked for.
        model: Option<String>,
        /// `None` where the provider told nothing.
        usage: Option<LlmUsage>,
        outcome: LlmOutcome,
        took: Duration,
    },
    /// The gateway itself answered, for [`crate::LlmRight::Priming`]. Such a request has no other event.
    Primed { model: Option<String> },
}

/// How the answer's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LlmOutcome {
    /// It came to its end (which may be an error's text: see the status).
    Complete,
    /// The agent hung up.
    Abandoned,
    /// The provider could not be reached, broke off, or said nothing for too long.
    Broken,
}

/// Tokens as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LlmUsage {
    /// All input, cached included (also where the provider counts those apart).
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Input that was read from the provider's cache.
    pub cached_input_tokens: u64,
}

/// Hears of every model request.
pub trait LlmObserver: Send + Sync {
    /// Called on the request's way: must not block (hand it to a bounded channel, drop what does not fit).
    fn observe(&self, event: LlmEvent);
}

/// Whether a sandbox may still spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spending {
    Allowed,
    /// Answered with 402, which ends the agent's turn with this message.
    Spent {
        message: String,
    },
}

/// Asked before each model request; must not block.
pub trait LlmBudget: Send + Sync {
    fn spending(&self, pass: &Pass) -> Spending;
}

/// No limit on what a sandbox spends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl LlmBudget for Unlimited {
    fn spending(&self, _: &Pass) -> Spending {
        Spending::Allowed
    }
}
