//! Taking back what a session pushed that turned out to belong elsewhere.

use http::Method;
use longshore_session::RepoName;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use crate::{Access, As, CommitId, GitHub, GitHubError, PullRequest, api::encode, token::Scope};

/// Whether people did something with a pull request beside the App and whoever it was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    ByPeople,
    ByNobody,
}

#[derive(Deserialize)]
struct Said {
    /// None for an account that is gone: a person's.
    user: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Said {
    fn is_by_a_person(&self) -> bool {
        self.user.as_ref().and_then(|user| user.kind.as_deref()) != Some("Bot")
    }
}

impl GitHub {
    /// The open pull request of a branch, if there is one.
    pub async fn open_pull_request_of(&self, repo: &RepoName, branch: &str, base: &str) -> Result<Option<PullRequest>, GitHubError> {
        self.find_open(repo, (branch, base), &As::App).await
    }

    /// Whether people commented on a pull request or reviewed it.
    pub async fn touched(&self, repo: &RepoName, number: u64) -> Result<Touched, GitHubError> {
        for path in [format!("/repos/{repo}/issues/{number}/comments"), format!("/repos/{repo}/pulls/{number}/reviews")] {
            let said: Vec<Said> =
                self.as_installation(repo, Scope::PullRequests, async |by| self.list(&by, &path, |page: Vec<Said>| page).await).await?;
            if said.iter().any(Said::is_by_a_person) {
                return Ok(Touched::ByPeople);
            }
        }
        Ok(Touched::ByNobody)
    }

    /// Closes a pull request as the App, saying why. Doing it twice says it twice.
    pub async fn close_pull_request(&self, repo: &RepoName, number: u64, why: &str) -> Result<(), GitHubError> {
        let comment = (Method::POST, &*format!("/repos/{repo}/issues/{number}/comments"));
        let _: IgnoredAny = self.write_as(repo, &As::App, comment, &json!({ "body": why })).await?;
        let close = (Method::PATCH, &*format!("/repos/{repo}/pulls/{number}"));
        let _: IgnoredAny = self.write_as(repo, &As::App, close, &json!({ "state": "closed" })).await?;
        Ok(())
    }

    /// Deletes a branch that still is at this commit. One that is gone already is fine; `Rejected` where it has moved on.
    pub async fn delete_branch(&self, repo: &RepoName, branch: &str, at: &CommitId) -> Result<(), GitHubError> {
        match self.branch_head(repo, branch).await? {
            None => return Ok(()),
            Some(head) if head == *at => {}
            Some(_) => return Err(GitHubError::Rejected { status: 409, message: format!("{branch} has moved on") }),
        }
        let path = format!("/repos/{repo}/git/refs/heads/{}", encode(branch));
        let deleted = self.as_installation(repo, Scope::Git(Access::Write), async |by| self.delete(&by, &path).await).await;
        match deleted {
            Ok(()) | Err(GitHubError::NotFound { .. }) => Ok(()),
            // Somebody was faster.
            Err(GitHubError::Rejected { status: 422, message }) if message.contains("does not exist") => Ok(()),
            Err(error) => Err(error),
        }
    }
}
