//! The protocol's messages as JSON: read leniently (agents differ, and some are hostile), written strictly.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore_session::{PromptId, TurnId, has_more_values_than};
use serde_json::{Map, Value, json};

use crate::update::AgentSessionId;

/// The only version there is.
pub(crate) const PROTOCOL_VERSION: u64 = 1;
/// The longest id of the agent's that is answered, and the longest name of an option that is chosen.
const MAX_FOREIGN_ID: usize = 256;
/// Values in one message. A tree of small values takes a hundred times the bytes of its text.
const MAX_VALUES: usize = 100_000;

pub(crate) const INITIALIZE: &str = "initialize";
pub(crate) const NEW_SESSION: &str = "new-session-1";
/// The requests of the conversation that warms the agent up.
pub(crate) const PRIMING_SESSION: &str = "priming-session";
pub(crate) const PRIMING_PROMPT: &str = "priming-prompt";
pub(crate) const PRIMING_CLOSE: &str = "priming-close";
const PROMPT: &str = "prompt-";
const INSERT: &str = "insert-";
const RESUME: &str = "resume-session-";
const LOAD: &str = "load-session-";

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentBlock {
    Text(String),
    /// `mime` such as `image/png`.
    Image {
        mime: String,
        data: Vec<u8>,
    },
    /// A text file that is given along; `uri` names it for the agent.
    Resource {
        uri: String,
        mime: String,
        text: String,
    },
}

/// A tool server that the agent connects to, over streamable HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct McpServer {
    pub name: String,
    pub url: String,
    /// They hold the sandbox's token.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("McpServer").field("name", &self.name).field("url", &self.url).field("headers", &headers).finish()
    }
}

/// What a line of the agent's is.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    /// An answer to a request of ours, whose ids are all texts.
    Answer {
        id: String,
        outcome: Result<Value, RpcError>,
    },
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    Notification {
        method: String,
        params: Value,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
}

/// The line is no message of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbage;

pub(crate) fn parse(line: &[u8]) -> Result<Incoming, Garbage> {
    if has_more_values_than(line, MAX_VALUES) {
        return Err(Garbage);
    }
    let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else { return Err(Garbage) };
    let id = message.remove("id");
    let params = message.remove("params").unwrap_or(Value::Null);
    match (id, message.remove("method")) {
        (None, Some(Value::String(method))) => Ok(Incoming::Notification { method, params }),
        (Some(id), Some(Value::String(method))) if is_foreign_id(&id) => Ok(Incoming::Request { id, method, params }),
        (Some(Value::String(id)), None) => {
            let outcome = match (message.remove("result"), message.remove("error")) {
                (_, Some(error)) if !error.is_null() => Err(RpcError {
                    code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
                    message: error.get("message").and_then(Value::as_str).unwrap_or("no reason was given").to_owned(),
                }),
                (Some(result), _) => Ok(result),
                (None, _) => return Err(Garbage),
            };
            Ok(Incoming::Answer { id, outcome })
        }
        _ => Err(Garbage),
    }
}

fn is_foreign_id(id: &Value) -> bool {
    match id {
        Value::Number(_) => true,
        Value::String(text) => text.len() <= MAX_FOREIGN_ID,
        _ => false,
    }
}

/// What makes a message of ours the same message: its request id; for an answer, the id that it answers; for a notification, which has
/// none, the mark that we put into its `_meta`.
pub(crate) fn mark_of(message: &Value) -> Option<String> {
    match (message.get("id"), message.get("method")) {
        (Some(Value::String(id)), Some(_)) => Some(id.clone()),
        (Some(id), None) => Some(answer_mark(id)),
        (None, Some(_)) => message.pointer("/params/_meta/longshore")?.as_str().map(str::to_owned),
        _ => None,
    }
}

/// The mark of our answer to the agent's request with this id.
pub(crate) fn answer_mark(id: &Value) -> String {
    format!("answer {id}")
}

