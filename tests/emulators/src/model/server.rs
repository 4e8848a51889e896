//! The HTTP side: keys, faults, pace, and which answer a request gets.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, Method, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    anthropic, classify,
    conversation::{CallKind, Conversation, ToolCall, Vendor},
    error::ApiError,
    fault::{Fault, Pace, WaitingFault},
    log::{Answer, RecordedRequest, RequestLog, now_ms},
    mend, openai, plain,
    play::Move,
    reply::{Frame, Reply},
    script::Script,
    setup::ModelSetup,
};

/// A conversation with files in it is long; a body beyond this is no conversation.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// Time for what was written to reach the other side.
const FLUSH: Duration = Duration::from_millis(30);

/// What all requests share.
#[derive(Debug)]
pub(super) struct Emulator {
    pub(super) setup: ModelSetup,
    pub(super) log: RequestLog,
    pub(super) pace: Mutex<Pace>,
    pub(super) faults: Mutex<VecDeque<WaitingFault>>,
    pub(super) scripts: Mutex<Vec<Script>>,
    pub(super) answers: AtomicUsize,
    pub(super) stop: CancellationToken,
}

pub(super) fn router(emulator: Arc<Emulator>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/messages", post(messages))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(emulator)
}

async fn chat_completions(State(emulator): State<Arc<Emulator>>, headers: HeaderMap, body: Bytes) -> Response {
    emulator.answer(Vendor::OpenAi, &headers, &body).await
}

async fn messages(State(emulator): State<Arc<Emulator>>, headers: HeaderMap, body: Bytes) -> Response {
    emulator.answer(Vendor::Anthropic, &headers, &body).await
}

async fn models(State(emulator): State<Arc<Emulator>>, headers: HeaderMap) -> Response {
    let vendor = vendor_of(&headers);
    if !emulator.knows_key(&headers) {
        return ApiError::Unauthorized.into_response(vendor);
    }
    let list: Vec<Value> = emulator.setup.models.iter().map(|id| model_body(vendor, id)).collect();
    match vendor {
        Vendor::OpenAi => Json(json!({ "object": "list", "data": list })).into_response(),
        Vendor::Anthropic => {
            let (first, last) = (emulator.setup.models.first(), emulator.setup.models.last());
            Json(json!({ "data": list, "has_more": false, "first_id": first, "last_id": last })).into_response()
        }
    }
}

async fn model(State(emulator): State<Arc<Emulator>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let vendor = vendor_of(&headers);
    if !emulator.knows_key(&headers) {
        return ApiError::Unauthorized.into_response(vendor);
    }
    match emulator.setup.models.iter().find(|known| **known == id) {
        Some(id) => Json(model_body(vendor, id)).into_response(),
        None => ApiError::NotFound(format!("The model '{id}' does not exist")).into_response(vendor),
    }
}

fn model_body(vendor: Vendor, id: &str) -> Value {
    match vendor {
        Vendor::OpenAi => json!({ "id": id, "object": "model", "created": 1_700_000_000, "owned_by": "longshore" }),
        Vendor::Anthropic => json!({ "type": "model", "id": id, "display_name": id, "created_at": "2023-11-14T22:13:20Z" }),
    }
}

/// Both vendors list models at the same path; only one of them sends its version.
fn vendor_of(headers: &HeaderMap) -> Vendor {
    if headers.contains_key("anthropic-version") { Vendor::Anthropic } else { Vendor::OpenAi }
}

async fn nothing_here(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    ApiError::NotFound(format!("Invalid URL ({method} {})", uri.path())).into_response(vendor_of(&headers))
}

/// What a request gets once it is understood.
enum Plan {
    Answer { reply: Reply, fault: Option<Fault> },
    Refuse(ApiError),
}

impl Emulator {
    fn knows_key(&self, headers: &HeaderMap) -> bool {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let plain = headers.get("x-api-key").and_then(|value| value.to_str().ok());
        [bearer, plain].into_iter().flatten().any(|key| self.setup.api_keys.iter().any(|known| known == key))
    }

