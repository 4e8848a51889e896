//! What is done in Slack.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::Full;
use longshore_session::{ChannelId, MessageTs, SlackUserId};
use serde_json::{Value, json};

use super::{
    Body, Call, SlackClient,
    error::{Repeatable, SlackError},
    pace::Priority,
    required,
};
use crate::render::{Message, SuggestedPrompt};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostTo {
    pub channel: ChannelId,
    /// The thread's first message; none for a message in the channel itself.
    pub thread: Option<MessageTs>,
}

/// Where a message goes that one person sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EphemeralTo {
    pub channel: ChannelId,
    pub thread: Option<MessageTs>,
    pub user: SlackUserId,
}

/// What is attached to a message for machines. Slack's own clients accept only text values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    pub event_type: String,
    /// Put a unique value under `key` to find the message again.
    pub event_payload: BTreeMap<String, String>,
}

impl Metadata {
    /// Metadata that [`SlackClient::find_by_metadata`] finds by `key`.
    pub fn keyed(event_type: &str, key: &str) -> Self {
        Self { event_type: event_type.to_owned(), event_payload: BTreeMap::from([("key".to_owned(), key.to_owned())]) }
    }
}

/// A message that stands in Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    pub channel: ChannelId,
    pub ts: MessageTs,
}

impl SlackClient {
    /// Posts a message. On [`SlackError::UnknownOutcome`] it may stand there: look by its metadata's key before posting again.
    pub async fn post_message(&self, to: &PostTo, message: &Message, metadata: Option<&Metadata>) -> Result<Posted, SlackError> {
        const METHOD: &str = "chat.postMessage";
        let mut body = json!({
            "channel": to.channel, "text": message.text, "blocks": message.blocks, "unfurl_links": false, "unfurl_media": false,
        });
        if let Some(thread) = &to.thread {
            body["thread_ts"] = json!(thread);
        }
        if let Some(metadata) = metadata {
            body["metadata"] = json!({ "event_type": metadata.event_type, "event_payload": metadata.event_payload });
        }
        let answer = self.write(METHOD, &body, Repeatable::No, Some(to.channel.as_str())).await?;
        let malformed = |error: longshore_session::InvalidId| SlackError::UnknownOutcome { method: METHOD, reason: error.to_string() };
        Ok(Posted {
            // Slack answers a post to a user's id with the direct message's channel.
            channel: ChannelId::parse(required(METHOD, &answer, "/channel")?).map_err(malformed)?,
            ts: MessageTs::parse(required(METHOD, &answer, "/ts")?).map_err(malformed)?,
        })
    }

    /// Replaces a message of ours. Progress that finds the workspace's budget used up gives [`SlackError::RateLimited`] after a short
    /// wait: draw the newest picture later.
    pub async fn update_message(&self, at: &Posted, message: &Message, priority: Priority) -> Result<(), SlackError> {
        let body = json!({ "channel": at.channel, "ts": at.ts, "text": message.text, "blocks": message.blocks });
        let call = Call { method: "chat.update", body: Body::Json(&body), repeatable: Repeatable::Yes, priority, channel: None };
        self.call(call).await.map(drop)
    }

    /// Shows a message to one person. It cannot be found again, so a repeat after an unknown outcome may show it twice.
    pub async fn post_ephemeral(&self, to: &EphemeralTo, message: &Message) -> Result<(), SlackError> {
        let mut body = json!({ "channel": to.channel, "user": to.user, "text": message.text, "blocks": message.blocks });
        if let Some(thread) = &to.thread {
            body["thread_ts"] = json!(thread);
        }
        self.write("chat.postEphemeral", &body, Repeatable::No, Some(to.channel.as_str())).await.map(drop)
    }

