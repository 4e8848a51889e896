//! One call: sent through octocrab, read as JSON, its failure named.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use octocrab::Octocrab;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{GitHub, GitHubError, error::innermost};

/// Waits before the second and third try of what may be repeated and got no answer.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// A rate limit that is over sooner is waited for.
const SHORT_LIMIT: Duration = Duration::from_secs(10);
/// GitHub's advice where a secondary limit comes without `Retry-After`.
const SECONDARY_PAUSE: Duration = Duration::from_secs(60);
const PER_PAGE: usize = 100;
/// Lists longer than this many pages are cut: nobody has 10,000 of anything that is listed here.
const MAX_PAGES: usize = 100;

/// A text as one part (or several, with `/`) of a path.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

impl GitHub {
    /// Reads; repeated where GitHub did not answer, or wants a moment's rest.
    pub(crate) async fn get<T: DeserializeOwned>(&self, by: &Octocrab, path: &str) -> Result<T, GitHubError> {
        self.repeated(by, Method::GET, path, None).await
    }

    /// Writes what does no harm when it is done twice; repeated as a read is.
    pub(crate) async fn send_again<T: DeserializeOwned>(
        &self,
        by: &Octocrab,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, GitHubError> {
        self.repeated(by, method, path, Some(body)).await
    }

    async fn repeated<T: DeserializeOwned>(
        &self,
        by: &Octocrab,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, GitHubError> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.once(by, method.clone(), path, body).await {
                Ok(answer) => return parse(&answer),
                Err(error) => error,
            };
            let wait = match &error {
                GitHubError::Unavailable { .. } => Duration::ZERO,
                GitHubError::RateLimited { retry_after } if *retry_after <= SHORT_LIMIT => *retry_after,
                _ => return Err(error),
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tracing::debug!(path, %error, "asking again");
            tokio::time::sleep(wait.max(*pause)).await;
        }
    }

    /// Writes, exactly once.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        by: &Octocrab,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, GitHubError> {
        parse(&self.once(by, method, path, Some(body)).await?)
    }

    /// Deletes, which has no answer.
    pub(crate) async fn delete(&self, by: &Octocrab, path: &str) -> Result<(), GitHubError> {
        self.once(by, Method::DELETE, path, None).await.map(drop)
    }

    /// All pages of a list. `items` takes the list out of a page.
    pub(crate) async fn list<P: DeserializeOwned, T>(
        &self,
        by: &Octocrab,
        path: &str,
        items: impl Fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, GitHubError> {
        let mut all = Vec::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        for page in 1..=MAX_PAGES {
            let found = items(self.get(by, &format!("{path}{joint}per_page={PER_PAGE}&page={page}")).await?);
            let is_last = found.len() < PER_PAGE;
            all.extend(found);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    async fn once(&self, by: &Octocrab, method: Method, path: &str, body: Option<&Value>) -> Result<String, GitHubError> {
        let limit = self.inner.config.timeout;
        let started = tokio::time::Instant::now();
        let outcome = tokio::time::timeout(limit, self.exchange(by, &method, path, body)).await;
        let result =
            outcome.unwrap_or_else(|_| Err(GitHubError::Unavailable { reason: format!("no answer within {} s", limit.as_secs_f32()) }));
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(%method, path, millis, ok = result.is_ok(), "GitHub call");
        result
    }

    async fn exchange(&self, by: &Octocrab, method: &Method, path: &str, body: Option<&Value>) -> Result<String, GitHubError> {
        let unavailable = |error: octocrab::Error| GitHubError::Unavailable { reason: innermost(&error) };
        let builder = http::request::Builder::new().method(method).uri(path);
        let request = by
            .build_request(builder, body)
            .map_err(|error| GitHubError::Unexpected { message: format!("{path}: {}", innermost(&error)) })?;
        let response = by.execute(request).await.map_err(unavailable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = by.body_to_string(response).await.map_err(unavailable)?;
        if status.is_success() {
            return Ok(text);
        }
        Err(self.failure(status, &headers, &text, path))
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, text: &str, path: &str) -> GitHubError {
        let number = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<i64>().ok());
        let message = message_of(text, status);
        let limited = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::FORBIDDEN
                && (number("retry-after").is_some()
                    || number("x-ratelimit-remaining") == Some(0)
                    || message.to_ascii_lowercase().contains("rate limit"));
        if limited {
            let until_reset = || {
                let reset = number("x-ratelimit-reset").filter(|_| number("x-ratelimit-remaining") == Some(0))?;
                Some(reset.saturating_sub(self.inner.clock.now().0 / 1000))
            };
            let seconds = number("retry-after").or_else(until_reset).and_then(|seconds| u64::try_from(seconds).ok());
            return GitHubError::RateLimited {
                retry_after: seconds.map_or(SECONDARY_PAUSE, |seconds| Duration::from_secs(seconds.max(1))),
            };
        }
        match status {
            StatusCode::UNAUTHORIZED => GitHubError::Unauthenticated { message },
            StatusCode::FORBIDDEN => GitHubError::Forbidden { message },
            StatusCode::NOT_FOUND => GitHubError::NotFound { what: path.trim_start_matches('/').to_owned() },
            status if status.is_server_error() => GitHubError::Unavailable { reason: format!("{status}: {message}") },
            status => GitHubError::Rejected { status: status.as_u16(), message },
        }
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, GitHubError> {
    // serde's message names field and position, not the values: an answer may hold a token.
    serde_json::from_str(text)
        .map_err(|error| GitHubError::Unexpected { message: format!("{:?} at column {}", error.classify(), error.column()) })
}

/// GitHub's own words: its message, and those of its `errors`.
fn message_of(text: &str, status: StatusCode) -> String {
    #[derive(Deserialize)]
    struct Body {
        message: String,
        #[serde(default)]
        errors: Vec<Value>,
    }
    let Ok(body) = serde_json::from_str::<Body>(text) else {
        return status.canonical_reason().unwrap_or("no reason given").to_owned();
    };
    let details = body.errors.iter().map(|error| {
        let part = |name: &str| error[name].as_str().unwrap_or_default();
        match (error.as_str(), part("message")) {
            (Some(text), _) => text.to_owned(),
            (None, "") => format!("{} {} is {}", part("resource"), part("field"), part("code")),
            (None, message) => message.to_owned(),
        }
    });
    std::iter::once(body.message.clone()).chain(details).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_github_said() {
        let text = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"No commits between main and x"}]}"#;
        assert_eq!(message_of(text, StatusCode::UNPROCESSABLE_ENTITY), "Validation Failed: No commits between main and x");
        let text = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"head","code":"invalid"}]}"#;
        assert_eq!(message_of(text, StatusCode::UNPROCESSABLE_ENTITY), "Validation Failed: PullRequest head is invalid");
        assert_eq!(message_of("<html>", StatusCode::BAD_GATEWAY), "Bad Gateway");
    }

    #[test]
    fn branches_are_encoded_but_keep_their_slashes() {
        assert_eq!(encode("longshore/s-1#ä?"), "longshore/s-1%23%C3%A4%3F");
    }

    #[test]
    fn an_answer_of_another_shape_never_shows_its_values() {
        let error = parse::<u64>(r#""ghs_secret""#).unwrap_err();
        assert!(!error.to_string().contains("ghs_secret"), "{error}");
    }
}
