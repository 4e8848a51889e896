//! Scripts that a test pushes: for a matching conversation they answer in place of the built-in behaviour.

use std::sync::Arc;

use serde_json::Value;

use super::{
    conversation::{Conversation, PromptView, ToolCall},
    fault::Fault,
    play::Move,
};

type Matches = Arc<dyn Fn(&Conversation) -> bool + Send + Sync>;
type Decides = Arc<dyn Fn(&PromptView) -> ScriptStep + Send + Sync>;

/// What to answer, step by step, to a prompt. A step is one answer of the model; which one is due is told from the answers that the
/// conversation already holds since its last prompt, so a repeated request gets the same one.
#[derive(Clone)]
pub struct Script {
    matches: Matches,
    steps: Vec<Planned>,
}

#[derive(Clone)]
enum Planned {
    Fixed(ScriptStep),
    Decided(Decides),
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptStep {
    /// Text that ends the turn.
    Say(String),
    /// Calls of tools, side by side. A name is taken as it is offered, or as the end of one (`_name`).
    Call(Vec<(String, Value)>),
    /// An answer to a request with a schema, as it is.
    Structured(Value),
    Refuse(String),
    /// A failure, each time this step is asked for.
    Fail(Fault),
}

impl Script {
    /// For conversations that hold a condition.
    pub fn when(matches: impl Fn(&Conversation) -> bool + Send + Sync + 'static) -> Self {
        Self { matches: Arc::new(matches), steps: Vec::new() }
    }

    /// For an agent's requests whose last prompt contains this text, in any case.
    pub fn for_prompt(text: &str) -> Self {
        let text = text.to_lowercase();
        Self::when(move |conversation| !conversation.tools.is_empty() && conversation.last_prompt().to_lowercase().contains(&text))
    }

    pub fn say(self, text: &str) -> Self {
        self.step(ScriptStep::Say(text.to_owned()))
    }

    pub fn call(self, tool: &str, arguments: Value) -> Self {
        self.step(ScriptStep::Call(vec![(tool.to_owned(), arguments)]))
    }

    /// A failure at this step; since a failure leaves nothing in the conversation, a retry meets it again.
    pub fn fail(self, fault: Fault) -> Self {
        self.step(ScriptStep::Fail(fault))
    }

    pub fn step(mut self, step: ScriptStep) -> Self {
        self.steps.push(Planned::Fixed(step));
        self
    }

    /// A step that depends on what the tools returned.
    pub fn decide(mut self, decides: impl Fn(&PromptView) -> ScriptStep + Send + Sync + 'static) -> Self {
        self.steps.push(Planned::Decided(Arc::new(decides)));
        self
    }

    /// The step that is due, where the script is for this conversation. Past its end it says so.
    pub(super) fn due(&self, conversation: &Conversation) -> Option<ScriptStep> {
        if !(self.matches)(conversation) {
            return None;
        }
        let prompt = conversation.prompts().pop()?;
        Some(match self.steps.get(prompt.answers) {
            Some(Planned::Fixed(step)) => step.clone(),
            Some(Planned::Decided(decides)) => decides(&prompt),
            None => ScriptStep::Say("(the script is at its end)".to_owned()),
        })
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl ScriptStep {
    pub(super) fn into_move(self, conversation: &Conversation) -> Result<Move, Fault> {
        match self {
            Self::Say(text) => Ok(Move::Say(text)),
            Self::Structured(value) => Ok(Move::Structured(value)),
            Self::Refuse(text) => Ok(Move::Refuse(text)),
            Self::Fail(fault) => Err(fault),
            Self::Call(calls) => {
                let calls = calls.into_iter().enumerate().map(|(index, (name, arguments))| {
                    let suffix = format!("_{name}");
                    let offered = conversation.tools.iter().map(|tool| &tool.name);
                    let name = offered
                        .clone()
                        .find(|offered| **offered == name)
                        .or_else(|| offered.clone().find(|offered| offered.ends_with(&suffix)))
                        .cloned()
                        .unwrap_or(name);
                    ToolCall { id: format!("call_{:04}_{index}", conversation.messages.len()), name, arguments }
                });
                Ok(Move::Call { say: String::new(), calls: calls.collect() })
            }
        }
    }
}
