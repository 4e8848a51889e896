//! `api.test`, `auth.test`, `apps.connections.open`, `views.*`, `assistant.threads.*`

use serde_json::{Map, Value, json};

use super::super::blocks::{ViewKind, check_view};
use super::super::changes::ChangeKind;
use super::super::state::{AssistantStatus, State};
use super::super::views::{View, ViewError};
use super::answer::{Answer, ApiError, answer};
use super::args::Args;
use super::chat::visible;

/// The status of an assistant's thread goes away by itself after this.
const STATUS_LIFETIME_MS: i64 = 120_000;

pub(super) fn api_test(_state: &mut State, args: &Args) -> Answer {
    match args.text("error") {
        Some(error) => Err(ApiError::new(&error).with("args", json!(args.all()))),
        None => answer(json!({ "args": args.all() })),
    }
}

pub(super) fn auth_test(state: &mut State, _args: &Args) -> Answer {
    let (team, app) = (&state.setup.team, &state.setup.app);
    answer(json!({
        "url": format!("{}/", state.base_url), "team": team.name, "user": app.name, "team_id": team.id, "user_id": app.bot_user_id,
        "bot_id": app.bot_id, "is_enterprise_install": false,
    }))
}

/// The address is good for one connection.
pub(super) fn connections_open(state: &mut State, _args: &Args) -> Answer {
    let ticket = format!("{:032x}", rand::random::<u128>());
    state.tickets.insert(ticket.clone());
    let host = state.base_url.trim_start_matches("http://").to_owned();
    answer(json!({ "url": format!("ws://{host}/link/?ticket={ticket}&app_id={}", state.setup.app.id) }))
}

pub(super) fn view_open(state: &mut State, args: &Args) -> Answer {
    let view = checked_view(args, ViewKind::Modal)?;
    let user = exchange_trigger(state, &args.need("trigger_id")?)?;
    let view = state.open_view(&user, view);
    view_answer(state, view)
}

pub(super) fn view_push(state: &mut State, args: &Args) -> Answer {
    let view = checked_view(args, ViewKind::Modal)?;
    let user = exchange_trigger(state, &args.need("trigger_id")?)?;
    let view = state.push_view(&user, view);
    view_answer(state, view)
}

pub(super) fn view_update(state: &mut State, args: &Args) -> Answer {
    let view = checked_view(args, ViewKind::Modal)?;
    let id = match args.text("view_id") {
        Some(id) => id,
        None => args.need("external_id")?,
    };
    let view = state.update_view(&id, args.text("hash").as_deref(), view);
    view_answer(state, view)
}

pub(super) fn view_publish(state: &mut State, args: &Args) -> Answer {
    let view = checked_view(args, ViewKind::Home)?;
    let user = args.need("user_id")?;
    if state.user(&user).is_none() {
        return Err(ApiError::new("user_not_found"));
    }
    let view = state.publish_home(&user, args.text("hash").as_deref(), view);
    view_answer(state, view)
}

fn checked_view(args: &Args, kind: ViewKind) -> Result<Map<String, Value>, ApiError> {
    let view = args.json("view", "invalid_arguments")?.ok_or_else(|| ApiError::missing("view"))?;
    check_view(&view, kind).map_err(|faults| ApiError::new("invalid_arguments").with_messages(&faults))
}

fn view_answer(state: &State, view: Result<View, ViewError>) -> Answer {
    match view {
        Ok(view) => answer(json!({ "view": view.to_json(state) })),
        Err(ViewError::NotFound) => Err(ApiError::new("not_found")),
        Err(ViewError::HashConflict) => Err(ApiError::new("hash_conflict")),
        Err(ViewError::DuplicateExternalId) => Err(ApiError::new("duplicate_external_id")),
        Err(ViewError::PushLimitReached) => Err(ApiError::new("push_limit_reached")),
    }
}

/// A trigger opens one view, within its time; returns whose it is.
fn exchange_trigger(state: &mut State, id: &str) -> Result<String, ApiError> {
    let now = state.now_ms();
    let trigger = state.triggers.get_mut(id).ok_or_else(|| ApiError::new("invalid_trigger_id"))?;
    if trigger.exchanged {
        return Err(ApiError::new("exchanged_trigger_id"));
    }
    if now > trigger.expires_ms {
        return Err(ApiError::new("expired_trigger_id"));
    }
    trigger.exchanged = true;
    Ok(trigger.user.clone())
}

pub(super) fn set_status(state: &mut State, args: &Args) -> Answer {
    let text = args.text("status").unwrap_or_default();
    let expires_ms = state.now_ms() + STATUS_LIFETIME_MS;
    on_thread(state, args, |status| {
        status.text = text;
        status.expires_ms = expires_ms;
    })
}

pub(super) fn set_title(state: &mut State, args: &Args) -> Answer {
    let title = args.need("title")?;
    on_thread(state, args, |status| status.title = Some(title))
}

pub(super) fn set_prompts(state: &mut State, args: &Args) -> Answer {
    let prompts = args.json("prompts", "invalid_arguments")?.ok_or_else(|| ApiError::missing("prompts"))?;
    let Value::Array(prompts) = prompts else { return Err(ApiError::new("invalid_arguments")) };
    let complete = |prompt: &Value| prompt["title"].is_string() && prompt["message"].is_string();
    if prompts.is_empty() || prompts.len() > 4 || !prompts.iter().all(complete) {
        return Err(ApiError::new("invalid_arguments"));
    }
    on_thread(state, args, |status| status.prompts = prompts)
}

fn on_thread(state: &mut State, args: &Args, set: impl FnOnce(&mut AssistantStatus)) -> Answer {
    let channel = visible(state, &args.need("channel_id")?)?;
    let thread = args.need("thread_ts")?;
    if state.message(&channel, &thread).is_none() {
        return Err(ApiError::new("thread_not_found"));
    }
    let empty = AssistantStatus { text: String::new(), expires_ms: 0, title: None, prompts: Vec::new() };
    set(state.statuses.entry((channel.clone(), thread.clone())).or_insert(empty));
    state.changed(ChangeKind::Status).at(&channel, &thread, Some(&thread));
    answer(json!({}))
}
