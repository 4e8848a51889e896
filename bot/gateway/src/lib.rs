#![doc = include_str!("../README.md")]

mod body;
mod config;
mod door;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gateway;
mod git;
mod hooks;
mod llm;
mod mcp;
mod parts;
mod pass;
mod passes;
mod proxy;
mod registry;

pub use config::{GatewayConfig, GitUpstream, Limits, LlmUpstream, ProxyPolicy};
pub use gateway::{Gateway, GatewayError, GatewayParts};
pub use parts::{
    Access, CredentialError, Freely, GitCredentials, LlmBudget, LlmEvent, LlmEventKind, LlmObserver, LlmOutcome, LlmUsage, Open, Spending,
    ToolCall, ToolGate, ToolResult, ToolSpec, Tools, Unlimited, Verdict,
};
pub use pass::{Doorkeeper, LlmRight, Pass, PushRule, SandboxToken, ToolRight};
pub use passes::Passes;
pub use proxy::{EgressRule, InvalidEgress};
pub use registry::{HeaderSecret, RegistryRight};
// The types of the public API that are not ours.
pub use ipnet::IpNet;
pub use secrecy::{ExposeSecret, SecretString};
