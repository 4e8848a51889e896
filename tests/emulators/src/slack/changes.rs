//! Hints for people's clients: what to read again.

use serde::Serialize;

/// One thing that changed in the workspace; it says where, not what.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub seq: u64,
    pub kind: ChangeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Set where only this person sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Message,
    MessageChanged,
    MessageDeleted,
    Reaction,
    Ephemeral,
    Views,
    Home,
    Channel,
    Status,
}

impl Change {
    pub(super) fn new(kind: ChangeKind) -> Self {
        Self { seq: 0, kind, channel: None, ts: None, thread_ts: None, user: None }
    }

    pub(super) fn at(&mut self, channel: &str, ts: &str, thread_ts: Option<&str>) -> &mut Self {
        self.channel = Some(channel.to_owned());
        self.ts = Some(ts.to_owned());
        self.thread_ts = thread_ts.map(str::to_owned);
        self
    }

    pub(super) fn seen_by(&mut self, user: &str) -> &mut Self {
        self.user = Some(user.to_owned());
        self
    }
}
