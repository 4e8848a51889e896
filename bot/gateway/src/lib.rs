#![doc = include_str!("../README.md")]

mod body;
mod config;
mod door;
mod gateway;
mod git;
mod llm;
mod mcp;
mod parts;
mod pass;
mod passes;
mod proxy;

pub use config::{GatewayConfig, GitUpstream, Limits, LlmUpstream, ProxyPolicy};
pub use gateway::{Gateway, GatewayError, GatewayParts};
pub use parts::{
    Access, CredentialError, GitCredentials, LlmBudget, LlmEvent, LlmEventKind, LlmObserver, LlmOutcome, LlmUsage, Spending, ToolResult,
    ToolSpec, Tools, Unlimited,
};
pub use pass::{Doorkeeper, LlmRight, Pass, PushRule, SandboxToken, ToolRight};
pub use passes::Passes;
pub use proxy::{EgressRule, InvalidEgress};
// The types of the public API that are not ours.
pub use ipnet::IpNet;
pub use secrecy::{ExposeSecret, SecretString};