    async fn answer(&self, vendor: Vendor, headers: &HeaderMap, body: &[u8]) -> Response {
        let at_ms = now_ms();
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let understood = self.understand(vendor, headers, &request);
        let conversation = understood.as_ref().ok();
        let plan = match &understood {
            Ok(conversation) => self.plan(conversation),
            Err(error) => Plan::Refuse(error.clone()),
        };
        self.log.record(RecordedRequest {
            at_ms,
            vendor,
            model: request["model"].as_str().unwrap_or_default().to_owned(),
            kind: conversation.map(Conversation::kind),
            messages: conversation.map_or(0, |conversation| conversation.messages.len()),
            tools: conversation.map(|conversation| conversation.tools.iter().map(|tool| tool.name.clone()).collect()).unwrap_or_default(),
            stream: request["stream"] == json!(true),
            answer: logged(&plan),
            body: request.clone(),
        });
        match plan {
            Plan::Refuse(error) => error.into_response(vendor),
            Plan::Answer { reply, fault } => self.respond(vendor, &request, &reply, fault).await,
        }
    }

    fn understand(&self, vendor: Vendor, headers: &HeaderMap, request: &Value) -> Result<Conversation, ApiError> {
        if !self.knows_key(headers) {
            return Err(ApiError::Unauthorized);
        }
        if !request.is_object() {
            return Err(ApiError::Invalid("We could not parse the JSON body of your request.".to_owned()));
        }
        match vendor {
            Vendor::OpenAi => openai::parse(request),
            Vendor::Anthropic if !headers.contains_key("anthropic-version") => {
                Err(ApiError::Invalid("anthropic-version: header is required".to_owned()))
            }
            Vendor::Anthropic => anthropic::parse(request),
        }
    }

    fn plan(&self, conversation: &Conversation) -> Plan {
        let given = conversation.tokens();
        if given > self.setup.context_tokens {
            return Plan::Refuse(ApiError::ContextLength { limit: self.setup.context_tokens, given });
        }
        let waiting = self.take_fault(conversation.kind());
        let (answer, scripted) = match self.decide(conversation) {
            Ok(answer) => (answer, None),
            Err(fault) => (Move::Say(plain::answer()), Some(fault)),
        };
        let mut reply = Reply {
            number: self.answers.fetch_add(1, Ordering::SeqCst) + 1,
            created_s: now_ms() / 1000,
            model: conversation.model.clone(),
            answer,
            input_tokens: given,
            cut_after: None,
        };
        match waiting.or(scripted) {
            Some(Fault::RateLimited { retry_after }) => Plan::Refuse(ApiError::RateLimited { retry_after }),
            Some(Fault::Status(status)) => Plan::Refuse(ApiError::Status(status)),
            Some(Fault::ContextLengthExceeded) => Plan::Refuse(ApiError::ContextLength { limit: self.setup.context_tokens, given }),
            Some(Fault::Refusal(text)) => {
                reply.answer = Move::Refuse(text);
                Plan::Answer { reply, fault: None }
            }
            Some(Fault::CutAfter(pieces)) => {
                // At the limit a model has not come to its tool calls.
                if let Move::Call { say, .. } = &reply.answer {
                    reply.answer = Move::Say(say.clone());
                }
                reply.cut_after = Some(pieces);
                Plan::Answer { reply, fault: None }
            }
            fault @ (Some(Fault::Slow(_) | Fault::DropAfter(_) | Fault::StallAfter(_)) | None) => Plan::Answer { reply, fault },
        }
    }

