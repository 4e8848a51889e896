//! What an agent is answered that is only warmed up: a word, at no cost.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Dialect, Refusal, watched::next_request};
use crate::{LlmEvent, LlmEventKind, Pass, body, gateway::Shared};

const WORD: &str = "ok";

impl Shared {
    pub(super) async fn prime(&self, dialect: Dialect, pass: &Pass, body: Body) -> Result<Response<Body>, Refusal> {
        let body = body::gather(body, self.config.limits.llm_request, self.config.limits.stall).await?;
        let request: Value = if body::is_swollen(&body) { Value::Null } else { serde_json::from_slice(&body).unwrap_or_default() };
        let model = request.get("model").and_then(Value::as_str).map(str::to_owned);
        let response = match dialect {
            Dialect::Chat => chat(&request),
            Dialect::Responses | Dialect::Anthropic => {
                let message = "only chat completions can be asked while the agent is warmed up";
                return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", message));
            }
        };
        self.parts.observer.observe(LlmEvent {
            sandbox: pass.sandbox.clone(),
            request: next_request(),
            kind: LlmEventKind::Primed { model },
        });
        Ok(response)
    }
}

fn chat(request: &Value) -> Response<Body> {
    let usage = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    let object = |object: &str, choice: Value| json!({ "id": "chatcmpl-priming", "object": object, "created": 0, "model": request.get("model"), "choices": [choice], "usage": usage });
    let (kind, text) = if request.get("stream").and_then(Value::as_bool) == Some(true) {
        let chunk = |delta: Value, finish: Option<&str>| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
            format!("data: {}\n\n", object("chat.completion.chunk", choice))
        };
        let said = chunk(json!({ "role": "assistant", "content": WORD }), None);
        let end = chunk(json!({}), Some("stop"));
        ("text/event-stream", format!("{said}{end}data: [DONE]\n\n"))
    } else {
        let choice = json!({ "index": 0, "message": { "role": "assistant", "content": WORD }, "finish_reason": "stop" });
        ("application/json", object("chat.completion", choice).to_string())
    };
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
