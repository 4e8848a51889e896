//! What is asked of Slack.

use longshore_session::{ChannelId, MessageTs, SlackUserId, TeamId};
use serde_json::{Value, json};

use super::{
    SlackClient,
    error::{Repeatable, SlackError},
    required,
};
use crate::inbound::BotIdentity;

/// Who the bot is, by its own token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    pub identity: BotIdentity,
    pub team: TeamId,
    /// The workspace's name.
    pub team_name: String,
    /// The workspace's address, `https://….slack.com/`.
    pub url: String,
}

/// A user, as far as Slack shows them to the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub id: SlackUserId,
    /// Real name, else display name, else handle, else the id.
    pub name: String,
    /// Needs the scope `users:read.email`.
    pub email: Option<String>,
    pub is_bot: bool,
    /// A guest.
    pub is_restricted: bool,
    /// The account is deactivated.
    pub deleted: bool,
    pub team: Option<TeamId>,
}

/// One message of a thread, as Slack sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub ts: MessageTs,
    pub user: Option<SlackUserId>,
    pub bot_id: Option<String>,
    pub text: String,
    pub raw: Value,
}

/// A thread's messages, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyPage {
    pub replies: Vec<Reply>,
    /// The thread has more than were asked for.
    pub truncated: bool,
}

/// Whether the bot is in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Member,
    /// Not yet, but it may join by itself.
    Open,
    /// It has to be invited, or can never come in.
    Closed,
}

pub(super) const PAGE: usize = 200;

