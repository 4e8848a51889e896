//! `/hooks/tool`: the hook in the agent asks before each tool call, and after those whose outcome is wanted.
//!
//! A question is answered within `hook_wait`, if need be with `wait`, upon which it is asked again: so no answer depends on one long connection, and a
//! restart of the service is only a wait.

use std::sync::Arc;

use axum::{Extension, Router, body::Body, extract::State, response::IntoResponse, routing::post};
use http::{Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    ToolCall, ToolRight, Verdict, body,
    door::{Entry, Peer},
    gateway::Shared,
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/hooks/tool", post(tool))
}

/// Bytes that a name or an id may have.
const LONGEST_NAME: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Before,
    After,
}

#[derive(Debug, Deserialize)]
struct Question {
    when: When,
    tool: String,
    session: String,
    call: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default)]
    cut: Vec<String>,
}

async fn tool(State(shared): State<Arc<Shared>>, Extension(peer): Extension<Peer>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let entry = match shared.enter(&parts.headers, &header::AUTHORIZATION, peer) {
        Ok(entry) => entry,
        Err(turned) => return (turned.status(), turned.message()).into_response(),
    };
    // The place among the open requests is held until the answer is made.
    let Entry { pass, slot: _slot } = entry;
    if pass.tools == ToolRight::None {
        return (StatusCode::FORBIDDEN, "longshore: this sandbox is offered no tools").into_response();
    }
    let limits = &shared.config.limits;
    let body = match body::gather(body, limits.hook_request, limits.stall).await {
        Ok(body) => body,
        Err(error) => return (error.status(), format!("longshore: the question could not be read: {error}")).into_response(),
    };
    let Question { when, tool, session, call, arguments, cut } = match read(&body) {
        Ok(question) => question,
        Err(what) => return (StatusCode::BAD_REQUEST, format!("longshore: {what}")).into_response(),
    };
    let call = ToolCall { tool, call, conversation: session, arguments, cut };
    let wait = json!({ "decision": "wait" });
    let answering = async {
        match when {
            When::Before => verdict(shared.parts.gate.before(&pass, call).await),
            When::After => json!({ "note": shared.parts.gate.after(&pass, call).await }),
        }
    };
    let answer = tokio::select! {
        answer = tokio::time::timeout(limits.hook_wait, answering) => answer.unwrap_or(wait),
        () = shared.end.cancelled() => wait,
    };
    axum::Json(answer).into_response()
}

fn read(body: &[u8]) -> Result<Question, String> {
    if body::is_swollen(body) {
        return Err("the question holds too many values".to_owned());
    }
    let question: Question = serde_json::from_slice(body).map_err(|error| format!("this is no question about a tool: {error}"))?;
    if [&question.tool, &question.session, &question.call].iter().any(|name| name.len() > LONGEST_NAME) {
        return Err("a name is too long".to_owned());
    }
    Ok(question)
}

fn verdict(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Allow { changed, report, freely } => {
            let mut answer = json!({ "decision": "allow" });
            if !changed.is_empty() {
                answer["arguments"] = Value::Object(changed);
            }
            if report {
                answer["after"] = json!(true);
            }
            if let Some(freely) = freely {
                answer["free"] = json!({ "tools": freely.tools, "seconds": freely.during.as_secs() });
            }
            answer
        }
        Verdict::Deny { reason } => json!({ "decision": "deny", "reason": reason }),
        Verdict::Wait => json!({ "decision": "wait" }),
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use super::*;

    pub const QUESTIONS: &[&[u8]] = &[
        br#"{"when":"before","tool":"write","session":"ses_1","call":"c1","arguments":{"filePath":"/workspace/a","content":"x"},"cut":["content"]}"#,
        br#"{"when":"after","tool":"bash","session":"ses_1","call":"c1"}"#,
    ];

    /// A question that is taken names the moment, a tool, a conversation and a call, none of them long; an error says nothing at length.
    pub fn question(bytes: &[u8]) {
        match read(bytes) {
            Ok(question) => {
                // Of what is passed over not even the letters are looked at.
                if let Ok(told) = serde_json::from_slice::<Value>(bytes) {
                    assert_eq!(told["tool"].as_str(), Some(question.tool.as_str()));
                    assert_eq!(told["when"].as_str(), Some(if question.when == When::Before { "before" } else { "after" }));
                }
                assert!([question.tool, question.session, question.call].iter().all(|name| name.len() <= LONGEST_NAME));
            }
            Err(what) => assert!(what.len() < 1000 + 4 * bytes.len(), "{what}"),
        }
    }
}
