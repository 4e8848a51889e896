//! `chat.*`

use serde_json::{Value, json};

use super::super::blocks::check_message_blocks;
use super::super::changes::ChangeKind;
use super::super::conversation::{Draft, Revision};
use super::super::message::{Author, Message, Metadata};
use super::super::setup::ChannelKind;
use super::super::state::{Ephemeral, Room, State};
use super::answer::{Answer, ApiError, answer};
use super::args::Args;

const MOST_TEXT: usize = 40_000;
const MOST_MARKDOWN: usize = 12_000;
const MOST_ATTACHMENTS: usize = 100;

pub(super) fn post_message(state: &mut State, args: &Args) -> Answer {
    let channel = postable(state, &args.need("channel")?)?;
    let content = Content::read(args, "/blocks")?;
    if content.is_empty() {
        return Err(ApiError::new("no_text"));
    }
    let thread_ts = thread_of(state, &channel, args)?;
    let broadcast = thread_ts.is_some() && args.flag("reply_broadcast");
    let draft = Draft {
        blocks: content.blocks.unwrap_or_default(),
        attachments: content.attachments.unwrap_or_default(),
        thread_ts,
        metadata: content.metadata,
        subtype: broadcast.then_some("thread_broadcast"),
        ..Draft::by(Author::App, &content.text.unwrap_or_default())
    };
    let ts = state.post(&channel, draft);
    let message = state.message(&channel, &ts).map(|message| message.to_json(state, &channel, Metadata::Included));
    answer(json!({ "channel": channel, "ts": ts, "message": message }))
}

pub(super) fn update(state: &mut State, args: &Args) -> Answer {
    let channel = visible(state, &args.need("channel")?)?;
    let ts = args.need("ts")?;
    let content = Content::read(args, "/blocks")?;
    own_message(state, &channel, &ts, "cant_update_message")?;
    let empties = content.blocks.as_ref().is_some_and(Vec::is_empty);
    if content.is_empty() && (content.text.is_some() || !empties) {
        return Err(ApiError::new("no_text"));
    }
    let files = args.json("file_ids", "invalid_arguments")?.and_then(|ids| serde_json::from_value(ids).ok());
    let revision =
        Revision { text: content.text, blocks: content.blocks, attachments: content.attachments, metadata: content.metadata, files };
    let bot = state.bot_user().to_owned();
    state.revise(&channel, &ts, &bot, revision);
    let message = state.message(&channel, &ts);
    let text = message.map(|message| message.text.clone());
    let message = message.map(|message| message.to_json(state, &channel, Metadata::Included));
    answer(json!({ "channel": channel, "ts": ts, "text": text, "message": message }))
}

pub(super) fn delete(state: &mut State, args: &Args) -> Answer {
    let channel = visible(state, &args.need("channel")?)?;
    let ts = args.need("ts")?;
    own_message(state, &channel, &ts, "cant_delete_message")?;
    state.remove(&channel, &ts);
    answer(json!({ "channel": channel, "ts": ts }))
}

pub(super) fn post_ephemeral(state: &mut State, args: &Args) -> Answer {
    let channel = postable(state, &args.need("channel")?)?;
    let user = args.need("user")?;
    let inside = state.room(&channel).is_some_and(|room| room.has_member(&user));
    if !inside {
        return Err(ApiError::new("user_not_in_channel"));
    }
    let content = Content::read(args, "/blocks")?;
    if content.is_empty() {
        return Err(ApiError::new("no_text"));
    }
    let thread_ts = args.text("thread_ts").filter(|ts| !ts.is_empty());
    let ts = show_ephemeral(state, &channel, &user, thread_ts, content);
    answer(json!({ "message_ts": ts }))
}

pub(super) fn permalink(state: &mut State, args: &Args) -> Answer {
    let channel = visible(state, &args.need("channel")?)?;
    let ts = args.need("message_ts")?;
    let Some(message) = state.message(&channel, &ts) else { return Err(ApiError::new("message_not_found")) };
    let thread = match &message.thread_ts {
        Some(root) if message.is_reply() => format!("?thread_ts={root}&cid={channel}"),
        _ => String::new(),
    };
    let link = format!("{}/archives/{channel}/p{}{thread}", state.base_url, ts.replace('.', ""));
    answer(json!({ "channel": channel, "permalink": link }))
}

/// What a message is made of; `None` is what was not sent.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) text: Option<String>,
    pub(super) blocks: Option<Vec<Value>>,
    pub(super) attachments: Option<Vec<Value>>,
    pub(super) metadata: Option<Value>,
}