pub(crate) fn prompt_id(turn: TurnId) -> String {
    format!("{PROMPT}{turn}")
}

pub(crate) fn insert_id(turn: TurnId, prompt: &PromptId) -> String {
    format!("{INSERT}{turn}-{prompt}")
}

/// The turn that the id of a prompt names, be it the turn's own or an inserted one.
pub(crate) fn prompted_turn(id: &str) -> Option<TurnId> {
    if let Some((turn, prompt)) = id.strip_prefix(INSERT).and_then(|rest| rest.split_once('-')) {
        let (turn, prompt) = (TurnId(turn.parse().ok()?), PromptId::parse(prompt).ok()?);
        return (insert_id(turn, &prompt) == id).then_some(turn);
    }
    let turn = TurnId(id.strip_prefix(PROMPT)?.parse().ok()?);
    (prompt_id(turn) == id).then_some(turn)
}

/// The session that an answer to `resume` or `load` brings back.
pub(crate) fn restored_session(id: &str) -> Option<AgentSessionId> {
    AgentSessionId::parse(id.strip_prefix(RESUME).or_else(|| id.strip_prefix(LOAD))?).ok()
}

pub(crate) fn is_load(id: &str) -> bool {
    id.starts_with(LOAD)
}

fn request(id: &str, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(crate) fn initialize() -> Value {
    let params = json!({
        "protocolVersion": PROTOCOL_VERSION,
        // Neither files nor terminals of the service's are offered: the agent has its own in the sandbox.
        "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
        "clientInfo": {"name": "longshore", "title": "Longshore", "version": env!("CARGO_PKG_VERSION")},
    });
    request(INITIALIZE, "initialize", params)
}

fn servers(servers: &[McpServer]) -> Value {
    let server = |server: &McpServer| {
        let headers: Vec<Value> = server.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"type": "http", "name": server.name, "url": server.url, "headers": headers})
    };
    servers.iter().map(server).collect()
}

pub(crate) fn new_session(cwd: &str, mcp: &[McpServer]) -> Value {
    request(NEW_SESSION, "session/new", json!({"cwd": cwd, "mcpServers": servers(mcp)}))
}

pub(crate) fn priming_session(cwd: &str, mcp: &[McpServer]) -> Value {
    request(PRIMING_SESSION, "session/new", json!({"cwd": cwd, "mcpServers": servers(mcp)}))
}

pub(crate) fn priming_prompt(session: &AgentSessionId, text: &str) -> Value {
    prompting(PRIMING_PROMPT, session, &[ContentBlock::Text(text.to_owned())])
}

pub(crate) fn priming_close(session: &AgentSessionId) -> Value {
    request(PRIMING_CLOSE, "session/close", json!({"sessionId": session.as_str()}))
}

/// The model is named as the agent names it.
pub(crate) fn set_model(session: &AgentSessionId, model: &str) -> Value {
    request(&format!("model-{session}-{model}"), "session/set_model", json!({"sessionId": session.as_str(), "modelId": model}))
}

pub(crate) fn resume_session(session: &AgentSessionId, cwd: &str, mcp: &[McpServer]) -> Value {
    let params = json!({"sessionId": session.as_str(), "cwd": cwd, "mcpServers": servers(mcp)});
    request(&format!("{RESUME}{session}"), "session/resume", params)
}

pub(crate) fn load_session(session: &AgentSessionId, cwd: &str, mcp: &[McpServer]) -> Value {
    let params = json!({"sessionId": session.as_str(), "cwd": cwd, "mcpServers": servers(mcp)});
    request(&format!("{LOAD}{session}"), "session/load", params)
}

pub(crate) fn prompt(turn: TurnId, session: &AgentSessionId, blocks: &[ContentBlock]) -> Value {
    prompting(&prompt_id(turn), session, blocks)
}

/// A prompt for a turn that runs; `id` is from [`insert_id`].
pub(crate) fn insert(id: &str, session: &AgentSessionId, blocks: &[ContentBlock]) -> Value {
    prompting(id, session, blocks)
}

