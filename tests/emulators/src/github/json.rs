//! GitHub's JSON shapes, as far as clients read them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    clock::rfc3339,
    git::{Commit, FileChange},
    server::Shared,
    setup::Repositories,
    state::{Account, Comment, Installation, Pull, PullState, Repository, Review, User, World},
};

pub(super) fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

impl Shared {
    pub(super) fn user_json(&self, user: &User) -> Value {
        self.account_shape(&user.login, user.id, "User")
    }

    /// A user or an owner that is no known user, and therefore an organization.
    pub(super) fn owner_json(&self, world: &World, owner: &str) -> Value {
        match world.user(owner) {
            Some(user) => self.user_json(user),
            None => {
                // Stable per name, so that an owner's repositories agree on it.
                let id = owner.to_lowercase().bytes().fold(7_u64, |hash, byte| (hash * 31 + u64::from(byte)) % 9_000_000);
                self.account_shape(owner, 1_000_000 + id, "Organization")
            }
        }
    }

    pub(super) fn account_json(&self, world: &World, account: &Account) -> Value {
        match account {
            Account::User(login) => self.owner_json(world, login),
            Account::App => self.account_shape(&format!("{}[bot]", self.setup.app.slug), 900_000 + self.setup.app.id, "Bot"),
        }
    }

