//! Pull requests: opened once, whatever happens to the answer.

use std::time::Duration;

use http::Method;
use longshore_session::{RepoName, fault_point};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{CommitId, GitHub, GitHubError, api::encode, token::Scope};

/// Before opening a pull request is tried again. GitHub has one for a head and a base at the most, so that trying twice opens one.
const REOPEN_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// A rate limit that lasts longer is for the caller to tell: an agent's tool call has less than a minute.
const LONGEST_LIMIT: Duration = Duration::from_secs(15);

/// In whose name something is done.
#[derive(Clone)]
pub enum As {
    /// A person who linked their account; their user access token.
    User(SecretString),
    App,
}

impl std::fmt::Debug for As {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User(_) => "User([redacted])",
            Self::App => "App",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    Draft,
}

/// A pull request to be. Head and base are branches of the same repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestDraft {
    pub repo: RepoName,
    pub head: String,
    pub base: String,
    pub title: String,
    /// Markdown.
    pub body: String,
    pub readiness: Readiness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRequestState {
    Open,
    Closed,
    Merged,
}

/// Whether [`GitHub::ensure_pull_request`] opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    /// It was there already; title and body are as they were.
    Existing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    /// Its page.
    pub url: String,
    pub state: PullRequestState,
    pub readiness: Readiness,
    pub head: CommitId,
    pub created: Created,
}

/// Size of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffStat {
    pub files: u64,
    pub additions: u64,
    pub deletions: u64,
    pub commits: u64,
}

#[derive(Deserialize)]
struct PullShape {
    number: u64,
    html_url: String,
    state: String,
    merged_at: Option<String>,
    #[serde(default)]
    draft: bool,
    head: HeadShape,
}

#[derive(Deserialize)]
struct HeadShape {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
}

impl PullShape {
    fn read(self, created: Created) -> Result<PullRequest, GitHubError> {
        let state = match (self.state.as_str(), self.merged_at) {
            (_, Some(_)) => PullRequestState::Merged,
            ("open", None) => PullRequestState::Open,
            _ => PullRequestState::Closed,
        };
        let readiness = if self.draft { Readiness::Draft } else { Readiness::Ready };
        Ok(PullRequest { number: self.number, url: self.html_url, state, readiness, head: CommitId::parse(self.head.sha)?, created })
    }
}

impl GitHub {
    async fn read_as<T: serde::de::DeserializeOwned>(&self, repo: &RepoName, by: &As, path: &str) -> Result<T, GitHubError> {
        match by {
            As::User(token) => self.get(&self.with_token(token.expose_secret())?, path).await,
            As::App => self.as_installation(repo, Scope::PullRequests, async |by| self.get(&by, path).await).await,
        }
    }

    pub(crate) async fn write_as<T: serde::de::DeserializeOwned>(
        &self,
        repo: &RepoName,
        by: &As,
        (method, path): (Method, &str),
        body: &Value,
    ) -> Result<T, GitHubError> {
        match by {
            As::User(token) => self.send(&self.with_token(token.expose_secret())?, method, path, body).await,
            As::App => self.as_installation(repo, Scope::PullRequests, async |by| self.send(&by, method.clone(), path, body).await).await,
        }
    }

