//! What the service asks of a repository.

use std::fmt;

use longshore_session::RepoName;
use serde::Deserialize;

use crate::{Access, GitHub, GitHubError, api::encode, token::Scope};

const READ: Scope = Scope::Git(Access::Read);

/// A repository that the App can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// As GitHub spells it now: it may have been renamed.
    pub name: RepoName,
    pub default_branch: String,
}

/// A commit's id, 40 or 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommitId(String);

impl CommitId {
    pub(crate) fn parse(text: String) -> Result<Self, GitHubError> {
        if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(text));
        }
        Err(GitHubError::Unexpected { message: "a commit id that is none".to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a person may go in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    None,
    Read,
    Write,
    Admin,
}

impl GitHub {
    /// The repository's present name and default branch. `NotFound` where the App cannot reach it.
    pub async fn repository(&self, repo: &RepoName) -> Result<Repository, GitHubError> {
        #[derive(Deserialize)]
        struct Shape {
            full_name: RepoName,
            default_branch: String,
        }
        let path = format!("/repos/{repo}");
        let shape: Shape = self.as_installation(repo, READ, async |by| self.get(&by, &path).await).await?;
        Ok(Repository { name: shape.full_name, default_branch: shape.default_branch })
    }

    /// The branch's commit; `None` where the repository has no such branch.
    pub async fn branch_head(&self, repo: &RepoName, branch: &str) -> Result<Option<CommitId>, GitHubError> {
        #[derive(Deserialize)]
        struct Shape {
            object: Object,
        }
        #[derive(Deserialize)]
        struct Object {
            sha: String,
        }
        // Asked first, so that a 404 below can only mean the branch.
        self.token(repo, READ).await?;
        let path = format!("/repos/{repo}/git/ref/heads/{}", encode(branch));
        let found: Result<Shape, GitHubError> = self.as_installation(repo, READ, async |by| self.get(&by, &path).await).await;
        match found {
            Ok(shape) => CommitId::parse(shape.object.sha).map(Some),
            Err(GitHubError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the person may do there. Somebody whom GitHub does not know may do nothing.
    pub async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, GitHubError> {
        #[derive(Deserialize)]
        struct Shape {
            permission: String,
        }
        self.token(repo, READ).await?;
        let path = format!("/repos/{repo}/collaborators/{}/permission", encode(login).replace('/', "%2F"));
        let found: Result<Shape, GitHubError> = self.as_installation(repo, READ, async |by| self.get(&by, &path).await).await;
        match found {
            Ok(shape) => match shape.permission.as_str() {
                "admin" => Ok(Permission::Admin),
                "write" => Ok(Permission::Write),
                "read" => Ok(Permission::Read),
                "none" => Ok(Permission::None),
                other => Err(GitHubError::Unexpected { message: format!("permission `{other}`") }),
            },
            Err(GitHubError::NotFound { .. }) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }
}
