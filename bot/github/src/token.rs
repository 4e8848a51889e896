//! Installation tokens: short-lived, for one repository, with no more permissions than asked for.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use longshore_session::{RepoName, Timestamp};
use octocrab::Octocrab;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{GitHub, GitHubError};

/// A token is given out only as long as it lives at least this much longer: a clone may take minutes.
const LEAST_LIFE: Duration = Duration::from_secs(300);

/// What a token for git may do with its one repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Fetch.
    Read,
    /// Fetch and push.
    Write,
}

/// What a token is limited to. Git's tokens cannot touch pull requests, and the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Git(Access),
    PullRequests,
}

impl Scope {
    fn permissions(self) -> Value {
        match self {
            Self::Git(Access::Read) => json!({"contents": "read"}),
            Self::Git(Access::Write) => json!({"contents": "write"}),
            Self::PullRequests => json!({"contents": "read", "pull_requests": "write"}),
        }
    }
}

/// An installation token. Never printed.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    expires: Timestamp,
}

impl Token {
    /// For the `Authorization` header: Basic `x-access-token:<this>` with git, Bearer with REST.
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("secret", &"[redacted]").field("expires", &self.expires).finish()
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// One slot per repository and scope; whoever fetches holds the slot, so that many callers make one request.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<HashMap<(RepoName, Scope), Slot>>);

impl TokenCache {
    fn slot(&self, repo: &RepoName, scope: Scope) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry((repo.clone(), scope)).or_default().clone()
    }

    fn drop_slot(&self, repo: &RepoName, scope: Scope) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(repo.clone(), scope));
    }
}

impl GitHub {
    /// A token for this repository alone. Kept until five minutes before its end, so what is given out is good for that long.
    ///
    /// `NotFound` where the repository is not there or the App not installed on it; `Rejected` where the installation lacks the permission.
    pub async fn installation_token(&self, repo: &RepoName, access: Access) -> Result<Token, GitHubError> {
        self.token(repo, Scope::Git(access)).await
    }

    /// Whoever used the token was refused: the next call fetches another. An App that was installed anew has new tokens only.
    pub fn forget_installation_token(&self, repo: &RepoName, access: Access) {
        self.inner.tokens.drop_slot(repo, Scope::Git(access));
    }

    pub(crate) async fn token(&self, repo: &RepoName, scope: Scope) -> Result<Token, GitHubError> {
        let slot = self.inner.tokens.slot(repo, scope);
        let mut held = slot.lock().await;
        let soon = self.inner.clock.now() + LEAST_LIFE;
        if let Some(token) = held.as_ref().filter(|token| token.expires > soon) {
            return Ok(token.clone());
        }
        let token = self.fetch_token(repo, scope).await?;
        *held = Some(token.clone());
        Ok(token)
    }

    /// Drops a token that GitHub no longer takes, unless another has come in its place.
    async fn forget(&self, repo: &RepoName, scope: Scope, refused: &Token) {
        let slot = self.inner.tokens.slot(repo, scope);
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|token| token.expose() == refused.expose()) {
            *held = None;
        }
    }

    async fn fetch_token(&self, repo: &RepoName, scope: Scope) -> Result<Token, GitHubError> {
        #[derive(Deserialize)]
        struct Installation {
            id: u64,
        }
        let app = &self.inner.app;
        let installation: Installation = self.get(app, &format!("/repos/{repo}/installation")).await.map_err(|error| match error {
            GitHubError::NotFound { .. } => GitHubError::NotFound { what: format!("{repo} (with the App installed on it)") },
            other => other,
        })?;
        let body = json!({"repositories": [repo.name()], "permissions": scope.permissions()});
        self.create_token(installation.id, &body).await
    }

    pub(crate) async fn create_token(&self, installation: u64, body: &Value) -> Result<Token, GitHubError> {
        #[derive(Deserialize)]
        struct Created {
            token: String,
            expires_at: String,
        }
        let path = format!("/app/installations/{installation}/access_tokens");
        // A token whose answer got lost is known to nobody.
        let created: Created = self.send_again(&self.inner.app, Method::POST, &path, body).await?;
        let expires = chrono::DateTime::parse_from_rfc3339(&created.expires_at)
            .map_err(|error| GitHubError::Unexpected { message: format!("expires_at: {error}") })?;
        Ok(Token { secret: SecretString::from(created.token), expires: Timestamp(expires.timestamp_millis()) })
    }

    /// A client that acts with this token.
    pub(crate) fn with_token(&self, token: &str) -> Result<Octocrab, GitHubError> {
        self.inner
            .app
            .user_access_token(SecretString::from(token.to_owned()))
            .map_err(|error| GitHubError::Unexpected { message: crate::error::innermost(&error) })
    }

    /// Runs a call as the App's installation. A token that was revoked before its time is replaced once: a 401 means that nothing was done.
    pub(crate) async fn as_installation<T, F>(&self, repo: &RepoName, scope: Scope, call: impl Fn(Octocrab) -> F) -> Result<T, GitHubError>
    where
        F: Future<Output = Result<T, GitHubError>>,
    {
        let token = self.token(repo, scope).await?;
        match call(self.with_token(token.expose())?).await {
            Err(GitHubError::Unauthenticated { .. }) => {
                self.forget(repo, scope, &token).await;
                let token = self.token(repo, scope).await?;
                call(self.with_token(token.expose())?).await
            }
            answer => answer,
        }
    }
}
