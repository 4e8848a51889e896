//! OpenAI's chat completions: requests read, answers written.

use serde_json::{Value, json};

use super::{
    conversation::{Conversation, Message, Tool, ToolCall, Vendor},
    error::ApiError,
    play::Move,
    reply::{Frame, Reply, argument_pieces},
};

pub(super) fn parse(body: &Value) -> Result<Conversation, ApiError> {
    let invalid = |message: &str| ApiError::Invalid(message.to_owned());
    let model = body["model"].as_str().filter(|model| !model.is_empty()).ok_or_else(|| invalid("you must provide a model parameter"))?;
    let sent = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| invalid("'messages' must be a list that is not empty"))?;
    let mut system = String::new();
    let mut messages = Vec::new();
    for (index, message) in sent.iter().enumerate() {
        let content = text(&message["content"]);
        match message["role"].as_str() {
            Some("system" | "developer") => {
                system.push_str(&content);
                system.push('\n');
            }
            Some("user") => messages.push(Message::User(content)),
            Some("assistant") => {
                let calls =
                    message["tool_calls"].as_array().into_iter().flatten().map(|call| call_of(call, index)).collect::<Result<_, _>>()?;
                messages.push(Message::Assistant { text: content, calls });
            }
            Some("tool") => {
                let id = message["tool_call_id"]
                    .as_str()
                    .ok_or_else(|| ApiError::Invalid(format!("messages[{index}]: 'tool_call_id' is missing")))?;
                messages.push(Message::ToolResult { call_id: id.to_owned(), text: content });
            }
            _ => return Err(ApiError::Invalid(format!("messages[{index}]: this role is not supported"))),
        }
    }
    check_results(&messages)?;
    let tools = body["tools"].as_array().into_iter().flatten().map(|tool| {
        let name = tool["function"]["name"].as_str().ok_or_else(|| invalid("a tool without a function name"))?;
        Ok(Tool { name: name.to_owned(), parameters: tool["function"]["parameters"].clone() })
    });
    let format = &body["response_format"];
    let schema = match format["type"].as_str() {
        None | Some("text") => None,
        Some("json_object") => Some(json!({ "type": "object" })),
        Some("json_schema") if format["json_schema"]["schema"].is_object() && format["json_schema"]["name"].is_string() => {
            Some(format["json_schema"]["schema"].clone())
        }
        Some(_) => return Err(invalid("response_format: 'json_schema' needs 'name' and 'schema'")),
    };
    Ok(Conversation {
        vendor: Vendor::OpenAi,
        model: model.to_owned(),
        system,
        messages,
        tools: tools.collect::<Result<_, ApiError>>()?,
        schema,
        forced_tool: body["tool_choice"]["function"]["name"].as_str().map(str::to_owned),
    })
}

fn call_of(call: &Value, index: usize) -> Result<ToolCall, ApiError> {
    let (id, name) = (call["id"].as_str(), call["function"]["name"].as_str());
    let (Some(id), Some(name)) = (id, name) else {
        return Err(ApiError::Invalid(format!("messages[{index}]: a tool call needs 'id' and 'function.name'")));
    };
    let arguments = call["function"]["arguments"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    Ok(ToolCall { id: id.to_owned(), name: name.to_owned(), arguments })
}

/// As OpenAI does: each call has its result, before anything else is said, and each result its call.
fn check_results(messages: &[Message]) -> Result<(), ApiError> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        match message {
            Message::ToolResult { call_id, .. } => match open.iter().position(|id| id == call_id) {
                Some(place) => drop(open.remove(place)),
                None => {
                    return Err(ApiError::Invalid(
                        "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.".to_owned(),
                    ));
                }
            },
            _ if !open.is_empty() => break,
            Message::Assistant { calls, .. } => open.extend(calls.iter().map(|call| call.id.as_str())),
            Message::User(_) => {}
        }
    }
    match open.first() {
        None => Ok(()),
        Some(id) => Err(ApiError::Invalid(format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Missing: {id}"
        ))),
    }
}

/// A content that is a text, or a list of parts of which the texts count.
pub(super) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// The whole answer as one body.
pub(super) fn body(reply: &Reply) -> Value {
    let mut message = json!({ "role": "assistant", "content": null, "refusal": null });
    if let Move::Refuse(text) = &reply.answer {
        message["refusal"] = json!(text);
    } else if !reply.text().is_empty() || reply.calls().is_empty() {
        message["content"] = json!(reply.text());
    }
    if !reply.calls().is_empty() {
        let calls = reply.calls().iter().map(
            |call| json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": call.arguments.to_string() } }),
        );
        message["tool_calls"] = calls.collect();
    }
    json!({
        "id": id(reply), "object": "chat.completion", "created": reply.created_s, "model": reply.model,
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(reply) }],
        "usage": usage(reply),
    })
}

/// The answer as a stream's events; the usage is among them only if it was asked for.
pub(super) fn frames(reply: &Reply, request: &Value) -> Vec<Frame> {
    let include_usage = request["stream_options"]["include_usage"] == json!(true);
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({ "id": id(reply), "object": "chat.completion.chunk", "created": reply.created_s, "model": reply.model, "choices": choices });
        if include_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Value| chunk(json!([{ "index": 0, "delta": delta, "finish_reason": finish }]), Value::Null);
    let mut frames = vec![Frame { text: delta(json!({ "role": "assistant", "content": "" }), Value::Null), is_piece: false }];
    let mut piece = |value: Value| frames.push(Frame { text: delta(value, Value::Null), is_piece: true });
    if let Move::Refuse(text) = &reply.answer {
        piece(json!({ "refusal": text }));
    }
    for text in reply.pieces() {
        piece(json!({ "content": text }));
    }
    for (index, call) in reply.calls().iter().enumerate() {
        let start = json!({ "index": index, "id": call.id, "type": "function", "function": { "name": call.name, "arguments": "" } });
        piece(json!({ "tool_calls": [start] }));
        for part in argument_pieces(&call.arguments) {
            piece(json!({ "tool_calls": [{ "index": index, "function": { "arguments": part } }] }));
        }
    }
    frames.push(Frame { text: delta(json!({}), json!(finish_reason(reply))), is_piece: false });
    if include_usage {
        frames.push(Frame { text: chunk(json!([]), usage(reply)), is_piece: false });
    }
    frames.push(Frame { text: "data: [DONE]\n\n".to_owned(), is_piece: false });
    frames
}

fn id(reply: &Reply) -> String {
    format!("chatcmpl-emulated{:06}", reply.number)
}

fn finish_reason(reply: &Reply) -> &'static str {
    match &reply.answer {
        _ if reply.is_cut() => "length",
        Move::Call { .. } => "tool_calls",
        Move::Say(_) | Move::Structured(_) | Move::Refuse(_) => "stop",
    }
}

fn usage(reply: &Reply) -> Value {
    let (input, output) = (reply.input_tokens, reply.output_tokens());
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0 },
    })
}
