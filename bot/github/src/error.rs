//! What a caller of GitHub branches on.

use std::time::Duration;

/// Why a call did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitHubError {
    /// Not there, or not for whoever asked: GitHub does not tell these apart.
    #[error("{what} is not on GitHub, or may not be seen with this access")]
    NotFound { what: String },
    /// The credential is unknown, expired or revoked.
    #[error("GitHub refused the credential: {message}")]
    Unauthenticated { message: String },
    /// The credential is good, but may not do this.
    #[error("GitHub does not allow this: {message}")]
    Forbidden { message: String },
    /// Nothing was done; the same call may be made again after this time.
    #[error("GitHub's rate limit is used up for {} s", retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    /// No usable answer in time. Whether something was done is unknown.
    #[error("GitHub did not answer: {reason}")]
    Unavailable { reason: String },
    /// GitHub understood and declined; repeating it changes nothing.
    #[error("GitHub declined ({status}): {message}")]
    Rejected { status: u16, message: String },
    /// An answer that does not have the documented shape.
    #[error("GitHub's answer was not as documented: {message}")]
    Unexpected { message: String },
}

/// Why the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{key}: {message}")]
    Url { key: &'static str, message: String },
    #[error("github.app_id is 0: it is the number under \"App ID\" on the App's settings page")]
    AppId,
    #[error(
        "the GitHub App's private key cannot be read: {0}. Generate one on the App's settings page (\"Private keys\") and give the .pem file as it is"
    )]
    PrivateKey(String),
}

/// The last cause of a chain: octocrab's outer texts are single words such as "GitHub" or "Service".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
