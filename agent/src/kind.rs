//! Which agents there are, and how each is started.

use serde::{Deserialize, Serialize};

use crate::opencode;

/// An agent that speaks the Agent Client Protocol. The others that are known to fit are added here as they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    #[default]
    OpenCode,
}

/// Whether the model can look at pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ModelSight {
    #[default]
    Images,
    TextOnly,
}

/// What any agent needs to know to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSettings {
    /// Such as `http://gateway.longshore:7353`, without a slash at its end.
    pub gateway_url: String,
    /// The model's name as the gateway knows it.
    pub model: String,
    /// Others that a conversation may be given with [`crate::Agent::use_model`].
    pub other_models: Vec<String>,
    /// For titles and summaries.
    pub small_model: String,
    /// Tokens that the model's context holds, and that one answer may have.
    pub context_tokens: u32,
    pub output_tokens: u32,
    pub sight: ModelSight,
    /// The variable that holds the sandbox's own token.
    pub token_variable: String,
    /// The sandbox user's home: the agent keeps its conversation there, so it must be a part of snapshots.
    pub home: String,
    /// The checkout.
    pub workspace: String,
    /// What the agent is told about its place and duties.
    pub instructions: String,
}

impl LaunchSettings {
    /// Settings for the sandbox as it is built here.
    pub fn new(gateway_url: impl Into<String>, model: impl Into<String>, small_model: impl Into<String>) -> Self {
        Self {
            gateway_url: gateway_url.into(),
            model: model.into(),
            other_models: Vec::new(),
            small_model: small_model.into(),
            context_tokens: 200_000,
            output_tokens: 32_000,
            sight: ModelSight::default(),
            token_variable: "LONGSHORE_TOKEN".to_owned(),
            home: "/home/agent".to_owned(),
            workspace: "/workspace".to_owned(),
            instructions: crate::WORKING_INSTRUCTIONS.to_owned(),
        }
    }
}

/// How an agent's process is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments. Hold no secret.
    pub command: Vec<String>,
    /// Variables, to be set beside the sandbox's own. Hold no secret.
    pub environment: Vec<(String, String)>,
}

impl AgentKind {
    pub fn launch(self, settings: &LaunchSettings) -> Launch {
        match self {
            Self::OpenCode => Launch { command: opencode::command(settings), environment: opencode::environment(settings) },
        }
    }

    /// What the agent calls a model that it was launched with.
    pub fn model_id(self, model: &str) -> String {
        match self {
            Self::OpenCode => opencode::model_id(model),
        }
    }

    /// The model requests that [`crate::Agent::prime`] brings about.
    pub fn priming_requests(self) -> u32 {
        match self {
            // The answer, and a title for the conversation, which nobody waits for.
            Self::OpenCode => 2,
        }
    }
}
