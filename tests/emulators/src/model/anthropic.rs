//! Anthropic's messages: requests read, answers written.

use serde_json::{Value, json};

use super::{
    conversation::{Conversation, Message, Tool, ToolCall, Vendor},
    error::ApiError,
    openai::text,
    play::Move,
    reply::{Frame, Reply, argument_pieces},
};

pub(super) fn parse(body: &Value) -> Result<Conversation, ApiError> {
    let invalid = |message: &str| ApiError::Invalid(message.to_owned());
    let model = body["model"].as_str().filter(|model| !model.is_empty()).ok_or_else(|| invalid("model: Field required"))?;
    if body["max_tokens"].as_u64().is_none_or(|most| most == 0) {
        return Err(invalid("max_tokens: Field required"));
    }
    let sent = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| invalid("messages: at least one message is required"))?;
    let mut messages = Vec::new();
    for (index, message) in sent.iter().enumerate() {
        match message["role"].as_str() {
            Some("user") => user(&message["content"], index, &mut messages)?,
            Some("assistant") => {
                let blocks = message["content"].as_array().into_iter().flatten();
                let calls = blocks.filter(|block| block["type"] == "tool_use").map(|block| ToolCall {
                    id: block["id"].as_str().unwrap_or_default().to_owned(),
                    name: block["name"].as_str().unwrap_or_default().to_owned(),
                    arguments: block["input"].clone(),
                });
                messages.push(Message::Assistant { text: text(&message["content"]), calls: calls.collect() });
            }
            _ => return Err(ApiError::Invalid(format!("messages.{index}.role: Input should be 'user' or 'assistant'"))),
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten().map(|tool| {
        let name = tool["name"].as_str().ok_or_else(|| invalid("tools: a tool needs a name"))?;
        Ok(Tool { name: name.to_owned(), parameters: tool["input_schema"].clone() })
    });
    let schema = [&body["output_config"]["format"]["schema"], &body["output_format"]["schema"]]
        .into_iter()
        .find(|schema| schema.is_object())
        .cloned();
    Ok(Conversation {
        vendor: Vendor::Anthropic,
        model: model.to_owned(),
        system: text(&body["system"]),
        messages,
        tools: tools.collect::<Result<_, ApiError>>()?,
        schema,
        forced_tool: (body["tool_choice"]["type"] == "tool").then(|| body["tool_choice"]["name"].as_str().map(str::to_owned)).flatten(),
    })
}

/// A user's message may hold results of tools, and after them something that the user says.
fn user(content: &Value, index: usize, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    for block in content.as_array().into_iter().flatten().filter(|block| block["type"] == "tool_result") {
        let id = block["tool_use_id"].as_str().unwrap_or_default();
        let is_known = messages.iter().any(|message| match message {
            Message::Assistant { calls, .. } => calls.iter().any(|call| call.id == id),
            _ => false,
        });
        if !is_known {
            return Err(ApiError::Invalid(format!("messages.{index}: `tool_result` without the `tool_use` {id} before it")));
        }
        messages.push(Message::ToolResult { call_id: id.to_owned(), text: text(&block["content"]) });
    }
    let said = text(content);
    if !said.is_empty() {
        messages.push(Message::User(said));
    }
    Ok(())
}

/// The whole answer as one body.
pub(super) fn body(reply: &Reply) -> Value {
    let mut content = Vec::new();
    let said = match &reply.answer {
        Move::Refuse(text) => text.clone(),
        _ => reply.text(),
    };
    if !said.is_empty() {
        content.push(json!({ "type": "text", "text": said }));
    }
    content
        .extend(reply.calls().iter().map(|call| json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments })));
    json!({
        "id": id(reply), "type": "message", "role": "assistant", "model": reply.model, "content": content,
        "stop_reason": stop_reason(reply), "stop_sequence": null, "usage": usage(reply, reply.output_tokens()),
    })
}

/// The answer as a stream's events.
pub(super) fn frames(reply: &Reply) -> Vec<Frame> {
    let frame = |event: Value, is_piece: bool| {
        let name = event["type"].as_str().unwrap_or_default();
        Frame { text: format!("event: {name}\ndata: {event}\n\n"), is_piece }
    };
    let start = json!({
        "id": id(reply), "type": "message", "role": "assistant", "model": reply.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(reply, 1),
    });
    let mut frames = vec![frame(json!({ "type": "message_start", "message": start }), false), frame(json!({ "type": "ping" }), false)];
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>| {
        frames.push(frame(json!({ "type": "content_block_start", "index": index, "content_block": start }), false));
        frames
            .extend(deltas.into_iter().map(|delta| frame(json!({ "type": "content_block_delta", "index": index, "delta": delta }), true)));
        frames.push(frame(json!({ "type": "content_block_stop", "index": index }), false));
        index += 1;
    };
    let pieces = match &reply.answer {
        Move::Refuse(text) => vec![text.clone()],
        _ => reply.pieces(),
    };
    if !pieces.concat().is_empty() {
        let deltas = pieces.iter().map(|text| json!({ "type": "text_delta", "text": text })).collect();
        block(json!({ "type": "text", "text": "" }), deltas);
    }
    for call in reply.calls() {
        let deltas =
            argument_pieces(&call.arguments).iter().map(|part| json!({ "type": "input_json_delta", "partial_json": part })).collect();
        block(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} }), deltas);
    }
    let delta = json!({ "stop_reason": stop_reason(reply), "stop_sequence": null });
    frames.push(frame(json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": reply.output_tokens() } }), false));
    frames.push(frame(json!({ "type": "message_stop" }), false));
    frames
}

fn id(reply: &Reply) -> String {
    format!("msg_emulated{:06}", reply.number)
}

fn stop_reason(reply: &Reply) -> &'static str {
    match &reply.answer {
        _ if reply.is_cut() => "max_tokens",
        Move::Call { .. } => "tool_use",
        Move::Refuse(_) => "refusal",
        Move::Say(_) | Move::Structured(_) => "end_turn",
    }
}

fn usage(reply: &Reply, output: u64) -> Value {
    json!({ "input_tokens": reply.input_tokens, "output_tokens": output, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0 })
}
