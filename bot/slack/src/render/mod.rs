//! Everything that the bot says, as pure functions from small structs to messages.
//!
//! Each message has an accessible text that says the same in words: it is what notifications show and what a screen reader reads.

mod agent;
mod answer;
mod assistant;
mod block;
mod card;
mod check;
mod cost;
mod detour;
pub mod examples;
mod failure;
mod fall_back;
mod files;
mod home;
mod moved;
mod notice;
mod picker;
mod question;
mod queue;
mod reply;
mod rest;
mod sessions;
mod shortcut;
mod waiting;
mod words;

pub use agent::{AgentHelp, AgentLink, AgentRepos, AgentUnknown, DiskLine, ImageLine, ImageState, Linked, PoolLine, Room};
pub use answer::Answer;
pub use assistant::{SuggestedPrompt, suggested_prompts};
pub use card::{CardPhase, PlanItem, PlanStatus, Rerouting, TurnCard};
pub use check::{CheckEnd, CheckResult, Verification};
pub use cost::Spent;
pub use detour::Detour;
pub use failure::failure_words;
pub use fall_back::fall_back_words;
pub use files::{UnreadFiles, file_comment, words as unread_words};
pub use home::{ClosedHomePage, HomePage};
pub use moved::{Leftover, MovedNotice, WrongRepository};
pub use notice::{ImageNotReady, NotAllowed, Notice, UnknownRepository};
pub use picker::{Candidate, PickerDone, RepositoryPicker};
pub use question::{AskedQuestion, ClosedQuestion, QuestionFate};
pub use queue::{QueuePlace, QueuedNotice};
pub use reply::{Covers, DiffStat, FinalReply, Outcome, PullRequestLink, ReceiptPhase};
pub use rest::{Continuation, Rest, Told};
pub use sessions::{AgentStatus, AgentStop, PullRequestLine, PullRequestStanding, SessionLine, SessionStage};
pub use shortcut::{ASK_ABOUT, AskAboutWindow, AskedAbout, ShortcutRefused};
pub use waiting::{WaitingLine, WaitingNotice};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message as `chat.postMessage` takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What notifications and screen readers get. Never empty.
    pub text: String,
    /// Block Kit, at most 50.
    pub blocks: Vec<Value>,
}

impl Message {
    /// Words alone, in Slack's markup. The words are ours: whatever comes from elsewhere must be escaped.
    fn of_words(text: String) -> Self {
        let blocks = vec![block::section("words", &text)];
        Self { text, blocks }
    }
}

#[cfg(test)]
mod limits;
#[cfg(test)]
mod tests;
