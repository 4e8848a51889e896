//! The git database's calls: references and commits.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{
        auth::{Caller, Need},
        error::ApiError,
        json::created,
        server::Shared,
    },
    Answer, Body, Paging,
};

type RepoAnd = Path<(String, String, String)>;

/// Branches and tags only, and no name that git would refuse.
fn valid(name: &str) -> bool {
    let rest = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.contains("..")
            && !rest.contains("//")
            && !rest.contains("@{")
            && !rest.starts_with(['/', '-', '.'])
            && !rest.ends_with(['/', '.'])
            && !rest.ends_with(".lock")
            && !rest.contains(|c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c))
    })
}

pub(super) async fn show(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, reference)): RepoAnd) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let reference = format!("refs/{reference}");
    let refs = permitted.git.refs(&reference).await?;
    let sha = refs.get(&reference).ok_or_else(ApiError::not_found)?;
    Ok(Json(shared.ref_json(&format!("{owner}/{name}"), &reference, sha)).into_response())
}

pub(super) async fn matching(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, prefix)): RepoAnd,
    paging: Paging,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let prefix = format!("refs/{prefix}");
    let refs = permitted.git.refs("refs/").await?;
    let full_name = format!("{owner}/{name}");
    let found = refs.iter().filter(|(name, _)| name.starts_with(&prefix) && !name.starts_with("refs/pull/"));
    paging.list(found.map(|(name, sha)| shared.ref_json(&full_name, name, sha)).collect())
}

#[derive(Deserialize)]
pub(super) struct NewRef {
    #[serde(rename = "ref")]
    reference: Option<String>,
    sha: Option<String>,
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    Body(new): Body<NewRef>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::write("contents"))?;
    let reference = new.reference.ok_or_else(|| ApiError::missing("ref"))?;
    let sha = new.sha.ok_or_else(|| ApiError::missing("sha"))?;
    if !valid(&reference) {
        return Err(ApiError::unprocessable("Reference name is invalid"));
    }
    let sha = permitted.git.resolve(&sha).await?.ok_or_else(|| ApiError::unprocessable("Object does not exist"))?;
    if permitted.git.refs(&reference).await?.contains_key(&reference) {
        return Err(ApiError::unprocessable("Reference already exists"));
    }
    permitted.git.update_ref(&reference, &sha).await?;
    shared.branches_moved(&permitted.key, &caller.account()).await?;
    Ok(created(shared.ref_json(&format!("{owner}/{name}"), &reference, &sha)))
}

#[derive(Deserialize)]
pub(super) struct MovedRef {
    sha: Option<String>,
    #[serde(default)]
    force: bool,
}

pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, reference)): RepoAnd,
    Body(moved): Body<MovedRef>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::write("contents"))?;
    let reference = format!("refs/{reference}");
    let wanted = moved.sha.ok_or_else(|| ApiError::missing("sha"))?;
    let git = &permitted.git;
    let known = git.refs(&reference).await?;
    let old = known.get(&reference).filter(|_| valid(&reference)).ok_or_else(|| ApiError::unprocessable("Reference does not exist"))?;
    let sha = git.resolve(&wanted).await?.ok_or_else(|| ApiError::unprocessable("Object does not exist"))?;
    if !moved.force && git.merge_base(old, &sha).await?.as_ref() != Some(old) {
        return Err(ApiError::unprocessable("Update is not a fast forward"));
    }
    git.update_ref(&reference, &sha).await?;
    shared.branches_moved(&permitted.key, &caller.account()).await?;
    Ok(Json(shared.ref_json(&format!("{owner}/{name}"), &reference, &sha)).into_response())
}

pub(super) async fn delete(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, reference)): RepoAnd) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::write("contents"))?;
    let reference = format!("refs/{reference}");
    if !valid(&reference) || !permitted.git.refs(&reference).await?.contains_key(&reference) {
        return Err(ApiError::unprocessable("Reference does not exist"));
    }
    permitted.git.delete_ref(&reference).await?;
    shared.branches_moved(&permitted.key, &caller.account()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn commit(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, sha)): RepoAnd) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::read("contents"))?;
    let sha = permitted.git.resolve(&sha).await?.ok_or_else(ApiError::not_found)?;
    let commit = permitted.git.commit(&sha).await?.ok_or_else(ApiError::not_found)?;
    let (author, committer) = (&commit.author, &commit.committer);
    Ok(Json(json!({
        "sha": commit.sha, "message": commit.message, "tree": {"sha": commit.tree},
        "author": {"name": author.name, "email": author.email, "date": author.date},
        "committer": {"name": committer.name, "email": committer.email, "date": committer.date},
        "parents": commit.parents.iter().map(|sha| json!({"sha": sha})).collect::<Vec<_>>(),
    }))
    .into_response())
}
