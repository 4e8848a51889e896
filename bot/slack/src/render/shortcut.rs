//! "Ask Longshore about this", in a message's menu.

use longshore_session::SlackUserId;
use serde_json::{Value, json};

use super::{
    Message, block,
    words::{line, link},
};
use crate::dialog::{AskAbout, Dialog, TASK};

/// The shortcut's name in `manifests/slack-app.yaml`.
pub const ASK_ABOUT: &str = "ask_longshore";

/// The window that asks what is to be done about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskAboutWindow {
    pub about: AskAbout,
    /// The message's words.
    pub text: String,
}

impl AskAboutWindow {
    /// The view, as `views.open` takes it.
    pub fn render(&self) -> Value {
        let (callback_id, private_metadata) = Dialog::AskAbout(self.about.clone()).encode();
        let quote = if self.text.trim().is_empty() { "_a message without words_".to_owned() } else { line(&self.text, 600) };
        let mut input = json!({
            "type": "input",
            "block_id": TASK,
            "label": block::plain_text("What shall I do?", 2_000),
            "hint": block::plain_text("I read the whole thread. Leave this empty where the message itself says what to do.", 2_000),
            "optional": true,
            "element": {
                "type": "plain_text_input",
                "action_id": TASK,
                "multiline": true,
                "max_length": 3_000,
                "placeholder": block::plain_text("for instance: find out why, and mend it", 150),
            },
        });
        if self.text.trim().is_empty() {
            input["optional"] = json!(false);
        }
        json!({
            "type": "modal",
            "callback_id": callback_id,
            "private_metadata": private_metadata,
            "title": block::plain_text("Ask Longshore", 24),
            "submit": block::plain_text("Ask", 24),
            "close": block::plain_text("Never mind", 24),
            "blocks": [block::section("ask.about", &format!("About this message:\n> {quote}")), input],
        })
    }
}

/// Said in the thread before the work begins: who asked for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedAbout {
    pub by: SlackUserId,
    /// None where the message itself says it.
    pub task: Option<String>,
    pub message_url: Option<String>,
}

impl AskedAbout {
    pub fn render(&self) -> Message {
        let message = self.message_url.as_ref().map_or("a message here".to_owned(), |url| link(url, "this message"));
        Message::of_words(match &self.task {
            Some(task) => format!("🔎 <@{}> asks me about {message}:\n> {}", self.by, line(task, 2_500)),
            None => format!("🔎 <@{}> asks me to do what {message} says.", self.by),
        })
    }
}

/// Why nothing came of the shortcut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShortcutRefused {
    /// The bot is not in the conversation and cannot join by itself.
    NotHere { bot: SlackUserId },
    /// A window opens within three seconds of the click, or not at all.
    TooLate,
}

impl ShortcutRefused {
    pub fn render(&self) -> Message {
        Message::of_words(match self {
            Self::NotHere { bot } => format!(
                "🚪 I am not in this conversation, so I can neither read the thread nor answer in it. Invite me with `/invite` <@{bot}> and ask again. \
                 Direct messages between other people stay closed to me: write to me yourself, or mention me in a channel."
            ),
            Self::TooLate => "⌛ I was too slow to open the window. Choose *Ask Longshore about this* once more.".to_owned(),
        })
    }
}
