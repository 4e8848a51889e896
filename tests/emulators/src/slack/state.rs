//! The workspace as it stands: one struct behind one lock, changed by short synchronous steps.
//!
//! A step leaves the events it causes in `outgoing` and the hints for people's clients in `changes`; the caller
//! ([`super::shared::Shared::act`]) sends both on before the next step begins, so that their order is the order of the changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::calls::CallLog;
use super::changes::{Change, ChangeKind};
use super::faults::Faults;
use super::limits::Budget;
use super::message::Message;
use super::setup::{Channel, ChannelKind, ChannelLife, User, UserKind, WorkspaceSetup};
use super::views::View;

#[derive(Debug)]
pub(super) struct State {
    pub(super) setup: Arc<WorkspaceSetup>,
    pub(super) base_url: String,
    pub(super) channels: Vec<Room>,
    pub(super) ephemerals: Vec<Ephemeral>,
    /// Open modals per user, the topmost last.
    pub(super) modals: HashMap<String, Vec<View>>,
    pub(super) homes: HashMap<String, View>,
    pub(super) files: BTreeMap<String, StoredFile>,
    /// Upload tickets that were handed out, by ticket.
    pub(super) uploads: HashMap<String, StoredFile>,
    pub(super) triggers: HashMap<String, Trigger>,
    pub(super) response_urls: HashMap<String, ResponseUrl>,
    pub(super) statuses: HashMap<(String, String), AssistantStatus>,
    /// Socket Mode addresses that were handed out and not yet used.
    pub(super) tickets: HashSet<String>,
    pub(super) budget: Budget,
    pub(super) faults: Faults,
    pub(super) calls: CallLog,
    pub(super) outgoing: Vec<Value>,
    pub(super) changes: Vec<Change>,
    last_ts_us: i64,
    last_id: u64,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) channel: Channel,
    /// By ts, so oldest first.
    pub(super) messages: BTreeMap<String, Message>,
}

/// A message that one person sees until their client reloads.
#[derive(Clone, Debug)]
pub(super) struct Ephemeral {
    pub(super) channel: String,
    pub(super) user: String,
    pub(super) thread_ts: Option<String>,
    pub(super) ts: String,
    pub(super) text: String,
    pub(super) blocks: Vec<Value>,
    pub(super) attachments: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) mimetype: String,
    pub(super) owner: String,
    pub(super) created: i64,
    /// What the upload announced; the content must be as long.
    pub(super) size: usize,
    pub(super) content: Option<Vec<u8>>,
    pub(super) channels: Vec<String>,
    pub(super) place: FilePlace,
}

/// Where a file is kept, and what Slack shows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FilePlace {
    #[default]
    Slack,
    /// In Slack, but messages show its id only, as in shared channels: `files.info` tells the rest.
    Hidden,
    /// On another service, at this address.
    Elsewhere(String),
    /// Deleted as soon as the message was sent: it shows the file, and the file is not there.
    Deleted,
}

#[derive(Clone, Debug)]
pub(super) struct Trigger {
    pub(super) user: String,
    pub(super) expires_ms: i64,
    pub(super) exchanged: bool,
}

/// Where a `response_url` posts to.
#[derive(Clone, Debug)]
pub(super) struct ResponseUrl {
    pub(super) channel: String,
    pub(super) user: String,
    pub(super) thread_ts: Option<String>,
    /// The message the interaction came from; a slash command has none.
    pub(super) source: Option<String>,
    pub(super) expires_ms: i64,
    pub(super) uses_left: u32,
}

#[derive(Clone, Debug)]
pub(super) struct AssistantStatus {
    pub(super) text: String,
    pub(super) expires_ms: i64,
    pub(super) title: Option<String>,
    pub(super) prompts: Vec<Value>,
}

