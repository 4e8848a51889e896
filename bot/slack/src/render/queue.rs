//! A prompt that came while a turn of its session runs.

use longshore_session::{PromptId, RepoName, SessionId, SlackUserId};
use serde_json::Value;

use super::{
    Message,
    block::{self, Style},
    words::line,
};
use crate::action::Action;

/// The message that says what becomes of a prompt which did not start at once. It is changed as that changes; its block ids stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedNotice {
    pub session: SessionId,
    pub prompt: PromptId,
    pub asker: SlackUserId,
    /// The prompt's own words.
    pub asked: String,
    pub waiting: QueuePlace,
}

/// Where such a prompt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuePlace {
    /// Place 1 is the next one.
    Waiting { place: usize },
    /// Its own turn has begun.
    Started,
    /// The running turn was given it, so that turn's reply answers it.
    Inserted {
        /// Who asked for that turn.
        joined: SlackUserId,
    },
    /// Nobody works on it. None where its message was deleted.
    Withdrawn { by: Option<SlackUserId> },
    /// It went to another repository, together with the prompt before it.
    Moved { to: RepoName },
}

/// More words of a prompt than that make a queue that nobody reads.
const WORDS_SHOWN: usize = 200;

impl QueuedNotice {
    pub fn render(&self) -> Message {
        let head = self.head();
        let words = line(&self.asked, WORDS_SHOWN);
        let mut blocks = vec![block::section("queued.head", &head)];
        blocks.push(block::context("queued.words", &format!("<@{}>: {words}", self.asker)));
        blocks.extend(block::actions("queued.actions", self.buttons()));
        Message { text: format!("{head} <@{}>: {words}", self.asker), blocks }
    }

    fn head(&self) -> String {
        match &self.waiting {
            QueuePlace::Waiting { place: 0 | 1 } => "🕒 *Next.* I start on this as soon as the present work is done.".to_owned(),
            QueuePlace::Waiting { place: 2 } => "🕒 *Waiting.* 1 prompt waits before this one; I take them in order.".to_owned(),
            QueuePlace::Waiting { place } => {
                format!("🕒 *Waiting.* {} prompts wait before this one; I take them in order.", place - 1)
            }
            QueuePlace::Started => "▶️ *Started.* The card below shows how it goes.".to_owned(),
            QueuePlace::Inserted { joined } if *joined == self.asker => {
                "📨 *Handed over.* The agent gets this at its next step; the reply to the running work answers it, too.".to_owned()
            }
            QueuePlace::Inserted { joined } => {
                format!("📨 *Handed over.* The agent gets this at its next step; the reply to <@{joined}>'s work answers it, too.")
            }
            QueuePlace::Withdrawn { by: Some(by) } => format!("↩️ *Withdrawn* by <@{by}>. Nothing was started."),
            QueuePlace::Moved { to } => format!("↪️ *Moved* to *{to}*, as the prompt before it."),
            QueuePlace::Withdrawn { by: None } => "↩️ *Withdrawn*: its message was deleted. Nothing was started.".to_owned(),
        }
    }

    fn buttons(&self) -> Vec<Value> {
        match &self.waiting {
            QueuePlace::Waiting { .. } => {
                let (session, prompt) = (self.session.clone(), self.prompt.clone());
                let withdraw = Action::WithdrawQueued { session: session.clone(), prompt: prompt.clone() };
                vec![
                    block::button("Send now", &Action::SendNow { session, prompt }, "", Style::Default),
                    block::button("Withdraw", &withdraw, "", Style::Default),
                ]
            }
            QueuePlace::Started | QueuePlace::Inserted { .. } | QueuePlace::Withdrawn { .. } | QueuePlace::Moved { .. } => Vec::new(),
        }
    }
}
