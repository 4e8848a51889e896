//! The payloads of interactions, as Slack builds them.

use serde_json::{Map, Value, json};

use super::super::message::Metadata;
use super::super::setup::ChannelKind;
use super::super::state::{State, as_map};
use super::super::views::View;

/// What every interaction carries.
pub(super) fn base(state: &State, kind: &str, user: &str) -> Map<String, Value> {
    let (team, app) = (&state.setup.team, &state.setup.app);
    let name = state.user(user).map_or("", |user| user.name.as_str());
    as_map(json!({
        "type": kind,
        "user": { "id": user, "username": name, "name": name, "team_id": team.id },
        "api_app_id": app.id,
        "token": app.verification_token,
        "team": { "id": team.id, "domain": team.domain },
        "enterprise": null,
        "is_enterprise_install": false,
    }))
}

pub(super) fn channel(state: &State, channel: &str) -> Value {
    let name = state.room(channel).map(|room| match room.channel.kind {
        ChannelKind::Public => room.channel.name.clone(),
        ChannelKind::Private => "privategroup".to_owned(),
        ChannelKind::Im { .. } => "directmessage".to_owned(),
    });
    json!({ "id": channel, "name": name })
}

/// Where an element stands.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Message { channel: String, ts: String },
    Ephemeral { channel: String, ts: String },
    View(Box<View>),
}

/// Container, and message or view, of an interaction at this place.
pub(super) fn place(state: &State, place: &Place) -> Map<String, Value> {
    match place {
        Place::Message { channel: id, ts } => {
            let message = state.message(id, ts);
            let mut container = json!({ "type": "message", "message_ts": ts, "channel_id": id, "is_ephemeral": false });
            if let Some(root) = message.and_then(|message| message.thread_ts.as_ref()) {
                container["thread_ts"] = json!(root);
            }
            as_map(json!({
                "container": container,
                "channel": channel(state, id),
                "message": message.map(|message| message.to_json(state, id, Metadata::Included)),
                "state": { "values": message.map(|message| message.input_state.clone()).unwrap_or_default() },
            }))
        }
        Place::Ephemeral { channel: id, ts } => as_map(json!({
            "container": { "type": "message", "message_ts": ts, "channel_id": id, "is_ephemeral": true },
            "channel": channel(state, id),
            "state": { "values": {} },
        })),
        Place::View(view) => as_map(json!({
            "container": { "type": "view", "view_id": view.id },
            "view": view.to_json(state),
        })),
    }
}
