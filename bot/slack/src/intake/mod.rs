//! How Slack's deliveries get in: stored first, acknowledged second, looked at later.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http;
mod socket;

pub use http::http_router;
pub use socket::SocketMode;

use std::{future::Future, pin::Pin, time::Duration};

use longshore_session::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Slack gives up on an acknowledgement after three seconds; a store that takes longer counts as failed.
const STORE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// One thing that Slack delivered, as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The same for every repeat of the same delivery: `event:Ev…`, `command:<trigger id>`, `interaction:<trigger id>`.
    pub key: String,
    pub kind: DeliveryKind,
    /// Slack's own JSON: the Events API's outer object, the command's fields, the interaction's payload.
    pub payload: Value,
    pub received: Timestamp,
}

/// Which of Slack's three ways a delivery took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// Events API.
    Event,
    /// Slash command.
    Command,
    /// Button, select, modal, shortcut.
    Interaction,
}

impl DeliveryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Command => "command",
            Self::Interaction => "interaction",
        }
    }
}

impl Delivery {
    /// Finds the stable id in Slack's payload. `fallback` (the socket's envelope id) is used where the payload holds none;
    /// without both, the payload's own hash.
    pub fn new(kind: DeliveryKind, payload: Value, fallback: Option<&str>, received: Timestamp) -> Self {
        let field = match kind {
            DeliveryKind::Event => "event_id",
            DeliveryKind::Command | DeliveryKind::Interaction => "trigger_id",
        };
        let id = match (payload.get(field).and_then(Value::as_str).filter(|id| !id.is_empty()), fallback) {
            (Some(id), _) | (None, Some(id)) => id.to_owned(),
            (None, None) => Sha256::digest(payload.to_string()).iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        Self { key: format!("{}:{id}", kind.as_str()), kind, payload, received }
    }
}

/// What became of a delivery given to the inbox. Both are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    New,
    /// Its key was there already.
    Duplicate,
}

/// The delivery is not on disk, so it is not acknowledged and Slack sends it again.
#[derive(Debug, thiserror::Error)]
#[error("the inbox could not store the delivery: {0}")]
pub struct InboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

pub type InboxFuture<'a> = Pin<Box<dyn Future<Output = Result<Stored, InboxError>> + Send + 'a>>;

/// The durable place for deliveries. `Ok` promises that the delivery survives a crash from that moment on.
pub trait Inbox: Send + Sync + 'static {
    fn store(&self, delivery: Delivery) -> InboxFuture<'_>;
}

/// Stores within the time that Slack allows. True where the delivery may be acknowledged.
async fn store_in_time(inbox: &dyn Inbox, delivery: Delivery) -> Accepted {
    let (key, kind) = (delivery.key.clone(), delivery.kind.as_str());
    match tokio::time::timeout(STORE_TIMEOUT, inbox.store(delivery)).await {
        Ok(Ok(Stored::New)) => {
            tracing::debug!(%key, kind, "stored a Slack delivery");
            Accepted::Yes
        }
        Ok(Ok(Stored::Duplicate)) => {
            tracing::debug!(%key, kind, "Slack repeated a delivery");
            Accepted::Yes
        }
        Ok(Err(error)) => {
            tracing::error!(%key, kind, %error, "a Slack delivery was not stored and is not acknowledged");
            Accepted::No
        }
        Err(_) => {
            tracing::error!(%key, kind, "storing a Slack delivery took too long; it is not acknowledged");
            Accepted::No
        }
    }
}

/// Whether a delivery is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_repeat_has_the_same_key() {
        let event = |envelope| Delivery::new(DeliveryKind::Event, json!({"event_id": "Ev1"}), Some(envelope), Timestamp(1)).key;
        assert_eq!(event("first"), "event:Ev1");
        assert_eq!(event("second"), "event:Ev1");
        let bare = |payload| Delivery::new(DeliveryKind::Command, payload, None, Timestamp(1)).key;
        assert_eq!(bare(json!({"a": 1})), bare(json!({"a": 1})));
        assert_ne!(bare(json!({"a": 1})), bare(json!({"a": 2})));
        assert_eq!(Delivery::new(DeliveryKind::Interaction, json!({}), Some("env"), Timestamp(1)).key, "interaction:env");
    }
}
