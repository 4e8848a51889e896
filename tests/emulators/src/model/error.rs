//! Refusals, in each vendor's own shape.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::conversation::Vendor;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    Unauthorized,
    /// What in the request is wrong.
    Invalid(String),
    ContextLength {
        limit: u64,
        given: u64,
    },
    RateLimited {
        retry_after: Duration,
    },
    Status(u16),
    NotFound(String),
}

impl ApiError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Invalid(_) | Self::ContextLength { .. } => StatusCode::BAD_REQUEST,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Status(status) => StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::NotFound(_) => StatusCode::NOT_FOUND,
        }
    }

    pub(super) fn into_response(self, vendor: Vendor) -> Response {
        let body = match vendor {
            Vendor::OpenAi => self.openai(),
            Vendor::Anthropic => self.anthropic(),
        };
        let mut response = (self.status(), Json(body)).into_response();
        if let Self::RateLimited { retry_after } = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
        }
        response
    }

    fn openai(&self) -> Value {
        let (message, kind, code) = match self {
            Self::Unauthorized => ("Incorrect API key provided.".to_owned(), "invalid_request_error", Some("invalid_api_key")),
            Self::Invalid(message) => (message.clone(), "invalid_request_error", None),
            Self::ContextLength { limit, given } => (
                format!("This model's maximum context length is {limit} tokens. However, your messages resulted in {given} tokens."),
                "invalid_request_error",
                Some("context_length_exceeded"),
            ),
            Self::RateLimited { .. } => ("Rate limit reached. Please try again later.".to_owned(), "requests", Some("rate_limit_exceeded")),
            Self::Status(402) => ("You exceeded your current quota.".to_owned(), "insufficient_quota", Some("insufficient_quota")),
            // Clients read the text, too: what sounds like an outage is tried again.
            Self::Status(400..500) => ("This request is not supported.".to_owned(), "invalid_request_error", None),
            Self::Status(_) => ("The server had an error while processing your request.".to_owned(), "server_error", None),
            Self::NotFound(message) => (message.clone(), "invalid_request_error", Some("not_found")),
        };
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
    }

    fn anthropic(&self) -> Value {
        let (message, kind) = match self {
            Self::Unauthorized => ("invalid x-api-key".to_owned(), "authentication_error"),
            Self::Invalid(message) => (message.clone(), "invalid_request_error"),
            Self::ContextLength { limit, given } => {
                (format!("prompt is too long: {given} tokens > {limit} maximum"), "invalid_request_error")
            }
            Self::RateLimited { .. } => ("This request would exceed your rate limit.".to_owned(), "rate_limit_error"),
            Self::Status(402) => ("Your credit balance is too low.".to_owned(), "billing_error"),
            Self::Status(400..500) => ("This request is not supported.".to_owned(), "invalid_request_error"),
            Self::Status(529) => ("Overloaded".to_owned(), "overloaded_error"),
            Self::Status(_) => ("Internal server error".to_owned(), "api_error"),
            Self::NotFound(message) => (message.clone(), "not_found_error"),
        };
        json!({ "type": "error", "error": { "type": kind, "message": message } })
    }
}
