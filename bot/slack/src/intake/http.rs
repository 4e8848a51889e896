//! The signed HTTP door: events, interactions and commands as Slack posts them.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Limited};
use longshore_session::Clock;
use serde_json::{Map, Value, json};
use slack_morphism::signature_verifier::SlackEventSignatureVerifier;

use super::{Accepted, Delivery, DeliveryKind, Inbox, store_in_time};
use crate::config::SlackHttpConfig;

#[derive(Clone)]
struct Door {
    verifier: Arc<SlackEventSignatureVerifier>,
    body_limit: usize,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
}

/// `POST /slack/events`, `/slack/interactions` and `/slack/commands`.
///
/// A request is refused with 413 before more than the limit is read, with 401 where its signature is wrong or older than five minutes,
/// with 400 where it cannot be read, and with 503 where the inbox does not hold it, so that Slack sends it again.
pub fn http_router(config: SlackHttpConfig, inbox: Arc<dyn Inbox>, clock: Arc<dyn Clock>) -> Router {
    Router::new()
        .route("/slack/events", post(events))
        .route("/slack/interactions", post(interactions))
        .route("/slack/commands", post(commands))
        .with_state(Door::new(config, inbox, clock))
}

/// Which of Slack's addresses a request is for.
#[cfg(any(test, fuzzing))]
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Events,
    Interactions,
    Commands,
}

/// The status that a request is answered with.
#[cfg(any(test, fuzzing))]
pub(super) async fn answered(config: SlackHttpConfig, inbox: Arc<dyn Inbox>, way: Way, request: Request) -> StatusCode {
    let door = State(Door::new(config, inbox, Arc::new(longshore_session::SystemClock)));
    let answer = match way {
        Way::Events => events(door, request).await,
        Way::Interactions => interactions(door, request).await,
        Way::Commands => commands(door, request).await,
    };
    answer.into_response().status()
}

async fn events(State(door): State<Door>, request: Request) -> Result<Response, Refusal> {
    let payload: Value = serde_json::from_str(&door.verified(request).await?).map_err(|_| Refusal::Unreadable)?;
    if payload.get("type").and_then(Value::as_str) == Some("url_verification") {
        let challenge = payload.get("challenge").and_then(Value::as_str).ok_or(Refusal::Unreadable)?;
        return Ok(Json(json!({ "challenge": challenge })).into_response());
    }
    door.accept(DeliveryKind::Event, payload).await
}

async fn interactions(State(door): State<Door>, request: Request) -> Result<Response, Refusal> {
    let body = door.verified(request).await?;
    let payload = url::form_urlencoded::parse(body.as_bytes())
        .find(|(name, _)| name == "payload")
        .map(|(_, value)| value)
        .ok_or(Refusal::Unreadable)?;
    let payload: Value = serde_json::from_str(&payload).map_err(|_| Refusal::Unreadable)?;
    door.accept(DeliveryKind::Interaction, payload).await
}

async fn commands(State(door): State<Door>, request: Request) -> Result<Response, Refusal> {
    let body = door.verified(request).await?;
    let fields: Map<String, Value> =
        url::form_urlencoded::parse(body.as_bytes()).map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect();
    // Slack checks the certificate of a command's address with this.
    if fields.contains_key("ssl_check") {
        return Ok(StatusCode::OK.into_response());
    }
    door.accept(DeliveryKind::Command, Value::Object(fields)).await
}

impl Door {
    fn new(config: SlackHttpConfig, inbox: Arc<dyn Inbox>, clock: Arc<dyn Clock>) -> Self {
        let secret = config.signing_secret.expose().to_owned().into();
        Self { verifier: Arc::new(SlackEventSignatureVerifier::new(&secret)), body_limit: config.body_limit, inbox, clock }
    }

    /// The body of a request that Slack signed within the last five minutes.
    async fn verified(&self, request: Request) -> Result<String, Refusal> {
        let (parts, body) = request.into_parts();
        let announced = text_header(&parts.headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.body_limit) {
            return Err(Refusal::TooLarge);
        }
        let signature = text_header(&parts.headers, SlackEventSignatureVerifier::SLACK_SIGNED_HASH_HEADER).ok_or(Refusal::Unsigned)?;
        let signed_at = text_header(&parts.headers, SlackEventSignatureVerifier::SLACK_SIGNED_TIMESTAMP).ok_or(Refusal::Unsigned)?;
        let body = read_limited(body, self.body_limit).await?;
        self.verifier.verify(signature, &body, signed_at).map_err(|_| Refusal::Unsigned)?;
        Ok(body)
    }

    async fn accept(&self, kind: DeliveryKind, payload: Value) -> Result<Response, Refusal> {
        if !payload.is_object() {
            return Err(Refusal::Unreadable);
        }
        let delivery = Delivery::new(kind, payload, None, self.clock.now());
        match store_in_time(self.inbox.as_ref(), delivery).await {
            Accepted::Yes => Ok(StatusCode::OK.into_response()),
            Accepted::No => Err(Refusal::NotStored),
        }
    }
}

fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn read_limited(body: Body, limit: usize) -> Result<String, Refusal> {
    let collected = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() { Refusal::TooLarge } else { Refusal::Unreadable }
    })?;
    String::from_utf8(collected.to_bytes().to_vec()).map_err(|_| Refusal::Unreadable)
}

/// Why a request was not taken. The answer tells a stranger nothing about the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    TooLarge,
    Unsigned,
    Unreadable,
    NotStored,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
        };
        tracing::warn!(status = status.as_u16(), reason = ?self, "refused a request to the Slack door");
        status.into_response()
    }
}
