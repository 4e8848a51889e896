//! What a delivery means. Reads Slack's raw JSON, since Slack adds fields and kinds at any time; never fails, never panics.

mod text;

pub use text::readable;

use std::str::FromStr;

use longshore_session::{ChannelId, InvalidId, MessageTs, SlackUserId, TeamId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    action::Action,
    intake::{Delivery, DeliveryKind},
};

/// Who we are in the workspace, so that we neither answer ourselves nor miss our name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotIdentity {
    pub user: SlackUserId,
    pub bot_id: Option<String>,
}

/// What somebody did in Slack.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// A post in a channel or direct message. Arrives twice (as `app_mention` and as `message`) where the bot is a member and is named:
    /// both give the same [`Post::key`].
    Message(Post),
    MessageChanged(EditedPost),
    MessageDeleted(DeletedPost),
    Command(CommandCall),
    Action(ActionClick),
    ViewSubmitted(ViewSubmission),
    HomeOpened(HomeOpened),
    HomeClicked(HomeClick),
    AssistantOpened(AssistantOpened),
    ShortcutUsed(ShortcutCall),
    Reacted(Reaction),
    Ignored(Ignored),
}

/// A post's name within a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PostKey {
    pub channel: ChannelId,
    pub ts: MessageTs,
}

impl std::fmt::Display for PostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.channel, self.ts)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    Channel,
    PrivateChannel,
    DirectMessage,
    GroupDirectMessage,
}

/// A post by a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// The workspace that the event came from.
    pub team: TeamId,
    /// The author's own workspace, where Slack names it: another one in a shared channel.
    pub user_team: Option<TeamId>,
    pub channel: ChannelId,
    pub channel_kind: ChannelKind,
    pub ts: MessageTs,
    /// The thread's first message where this is a reply.
    pub thread_ts: Option<MessageTs>,
    pub user: SlackUserId,
    /// As a person reads it: without the bot's mention, with Slack's markup and entities resolved.
    pub text: String,
    pub mentions_bot: bool,
    /// Whom the text speaks to by a mention at its very beginning; may be the bot.
    pub addressee: Option<SlackUserId>,
    pub files: Vec<FileRef>,
}

impl Post {
    /// The same for every event that speaks of this post.
    pub fn key(&self) -> PostKey {
        PostKey { channel: self.channel.clone(), ts: self.ts.clone() }
    }

    pub fn is_direct(&self) -> bool {
        self.channel_kind == ChannelKind::DirectMessage
    }

    /// The thread that answers belong into: the post's own, or the one that it starts.
    pub fn thread(&self) -> &MessageTs {
        self.thread_ts.as_ref().unwrap_or(&self.ts)
    }
}

/// A file that came with a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    pub id: String,
    pub name: String,
    pub mimetype: String,
    pub size: Option<u64>,
    /// Readable with the bot's token only.
    pub url: Option<String>,
}

