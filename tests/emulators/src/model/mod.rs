#![doc = include_str!("README.md")]

mod anthropic;
mod candidates;
mod catalogue;
mod classify;
mod conversation;
mod error;
mod fault;
mod log;
mod mend;
mod openai;
mod plain;
mod play;
mod reply;
mod schema;
mod script;
mod server;
mod setup;
mod words;

pub use catalogue::{Catalogue, CatalogueError, Defect, FileEdit, FollowUp, SampleRepository};
pub use conversation::{CallKind, Conversation, Exchange, Message, PromptView, Tool, ToolCall, Vendor};
pub use fault::{Fault, Pace};
pub use log::{Answer, RecordedRequest};
pub use mend::SCRIPTED_NOTICE;
pub use script::{Script, ScriptStep};
pub use setup::{DEMO_API_KEY, ModelEmulator, ModelEmulatorError, ModelHandle, ModelSetup};
