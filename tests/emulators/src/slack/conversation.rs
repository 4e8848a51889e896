//! What happens in channels, and the events it causes: posting, editing, deleting, reacting, joining.

use serde_json::{Map, Value, json};

use super::changes::ChangeKind;
use super::message::{Author, Edited, Message, Metadata, Reaction};
use super::setup::{ChannelKind, ChannelLife};
use super::state::{Room, State};

/// A message about to be posted.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) author: Author,
    pub(super) text: String,
    pub(super) blocks: Vec<Value>,
    pub(super) attachments: Vec<Value>,
    pub(super) thread_ts: Option<String>,
    pub(super) files: Vec<String>,
    pub(super) metadata: Option<Value>,
    pub(super) subtype: Option<&'static str>,
}

impl Draft {
    pub(super) fn by(author: Author, text: &str) -> Self {
        Self {
            author,
            text: text.to_owned(),
            blocks: Vec::new(),
            attachments: Vec::new(),
            thread_ts: None,
            files: Vec::new(),
            metadata: None,
            subtype: None,
        }
    }
}

/// What an edit replaces; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Revision {
    pub(super) text: Option<String>,
    pub(super) blocks: Option<Vec<Value>>,
    pub(super) attachments: Option<Vec<Value>>,
    pub(super) metadata: Option<Value>,
    pub(super) files: Option<Vec<String>>,
}

impl Room {
    pub(super) fn is_archived(&self) -> bool {
        self.channel.life == ChannelLife::Archived
    }

    pub(super) fn has_member(&self, user: &str) -> bool {
        self.channel.members.iter().any(|member| member == user)
    }

    /// `channel`, `group` or `im`: an event's `channel_type`.
    pub(super) fn type_name(&self) -> &'static str {
        match self.channel.kind {
            ChannelKind::Public => "channel",
            ChannelKind::Private => "group",
            ChannelKind::Im { .. } => "im",
        }
    }

    /// The message itself and its replies, oldest first.
    pub(super) fn thread<'a>(&'a self, root: &'a str) -> impl DoubleEndedIterator<Item = &'a Message> {
        self.messages.values().filter(move |message| message.ts == root || message.thread_ts.as_deref() == Some(root))
    }
}

