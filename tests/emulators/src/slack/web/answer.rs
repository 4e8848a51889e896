//! What a call is answered with.

use serde_json::{Map, Value, json};

use super::super::blocks::Refusal;
use super::super::state::as_map;

pub(super) type Answer = Result<Map<String, Value>, ApiError>;

/// `ok: false`, with what Slack adds to it.
#[derive(Clone, Debug)]
pub(in super::super) struct ApiError {
    pub(in super::super) error: String,
    extra: Map<String, Value>,
}

impl ApiError {
    pub(super) fn new(error: &str) -> Self {
        Self { error: error.to_owned(), extra: Map::new() }
    }

    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// An error with one line for each fault, in Slack's form.
    pub(super) fn with_messages(self, messages: &[String]) -> Self {
        let lines: Vec<String> = messages.iter().map(|message| format!("[ERROR] {message}")).collect();
        self.with("response_metadata", json!({ "messages": lines }))
    }

    pub(super) fn missing(argument: &str) -> Self {
        Self::new("invalid_arguments").with_messages(&[format!("missing required field: {argument}")])
    }

    pub(super) fn body(&self) -> Value {
        let mut body = as_map(json!({ "ok": false, "error": self.error }));
        body.extend(self.extra.clone());
        Value::Object(body)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Format => Self::new("invalid_blocks_format"),
            Refusal::TooLong => Self::new("msg_blocks_too_long"),
            Refusal::SecondTable => Self::new("only_one_table_allowed"),
            Refusal::Invalid(faults) => Self::new("invalid_blocks").with("errors", json!(faults)).with_messages(&faults),
        }
    }
}

pub(super) fn answer(value: Value) -> Answer {
    Ok(as_map(value))
}