    fn take_fault(&self, kind: CallKind) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let place = faults.iter().position(|waiting| waiting.kind.is_none_or(|wanted| wanted == kind))?;
        faults.remove(place).map(|waiting| waiting.fault)
    }

    /// The scripts that were pushed come first, the newest before the others.
    fn decide(&self, conversation: &Conversation) -> Result<Move, Fault> {
        let scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(step) = scripts.iter().rev().find_map(|script| script.due(conversation)) {
            return step.into_move(conversation);
        }
        let catalogue = &self.setup.catalogue;
        Ok(match conversation.kind() {
            CallKind::Agent => mend::next_move(catalogue, conversation),
            CallKind::Title => Move::Say(plain::title(conversation)),
            CallKind::Plain => Move::Say(plain::answer()),
            CallKind::Structured => structured(catalogue, conversation),
        })
    }

    async fn respond(&self, vendor: Vendor, request: &Value, reply: &Reply, fault: Option<Fault>) -> Response {
        let mut pace = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let ending = match fault {
            Some(Fault::Slow(slower)) => {
                pace = slower;
                None
            }
            Some(Fault::DropAfter(pieces)) => Some((pieces, Break::Drop)),
            Some(Fault::StallAfter(pieces)) => Some((pieces, Break::Stall)),
            _ => None,
        };
        let streams = request["stream"] == json!(true);
        let frames = match (streams, vendor) {
            (true, Vendor::OpenAi) => openai::frames(reply, request),
            (true, Vendor::Anthropic) => anthropic::frames(reply),
            (false, Vendor::OpenAi) => vec![Frame { text: openai::body(reply).to_string(), is_piece: true }],
            (false, Vendor::Anthropic) => vec![Frame { text: anthropic::body(reply).to_string(), is_piece: true }],
        };
        if !streams {
            let pieces = u32::try_from(reply.pieces().len()).unwrap_or(u32::MAX);
            let whole = pace.first_token + pace.per_token.saturating_mul(pieces);
            tokio::select! {
                () = tokio::time::sleep(whole) => {}
                () = self.stop.cancelled() => {}
            }
            pace = Pace::default();
        }
        let body = Body::from_stream(paced(frames, pace, ending, self.stop.clone()));
        let kind = if streams { "text/event-stream; charset=utf-8" } else { "application/json" };
        let request_id = format!("req_emulated{:06}", reply.number);
        let id_header = if vendor == Vendor::OpenAi { "x-request-id" } else { "request-id" };
        ([(header::CONTENT_TYPE.as_str(), kind), (header::CACHE_CONTROL.as_str(), "no-cache"), (id_header, request_id.as_str())], body)
            .into_response()
    }
}

/// A forced tool's arguments are the structured answer; so is the text where a schema was given.
fn structured(catalogue: &super::Catalogue, conversation: &Conversation) -> Move {
    let forced = conversation.forced_tool.as_ref().and_then(|name| conversation.tools.iter().find(|tool| &tool.name == name));
    match (forced, &conversation.schema) {
        (Some(tool), _) => {
            let arguments = classify::structured(catalogue, conversation, &tool.parameters);
            let id = format!("call_{:04}", conversation.messages.len());
            Move::Call { say: String::new(), calls: vec![ToolCall { id, name: tool.name.clone(), arguments }] }
        }
        (None, Some(schema)) => Move::Structured(classify::structured(catalogue, conversation, schema)),
        (None, None) => Move::Say(plain::answer()),
    }
}

fn logged(plan: &Plan) -> Answer {
    match plan {
        Plan::Refuse(error) => Answer::Error(error.status().as_u16()),
        Plan::Answer { reply, .. } => match &reply.answer {
            Move::Say(_) => Answer::Text,
            Move::Structured(_) => Answer::Structured,
            Move::Refuse(_) => Answer::Refusal,
            Move::Call { calls, .. } => Answer::Calls(calls.iter().map(|call| call.name.clone()).collect()),
        },
    }
}

#[derive(Debug, Clone, Copy)]
enum Break {
    Drop,
    Stall,
}

struct Pacing {
    frames: VecDeque<Frame>,
    pace: Pace,
    /// After how many pieces the answer breaks off, and how.
    ending: Option<(usize, Break)>,
    pieces: usize,
    is_begun: bool,
    stop: CancellationToken,
}

/// The frames in their time, up to where the answer is to break off.
fn paced(
    frames: Vec<Frame>,
    pace: Pace,
    ending: Option<(usize, Break)>,
    stop: CancellationToken,
) -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let broken = || Some(Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the answer breaks off here")));
    stream::unfold(Pacing { frames: frames.into(), pace, ending, pieces: 0, is_begun: false, stop }, move |mut state| async move {
        let next = state.frames.front()?;
        if let Some((pieces, kind)) = state.ending
            && state.pieces >= pieces
            && (next.is_piece || pieces == 0)
        {
            match kind {
                Break::Stall => state.stop.cancelled().await,
                // What was sent so far leaves before the connection breaks.
                Break::Drop => tokio::time::sleep(FLUSH).await,
            }
            state.frames.clear();
            return broken().map(|item| (item, state));
        }
        let wait = match (state.is_begun, next.is_piece) {
            (false, _) => state.pace.first_token,
            (true, true) => state.pace.per_token,
            (true, false) => Duration::ZERO,
        };
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = state.stop.cancelled() => return None,
            }
        }
        state.is_begun = true;
        let frame = state.frames.pop_front()?;
        state.pieces += usize::from(frame.is_piece);
        Some((Ok(Bytes::from(frame.text)), state))
    })
}
