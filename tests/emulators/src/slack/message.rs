//! One message and its JSON form.

use serde_json::{Map, Value, json};

use super::state::{State, as_map};

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) ts: String,
    pub(super) author: Author,
    pub(super) text: String,
    pub(super) blocks: Vec<Value>,
    pub(super) attachments: Vec<Value>,
    /// The root's ts, for replies and for a root that has replies.
    pub(super) thread_ts: Option<String>,
    pub(super) edited: Option<Edited>,
    pub(super) reactions: Vec<Reaction>,
    /// Ids of files.
    pub(super) files: Vec<String>,
    pub(super) metadata: Option<Value>,
    pub(super) subtype: Option<&'static str>,
    /// What people typed or chose in input elements of the message: block id → action id → state.
    pub(super) input_state: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Author {
    Person {
        user: String,
        client_msg_id: String,
    },
    App,
    /// Another app's bot.
    OtherApp {
        user: String,
        bot: String,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Edited {
    pub(super) user: String,
    pub(super) ts: String,
}

#[derive(Clone, Debug)]
pub(super) struct Reaction {
    pub(super) name: String,
    pub(super) users: Vec<String>,
}

impl Message {
    pub(super) fn is_reply(&self) -> bool {
        self.thread_ts.as_deref().is_some_and(|root| root != self.ts)
    }

    pub(super) fn is_tombstone(&self) -> bool {
        self.subtype == Some("tombstone")
    }

    pub(super) fn user<'a>(&'a self, state: &'a State) -> &'a str {
        match &self.author {
            Author::Person { user, .. } | Author::OtherApp { user, .. } => user,
            Author::App => state.bot_user(),
        }
    }

    /// The message object of history, replies and events. `metadata` only on demand, as in Slack.
    pub(super) fn to_json(&self, state: &State, channel: &str, metadata: Metadata) -> Map<String, Value> {
        let mut out = as_map(json!({ "type": "message", "user": self.user(state), "ts": self.ts }));
        if let Some(subtype) = self.subtype {
            out.insert("subtype".into(), json!(subtype));
        }
        match &self.author {
            Author::Person { client_msg_id, .. } => {
                out.insert("client_msg_id".into(), json!(client_msg_id));
            }
            Author::App => out.extend(app_fields(state)),
            Author::OtherApp { bot, .. } => {
                out.insert("bot_id".into(), json!(bot));
            }
        }
        out.insert("text".into(), json!(self.text));
        out.insert("team".into(), json!(state.setup.team.id));
        if !self.blocks.is_empty() {
            out.insert("blocks".into(), json!(self.blocks));
        }
        if !self.attachments.is_empty() {
            out.insert("attachments".into(), json!(self.attachments));
        }
        if !self.files.is_empty() {
            let files: Vec<Value> =
                self.files.iter().filter_map(|id| state.files.get(id)).map(|file| state.shown_file_json(file)).collect();
            out.insert("files".into(), json!(files));
            out.insert("upload".into(), json!(false));
        }
        if let Some(edited) = &self.edited {
            out.insert("edited".into(), json!({ "user": edited.user, "ts": edited.ts }));
        }
        if self.is_tombstone() {
            out.insert("hidden".into(), json!(true));
        }
        self.add_thread_fields(state, channel, &mut out);
        if !self.reactions.is_empty() {
            let all: Vec<Value> = self
                .reactions
                .iter()
                .map(|reaction| json!({ "name": reaction.name, "users": reaction.users, "count": reaction.users.len() }))
                .collect();
            out.insert("reactions".into(), json!(all));
        }
        if let (Metadata::Included, Some(metadata)) = (metadata, &self.metadata) {
            out.insert("metadata".into(), metadata.clone());
        }
        out
    }

    fn add_thread_fields(&self, state: &State, channel: &str, out: &mut Map<String, Value>) {
        let Some(root_ts) = &self.thread_ts else { return };
        out.insert("thread_ts".into(), json!(root_ts));
        let Some(room) = state.room(channel) else { return };
        if self.is_reply() {
            if let Some(root) = room.messages.get(root_ts) {
                out.insert("parent_user_id".into(), json!(root.user(state)));
            }
            return;
        }
        let replies: Vec<&Message> =
            room.messages.values().filter(|message| message.is_reply() && message.thread_ts.as_deref() == Some(root_ts)).collect();
        let mut users: Vec<&str> = Vec::new();
        for reply in &replies {
            let user = reply.user(state);
            if !users.contains(&user) {
                users.push(user);
            }
        }
        if let Some(latest) = replies.last() {
            out.insert("reply_count".into(), json!(replies.len()));
            out.insert("reply_users_count".into(), json!(users.len()));
            out.insert("reply_users".into(), json!(users));
            out.insert("latest_reply".into(), json!(latest.ts));
            out.insert("is_locked".into(), json!(false));
            out.insert("subscribed".into(), json!(false));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metadata {
    Included,
    LeftOut,
}

fn app_fields(state: &State) -> Map<String, Value> {
    let app = &state.setup.app;
    as_map(json!({
        "bot_id": app.bot_id,
        "app_id": app.id,
        "bot_profile": {
            "id": app.bot_id, "app_id": app.id, "name": app.name, "deleted": false, "updated": 1_700_000_000, "team_id": state.setup.team.id,
            "icons": { "image_36": format!("{}/avatar/{}", state.base_url, app.bot_user_id) },
        },
    }))
}