    /// Adds a reaction; one that is there already is fine.
    pub async fn add_reaction(&self, at: &Posted, name: &str) -> Result<(), SlackError> {
        let body = json!({ "channel": at.channel, "timestamp": at.ts, "name": name });
        match self.write("reactions.add", &body, Repeatable::Yes, None).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("already_reacted") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens a modal. A trigger id is good for three seconds and one use. Gives the view's id.
    pub async fn open_view(&self, trigger_id: &str, view: &Value) -> Result<String, SlackError> {
        const METHOD: &str = "views.open";
        let answer = self.write(METHOD, &json!({ "trigger_id": trigger_id, "view": view }), Repeatable::No, None).await?;
        Ok(required(METHOD, &answer, "/view/id")?.to_owned())
    }

    /// Goes into a public channel; being there already is fine. Needs `channels:join`.
    pub async fn join(&self, channel: &ChannelId) -> Result<(), SlackError> {
        self.write("conversations.join", &json!({ "channel": channel }), Repeatable::Yes, None).await.map(drop)
    }

    /// Offers prompts in a thread with the assistant. Needs `assistant:write`.
    pub async fn suggest_prompts(&self, channel: &ChannelId, thread: &MessageTs, prompts: &[SuggestedPrompt]) -> Result<(), SlackError> {
        let prompts: Vec<Value> = prompts.iter().map(|prompt| json!({ "title": prompt.title, "message": prompt.message })).collect();
        let body = json!({ "channel_id": channel, "thread_ts": thread, "prompts": prompts });
        self.write("assistant.threads.setSuggestedPrompts", &body, Repeatable::Yes, None).await.map(drop)
    }

    /// Puts a view onto a person's Home tab. May come too late like any progress: the next one is newer.
    pub async fn publish_home(&self, user: &SlackUserId, view: &Value) -> Result<(), SlackError> {
        let body = json!({ "user_id": user, "view": view });
        let call = Call {
            method: "views.publish",
            body: Body::Json(&body),
            repeatable: Repeatable::Yes,
            priority: Priority::Progress,
            channel: None,
        };
        self.call(call).await.map(drop)
    }

    /// Answers a command or an action by its response address (five times within half an hour): seen by the asker alone.
    pub async fn respond(&self, response_url: &str, message: &Message) -> Result<(), SlackError> {
        self.to_response_url(response_url, json!({ "response_type": "ephemeral", "text": message.text, "blocks": message.blocks })).await
    }

    /// Replaces the message that an action came from, an ephemeral one too.
    pub async fn respond_replacing(&self, response_url: &str, message: &Message) -> Result<(), SlackError> {
        self.to_response_url(response_url, json!({ "replace_original": true, "text": message.text, "blocks": message.blocks })).await
    }

    async fn to_response_url(&self, response_url: &str, body: Value) -> Result<(), SlackError> {
        const WHAT: &str = "response_url";
        let bad_address = || SlackError::Refused {
            method: WHAT,
            code: "invalid_url".to_owned(),
            hint: Some("the response address cannot be used".to_owned()),
        };
        let request = Request::post(response_url)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| bad_address())?;
        let answer = self.inner.plain.send(WHAT, Repeatable::No, request, 64 * 1024).await?;
        if answer.status == http::StatusCode::TOO_MANY_REQUESTS {
            return Err(SlackError::RateLimited { method: WHAT, retry_after: super::files::retry_after(&answer.headers) });
        }
        if !answer.status.is_success() {
            let code = format!("http_{}", answer.status.as_u16());
            return Err(SlackError::Refused { method: WHAT, code, hint: Some("the response address may have expired".to_owned()) });
        }
        // Plain `ok`, or JSON with an error code.
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(answer) if answer.get("ok").and_then(Value::as_bool) == Some(false) => {
                Err(SlackError::refused(WHAT, answer.get("error").and_then(Value::as_str).unwrap_or("unknown"), &answer))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub(super) async fn write(
        &self,
        method: &'static str,
        body: &Value,
        repeatable: Repeatable,
        channel: Option<&str>,
    ) -> Result<Value, SlackError> {
        self.call(Call { method, body: Body::Json(body), repeatable, priority: Priority::Final, channel }).await
    }
}
