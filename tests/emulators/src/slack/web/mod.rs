//! The app's side over HTTP: `/api/<method>`, uploads, downloads, `response_url`s.

mod answer;
mod app;
mod args;
mod chat;
mod conversations;
mod files;
mod methods;
mod outside;
mod people;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, State as Shares};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::calls::Call;
use super::faults::Fault;
use super::shared::Shared;
use super::state::State;
use super::wire::Wire;
use answer::{Answer, ApiError};
use args::{Args, Bodies};
pub(super) use files::mimetype_of;
use methods::{Method, Token};
pub(super) use outside::{SlashResponse, apply_response};

const MOST_UPLOAD: usize = 64 << 20;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/{method}", any(api))
        .route("/upload/v1/{ticket}", post(outside::upload))
        .route("/files-pri/{owner}/{name}", get(outside::download))
        .route("/files-pri/{owner}/download/{name}", get(outside::download))
        .route("/actions/{team}/{token}", post(outside::response_url))
        .layer(DefaultBodyLimit::max(MOST_UPLOAD))
}

async fn api(
    Shares(shared): Shares<Arc<Shared>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let outcome = shared.act(|state| call(state, &name, query.as_deref(), &headers, &body));
    if let Some(wait) = outcome.late {
        tokio::time::sleep(wait).await;
    }
    if outcome.lost {
        wire.cut();
    }
    outcome.response
}

struct Outcome {
    response: Response,
    late: Option<std::time::Duration>,
    lost: bool,
}

fn call(state: &mut State, name: &str, query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let method = methods::method(name);
    let bodies = method.as_ref().map_or(Bodies::FormOrJson, |method| method.bodies);
    let (mut args, unreadable) = match Args::read(query, headers, body, bodies) {
        Ok(args) => (args, None),
        Err(error) => (Args::default(), Some(error)),
    };
    let token = args.take_token().or_else(|| bearer(headers));
    let now = state.now_ms();
    let fault = state.faults.next(name, now);
    let mut late = None;
    let mut lost = false;
    let (status, retry_after, answer): (StatusCode, Option<u64>, Answer) = match fault {
        Some(Fault::RateLimited { seconds }) => (StatusCode::TOO_MANY_REQUESTS, Some(seconds), Err(ApiError::new("ratelimited"))),
        Some(Fault::ServerError { status }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            log_call(state, name, &args, status, Some("server_error"), false);
            return Outcome { response: (status, "upstream error").into_response(), late, lost };
        }
        Some(Fault::Error { error }) => (StatusCode::OK, None, Err(ApiError::new(&error))),
        other => {
            match other {
                Some(Fault::Slow { by }) => late = Some(by),
                Some(Fault::AnswerLost) => lost = true,
                _ => {}
            }
            match unreadable {
                Some(error) => (StatusCode::OK, None, Err(error)),
                None => run(state, name, method.as_ref(), token.as_deref(), &args),
            }
        }
    };
    log_call(state, name, &args, status, answer.as_ref().err().map(|error| error.error.as_str()), lost);
    let mut response = match answer {
        Ok(fields) => {
            let mut body = Map::new();
            body.insert("ok".into(), json!(true));
            body.extend(fields);
            (status, Json(Value::Object(body))).into_response()
        }
        Err(error) => (status, Json(error.body())).into_response(),
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    let scopes = state.setup.app.bot_scopes.join(",");
    if let Ok(scopes) = HeaderValue::from_str(&scopes) {
        response.headers_mut().insert(HeaderName::from_static("x-oauth-scopes"), scopes);
    }
    if let Some(accepted) = method.and_then(|method| HeaderValue::from_str(&method.scopes.join(",")).ok()) {
        response.headers_mut().insert(HeaderName::from_static("x-accepted-oauth-scopes"), accepted);
    }
    Outcome { response, late, lost }
}

fn run(state: &mut State, name: &str, method: Option<&Method>, token: Option<&str>, args: &Args) -> (StatusCode, Option<u64>, Answer) {
    let refused = |error| (StatusCode::OK, None, Err(error));
    let Some(method) = method else { return refused(ApiError::new("unknown_method").with("req_method", json!(name))) };
    if let Err(error) = authorised(state, method, token) {
        return refused(error);
    }
    let channel = args.text("channel").unwrap_or_default();
    let now = state.now_ms();
    if let Err(seconds) = state.budget.take(name, method.tier, &channel, now) {
        return (StatusCode::TOO_MANY_REQUESTS, Some(seconds), Err(ApiError::new("ratelimited")));
    }
    (StatusCode::OK, None, (method.run)(state, args))
}

fn authorised(state: &State, method: &Method, token: Option<&str>) -> Result<(), ApiError> {
    let app = &state.setup.app;
    let wanted = match method.token {
        Token::None => return Ok(()),
        Token::Bot => &app.bot_token,
        Token::App => &app.app_token,
    };
    let Some(token) = token else { return Err(ApiError::new("not_authed")) };
    if token != wanted {
        let known = token == app.bot_token || token == app.app_token;
        return Err(ApiError::new(if known { "not_allowed_token_type" } else { "invalid_auth" }));
    }
    let held = |scope: &&str| app.bot_scopes.iter().any(|held| held == scope);
    if !method.scopes.is_empty() && !method.scopes.iter().any(held) {
        let needed = method.scopes.join(",");
        return Err(ApiError::new("missing_scope").with("needed", json!(needed)).with("provided", json!(app.bot_scopes.join(","))));
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}

fn log_call(state: &mut State, method: &str, args: &Args, status: StatusCode, error: Option<&str>, answer_lost: bool) {
    let at = state.now_ms();
    state.calls.push(Call {
        at,
        method: method.to_owned(),
        payload: args.logged(),
        ok: error.is_none(),
        error: error.map(str::to_owned),
        status: status.as_u16(),
        answer_lost,
    });
}
