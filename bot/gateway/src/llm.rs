//! `/llm/…`: model requests go to the configured provider with the service's key, and come back as the provider sends them.

mod priming;
mod reading;
mod watched;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use longshore_session::fault_point;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

#[cfg(any(test, fuzzing))]
pub(crate) use self::reading::fuzz;
use self::{reading::Dialect, watched::Watch};
use crate::{
    GatewayConfig, GatewayError, LlmOutcome, LlmRight, LlmUpstream, Pass, Spending,
    body::{self, BodyError, HeldBody},
    door::{Entry, Peer, Turned},
    gateway::{Shared, behind, client, only},
};

/// The providers, each with its own client.
pub(crate) struct Upstreams {
    openai: Option<Provider>,
    anthropic: Option<Provider>,
}

struct Provider {
    client: reqwest::Client,
    upstream: LlmUpstream,
}

impl Upstreams {
    pub fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let provider = |upstream: &Option<LlmUpstream>| {
            upstream
                .clone()
                .map(|upstream| Ok::<_, GatewayError>(Provider { client: client(&upstream.base_url, config)?, upstream }))
                .transpose()
        };
        Ok(Self { openai: provider(&config.openai)?, anthropic: provider(&config.anthropic)? })
    }

    fn of(&self, dialect: Dialect) -> Option<&Provider> {
        match dialect {
            Dialect::Chat | Dialect::Responses => self.openai.as_ref(),
            Dialect::Anthropic => self.anthropic.as_ref(),
        }
    }
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/llm/v1/chat/completions", post(chat))
        .route("/llm/v1/responses", post(responses))
        .route("/llm/v1/models", get(models))
        .route("/llm/anthropic/v1/messages", post(messages))
}

/// What a client sends that a provider may see. Credentials, cookies and the choice of an account are not among it.
const REQUEST_HEADERS: [&str; 8] =
    ["accept", "content-type", "user-agent", "idempotency-key", "anthropic-version", "anthropic-beta", "openai-beta", "x-session-affinity"];

/// What a provider sends that a client may see: content, ids for support, and when to come back.
fn is_passed_back(name: &str) -> bool {
    matches!(
        name,
        "cache-control"
            | "content-length"
            | "content-type"
            | "openai-processing-ms"
            | "request-id"
            | "retry-after"
            | "retry-after-ms"
            | "x-request-id"
            | "x-should-retry"
    ) || name.starts_with("x-ratelimit-")
        || name.starts_with("anthropic-ratelimit-")
}

/// An upstream's error is looked into up to here; a longer one is cut.
const LONGEST_ERROR: usize = 64 * 1024;

async fn chat(State(shared): State<Arc<Shared>>, Extension(peer): Extension<Peer>, request: Request<Body>) -> Response<Body> {
    shared.generate(Dialect::Chat, peer, request).await.unwrap_or_else(|refusal| refusal.response(Dialect::Chat))
}

async fn responses(State(shared): State<Arc<Shared>>, Extension(peer): Extension<Peer>, request: Request<Body>) -> Response<Body> {
    shared.generate(Dialect::Responses, peer, request).await.unwrap_or_else(|refusal| refusal.response(Dialect::Responses))
}

async fn messages(State(shared): State<Arc<Shared>>, Extension(peer): Extension<Peer>, request: Request<Body>) -> Response<Body> {
    shared.generate(Dialect::Anthropic, peer, request).await.unwrap_or_else(|refusal| refusal.response(Dialect::Anthropic))
}

