//! What is read off a provider's answer on its way through: the first token, the model, the usage. The bytes themselves are not touched.

use http::HeaderName;
use serde_json::Value;

use crate::LlmUsage;

/// The protocol that a route speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Anthropic,
}

impl Dialect {
    /// Behind the provider's base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "chat/completions",
            Self::Responses => "responses",
            Self::Anthropic => "messages",
        }
    }

    pub fn credential(self, key: &str) -> (HeaderName, String) {
        match self {
            Self::Chat | Self::Responses => (http::header::AUTHORIZATION, format!("Bearer {key}")),
            Self::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
        }
    }
}

/// What an answer has told so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub token: bool,
    /// The dialect's own sign that nothing more comes: clients commonly hang up on it.
    pub last: bool,
    pub model: Option<String>,
    pub usage: Option<LlmUsage>,
}

/// A line of an event stream or a body without events is kept up to here; what is longer is passed through unread.
const LONGEST: usize = 8 * 1024 * 1024;

/// Reads an answer in the pieces in which it comes.
pub(super) struct Reader {
    dialect: Dialect,
    form: Form,
    kept: Vec<u8>,
    /// The line (or body) that is coming is longer than is kept.
    overlong: bool,
    pub told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Events,
    Whole,
}

impl Reader {
    pub fn new(dialect: Dialect, form: Form) -> Self {
        Self { dialect, form, kept: Vec::new(), overlong: false, told: Told::default() }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        match self.form {
            Form::Whole => {
                // Without events the first byte is the first that is seen of any token.
                self.told.token |= !chunk.is_empty();
                self.keep(chunk);
            }
            Form::Events => {
                let mut rest = chunk;
                while let Some(end) = rest.iter().position(|c| *c == b'\n') {
                    self.keep(&rest[..end]);
                    rest = &rest[end + 1..];
                    self.line();
                }
                self.keep(rest);
            }
        }
    }

