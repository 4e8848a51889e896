//! Outcomes of a call to Slack that a caller branches on.

use std::time::Duration;

use serde_json::Value;
use slack_morphism::errors::SlackClientError;

/// Why a call to Slack gave no result. Never holds a token or a message's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlackError {
    /// Slack, or our own share of its limits, says: not now. Nothing was done.
    #[error("Slack limits {method}; try again in {} s", retry_after.as_secs())]
    RateLimited { method: &'static str, retry_after: Duration },
    /// It did not happen, or is safe to repeat.
    #[error("{method} did not reach Slack: {reason}")]
    Transient { method: &'static str, reason: String },
    /// The request left and no answer came: it may have happened. Look with [`crate::SlackClient::find_by_metadata`] before repeating it.
    #[error("{method} was sent and not answered: {reason}")]
    UnknownOutcome { method: &'static str, reason: String },
    /// Slack understood and said no.
    #[error("Slack refuses {method}: {code}{}", hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
    Refused {
        method: &'static str,
        /// Slack's error code, such as `channel_not_found`.
        code: String,
        /// What an operator or user can do about it.
        hint: Option<String>,
    },
}

impl SlackError {
    /// Slack's code, where Slack refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::RateLimited { .. } | Self::Transient { .. } | Self::UnknownOutcome { .. } => None,
        }
    }

    /// Why nothing can be said there (as a part of a sentence), where it is the place that is closed to the bot and not the message that is wrong.
    pub fn closed_place(&self) -> Option<&'static str> {
        Some(match self.code()? {
            "not_in_channel" => "I am not in its channel any more: `/invite @longshore` there brings me back",
            "channel_not_found" => "its channel is gone, or private and without me",
            "is_archived" => "its channel is archived",
            "restricted_action" | "restricted_action_read_only_channel" | "restricted_action_thread_only_channel" => {
                "its channel does not let me write"
            }
            "restricted_action_thread_locked" => "its thread is locked",
            "thread_not_found" | "message_not_found" | "cannot_reply_to_message" => "its thread was deleted",
            _ => return None,
        })
    }

    pub(crate) fn refused(method: &'static str, code: &str, body: &Value) -> Self {
        Self::Refused { method, code: code.to_owned(), hint: hint(code, body) }
    }

    /// Reads the vendor's error. `repeatable` says whether doing it twice is the same as once.
    pub(crate) fn from_vendor(method: &'static str, repeatable: Repeatable, error: &SlackClientError) -> Self {
        match error {
            SlackClientError::ApiError(error) => {
                let body = error.http_response_body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
                if matches!(error.code.as_str(), "ratelimited" | "rate_limited") {
                    return Self::RateLimited { method, retry_after: DEFAULT_RETRY_AFTER };
                }
                if matches!(error.code.as_str(), "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout") {
                    return Self::unanswered(method, repeatable, format!("Slack reports {}", error.code));
                }
                Self::refused(method, &error.code, &body)
            }
            SlackClientError::RateLimitError(error) => {
                Self::RateLimited { method, retry_after: error.retry_after.unwrap_or(DEFAULT_RETRY_AFTER) }
            }
            SlackClientError::HttpError(error) => {
                Self::unanswered(method, repeatable, format!("HTTP status {}", error.status_code.as_u16()))
            }
            SlackClientError::HttpProtocolError(error) => {
                let never_sent = error
                    .cause
                    .as_ref()
                    .and_then(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>())
                    .is_some_and(hyper_util::client::legacy::Error::is_connect);
                if never_sent {
                    Self::Transient { method, reason: "no connection".to_owned() }
                } else {
                    Self::unanswered(method, repeatable, "the connection broke".to_owned())
                }
            }
            // Their texts may hold the answer's body.
            SlackClientError::ProtocolError(_)
            | SlackClientError::EndOfStream(_)
            | SlackClientError::SystemError(_)
            | SlackClientError::SocketModeProtocolError(_) => {
                Self::unanswered(method, repeatable, "the answer could not be read".to_owned())
            }
        }
    }

    pub(crate) fn unanswered(method: &'static str, repeatable: Repeatable, reason: String) -> Self {
        match repeatable {
            Repeatable::Yes => Self::Transient { method, reason },
            Repeatable::No => Self::UnknownOutcome { method, reason },
        }
    }
}

/// Whether a call done twice leaves the same as done once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeatable {
    Yes,
    No,
}

const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What can be done about a refusal. `body` is Slack's answer, which names a missing scope.
fn hint(code: &str, body: &Value) -> Option<String> {
    Some(match code {
        "not_in_channel" => "invite the bot: type `/invite @longshore` in the channel".to_owned(),
        "channel_not_found" => "the bot cannot see the channel: if it is private, invite the bot".to_owned(),
        "is_archived" => "the channel is archived".to_owned(),
        "missing_scope" => {
            let needed = body.get("needed").and_then(Value::as_str).unwrap_or("a scope");
            format!("add `{needed}` under \"OAuth & Permissions › Bot Token Scopes\" and install the app again")
        }
        "invalid_auth" | "not_authed" | "token_revoked" | "account_inactive" | "token_expired" => {
            "the token is not valid: install the app again and copy its token".to_owned()
        }
        "not_allowed_token_type" => "this call needs another kind of token (xoxb- for the bot, xapp- for sockets)".to_owned(),
        "invalid_blocks" | "invalid_blocks_format" => {
            let details = body.pointer("/response_metadata/messages").and_then(Value::as_array);
            let details: Vec<&str> = details.into_iter().flatten().filter_map(Value::as_str).take(3).collect();
            format!("the message's layout is not valid: {}", if details.is_empty() { "no details".to_owned() } else { details.join("; ") })
        }
        "message_not_found" | "thread_not_found" => "the message was deleted".to_owned(),
        _ => return None,
    })
}

/// Why the Slack side could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SlackSetupError {
    #[error("the system's TLS certificates cannot be read: {0}")]
    Certificates(#[from] std::io::Error),
    #[error("Socket Mode needs an app token (xapp-…): make one under \"Basic Information › App-Level Tokens\" with `connections:write`")]
    NoAppToken,
    #[error("Slack refuses the app token: {0}")]
    AppTokenRefused(#[source] SlackError),
    #[error("the Slack sockets could not be set up")]
    Sockets,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_scope_is_named() {
        let error = SlackError::refused("chat.postMessage", "missing_scope", &json!({"needed": "chat:write"}));
        assert!(error.to_string().contains("add `chat:write`"), "{error}");
        let error = SlackError::refused("chat.postMessage", "not_in_channel", &json!({}));
        assert!(error.to_string().contains("/invite @longshore") && error.closed_place().is_some(), "{error}");
        assert_eq!(SlackError::refused("chat.postMessage", "invalid_blocks", &json!({})).closed_place(), None);
    }
}
