//! `/mcp`: the agent's tools over the Model Context Protocol's streamable HTTP transport.
//!
//! Stateless: no session id is given, nothing is kept between two messages, and every answer is plain JSON. So a restart of the service is nothing
//! that a client would notice but a request that failed.

use std::sync::Arc;

use axum::{Extension, Router, body::Body, extract::State, response::IntoResponse, routing::post};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use longshore_session::fault_point;
use serde_json::{Map, Value, json};
use tracing::Instrument;

use crate::{
    Pass, ToolResult, ToolRight, ToolSpec, body,
    door::{Entry, Peer, Turned},
    gateway::Shared,
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    // No stream from the server and no session to end: GET and DELETE are answered with 405, which clients take for exactly that.
    Router::new().route("/mcp", post(message))
}

/// The newest first: it is offered to a client that asks for one that is not known here.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// Messages in one batch (which only the version of March 2025 knows).
const LONGEST_BATCH: usize = 32;

/// JSON-RPC's error codes.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
/// From the range that is left to implementations: the request was not let in.
const REFUSED: i32 = -32001;

#[derive(Debug)]
struct Failure {
    code: i32,
    message: String,
}

impl Failure {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn under(self, id: Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": self.code, "message": self.message } })
    }
}

async fn message(State(shared): State<Arc<Shared>>, Extension(peer): Extension<Peer>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let entry = match shared.enter(&parts.headers, &header::AUTHORIZATION, peer) {
        Ok(entry) => entry,
        Err(turned) => {
            let mut response = refusal(turned.status(), REFUSED, turned.message());
            if turned == Turned::Unknown {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"longshore\""));
            }
            return response;
        }
    };
    // The place among the open requests is held until the answer is made.
    let Entry { pass, slot: _slot } = entry;
    if pass.tools == ToolRight::None {
        return refusal(StatusCode::FORBIDDEN, REFUSED, "longshore: this sandbox is offered no tools");
    }
    if let Some(version) = unknown_version(&parts.headers) {
        return refusal(
            StatusCode::BAD_REQUEST,
            INVALID_REQUEST,
            format!("the protocol version {version:?} is not known; known are {}", VERSIONS.join(", ")),
        );
    }
    let limits = &shared.config.limits;
    let body = match body::gather(body, limits.mcp_request, limits.stall).await {
        Ok(body) => body,
        Err(error) => return refusal(error.status(), INVALID_REQUEST, format!("the message could not be read: {error}")),
    };
    if body::is_swollen(&body) {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "the message holds too many values");
    }
    let answer = match serde_json::from_slice::<Value>(&body) {
        Err(error) => return refusal(StatusCode::BAD_REQUEST, PARSE_ERROR, format!("not JSON: {error}")),
        Ok(Value::Array(batch)) if batch.is_empty() || batch.len() > LONGEST_BATCH => {
            return refusal(StatusCode::BAD_REQUEST, INVALID_REQUEST, format!("a batch holds 1 to {LONGEST_BATCH} messages"));
        }
        Ok(Value::Array(batch)) => {
            let mut answers = Vec::new();
            for message in batch {
                answers.extend(one(&shared, &pass, message).await);
            }
            (!answers.is_empty()).then_some(Value::Array(answers))
        }
        Ok(message) => one(&shared, &pass, message).await,
    };
    match answer {
        // Notifications are taken without an answer.
        None => StatusCode::ACCEPTED.into_response(),
        Some(answer) => axum::Json(answer).into_response(),
    }
}

fn refusal(status: StatusCode, code: i32, message: impl Into<String>) -> Response<Body> {
    (status, axum::Json(Failure::new(code, message).under(Value::Null))).into_response()
}

/// Sent from the second message on, by clients that know the header.
fn unknown_version(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get("mcp-protocol-version").filter(|version| !VERSIONS.iter().any(|known| version == known))
}

