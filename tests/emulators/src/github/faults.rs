//! What goes wrong on demand.

use std::time::Duration;

use axum::http::Method;
use tokio::sync::watch;

/// A kind of request, for faults and for reading the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Whatever comes next, web pages aside.
    Any,
    App,
    AppInstallations,
    RepositoryInstallation,
    CreateInstallationToken,
    Repository,
    Branch,
    References,
    Compare,
    Contents,
    CollaboratorPermission,
    ListPulls,
    CreatePull,
    Pull,
    UpdatePull,
    MergePull,
    PullFiles,
    Comments,
    User,
    OAuthToken,
    /// Any git request: ref advertisement, fetch, push.
    Git,
    GitPush,
}

/// What happens to a request instead of its usual answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status, and nothing is done.
    Status(u16),
    /// 403 with `Retry-After` (seconds), and nothing is done.
    SecondaryRateLimit(u64),
    /// It is done, but the connection closes before a byte of the answer.
    AnswerLost,
    /// It is done after this long.
    Slow(Duration),
}

/// Requests of one kind stand still as long as this is held, and then go on as usual.
#[derive(Debug)]
pub struct Hold {
    #[expect(dead_code, reason = "whoever waits sees it go")]
    held: watch::Sender<()>,
}

impl Hold {
    pub(super) fn new() -> (Self, watch::Receiver<()>) {
        let (held, waits) = watch::channel(());
        (Self { held }, waits)
    }
}

/// Every request of one kind meets a fault as long as this is held.
#[derive(Debug)]
pub struct Outage {
    #[expect(dead_code, reason = "whoever looks sees it go")]
    held: watch::Sender<()>,
}

impl Outage {
    pub(super) fn new() -> (Self, watch::Receiver<()>) {
        let (held, lasts) = watch::channel(());
        (Self { held }, lasts)
    }
}

impl Route {
    /// Whether a request is of this kind.
    pub(super) fn matches(self, method: &Method, path: &str) -> bool {
        let path = path.strip_prefix("/api/v3").unwrap_or(path).trim_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        let (get, post) = (method == Method::GET, method == Method::POST);
        let repo: &[&str] = match parts.as_slice() {
            ["repos", _, _, rest @ ..] => rest,
            _ => &[],
        };
        match self {
            Self::Any => true,
            Self::App => parts == ["app"],
            Self::AppInstallations => parts == ["app", "installations"],
            Self::RepositoryInstallation => repo == ["installation"],
            Self::CreateInstallationToken => post && matches!(parts.as_slice(), ["app", "installations", _, "access_tokens"]),
            Self::Repository => get && parts.len() == 3 && parts[0] == "repos",
            Self::Branch => repo.first() == Some(&"branches"),
            Self::References => repo.first() == Some(&"git"),
            Self::Compare => repo.first() == Some(&"compare"),
            Self::Contents => repo.first() == Some(&"contents"),
            Self::CollaboratorPermission => matches!(repo, ["collaborators", _, "permission"]),
            Self::ListPulls => get && repo == ["pulls"],
            Self::CreatePull => post && repo == ["pulls"],
            Self::Pull => get && matches!(repo, ["pulls", _]),
            Self::UpdatePull => method == Method::PATCH && matches!(repo, ["pulls", _]),
            Self::MergePull => matches!(repo, ["pulls", _, "merge"]),
            Self::PullFiles => matches!(repo, ["pulls", _, "files"]),
            Self::Comments => matches!(repo, ["issues", _, "comments"]),
            Self::User => parts.first() == Some(&"user"),
            Self::OAuthToken => path == "login/oauth/access_token",
            Self::Git => is_git(&parts),
            Self::GitPush => parts.last() == Some(&"git-receive-pack"),
        }
    }
}

fn is_git(parts: &[&str]) -> bool {
    matches!(parts, [_, _, "info", "refs"] | [_, _, "git-upload-pack" | "git-receive-pack"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_of_its_kind_under_both_bases() {
        for base in ["", "/api/v3"] {
            assert!(Route::CreatePull.matches(&Method::POST, &format!("{base}/repos/a/b/pulls")));
            assert!(!Route::CreatePull.matches(&Method::GET, &format!("{base}/repos/a/b/pulls")));
            assert!(Route::Repository.matches(&Method::GET, &format!("{base}/repos/a/b")));
        }
        assert!(Route::GitPush.matches(&Method::POST, "/a/b.git/git-receive-pack"));
    }
}
