//! What happened in a session, in the order in which it happened. The log is the truth; the state is what it adds up to.

use serde::{Deserialize, Serialize};

use crate::{MessageTs, Person, PromptId, QuestionId, RepoName, SandboxId, SessionId, SlackUserId, Timestamp, TurnId};

/// What a person asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub id: PromptId,
    pub author: Person,
    pub text: String,
    /// What people said in the thread before it, oldest first, that the agent has not been told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Said>,
    /// What came with it, in Slack's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PromptFile>,
    /// The Slack message that holds it: an edit of that message is an edit of the prompt.
    pub post: MessageTs,
    /// When the service received it.
    pub received: Timestamp,
}

/// A file that came with a prompt. It stays in Slack; what is kept here is where to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptFile {
    /// Slack's id of it.
    pub id: String,
    /// As the person named it: any text at all.
    pub name: String,
    pub mimetype: String,
    /// In bytes, where Slack says so.
    pub size: Option<u64>,
    /// Readable with the bot's token only. None where Slack hides the file until it is asked for it.
    pub url: Option<String>,
}

/// A prompt's file, as a turn has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFile {
    /// As the person named it.
    pub name: String,
    pub fate: FileFate,
}

/// What became of a prompt's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum FileFate {
    /// It is in the sandbox.
    Placed {
        path: String,
        bytes: u64,
        kind: FileKind,
    },
    Unread {
        why: Unread,
    },
}

/// What a file holds, by its first bytes: what its sender says of it may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    Png,
    Jpeg,
    Gif,
    Webp,
    Other,
}

/// Why a file did not get into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Unread {
    TooLarge {
        limit_mb: u64,
    },
    /// More files came than a prompt may have.
    TooMany {
        limit: u64,
    },
    /// With those before it, it would be more than a prompt may have in all.
    TooMuch {
        limit_mb: u64,
    },
    /// A link to a file on another service, which the bot cannot open.
    Elsewhere,
    /// Deleted, or hidden from the bot.
    Gone,
    /// The Slack app lacks the permission to read files.
    NotAllowed,
    /// Slack did not give it, although it was asked several times.
    Failed,
    /// It could not be written in the sandbox.
    Unwritten,
}

/// Something that a person said in the thread, to other people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// As Slack shows the person.
    pub name: String,
    pub text: String,
}

/// What the agent wants to know of people before it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub id: QuestionId,
    /// In standard markdown.
    pub text: String,
    /// What may be picked; words of one's own are always an answer too.
    #[serde(default)]
    pub options: Vec<String>,
}

/// How a question was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum AnswerKind {
    /// By the button of this option.
    Picked { option: usize },
    /// By a reply in the thread.
    Replied,
}

/// Why a turn did not end as it should. The words that a person reads are made of it in `longshore-slack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TurnFailure {
    /// No image has been built yet, or it is gone.
    NoImage {
        detail: String,
    },
    /// The sandbox engine does not answer.
    EngineUnavailable,
    /// The machine's or the sandbox's disk is full.
    DiskFull,
    /// The sandbox could not be started.
    SandboxStart {
        detail: String,
    },
    /// The base branch could not be fetched.
    Sync {
        detail: String,
    },
    /// GitHub does not answer, or wants to be left alone, for longer than is waited for.
    GitHubAway {
        detail: String,
    },
    /// The repository cannot be reached any more.
    RepositoryGone,
    SandboxOutOfMemory {
        limit_mb: u32,
    },
    SandboxKilled {
        detail: String,
    },
    /// The agent's process ended or never answered.
    AgentCrashed {
        detail: String,
    },
    /// The agent said nothing for its time limit.
    AgentSilent {
        seconds: u64,
    },
    /// The conversation is longer than the model takes, and the agent could not shorten it.
    ConversationTooLong {
        detail: String,
    },
    /// The model gave no answer for as long as the agent may be silent.
    ModelAway {
        hindrance: ModelHindrance,
        seconds: u64,
    },
    /// The turn reached its time limit.
    TurnTimeout {
        seconds: u64,
    },
    /// The model's provider refused the request.
    ModelRefused {
        detail: String,
    },
    /// The work is done, but could not be pushed.
    Push {
        detail: String,
    },
    /// The session's own record was damaged and put together again from its thread: nobody knows how far the turn had come.
    RecordLost,
    /// A fault of our own; the log has the cause under the session's id.
    Internal,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TurnOutcome {
    Done,
    Stopped { by: SlackUserId },
    Failed { failure: TurnFailure },
}

