//! Repositories: branches, commits, comparison, contents, collaborators.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    response::IntoResponse,
};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        auth::{Caller, Need, Permitted},
        error::ApiError,
        git::{Content, EntryKind},
        json::percent,
        server::Shared,
        setup::Level,
        state::{CheckKind, World},
    },
    Answer, Paging,
};

type Repo = Path<(String, String)>;
type RepoAnd = Path<(String, String, String)>;

pub(super) async fn show(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name)): Repo) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::METADATA)?;
    let world = shared.world();
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    let mut shape = shared.repository_json(repository);
    let level = match &caller {
        Caller::User { login, .. } => world.level_of(login, repository),
        _ => Some(Level::Read),
    };
    shape["permissions"] = json!({
        "pull": level.is_some(), "triage": level >= Some(Level::Write), "push": level >= Some(Level::Write),
        "maintain": level >= Some(Level::Admin), "admin": level >= Some(Level::Admin),
    });
    Ok(Json(shape).into_response())
}

fn full_name(world: &World, permitted: &Permitted) -> String {
    world.repository(&permitted.key).map(super::super::state::Repository::full_name).unwrap_or_default()
}

pub(super) async fn branches(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name)): Repo, paging: Paging) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let refs = permitted.git.refs("refs/heads/").await?;
    let full_name = full_name(&shared.world(), &permitted);
    let shapes = refs.iter().map(|(name, sha)| {
        json!({
            "name": name.trim_start_matches("refs/heads/"), "protected": false,
            "commit": {"sha": sha, "url": format!("{}/repos/{full_name}/commits/{sha}", shared.api_url)},
        })
    });
    paging.list(shapes.collect())
}

pub(super) async fn branch(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, branch)): RepoAnd) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let missing = || ApiError::new(http::StatusCode::NOT_FOUND, "Branch not found");
    let sha = permitted.git.branch(&branch).await?.ok_or_else(missing)?;
    let commit = permitted.git.commit(&sha).await?.ok_or_else(missing)?;
    let world = shared.world();
    let full_name = full_name(&world, &permitted);
    let url = format!("{}/repos/{full_name}/branches/{}", shared.api_url, percent(&branch));
    Ok(Json(json!({
        "name": branch, "commit": shared.commit_json(&world, &full_name, &commit), "protected": false,
        "_links": {"self": url, "html": format!("{}/{full_name}/tree/{}", shared.web_url, percent(&branch))},
        "protection": {"enabled": false}, "protection_url": format!("{url}/protection"),
    }))
    .into_response())
}

#[derive(Deserialize)]
pub(super) struct CommitsQuery {
    sha: Option<String>,
}

pub(super) async fn commits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repo,
    Query(query): Query<CommitsQuery>,
    paging: Paging,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let start = match query.sha {
        Some(start) => start,
        None => shared.world().repository(&permitted.key).map(|repository| repository.default_branch.clone()).unwrap_or_default(),
    };
    let sha = permitted.git.resolve(&start).await?.ok_or_else(ApiError::not_found)?;
    let commits = permitted.git.log(&sha, 1000).await?;
    let world = shared.world();
    let full_name = full_name(&world, &permitted);
    paging.list(commits.iter().map(|commit| shared.commit_json(&world, &full_name, commit)).collect())
}

/// One commit; also its `/check-runs`, `/status` and `/pulls`, since a reference may itself hold slashes.
pub(super) async fn commit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, reference)): RepoAnd,
    paging: Paging,
) -> Answer {
    for (suffix, need) in [("/check-runs", "checks"), ("/status", "statuses"), ("/pulls", "pull_requests")] {
        if let Some(reference) = reference.strip_suffix(suffix) {
            let permitted = shared.permit(&caller, &owner, &name, Need::read(need))?;
            let sha = resolve(&permitted, reference).await?;
            return about_commit(&shared, &permitted, &sha, suffix, &paging);
        }
    }
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let sha = resolve(&permitted, &reference).await?;
    let commit = permitted.git.commit(&sha).await?.ok_or_else(ApiError::not_found)?;
    let files = match commit.parents.first() {
        Some(parent) => permitted.git.diff(parent, &sha).await?,
        None => Vec::new(),
    };
    let world = shared.world();
    let full_name = full_name(&world, &permitted);
    let mut shape = shared.commit_json(&world, &full_name, &commit);
    let (additions, deletions) = files.iter().fold((0, 0), |(a, d), file| (a + file.additions, d + file.deletions));
    shape["stats"] = json!({"additions": additions, "deletions": deletions, "total": additions + deletions});
    shape["files"] = files.iter().map(|file| shared.file_json(&full_name, &sha, file)).collect();
    Ok(Json(shape).into_response())
}

async fn resolve(permitted: &Permitted, reference: &str) -> Result<String, ApiError> {
    permitted.git.resolve(reference).await?.ok_or_else(|| ApiError::unprocessable(format!("No commit found for SHA: {reference}")))
}

fn about_commit(shared: &Shared, permitted: &Permitted, sha: &str, what: &str, paging: &Paging) -> Answer {
    let world = shared.world();
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    if what == "/pulls" {
        let pulls = repository.pulls.values().filter(|pull| pull.head_sha == sha);
        return paging.list(pulls.map(|pull| shared.pull_json(&world, repository, pull)).collect());
    }
    let checks = repository.checks.iter().filter(|check| check.sha == sha);
    if what == "/check-runs" {
        let runs = checks.filter(|check| matches!(check.is, CheckKind::Run { .. }));
        let shapes = runs.map(super::issues::check_json).collect();
        return Ok(paging.answer(shapes, |total, page| json!({"total_count": total, "check_runs": page})));
    }
    let statuses: Vec<Value> = checks.filter(|check| matches!(check.is, CheckKind::Status { .. })).map(super::issues::check_json).collect();
    let has = |state: &str| statuses.iter().any(|status| status["state"] == state);
    let state = if has("failure") || has("error") {
        "failure"
    } else if statuses.is_empty() || has("pending") {
        "pending"
    } else {
        "success"
    };
    Ok(Json(json!({"state": state, "sha": sha, "total_count": statuses.len(), "statuses": statuses})).into_response())
}

