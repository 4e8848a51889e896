//! What the agent asks of people, and what became of it.

use longshore_session::{Question, SessionId, SlackUserId};

use super::{
    Message,
    block::{self, Style},
    words::{line, plain, quiet},
};
use crate::action::Action;

/// A question of the agent's, in a message of its own. The session waits until somebody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedQuestion {
    pub session: SessionId,
    /// Who is called to answer it.
    pub asker: SlackUserId,
    pub question: Question,
}

/// What the question's message turns into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedQuestion {
    pub question: Question,
    pub fate: QuestionFate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuestionFate {
    Picked {
        by: SlackUserId,
        option: String,
    },
    /// In the thread, in words of their own.
    Replied {
        by: SlackUserId,
        words: String,
    },
    /// The session was stopped while it waited.
    Dropped {
        by: SlackUserId,
    },
}

/// Slack takes 12,000 characters of markdown, and a question needs far fewer.
const WORDS: usize = 3_000;

impl AskedQuestion {
    pub fn render(&self) -> Message {
        let options = &self.question.options;
        let button = |(option, label): (usize, &String)| {
            let action = Action::Answer { session: self.session.clone(), question: self.question.id.clone(), option };
            block::button(label, &action, &option.to_string(), Style::Default)
        };
        let (how, choices) = if options.is_empty() {
            ("Reply in this thread to answer.", String::new())
        } else {
            let labels: Vec<String> = options.iter().map(|label| line(label, 75)).collect();
            ("Press a button, or reply in this thread in your own words.", format!(" Choices: {}.", labels.join(", ")))
        };
        let mut blocks = vec![block::section("question.head", &format!("🙋 <@{}>, *I need an answer to go on:*", self.asker))];
        blocks.push(block::markdown(&words(&self.question)));
        blocks.extend(block::actions("question.options", options.iter().enumerate().map(button).collect()));
        blocks.push(block::context("question.foot", &format!("{how} Anybody here may answer, and it can wait.")));
        Message { text: format!("<@{}>, I have a question: {}{choices} {how}", self.asker, plain(&self.question.text, 600)), blocks }
    }
}

impl ClosedQuestion {
    pub fn render(&self) -> Message {
        let (markup, spoken) = match &self.fate {
            QuestionFate::Picked { by, option } => {
                let option = line(option, 150);
                (format!("☑️ <@{by}> picked *{}*.", option.replace('*', "")), format!("<@{by}> picked: {option}."))
            }
            QuestionFate::Replied { by, words } => {
                let words = line(words, 300);
                (format!("☑️ <@{by}> replied:\n> {words}"), format!("<@{by}> replied: {words}"))
            }
            QuestionFate::Dropped { by } => (
                format!("⏹️ <@{by}> stopped this; no answer is needed any more."),
                format!("<@{by}> stopped this, so no answer is needed."),
            ),
        };
        let blocks = vec![
            block::section("question.head", "🙋 *I asked:*"),
            block::markdown(&words(&self.question)),
            block::section("question.answer", &markup),
        ];
        Message { text: format!("I asked: {} {spoken}", plain(&self.question.text, 600)), blocks }
    }
}

fn words(question: &Question) -> String {
    quiet(&super::words::cut(&question.text, WORDS))
}
