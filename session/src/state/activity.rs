//! What a session is doing, and for which prompts.

use serde::{Deserialize, Serialize};

use crate::{Prompt, SandboxId, SlackUserId, TakenFile, TurnId, TurnOutcome};

/// What the session is doing now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Activity {
    Idle,
    /// A sandbox is being found, started and synced.
    Preparing {
        turn: TurnId,
        prompt: Prompt,
        inserted: Vec<Inserted>,
    },
    /// The agent has the prompt.
    Working {
        turn: TurnId,
        prompt: Prompt,
        inserted: Vec<Inserted>,
        sandbox: SandboxId,
    },
    /// Somebody pressed Stop; the agent has been told.
    Stopping {
        turn: TurnId,
        prompt: Prompt,
        inserted: Vec<Inserted>,
        sandbox: SandboxId,
        by: SlackUserId,
    },
    /// The agent is done; its work is being committed, pushed and told.
    Finishing {
        turn: TurnId,
        prompt: Prompt,
        inserted: Vec<Inserted>,
        outcome: TurnOutcome,
    },
}

/// A prompt that was put into a turn which another prompt had begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inserted {
    pub prompt: Prompt,
    pub way: Way,
}

/// How an inserted prompt comes to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Way {
    /// Together with the turn's own prompt, which the agent did not have yet. It came without files.
    WithTheFirst,
    /// After it. The agent has not been given it yet.
    Next,
    /// After it, and it has been given to the agent (or is, in this moment).
    Handed {
        /// The commit that the sandbox stood at then.
        head: Option<String>,
        files: Vec<TakenFile>,
    },
}

impl Activity {
    pub fn turn(&self) -> Option<TurnId> {
        match self {
            Activity::Idle => None,
            Activity::Preparing { turn, .. }
            | Activity::Working { turn, .. }
            | Activity::Stopping { turn, .. }
            | Activity::Finishing { turn, .. } => Some(*turn),
        }
    }

    pub fn prompt(&self) -> Option<&Prompt> {
        match self {
            Activity::Idle => None,
            Activity::Preparing { prompt, .. }
            | Activity::Working { prompt, .. }
            | Activity::Stopping { prompt, .. }
            | Activity::Finishing { prompt, .. } => Some(prompt),
        }
    }

    /// What was put into the running turn beside its own prompt, oldest first.
    pub fn inserted(&self) -> &[Inserted] {
        match self {
            Activity::Idle => &[],
            Activity::Preparing { inserted, .. }
            | Activity::Working { inserted, .. }
            | Activity::Stopping { inserted, .. }
            | Activity::Finishing { inserted, .. } => inserted,
        }
    }

    pub(super) fn inserted_mut(&mut self) -> Option<&mut Vec<Inserted>> {
        match self {
            Activity::Idle => None,
            Activity::Preparing { inserted, .. }
            | Activity::Working { inserted, .. }
            | Activity::Stopping { inserted, .. }
            | Activity::Finishing { inserted, .. } => Some(inserted),
        }
    }
}
