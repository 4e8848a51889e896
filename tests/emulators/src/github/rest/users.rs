//! People, and what they may reach through the App.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use serde_json::json;

use super::{
    super::{auth::Caller, error::ApiError, server::Shared},
    Answer, Paging,
};

pub(super) async fn me(State(shared): State<Arc<Shared>>, caller: Caller) -> Answer {
    let login = caller.user()?;
    let world = shared.world();
    let user = world.user(login).ok_or_else(ApiError::bad_credentials)?;
    let mut shape = shared.user_json(user);
    shape["name"] = json!(user.name);
    shape["email"] = json!(user.email);
    Ok(Json(shape).into_response())
}

pub(super) async fn emails(State(shared): State<Arc<Shared>>, caller: Caller, paging: Paging) -> Answer {
    let login = caller.user()?;
    let world = shared.world();
    let user = world.user(login).ok_or_else(ApiError::bad_credentials)?;
    let no_reply = format!("{}+{}@users.noreply.github.com", user.id, user.login);
    paging.list(vec![
        json!({"email": user.email, "primary": true, "verified": true, "visibility": "private"}),
        json!({"email": no_reply, "primary": false, "verified": true, "visibility": null}),
    ])
}

pub(super) async fn show(State(shared): State<Arc<Shared>>, caller: Caller, Path(login): Path<String>) -> Answer {
    if let Caller::Invalid(_) = caller {
        return Err(ApiError::bad_credentials());
    }
    let world = shared.world();
    let user = world.user(&login).ok_or_else(ApiError::not_found)?;
    let mut shape = shared.user_json(user);
    shape["name"] = json!(user.name);
    Ok(Json(shape).into_response())
}

pub(super) async fn installations(State(shared): State<Arc<Shared>>, caller: Caller, paging: Paging) -> Answer {
    let login = caller.user()?;
    let world = shared.world();
    let reachable = world.installations.values().filter(|installation| {
        world.repositories.values().any(|repository| installation.covers(repository) && world.level_of(login, repository).is_some())
    });
    let shapes = reachable.map(|installation| shared.installation_json(&world, installation)).collect();
    Ok(paging.answer(shapes, |total, page| json!({"total_count": total, "installations": page})))
}

pub(super) async fn installation_repositories(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<u64>,
    paging: Paging,
) -> Answer {
    let login = caller.user()?;
    let world = shared.world();
    let installation = world.installations.get(&id).ok_or_else(ApiError::not_found)?;
    let shapes = world
        .repositories
        .values()
        .filter(|repository| installation.covers(repository) && world.level_of(login, repository).is_some())
        .map(|repository| shared.repository_json(repository))
        .collect();
    Ok(paging.answer(shapes, |total, page| json!({"total_count": total, "repositories": page})))
}

pub(super) async fn rate_limit(State(shared): State<Arc<Shared>>, caller: Caller) -> Answer {
    let (remaining, reset) = shared.spend(&caller, 0);
    let core = json!({"limit": 5000, "remaining": remaining, "used": 5000 - remaining, "reset": reset, "resource": "core"});
    Ok(Json(json!({"resources": {"core": core}, "rate": core})).into_response())
}
