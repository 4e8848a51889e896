//! Addresses that stand beside the Web API: uploads, downloads, `response_url`s.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shares};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::super::calls::Call;
use super::super::conversation::{Draft, Revision};
use super::super::message::Author;
use super::super::shared::Shared;
use super::super::state::{ResponseUrl, State};
use super::answer::ApiError;
use super::args::{Args, Bodies};
use super::bearer;
use super::chat::{Content, show_ephemeral};

/// Takes a file's bytes, raw or as the first part of a form; the length must be the announced one.
pub(super) async fn upload(Shares(shared): Shares<Arc<Shared>>, Path(ticket): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content = match content_type.split_once("boundary=") {
        Some((kind, boundary)) if kind.starts_with("multipart/form-data") => first_part(&body, boundary.trim_matches('"')),
        _ => Some(body.to_vec()),
    };
    let Some(content) = content else { return (StatusCode::BAD_REQUEST, "no file in the form").into_response() };
    shared.act(|state| {
        let Some(upload) = state.uploads.get_mut(&ticket) else { return (StatusCode::NOT_FOUND, "not found").into_response() };
        if content.len() != upload.size {
            return (StatusCode::BAD_REQUEST, "length differs from what was announced").into_response();
        }
        let size = content.len();
        upload.content = Some(content);
        (StatusCode::OK, format!("OK - {size}")).into_response()
    })
}

fn first_part(body: &[u8], boundary: &str) -> Option<Vec<u8>> {
    let find = |from: usize, what: &[u8]| body[from..].windows(what.len()).position(|window| window == what).map(|at| from + at);
    let head = find(0, format!("--{boundary}").as_bytes())?;
    let start = find(head, b"\r\n\r\n")? + 4;
    let end = find(start, format!("\r\n--{boundary}").as_bytes())?;
    Some(body[start..end].to_vec())
}

/// Without the app's token Slack shows its sign-in page instead of an error; so does this.
pub(super) async fn download(Shares(shared): Shares<Arc<Shared>>, Path(path): Path<(String, String)>, headers: HeaderMap) -> Response {
    shared.read(|state| {
        if bearer(&headers).as_deref() != Some(state.setup.app.bot_token.as_str()) {
            return Redirect::to("/signin").into_response();
        }
        let id = path.0.rsplit('-').next().unwrap_or_default();
        match state.files.get(id).and_then(|file| file.content.clone().map(|content| (file.mimetype.clone(), content))) {
            Some((mimetype, content)) => ([(header::CONTENT_TYPE, mimetype)], content).into_response(),
            None => (StatusCode::NOT_FOUND, "file not found").into_response(),
        }
    })
}

