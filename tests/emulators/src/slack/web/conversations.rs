//! `conversations.*`

use serde_json::{Value, json};

use super::super::conversation::Draft;
use super::super::message::{Author, Message, Metadata};
use super::super::setup::{Channel, ChannelKind, ChannelLife};
use super::super::state::{Room, State};
use super::answer::{Answer, ApiError, answer};
use super::args::Args;
use super::chat::visible;

const MOST_PER_PAGE: usize = 999;

/// `users.conversations`: those that the bot is in.
pub(super) fn of_the_bot(state: &mut State, args: &Args) -> Answer {
    let bot = state.bot_user().to_owned();
    list_of(state, args, |room| room.has_member(&bot))
}

pub(super) fn list(state: &mut State, args: &Args) -> Answer {
    list_of(state, args, |_| true)
}

fn list_of(state: &State, args: &Args, is_meant: impl Fn(&Room) -> bool) -> Answer {
    let types = args.text("types").unwrap_or_else(|| "public_channel".to_owned());
    let types: Vec<&str> = types.split(',').map(str::trim).collect();
    if types.iter().any(|wanted| !["public_channel", "private_channel", "im", "mpim"].contains(wanted)) {
        return Err(ApiError::new("invalid_types"));
    }
    let wanted = |room: &&Room| {
        let of_type = match room.channel.kind {
            ChannelKind::Public => types.contains(&"public_channel"),
            ChannelKind::Private => types.contains(&"private_channel") && room.has_member(state.bot_user()),
            ChannelKind::Im { .. } => types.contains(&"im"),
        };
        of_type && is_meant(room) && !(args.flag("exclude_archived") && room.is_archived())
    };
    let all: Vec<&Room> = state.channels.iter().filter(wanted).collect();
    let (start, end, next) = args.page(all.len(), 100, MOST_PER_PAGE)?;
    let page: Vec<Value> = all[start..end].iter().map(|room| state.channel_json(&room.channel)).collect();
    answer(json!({ "channels": page, "response_metadata": { "next_cursor": next } }))
}

pub(super) fn info(state: &mut State, args: &Args) -> Answer {
    let id = visible(state, &args.need("channel")?)?;
    let room = state.room(&id).ok_or_else(|| ApiError::new("channel_not_found"))?;
    let mut channel = state.channel_json(&room.channel);
    if !args.flag("include_num_members")
        && let Some(fields) = channel.as_object_mut()
    {
        fields.remove("num_members");
    }
    answer(json!({ "channel": channel }))
}

pub(super) fn history(state: &mut State, args: &Args) -> Answer {
    let room = readable(state, &args.need("channel")?)?;
    let span = Span::read(args);
    let roots = |message: &&Message| !message.is_reply() || message.subtype == Some("thread_broadcast");
    let all: Vec<&Message> = room.messages.values().rev().filter(roots).filter(|message| span.holds(&message.ts)).collect();
    let (start, end, next) = args.page(all.len(), 100, MOST_PER_PAGE)?;
    let page = as_json(state, room, &all[start..end], args);
    answer(json!({
        "messages": page, "has_more": end < all.len(), "pin_count": 0, "channel_actions_ts": null, "channel_actions_count": 0,
        "response_metadata": { "next_cursor": next },
    }))
}

pub(super) fn replies(state: &mut State, args: &Args) -> Answer {
    let room = readable(state, &args.need("channel")?)?;
    let ts = args.need("ts")?;
    let Some(root) = room.messages.get(&ts) else { return Err(ApiError::new("thread_not_found")) };
    let span = Span::read(args);
    let all: Vec<&Message> =
        if root.is_reply() { vec![root] } else { room.thread(&ts).filter(|message| message.ts == ts || span.holds(&message.ts)).collect() };
    let (start, end, next) = args.page(all.len(), 1000, 1000)?;
    let page = as_json(state, room, &all[start..end], args);
    answer(json!({ "messages": page, "has_more": end < all.len(), "response_metadata": { "next_cursor": next } }))
}

pub(super) fn members(state: &mut State, args: &Args) -> Answer {
    let id = visible(state, &args.need("channel")?)?;
    let members = state.room(&id).map(|room| room.channel.members.clone()).unwrap_or_default();
    let (start, end, next) = args.page(members.len(), 100, MOST_PER_PAGE)?;
    answer(json!({ "members": &members[start..end], "response_metadata": { "next_cursor": next } }))
}

