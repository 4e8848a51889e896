//! Pull requests.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        auth::{Caller, Need, Permitted},
        changes::{MergeRefusal, merged_fields},
        error::ApiError,
        git::MergeMethod,
        json::created,
        server::Shared,
        setup::Level,
        state::{Pull, PullState, Review},
    },
    Answer, Body, Paging,
};

type Repo = Path<(String, String)>;
type Numbered = Path<(String, String, u64)>;

const READ: Need = Need::read("pull_requests");
const WRITE: Need = Need::write("pull_requests");

#[derive(Deserialize)]
pub(super) struct ListQuery {
    state: Option<String>,
    head: Option<String>,
    base: Option<String>,
    direction: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repo,
    Query(query): Query<ListQuery>,
    paging: Paging,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, READ)?;
    let world = shared.world();
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    // `user:branch`; without a colon GitHub ignores the filter.
    let head = query.head.as_deref().and_then(|head| head.split_once(':'));
    let state = query.state.as_deref().unwrap_or("open");
    let mut pulls: Vec<&Pull> = repository
        .pulls
        .values()
        .filter(|pull| match state {
            "all" => true,
            "closed" => pull.state != PullState::Open,
            _ => pull.state == PullState::Open,
        })
        .filter(|pull| head.is_none_or(|(owner, branch)| owner.eq_ignore_ascii_case(&repository.owner) && branch == pull.head))
        .filter(|pull| query.base.as_ref().is_none_or(|base| *base == pull.base))
        .collect();
    if query.direction.as_deref() != Some("asc") {
        pulls.reverse();
    }
    paging.list(pulls.into_iter().map(|pull| shared.pull_json(&world, repository, pull)).collect())
}

/// A pull request with what only its own address shows: counts, mergeability.
async fn full(shared: &Arc<Shared>, permitted: &Permitted, number: u64) -> Result<Value, ApiError> {
    let git = &permitted.git;
    let pull = find(shared, permitted, number)?;
    let range = format!("{}..{}", pull.base_sha, pull.head_sha);
    let commits = git.count(&range).await?;
    let files = git.diff(&pull.base_sha, &pull.head_sha).await?;
    let base_now = git.branch(&pull.base).await?;
    let mergeable = match (&pull.state, base_now) {
        (PullState::Open, Some(base)) => Some(git.merged_tree(&base, &pull.head_sha).await?.is_some()),
        _ => None,
    };
    let world = shared.world();
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    let pull = repository.pulls.get(&number).ok_or_else(ApiError::not_found)?;
    let mut shape = shared.pull_json(&world, repository, pull);
    merged_fields(shared, &world, pull, &mut shape);
    shape["mergeable"] = json!(mergeable);
    shape["mergeable_state"] = json!(match mergeable {
        Some(true) if pull.draft => "draft",
        Some(true) => "clean",
        Some(false) => "dirty",
        None => "unknown",
    });
    shape["rebaseable"] = json!(mergeable);
    shape["maintainer_can_modify"] = json!(false);
    shape["comments"] = json!(repository.comments.iter().filter(|comment| comment.number == number).count());
    shape["review_comments"] = json!(0);
    shape["commits"] = json!(commits);
    shape["additions"] = json!(files.iter().map(|file| file.additions).sum::<u64>());
    shape["deletions"] = json!(files.iter().map(|file| file.deletions).sum::<u64>());
    shape["changed_files"] = json!(files.len());
    Ok(shape)
}

fn find(shared: &Shared, permitted: &Permitted, number: u64) -> Result<Pull, ApiError> {
    let world = shared.world();
    world.repository(&permitted.key).and_then(|repository| repository.pulls.get(&number)).cloned().ok_or_else(ApiError::not_found)
}

pub(super) async fn show(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, number)): Numbered) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, READ)?;
    Ok(Json(full(&shared, &permitted, number).await?).into_response())
}