pub(super) async fn response_url(
    Shares(shared): Shares<Arc<Shared>>,
    Path((_team, token)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.act(|state| {
        let args = Args::read(None, &headers, &body, Bodies::FormOrJson);
        let result = args.clone().and_then(|args| use_response_url(state, &token, &args));
        let at = state.now_ms();
        let error = result.as_ref().err().map(|error| error.error.clone());
        let status = match error.as_deref() {
            None => StatusCode::OK,
            Some("used_url" | "expired_url" | "invalid_url") => StatusCode::NOT_FOUND,
            Some(_) => StatusCode::BAD_REQUEST,
        };
        let payload = args.map(|args| args.logged()).unwrap_or_default();
        let ok = error.is_none();
        state.calls.push(Call { at, method: "response_url".into(), payload, ok, error, status: status.as_u16(), answer_lost: false });
        match result {
            Ok(()) => (status, "ok").into_response(),
            Err(error) => (status, Json(error.body())).into_response(),
        }
    })
}

fn use_response_url(state: &mut State, token: &str, args: &Args) -> Result<(), ApiError> {
    let now = state.now_ms();
    let target = state.response_urls.get_mut(token).ok_or_else(|| ApiError::new("invalid_url"))?;
    if now > target.expires_ms {
        return Err(ApiError::new("expired_url"));
    }
    if target.uses_left == 0 {
        return Err(ApiError::new("used_url"));
    }
    let used = target.clone();
    respond(state, &used, args)?;
    if let Some(target) = state.response_urls.get_mut(token) {
        target.uses_left -= 1;
    }
    Ok(())
}

fn respond(state: &mut State, target: &ResponseUrl, args: &Args) -> Result<(), ApiError> {
    if args.flag("delete_original") {
        if let Some(ts) = &target.source {
            delete_source(state, &target.channel, ts);
        }
        return Ok(());
    }
    let content = Content::read(args, "/blocks")?;
    if content.is_empty() {
        return Err(ApiError::new("no_text"));
    }
    if let (true, Some(ts)) = (args.flag("replace_original"), &target.source) {
        replace_source(state, &target.channel, ts, content);
        return Ok(());
    }
    let thread_ts = args.text("thread_ts").or_else(|| target.thread_ts.clone());
    if args.text("response_type").as_deref() == Some("in_channel") {
        let draft = Draft {
            blocks: content.blocks.unwrap_or_default(),
            attachments: content.attachments.unwrap_or_default(),
            metadata: content.metadata,
            thread_ts: thread_ts.filter(|root| state.message(&target.channel, root).is_some()),
            ..Draft::by(Author::App, &content.text.unwrap_or_default())
        };
        state.post(&target.channel, draft);
    } else {
        show_ephemeral(state, &target.channel, &target.user, thread_ts, content);
    }
    Ok(())
}

fn delete_source(state: &mut State, channel: &str, ts: &str) {
    let before = state.ephemerals.len();
    state.ephemerals.retain(|ephemeral| ephemeral.ts != ts);
    if state.ephemerals.len() == before {
        state.remove(channel, ts);
    } else {
        state.changed(super::super::changes::ChangeKind::Ephemeral).at(channel, ts, None);
    }
}

fn replace_source(state: &mut State, channel: &str, ts: &str, content: Content) {
    if let Some(at) = state.ephemerals.iter().position(|ephemeral| ephemeral.ts == ts) {
        let blocks = content.blocks.unwrap_or_default().into_iter().map(|block| state.with_ids(block)).collect();
        let ephemeral = &mut state.ephemerals[at];
        ephemeral.text = content.text.unwrap_or_default();
        ephemeral.blocks = blocks;
        ephemeral.attachments = content.attachments.unwrap_or_default();
        let user = ephemeral.user.clone();
        state.changed(super::super::changes::ChangeKind::Ephemeral).at(channel, ts, None).seen_by(&user);
        return;
    }
    let bot = state.bot_user().to_owned();
    let revision = Revision {
        text: Some(content.text.unwrap_or_default()),
        blocks: Some(content.blocks.unwrap_or_default()),
        attachments: content.attachments,
        metadata: content.metadata,
        files: None,
    };
    state.revise(channel, ts, &bot, revision);
}

/// An acknowledgement of a slash command that carries an answer.
pub(in super::super) struct SlashResponse {
    pub(in super::super) channel: String,
    pub(in super::super) user: String,
    pub(in super::super) payload: Value,
}

/// Shows what an acknowledgement carried; the error is Slack's name for what is wrong with it.
pub(in super::super) fn apply_response(state: &mut State, response: &SlashResponse) -> Result<(), ApiError> {
    let headers = [(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))].into_iter().collect();
    let args = Args::read(None, &headers, response.payload.to_string().as_bytes(), Bodies::FormOrJson)?;
    let target = ResponseUrl {
        channel: response.channel.clone(),
        user: response.user.clone(),
        thread_ts: None,
        source: None,
        expires_ms: i64::MAX,
        uses_left: 1,
    };
    let result = respond(state, &target, &args);
    let at = state.now_ms();
    let error = result.as_ref().err().map(|error| error.error.clone());
    let payload = json!({ "channel": response.channel, "acknowledgement": response.payload });
    let ok = error.is_none();
    state.calls.push(Call { at, method: "slash_command.acknowledge".into(), payload, ok, error, status: 200, answer_lost: false });
    result
}
