//! Refusals in GitHub's shapes.

use axum::{
    Json,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// A REST call's refusal: `{"message", "documentation_url", "status", "errors"?}`.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) errors: Vec<Value>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// Also for what the caller may not know of: no access and no such thing read the same.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    pub(super) fn requires_authentication() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Requires authentication")
    }

    pub(super) fn not_accessible(by: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("Resource not accessible by {by}"))
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// `Validation Failed` with one entry under `errors`.
    pub(super) fn validation(error: Value) -> Self {
        Self { errors: vec![error], ..Self::unprocessable("Validation Failed") }
    }

    /// A validation error that GitHub words freely (`code: custom`).
    pub(super) fn custom(resource: &str, message: impl Into<String>) -> Self {
        Self::validation(json!({"resource": resource, "code": "custom", "message": message.into()}))
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::unprocessable(format!("Invalid request.\n\n\"{field}\" wasn't supplied."))
    }

    pub(super) fn secondary_rate_limit(retry_after_s: u64) -> Self {
        Self {
            headers: vec![(axum::http::header::RETRY_AFTER, retry_after_s.to_string())],
            ..Self::new(StatusCode::FORBIDDEN, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_u16().to_string(),
        });
        if !self.errors.is_empty() {
            body["errors"] = Value::Array(self.errors);
        }
        let mut response = (self.status, Json(body)).into_response();
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl From<super::git::GitError> for ApiError {
    fn from(error: super::git::GitError) -> Self {
        tracing::error!(%error, "git failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Server Error")
    }
}
