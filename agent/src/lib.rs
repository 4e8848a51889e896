#![doc = include_str!("../README.md")]

mod agent;
mod carrier;
mod describe;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod kind;
pub mod opencode;
mod output;
mod scrub;
mod update;
mod wire;

pub use agent::{Agent, AgentError, AgentOutput, AgentSettings, InsertState, Permissions, PromptState, StartSession};
pub use carrier::{Carrier, CarrierError, Delivery};
pub use describe::describe;
pub use kind::{AgentKind, Launch, LaunchSettings, ModelSight};
pub use output::{Cursor, OutputError, OutputLimits};
pub use update::{
    AgentSessionId, AgentUpdate, FileChange, InvalidAgentId, PlanEntry, PlanStatus, StopReason, ToolCall, ToolCallId, ToolKind,
    ToolProgress, ToolStatus, TurnUsage, interpret,
};
pub use wire::{ContentBlock, McpServer};

/// What every agent is told about its place and its duties, whatever model it runs on.
pub const WORKING_INSTRUCTIONS: &str = include_str!("instructions.md");
