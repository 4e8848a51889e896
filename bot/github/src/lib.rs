#![doc = include_str!("../README.md")]

mod account;
mod api;
mod check;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod pull_request;
mod repository;
mod tidy;
mod token;
mod webhook;

use std::{fmt, sync::Arc, time::Duration};

use longshore_session::Clock;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use check::{Finding, Verdict};
pub use error::{ConfigError, GitHubError};
pub use pull_request::{As, Created, DiffStat, PullRequest, PullRequestDraft, PullRequestState, Readiness};
pub use repository::{CommitId, Permission, Repository};
pub use tidy::Touched;
pub use token::{Access, Token};
pub use webhook::{PullRequestAction, PullRequestEvent, ReviewVerdict, Webhook, WebhookError, WebhookEvent, verify_and_parse};

/// How to reach GitHub as the App.
#[derive(Clone)]
pub struct GitHubConfig {
    /// `https://api.github.com`, or `https://HOST/api/v3` of an Enterprise server.
    pub api_url: Url,
    /// `https://github.com`: where people look at pull requests and install the App.
    pub web_url: Url,
    pub app_id: u64,
    /// The App's RSA private key in PEM, as GitHub offers it for download.
    pub private_key: SecretString,
    /// Longest that one call may take, from sending it to the end of the answer.
    pub timeout: Duration,
}

impl GitHubConfig {
    /// github.com, and ten seconds for a call.
    pub fn github_com(app_id: u64, private_key: SecretString) -> Result<Self, ConfigError> {
        let url = |text: &str| Url::parse(text).map_err(|error| ConfigError::Url { key: "github", message: error.to_string() });
        Ok(Self {
            api_url: url("https://api.github.com")?,
            web_url: url("https://github.com")?,
            app_id,
            private_key,
            timeout: Duration::from_secs(10),
        })
    }
}

impl fmt::Debug for GitHubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHubConfig").field("api_url", &self.api_url.as_str()).field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

/// GitHub, as the App and on behalf of people. Cheap to clone; clones share tokens and connections.
#[derive(Clone)]
pub struct GitHub {
    inner: Arc<Inner>,
}

struct Inner {
    app: octocrab::Octocrab,
    config: GitHubConfig,
    clock: Arc<dyn Clock>,
    tokens: token::TokenCache,
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GitHub").field(&self.inner.config).finish()
    }
}

impl GitHub {
    /// Checks what can be checked without a call. Must be called within a tokio runtime, which carries the client's worker.
    pub fn new(config: GitHubConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        for (key, url) in [("github.api_url", &config.api_url), ("github.web_url", &config.web_url)] {
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
                return Err(ConfigError::Url { key, message: format!("`{url}` is no http(s) address") });
            }
        }
        if config.app_id == 0 {
            return Err(ConfigError::AppId);
        }
        let pem = config.private_key.expose_secret();
        if !pem.contains("PRIVATE KEY-----") {
            return Err(ConfigError::PrivateKey("it does not begin with -----BEGIN RSA PRIVATE KEY-----".to_owned()));
        }
        let key_error = |error: &dyn std::error::Error| ConfigError::PrivateKey(error::innermost(error));
        let app = octocrab::Octocrab::builder()
            .base_uri(config.api_url.as_str().trim_end_matches('/'))
            .map_err(|error| ConfigError::Url { key: "github.api_url", message: error::innermost(&error) })?
            // A repeated POST could open a second pull request: what may be repeated is decided here, call by call.
            .add_retry_config(octocrab::service::middleware::retry::RetryConfig::None)
            // Our own limit, over the whole call, is the one that counts; these end what it has given up.
            .set_connect_timeout(Some(config.timeout * 2))
            .set_read_timeout(Some(config.timeout * 2))
            .set_write_timeout(Some(config.timeout * 2))
            .add_header(http::header::ACCEPT, "application/vnd.github+json".to_owned())
            .app_from_rsa_pem(octocrab::models::AppId(config.app_id), pem)
            .map_err(|error| key_error(&error))?
            .build()
            .map_err(|error| key_error(&error))?;
        Ok(Self { inner: Arc::new(Inner { app, config, clock, tokens: token::TokenCache::default() }) })
    }

    /// Where people find a repository's page.
    pub fn web_url(&self) -> &Url {
        &self.inner.config.web_url
    }
}