/// The answer to one message; None for a notification and for an answer (we ask nothing, so it answers nothing).
async fn one(shared: &Shared, pass: &Arc<Pass>, message: Value) -> Option<Value> {
    let Value::Object(mut message) = message else {
        return Some(Failure::new(INVALID_REQUEST, "a message is a JSON object").under(Value::Null));
    };
    let id = message.remove("id");
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Some(Failure::new(INVALID_REQUEST, "`jsonrpc` must be \"2.0\"").under(id.unwrap_or(Value::Null)));
    }
    let Some(method) = message.remove("method") else {
        let is_answer = message.contains_key("result") || message.contains_key("error");
        return (!is_answer).then(|| Failure::new(INVALID_REQUEST, "`method` is missing").under(id.unwrap_or(Value::Null)));
    };
    let (Value::String(method), id) = (method, id?) else {
        return Some(Failure::new(INVALID_REQUEST, "`method` must be a text").under(Value::Null));
    };
    if !matches!(id, Value::String(_) | Value::Number(_)) {
        return Some(Failure::new(INVALID_REQUEST, "`id` must be a text or a number").under(Value::Null));
    }
    let params = match message.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Some(Failure::new(INVALID_PARAMS, "`params` must be an object").under(id)),
    };
    let result = match method.as_str() {
        "initialize" => Ok(initialize(&params)),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": shared.parts.tools.list(pass).iter().map(described).collect::<Vec<_>>() })),
        "tools/call" => call(shared, pass, params).await,
        _ => Err(Failure::new(METHOD_NOT_FOUND, format!("there is no method `{method}`"))),
    };
    Some(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(failure) => failure.under(id),
    })
}

fn initialize(params: &Map<String, Value>) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let version = VERSIONS.iter().find(|known| asked == Some(**known)).unwrap_or(&VERSIONS[0]);
    json!({
        "protocolVersion": version,
        "capabilities": { "tools": { "listChanged": false } },
        "serverInfo": { "name": "longshore", "version": env!("CARGO_PKG_VERSION") },
    })
}

fn described(tool: &ToolSpec) -> Value {
    json!({ "name": tool.name, "description": tool.description, "inputSchema": tool.input_schema })
}

async fn call(shared: &Shared, pass: &Arc<Pass>, mut params: Map<String, Value>) -> Result<Value, Failure> {
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(Failure::new(INVALID_PARAMS, "`name` of the tool is missing"));
    };
    let tools = shared.parts.tools.clone();
    if !tools.list(pass).iter().any(|tool| tool.name == name) {
        return Err(Failure::new(INVALID_PARAMS, format!("there is no tool `{name}`")));
    }
    let arguments = match params.remove("arguments") {
        None => Value::Object(Map::new()),
        Some(arguments @ Value::Object(_)) => arguments,
        Some(_) => return Err(Failure::new(INVALID_PARAMS, "`arguments` must be an object")),
    };
    tracing::info!(sandbox = %pass.sandbox, tool = %name, "a tool is called");
    // A task of its own: what a tool has begun it brings to its end, also when the agent hangs up.
    let (pass, limit, end) = (pass.clone(), shared.config.limits.tool_call, shared.end.clone());
    fault_point!("tool.called.before");
    let called = async move {
        tokio::select! {
            done = tokio::time::timeout(limit, tools.call(&pass, &name, arguments)) => done.unwrap_or_else(|_| {
                tracing::warn!(sandbox = %pass.sandbox, tool = %name, "a tool took too long");
                ToolResult::failed(format!("longshore: {name} took longer than {} s and was given up; it can be called again", limit.as_secs()))
            }),
            () = end.cancelled() => ToolResult::failed(format!("longshore: the service is restarting; call {name} again")),
        }
    };
    let task = shared.tasks.spawn(called.in_current_span());
    let result = task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a tool panicked");
        ToolResult::failed("longshore: the tool failed within the service")
    });
    fault_point!("tool.called.after");
    Ok(json!({ "content": [{ "type": "text", "text": result.text }], "isError": result.is_error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_version_is_taken_and_else_the_newest_offered() {
        let version = |asked: Value| initialize(asked.as_object().unwrap())["protocolVersion"].clone();
        assert_eq!(version(json!({ "protocolVersion": "2025-03-26" })), "2025-03-26");
        assert_eq!(version(json!({ "protocolVersion": "2099-01-01" })), VERSIONS[0]);
        assert_eq!(version(json!({})), VERSIONS[0]);
    }
}
