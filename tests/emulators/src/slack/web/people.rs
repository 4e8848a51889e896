//! `users.*`, `bots.info`, `team.info`, `reactions.*`

use serde_json::{Value, json};

use super::super::message::Metadata;
use super::super::setup::UserKind;
use super::super::state::State;
use super::answer::{Answer, ApiError, answer};
use super::args::Args;
use super::chat::visible;
use super::conversations::readable;

pub(super) fn user_info(state: &mut State, args: &Args) -> Answer {
    let user = state.user(&args.need("user")?).ok_or_else(|| ApiError::new("user_not_found"))?;
    answer(json!({ "user": state.user_json(user) }))
}

pub(super) fn user_list(state: &mut State, args: &Args) -> Answer {
    let users = &state.setup.users;
    let (start, end, next) = args.page(users.len(), users.len().max(1), 1000)?;
    let page: Vec<Value> = users[start..end].iter().map(|user| state.user_json(user)).collect();
    answer(json!({ "members": page, "cache_ts": state.setup.clock.now_secs(), "response_metadata": { "next_cursor": next } }))
}

pub(super) fn user_by_email(state: &mut State, args: &Args) -> Answer {
    let email = args.need("email")?;
    let known = state.setup.users.iter().find(|user| user.kind != UserKind::Bot && user.email.eq_ignore_ascii_case(&email));
    let user = known.ok_or_else(|| ApiError::new("users_not_found"))?;
    answer(json!({ "user": state.user_json(user) }))
}

pub(super) fn user_profile(state: &mut State, args: &Args) -> Answer {
    let id = args.text("user").unwrap_or_else(|| state.bot_user().to_owned());
    let user = state.user(&id).ok_or_else(|| ApiError::new("user_not_found"))?;
    answer(json!({ "profile": state.user_json(user)["profile"] }))
}

pub(super) fn bot_info(state: &mut State, args: &Args) -> Answer {
    let app = &state.setup.app;
    let bot = args.text("bot").unwrap_or_else(|| app.bot_id.clone());
    if bot != app.bot_id {
        return Err(ApiError::new("bot_not_found"));
    }
    answer(json!({ "bot": {
        "id": app.bot_id, "deleted": false, "name": app.name, "updated": 1_700_000_000, "app_id": app.id, "user_id": app.bot_user_id,
        "icons": { "image_36": format!("{}/avatar/{}", state.base_url, app.bot_user_id) },
    } }))
}

pub(super) fn team_info(state: &mut State, _args: &Args) -> Answer {
    let team = &state.setup.team;
    answer(json!({ "team": {
        "id": team.id, "name": team.name, "domain": team.domain, "email_domain": "example.com", "url": format!("{}/", state.base_url),
        "icon": { "image_default": true },
    } }))
}

pub(super) fn reaction_add(state: &mut State, args: &Args) -> Answer {
    let (channel, ts, name) = reaction_target(state, args)?;
    let bot = state.bot_user().to_owned();
    if state.react(&channel, &ts, &bot, &name) { answer(json!({})) } else { Err(ApiError::new("already_reacted")) }
}

pub(super) fn reaction_remove(state: &mut State, args: &Args) -> Answer {
    let (channel, ts, name) = reaction_target(state, args)?;
    let bot = state.bot_user().to_owned();
    if state.unreact(&channel, &ts, &bot, &name) { answer(json!({})) } else { Err(ApiError::new("no_reaction")) }
}

fn reaction_target(state: &State, args: &Args) -> Result<(String, String, String), ApiError> {
    let name = args.need("name")?;
    if !name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-+:".contains(letter)) {
        return Err(ApiError::new("invalid_name"));
    }
    let channel = visible(state, &args.need("channel")?)?;
    let ts = args.need("timestamp")?;
    let room = state.room(&channel).ok_or_else(|| ApiError::new("channel_not_found"))?;
    if room.is_archived() {
        return Err(ApiError::new("is_archived"));
    }
    if !room.has_member(state.bot_user()) {
        return Err(ApiError::new("not_in_channel"));
    }
    if !room.messages.contains_key(&ts) {
        return Err(ApiError::new("message_not_found"));
    }
    Ok((channel, ts, name))
}

pub(super) fn reaction_get(state: &mut State, args: &Args) -> Answer {
    let room = readable(state, &args.need("channel")?)?;
    let message = room.messages.get(&args.need("timestamp")?).ok_or_else(|| ApiError::new("message_not_found"))?;
    let id = &room.channel.id;
    answer(json!({ "type": "message", "channel": id, "message": message.to_json(state, id, Metadata::LeftOut) }))
}