#[derive(Deserialize)]
pub(super) struct NewPull {
    title: Option<String>,
    head: Option<String>,
    base: Option<String>,
    body: Option<String>,
    #[serde(default)]
    draft: bool,
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repo,
    Body(new): Body<NewPull>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, WRITE)?;
    let title = new.title.ok_or_else(|| ApiError::missing("title"))?;
    let head = new.head.ok_or_else(|| ApiError::missing("head"))?;
    let base = new.base.ok_or_else(|| ApiError::missing("base"))?;
    if title.trim().is_empty() {
        return Err(ApiError::validation(json!({"resource": "Issue", "code": "missing_field", "field": "title"})));
    }
    let invalid = |field: &str| ApiError::validation(json!({"resource": "PullRequest", "field": field, "code": "invalid"}));
    // `owner:branch` names this repository's own branch: there are no forks here.
    let head = match head.split_once(':') {
        Some((from, branch)) if from.eq_ignore_ascii_case(&owner) => branch.to_owned(),
        Some(_) => return Err(invalid("head")),
        None => head,
    };
    let git = &permitted.git;
    let base_tip = git.branch(&base).await?.ok_or_else(|| invalid("base"))?;
    let head_sha = git.branch(&head).await?.ok_or_else(|| invalid("head"))?;
    let merge_base = git.merge_base(&base_tip, &head_sha).await?;
    let none_between = || ApiError::custom("PullRequest", format!("No commits between {base} and {head}"));
    if git.count(&format!("{base_tip}..{head_sha}")).await? == 0 {
        return Err(none_between());
    }
    let base_sha =
        merge_base.ok_or_else(|| ApiError::custom("PullRequest", format!("The {head} branch has no history in common with {base}")))?;
    let author = caller.account();
    let now = shared.clock.now();
    let number = {
        let mut world = shared.world();
        let id = world.new_id();
        let repository = world.repository_mut(&permitted.key).ok_or_else(ApiError::not_found)?;
        let exists = repository.pulls.values().any(|pull| pull.state == PullState::Open && pull.head == head && pull.base == base);
        if exists {
            return Err(ApiError::custom("PullRequest", format!("A pull request already exists for {}:{head}.", repository.owner)));
        }
        repository.next_number += 1;
        let number = repository.next_number;
        let pull = Pull {
            id,
            number,
            title,
            body: new.body.unwrap_or_default(),
            author: author.clone(),
            head,
            head_sha: head_sha.clone(),
            base,
            base_sha,
            state: PullState::Open,
            draft: new.draft,
            created_at: now,
            updated_at: now,
            requested_reviewers: Vec::new(),
            labels: Vec::new(),
            reviews: Vec::new(),
        };
        repository.pulls.insert(number, pull);
        shared.fire_pull(&mut world, &permitted.key, number, "opened", &author, Value::Null);
        number
    };
    git.update_ref(&format!("refs/pull/{number}/head"), &head_sha).await?;
    Ok(created(full(&shared, &permitted, number).await?))
}

#[derive(Deserialize)]
pub(super) struct PullChange {
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    base: Option<String>,
}

pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    Body(change): Body<PullChange>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, WRITE)?;
    find(&shared, &permitted, number)?;
    if let Some(base) = &change.base
        && permitted.git.branch(base).await?.is_none()
    {
        return Err(ApiError::validation(json!({"resource": "PullRequest", "field": "base", "code": "invalid"})));
    }
    let now = shared.clock.now();
    let account = caller.account();
    {
        let mut world = shared.world();
        let repository = world.repository_mut(&permitted.key).ok_or_else(ApiError::not_found)?;
        let pull = repository.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        let reopened = change.state.as_deref() == Some("open") && matches!(pull.state, PullState::Closed { .. });
        let edited = change.title.is_some() || change.body.is_some() || change.base.is_some();
        if let Some(title) = change.title {
            pull.title = title;
        }
        if let Some(body) = change.body {
            pull.body = body;
        }
        if let Some(base) = change.base {
            pull.base = base;
        }
        if reopened {
            pull.state = PullState::Open;
        }
        pull.updated_at = now;
        for action in [edited.then_some("edited"), reopened.then_some("reopened")].into_iter().flatten() {
            shared.fire_pull(&mut world, &permitted.key, number, action, &account, Value::Null);
        }
    }
    if change.state.as_deref() == Some("closed") {
        shared.close_pull(&permitted.key, number, &account);
    }
    Ok(Json(full(&shared, &permitted, number).await?).into_response())
}

pub(super) async fn files(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, READ)?;
    let pull = find(&shared, &permitted, number)?;
    let files = permitted.git.diff(&pull.base_sha, &pull.head_sha).await?;
    let full_name = format!("{owner}/{name}");
    paging.list(files.iter().map(|file| shared.file_json(&full_name, &pull.head_sha, file)).collect())
}

pub(super) async fn commits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, READ)?;
    let pull = find(&shared, &permitted, number)?;
    let mut commits = permitted.git.log(&format!("{}..{}", pull.base_sha, pull.head_sha), 250).await?;
    commits.reverse();
    let world = shared.world();
    let full_name = format!("{owner}/{name}");
    paging.list(commits.iter().map(|commit| shared.commit_json(&world, &full_name, commit)).collect())
}

#[derive(Deserialize)]
pub(super) struct MergeRequest {
    merge_method: Option<String>,
    sha: Option<String>,
}

pub(super) async fn merge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    Body(wanted): Body<MergeRequest>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::write("contents"))?;
    find(&shared, &permitted, number)?;
    let method = match wanted.merge_method.as_deref() {
        None | Some("merge") => MergeMethod::Merge,
        Some("squash") => MergeMethod::Squash,
        Some(other) => {
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("Merge method {other} is not allowed on this repository")));
        }
    };
    let merged = shared.merge_pull(&permitted.key, number, &caller.account(), method, wanted.sha.as_deref()).await;
    match merged {
        Ok(sha) => Ok(Json(json!({"sha": sha, "merged": true, "message": "Pull Request successfully merged"})).into_response()),
        Err(MergeRefusal::NotOpen | MergeRefusal::Conflict) => {
            Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Pull Request is not mergeable"))
        }
        Err(MergeRefusal::HeadMoved) => {
            Err(ApiError::new(StatusCode::CONFLICT, "Head branch was modified. Review and try the merge again."))
        }
        Err(MergeRefusal::Failed(error)) => Err(error),
    }
}

