#![doc = include_str!("../README.md")]

mod clock;
mod event;
mod faults;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod ids;
mod json;
mod ledger;
mod repository;
mod state;
mod store;
mod tool_rules;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use event::{
    AgentActivity, AnswerKind, CheckEnd, CheckRecord, Event, FallBack, FileFate, FileKind, Memory, ModelHindrance, ModelUse, Phase,
    PlanEntry, PlanStatus, Prompt, PromptFile, PullRequestEnd, PullRequestRef, Question, Said, SandboxOrigin, SavedWork, TakenFile,
    ToolResult, ToolRuling, TurnFailure, TurnOutcome, Unread,
};
pub use faults::{FAULT_POINTS, FaultPoint, is_fault_point};
pub use ids::{
    ChannelId, InvalidId, MessageTs, Person, PromptId, QuestionId, RepoName, SandboxId, SessionId, SlackEventId, SlackUserId, TeamId,
    ThreadKey, TurnId,
};
pub use json::has_more_values_than;
pub use ledger::{LedgerEntry, LedgerStanding, OVERDUE_AFTER, Overdue, SentBy, final_key, final_key_of_ask};
pub use repository::{
    BuildSecret, CheckRecipe, ImageRecipe, ManifestError, PoolRecipe, RepositoryManifest, RepositoryProfile, SandboxLimits, Service,
};
pub use state::{
    Activity, Checkout, CleanUp, Command, Decision, Effect, Inserted, Moved, Rejection, SessionState, Waiting, Way, Which, Writes,
};
pub use store::{
    AgentCursor, Append, Ask, AskState, Asked, BadImage, BuildEnd, BuildRecord, BuildReport, BuildStepTook, CopiedDatabases, Delivered,
    Delivery, DeliveryKind, EarlierImage, ImageRecord, InboxDepth, InboxRow, KnownTurns, Ledger, Lesson, MovedSession, OutboxDraft,
    OutboxLane, OutboxOwner, OutboxRow, PersonDefaults, Pick, PoolClaim, PoolReady, PoolRecord, PullRequestStyle, Records, RetiredImage,
    SandboxRecord, Sending, SentMessage, SessionRecord, SnapshotFacts, SnapshotRecord, StorageHealth, Store, StoreError, StoredEvent, Work,
    check_database, prepare_restored,
};
pub use tool_rules::ToolRule;

/// What the macros [`fault_point!`] and [`fault_without!`] become.
#[cfg(feature = "faults")]
#[doc(hidden)]
pub mod fault {
    pub use crate::faults::{is_without, reached, reached_in_log};
}