pub(super) async fn compare(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, range)): RepoAnd,
    paging: Paging,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let (base, head) = range.split_once("...").ok_or_else(ApiError::not_found)?;
    // `owner:branch` names a branch of this repository: there are no forks here.
    let own = |text: &str| text.split_once(':').map_or(text, |(_, branch)| branch).to_owned();
    let git = &permitted.git;
    let base = git.resolve(&own(base)).await?.ok_or_else(ApiError::not_found)?;
    let head = git.resolve(&own(head)).await?.ok_or_else(ApiError::not_found)?;
    let merge_base = git.merge_base(&base, &head).await?.ok_or_else(ApiError::not_found)?;
    let ahead = git.count(&format!("{base}..{head}")).await?;
    let behind = git.count(&format!("{head}..{base}")).await?;
    let mut commits = git.log(&format!("{base}..{head}"), 250).await?;
    commits.reverse();
    let files = git.diff(&merge_base, &head).await?;
    let base_commit = git.commit(&base).await?.ok_or_else(ApiError::not_found)?;
    let merge_commit = git.commit(&merge_base).await?.ok_or_else(ApiError::not_found)?;
    let world = shared.world();
    let full_name = full_name(&world, &permitted);
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let shapes = commits.iter().map(|commit| shared.commit_json(&world, &full_name, commit)).collect();
    let files: Vec<Value> = files.iter().map(|file| shared.file_json(&full_name, &head, file)).collect();
    let base_commit = shared.commit_json(&world, &full_name, &base_commit);
    let merge_commit = shared.commit_json(&world, &full_name, &merge_commit);
    Ok(paging.answer(shapes, |total, page| {
        json!({
            "url": format!("{}/repos/{full_name}/compare/{}", shared.api_url, percent(&range)),
            "html_url": format!("{}/{full_name}/compare/{}", shared.web_url, percent(&range)),
            "base_commit": base_commit, "merge_base_commit": merge_commit, "status": status,
            "ahead_by": ahead, "behind_by": behind, "total_commits": total, "commits": page, "files": files,
        })
    }))
}

#[derive(Deserialize)]
pub(super) struct ContentsQuery {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

pub(super) async fn root_contents(
    state: State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repo,
    query: Query<ContentsQuery>,
) -> Answer {
    contents(state, caller, Path((owner, name, String::new())), query).await
}

pub(super) async fn contents(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, path)): RepoAnd,
    Query(query): Query<ContentsQuery>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let (full_name, default_branch) = {
        let world = shared.world();
        let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
        (repository.full_name(), repository.default_branch.clone())
    };
    let reference = query.reference.unwrap_or(default_branch);
    let missing = || ApiError::new(http::StatusCode::NOT_FOUND, format!("No commit found for the ref {reference}"));
    let sha = permitted.git.resolve(&reference).await?.ok_or_else(missing)?;
    let path = path.trim_matches('/');
    let entry = |path: &str, sha: &str, is: EntryKind, size: u64| {
        let kind = if is == EntryKind::Folder { "dir" } else { "file" };
        let url = format!("{}/repos/{full_name}/contents/{}?ref={}", shared.api_url, percent(path), percent(&reference));
        let html = format!("{}/{full_name}/blob/{}/{}", shared.web_url, percent(&reference), percent(path));
        json!({
            "type": kind, "name": path.rsplit('/').next().unwrap_or(path), "path": path, "sha": sha, "size": size, "url": url, "html_url": html,
            "git_url": format!("{}/repos/{full_name}/git/blobs/{sha}", shared.api_url), "download_url": null,
            "_links": {"self": url, "html": html, "git": null},
        })
    };
    match permitted.git.content(&sha, path).await?.ok_or_else(ApiError::not_found)? {
        Content::Folder(entries) => {
            let shapes: Vec<Value> = entries.iter().map(|item| entry(&item.path, &item.sha, item.is, item.size)).collect();
            Ok(Json(shapes).into_response())
        }
        Content::File { sha, bytes } => {
            let mut shape = entry(path, &sha, EntryKind::File, bytes.len() as u64);
            shape["encoding"] = json!("base64");
            shape["content"] = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
            Ok(Json(shape).into_response())
        }
    }
}

fn role_name(level: Option<Level>) -> &'static str {
    level.map_or("none", Level::as_str)
}

pub(super) async fn collaborators(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name)): Repo, paging: Paging) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::METADATA)?;
    let world = shared.world();
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    let shapes = repository.collaborators.iter().map(|(login, level)| {
        let mut shape = shared.owner_json(&world, login);
        shape["role_name"] = json!(level.as_str());
        shape
    });
    paging.list(shapes.collect())
}

pub(super) async fn permission(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, login)): RepoAnd) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::METADATA)?;
    let world = shared.world();
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    let Some(user) = world.user(&login) else {
        return Err(ApiError::new(http::StatusCode::NOT_FOUND, format!("{login} is not a user")));
    };
    let role = role_name(world.level_of(&login, repository));
    let mut shape = shared.user_json(user);
    shape["role_name"] = json!(role);
    Ok(Json(json!({"permission": role, "role_name": role, "user": shape})).into_response())
}
