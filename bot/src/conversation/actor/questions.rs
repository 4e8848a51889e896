//! Questions of the agent's: put, answered, and shown as answered.

use anyhow::Result;
use longshore_session::{AnswerKind, Command, Event, OutboxDraft, Prompt, PromptId, Question, QuestionId, Rejection, TurnId};
use longshore_slack::{AskedQuestion, ClosedQuestion, QuestionFate};

use super::{Actor, Batch};
use crate::{
    conversation::{AnswerTaken, GivenAnswer, agent_words, view::Fate},
    outbox::{Changed, Owed, Weight},
};

impl Actor {
    /// The inner error is for the agent.
    pub(super) async fn ask(&mut self, text: String, options: Vec<String>) -> Result<Result<(), String>> {
        let Some(turn) = self.state.activity.turn() else { return Ok(Err("no turn is running".to_owned())) };
        // The same words again, which is what a repeated call has, are the same question.
        let id = format!("q-{}", agent_words::fingerprint(&format!("{}/{turn}/{text}", self.record.id)));
        let question = Question { id: QuestionId::parse(id)?, text, options };
        let mut batch = Batch::default();
        match self.decide(&mut batch, Command::Ask { turn, question }) {
            Ok(()) => {
                self.commit(batch).await?;
                Ok(Ok(()))
            }
            Err(Rejection::QuestionOpen) => {
                let open = self.state.question.as_ref().map(|question| question.text.as_str()).unwrap_or_default();
                Ok(Err(format!(
                    "your question “{open}” is open still, and one is open at a time: end your turn now, the answer comes by itself"
                )))
            }
            Err(_) => Ok(Err("the turn is ending, so nothing can be asked".to_owned())),
        }
    }

    /// An answer by a button. Handled twice, it is one prompt: the prompt's id follows from the question's.
    pub(super) async fn take_answer(&mut self, given: GivenAnswer) -> Result<AnswerTaken> {
        let Some(seen) = self.view.questions.get(&given.question) else { return Ok(AnswerTaken::Outdated) };
        match &seen.fate {
            Fate::Open => {}
            Fate::Answered { by, .. } => return Ok(AnswerTaken::Already { by: by.clone() }),
            Fate::Dropped { .. } => return Ok(AnswerTaken::Outdated),
        }
        let Some(text) = seen.question.options.get(given.option).cloned() else { return Ok(AnswerTaken::Outdated) };
        let prompt = Prompt {
            id: PromptId::parse(format!("p-{}", agent_words::fingerprint(given.question.as_str())))?,
            author: given.by,
            text,
            context: Vec::new(),
            files: Vec::new(),
            post: given.post,
            received: self.app.clock.now(),
        };
        let mut batch = Batch::default();
        match self.decide(&mut batch, Command::Answer { question: given.question, option: given.option, prompt }) {
            Ok(()) => {
                // The index says that there is work before the session's own database has it.
                self.outbox_empty = false;
                self.mark().await?;
                self.commit(batch).await?;
                Ok(AnswerTaken::Yes)
            }
            Err(_) => Ok(AnswerTaken::Outdated),
        }
    }

    /// What the thread is told of questions in these events.
    pub(super) fn tell_of_questions(&self, events: &[Event]) -> Result<Vec<OutboxDraft>> {
        let mut drafts = Vec::new();
        for event in events {
            match event {
                Event::QuestionAsked { turn, question } => {
                    let asker = self.view.asked.get(turn).map_or(&self.record.owner, |prompt| &prompt.author.slack_user).clone();
                    let asked = AskedQuestion { session: self.record.id.clone(), asker: asker.clone(), question: question.clone() };
                    // Nobody could answer what stands nowhere.
                    let owed = Owed { asker: Some(asker), ..self.to_thread(asked.render()) };
                    drafts.push(owed.draft("question", self.question_key(&question.id))?);
                }
                Event::QuestionAnswered { question, prompt, by, answer } => {
                    let fate = match answer {
                        AnswerKind::Picked { option } => {
                            let options =
                                self.view.questions.get(question).map(|seen| seen.question.options.as_slice()).unwrap_or_default();
                            QuestionFate::Picked { by: by.clone(), option: options.get(*option).cloned().unwrap_or_default() }
                        }
                        AnswerKind::Replied => {
                            let words = events.iter().find_map(|event| match event {
                                Event::PromptAccepted { prompt: accepted } if accepted.id == *prompt => Some(accepted.text.clone()),
                                _ => None,
                            });
                            QuestionFate::Replied { by: by.clone(), words: words.unwrap_or_default() }
                        }
                    };
                    drafts.extend(self.close_question(question, fate)?);
                }
                Event::QuestionDropped { question, by } => {
                    drafts.extend(self.close_question(question, QuestionFate::Dropped { by: by.clone() })?);
                }
                _ => {}
            }
        }
        Ok(drafts)
    }

    /// The turns whose question was answered or dropped by these events.
    pub(super) fn closed_questions(&self, events: &[Event]) -> Vec<TurnId> {
        let closed = events.iter().filter_map(|event| match event {
            Event::QuestionAnswered { question, .. } | Event::QuestionDropped { question, .. } => self.view.questions.get(question),
            _ => None,
        });
        closed.map(|seen| seen.turn).collect()
    }

    /// What the work of this prompt is about: an answer such as `yes` says nothing by itself.
    pub(super) fn subject<'a>(&'a self, prompt: &'a Prompt) -> &'a str {
        if self.view.answered_by(&prompt.id).is_some() { &self.record.title } else { &prompt.text }
    }

    /// As the agent is given it: an answer comes with its question.
    pub(super) fn as_given(&self, prompt: &Prompt) -> Prompt {
        match self.view.answered_by(&prompt.id) {
            Some(question) => agent_words::as_answer(&question.text, prompt),
            None => prompt.clone(),
        }
    }

    fn close_question(&self, id: &QuestionId, fate: QuestionFate) -> Result<Option<OutboxDraft>> {
        let Some(seen) = self.view.questions.get(id) else { return Ok(None) };
        let message = ClosedQuestion { question: seen.question.clone(), fate }.render();
        let changed = Changed { channel: self.record.thread.channel.clone(), message, weight: Weight::Last };
        Ok(Some(changed.draft(&self.question_key(id))?))
    }

    fn question_key(&self, id: &QuestionId) -> String {
        format!("{}:question:{id}", self.record.id)
    }
}
