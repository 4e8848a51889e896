//! The App and its installations.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        auth::Caller,
        clock::rfc3339,
        error::ApiError,
        json::{created, permissions_json, selection},
        server::Shared,
        setup::{Level, Permissions, Repositories},
        state::{Token, TokenKind},
        webhooks::DeliveryOutcome,
    },
    Answer, Body, Paging,
};

const TOKEN_LIFE_MS: i64 = 3_600_000;

pub(super) async fn app(State(shared): State<Arc<Shared>>, caller: Caller) -> Answer {
    caller.app()?;
    let mut shape = shared.app_json();
    shape["installations_count"] = json!(shared.world().installations.len());
    Ok(Json(shape).into_response())
}

pub(super) async fn installations(State(shared): State<Arc<Shared>>, caller: Caller, paging: Paging) -> Answer {
    caller.app()?;
    let world = shared.world();
    paging.list(world.installations.values().map(|installation| shared.installation_json(&world, installation)).collect())
}

pub(super) async fn installation(State(shared): State<Arc<Shared>>, caller: Caller, Path(id): Path<u64>) -> Answer {
    caller.app()?;
    let world = shared.world();
    let found = world.installations.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(Json(shared.installation_json(&world, found)).into_response())
}

pub(super) async fn of_repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Answer {
    caller.app()?;
    let world = shared.world();
    let repository = world.repository(&format!("{owner}/{name}")).ok_or_else(ApiError::not_found)?;
    let found = world.installation_of(repository).ok_or_else(ApiError::not_found)?;
    Ok(Json(shared.installation_json(&world, found)).into_response())
}

#[derive(Deserialize)]
pub(super) struct TokenRequest {
    repositories: Option<Vec<String>>,
    repository_ids: Option<Vec<u64>>,
    permissions: Option<std::collections::BTreeMap<String, String>>,
}

pub(super) async fn create_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<u64>,
    Body(wanted): Body<TokenRequest>,
) -> Answer {
    caller.app()?;
    let now = shared.clock.now();
    let mut world = shared.world();
    let installation = world.installations.get(&id).cloned().ok_or_else(ApiError::not_found)?;
    let covered: Vec<(u64, String)> = world
        .repositories
        .values()
        .filter(|repository| installation.covers(repository))
        .map(|repository| (repository.id, repository.name.to_lowercase()))
        .collect();
    let unknown =
        || ApiError::unprocessable("There is at least one repository that does not exist or is not accessible to the parent installation.");
    let mut limited = BTreeSet::new();
    for name in wanted.repositories.iter().flatten() {
        // GitHub takes the name without its owner.
        limited.insert(covered.iter().find(|(_, known)| *known == name.to_lowercase()).ok_or_else(unknown)?.0);
    }
    for id in wanted.repository_ids.iter().flatten() {
        limited.insert(covered.iter().find(|(known, _)| known == id).ok_or_else(unknown)?.0);
    }
    let limits = wanted.repositories.is_some() || wanted.repository_ids.is_some();
    let permissions = granted(&installation.permissions, wanted.permissions.as_ref())?;
    let token = format!("ghs_{}", super::super::handle::random_text(36));
    let repositories = limits.then_some(limited);
    let expires = now + TOKEN_LIFE_MS;
    let is = TokenKind::Installation { installation: id, repositories: repositories.clone(), permissions: permissions.clone() };
    world.tokens.insert(token.clone(), Token { is, expires: Some(expires) });
    let chosen = match &installation.repositories {
        _ if limits => "selected",
        all => selection(all),
    };
    let mut answer = json!({
        "token": token, "expires_at": rfc3339(expires), "permissions": permissions_json(&permissions), "repository_selection": chosen,
    });
    if let Some(limited) = repositories {
        let shapes = world.repositories.values().filter(|known| limited.contains(&known.id)).map(|known| shared.repository_json(known));
        answer["repositories"] = Value::Array(shapes.collect());
    }
    Ok(created(answer))
}

/// The permissions that a token gets: what was asked for, as far as the installation has it; all of it where nothing was asked for.
fn granted(installed: &Permissions, wanted: Option<&std::collections::BTreeMap<String, String>>) -> Result<Permissions, ApiError> {
    let mut permissions = match wanted {
        None => installed.clone(),
        Some(wanted) => {
            let mut permissions = Permissions::new();
            for (name, level) in wanted {
                let level = Level::parse(level)
                    .filter(|level| name == "metadata" && *level == Level::Read || installed.get(name).is_some_and(|has| has >= level))
                    .ok_or_else(|| ApiError::unprocessable("The permissions requested are not granted to this installation."))?;
                permissions.insert(name.clone(), level);
            }
            permissions
        }
    };
    permissions.entry("metadata".to_owned()).or_insert(Level::Read);
    Ok(permissions)
}

pub(super) async fn installation_repositories(State(shared): State<Arc<Shared>>, caller: Caller, paging: Paging) -> Answer {
    let Caller::Installation { id, repositories, .. } = &caller else {
        caller.user()?;
        return Err(ApiError::not_accessible("personal access token"));
    };
    let world = shared.world();
    let installation = world.installations.get(id).ok_or_else(ApiError::not_found)?;
    let shapes = world
        .repositories
        .values()
        .filter(|known| installation.covers(known) && repositories.as_ref().is_none_or(|limited| limited.contains(&known.id)))
        .map(|known| shared.repository_json(known))
        .collect();
    let selection = match &installation.repositories {
        Repositories::All if repositories.is_none() => "all",
        _ => "selected",
    };
    Ok(paging.answer(shapes, |total, page| json!({"total_count": total, "repository_selection": selection, "repositories": page})))
}

pub(super) async fn deliveries(State(shared): State<Arc<Shared>>, caller: Caller, paging: Paging) -> Answer {
    caller.app()?;
    let world = shared.world();
    let shapes = world.deliveries.iter().rev().map(|delivery| {
        let (status, code) = match delivery.outcome {
            DeliveryOutcome::Waiting => ("pending", 0),
            DeliveryOutcome::Answered(code) => (if code < 300 { "OK" } else { "Invalid HTTP Response" }, code),
            DeliveryOutcome::Unreachable => ("failed to connect to host", 502),
        };
        json!({
            "id": delivery.id, "guid": delivery.guid, "event": delivery.event, "action": delivery.payload["action"],
            "status": status, "status_code": code, "redelivery": false, "duration": 0.1, "delivered_at": shared.clock.now_text(),
            "installation_id": delivery.payload["installation"]["id"], "repository_id": delivery.payload["repository"]["id"],
        })
    });
    paging.list(shapes.collect())
}

pub(super) async fn redeliver(State(shared): State<Arc<Shared>>, caller: Caller, Path(id): Path<u64>) -> Answer {
    caller.app()?;
    let known = shared.redeliver(&mut shared.world(), id);
    if known { Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response()) } else { Err(ApiError::not_found()) }
}