impl FileRef {
    /// Reads Slack's file object. None where it is none.
    pub(crate) fn read(raw: &Value) -> Option<Self> {
        Some(Self {
            id: text_at(raw, "/id")?.to_owned(),
            name: text_at(raw, "/name").or_else(|| text_at(raw, "/title")).unwrap_or("file").to_owned(),
            mimetype: text_at(raw, "/mimetype").unwrap_or("application/octet-stream").to_owned(),
            size: raw.get("size").and_then(Value::as_u64),
            url: text_at(raw, "/url_private_download").or_else(|| text_at(raw, "/url_private")).map(str::to_owned),
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct EditedPost {
    pub team: TeamId,
    pub channel: ChannelId,
    pub ts: MessageTs,
    pub user: SlackUserId,
    pub text: String,
    pub mentions_bot: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeletedPost {
    pub team: TeamId,
    pub channel: ChannelId,
    pub ts: MessageTs,
}

/// A slash command.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandCall {
    pub team: TeamId,
    pub channel: ChannelId,
    pub user: SlackUserId,
    /// With its slash.
    pub command: String,
    pub text: String,
    pub response_url: String,
    pub trigger_id: String,
}

/// A click on a button or a choice in a select.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionClick {
    pub team: TeamId,
    pub channel: ChannelId,
    /// The message with the button. None in a view.
    pub message: Option<MessageTs>,
    pub thread_ts: Option<MessageTs>,
    pub user: SlackUserId,
    /// None where the action is not of our vocabulary.
    pub action: Option<Action>,
    pub action_id: String,
    pub value: String,
    /// None in a view.
    pub response_url: Option<String>,
    pub trigger_id: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ViewSubmission {
    pub team: TeamId,
    pub user: SlackUserId,
    pub callback_id: String,
    pub private_metadata: String,
    /// Slack's `view.state.values`: block id → action id → input.
    pub values: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeTab {
    Home,
    Messages,
}

/// Somebody opened the app's page: they may be about to write.
#[derive(Debug, Clone, PartialEq)]
pub struct HomeOpened {
    pub team: TeamId,
    pub user: SlackUserId,
    pub channel: Option<ChannelId>,
    pub tab: HomeTab,
}

/// A click on the app's Home tab, or a choice there.
#[derive(Debug, Clone, PartialEq)]
pub struct HomeClick {
    pub team: TeamId,
    pub user: SlackUserId,
    /// None where the action is not of our vocabulary.
    pub action: Option<Action>,
}

/// What is told of a thread with the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssistantSign {
    /// It was opened.
    Started,
    /// The person who has it open went to another channel.
    Moved,
}

/// Somebody has the assistant open: they may be about to write.
#[derive(Debug, Clone, PartialEq)]
pub struct AssistantOpened {
    pub team: TeamId,
    pub user: SlackUserId,
    /// The direct message and the thread in it that the assistant is.
    pub channel: ChannelId,
    pub thread: MessageTs,
    pub sign: AssistantSign,
    /// The channel that the person looks at.
    pub looks_at: Option<ChannelId>,
}

/// An entry of a message's menu that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortcutCall {
    pub team: TeamId,
    pub user: SlackUserId,
    pub callback_id: String,
    pub channel: ChannelId,
    pub message: MessageTs,
    /// The thread's first message where the message is a reply.
    pub thread: Option<MessageTs>,
    /// The message as a person reads it.
    pub text: String,
    pub response_url: String,
    pub trigger_id: String,
}

/// Somebody put an emoji to a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    pub team: TeamId,
    pub channel: ChannelId,
    /// The message that it was put to.
    pub ts: MessageTs,
    pub user: SlackUserId,
    /// Such as `x` for ❌.
    pub name: String,
}

/// Why nothing follows from a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// By us or by another bot.
    Bot,
    /// A kind, or a sub-type of a message, that means nothing to us.
    Kind(String),
    /// An edit that left the words as they were, such as a link's preview.
    NothingChanged,
    /// The button of a link: Slack reports the click, the browser follows it.
    Link,
    /// A field is missing or is not what it should be.
    Malformed(&'static str),
}

/// What a parse gives up with.
type Parsed<T> = Result<T, Ignored>;

impl Inbound {
    /// Reads a delivery. Pure: the same delivery always means the same.
    pub fn parse(delivery: &Delivery, bot: &BotIdentity) -> Self {
        let parsed = match delivery.kind {
            DeliveryKind::Event => event(&delivery.payload, bot),
            DeliveryKind::Command => command(&delivery.payload),
            DeliveryKind::Interaction => interaction(&delivery.payload, bot),
        };
        parsed.unwrap_or_else(Self::Ignored)
    }
}

fn event(outer: &Value, bot: &BotIdentity) -> Parsed<Inbound> {
    let event = outer.get("event").ok_or(Ignored::Malformed("event"))?;
    let team = id::<TeamId>(outer, "/team_id").or_else(|_| id::<TeamId>(event, "/team"))?;
    match text_at(event, "/type").unwrap_or_default() {
        "app_mention" | "message" => message(team, event, bot),
        "app_home_opened" => {
            let tab = match text_at(event, "/tab") {
                Some("messages") => HomeTab::Messages,
                Some("home") | None => HomeTab::Home,
                Some(other) => return Err(Ignored::Kind(format!("app_home_opened/{}", short(other)))),
            };
            let channel = id::<ChannelId>(event, "/channel").ok();
            Ok(Inbound::HomeOpened(HomeOpened { team, user: id::<SlackUserId>(event, "/user")?, channel, tab }))
        }
        "assistant_thread_started" => assistant(team, event, AssistantSign::Started),
        "assistant_thread_context_changed" => assistant(team, event, AssistantSign::Moved),
        "reaction_added" => {
            let user = id::<SlackUserId>(event, "/user")?;
            if user == bot.user {
                return Err(Ignored::Bot);
            }
            Ok(Inbound::Reacted(Reaction {
                team,
                channel: id::<ChannelId>(event, "/item/channel")?,
                ts: id::<MessageTs>(event, "/item/ts")?,
                user,
                name: owned(event, "/reaction"),
            }))
        }
        other => Err(Ignored::Kind(short(other))),
    }
}

fn assistant(team: TeamId, event: &Value, sign: AssistantSign) -> Parsed<Inbound> {
    Ok(Inbound::AssistantOpened(AssistantOpened {
        team,
        user: id::<SlackUserId>(event, "/assistant_thread/user_id")?,
        channel: id::<ChannelId>(event, "/assistant_thread/channel_id")?,
        thread: id::<MessageTs>(event, "/assistant_thread/thread_ts")?,
        sign,
        looks_at: id::<ChannelId>(event, "/assistant_thread/context/channel_id").ok(),
    }))
}

fn message(team: TeamId, event: &Value, bot: &BotIdentity) -> Parsed<Inbound> {
    match text_at(event, "/subtype") {
        None | Some("file_share" | "thread_broadcast" | "me_message") => post(team, event, bot).map(Inbound::Message),
        Some("message_changed") => edit(team, event, bot),
        Some("message_deleted") => {
            if event.get("previous_message").is_some_and(|previous| is_bots(previous, bot)) {
                return Err(Ignored::Bot);
            }
            deleted(team, event, "/deleted_ts")
        }
        Some("bot_message") => Err(Ignored::Bot),
        Some(other) => Err(Ignored::Kind(format!("message/{}", short(other)))),
    }
}

fn post(team: TeamId, event: &Value, bot: &BotIdentity) -> Parsed<Post> {
    if is_bots(event, bot) {
        return Err(Ignored::Bot);
    }
    let raw = text_at(event, "/text").unwrap_or_default();
    let channel = id::<ChannelId>(event, "/channel")?;
    let ts = id::<MessageTs>(event, "/ts")?;
    let thread_ts = id::<MessageTs>(event, "/thread_ts").ok().filter(|thread| *thread != ts);
    let user_team = ["/user_team", "/source_team", "/team"].iter().find_map(|pointer| id::<TeamId>(event, pointer).ok());
    let files = event.get("files").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(Post {
        team,
        user_team,
        channel_kind: channel_kind(text_at(event, "/channel_type"), &channel),
        channel,
        ts,
        thread_ts,
        user: id::<SlackUserId>(event, "/user")?,
        mentions_bot: text::mentions(raw, &bot.user) || text_at(event, "/type") == Some("app_mention"),
        addressee: text::addressee(raw),
        text: text::readable(raw, &bot.user),
        files: files.iter().filter_map(FileRef::read).collect(),
    })
}

fn edit(team: TeamId, event: &Value, bot: &BotIdentity) -> Parsed<Inbound> {
    let message = event.get("message").ok_or(Ignored::Malformed("message"))?;
    // A thread's first message that is deleted stays as a grave stone, as long as it has replies.
    if text_at(message, "/subtype") == Some("tombstone") {
        return deleted(team, event, "/message/ts");
    }
    if is_bots(message, bot) {
        return Err(Ignored::Bot);
    }
    let raw = text_at(message, "/text").unwrap_or_default();
    if text_at(event, "/previous_message/text") == Some(raw) {
        return Err(Ignored::NothingChanged);
    }
    Ok(Inbound::MessageChanged(EditedPost {
        team,
        channel: id::<ChannelId>(event, "/channel")?,
        ts: id::<MessageTs>(message, "/ts")?,
        user: id::<SlackUserId>(message, "/user")?,
        text: text::readable(raw, &bot.user),
        mentions_bot: text::mentions(raw, &bot.user),
    }))
}

fn deleted(team: TeamId, event: &Value, ts: &'static str) -> Parsed<Inbound> {
    let channel = id::<ChannelId>(event, "/channel")?;
    Ok(Inbound::MessageDeleted(DeletedPost { team, channel, ts: id::<MessageTs>(event, ts)? }))
}

fn command(fields: &Value) -> Parsed<Inbound> {
    Ok(Inbound::Command(CommandCall {
        team: id::<TeamId>(fields, "/team_id")?,
        channel: id::<ChannelId>(fields, "/channel_id")?,
        user: id::<SlackUserId>(fields, "/user_id")?,
        command: owned(fields, "/command"),
        text: text::entities(text_at(fields, "/text").unwrap_or_default()).trim().to_owned(),
        response_url: owned(fields, "/response_url"),
        trigger_id: owned(fields, "/trigger_id"),
    }))
}

fn interaction(payload: &Value, bot: &BotIdentity) -> Parsed<Inbound> {
    let team = || id::<TeamId>(payload, "/team/id").or_else(|_| id::<TeamId>(payload, "/user/team_id"));
    let user = || id::<SlackUserId>(payload, "/user/id");
    match text_at(payload, "/type").unwrap_or_default() {
        "block_actions" => {
            let action = payload.pointer("/actions/0").ok_or(Ignored::Malformed("actions"))?;
            let action_id = owned(action, "/action_id");
            let values = ["/value", "/selected_option/value", "/selected_options/0/value"];
            let value = values.iter().find_map(|pointer| text_at(action, pointer)).unwrap_or_default().to_owned();
            let parsed = Action::parse(&action_id, &value);
            if parsed == Some(Action::Link) {
                return Err(Ignored::Link);
            }
            if text_at(payload, "/view/type") == Some("home") {
                return Ok(Inbound::HomeClicked(HomeClick { team: team()?, user: user()?, action: parsed }));
            }
            let any = |pointers: [&'static str; 2]| pointers.iter().find_map(|pointer| id::<MessageTs>(payload, pointer).ok());
            Ok(Inbound::Action(ActionClick {
                team: team()?,
                channel: id::<ChannelId>(payload, "/channel/id").or_else(|_| id::<ChannelId>(payload, "/container/channel_id"))?,
                message: any(["/container/message_ts", "/message/ts"]),
                thread_ts: any(["/container/thread_ts", "/message/thread_ts"]),
                user: user()?,
                action: parsed,
                action_id,
                value,
                response_url: text_at(payload, "/response_url").filter(|url| !url.is_empty()).map(str::to_owned),
                trigger_id: owned(payload, "/trigger_id"),
            }))
        }
        "view_submission" => Ok(Inbound::ViewSubmitted(ViewSubmission {
            team: team()?,
            user: user()?,
            callback_id: owned(payload, "/view/callback_id"),
            private_metadata: owned(payload, "/view/private_metadata"),
            values: payload.pointer("/view/state/values").cloned().unwrap_or_default(),
        })),
        "message_action" => {
            let message = id::<MessageTs>(payload, "/message/ts").or_else(|_| id::<MessageTs>(payload, "/message_ts"))?;
            Ok(Inbound::ShortcutUsed(ShortcutCall {
                team: team()?,
                user: user()?,
                callback_id: owned(payload, "/callback_id"),
                channel: id::<ChannelId>(payload, "/channel/id")?,
                thread: id::<MessageTs>(payload, "/message/thread_ts").ok().filter(|thread| *thread != message),
                message,
                text: text::readable(text_at(payload, "/message/text").unwrap_or_default(), &bot.user),
                response_url: owned(payload, "/response_url"),
                trigger_id: owned(payload, "/trigger_id"),
            }))
        }
        other => Err(Ignored::Kind(short(other))),
    }
}

fn is_bots(message: &Value, bot: &BotIdentity) -> bool {
    let set = |pointer| text_at(message, pointer).is_some_and(|text| !text.is_empty());
    set("/bot_id") || message.get("bot_profile").is_some_and(Value::is_object) || text_at(message, "/user") == Some(bot.user.as_str())
}

/// `app_mention` says nothing of the channel's kind; the id's first letter tells what matters most.
fn channel_kind(told: Option<&str>, channel: &ChannelId) -> ChannelKind {
    match (told, channel.as_str().chars().next()) {
        (Some("im"), _) | (None, Some('D')) => ChannelKind::DirectMessage,
        (Some("mpim"), _) => ChannelKind::GroupDirectMessage,
        (Some("group"), _) | (None, Some('G')) => ChannelKind::PrivateChannel,
        _ => ChannelKind::Channel,
    }
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn owned(value: &Value, pointer: &str) -> String {
    text_at(value, pointer).unwrap_or_default().to_owned()
}

fn id<T: FromStr<Err = InvalidId>>(value: &Value, pointer: &'static str) -> Parsed<T> {
    text_at(value, pointer).and_then(|text| text.parse().ok()).ok_or(Ignored::Malformed(pointer))
}

/// A kind's name for the log, whatever was sent.
fn short(kind: &str) -> String {
    kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect()
}

#[cfg(test)]
mod tests;