impl Content {
    pub(super) fn read(args: &Args, pointer: &str) -> Result<Self, ApiError> {
        let blocks = match args.json("blocks", "invalid_blocks_format")? {
            Some(blocks) => Some(check_message_blocks(&blocks, pointer)?),
            None => None,
        };
        let mut text = args.text("text");
        if let Some(markdown) = args.text("markdown_text") {
            if text.is_some() || blocks.is_some() {
                return Err(ApiError::new("markdown_text_conflict"));
            }
            if markdown.chars().count() > MOST_MARKDOWN {
                return Err(ApiError::new("msg_too_long"));
            }
            text = Some(markdown);
        }
        if text.as_ref().is_some_and(|text| text.chars().count() > MOST_TEXT) {
            return Err(ApiError::new("msg_too_long"));
        }
        let attachments = match args.json("attachments", "invalid_attachments")? {
            None => None,
            Some(Value::Array(attachments)) => Some(checked_attachments(attachments)?),
            Some(_) => return Err(ApiError::new("invalid_attachments")),
        };
        let metadata = match args.json("metadata", "invalid_metadata_format")? {
            None => None,
            Some(metadata) => Some(checked_metadata(metadata)?),
        };
        Ok(Self { text, blocks, attachments, metadata })
    }

    pub(super) fn is_empty(&self) -> bool {
        let no_text = self.text.as_ref().is_none_or(|text| text.trim().is_empty());
        no_text && self.blocks.as_ref().is_none_or(Vec::is_empty) && self.attachments.as_ref().is_none_or(Vec::is_empty)
    }
}

fn checked_attachments(attachments: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    if attachments.len() > MOST_ATTACHMENTS {
        return Err(ApiError::new("too_many_attachments"));
    }
    for (index, attachment) in attachments.iter().enumerate() {
        if !attachment.is_object() {
            return Err(ApiError::new("invalid_attachments"));
        }
        if let Some(blocks) = attachment.get("blocks") {
            check_message_blocks(blocks, &format!("/attachments/{index}/blocks"))?;
        }
    }
    Ok(attachments)
}

/// `{event_type, event_payload}` and nothing else.
fn checked_metadata(metadata: Value) -> Result<Value, ApiError> {
    let Some(fields) = metadata.as_object() else { return Err(ApiError::new("invalid_metadata_format")) };
    let named = fields.get("event_type").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let loaded = fields.get("event_payload").is_some_and(Value::is_object);
    let known = fields.keys().all(|name| ["event_type", "event_payload", "entities"].contains(&name.as_str()));
    if named && loaded && known { Ok(metadata) } else { Err(ApiError::new("invalid_metadata_format")) }
}

pub(super) fn show_ephemeral(state: &mut State, channel: &str, user: &str, thread_ts: Option<String>, content: Content) -> String {
    let ts = state.next_ts();
    let blocks = content.blocks.unwrap_or_default().into_iter().map(|block| state.with_ids(block)).collect();
    state.ephemerals.push(Ephemeral {
        channel: channel.to_owned(),
        user: user.to_owned(),
        thread_ts: thread_ts.clone(),
        ts: ts.clone(),
        text: content.text.unwrap_or_default(),
        blocks,
        attachments: content.attachments.unwrap_or_default(),
    });
    state.changed(ChangeKind::Ephemeral).at(channel, &ts, thread_ts.as_deref()).seen_by(user);
    ts
}

/// The id of a channel that the app may see, given its id, `#name` or a user's id (their direct message).
pub(super) fn visible(state: &State, channel: &str) -> Result<String, ApiError> {
    let wanted = channel.trim_start_matches('#');
    let matches = |room: &&Room| {
        room.channel.id == channel
            || (!room.channel.name.is_empty() && room.channel.name == wanted)
            || matches!(&room.channel.kind, ChannelKind::Im { user } if user == channel)
    };
    let hidden = |room: &Room| room.channel.kind != ChannelKind::Public && !room.has_member(state.bot_user());
    match state.channels.iter().find(matches) {
        Some(room) if !hidden(room) => Ok(room.channel.id.clone()),
        _ => Err(ApiError::new("channel_not_found")),
    }
}

/// The id of a channel that the app may post to.
pub(super) fn postable(state: &State, channel: &str) -> Result<String, ApiError> {
    let id = visible(state, channel)?;
    let room = state.room(&id).ok_or_else(|| ApiError::new("channel_not_found"))?;
    if room.is_archived() {
        return Err(ApiError::new("is_archived"));
    }
    if !room.has_member(state.bot_user()) {
        return Err(ApiError::new("not_in_channel"));
    }
    Ok(id)
}

/// `thread_ts`, checked: the root must be there and must not be a reply itself.
pub(super) fn thread_of(state: &State, channel: &str, args: &Args) -> Result<Option<String>, ApiError> {
    let Some(ts) = args.text("thread_ts").filter(|ts| !ts.is_empty()) else { return Ok(None) };
    match state.message(channel, &ts) {
        None => Err(ApiError::new("thread_not_found")),
        Some(message) if message.is_reply() || message.is_tombstone() => Err(ApiError::new("cannot_reply_to_message")),
        Some(_) => Ok(Some(ts)),
    }
}

fn own_message<'a>(state: &'a State, channel: &str, ts: &str, refusal: &str) -> Result<&'a Message, ApiError> {
    match state.message(channel, ts) {
        Some(message) if message.is_tombstone() => Err(ApiError::new("message_not_found")),
        Some(message) if message.author == Author::App => Ok(message),
        Some(_) => Err(ApiError::new(refusal)),
        None => Err(ApiError::new("message_not_found")),
    }
}
