//! Pull requests: opened once, whatever happens to the answer.

use http::Method;
use longshore_session::{RepoName, fault_point};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{CommitId, GitHub, GitHubError, api::encode, token::Scope};

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
    /// is created, and again where GitHub says that it exists (somebody was faster) or gave no answer (it may have been done).
    ///
    /// Changes nothing about one that exists. `Rejected` where GitHub declines: no commits between the branches, no such branch.
    pub async fn ensure_pull_request(&self, draft: &PullRequestDraft, by: &As) -> Result<PullRequest, GitHubError> {
        if let Some(found) = self.open_pull_request(draft, by).await? {
            return found.read(Created::Existing);
        }
        let body = json!({
            "title": draft.title, "body": draft.body, "head": draft.head, "base": draft.base,
            "draft": draft.readiness == Readiness::Draft,
        });
        let path = format!("/repos/{}/pulls", draft.repo);
        fault_point!("github.pull_request.before");
        let answer = self.write_as::<PullShape>(&draft.repo, by, (Method::POST, &path), &body).await;
        fault_point!("github.pull_request.after");
        match answer {
            Ok(created) => created.read(Created::New),
            Err(GitHubError::Rejected { status: 422, message }) if message.contains("already exists") => {
                let found = self.open_pull_request(draft, by).await?;
                found.ok_or(GitHubError::Rejected { status: 422, message })?.read(Created::Existing)
            }
            Err(lost @ (GitHubError::Unavailable { .. } | GitHubError::Unexpected { .. })) => {
                tracing::warn!(repo = %draft.repo, head = %draft.head, "no answer to opening a pull request: looking whether it is there");
                match self.open_pull_request(draft, by).await {
                    // It was not there a moment ago.
                    Ok(Some(found)) => found.read(Created::New),
                    Ok(None) | Err(_) => Err(lost),
                }
            }
            Err(error) => Err(error),
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