impl SlackClient {
    pub async fn auth_test(&self) -> Result<Bot, SlackError> {
        const METHOD: &str = "auth.test";
        let answer = self.read(METHOD, &[]).await?;
        let malformed = |error: longshore_session::InvalidId| SlackError::Transient { method: METHOD, reason: error.to_string() };
        Ok(Bot {
            identity: BotIdentity {
                user: SlackUserId::parse(required(METHOD, &answer, "/user_id")?).map_err(malformed)?,
                bot_id: answer.get("bot_id").and_then(Value::as_str).map(str::to_owned),
            },
            team: TeamId::parse(required(METHOD, &answer, "/team_id")?).map_err(malformed)?,
            team_name: answer.get("team").and_then(Value::as_str).unwrap_or_default().to_owned(),
            url: answer.get("url").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }

    /// A thread's messages with their metadata, at most `cap`. Needs `channels:history` and its like.
    pub async fn replies(&self, channel: &ChannelId, thread: &MessageTs, cap: usize) -> Result<ReplyPage, SlackError> {
        self.replies_since(channel, thread, None, cap).await
    }

    /// As [`SlackClient::replies`], from this message on. The thread's first message may come along.
    pub async fn replies_since(
        &self,
        channel: &ChannelId,
        thread: &MessageTs,
        oldest: Option<&MessageTs>,
        cap: usize,
    ) -> Result<ReplyPage, SlackError> {
        let mut page = ReplyPage { replies: Vec::new(), truncated: false };
        let mut cursor = String::new();
        loop {
            let left = cap - page.replies.len();
            let mut fields = vec![
                ("channel", channel.to_string()),
                ("ts", thread.to_string()),
                ("limit", left.min(PAGE).to_string()),
                ("include_all_metadata", "true".to_owned()),
            ];
            if let Some(oldest) = oldest {
                fields.extend([("oldest", oldest.to_string()), ("inclusive", "true".to_owned())]);
            }
            if !cursor.is_empty() {
                fields.push(("cursor", std::mem::take(&mut cursor)));
            }
            let answer = self.read("conversations.replies", &fields).await?;
            let messages = answer.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let got = messages.len();
            // A message that cannot be read is left out; the others still count.
            page.replies.extend(messages.iter().filter_map(reply).take(left));
            cursor = answer.pointer("/response_metadata/next_cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            let more = !cursor.is_empty() || answer.get("has_more").and_then(Value::as_bool).unwrap_or(false);
            if page.replies.len() >= cap {
                page.truncated = more || got > left;
                return Ok(page);
            }
            if cursor.is_empty() || got == 0 {
                return Ok(page);
            }
        }
    }

    /// The message in the thread that carries `key` in its metadata's payload: how a post of unknown outcome is found again.
    pub async fn find_by_metadata(&self, channel: &ChannelId, thread: &MessageTs, key: &str) -> Result<Option<MessageTs>, SlackError> {
        let page = self.replies(channel, thread, 2_000).await?;
        Ok(page.replies.iter().find(|reply| reply.carries(key)).map(|reply| reply.ts.clone()))
    }

    /// As [`SlackClient::find_by_metadata`], among the newest messages of the channel itself.
    pub async fn find_in_channel(&self, channel: &ChannelId, key: &str) -> Result<Option<MessageTs>, SlackError> {
        let fields = [("channel", channel.to_string()), ("limit", PAGE.to_string()), ("include_all_metadata", "true".to_owned())];
        let answer = self.read("conversations.history", &fields).await?;
        let messages = answer.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(messages.iter().filter_map(reply).find(|reply| reply.carries(key)).map(|reply| reply.ts))
    }

    /// The message in the thread (or among a channel's newest, without one) that shows this file.
    pub async fn find_file(&self, channel: &ChannelId, thread: Option<&MessageTs>, file: &str) -> Result<Option<MessageTs>, SlackError> {
        let replies = match thread {
            Some(thread) => self.replies(channel, thread, 2_000).await?.replies,
            None => {
                let answer = self.read("conversations.history", &[("channel", channel.to_string()), ("limit", PAGE.to_string())]).await?;
                answer.get("messages").and_then(Value::as_array).into_iter().flatten().filter_map(reply).collect()
            }
        };
        let shows = |reply: &&Reply| {
            let files = reply.raw.get("files").and_then(Value::as_array).into_iter().flatten();
            files.filter_map(|shown| shown.get("id").and_then(Value::as_str)).any(|id| id == file)
        };
        Ok(replies.iter().find(shows).map(|reply| reply.ts.clone()))
    }

    /// The conversations that the bot is in, archived ones left out, at most `cap`. Needs `channels:read` and its like.
    pub async fn own_channels(&self, cap: usize) -> Result<Vec<ChannelId>, SlackError> {
        let mut channels = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut fields = vec![
                ("types", "public_channel,private_channel,mpim,im".to_owned()),
                ("exclude_archived", "true".to_owned()),
                ("limit", PAGE.to_string()),
            ];
            if !cursor.is_empty() {
                fields.push(("cursor", std::mem::take(&mut cursor)));
            }
            let answer = self.read("users.conversations", &fields).await?;
            let listed = answer.get("channels").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let ids = listed.iter().filter_map(|channel| ChannelId::parse(channel.get("id")?.as_str()?).ok());
            channels.extend(ids.take(cap - channels.len()));
            cursor = answer.pointer("/response_metadata/next_cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            if cursor.is_empty() || listed.is_empty() || channels.len() >= cap {
                return Ok(channels);
            }
        }
    }

    /// A channel's own messages (no replies) from this one on, the newest `cap` at most, newest first.
    pub async fn history_since(&self, channel: &ChannelId, oldest: Option<&MessageTs>, cap: usize) -> Result<Vec<Reply>, SlackError> {
        let mut messages = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut fields = vec![("channel", channel.to_string()), ("limit", PAGE.to_string()), ("inclusive", "true".to_owned())];
            fields.extend(oldest.map(|oldest| ("oldest", oldest.to_string())));
            if !cursor.is_empty() {
                fields.push(("cursor", std::mem::take(&mut cursor)));
            }
            let answer = self.read("conversations.history", &fields).await?;
            let page = answer.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            messages.extend(page.iter().filter_map(reply).take(cap - messages.len()));
            cursor = answer.pointer("/response_metadata/next_cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            if cursor.is_empty() || page.is_empty() || messages.len() >= cap {
                return Ok(messages);
            }
        }
    }

    /// The direct message with somebody, opened where there was none. Needs `im:write`.
    pub async fn direct_message(&self, user: &SlackUserId) -> Result<ChannelId, SlackError> {
        const METHOD: &str = "conversations.open";
        let answer = self.write(METHOD, &json!({ "users": user }), Repeatable::Yes, None).await?;
        let malformed = |error: longshore_session::InvalidId| SlackError::Transient { method: METHOD, reason: error.to_string() };
        ChannelId::parse(required(METHOD, &answer, "/channel/id")?).map_err(malformed)
    }

    pub async fn user_info(&self, user: &SlackUserId) -> Result<Profile, SlackError> {
        let answer = self.read("users.info", &[("user", user.to_string())]).await?;
        Ok(profile(user, answer.get("user").unwrap_or(&Value::Null)))
    }

    /// Whether the bot is there. What Slack does not show to the bot is closed to it.
    pub async fn membership(&self, channel: &ChannelId) -> Result<Membership, SlackError> {
        let answer = match self.read("conversations.info", &[("channel", channel.to_string())]).await {
            Err(error) if matches!(error.code(), Some("channel_not_found" | "missing_scope")) => return Ok(Membership::Closed),
            answer => answer?,
        };
        let is = |field: &str| answer.pointer(&format!("/channel/{field}")).and_then(Value::as_bool).unwrap_or(false);
        Ok(match (is("is_member") || is("is_im"), is("is_private") || is("is_archived")) {
            (true, _) => Membership::Member,
            (false, false) => Membership::Open,
            (false, true) => Membership::Closed,
        })
    }

    /// The channel's name without `#`; empty for a direct message.
    pub async fn channel_name(&self, channel: &ChannelId) -> Result<String, SlackError> {
        let answer = self.read("conversations.info", &[("channel", channel.to_string())]).await?;
        Ok(answer.pointer("/channel/name").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    pub async fn permalink(&self, channel: &ChannelId, message: &MessageTs) -> Result<String, SlackError> {
        const METHOD: &str = "chat.getPermalink";
        let answer = self.read(METHOD, &[("channel", channel.to_string()), ("message_ts", message.to_string())]).await?;
        Ok(required(METHOD, &answer, "/permalink")?.to_owned())
    }
}

impl Reply {
    fn carries(&self, key: &str) -> bool {
        self.raw.pointer("/metadata/event_payload/key").and_then(Value::as_str) == Some(key)
    }
}

pub(super) fn reply(raw: &Value) -> Option<Reply> {
    let text = |field: &str| raw.get(field).and_then(Value::as_str);
    Some(Reply {
        ts: MessageTs::parse(text("ts")?).ok()?,
        user: text("user").and_then(|user| SlackUserId::parse(user).ok()),
        bot_id: text("bot_id").map(str::to_owned),
        text: text("text").unwrap_or_default().to_owned(),
        raw: raw.clone(),
    })
}

fn profile(id: &SlackUserId, user: &Value) -> Profile {
    let text = |pointer: &str| user.pointer(pointer).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let flag = |field: &str| user.get(field).and_then(Value::as_bool).unwrap_or(false);
    let names = ["/profile/real_name", "/real_name", "/profile/display_name", "/name"];
    Profile {
        id: id.clone(),
        name: names.into_iter().find_map(text).unwrap_or(id.as_str()).to_owned(),
        email: text("/profile/email").map(str::to_owned),
        is_bot: flag("is_bot"),
        is_restricted: flag("is_restricted") || flag("is_ultra_restricted"),
        deleted: flag("deleted"),
        team: text("/team_id").and_then(|team| TeamId::parse(team).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_takes_the_best_name_there_is() {
        let id = SlackUserId::parse("U1").unwrap();
        let full = profile(
            &id,
            &json!({"name": "ada", "team_id": "T1", "is_restricted": true, "profile": {"real_name": "Ada Byron", "email": "ada@example.com"}}),
        );
        assert_eq!((full.name.as_str(), full.email.as_deref(), full.is_restricted), ("Ada Byron", Some("ada@example.com"), true));
        assert_eq!(profile(&id, &json!({"name": "ada", "profile": {"real_name": " "}})).name, "ada");
        assert_eq!(profile(&id, &Value::Null).name, "U1");
    }
}