async fn models(State(shared): State<Arc<Shared>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response<Body> {
    let refused = async {
        let Entry { pass, slot } = shared.enter(&headers, &header::AUTHORIZATION, peer)?;
        if pass.llm == LlmRight::None {
            return Err(Refusal::no_right());
        }
        let provider = shared.llm.of(Dialect::Chat).ok_or_else(|| Refusal::no_provider(Dialect::Chat))?;
        let ask = Ask { dialect: Dialect::Chat, method: Method::GET, path: "models", query: None, headers: &headers, body: Bytes::new() };
        let answer = shared.ask_provider(provider, ask).await?;
        let response = shared.llm_answer(provider, answer, None).await?;
        Ok(response.map(|body| HeldBody::wrap(body, slot)))
    };
    refused.await.unwrap_or_else(|refusal: Refusal| refusal.response(Dialect::Chat))
}

/// What is read of a request. All else in it is between the agent and the provider.
#[derive(Deserialize)]
struct Asked {
    model: Option<String>,
}

struct Ask<'a> {
    dialect: Dialect,
    method: Method,
    path: &'static str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    body: Bytes,
}

impl Shared {
    async fn generate(&self, dialect: Dialect, peer: Peer, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let Entry { pass, slot } = self.enter(&parts.headers, &header::AUTHORIZATION, peer)?;
        if pass.llm == LlmRight::None {
            return Err(Refusal::no_right());
        }
        if pass.llm == LlmRight::Priming {
            return Ok(self.prime(dialect, &pass, body).await?.map(|body| HeldBody::wrap(body, slot)));
        }
        let provider = self.llm.of(dialect).ok_or_else(|| Refusal::no_provider(dialect))?;
        if let Spending::Spent { message } = self.parts.budget.spending(&pass) {
            return Err(Refusal::new(StatusCode::PAYMENT_REQUIRED, "budget_spent", message));
        }
        if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request_error",
                "send the request's body without content encoding",
            ));
        }
        let body = body::gather(body, self.config.limits.llm_request, self.config.limits.stall).await?;
        let model = model_of(&pass, &body)?;

        let mut watch = Watch::begin(self.parts.observer.clone(), pass.sandbox.clone(), model, dialect);
        let ask = Ask { dialect, method: Method::POST, path: dialect.path(), query: parts.uri.query(), headers: &parts.headers, body };
        fault_point!("model.forwarded.before");
        let response = match self.ask_provider(provider, ask).await {
            Ok(answer) => {
                fault_point!("model.forwarded.after");
                watch.answered(answer.status().as_u16());
                self.llm_answer(provider, answer, Some(watch)).await?
            }
            Err(refusal) => {
                watch.answered(refusal.status.as_u16());
                watch.end(LlmOutcome::Broken);
                return Err(refusal);
            }
        };
        Ok(response.map(|body| HeldBody::wrap(body, slot)))
    }

    async fn ask_provider(&self, provider: &Provider, ask: Ask<'_>) -> Result<reqwest::Response, Refusal> {
        let Ask { dialect, method, path, query, headers, body } = ask;
        let mut headers = only(headers, &REQUEST_HEADERS);
        if let Some(key) = &provider.upstream.api_key {
            let (name, value) = dialect.credential(key.expose_secret());
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                Refusal::new(StatusCode::BAD_GATEWAY, "upstream_error", "the service's key for the model provider is not usable")
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let url = behind(&provider.upstream.base_url, path, query);
        let request = provider.client.request(method, url).headers(headers).body(body);
        match tokio::time::timeout(self.config.limits.llm_first_byte, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::warn!(error = %error.without_url(), "the model provider could not be asked");
                Err(Refusal::new(StatusCode::BAD_GATEWAY, "upstream_unreachable", "the model provider cannot be reached; try again"))
            }
            Err(_) => {
                Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "the model provider did not answer in time; try again"))
            }
        }
    }

    async fn llm_answer(&self, provider: &Provider, answer: reqwest::Response, watch: Option<Watch>) -> Result<Response<Body>, Refusal> {
        let status = answer.status();
        let mut headers = HeaderMap::new();
        for (name, value) in answer.headers().iter().filter(|(name, _)| is_passed_back(name.as_str())) {
            headers.append(name.clone(), value.clone());
        }
        let stream = body::with_stall(answer.bytes_stream(), self.config.limits.llm_stall);
        let body = if status.is_success() {
            match watch {
                Some(watch) => {
                    // A body of known length is never asked whether there is more, and the watch would not see its end.
                    headers.remove(header::CONTENT_LENGTH);
                    Body::from_stream(watch.over(stream, is_event_stream(&headers)))
                }
                None => Body::from_stream(stream),
            }
        } else {
            let text = body::first_bytes(stream, LONGEST_ERROR).await;
            if let Some(mut watch) = watch {
                watch.end(LlmOutcome::Complete);
            }
            tracing::warn!(status = status.as_u16(), "the model provider refused a request");
            if status == StatusCode::UNAUTHORIZED || status.is_redirection() {
                // It is about the service's key or address: nothing that an agent could mend, and its text may quote part of the key.
                let status = if status.is_redirection() { StatusCode::BAD_GATEWAY } else { status };
                let message = "the model provider did not take the service's key or address; the service's operator has to mend that";
                return Err(Refusal::new(status, "upstream_refused", message));
            }
            headers.remove(header::CONTENT_LENGTH);
            Body::from(without_key(text, provider))
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The model that is asked for, where the pass allows it.
fn model_of(pass: &Pass, body: &[u8]) -> Result<Option<String>, Refusal> {
    // A key that is there twice is an error here: which one a provider would take is not known.
    let asked: Asked = serde_json::from_slice(body).map_err(|error| {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", format!("the request's body is not usable JSON: {error}"))
    })?;
    match &pass.llm {
        LlmRight::None => Err(Refusal::no_right()),
        // The answer is the gateway's own.
        LlmRight::AnyModel | LlmRight::Priming => Ok(asked.model),
        LlmRight::Only(models) => match asked.model {
            Some(model) if models.contains(&model) => Ok(Some(model)),
            other => {
                let asked = other.map_or("a request without a model".to_owned(), |model| format!("the model `{model}`"));
                let message = format!("{asked} is not among those that this session may ask: {}", models.join(", "));
                Err(Refusal::new(StatusCode::FORBIDDEN, "model_not_allowed", message))
            }
        },
    }
}

/// A provider may quote what it was sent.
fn without_key(text: Vec<u8>, provider: &Provider) -> Vec<u8> {
    let Some(key) = &provider.upstream.api_key else { return text };
    let key = key.expose_secret();
    match std::str::from_utf8(&text) {
        Ok(plain) if !key.is_empty() && plain.contains(key) => plain.replace(key, "[redacted]").into_bytes(),
        _ => text,
    }
}

/// An answer that is not the provider's.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), retry_after: None }
    }

    fn no_right() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", "this sandbox may not ask models")
    }

    fn no_provider(dialect: Dialect) -> Self {
        let message = match dialect {
            Dialect::Chat | Dialect::Responses => "no OpenAI-compatible model provider is configured",
            Dialect::Anthropic => "no Anthropic model provider is configured",
        };
        Self::new(StatusCode::NOT_FOUND, "no_provider", message)
    }

    /// In the shape that the dialect's clients read.
    fn response(self, dialect: Dialect) -> Response<Body> {
        let Self { status, kind, message, retry_after } = self;
        let message = format!("longshore: {message}");
        let body = match dialect {
            Dialect::Chat | Dialect::Responses => json!({ "error": { "message": message, "type": kind, "param": null, "code": kind } }),
            Dialect::Anthropic => json!({ "type": "error", "error": { "type": kind, "message": message } }),
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(span) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(span.as_secs()));
        }
        response
    }
}

impl From<Turned> for Refusal {
    fn from(turned: Turned) -> Self {
        let message = turned.message().trim_start_matches("longshore: ");
        match turned {
            Turned::Unknown => Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message),
            Turned::TooMany => {
                Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message) }
            }
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "request_too_large",
                format!("a model request may have {} MiB", limit / (1024 * 1024)),
            ),
            BodyError::Stalled(_) | BodyError::Encoding | BodyError::Broken(_) => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", format!("the request's body could not be read: {error}"))
            }
        }
    }
}