    /// The open pull request from this head to this base, opened if there is none. Calling it again gives the same one: it is looked up before it
    /// is created, and again where GitHub says that it exists (somebody was faster) or gave no answer (it may have been done). What was not done is
    /// tried again within seconds.
    ///
    /// Changes nothing about one that exists. `Rejected` where GitHub declines: no commits between the branches, no such branch.
    pub async fn ensure_pull_request(&self, draft: &PullRequestDraft, by: &As) -> Result<PullRequest, GitHubError> {
        let body = json!({
            "title": draft.title, "body": draft.body, "head": draft.head, "base": draft.base,
            "draft": draft.readiness == Readiness::Draft,
        });
        let path = format!("/repos/{}/pulls", draft.repo);
        let mut pauses = REOPEN_PAUSES.iter();
        let mut created = Created::Existing;
        loop {
            if let Some(found) = self.open_pull_request(draft, by).await? {
                return found.read(created);
            }
            fault_point!("github.pull_request.before");
            let answer = self.write_as::<PullShape>(&draft.repo, by, (Method::POST, &path), &body).await;
            fault_point!("github.pull_request.after");
            let error = match answer {
                Ok(created) => return created.read(Created::New),
                Err(error) => error,
            };
            if matches!(&error, GitHubError::Rejected { status: 422, message } if message.contains("already exists")) {
                return self.open_pull_request(draft, by).await?.ok_or(error)?.read(Created::Existing);
            }
            let wait = match &error {
                GitHubError::Unavailable { .. } | GitHubError::Unexpected { .. } => {
                    tracing::warn!(repo = %draft.repo, head = %draft.head, %error, "no answer to opening a pull request: looking whether it is there");
                    // If it is there now, it was not a moment ago.
                    created = Created::New;
                    Duration::ZERO
                }
                GitHubError::RateLimited { retry_after } if *retry_after <= LONGEST_LIMIT => *retry_after,
                _ => return Err(error),
            };
            let Some(pause) = pauses.next() else {
                return match self.open_pull_request(draft, by).await {
                    Ok(Some(found)) => found.read(created),
                    Ok(None) | Err(_) => Err(error),
                };
            };
            tokio::time::sleep(wait.max(*pause)).await;
        }
    }

    async fn open_pull_request(&self, draft: &PullRequestDraft, by: &As) -> Result<Option<PullShape>, GitHubError> {
        self.open_shape(&draft.repo, (&draft.head, &draft.base), by).await
    }

    pub(crate) async fn find_open(&self, repo: &RepoName, branches: (&str, &str), by: &As) -> Result<Option<PullRequest>, GitHubError> {
        self.open_shape(repo, branches, by).await?.map(|shape| shape.read(Created::Existing)).transpose()
    }

    async fn open_shape(&self, repo: &RepoName, (head, base): (&str, &str), by: &As) -> Result<Option<PullShape>, GitHubError> {
        let query = |text: &str| encode(text).replace('/', "%2F");
        let path = format!("/repos/{repo}/pulls?state=open&head={}:{}&base={}", query(repo.owner()), query(head), query(base));
        let found: Vec<PullShape> = self.read_as(repo, by, &path).await?;
        // GitHub ignores a head filter that it does not understand.
        Ok(found.into_iter().find(|pull| pull.head.branch == head))
    }

    /// Its present state.
    pub async fn pull_request(&self, repo: &RepoName, number: u64) -> Result<PullRequest, GitHubError> {
        let shape: PullShape = self.read_as(repo, &As::App, &format!("/repos/{repo}/pulls/{number}")).await?;
        shape.read(Created::Existing)
    }

    /// Replaces the description.
    pub async fn update_pull_request_body(&self, repo: &RepoName, number: u64, body: &str, by: &As) -> Result<(), GitHubError> {
        let path = format!("/repos/{repo}/pulls/{number}");
        let _: serde::de::IgnoredAny = self.write_as(repo, by, (Method::PATCH, &path), &json!({"body": body})).await?;
        Ok(())
    }

    /// How much it changes.
    pub async fn pull_request_diff_stat(&self, repo: &RepoName, number: u64) -> Result<DiffStat, GitHubError> {
        #[derive(Deserialize)]
        struct Shape {
            changed_files: u64,
            additions: u64,
            deletions: u64,
            commits: u64,
        }
        let shape: Shape = self.read_as(repo, &As::App, &format!("/repos/{repo}/pulls/{number}")).await?;
        Ok(DiffStat { files: shape.changed_files, additions: shape.additions, deletions: shape.deletions, commits: shape.commits })
    }
}