fn prompting(id: &str, session: &AgentSessionId, blocks: &[ContentBlock]) -> Value {
    let block = |block: &ContentBlock| match block {
        ContentBlock::Text(text) => json!({"type": "text", "text": text}),
        ContentBlock::Image { mime, data } => json!({"type": "image", "mimeType": mime, "data": STANDARD.encode(data)}),
        ContentBlock::Resource { uri, mime, text } => {
            json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": text}})
        }
    };
    let blocks: Vec<Value> = blocks.iter().map(block).collect();
    request(id, "session/prompt", json!({"sessionId": session.as_str(), "prompt": blocks}))
}

pub(crate) fn cancel(turn: TurnId, session: &AgentSessionId) -> Value {
    let meta = json!({"longshore": format!("cancel-{turn}")});
    json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": session.as_str(), "_meta": meta}})
}

const ASK_PERMISSION: &str = "session/request_permission";

/// Whether the agent asks to do what may change something: all but the kinds of tools that only read.
pub(crate) fn asks_to_change(method: &str, params: &Value) -> bool {
    let kind = params.pointer("/toolCall/kind").and_then(Value::as_str);
    method == ASK_PERMISSION && !matches!(kind, Some("read" | "search" | "think" | "fetch"))
}

/// What is said to an agent that asks for permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    Once,
    No,
}