pub(super) fn join(state: &mut State, args: &Args) -> Answer {
    let id = visible(state, &args.need("channel")?)?;
    let room = state.room(&id).ok_or_else(|| ApiError::new("channel_not_found"))?;
    if room.channel.kind != ChannelKind::Public {
        return Err(ApiError::new("method_not_supported_for_channel_type"));
    }
    if room.is_archived() {
        return Err(ApiError::new("is_archived"));
    }
    let bot = state.bot_user().to_owned();
    let joined = state.join(&id, &bot);
    if joined {
        let draft = Draft { subtype: Some("channel_join"), ..Draft::by(Author::App, &format!("<@{bot}> has joined the channel")) };
        state.post(&id, draft);
    }
    let channel = state.room(&id).map(|room| state.channel_json(&room.channel));
    let mut body = json!({ "channel": channel });
    if !joined {
        body["warning"] = json!("already_in_channel");
        body["response_metadata"] = json!({ "warnings": ["already_in_channel"] });
    }
    answer(body)
}

pub(super) fn open(state: &mut State, args: &Args) -> Answer {
    if let Some(channel) = args.text("channel") {
        let id = visible(state, &channel)?;
        return answer(json!({ "channel": { "id": id }, "no_op": true, "already_open": true }));
    }
    let users = args.need("users")?;
    if users.contains(',') {
        return Err(ApiError::new("method_not_supported_for_channel_type"));
    }
    if state.user(&users).is_none() {
        return Err(ApiError::new("user_not_found"));
    }
    if let Ok(id) = visible(state, &users) {
        return answer(json!({ "channel": { "id": id }, "no_op": true, "already_open": true }));
    }
    let id = state.next_id("D");
    let channel = Channel {
        id: id.clone(),
        name: String::new(),
        kind: ChannelKind::Im { user: users.clone() },
        life: ChannelLife::Open,
        members: vec![users, state.bot_user().to_owned()],
        topic: String::new(),
        purpose: String::new(),
    };
    state.channels.push(Room { channel, messages: std::collections::BTreeMap::new() });
    answer(json!({ "channel": { "id": id } }))
}

/// A channel whose messages the app may read: it must be a member, and hold the scope of the channel's kind.
pub(super) fn readable<'a>(state: &'a State, channel: &str) -> Result<&'a Room, ApiError> {
    let id = visible(state, channel)?;
    let room = state.room(&id).ok_or_else(|| ApiError::new("channel_not_found"))?;
    let scope = match room.channel.kind {
        ChannelKind::Public => "channels:history",
        ChannelKind::Private => "groups:history",
        ChannelKind::Im { .. } => "im:history",
    };
    let scopes = &state.setup.app.bot_scopes;
    if !scopes.iter().any(|held| held == scope) {
        return Err(ApiError::new("missing_scope").with("needed", json!(scope)).with("provided", json!(scopes.join(","))));
    }
    if room.has_member(state.bot_user()) { Ok(room) } else { Err(ApiError::new("not_in_channel")) }
}

fn as_json(state: &State, room: &Room, messages: &[&Message], args: &Args) -> Vec<Value> {
    let metadata = if args.flag("include_all_metadata") { Metadata::Included } else { Metadata::LeftOut };
    messages.iter().map(|message| Value::Object(message.to_json(state, &room.channel.id, metadata))).collect()
}

/// `oldest`, `latest`, `inclusive`.
struct Span {
    oldest: Option<f64>,
    latest: Option<f64>,
    inclusive: bool,
}

impl Span {
    fn read(args: &Args) -> Self {
        let time = |name: &str| args.text(name).and_then(|text| text.parse().ok()).filter(|time: &f64| *time > 0.0);
        Self { oldest: time("oldest"), latest: time("latest"), inclusive: args.flag("inclusive") }
    }

    fn holds(&self, ts: &str) -> bool {
        let at: f64 = ts.parse().unwrap_or(0.0);
        let after = self.oldest.is_none_or(|oldest| at > oldest || (self.inclusive && at >= oldest));
        let before = self.latest.is_none_or(|latest| at < latest || (self.inclusive && at <= latest));
        after && before
    }
}