pub(super) async fn is_merged(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, number)): Numbered) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, READ)?;
    match find(&shared, &permitted, number)?.state {
        PullState::Merged { .. } => Ok(StatusCode::NO_CONTENT.into_response()),
        PullState::Open | PullState::Closed { .. } => Err(ApiError::not_found()),
    }
}

pub(super) async fn reviews(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, READ)?;
    let pull = find(&shared, &permitted, number)?;
    let world = shared.world();
    let full_name = format!("{owner}/{name}");
    paging.list(pull.reviews.iter().map(|review| shared.review_json(&world, &full_name, number, review)).collect())
}

#[derive(Deserialize)]
pub(super) struct NewReview {
    event: Option<String>,
    #[serde(default)]
    body: String,
}

pub(super) async fn review(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    Body(new): Body<NewReview>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, WRITE)?;
    let author = caller.account();
    let pull = find(&shared, &permitted, number)?;
    let own = pull.author == author;
    let state = match new.event.as_deref() {
        Some("APPROVE") if own => return Err(ApiError::unprocessable("Can not approve your own pull request")),
        Some("REQUEST_CHANGES") if own => {
            return Err(ApiError::unprocessable("Can not request changes on your own pull request"));
        }
        Some("APPROVE") => "APPROVED",
        Some("REQUEST_CHANGES") => "CHANGES_REQUESTED",
        Some("COMMENT") => "COMMENTED",
        _ => return Err(ApiError::unprocessable("Only `APPROVE`, `REQUEST_CHANGES` and `COMMENT` are supported here")),
    };
    let at = shared.clock.now();
    let mut world = shared.world();
    let review = Review { id: world.new_id(), author: author.clone(), state: state.to_owned(), body: new.body, commit: pull.head_sha, at };
    let full_name = format!("{owner}/{name}");
    let mut shape = shared.review_json(&world, &full_name, number, &review);
    let repository = world.repository_mut(&permitted.key).ok_or_else(ApiError::not_found)?;
    let pull = repository.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
    pull.reviews.push(review);
    let answer = shape.clone();
    // Webhooks spell the state in small letters.
    shape["state"] = json!(state.to_lowercase());
    let payload = world
        .repository(&permitted.key)
        .and_then(|repository| repository.pulls.get(&number).map(|pull| shared.pull_json(&world, repository, pull)))
        .map(|pull| json!({"action": "submitted", "review": shape, "pull_request": pull}));
    if let Some(payload) = payload {
        shared.fire(&mut world, &permitted.key, "pull_request_review", &author, payload);
    }
    Ok(Json(answer).into_response())
}

pub(super) async fn reviewers(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name, number)): Numbered) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, READ)?;
    let pull = find(&shared, &permitted, number)?;
    let world = shared.world();
    let users: Vec<Value> = pull.requested_reviewers.iter().map(|login| shared.owner_json(&world, login)).collect();
    Ok(Json(json!({"users": users, "teams": []})).into_response())
}

#[derive(Deserialize)]
pub(super) struct Reviewers {
    #[serde(default)]
    reviewers: Vec<String>,
}

pub(super) async fn request_reviewers(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    Body(wanted): Body<Reviewers>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, WRITE)?;
    let pull = find(&shared, &permitted, number)?;
    let mut world = shared.world();
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    let may_review = |login: &String| world.user(login).is_some() && world.level_of(login, repository) >= Some(Level::Read);
    if !wanted.reviewers.iter().all(may_review) {
        return Err(ApiError::unprocessable(
            "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the repository.",
        ));
    }
    if let super::super::state::Account::User(author) = &pull.author
        && wanted.reviewers.iter().any(|login| login.eq_ignore_ascii_case(author))
    {
        return Err(ApiError::unprocessable("Review cannot be requested from pull request author."));
    }
    if let Some(pull) = world.repository_mut(&permitted.key).and_then(|repository| repository.pulls.get_mut(&number)) {
        for login in wanted.reviewers {
            if !pull.requested_reviewers.contains(&login) {
                pull.requested_reviewers.push(login);
            }
        }
    }
    shared.fire_pull(&mut world, &permitted.key, number, "review_requested", &caller.account(), Value::Null);
    let repository = world.repository(&permitted.key).ok_or_else(ApiError::not_found)?;
    let pull = repository.pulls.get(&number).ok_or_else(ApiError::not_found)?;
    Ok(created(shared.pull_json(&world, repository, pull)))
}