/// Where an entry of the agent's plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    Pending,
    InProgress,
    Completed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    pub text: String,
    pub status: PlanStatus,
}

/// What the agent did, as far as the session keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentActivity {
    /// A piece of its answer, to be appended to the pieces before.
    Text {
        delta: String,
    },
    /// What comes next is not a piece of the answer before.
    MessageBegan,
    Thought {
        delta: String,
    },
    ToolStarted {
        call: String,
        words: String,
    },
    ToolEnded {
        call: String,
        words: String,
        result: ToolResult,
    },
    Plan {
        entries: Vec<PlanEntry>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolResult {
    Succeeded,
    Failed,
}

/// What the repository's rules made of a tool call of the agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ruling", rename_all = "snake_case")]
pub enum ToolRuling {
    /// It failed with this reason.
    Denied { reason: String },
    /// Another command was run.
    Changed { from: String, to: String },
    /// The agent was told this beside the result.
    Noted { text: String },
}

/// Where a turn's sandbox came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum SandboxOrigin {
    /// The turn before left it.
    Kept,
    /// From the snapshot of this time, which was taken after the turn `through`.
    Restored { taken: Timestamp, through: TurnId, memory: Memory },
    /// It waited in the warm pool.
    Claimed,
    /// New, from the repository's image.
    #[default]
    Started,
    /// The same, since the snapshot of this time could not be used.
    Rebuilt { taken: Timestamp },
}

/// Whether the agent of a restored sandbox could take up its conversation there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    Whole,
    Lost,
}

/// Why a turn works on an image from before the newest one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum FallBack {
    /// The newest one was found unable to start a session, and is not used any more.
    RolledBack {
        /// That the newest one was built from.
        commit: Option<String>,
        detail: String,
    },
    /// The engine lost the newest one, and the registry cannot be asked for it.
    RegistryAway,
    /// Engine and registry lost the newest one; it is being built again.
    Lost,
}

/// The session's branch after a turn's work was committed and pushed, against its base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWork {
    pub commit: String,
    /// Commits that the base has not.
    pub ahead: u32,
    pub files: u32,
    pub insertions: u32,
    pub deletions: u32,
}

/// One model request of the agent's, as the provider counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUse {
    pub model: String,
    /// Tokens, cached ones included.
    pub input: u64,
    pub output: u64,
    pub cached: u64,
    /// Millionths of a US dollar. None where the model has no price.
    pub cost_micros: Option<u64>,
}

/// How the repository's check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CheckEnd {
    Exited {
        code: i32,
    },
    /// It was killed at its limit.
    TimedOut {
        seconds: u64,
    },
    OutOfMemory,
    /// Nothing is known about the work.
    NotRun {
        why: String,
    },
}

/// The repository's check, run by the service on a pushed commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    pub command: String,
    pub commit: String,
    pub end: CheckEnd,
    pub took_ms: u64,
    /// The last lines of what it printed, where it did not pass.
    pub tail: String,
}

impl CheckRecord {
    pub fn passed(&self) -> bool {
        self.end == CheckEnd::Exited { code: 0 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestRef {
    pub number: u64,
    pub url: String,
    pub title: String,
}

/// What an agent's model request met, which the agent sends again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelHindrance {
    /// The provider wants to be asked less (429).
    OverLimit,
    /// The provider failed, or could not be reached, with this status.
    Failing { status: u16 },
    /// The answer ended in the middle, or nothing more came of it.
    BrokeOff,
}

/// How a pull request came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestEnd {
    Merged,
    Closed,
}

/// The steps from the event's receipt to the final reply whose time is kept, in their usual order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Acknowledged,
    Classified,
    SandboxReady,
    Synced,
    PromptAccepted,
    FirstModelRequest,
    FirstToken,
    TurnEnded,
    PrOpened,
    FinalReply,
}