impl State {
    fn message_subscription(&self, channel: &str) -> &'static str {
        match self.room(channel).map(|room| &room.channel.kind) {
            Some(ChannelKind::Im { .. }) => "message.im",
            Some(ChannelKind::Private) => "message.groups",
            _ => "message.channels",
        }
    }

    fn bot_is_in(&self, channel: &str) -> bool {
        self.room(channel).is_some_and(|room| room.has_member(self.bot_user()))
    }

    /// Adds the message and causes what Slack causes: `message`, and `app_mention` where the bot is named. Returns its ts.
    ///
    /// The channel must exist; a reply's root too.
    pub(super) fn post(&mut self, channel: &str, draft: Draft) -> String {
        let ts = self.next_ts();
        let mentioned = draft.text.contains(&format!("<@{}>", self.bot_user())) || draft.text.contains(&format!("<@{}|", self.bot_user()));
        let by_person = matches!(draft.author, Author::Person { .. });
        let thread_ts = draft.thread_ts.clone();
        let blocks = draft.blocks.into_iter().map(|block| self.with_ids(block)).collect();
        let message = Message {
            ts: ts.clone(),
            author: draft.author,
            text: draft.text,
            blocks,
            attachments: draft.attachments,
            thread_ts: draft.thread_ts,
            edited: None,
            reactions: Vec::new(),
            files: draft.files,
            metadata: draft.metadata,
            subtype: draft.subtype,
            input_state: Map::new(),
        };
        for id in &message.files {
            if let Some(file) = self.files.get_mut(id)
                && !file.channels.iter().any(|shared| shared == channel)
            {
                file.channels.push(channel.to_owned());
            }
        }
        if let Some(root) = &thread_ts {
            self.statuses.entry((channel.to_owned(), root.clone())).and_modify(|status| status.text.clear());
            if let Some(root) = self.message_mut(channel, root) {
                root.thread_ts = Some(root.ts.clone());
            }
        }
        if let Some(room) = self.room_mut(channel) {
            room.messages.insert(ts.clone(), message);
        }
        self.changed(ChangeKind::Message).at(channel, &ts, thread_ts.as_deref());
        if self.bot_is_in(channel) {
            let event = self.message_event(channel, &ts);
            let in_im = self.room(channel).is_some_and(|room| room.type_name() == "im");
            if mentioned && by_person && !in_im {
                let mut mention = event.clone();
                mention.insert("type".into(), json!("app_mention"));
                mention.remove("channel_type");
                mention.remove("subtype");
                self.emit("app_mention", Value::Object(mention));
            }
            self.emit(self.message_subscription(channel), Value::Object(event));
        }
        ts
    }

    fn message_event(&self, channel: &str, ts: &str) -> Map<String, Value> {
        let mut event = self.message(channel, ts).map(|message| message.to_json(self, channel, Metadata::LeftOut)).unwrap_or_default();
        event.insert("channel".into(), json!(channel));
        event.insert("event_ts".into(), json!(ts));
        event.insert("channel_type".into(), json!(self.room(channel).map(Room::type_name)));
        event
    }

    /// Replaces parts of a message; `by` is who edited. The message must exist.
    pub(super) fn revise(&mut self, channel: &str, ts: &str, by: &str, revision: Revision) {
        let previous = self.message(channel, ts).map(|message| message.to_json(self, channel, Metadata::LeftOut));
        let edit_ts = self.next_ts();
        let blocks = revision.blocks.map(|blocks| blocks.into_iter().map(|block| self.with_ids(block)).collect());
        let Some(message) = self.message_mut(channel, ts) else { return };
        if let Some(text) = revision.text {
            message.text = text;
        }
        if let Some(blocks) = blocks {
            message.blocks = blocks;
        }
        if let Some(attachments) = revision.attachments {
            message.attachments = attachments;
        }
        if let Some(metadata) = revision.metadata {
            message.metadata = Some(metadata);
        }
        if let Some(files) = revision.files {
            message.files = files;
        }
        message.edited = Some(Edited { user: by.to_owned(), ts: edit_ts.clone() });
        let thread_ts = message.thread_ts.clone();
        self.changed(ChangeKind::MessageChanged).at(channel, ts, thread_ts.as_deref());
        let now = self.message(channel, ts).map(|message| message.to_json(self, channel, Metadata::LeftOut));
        self.emit_hidden(channel, &edit_ts, json!({ "subtype": "message_changed", "message": now, "previous_message": previous }));
    }

    /// Removes a message; a root with replies stays as a tombstone, as in Slack.
    pub(super) fn remove(&mut self, channel: &str, ts: &str) {
        let Some(message) = self.message(channel, ts).cloned() else { return };
        let previous = message.to_json(self, channel, Metadata::LeftOut);
        let has_replies = !message.is_reply() && self.room(channel).is_some_and(|room| room.thread(ts).nth(1).is_some());
        if has_replies {
            if let Some(root) = self.message_mut(channel, ts) {
                root.subtype = Some("tombstone");
                root.text = "This message was deleted.".into();
                root.blocks.clear();
                root.attachments.clear();
                root.files.clear();
                root.metadata = None;
            }
        } else if let Some(room) = self.room_mut(channel) {
            room.messages.remove(ts);
        }
        self.changed(ChangeKind::MessageDeleted).at(channel, ts, message.thread_ts.as_deref());
        let event_ts = self.next_ts();
        let event = if has_replies {
            let now = self.message(channel, ts).map(|message| message.to_json(self, channel, Metadata::LeftOut));
            json!({ "subtype": "message_changed", "message": now, "previous_message": previous })
        } else {
            json!({ "subtype": "message_deleted", "previous_message": previous, "deleted_ts": ts })
        };
        self.emit_hidden(channel, &event_ts, event);
    }

    fn emit_hidden(&mut self, channel: &str, ts: &str, mut event: Value) {
        if !self.bot_is_in(channel) {
            return;
        }
        event["type"] = json!("message");
        event["channel"] = json!(channel);
        event["hidden"] = json!(true);
        event["ts"] = json!(ts);
        event["event_ts"] = json!(ts);
        event["channel_type"] = json!(self.room(channel).map(Room::type_name));
        self.emit(self.message_subscription(channel), event);
    }

    /// Adds a reaction; `false` where this user has it there already.
    pub(super) fn react(&mut self, channel: &str, ts: &str, user: &str, name: &str) -> bool {
        let Some(message) = self.message_mut(channel, ts) else { return false };
        match message.reactions.iter_mut().find(|reaction| reaction.name == name) {
            Some(reaction) if reaction.users.iter().any(|other| other == user) => return false,
            Some(reaction) => reaction.users.push(user.to_owned()),
            None => message.reactions.push(Reaction { name: name.to_owned(), users: vec![user.to_owned()] }),
        }
        self.reaction_event("reaction_added", channel, ts, user, name);
        true
    }

    /// Takes a reaction back; `false` where there is none.
    pub(super) fn unreact(&mut self, channel: &str, ts: &str, user: &str, name: &str) -> bool {
        let Some(message) = self.message_mut(channel, ts) else { return false };
        let Some(reaction) = message.reactions.iter_mut().find(|reaction| reaction.name == name) else { return false };
        let before = reaction.users.len();
        reaction.users.retain(|other| other != user);
        if reaction.users.len() == before {
            return false;
        }
        message.reactions.retain(|reaction| !reaction.users.is_empty());
        self.reaction_event("reaction_removed", channel, ts, user, name);
        true
    }

    fn reaction_event(&mut self, kind: &'static str, channel: &str, ts: &str, user: &str, name: &str) {
        let event_ts = self.next_ts();
        let (author, thread_ts) = match self.message(channel, ts) {
            Some(message) => (message.user(self).to_owned(), message.thread_ts.clone()),
            None => (String::new(), None),
        };
        self.changed(ChangeKind::Reaction).at(channel, ts, thread_ts.as_deref());
        if self.bot_is_in(channel) {
            let item = json!({ "type": "message", "channel": channel, "ts": ts });
            let event = json!({ "type": kind, "user": user, "reaction": name, "item": item, "item_user": author, "event_ts": event_ts });
            self.emit(kind, event);
        }
    }

    /// Adds a member; `false` where they are inside already.
    pub(super) fn join(&mut self, channel: &str, user: &str) -> bool {
        let Some(room) = self.room_mut(channel) else { return false };
        if room.has_member(user) {
            return false;
        }
        room.channel.members.push(user.to_owned());
        let kind = if room.channel.kind == ChannelKind::Private { "G" } else { "C" };
        self.changed(ChangeKind::Channel).channel = Some(channel.to_owned());
        if self.bot_is_in(channel) {
            let event_ts = self.next_ts();
            let event = json!({
                "type": "member_joined_channel", "user": user, "channel": channel, "channel_type": kind,
                "team": self.setup.team.id, "event_ts": event_ts,
            });
            self.emit("member_joined_channel", event);
        }
        true
    }

    /// Removes a member; `false` where they are not inside.
    pub(super) fn leave(&mut self, channel: &str, user: &str) -> bool {
        let bot_saw_it = self.bot_is_in(channel);
        let Some(room) = self.room_mut(channel) else { return false };
        let before = room.channel.members.len();
        room.channel.members.retain(|member| member != user);
        if room.channel.members.len() == before {
            return false;
        }
        let kind = if room.channel.kind == ChannelKind::Private { "G" } else { "C" };
        self.changed(ChangeKind::Channel).channel = Some(channel.to_owned());
        if bot_saw_it && user != self.bot_user() {
            let event_ts = self.next_ts();
            let event = json!({
                "type": "member_left_channel", "user": user, "channel": channel, "channel_type": kind,
                "team": self.setup.team.id, "event_ts": event_ts,
            });
            self.emit("member_left_channel", event);
        }
        true
    }

    /// Gives a block the ids that Slack makes up where the sender left them out.
    pub(super) fn with_ids(&mut self, mut block: Value) -> Value {
        let Some(fields) = block.as_object_mut() else { return block };
        if !fields.contains_key("block_id") {
            let id = self.next_id("b");
            fields.insert("block_id".into(), json!(id));
        }
        let mut elements: Vec<&mut Value> = Vec::new();
        for (name, value) in fields.iter_mut() {
            match name.as_str() {
                "elements" => elements.extend(value.as_array_mut().into_iter().flatten()),
                "accessory" | "element" => elements.push(value),
                _ => {}
            }
        }
        for element in elements {
            let Some(fields) = element.as_object_mut() else { continue };
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
            if super::blocks::is_interactive(kind) && !fields.contains_key("action_id") {
                let id = self.next_id("a");
                fields.insert("action_id".into(), json!(id));
            }
        }
        block
    }
}
