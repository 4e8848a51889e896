//! A request as the scripted model sees it, whichever vendor's protocol it came in.

use serde_json::Value;

/// Whose protocol a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    OpenAi,
    Anthropic,
}

/// What a request is for, told from what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// Wants an answer that holds a schema (a forced tool counts).
    Structured,
    /// Offers tools to choose from.
    Agent,
    /// An agent that wants a title for its conversation.
    Title,
    /// Anything else: a question.
    Plain,
}

/// The part of a request that an answer can depend on.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub vendor: Vendor,
    pub model: String,
    /// All system messages.
    pub system: String,
    /// Without the system's.
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    /// The JSON schema that the answer must hold.
    pub schema: Option<Value>,
    /// The tool that must be called.
    pub forced_tool: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    User(String),
    Assistant { text: String, calls: Vec<ToolCall> },
    ToolResult { call_id: String, text: String },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub name: String,
    /// JSON schema of its arguments.
    pub parameters: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

/// A tool call with what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub call: ToolCall,
    pub result: String,
}

/// What a person asked, and what was done about it up to the next prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptView {
    pub text: String,
    pub exchanges: Vec<Exchange>,
    /// Messages of the assistant since the prompt, those that call tools included.
    pub answers: usize,
}

impl Conversation {
    pub fn kind(&self) -> CallKind {
        if self.schema.is_some() || self.forced_tool.is_some() {
            CallKind::Structured
        } else if !self.tools.is_empty() {
            CallKind::Agent
        } else if self.system.to_lowercase().contains("title") {
            CallKind::Title
        } else {
            CallKind::Plain
        }
    }

    /// The conversation by prompts, oldest first. Reminders that an agent adds in the user's name are left out.
    pub fn prompts(&self) -> Vec<PromptView> {
        let mut prompts: Vec<PromptView> = Vec::new();
        let mut after_user = false;
        for message in &self.messages {
            match message {
                Message::User(text) => {
                    let text = without_reminders(text);
                    match prompts.last_mut() {
                        _ if text.trim().is_empty() => continue,
                        // Parts of one prompt may come as messages of their own.
                        Some(prompt) if after_user => prompt.text = format!("{}\n{text}", prompt.text),
                        _ => prompts.push(PromptView { text, exchanges: Vec::new(), answers: 0 }),
                    }
                    after_user = true;
                }
                Message::Assistant { .. } => {
                    after_user = false;
                    if let Some(prompt) = prompts.last_mut() {
                        prompt.answers += 1;
                    }
                }
                Message::ToolResult { call_id, text } => {
                    after_user = false;
                    if let (Some(call), Some(prompt)) = (self.call(call_id), prompts.last_mut()) {
                        prompt.exchanges.push(Exchange { call: call.clone(), result: text.clone() });
                    }
                }
            }
        }
        prompts
    }

    /// The text of the last thing that a person asked.
    pub fn last_prompt(&self) -> String {
        self.prompts().pop().map(|prompt| prompt.text).unwrap_or_default()
    }

    fn call(&self, id: &str) -> Option<&ToolCall> {
        self.messages.iter().rev().find_map(|message| match message {
            Message::Assistant { calls, .. } => calls.iter().find(|call| call.id == id),
            _ => None,
        })
    }

    /// A rough count (four characters each), which is all that usage and limits need here.
    pub(super) fn tokens(&self) -> u64 {
        let length = |message: &Message| match message {
            Message::User(text) | Message::ToolResult { text, .. } => text.len(),
            Message::Assistant { text, calls } => text.len() + calls.iter().map(|call| call.arguments.to_string().len()).sum::<usize>(),
        };
        let tools: usize = self.tools.iter().map(|tool| tool.name.len() + tool.parameters.to_string().len()).sum();
        tokens_of(self.system.len() + tools + self.messages.iter().map(length).sum::<usize>())
    }
}

pub(super) fn tokens_of(characters: usize) -> u64 {
    u64::try_from(characters.div_ceil(4)).unwrap_or(u64::MAX)
}

fn without_reminders(text: &str) -> String {
    const OPEN: &str = "<system-reminder>";
    const CLOSE: &str = "</system-reminder>";
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        kept.push_str(before);
        rest = after.split_once(CLOSE).map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_read_by_prompts() {
        let call = ToolCall { id: "1".into(), name: "read".into(), arguments: Value::Null };
        let conversation = Conversation {
            vendor: Vendor::OpenAi,
            model: "m".into(),
            system: String::new(),
            messages: vec![
                Message::User("first".into()),
                Message::User("<system-reminder>mind the gap</system-reminder>".into()),
                Message::Assistant { text: String::new(), calls: vec![call.clone()] },
                Message::ToolResult { call_id: "1".into(), text: "content".into() },
                Message::Assistant { text: "done".into(), calls: vec![] },
                Message::User("second".into()),
            ],
            tools: vec![],
            schema: None,
            forced_tool: None,
        };
        let prompts = conversation.prompts();
        assert_eq!(prompts.len(), 2);
        assert_eq!(prompts[0].text, "first");
        assert_eq!(prompts[0].exchanges, [Exchange { call, result: "content".into() }]);
        assert_eq!(prompts[0].answers, 2);
        assert_eq!(conversation.last_prompt(), "second");
    }
}