/// The answer to a request of the agent's: permissions are granted once, everything else is not offered.
pub(crate) fn answer(id: Value, method: &str, params: &Value, consent: Consent) -> Value {
    let mut message = Map::new();
    message.insert("jsonrpc".to_owned(), json!("2.0"));
    message.insert("id".to_owned(), id);
    if method == ASK_PERMISSION {
        let options = params.get("options").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let of_kind = |kind: &str| options.iter().find(|option| option.get("kind").and_then(Value::as_str) == Some(kind));
        let (first, second) = match consent {
            Consent::Once => ("allow_once", "allow_always"),
            Consent::No => ("reject_once", "reject_always"),
        };
        let chosen = of_kind(first).or_else(|| of_kind(second)).and_then(|option| option.get("optionId")?.as_str());
        // Nothing of any length is said back to it.
        let chosen = chosen.filter(|option| option.len() <= MAX_FOREIGN_ID);
        let outcome = match chosen {
            Some(option) => json!({"outcome": "selected", "optionId": option}),
            None => json!({"outcome": "cancelled"}),
        };
        message.insert("result".to_owned(), json!({"outcome": outcome}));
    } else {
        message.insert("error".to_owned(), json!({"code": -32601, "message": "this client does not offer that method"}));
    }
    Value::Object(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_permission_is_granted_once_by_the_options_kind() {
        let params = json!({"options": [{"optionId": "r", "kind": "reject_once"}, {"optionId": "a", "kind": "allow_always"}, {"optionId": "o", "kind": "allow_once"}]});
        let answered = answer(json!(7), "session/request_permission", &params, Consent::Once);
        assert_eq!(answered, json!({"jsonrpc": "2.0", "id": 7, "result": {"outcome": {"outcome": "selected", "optionId": "o"}}}));
        assert_eq!(answer(json!(7), ASK_PERMISSION, &params, Consent::No)["result"]["outcome"]["optionId"], "r");
        let answered = answer(json!(8), "session/request_permission", &json!({"options": "none"}), Consent::Once);
        assert_eq!(answered["result"]["outcome"]["outcome"], "cancelled");
        assert_eq!(answer(json!("x"), "fs/read_text_file", &Value::Null, Consent::Once)["error"]["code"], -32601);
    }

    #[test]
    fn a_tool_servers_token_is_not_debug_printed() {
        let server = McpServer {
            name: "longshore".into(),
            url: "http://g/mcp".into(),
            headers: vec![("Authorization".into(), "Bearer t0k".into())],
        };
        assert!(!format!("{server:?}").contains("t0k"));
    }

    #[test]
    fn every_message_of_ours_has_its_own_mark() {
        let session = AgentSessionId::parse("ses_1").unwrap();
        let marks: Vec<_> = [
            initialize(),
            new_session("/w", &[]),
            resume_session(&session, "/w", &[]),
            load_session(&session, "/w", &[]),
            priming_session("/w", &[]),
            priming_prompt(&session, "x"),
            priming_close(&session),
            set_model(&session, "longshore/big"),
            prompt(TurnId(3), &session, &[]),
            cancel(TurnId(3), &session),
            answer(json!(3), "x", &Value::Null, Consent::Once),
            answer(json!("3"), "x", &Value::Null, Consent::Once),
        ]
        .iter()
        .map(|message| mark_of(message).unwrap())
        .collect();
        let expected = [
            "initialize",
            "new-session-1",
            "resume-session-ses_1",
            "load-session-ses_1",
            "priming-session",
            "priming-prompt",
            "priming-close",
            "model-ses_1-longshore/big",
            "prompt-3",
            "cancel-3",
            "answer 3",
            "answer \"3\"",
        ];
        assert_eq!(marks, expected);
        assert_eq!(restored_session(&marks[2]), Some(session));
    }

    #[test]
    fn only_an_exact_prompt_id_names_a_turn() {
        assert_eq!(prompted_turn("prompt-12"), Some(TurnId(12)));
        let inserted = insert_id(TurnId(3), &PromptId::parse("p-7-a").unwrap());
        assert_eq!((inserted.as_str(), prompted_turn(&inserted)), ("insert-3-p-7-a", Some(TurnId(3))));
        for odd in [
            "insert-3",
            "insert-03-p-1",
            "insert-x-p-1",
            "insert-3-",
            "insert-3-P",
            "prompt-",
            "prompt-01",
            "prompt-+1",
            "prompt-1 ",
            "prompt--1",
            "prompt-99999999999",
            PRIMING_PROMPT,
            "x",
        ] {
            assert_eq!(prompted_turn(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_garbage(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }

        #[test]
        fn any_fields_are_a_message_or_garbage(id in "(null|1|\"a\"|\\[\\]|1\\.5)", method in "(null|\"m\"|3)", result in "(null|\\{\\}|\"x\")", error in "(null|\\{\\}|7)") {
            for line in [
                format!(r#"{{"id":{id},"method":{method},"params":{result}}}"#),
                format!(r#"{{"id":{id},"result":{result},"error":{error}}}"#),
                format!(r#"{{"method":{method}}}"#),
            ] {
                let _ = parse(line.as_bytes());
            }
        }
    }

    #[test]
    fn a_tree_of_many_small_values_is_garbage_and_a_long_text_is_none() {
        let swollen = |values: usize| parse(format!(r#"{{"method":"x","params":[{}0]}}"#, "0,".repeat(values)).as_bytes());
        assert_eq!(swollen(MAX_VALUES), Err(Garbage));
        assert!(matches!(swollen(MAX_VALUES - 10), Ok(Incoming::Notification { .. })));
        let text = r#"[,{\",\\"#.repeat(MAX_VALUES);
        assert!(matches!(parse(format!(r#"{{"method":"x","params":"{text}"}}"#).as_bytes()), Ok(Incoming::Notification { .. })));
    }

    #[test]
    fn an_option_with_a_long_name_is_not_said_back() {
        let params = json!({"options": [{"optionId": "y".repeat(MAX_FOREIGN_ID + 1), "kind": "allow_once"}]});
        assert_eq!(answer(json!(1), ASK_PERMISSION, &params, Consent::Once)["result"]["outcome"]["outcome"], "cancelled");
    }

    #[test]
    fn deep_nesting_is_garbage() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(format!(r#"{{"method":"x","params":{deep}}}"#).as_bytes()), Err(Garbage));
    }
}