    fn account_shape(&self, login: &str, id: u64, kind: &str) -> Value {
        let api = format!("{}/users/{}", self.api_url, percent(login));
        json!({
            "login": login, "id": id, "node_id": format!("U_{id}"), "type": kind, "user_view_type": "public", "site_admin": false,
            "avatar_url": format!("{}/avatars/{id}", self.web_url), "gravatar_id": "",
            "url": api, "html_url": format!("{}/{}", self.web_url, percent(login)),
            "followers_url": format!("{api}/followers"), "following_url": format!("{api}/following{{/other_user}}"),
            "gists_url": format!("{api}/gists{{/gist_id}}"), "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{api}/subscriptions"), "organizations_url": format!("{api}/orgs"),
            "repos_url": format!("{api}/repos"), "events_url": format!("{api}/events{{/privacy}}"),
            "received_events_url": format!("{api}/received_events"),
        })
    }

    /// The owner is shown as an organization: what clients read of it is the login.
    pub(super) fn repository_json(&self, repository: &Repository) -> Value {
        let full_name = repository.full_name();
        let api = format!("{}/repos/{full_name}", self.api_url);
        let owner_id = repository.owner.to_lowercase().bytes().fold(7_u64, |hash, byte| (hash * 31 + u64::from(byte)) % 9_000_000);
        json!({
            "id": repository.id, "node_id": format!("R_{}", repository.id), "name": repository.name, "full_name": full_name,
            "private": true, "visibility": "private", "fork": false, "archived": false, "disabled": false,
            "owner": self.account_shape(&repository.owner, 1_000_000 + owner_id, "Organization"),
            "description": repository.description, "default_branch": repository.default_branch,
            "url": api, "html_url": format!("{}/{full_name}", self.web_url),
            "clone_url": format!("{}/{full_name}.git", self.web_url), "git_url": format!("{}/{full_name}.git", self.web_url),
            "pulls_url": format!("{api}/pulls{{/number}}"), "branches_url": format!("{api}/branches{{/branch}}"),
            "issues_url": format!("{api}/issues{{/number}}"), "commits_url": format!("{api}/commits{{/sha}}"),
            "contents_url": format!("{api}/contents/{{+path}}"), "compare_url": format!("{api}/compare/{{base}}...{{head}}"),
            "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false,
            "forks_count": 0, "stargazers_count": 0, "watchers_count": 0, "open_issues_count": 0, "size": 1, "language": Value::Null,
            "created_at": rfc3339(repository.created_at), "updated_at": rfc3339(repository.created_at),
            "pushed_at": rfc3339(repository.created_at),
            "allow_merge_commit": true, "allow_squash_merge": true, "allow_rebase_merge": false,
        })
    }

    pub(super) fn pull_json(&self, world: &World, repository: &Repository, pull: &Pull) -> Value {
        let full_name = repository.full_name();
        let api = format!("{}/repos/{full_name}/pulls/{}", self.api_url, pull.number);
        let issue = format!("{}/repos/{full_name}/issues/{}", self.api_url, pull.number);
        let html = format!("{}/{full_name}/pull/{}", self.web_url, pull.number);
        let owner = self.owner_json(world, &repository.owner);
        let side = |branch: &str, sha: &str| json!({"label": format!("{}:{branch}", repository.owner), "ref": branch, "sha": sha, "user": owner, "repo": self.repository_json(repository)});
        let (closed_at, merged_at, commit) = match &pull.state {
            PullState::Open => (None, None, None),
            PullState::Closed { at } => (Some(rfc3339(*at)), None, None),
            PullState::Merged { at, commit, .. } => (Some(rfc3339(*at)), Some(rfc3339(*at)), Some(commit)),
        };
        let reviewers: Vec<Value> = pull.requested_reviewers.iter().map(|login| self.owner_json(world, login)).collect();
        json!({
            "url": api, "id": pull.id, "node_id": format!("PR_{}", pull.id), "html_url": html,
            "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"), "issue_url": issue,
            "commits_url": format!("{api}/commits"), "comments_url": format!("{issue}/comments"),
            "review_comments_url": format!("{api}/comments"), "review_comment_url": format!("{api}/comments{{/number}}"),
            "statuses_url": format!("{}/repos/{full_name}/statuses/{}", self.api_url, pull.head_sha),
            "number": pull.number, "state": if pull.state == PullState::Open { "open" } else { "closed" }, "locked": false,
            "title": pull.title, "user": self.account_json(world, &pull.author),
            "body": if pull.body.is_empty() { Value::Null } else { json!(pull.body) },
            "created_at": rfc3339(pull.created_at), "updated_at": rfc3339(pull.updated_at),
            "closed_at": closed_at, "merged_at": merged_at, "merge_commit_sha": commit,
            "assignee": Value::Null, "assignees": [], "requested_reviewers": reviewers, "requested_teams": [],
            "labels": pull.labels.iter().map(|name| self.label_json(&full_name, name)).collect::<Vec<_>>(),
            "milestone": Value::Null, "draft": pull.draft,
            "head": side(&pull.head, &pull.head_sha), "base": side(&pull.base, &pull.base_sha),
            "_links": {"self": {"href": api}, "html": {"href": html}, "issue": {"href": issue}},
            "author_association": "COLLABORATOR", "auto_merge": Value::Null, "active_lock_reason": Value::Null,
        })
    }

    pub(super) fn label_json(&self, full_name: &str, name: &str) -> Value {
        let id = name.bytes().fold(3_u64, |hash, byte| (hash * 31 + u64::from(byte)) % 9_000_000);
        json!({
            "id": id, "node_id": format!("LA_{id}"), "name": name, "color": "ededed", "default": false, "description": Value::Null,
            "url": format!("{}/repos/{full_name}/labels/{}", self.api_url, percent(name)),
        })
    }

    pub(super) fn review_json(&self, world: &World, full_name: &str, number: u64, review: &Review) -> Value {
        json!({
            "id": review.id, "node_id": format!("PRR_{}", review.id), "user": self.account_json(world, &review.author),
            "body": review.body, "state": review.state, "commit_id": review.commit, "submitted_at": rfc3339(review.at),
            "author_association": "COLLABORATOR",
            "html_url": format!("{}/{full_name}/pull/{number}#pullrequestreview-{}", self.web_url, review.id),
            "pull_request_url": format!("{}/repos/{full_name}/pulls/{number}", self.api_url), "_links": {},
        })
    }

    pub(super) fn comment_json(&self, world: &World, full_name: &str, comment: &Comment) -> Value {
        json!({
            "id": comment.id, "node_id": format!("IC_{}", comment.id), "user": self.account_json(world, &comment.author),
            "body": comment.body, "created_at": rfc3339(comment.at), "updated_at": rfc3339(comment.at), "author_association": "COLLABORATOR",
            "url": format!("{}/repos/{full_name}/issues/comments/{}", self.api_url, comment.id),
            "html_url": format!("{}/{full_name}/pull/{}#issuecomment-{}", self.web_url, comment.number, comment.id),
            "issue_url": format!("{}/repos/{full_name}/issues/{}", self.api_url, comment.number),
        })
    }

    pub(super) fn commit_json(&self, world: &World, full_name: &str, commit: &Commit) -> Value {
        let api = format!("{}/repos/{full_name}", self.api_url);
        let account = |email: &str| {
            world.users.values().find(|user| user.email.eq_ignore_ascii_case(email)).map_or(Value::Null, |user| self.user_json(user))
        };
        let (author, committer) = (&commit.author, &commit.committer);
        json!({
            "sha": commit.sha, "node_id": format!("C_{}", commit.sha),
            "url": format!("{api}/commits/{}", commit.sha), "html_url": format!("{}/{full_name}/commit/{}", self.web_url, commit.sha),
            "comments_url": format!("{api}/commits/{}/comments", commit.sha),
            "commit": {
                "author": {"name": author.name, "email": author.email, "date": author.date},
                "committer": {"name": committer.name, "email": committer.email, "date": committer.date},
                "message": commit.message, "comment_count": 0,
                "tree": {"sha": commit.tree, "url": format!("{api}/git/trees/{}", commit.tree)},
                "url": format!("{api}/git/commits/{}", commit.sha),
                "verification": {"verified": false, "reason": "unsigned", "signature": Value::Null, "payload": Value::Null},
            },
            "author": account(&author.email), "committer": account(&committer.email),
            "parents": commit.parents.iter().map(|sha| json!({"sha": sha, "url": format!("{api}/commits/{sha}")})).collect::<Vec<_>>(),
        })
    }

    pub(super) fn file_json(&self, full_name: &str, head: &str, file: &FileChange) -> Value {
        let path = percent(&file.path);
        let mut shape = json!({
            "sha": head, "filename": file.path, "status": file.status,
            "additions": file.additions, "deletions": file.deletions, "changes": file.additions + file.deletions,
            "blob_url": format!("{}/{full_name}/blob/{head}/{path}", self.web_url),
            "raw_url": format!("{}/{full_name}/raw/{head}/{path}", self.web_url),
            "contents_url": format!("{}/repos/{full_name}/contents/{path}?ref={head}", self.api_url),
        });
        if let Some(patch) = &file.patch {
            shape["patch"] = json!(patch);
        }
        if let Some(previous) = &file.previous {
            shape["previous_filename"] = json!(previous);
        }
        shape
    }

    pub(super) fn ref_json(&self, full_name: &str, name: &str, sha: &str) -> Value {
        json!({
            "ref": name, "node_id": format!("REF_{sha}"), "url": format!("{}/repos/{full_name}/git/{name}", self.api_url),
            "object": {"type": "commit", "sha": sha, "url": format!("{}/repos/{full_name}/git/commits/{sha}", self.api_url)},
        })
    }

    pub(super) fn app_json(&self) -> Value {
        let app = &self.setup.app;
        json!({
            "id": app.id, "slug": app.slug, "node_id": format!("A_{}", app.id), "name": app.name, "client_id": app.client_id,
            "owner": self.account_shape("longshore", 42, "Organization"), "description": "",
            "external_url": self.web_url, "html_url": format!("{}/apps/{}", self.web_url, app.slug),
            "created_at": "2026-01-05T09:00:00Z", "updated_at": "2026-01-05T09:00:00Z",
            "permissions": permissions_json(&app.permissions),
            "events": ["pull_request", "pull_request_review", "issue_comment", "push"],
        })
    }

    pub(super) fn installation_json(&self, world: &World, installation: &Installation) -> Value {
        let id = installation.id;
        json!({
            "id": id, "app_id": self.setup.app.id, "app_slug": self.setup.app.slug, "client_id": self.setup.app.client_id,
            "account": self.owner_json(world, &installation.owner),
            "target_id": 1, "target_type": if world.user(&installation.owner).is_some() { "User" } else { "Organization" },
            "repository_selection": selection(&installation.repositories), "permissions": permissions_json(&installation.permissions),
            "events": ["pull_request", "push"], "single_file_name": Value::Null, "suspended_at": Value::Null, "suspended_by": Value::Null,
            "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", self.api_url),
            "repositories_url": format!("{}/installation/repositories", self.api_url),
            "html_url": format!("{}/settings/installations/{id}", self.web_url),
            "created_at": rfc3339(installation.created_at), "updated_at": rfc3339(installation.created_at),
        })
    }
}

pub(super) fn permissions_json(permissions: &super::setup::Permissions) -> Value {
    Value::Object(permissions.iter().map(|(name, level)| (name.clone(), json!(level.as_str()))).collect())
}

pub(super) fn selection(repositories: &Repositories) -> &'static str {
    match repositories {
        Repositories::All => "all",
        Repositories::Selected(_) => "selected",
    }
}

/// 201 with a body.
pub(super) fn created(body: Value) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    (StatusCode::CREATED, axum::Json(body)).into_response()
}
