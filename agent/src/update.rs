//! What an agent says it does, read from one line of its output. Pure: the same line always means the same.

use std::{
    fmt,
    mem::{Discriminant, discriminant},
};

use longshore_session::TurnId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    describe::describe,
    scrub::{shorten, shorten_middle},
    wire::{Incoming, parse, prompted_turn},
};

/// Bytes of a title, a tool's input, a plan's entry, a failure's message.
const SHORT: usize = 500;
/// Bytes of a tool's output.
const OUTPUT: usize = 8 << 10;
/// Bytes of either side of a file's change.
const CHANGE: usize = 64 << 10;
const PLAN_ENTRIES: usize = 100;
/// Bytes that are said at once.
const WORDS: usize = 256 << 10;

/// A text of the agent's is not fit to be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an agent's ids are 1 to 1,024 printable ASCII characters")]
pub struct InvalidAgentId;

macro_rules! agent_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidAgentId> {
                let text = text.into();
                let valid = (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
                if valid { Ok(Self(text)) } else { Err(InvalidAgentId) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidAgentId;
            fn try_from(text: String) -> Result<Self, InvalidAgentId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

agent_id!(
    /// The agent's own name for its conversation; what `StartSession::resume` takes.
    AgentSessionId
);
agent_id!(
    /// One use of a tool, named by the agent (or its model). Unique within a turn at best.
    ToolCallId
);

/// One thing that the agent said or did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentUpdate {
    Text {
        delta: String,
    },
    /// What it says from here on is another message than the text before, which no tool followed: commonly, that was its summary of a conversation
    /// that it had to shorten.
    MessageBegan,
    Thought {
        delta: String,
    },
    /// Often without its input yet, which then comes with the first [`AgentUpdate::ToolUpdated`].
    ToolStarted(ToolCall),
    ToolUpdated(ToolProgress),
    /// The whole plan, in place of any earlier one.
    Plan {
        entries: Vec<PlanEntry>,
    },
    /// How full the model's context is, in tokens.
    Usage {
        context_used: u64,
        context_size: u64,
    },
    TurnEnded {
        turn: TurnId,
        stop: StopReason,
        usage: Option<TurnUsage>,
    },
    /// The agent or its model refused; the message is theirs.
    TurnFailed {
        turn: TurnId,
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    pub call: ToolCallId,
    pub kind: ToolKind,
    /// The tool's name at first (`bash`, `longshore_open_pull_request`), later often what it works on.
    pub title: String,
    /// What tells the most about the input: a path, a command, a pattern, an address.
    pub input: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolProgress {
    pub call: ToolCallId,
    pub status: ToolStatus,
    /// Given where the agent repeats it.
    pub kind: Option<ToolKind>,
    pub title: Option<String>,
    pub input: Option<String>,
    /// All output so far, its middle left out where it is long.
    pub output: Option<String>,
    /// A command can fail while the tool that ran it completes.
    pub exit_code: Option<i64>,
    /// With the completed update for a replaced part; with the running one for a file written whole.
    pub diff: Option<FileChange>,
}

/// Both sides are bounded, and may be only the part that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    pub path: String,
    /// `None` where the agent does not say what was there.
    pub old: Option<String>,
    pub new: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    Read,
    Edit,
    Delete,
    Move,
    Search,
    Execute,
    Think,
    Fetch,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    Pending,
    Running,
    Completed,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    pub text: String,
    pub status: PlanStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    Pending,
    InProgress,
    Completed,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    EndTurn,
    /// The model's answer was cut off by its length limit.
    MaxTokens,
    MaxTurnRequests,
    /// The model declined.
    Refusal,
    Cancelled,
    Other(String),
}

/// Tokens of the turn's last model request, as far as the agent knows them. What is billed is counted by the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnUsage {
    pub input: u64,
    pub output: u64,
}

impl AgentUpdate {
    /// What the agent is doing now, in plain words; `None` where this update starts nothing.
    pub fn doing(&self) -> Option<String> {
        match self {
            Self::ToolStarted(call) => Some(describe(call)),
            Self::ToolUpdated(progress) if progress.status == ToolStatus::Running => {
                let (kind, title) = (progress.kind?, progress.title.clone()?);
                let input = Some(progress.input.clone()?);
                Some(describe(&ToolCall { call: progress.call.clone(), kind, title, input }))
            }
            Self::ToolUpdated(_)
            | Self::Text { .. }
            | Self::MessageBegan
            | Self::Thought { .. }
            | Self::Plan { .. }
            | Self::Usage { .. }
            | Self::TurnEnded { .. }
            | Self::TurnFailed { .. } => None,
        }
    }
}

impl AgentUpdate {
    /// Whether this begins something that is stored by itself, where `last` came before it: words go on with words of their kind.
    pub(crate) fn is_piece_after(&self, last: Option<Discriminant<AgentUpdate>>) -> bool {
        match self {
            Self::Text { .. } | Self::Thought { .. } => last != Some(discriminant(self)),
            // It is not stored.
            Self::Usage { .. } => false,
            Self::MessageBegan
            | Self::ToolStarted(_)
            | Self::ToolUpdated(_)
            | Self::Plan { .. }
            | Self::TurnEnded { .. }
            | Self::TurnFailed { .. } => true,
        }
    }
}

/// What a line of the agent's output means: nothing, one thing, or several that belong together. Whose line it is (another session's, an
/// answer given twice) is not looked at.
pub fn interpret(line: &[u8]) -> Vec<AgentUpdate> {
    match parse(line) {
        Ok(Incoming::Notification { method, params }) if method == "session/update" => session_update(&params),
        Ok(Incoming::Answer { id, outcome }) => match prompted_turn(&id) {
            Some(turn) => vec![turn_end(turn, outcome.as_ref().map_err(|error| error.message.as_str()))],
            None => Vec::new(),
        },
        Ok(Incoming::Notification { .. } | Incoming::Request { .. }) | Err(_) => Vec::new(),
    }
}

pub(crate) fn turn_end(turn: TurnId, outcome: Result<&Value, &str>) -> AgentUpdate {
    match outcome {
        Ok(result) => AgentUpdate::TurnEnded { turn, stop: stop_reason(result), usage: turn_usage(result) },
        Err(message) => {
            // OpenCode wraps what the provider said.
            let message = message.strip_prefix("Internal error: ").unwrap_or(message);
            AgentUpdate::TurnFailed { turn, message: shorten(message, 4 * SHORT) }
        }
    }
}

fn stop_reason(result: &Value) -> StopReason {
    match text(result, "stopReason") {
        Some("end_turn") => StopReason::EndTurn,
        Some("max_tokens") => StopReason::MaxTokens,
        Some("max_turn_requests") => StopReason::MaxTurnRequests,
        Some("refusal") => StopReason::Refusal,
        Some("cancelled") => StopReason::Cancelled,
        other => StopReason::Other(shorten(other.unwrap_or("none given"), 100)),
    }
}

fn turn_usage(result: &Value) -> Option<TurnUsage> {
    let usage = result.get("usage")?;
    Some(TurnUsage { input: usage.get("inputTokens")?.as_u64()?, output: usage.get("outputTokens")?.as_u64()? })
}

pub(crate) fn session_update(params: &Value) -> Vec<AgentUpdate> {
    let Some(update) = params.get("update") else { return Vec::new() };
    let delta = || update.pointer("/content/text").and_then(Value::as_str).filter(|text| !text.is_empty()).map(|text| shorten(text, WORDS));
    match text(update, "sessionUpdate") {
        Some("agent_message_chunk") => delta().map(|delta| AgentUpdate::Text { delta }).into_iter().collect(),
        Some("agent_thought_chunk") => delta().map(|delta| AgentUpdate::Thought { delta }).into_iter().collect(),
        Some("tool_call") => tool_started(update),
        Some("tool_call_update") => tool_updated(update),
        Some("plan") => plan(update.get("entries")).into_iter().collect(),
        Some("usage_update") => usage(update).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn usage(update: &Value) -> Option<AgentUpdate> {
    Some(AgentUpdate::Usage { context_used: update.get("used")?.as_u64()?, context_size: update.get("size")?.as_u64()? })
}

fn tool_started(update: &Value) -> Vec<AgentUpdate> {
    let Some(call) = tool_call_id(update) else { return Vec::new() };
    let started = ToolCall {
        call,
        kind: tool_kind(update).unwrap_or(ToolKind::Other),
        title: title(update).unwrap_or_else(|| "a tool".to_owned()),
        input: input(update),
    };
    // Agents that report a short call with a single message put its end into it.
    let ended = matches!(tool_status(update), Some(ToolStatus::Completed | ToolStatus::Failed)).then(|| tool_progress(update)).flatten();
    let todos = todos(update);
    [AgentUpdate::ToolStarted(started)].into_iter().chain(ended.map(AgentUpdate::ToolUpdated)).chain(todos).collect()
}

fn tool_updated(update: &Value) -> Vec<AgentUpdate> {
    tool_progress(update).map(AgentUpdate::ToolUpdated).into_iter().chain(todos(update)).collect()
}

fn tool_progress(update: &Value) -> Option<ToolProgress> {
    Some(ToolProgress {
        call: tool_call_id(update)?,
        status: tool_status(update).unwrap_or(ToolStatus::Running),
        kind: tool_kind(update),
        title: title(update),
        input: input(update),
        output: output(update),
        exit_code: update.pointer("/rawOutput/metadata/exit").and_then(Value::as_i64),
        diff: diff(update),
    })
}

fn tool_call_id(update: &Value) -> Option<ToolCallId> {
    ToolCallId::parse(text(update, "toolCallId")?).ok()
}

fn title(update: &Value) -> Option<String> {
    text(update, "title").filter(|title| !title.is_empty()).map(|title| shorten(title, SHORT))
}

fn tool_kind(update: &Value) -> Option<ToolKind> {
    Some(match text(update, "kind")? {
        "read" => ToolKind::Read,
        "edit" => ToolKind::Edit,
        "delete" => ToolKind::Delete,
        "move" => ToolKind::Move,
        "search" => ToolKind::Search,
        "execute" => ToolKind::Execute,
        "think" => ToolKind::Think,
        "fetch" => ToolKind::Fetch,
        _ => ToolKind::Other,
    })
}

fn tool_status(update: &Value) -> Option<ToolStatus> {
    Some(match text(update, "status")? {
        "pending" => ToolStatus::Pending,
        "in_progress" => ToolStatus::Running,
        "completed" => ToolStatus::Completed,
        "failed" => ToolStatus::Failed,
        _ => return None,
    })
}

/// The first field that a person would name when asked what the tool works on. Agents spell them differently.
fn input(update: &Value) -> Option<String> {
    const TELLING: [&str; 12] =
        ["command", "filePath", "file_path", "path", "absolute_path", "pattern", "query", "url", "title", "text", "description", "name"];
    let raw = update.get("rawInput")?;
    let told = TELLING.iter().find_map(|field| match raw.get(field)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(words) => {
            let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
            words.map(|words| words.join(" "))
        }
        _ => None,
    })?;
    Some(shorten(&told, SHORT))
}

fn content(update: &Value) -> impl Iterator<Item = &Value> {
    update.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice).iter()
}

fn output(update: &Value) -> Option<String> {
    let texts: Vec<&str> = content(update).filter_map(|part| part.pointer("/content/text").and_then(Value::as_str)).collect();
    (!texts.is_empty()).then(|| shorten_middle(&texts.join("\n"), OUTPUT))
}

fn diff(update: &Value) -> Option<FileChange> {
    let told = content(update).find(|part| text(part, "type") == Some("diff")).and_then(|part| {
        Some(FileChange {
            path: shorten(text(part, "path")?, SHORT),
            old: text(part, "oldText").map(|old| shorten(old, CHANGE)),
            new: shorten(text(part, "newText")?, CHANGE),
        })
    });
    told.or_else(|| {
        // OpenCode's `write` carries no diff, only what it is going to write.
        let raw = update.get("rawInput").filter(|_| tool_kind(update) == Some(ToolKind::Edit))?;
        Some(FileChange { path: shorten(text(raw, "filePath")?, SHORT), old: None, new: shorten(text(raw, "content")?, CHANGE) })
    })
}

fn todos(update: &Value) -> Option<AgentUpdate> {
    plan(update.pointer("/rawInput/todos"))
}

fn plan(entries: Option<&Value>) -> Option<AgentUpdate> {
    let entry = |entry: &Value| {
        let status = match text(entry, "status") {
            Some("completed") => PlanStatus::Completed,
            Some("in_progress") => PlanStatus::InProgress,
            Some("cancelled") => PlanStatus::Cancelled,
            _ => PlanStatus::Pending,
        };
        Some(PlanEntry { text: shorten(text(entry, "content")?, SHORT), status })
    };
    let entries = entries?.as_array()?.iter().take(PLAN_ENTRIES).filter_map(entry).collect();
    Some(AgentUpdate::Plan { entries })
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

#[cfg(test)]
mod tests;