/// One entry of a session's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    PromptAccepted {
        prompt: Prompt,
    },
    PromptEdited {
        prompt: PromptId,
        text: String,
    },
    PromptWithdrawn {
        prompt: PromptId,
        /// None where its message was deleted, since Slack does not say by whom.
        #[serde(default)]
        by: Option<SlackUserId>,
    },
    /// A prompt that does not wait for the running turn's end but joins it.
    PromptInserted {
        turn: TurnId,
        prompt: PromptId,
    },
    /// From here on the inserted prompt goes to the agent.
    PromptHanded {
        turn: TurnId,
        prompt: PromptId,
        /// The commit that the sandbox stood at: what comes after it is the inserter's work, too. None where it could not be read.
        head: Option<String>,
        /// What came with it.
        #[serde(default)]
        files: Vec<TakenFile>,
    },
    /// The turn was over before the agent could take the inserted prompt, which is the next one now.
    PromptReturned {
        turn: TurnId,
        prompt: PromptId,
    },
    TurnStarted {
        turn: TurnId,
        prompt: PromptId,
    },
    /// The prompt's files were fetched, as far as that was possible.
    FilesTaken {
        turn: TurnId,
        files: Vec<TakenFile>,
    },
    /// The sandbox is there, in sync with its branch, and the agent was handed the prompt.
    TurnRunning {
        turn: TurnId,
        sandbox: SandboxId,
        #[serde(default)]
        origin: SandboxOrigin,
    },
    /// The sandbox was of no use, before its agent had the prompt: another one is being prepared.
    SandboxGivenUp {
        turn: TurnId,
        sandbox: SandboxId,
    },
    /// The turn's sandbox was not started from the newest image.
    FellBack {
        turn: TurnId,
        from: FallBack,
    },
    Agent {
        turn: TurnId,
        activity: AgentActivity,
    },
    /// The agent waits for its model, and asks it again by itself.
    ModelHindered {
        turn: TurnId,
        hindrance: ModelHindrance,
    },
    /// A rule of the repository's manifest had a word in a tool call.
    ToolRuled {
        turn: TurnId,
        /// The agent's conversation and its name for the call.
        call: String,
        tool: String,
        ruling: ToolRuling,
    },
    StopRequested {
        turn: TurnId,
        by: SlackUserId,
    },
    /// The agent is done with the turn (or lost); what it left is being committed, pushed and told.
    TurnFinishing {
        turn: TurnId,
        outcome: TurnOutcome,
    },
    /// What the turn left is committed and pushed.
    WorkSaved {
        turn: TurnId,
        work: SavedWork,
    },
    /// From here on files may lie about that are the check's and not the turn's.
    CheckStarted {
        turn: TurnId,
        commit: String,
    },
    CheckEnded {
        turn: TurnId,
        check: CheckRecord,
    },
    TurnEnded {
        turn: TurnId,
        outcome: TurnOutcome,
    },
    PullRequestOpened {
        pull_request: PullRequestRef,
    },
    /// The session's pull request is over: what the branch gets from now on is not in it.
    PullRequestEnded {
        number: u64,
        how: PullRequestEnd,
    },
    QuestionAsked {
        turn: TurnId,
        question: Question,
    },
    /// The prompt is the answer.
    QuestionAnswered {
        question: QuestionId,
        prompt: PromptId,
        by: SlackUserId,
        answer: AnswerKind,
    },
    /// Somebody stopped the session while it waited for the answer.
    QuestionDropped {
        question: QuestionId,
        by: SlackUserId,
    },
    ModelUsed {
        turn: TurnId,
        used: ModelUse,
    },
    /// Somebody said that this is the wrong repository: what ran is stopped, and it and what waited belong to another session from now on.
    Moved {
        to: SessionId,
        repo: RepoName,
        by: SlackUserId,
    },
    /// What a session that was moved had left (sandbox, branch, pull request) is dealt with.
    CleanedUp,
    /// When a phase of a turn was reached.
    PhaseReached {
        turn: TurnId,
        phase: Phase,
        at: Timestamp,
    },
}
