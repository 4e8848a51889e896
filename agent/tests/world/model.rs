//! A model that does what the last prompt's first word says, and the gateway's tool server with one tool.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

pub const TOKEN: &str = "sandbox-token-1";

#[derive(Default)]
pub struct Log {
    pub tool_calls: Vec<String>,
    pub system: String,
    pub prompts: Vec<String>,
    pub unauthorized: u32,
    /// What the hook was asked.
    pub questions: Vec<Value>,
    /// Tools that the hook holds back.
    pub closed: Vec<&'static str>,
    /// The hook is not there.
    pub away: bool,
    /// What tools answered, as the model saw it last.
    pub results: Vec<String>,
    pub model: String,
    /// Requests of the small model's.
    pub titles: u32,
    /// When a request of the main model's came last.
    pub asked: Option<tokio::time::Instant>,
}

type Shared = Arc<Mutex<Log>>;

pub struct Model {
    url: String,
    log: Shared,
    server: tokio::task::JoinHandle<()>,
}

impl Model {
    pub async fn start() -> Self {
        let log = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/llm/v1/chat/completions", post(complete))
            .route("/mcp", post(tools))
            .route("/hooks/tool", post(hook))
            .with_state(log.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, log, server }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}

enum Reply {
    Text(String),
    Tool(&'static str, Value),
    /// Side by side.
    Tools(Vec<(&'static str, Value)>),
    Refused(StatusCode, &'static str),
}

fn authorized(log: &Shared, headers: &HeaderMap) -> bool {
    let right = headers.get(header::AUTHORIZATION).is_some_and(|value| value == &format!("Bearer {TOKEN}"));
    log.lock().unwrap().unauthorized += u32::from(!right);
    right
}

async fn complete(State(log): State<Shared>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    if !authorized(&log, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let reply = if request["tools"].is_array() {
        log.lock().unwrap().asked = Some(tokio::time::Instant::now());
        log.lock().unwrap().model = request["model"].as_str().unwrap_or_default().to_owned();
        decide(&log, &request)
    } else {
        log.lock().unwrap().titles += 1;
        Reply::Text("A title".to_owned())
    };
    let (delta, finish) = match reply {
        Reply::Refused(status, message) => return (status, Json(json!({"error": {"message": message}}))).into_response(),
        Reply::Text(text) => {
            let (one, two) = text.split_at(text.len() / 2);
            (vec![json!({"role": "assistant", "content": one}), json!({"content": two})], "stop")
        }
        Reply::Tool(name, arguments) => (vec![calls(&request, vec![(name, arguments)])], "tool_calls"),
        Reply::Tools(all) => (vec![calls(&request, all)], "tool_calls"),
    };
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let usage = finish.map(|_| json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}));
        let chunk =
            json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "big", "choices": [choice], "usage": usage});
        Ok::<_, std::convert::Infallible>(Bytes::from(format!("data: {chunk}\n\n")))
    };
    let mut events: Vec<_> = delta.into_iter().map(|delta| chunk(delta, None)).collect();
    events.push(chunk(json!({}), Some(finish)));
    events.push(Ok(Bytes::from("data: [DONE]\n\n")));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream::iter(events))).into_response()
}

fn calls(request: &Value, all: Vec<(&str, Value)>) -> Value {
    // A conversation may hold many calls: each needs an id of its own.
    let before = request["messages"].as_array().unwrap().len();
    let call = |(index, (name, arguments)): (usize, (&str, Value))| {
        let function = json!({"name": name, "arguments": arguments.to_string()});
        json!({"index": index, "id": format!("call_{before}_{index}"), "type": "function", "function": function})
    };
    json!({"role": "assistant", "tool_calls": all.into_iter().enumerate().map(call).collect::<Vec<_>>()})
}

fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn decide(log: &Shared, request: &Value) -> Reply {
    let messages = request["messages"].as_array().unwrap();
    let of_role = |role: &str| messages.iter().filter(|message| message["role"] == role).map(text_of).collect::<Vec<_>>();
    let prompts = of_role("user");
    {
        let mut log = log.lock().unwrap();
        log.system = of_role("system").join("\n");
        log.prompts.clone_from(&prompts);
        log.results = of_role("tool");
    }
    let last = messages.iter().rposition(|message| message["role"] == "user").unwrap();
    let done = messages[last..].iter().filter(|message| message["role"] == "tool").count();
    match (prompts.last().map(String::as_str).unwrap_or_default(), done) {
        ("mend the greeting", 0) => Reply::Tool("read", json!({"filePath": "greeting.py"})),
        ("mend the greeting", 1) => {
            let todos = [json!({"content": "find it", "status": "completed", "priority": "high"})];
            Reply::Tool("todowrite", json!({"todos": todos}))
        }
        ("mend the greeting", 2) => Reply::Tool("edit", json!({"filePath": "greeting.py", "oldString": "helo", "newString": "hello"})),
        ("mend the greeting", 3) => Reply::Tool("write", json!({"filePath": "notes.txt", "content": "done\n"})),
        ("mend the greeting", 4) => Reply::Tool("bash", json!({"command": "python3 greeting.py", "description": "run it"})),
        ("mend the greeting", 5) => Reply::Tool("longshore_post_update", json!({"text": "found it"})),
        ("mend the greeting", _) => Reply::Text("All mended.".to_owned()),
        ("wait for it", 0) => Reply::Tool("bash", json!({"command": "until [ -e go ]; do sleep 0.05; done", "description": "wait"})),
        ("wait for it", _) => Reply::Text("Waited.".to_owned()),
        ("read beside a write", 0) => Reply::Tools(vec![
            ("write", json!({"filePath": "held.txt", "content": "written\n"})),
            ("read", json!({"filePath": "greeting.py"})),
        ]),
        ("run what is asked", 0) => Reply::Tools(vec![
            ("bash", json!({"command": "forbidden deed", "description": "refused"})),
            ("bash", json!({"command": "echo asked", "description": "changed"})),
            ("write", json!({"filePath": "noted.txt", "content": "x"})),
        ]),
        ("delegate", 0) => Reply::Tool("task", json!({"description": "a part", "prompt": "a part of it", "subagent_type": "general"})),
        ("a part of it", 0) => Reply::Tool("write", json!({"filePath": "part.txt", "content": "x"})),
        ("pay", _) => Reply::Refused(StatusCode::PAYMENT_REQUIRED, "this session's budget is spent"),
        (_, _) => {
            Reply::Text(format!("You said: {}", if prompts.len() > 1 { &prompts[..prompts.len() - 1] } else { &prompts[..] }.join(", ")))
        }
    }
}

/// The gateway's hook: asked before each tool call, and after it where it said so.
async fn hook(State(log): State<Shared>, headers: HeaderMap, Json(question): Json<Value>) -> Response {
    if !authorized(&log, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut log = log.lock().unwrap();
    log.questions.push(question.clone());
    if log.away {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let tool = question["tool"].as_str().unwrap_or_default();
    let (line, path) = (question["arguments"]["command"].as_str(), question["arguments"]["filePath"].as_str());
    let answer = if question["when"] == "after" {
        json!({"note": "NOTE: mind the style guide."})
    } else if log.closed.contains(&tool) {
        json!({"decision": "wait"})
    } else if line.is_some_and(|line| line.starts_with("forbidden")) {
        json!({"decision": "deny", "reason": "REASON: this is not done here"})
    } else if line == Some("echo asked") {
        json!({"decision": "allow", "arguments": {"command": "echo changed"}})
    } else if path.is_some_and(|path| path.ends_with("noted.txt")) {
        json!({"decision": "allow", "after": true})
    } else {
        json!({"decision": "allow", "free": {"tools": ["read"], "seconds": 60}})
    };
    Json(answer).into_response()
}

async fn tools(State(log): State<Shared>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    if !authorized(&log, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let result = match request["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "longshore", "version": "1"},
        }),
        "tools/list" => {
            let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
            json!({"tools": [{"name": "post_update", "description": "Posts an update.", "inputSchema": schema}]})
        }
        "tools/call" => {
            log.lock().unwrap().tool_calls.push(request["params"]["name"].as_str().unwrap_or_default().to_owned());
            json!({"content": [{"type": "text", "text": "posted"}]})
        }
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response()
}
