//! The end of a thread, however long the thread is.

use std::collections::VecDeque;

use longshore_session::{ChannelId, MessageTs};
use serde_json::Value;

use super::{
    SlackClient,
    error::SlackError,
    read::{PAGE, Reply, reply},
};

/// A thread's first message and its newest ones.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadTail {
    /// None where Slack does not give it.
    pub first: Option<Reply>,
    /// Oldest first, without the first message of the thread.
    pub newest: Vec<Reply>,
    /// How many messages stand between the two.
    pub left_out: usize,
    pub end: ThreadEnd,
}

/// How far a thread was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadEnd {
    Reached,
    /// It is longer than is ever read: what comes after [`ThreadTail::newest`] is missing.
    Beyond,
}

/// Slack gives a thread from its beginning on, so that all of it is read for its end. More calls than these are more than a prompt waits for,
/// and a good part of what Slack allows in a minute.
const MOST_PAGES: usize = 10;

impl SlackClient {
    /// The newest `most` messages of a thread before this one (or of all), and its first. Needs `channels:history` and its like.
    pub async fn thread_tail(
        &self,
        channel: &ChannelId,
        thread: &MessageTs,
        before: Option<&MessageTs>,
        most: usize,
    ) -> Result<ThreadTail, SlackError> {
        let mut tail = ThreadTail { first: None, newest: Vec::new(), left_out: 0, end: ThreadEnd::Beyond };
        let mut newest = VecDeque::new();
        let mut cursor = String::new();
        for _ in 0..MOST_PAGES {
            let mut fields = vec![("channel", channel.to_string()), ("ts", thread.to_string()), ("limit", PAGE.to_string())];
            fields.extend(before.map(|before| ("latest", before.to_string())));
            if !cursor.is_empty() {
                fields.push(("cursor", std::mem::take(&mut cursor)));
            }
            let answer = self.read("conversations.replies", &fields).await?;
            let messages = answer.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for reply in messages.iter().filter_map(reply) {
                if reply.ts == *thread {
                    tail.first = Some(reply);
                } else if before.is_none_or(|before| reply.ts < *before) {
                    newest.push_back(reply);
                    if newest.len() > most {
                        newest.pop_front();
                        tail.left_out += 1;
                    }
                }
            }
            cursor = answer.pointer("/response_metadata/next_cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            if cursor.is_empty() || messages.is_empty() {
                tail.end = ThreadEnd::Reached;
                break;
            }
        }
        tail.newest = newest.into();
        Ok(tail)
    }
}