    pub fn finish(&mut self) {
        match self.form {
            Form::Events => self.line(),
            Form::Whole => {
                let body = std::mem::take(&mut self.kept);
                if !self.overlong
                    && let Ok(body) = serde_json::from_slice::<Value>(&body)
                {
                    self.note(&body);
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kept.len() + bytes.len() > LONGEST {
            self.overlong = true;
            self.kept = Vec::new();
        }
        if !self.overlong {
            self.kept.extend_from_slice(bytes);
        }
    }

    fn line(&mut self) {
        let line = std::mem::take(&mut self.kept);
        if std::mem::take(&mut self.overlong) {
            return;
        }
        let Some(data) = line.strip_prefix(b"data:") else { return };
        self.told.last |= data.trim_ascii() == b"[DONE]";
        // After the first token only the lines that can hold usage are parsed: most of a stream is passed through unread.
        let wanted = !self.told.token || self.told.model.is_none() || contains(data, b"\"usage\"") || contains(data, b"\"message_stop\"");
        if wanted && let Ok(event) = serde_json::from_slice::<Value>(data) {
            self.told.token |= holds_token(self.dialect, &event);
            self.told.last |= is_last(&event);
            self.note(&event);
        }
    }

    /// Takes model and usage from a whole answer or from one event, wherever the dialect puts them.
    fn note(&mut self, value: &Value) {
        let inner = match self.dialect {
            Dialect::Chat => value,
            Dialect::Responses => value.get("response").unwrap_or(value),
            Dialect::Anthropic => value.get("message").unwrap_or(value),
        };
        if let Some(model) = inner.get("model").and_then(Value::as_str).filter(|model| !model.is_empty()) {
            self.told.model = Some(model.to_owned());
        }
        let Some(usage) = inner.get("usage").filter(|usage| usage.is_object()) else { return };
        let number = |path: &str| usage.pointer(path).and_then(Value::as_u64);
        let before = self.told.usage.unwrap_or_default();
        self.told.usage = Some(match self.dialect {
            Dialect::Chat => LlmUsage {
                input_tokens: number("/prompt_tokens").unwrap_or(before.input_tokens),
                output_tokens: number("/completion_tokens").unwrap_or(before.output_tokens),
                cached_input_tokens: number("/prompt_tokens_details/cached_tokens").unwrap_or(before.cached_input_tokens),
            },
            Dialect::Responses => LlmUsage {
                input_tokens: number("/input_tokens").unwrap_or(before.input_tokens),
                output_tokens: number("/output_tokens").unwrap_or(before.output_tokens),
                cached_input_tokens: number("/input_tokens_details/cached_tokens").unwrap_or(before.cached_input_tokens),
            },
            // The stream tells the input at its start and the output at its end, and counts cached input apart.
            Dialect::Anthropic => {
                let cached = number("/cache_read_input_tokens").unwrap_or(before.cached_input_tokens);
                let written = number("/cache_creation_input_tokens").unwrap_or(0);
                LlmUsage {
                    input_tokens: number("/input_tokens")
                        .map_or(before.input_tokens, |fresh| fresh.saturating_add(cached).saturating_add(written).max(before.input_tokens)),
                    output_tokens: number("/output_tokens").unwrap_or(before.output_tokens),
                    cached_input_tokens: cached,
                }
            }
        });
    }
}

/// Whether an event carries something that the model made: text, reasoning or a part of a tool call.
fn holds_token(dialect: Dialect, event: &Value) -> bool {
    match dialect {
        Dialect::Chat => event.get("choices").and_then(Value::as_array).into_iter().flatten().any(|choice| {
            choice.get("delta").and_then(Value::as_object).is_some_and(|delta| {
                delta.iter().any(|(key, value)| match value {
                    Value::String(text) => key != "role" && !text.is_empty(),
                    Value::Array(parts) => !parts.is_empty(),
                    _ => false,
                })
            })
        }),
        Dialect::Responses => event.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with(".delta")),
        Dialect::Anthropic => event.get("type").and_then(Value::as_str) == Some("content_block_delta"),
    }
}

/// Responses and messages say so in an event; chat completions in a line that is no JSON.
fn is_last(event: &Value) -> bool {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    matches!(kind, "response.completed" | "response.incomplete" | "response.failed" | "message_stop")
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use super::*;

    /// The first byte says by which protocol and form it comes, the second in pieces of what size.
    pub const ANSWERS: &[&[u8]] = &[
        b"\0\x09data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
        b"\x01\x20{\"model\":\"m-2\",\"choices\":[{\"message\":{\"content\":\"Hi\"}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":18446744073709551615}}",
        b"\x02\x01event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"m-3\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}}\n\n",
        b"\x04\x05data: {\"type\":\"message_start\",\"message\":{\"model\":\"m-4\",\"usage\":{\"input_tokens\":18446744073709551615,\"cache_read_input_tokens\":10,\"output_tokens\":1}}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
    ];

    /// However an answer is cut, the same is read of it.
    pub fn answer(bytes: &[u8]) {
        let [which, size, bytes @ ..] = bytes else { return };
        let dialect = [Dialect::Chat, Dialect::Responses, Dialect::Anthropic][usize::from(which / 2) % 3];
        let form = if which % 2 == 0 { Form::Events } else { Form::Whole };
        let read = |size: usize| {
            let mut reader = Reader::new(dialect, form);
            bytes.chunks(size.max(1)).for_each(|chunk| reader.push(chunk));
            reader.finish();
            reader.told
        };
        assert_eq!(read(usize::from(*size)), read(bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAT: &str = concat!(
        ": keep-alive\n\n",
        "data: {\"id\":\"1\",\"model\":\"m-1\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"id\":\"1\",\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\n",
        "data: {\"id\":\"1\",\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\r\n\r\n",
        "data: [DONE]\n\n",
    );

    fn read(dialect: Dialect, form: Form, text: &str, size: usize) -> Told {
        let mut reader = Reader::new(dialect, form);
        for chunk in text.as_bytes().chunks(size) {
            reader.push(chunk);
        }
        reader.finish();
        reader.told
    }

    #[test]
    fn the_first_token_is_the_first_with_content() {
        let mut reader = Reader::new(Dialect::Chat, Form::Events);
        for (line, token) in CHAT.split_inclusive("\n\n").zip([false, false, true, true, true]) {
            reader.push(line.as_bytes());
            assert_eq!(reader.told.token, token, "{line}");
        }
    }

    #[test]
    fn usage_is_read_in_each_dialect() {
        let told = read(Dialect::Chat, Form::Events, CHAT, 5);
        assert_eq!(told.usage, Some(LlmUsage { input_tokens: 9, output_tokens: 2, cached_input_tokens: 4 }));
        assert_eq!(told.model.as_deref(), Some("m-1"));

        let whole = r#"{"model":"m-2","choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        assert_eq!(
            read(Dialect::Chat, Form::Whole, whole, 7).usage,
            Some(LlmUsage { input_tokens: 1, output_tokens: 2, cached_input_tokens: 0 })
        );

        let responses = concat!(
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"m-3\",\"usage\":null}}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"H\"}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"m-3\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"input_tokens_details\":{\"cached_tokens\":1}}}}\n\n",
        );
        let told = read(Dialect::Responses, Form::Events, responses, 11);
        assert_eq!((told.token, told.usage), (true, Some(LlmUsage { input_tokens: 5, output_tokens: 6, cached_input_tokens: 1 })));

        let anthropic = concat!(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m-4\",\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":10,\"cache_creation_input_tokens\":2,\"output_tokens\":1}}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"H\"}}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":8}}\n\n",
        );
        let told = read(Dialect::Anthropic, Form::Events, anthropic, 13);
        assert_eq!(
            (told.model.as_deref(), told.usage),
            (Some("m-4"), Some(LlmUsage { input_tokens: 15, output_tokens: 8, cached_input_tokens: 10 }))
        );
    }

    #[test]
    fn an_overlong_line_is_skipped_and_the_next_is_read() {
        let mut text = format!("data: {{\"x\":\"{}\"}}\n", "x".repeat(LONGEST));
        text.push_str(CHAT);
        assert!(read(Dialect::Chat, Form::Events, &text, 65536).usage.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_pass(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..50) {
            for dialect in [Dialect::Chat, Dialect::Responses, Dialect::Anthropic] {
                for form in [Form::Events, Form::Whole] {
                    let mut reader = Reader::new(dialect, form);
                    bytes.chunks(size).for_each(|chunk| reader.push(chunk));
                    reader.finish();
                }
            }
        }

        #[test]
        fn where_a_stream_is_cut_decides_nothing(size in 1usize..400) {
            prop_assert_eq!(read(Dialect::Chat, Form::Events, CHAT, size), read(Dialect::Chat, Form::Events, CHAT, CHAT.len()));
        }
    }
}
