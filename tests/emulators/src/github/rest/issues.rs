//! What hangs on a pull request or a commit: comments, labels, checks, statuses.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        auth::{Caller, Need},
        clock::rfc3339,
        error::ApiError,
        json::created,
        server::Shared,
        state::{Check, CheckKind, Comment},
    },
    Answer, Body, Paging,
};

type Numbered = Path<(String, String, u64)>;

/// GitHub lets comments and labels of pull requests be used with either permission.
fn permit(shared: &Shared, caller: &Caller, owner: &str, name: &str, number: u64, write: Need) -> Result<String, ApiError> {
    let permitted = match shared.permit(caller, owner, name, write) {
        Err(error) if error.status == http::StatusCode::FORBIDDEN => {
            shared.permit(caller, owner, name, Need { resource: "issues", level: write.level })?
        }
        other => other?,
    };
    let known = shared.world().repository(&permitted.key).is_some_and(|repository| repository.pulls.contains_key(&number));
    if known { Ok(permitted.key) } else { Err(ApiError::not_found()) }
}

pub(super) async fn comments(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Answer {
    let key = permit(&shared, &caller, &owner, &name, number, Need::read("pull_requests"))?;
    let world = shared.world();
    let repository = world.repository(&key).ok_or_else(ApiError::not_found)?;
    let comments = repository.comments.iter().filter(|comment| comment.number == number);
    paging.list(comments.map(|comment| shared.comment_json(&world, &repository.full_name(), comment)).collect())
}

#[derive(Deserialize)]
pub(super) struct NewComment {
    body: Option<String>,
}

pub(super) async fn comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    Body(new): Body<NewComment>,
) -> Answer {
    let key = permit(&shared, &caller, &owner, &name, number, Need::write("pull_requests"))?;
    let body = new.body.filter(|body| !body.trim().is_empty()).ok_or_else(|| ApiError::missing("body"))?;
    let author = caller.account();
    let mut world = shared.world();
    let comment = Comment { id: world.new_id(), number, author: author.clone(), body, at: shared.clock.now() };
    let shape = shared.comment_json(&world, &format!("{owner}/{name}"), &comment);
    world.repository_mut(&key).ok_or_else(ApiError::not_found)?.comments.push(comment);
    let payload = json!({"action": "created", "issue": {"number": number, "pull_request": {}}, "comment": shape});
    shared.fire(&mut world, &key, "issue_comment", &author, payload);
    Ok(created(shape))
}

fn label_shapes(shared: &Shared, key: &str, number: u64) -> Result<Vec<Value>, ApiError> {
    let world = shared.world();
    let repository = world.repository(key).ok_or_else(ApiError::not_found)?;
    let pull = repository.pulls.get(&number).ok_or_else(ApiError::not_found)?;
    Ok(pull.labels.iter().map(|name| shared.label_json(&repository.full_name(), name)).collect())
}

pub(super) async fn labels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Answer {
    let key = permit(&shared, &caller, &owner, &name, number, Need::read("pull_requests"))?;
    paging.list(label_shapes(&shared, &key, number)?)
}

/// `{"labels": [...]}` or the bare list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Labels {
    Wrapped { labels: Vec<String> },
    Bare(Vec<String>),
}

pub(super) async fn add_labels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    Body(new): Body<Labels>,
) -> Answer {
    let key = permit(&shared, &caller, &owner, &name, number, Need::write("pull_requests"))?;
    let (Labels::Wrapped { labels } | Labels::Bare(labels)) = new;
    {
        let mut world = shared.world();
        let repository = world.repository_mut(&key).ok_or_else(ApiError::not_found)?;
        let pull = repository.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        for label in labels {
            if !pull.labels.contains(&label) {
                pull.labels.push(label);
            }
        }
        shared.fire_pull(&mut world, &key, number, "labeled", &caller.account(), Value::Null);
    }
    Ok(Json(label_shapes(&shared, &key, number)?).into_response())
}

pub(super) async fn remove_label(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, label)): Path<(String, String, u64, String)>,
) -> Answer {
    let key = permit(&shared, &caller, &owner, &name, number, Need::write("pull_requests"))?;
    {
        let mut world = shared.world();
        let repository = world.repository_mut(&key).ok_or_else(ApiError::not_found)?;
        let pull = repository.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        let before = pull.labels.len();
        pull.labels.retain(|known| *known != label);
        if pull.labels.len() == before {
            return Err(ApiError::new(http::StatusCode::NOT_FOUND, "Label does not exist"));
        }
    }
    Ok(Json(label_shapes(&shared, &key, number)?).into_response())
}

