//! Webhooks: the signature first, then the little that is needed of the payload, read with structs of our own (octocrab's refuse some real ones).

use hmac::{Hmac, Mac};
use http::HeaderMap;
use longshore_session::RepoName;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;

/// Why a delivery is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Answer 401 and do nothing.
    #[error("the webhook's signature is missing or wrong: check that the App's webhook secret and github.webhook_secret are the same")]
    Signature,
    #[error("the webhook has no {0} header")]
    MissingHeader(&'static str),
    #[error("the webhook's {event} payload is not as documented: {message}")]
    Payload { event: String, message: String },
}

/// A delivery whose signature was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// GitHub's GUID, the same for a redelivery: what to tell duplicates by.
    pub delivery: String,
    pub event: WebhookEvent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookEvent {
    PullRequest(PullRequestEvent),
    /// The App was pointed here.
    Ping,
    /// Something that the service has no use for, by GitHub's name.
    Other(String),
}

/// Something happened to a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestEvent {
    pub repo: RepoName,
    pub number: u64,
    pub url: String,
    pub head_branch: String,
    /// Login of whoever did it.
    pub sender: String,
    pub action: PullRequestAction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullRequestAction {
    Opened,
    Reopened,
    /// Without merging.
    Closed,
    Merged,
    /// Its head moved to this commit.
    Synchronized {
        head: String,
    },
    Reviewed {
        verdict: ReviewVerdict,
        url: String,
    },
    /// Another action, by GitHub's name.
    Other(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewVerdict {
    Approved,
    ChangesRequested,
    Commented,
}

/// Checks the signature over the raw body in constant time, then reads the event.
pub fn verify_and_parse(headers: &HeaderMap, body: &[u8], secret: &SecretString) -> Result<Webhook, WebhookError> {
    verify(headers, body, secret)?;
    let header = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned).ok_or(WebhookError::MissingHeader(name))
    };
    let (delivery, name) = (header("x-github-delivery")?, header("x-github-event")?);
    let event = match name.as_str() {
        "ping" => WebhookEvent::Ping,
        "pull_request" | "pull_request_review" => match parse_pull_request(&name, body)? {
            Some(event) => WebhookEvent::PullRequest(event),
            None => WebhookEvent::Other(name),
        },
        _ => WebhookEvent::Other(name),
    };
    Ok(Webhook { delivery, event })
}

fn verify(headers: &HeaderMap, body: &[u8], secret: &SecretString) -> Result<(), WebhookError> {
    let given = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("sha256="));
    let given = given.and_then(from_hex).ok_or(WebhookError::Signature)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).map_err(|_| WebhookError::Signature)?;
    mac.update(body);
    mac.verify_slice(&given).map_err(|_| WebhookError::Signature)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[derive(Deserialize)]
struct Payload {
    action: String,
    pull_request: Pull,
    repository: Named,
    sender: Sender,
    review: Option<Review>,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    #[serde(default)]
    merged_at: Option<String>,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
}

#[derive(Deserialize)]
struct Named {
    full_name: String,
}

#[derive(Deserialize)]
struct Sender {
    login: String,
}

#[derive(Deserialize)]
struct Review {
    state: String,
    html_url: String,
}

/// `None` for a review's edit or dismissal.
fn parse_pull_request(name: &str, body: &[u8]) -> Result<Option<PullRequestEvent>, WebhookError> {
    let wrong = |message: String| WebhookError::Payload { event: name.to_owned(), message };
    let payload: Payload = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let repo = RepoName::parse(payload.repository.full_name).map_err(|error| wrong(error.to_string()))?;
    let pull = payload.pull_request;
    let action = match (payload.review, payload.action.as_str()) {
        (Some(review), "submitted") => {
            let verdict = match review.state.as_str() {
                "approved" => ReviewVerdict::Approved,
                "changes_requested" => ReviewVerdict::ChangesRequested,
                _ => ReviewVerdict::Commented,
            };
            PullRequestAction::Reviewed { verdict, url: review.html_url }
        }
        (Some(_), _) => return Ok(None),
        (None, "opened") => PullRequestAction::Opened,
        (None, "reopened") => PullRequestAction::Reopened,
        (None, "closed") if pull.merged_at.is_some() => PullRequestAction::Merged,
        (None, "closed") => PullRequestAction::Closed,
        (None, "synchronize") => PullRequestAction::Synchronized { head: pull.head.sha },
        (None, other) => PullRequestAction::Other(other.to_owned()),
    };
    Ok(Some(PullRequestEvent {
        repo,
        number: pull.number,
        url: pull.html_url,
        head_branch: pull.head.branch,
        sender: payload.sender.login,
        action,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's documentation ("Validating webhook deliveries").
    #[test]
    fn the_documented_signature_is_taken_and_no_other() {
        let secret = SecretString::from("It's a Secret to Everybody");
        let mut headers = HeaderMap::new();
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        headers.insert("x-hub-signature-256", signature.parse().unwrap());
        headers.insert("x-github-delivery", "1".parse().unwrap());
        headers.insert("x-github-event", "ping".parse().unwrap());
        let taken = verify_and_parse(&headers, b"Hello, World!", &secret).unwrap();
        assert_eq!(taken, Webhook { delivery: "1".to_owned(), event: WebhookEvent::Ping });
        assert_eq!(verify_and_parse(&headers, b"Hello, World?", &secret), Err(WebhookError::Signature));
        headers.insert("x-hub-signature-256", signature.trim_end_matches('7').parse().unwrap());
        assert_eq!(verify_and_parse(&headers, b"Hello, World!", &secret), Err(WebhookError::Signature));
        headers.remove("x-hub-signature-256");
        assert_eq!(verify_and_parse(&headers, b"Hello, World!", &secret), Err(WebhookError::Signature));
    }
}
