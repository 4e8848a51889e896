//! One human, and what they do that needs no answer of the app.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::changes::ChangeKind;
use super::super::conversation::{Draft, Revision};
use super::super::message::Author;
use super::super::shared::Shared;
use super::super::state::{FilePlace, State, StoredFile};
use super::super::web::mimetype_of;
use super::PeopleError;
use super::compose::compose;

/// A human of the workspace; cheap to clone.
#[derive(Clone, Debug)]
pub struct Person {
    pub(super) shared: Arc<Shared>,
    pub(super) id: String,
}

/// A message about to be sent.
#[derive(Clone, Debug, Default)]
pub struct NewPost {
    pub text: String,
    pub thread_ts: Option<String>,
    pub files: Vec<NewFile>,
}

#[derive(Clone, Debug, Default)]
pub struct NewFile {
    pub name: String,
    /// Guessed from the name where it is missing.
    pub mimetype: Option<String>,
    pub content: Vec<u8>,
    pub place: FilePlace,
}

impl Person {
    pub(in super::super) fn new(shared: Arc<Shared>, id: &str) -> Self {
        Self { shared, id: id.to_owned() }
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Posts in a channel; returns the message's ts.
    pub fn post(&self, channel: &str, text: &str) -> Result<String, PeopleError> {
        self.post_with(channel, NewPost { text: text.to_owned(), ..NewPost::default() })
    }

    /// Replies in a thread.
    pub fn reply(&self, channel: &str, thread_ts: &str, text: &str) -> Result<String, PeopleError> {
        self.post_with(channel, NewPost { text: text.to_owned(), thread_ts: Some(thread_ts.to_owned()), files: Vec::new() })
    }

    /// Replies that were posted before the app was there: no event tells of them.
    pub fn replied_before(&self, channel: &str, thread_ts: &str, texts: impl IntoIterator<Item = String>) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            self.writable(state, channel)?;
            let root = state.message(channel, thread_ts).ok_or_else(|| PeopleError::NoSuchMessage(thread_ts.to_owned()))?.ts.clone();
            let events = state.outgoing.len();
            for text in texts {
                let (text, blocks) = compose(state, &text);
                let author = Author::Person { user: self.id.clone(), client_msg_id: uuid() };
                state.post(channel, Draft { blocks, thread_ts: Some(root.clone()), ..Draft::by(author, &text) });
            }
            state.outgoing.truncate(events);
            Ok(())
        })
    }

    pub fn post_with(&self, channel: &str, post: NewPost) -> Result<String, PeopleError> {
        self.shared.act(|state| {
            self.writable(state, channel)?;
            if post.text.trim().is_empty() && post.files.is_empty() {
                return Err(PeopleError::Empty);
            }
            let thread_ts = match post.thread_ts {
                None => None,
                Some(ts) => {
                    let root = state.message(channel, &ts).ok_or_else(|| PeopleError::NoSuchMessage(ts.clone()))?;
                    // A client answers in the thread, whichever of its messages was clicked.
                    Some(root.thread_ts.clone().unwrap_or(ts))
                }
            };
            let (text, blocks) = compose(state, &post.text);
            let files: Vec<String> = post.files.into_iter().map(|file| self.store(state, file)).collect();
            let subtype = (!files.is_empty()).then_some("file_share");
            let author = Author::Person { user: self.id.clone(), client_msg_id: uuid() };
            Ok(state.post(channel, Draft { blocks, thread_ts, files, subtype, ..Draft::by(author, &text) }))
        })
    }

    fn store(&self, state: &mut State, file: NewFile) -> String {
        let id = state.next_id("F");
        let stored = StoredFile {
            id: id.clone(),
            title: file.name.clone(),
            mimetype: file.mimetype.unwrap_or_else(|| mimetype_of(&file.name).to_owned()),
            name: file.name,
            owner: self.id.clone(),
            created: state.setup.clock.now_secs(),
            size: file.content.len(),
            content: (file.place != FilePlace::Deleted).then_some(file.content),
            channels: Vec::new(),
            place: file.place,
        };
        state.files.insert(id.clone(), stored);
        id
    }

    pub fn edit(&self, channel: &str, ts: &str, text: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            self.own(state, channel, ts)?;
            let (text, blocks) = compose(state, text);
            state.revise(channel, ts, &self.id, Revision { text: Some(text), blocks: Some(blocks), ..Revision::default() });
            Ok(())
        })
    }

    pub fn delete(&self, channel: &str, ts: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            self.own(state, channel, ts)?;
            state.remove(channel, ts);
            Ok(())
        })
    }

    /// Adds a reaction; adding it twice changes nothing.
    pub fn react(&self, channel: &str, ts: &str, name: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            self.reactable(state, channel, ts)?;
            state.react(channel, ts, &self.id, name);
            Ok(())
        })
    }

    pub fn unreact(&self, channel: &str, ts: &str, name: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            self.reactable(state, channel, ts)?;
            state.unreact(channel, ts, &self.id, name);
            Ok(())
        })
    }

    pub fn join(&self, channel: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            state.room(channel).ok_or_else(|| PeopleError::NoSuchChannel(channel.to_owned()))?;
            state.join(channel, &self.id);
            Ok(())
        })
    }

    /// Brings the app into a channel, as `/invite @app` does.
    pub fn invite_bot(&self, channel: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            self.member_of(state, channel)?;
            let bot = state.bot_user().to_owned();
            state.join(channel, &bot);
            Ok(())
        })
    }

    /// Takes the app out of a channel.
    pub fn remove_bot(&self, channel: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            self.member_of(state, channel)?;
            let bot = state.bot_user().to_owned();
            state.leave(channel, &bot);
            Ok(())
        })
    }

    /// Opens the app's home tab.
    pub fn open_home(&self) -> Result<(), PeopleError> {
        self.open_tab("home")
    }

    /// Opens the app's messages tab: the direct message with the bot.
    pub fn open_messages_tab(&self) -> Result<(), PeopleError> {
        self.open_tab("messages")
    }

    fn open_tab(&self, tab: &str) -> Result<(), PeopleError> {
        self.shared.act(|state| {
            let channel = self.direct_message(state)?;
            let ts = state.next_ts();
            let mut event = json!({ "type": "app_home_opened", "user": self.id, "channel": channel, "tab": tab, "event_ts": ts });
            if let (Some(view), "home") = (state.homes.get(&self.id), tab) {
                event["view"] = view.to_json(state);
            }
            state.emit("app_home_opened", event);
            Ok(())
        })
    }

    /// Opens a new thread with the assistant; returns its channel and thread.
    pub fn open_assistant(&self) -> Result<(String, String), PeopleError> {
        self.shared.act(|state| {
            let channel = self.direct_message(state)?;
            let thread = state.post(&channel, Draft { subtype: Some("assistant_app_thread"), ..Draft::by(Author::App, "New chat") });
            let event_ts = state.next_ts();
            let team = state.setup.team.id.clone();
            let event = json!({
                "type": "assistant_thread_started",
                "assistant_thread": {
                    "user_id": self.id, "context": { "team_id": team, "enterprise_id": null }, "channel_id": channel, "thread_ts": thread,
                },
                "event_ts": event_ts,
            });
            state.emit("assistant_thread_started", event);
            Ok((channel, thread))
        })
    }

    /// Ephemeral messages that this person sees, oldest first.
    #[must_use]
    pub fn ephemerals(&self) -> Vec<Value> {
        self.shared.read(|state| {
            let own = state.ephemerals.iter().filter(|ephemeral| ephemeral.user == self.id);
            own.map(|ephemeral| state.ephemeral_json(ephemeral)).collect()
        })
    }

    /// Dismisses an ephemeral message.
    pub fn dismiss(&self, ts: &str) {
        self.shared.act(|state| {
            state.ephemerals.retain(|ephemeral| ephemeral.ts != ts || ephemeral.user != self.id);
            state.changed(ChangeKind::Ephemeral).seen_by(&self.id);
        });
    }

    /// Open modals, the topmost last.
    #[must_use]
    pub fn views(&self) -> Vec<Value> {
        self.shared.read(|state| state.modals.get(&self.id).into_iter().flatten().map(|view| view.to_json(state)).collect())
    }

    /// The published home tab.
    #[must_use]
    pub fn home(&self) -> Option<Value> {
        self.shared.read(|state| state.homes.get(&self.id).map(|view| view.to_json(state)))
    }

    fn direct_message(&self, state: &State) -> Result<String, PeopleError> {
        self.known(state)?;
        let room = state
            .channels
            .iter()
            .find(|room| matches!(&room.channel.kind, super::super::setup::ChannelKind::Im { user } if *user == self.id));
        room.map(|room| room.channel.id.clone()).ok_or_else(|| PeopleError::NoSuchChannel("the app's direct message".to_owned()))
    }

    fn known(&self, state: &State) -> Result<(), PeopleError> {
        state.user(&self.id).map(drop).ok_or_else(|| PeopleError::NoSuchUser(self.id.clone()))
    }

    pub(super) fn member_of(&self, state: &State, channel: &str) -> Result<(), PeopleError> {
        self.known(state)?;
        let room = state.room(channel).ok_or_else(|| PeopleError::NoSuchChannel(channel.to_owned()))?;
        if room.has_member(&self.id) {
            Ok(())
        } else {
            Err(PeopleError::NotInChannel { user: self.id.clone(), channel: channel.to_owned() })
        }
    }

    fn writable(&self, state: &State, channel: &str) -> Result<(), PeopleError> {
        self.member_of(state, channel)?;
        match state.room(channel) {
            Some(room) if room.is_archived() => Err(PeopleError::Archived(channel.to_owned())),
            _ => Ok(()),
        }
    }

    fn reactable(&self, state: &State, channel: &str, ts: &str) -> Result<(), PeopleError> {
        self.writable(state, channel)?;
        state.message(channel, ts).map(drop).ok_or_else(|| PeopleError::NoSuchMessage(ts.to_owned()))
    }

    fn own(&self, state: &State, channel: &str, ts: &str) -> Result<(), PeopleError> {
        self.reactable(state, channel, ts)?;
        match state.message(channel, ts).map(|message| &message.author) {
            Some(Author::Person { user, .. }) if *user == self.id => Ok(()),
            _ => Err(PeopleError::NotYours),
        }
    }
}

fn uuid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