pub(super) fn check_json(check: &Check) -> Value {
    match &check.is {
        CheckKind::Run { status, conclusion } => json!({
            "id": check.id, "name": check.name, "head_sha": check.sha, "status": status, "conclusion": conclusion,
            "started_at": rfc3339(check.at), "completed_at": conclusion.as_ref().map(|_| rfc3339(check.at)), "output": {},
        }),
        CheckKind::Status { state, description } => json!({
            "id": check.id, "context": check.name, "state": state, "description": description,
            "created_at": rfc3339(check.at), "updated_at": rfc3339(check.at),
        }),
    }
}

#[derive(Deserialize)]
pub(super) struct NewCheckRun {
    name: Option<String>,
    head_sha: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
}

pub(super) async fn create_check_run(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    Body(new): Body<NewCheckRun>,
) -> Answer {
    if !matches!(caller, Caller::Installation { .. }) {
        return Err(ApiError::new(http::StatusCode::FORBIDDEN, "You must authenticate via a GitHub App."));
    }
    let permitted = shared.permit(&caller, &owner, &name, Need::write("checks"))?;
    let status = if new.conclusion.is_some() { "completed".to_owned() } else { new.status.unwrap_or_else(|| "queued".to_owned()) };
    let mut world = shared.world();
    let check = Check {
        id: world.new_id(),
        sha: new.head_sha.ok_or_else(|| ApiError::missing("head_sha"))?,
        name: new.name.ok_or_else(|| ApiError::missing("name"))?,
        is: CheckKind::Run { status, conclusion: new.conclusion },
        at: shared.clock.now(),
    };
    let shape = check_json(&check);
    world.repository_mut(&permitted.key).ok_or_else(ApiError::not_found)?.checks.push(check);
    fire_check(&shared, &mut world, &permitted.key, &caller, &shape);
    Ok(created(shape))
}

pub(super) async fn update_check_run(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, id)): Numbered,
    Body(new): Body<NewCheckRun>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::write("checks"))?;
    let mut world = shared.world();
    let repository = world.repository_mut(&permitted.key).ok_or_else(ApiError::not_found)?;
    let check = repository.checks.iter_mut().find(|check| check.id == id).ok_or_else(ApiError::not_found)?;
    let CheckKind::Run { status, conclusion } = &mut check.is else { return Err(ApiError::not_found()) };
    if let Some(new) = new.conclusion {
        (*conclusion, *status) = (Some(new), "completed".to_owned());
    } else if let Some(new) = new.status {
        *status = new;
    }
    let shape = check_json(check);
    fire_check(&shared, &mut world, &permitted.key, &caller, &shape);
    Ok(Json(shape).into_response())
}

fn fire_check(shared: &Shared, world: &mut super::super::state::World, key: &str, caller: &Caller, shape: &Value) {
    let action = if shape["status"] == "completed" { "completed" } else { "created" };
    shared.fire(world, key, "check_run", &caller.account(), json!({"action": action, "check_run": shape}));
}

#[derive(Deserialize)]
pub(super) struct NewStatus {
    state: Option<String>,
    #[serde(default)]
    description: String,
    context: Option<String>,
}

pub(super) async fn create_status(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, sha)): Path<(String, String, String)>,
    Body(new): Body<NewStatus>,
) -> Answer {
    let permitted = shared.permit(&caller, &owner, &name, Need::write("statuses"))?;
    let sha = permitted.git.resolve(&sha).await?.ok_or_else(|| ApiError::unprocessable(format!("No commit found for SHA: {sha}")))?;
    let state = new.state.filter(|state| ["error", "failure", "pending", "success"].contains(&state.as_str()));
    let state = state.ok_or_else(|| ApiError::validation(json!({"resource": "Status", "code": "invalid", "field": "state"})))?;
    let mut world = shared.world();
    let check = Check {
        id: world.new_id(),
        sha,
        name: new.context.unwrap_or_else(|| "default".to_owned()),
        is: CheckKind::Status { state, description: new.description },
        at: shared.clock.now(),
    };
    let shape = check_json(&check);
    let repository = world.repository_mut(&permitted.key).ok_or_else(ApiError::not_found)?;
    // The newest status of a context is the one that counts.
    repository.checks.retain(|known| known.sha != check.sha || known.name != check.name || !matches!(known.is, CheckKind::Status { .. }));
    repository.checks.push(check);
    Ok(created(shape))
}