impl State {
    pub(super) fn new(setup: Arc<WorkspaceSetup>, base_url: String, calls: CallLog) -> Self {
        Self {
            channels: setup.channels.iter().map(|channel| Room { channel: channel.clone(), messages: BTreeMap::new() }).collect(),
            budget: Budget::new(setup.limits.clone()),
            setup,
            base_url,
            calls,
            ephemerals: Vec::new(),
            modals: HashMap::new(),
            homes: HashMap::new(),
            files: BTreeMap::new(),
            uploads: HashMap::new(),
            triggers: HashMap::new(),
            response_urls: HashMap::new(),
            statuses: HashMap::new(),
            tickets: HashSet::new(),
            faults: Faults::default(),
            outgoing: Vec::new(),
            changes: Vec::new(),
            last_ts_us: 0,
            last_id: 0,
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.setup.clock.now_ms()
    }

    /// A message timestamp: unique and rising in the whole workspace, as `seconds.micros`.
    pub(super) fn next_ts(&mut self) -> String {
        self.last_ts_us = (self.now_ms() * 1000).max(self.last_ts_us + 1);
        format!("{}.{:06}", self.last_ts_us / 1_000_000, self.last_ts_us % 1_000_000)
    }

    /// An id of Slack's look: a prefix and eight or more upper-case characters.
    pub(super) fn next_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}{:09X}", 0xA000_0000_u64 + self.last_id)
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.setup.users.iter().find(|user| user.id == id)
    }

    pub(super) fn room(&self, channel: &str) -> Option<&Room> {
        self.channels.iter().find(|room| room.channel.id == channel)
    }

    pub(super) fn room_mut(&mut self, channel: &str) -> Option<&mut Room> {
        self.channels.iter_mut().find(|room| room.channel.id == channel)
    }

    pub(super) fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.room(channel)?.messages.get(ts)
    }

    pub(super) fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.room_mut(channel)?.messages.get_mut(ts)
    }

    pub(super) fn bot_user(&self) -> &str {
        &self.setup.app.bot_user_id
    }

    /// A trigger for `user`, and the value an interaction carries as `trigger_id`.
    pub(super) fn new_trigger(&mut self, user: &str) -> String {
        let number = self.next_id("");
        let id = format!("{}.{}.{}", self.now_ms(), number, self.setup.team.id.to_lowercase());
        let lifetime = i64::try_from(self.setup.trigger_lifetime.as_millis()).unwrap_or(i64::MAX);
        let expires_ms = self.now_ms().saturating_add(lifetime);
        self.triggers.insert(id.clone(), Trigger { user: user.into(), expires_ms, exchanged: false });
        id
    }

    pub(super) fn new_response_url(&mut self, channel: &str, user: &str, thread_ts: Option<String>, source: Option<String>) -> String {
        let token = format!("{:024x}", rand::random::<u128>() >> 32);
        let lifetime = i64::try_from(self.setup.response_url_lifetime.as_millis()).unwrap_or(i64::MAX);
        let expires_ms = self.now_ms().saturating_add(lifetime);
        let target = ResponseUrl { channel: channel.into(), user: user.into(), thread_ts, source, expires_ms, uses_left: MOST_RESPONSES };
        self.response_urls.insert(token.clone(), target);
        format!("{}/actions/{}/{}", self.base_url, self.setup.team.id, token)
    }

    pub(super) fn changed(&mut self, kind: ChangeKind) -> &mut Change {
        self.changes.push(Change::new(kind));
        let last = self.changes.len() - 1;
        &mut self.changes[last]
    }

    /// Queues an event for the app, in the envelope that HTTP posts as it is and Socket Mode wraps.
    pub(super) fn emit(&mut self, subscription: &str, event: Value) {
        if self.setup.app.bot_events.iter().any(|subscribed| subscribed == subscription) {
            let payload = self.event_callback(event);
            self.outgoing.push(payload);
        }
    }

    pub(super) fn event_callback(&mut self, event: Value) -> Value {
        let event_id = self.next_id("Ev");
        let context = self.next_id("4-");
        let (team, app) = (&self.setup.team.id, &self.setup.app);
        json!({
            "token": app.verification_token,
            "team_id": team,
            "context_team_id": team,
            "context_enterprise_id": null,
            "api_app_id": app.id,
            "event": event,
            "type": "event_callback",
            "event_id": event_id,
            "event_time": self.setup.clock.now_secs(),
            "authorizations": [{
                "enterprise_id": null, "team_id": team, "user_id": app.bot_user_id, "is_bot": true, "is_enterprise_install": false,
            }],
            "is_ext_shared_channel": false,
            "event_context": context,
        })
    }

    /// `users.info`'s user object; the e-mail only where the scope allows it.
    pub(super) fn user_json(&self, user: &User) -> Value {
        let display = user.name.clone();
        let mut profile = json!({
            "real_name": user.real_name, "real_name_normalized": user.real_name, "display_name": display, "display_name_normalized": display,
            "first_name": user.real_name.split(' ').next().unwrap_or_default(),
            "last_name": user.real_name.split_once(' ').map_or("", |(_, last)| last),
            "title": "", "phone": "", "status_text": "", "status_emoji": "", "avatar_hash": "g0000000", "team": self.setup.team.id,
            "image_48": format!("{}/avatar/{}", self.base_url, user.id),
        });
        let bot = user.kind == UserKind::Bot;
        if !bot && self.setup.app.bot_scopes.iter().any(|scope| scope == "users:read.email") {
            profile["email"] = json!(user.email);
        }
        if bot {
            profile["api_app_id"] = json!(self.setup.app.id);
            profile["bot_id"] = json!(self.setup.app.bot_id);
        }
        let guest = user.kind == UserKind::Guest;
        json!({
            "id": user.id, "team_id": self.setup.team.id, "name": user.name, "deleted": user.kind == UserKind::Deactivated, "color": "9f69e7",
            "real_name": user.real_name, "tz": user.time_zone, "tz_label": user.time_zone, "tz_offset": 3600, "profile": profile,
            "is_admin": false, "is_owner": false, "is_primary_owner": false, "is_restricted": guest, "is_ultra_restricted": guest,
            "is_bot": bot, "is_app_user": false, "updated": 1_700_000_000, "is_email_confirmed": !bot,
        })
    }

    /// `conversations.info`'s channel object.
    pub(super) fn channel_json(&self, channel: &Channel) -> Value {
        let mut out = Map::new();
        let bot_inside = channel.members.iter().any(|member| member == self.bot_user());
        let archived = channel.life == ChannelLife::Archived;
        let base = json!({
            "id": channel.id, "created": 1_700_000_000, "is_archived": archived, "is_org_shared": false,
            "context_team_id": self.setup.team.id, "updated": 1_700_000_000_000_i64,
        });
        out.extend(as_map(base));
        let rest = match &channel.kind {
            ChannelKind::Im { user } => json!({ "is_im": true, "user": user, "is_user_deleted": false, "priority": 0 }),
            ChannelKind::Public | ChannelKind::Private => {
                let private = channel.kind == ChannelKind::Private;
                json!({
                    "name": channel.name, "name_normalized": channel.name, "is_channel": !private, "is_group": private, "is_im": false,
                    "is_mpim": false, "is_private": private, "is_general": channel.name == "general", "is_shared": false,
                    "is_ext_shared": false, "is_pending_ext_shared": false, "is_member": bot_inside, "creator": "U0ANA", "unlinked": 0,
                    "topic": { "value": channel.topic, "creator": "", "last_set": 0 },
                    "purpose": { "value": channel.purpose, "creator": "", "last_set": 0 },
                    "previous_names": [], "num_members": channel.members.len(), "shared_team_ids": [self.setup.team.id],
                })
            }
        };
        out.extend(as_map(rest));
        Value::Object(out)
    }

    /// A file as messages show it.
    pub(super) fn shown_file_json(&self, file: &StoredFile) -> Value {
        match file.place {
            FilePlace::Hidden => {
                json!({ "id": file.id, "mode": "file_access", "file_access": "check_file_info", "created": 0, "timestamp": 0 })
            }
            FilePlace::Slack | FilePlace::Elsewhere(_) | FilePlace::Deleted => self.file_json(file),
        }
    }

    pub(super) fn file_json(&self, file: &StoredFile) -> Value {
        if let FilePlace::Elsewhere(address) = &file.place {
            return json!({
                "id": file.id, "created": file.created, "timestamp": file.created, "name": file.name, "title": file.title,
                "mimetype": file.mimetype, "filetype": "gdoc", "pretty_type": "GDocs Document", "user": file.owner, "size": 0,
                "mode": "external", "is_external": true, "external_type": "gdrive", "url_private": address, "permalink": address,
                "channels": file.channels, "groups": [], "ims": [], "file_access": "visible",
            });
        }
        let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let team = &self.setup.team.id;
        json!({
            "id": file.id, "created": file.created, "timestamp": file.created, "name": file.name, "title": file.title,
            "mimetype": file.mimetype, "filetype": extension, "pretty_type": extension.to_uppercase(), "user": file.owner, "user_team": team,
            "editable": false, "size": file.size, "mode": "hosted", "is_external": false, "external_type": "", "is_public": true,
            "public_url_shared": false, "display_as_bot": false, "username": "",
            "url_private": format!("{}/files-pri/{team}-{}/{}", self.base_url, file.id, encoded(&file.name)),
            "url_private_download": format!("{}/files-pri/{team}-{}/download/{}", self.base_url, file.id, encoded(&file.name)),
            "permalink": format!("{}/files/{}/{}/{}", self.base_url, file.owner, file.id, encoded(&file.name)),
            "channels": file.channels, "groups": [], "ims": [], "file_access": "visible",
        })
    }

    pub(super) fn ephemeral_json(&self, ephemeral: &Ephemeral) -> Value {
        let mut out = as_map(json!({
            "type": "message", "subtype": "bot_message", "is_ephemeral": true, "channel": ephemeral.channel, "ts": ephemeral.ts,
            "text": ephemeral.text, "user": self.bot_user(), "bot_id": self.setup.app.bot_id, "app_id": self.setup.app.id,
            "blocks": ephemeral.blocks,
        }));
        if let Some(thread_ts) = &ephemeral.thread_ts {
            out.insert("thread_ts".into(), json!(thread_ts));
        }
        if !ephemeral.attachments.is_empty() {
            out.insert("attachments".into(), json!(ephemeral.attachments));
        }
        Value::Object(out)
    }
}

/// A `response_url` may be used this often.
const MOST_RESPONSES: u32 = 5;

/// The object inside a JSON value that is known to be one.
pub(super) fn as_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn encoded(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}
