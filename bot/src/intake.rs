//! The inbox: what Slack delivers is in the database before it is acknowledged.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use longshore_session::{Clock, Delivered, Store, StoreError, Timestamp};
use longshore_slack::{BotIdentity, Delivery, DeliveryKind, Inbound, Inbox, InboxError, InboxFuture, Stored};
use tokio::sync::Notify;

use crate::storage::Unstored;

/// Times that are remembered at the most; they are for receipts only.
const REMEMBERED: usize = 4_096;

/// When deliveries could be acknowledged: the moment that they were on disk.
#[derive(Debug, Default)]
pub struct Acknowledged(Mutex<HashMap<String, Timestamp>>);

impl Acknowledged {
    fn note(&self, key: String, at: Timestamp) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() >= REMEMBERED {
            times.clear();
        }
        times.insert(key, at);
    }

    pub fn take(&self, key: &str) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

/// Stores deliveries and wakes the dispatcher.
pub struct StoreInbox {
    pub store: Store,
    pub bot: BotIdentity,
    pub arrived: Arc<Notify>,
    pub acknowledged: Arc<Acknowledged>,
    pub clock: Arc<dyn Clock>,
    pub unstored: Unstored,
}

impl Inbox for StoreInbox {
    fn store(&self, delivery: Delivery) -> InboxFuture<'_> {
        Box::pin(async move {
            let inbound = Inbound::parse(&delivery, &self.bot);
            let (lane, post) = place(&inbound, &delivery);
            let key = delivery.key.clone();
            let row = longshore_session::Delivery {
                key: delivery.key,
                kind: match delivery.kind {
                    DeliveryKind::Event => longshore_session::DeliveryKind::Event,
                    DeliveryKind::Command => longshore_session::DeliveryKind::Command,
                    DeliveryKind::Interaction => longshore_session::DeliveryKind::Interaction,
                },
                lane,
                payload: delivery.payload,
                received: delivery.received,
            };
            let stored = self.store.put_delivery(row, post).await.map_err(|error| {
                if let (StoreError::DiskFull(_), Inbound::Message(post)) = (&error, &inbound)
                    && (post.mentions_bot || post.is_direct())
                {
                    self.unstored.note(&post.channel);
                }
                InboxError(Box::new(error))
            })?;
            if stored == Delivered::New {
                self.acknowledged.note(key, self.clock.now());
            }
            self.arrived.notify_one();
            Ok(match stored {
                Delivered::New => Stored::New,
                Delivered::Duplicate => Stored::Duplicate,
            })
        })
    }
}

/// The lane (deliveries of one channel are handled in order: an edit after its post, a click after the message) and the post that the delivery
/// is about, if it is one.
fn place(inbound: &Inbound, delivery: &Delivery) -> (String, Option<String>) {
    match inbound {
        Inbound::Message(post) => (post.channel.to_string(), Some(post.key().to_string())),
        Inbound::MessageChanged(edit) => (edit.channel.to_string(), None),
        Inbound::MessageDeleted(gone) => (gone.channel.to_string(), None),
        Inbound::Action(click) => (click.channel.to_string(), None),
        Inbound::Reacted(reaction) => (reaction.channel.to_string(), None),
        // The last choice of a person counts.
        Inbound::HomeOpened(opened) => (format!("home:{}", opened.user), None),
        Inbound::HomeClicked(click) => (format!("home:{}", click.user), None),
        Inbound::AssistantOpened(opened) => (format!("assistant:{}", opened.user), None),
        Inbound::Command(_) | Inbound::ViewSubmitted(_) | Inbound::ShortcutUsed(_) | Inbound::Ignored(_) => (delivery.key.clone(), None),
    }
}

/// The delivery as `longshore-slack` reads it.
pub fn as_delivered(row: &longshore_session::Delivery) -> Delivery {
    Delivery {
        key: row.key.clone(),
        kind: match row.kind {
            longshore_session::DeliveryKind::Event => DeliveryKind::Event,
            longshore_session::DeliveryKind::Command => DeliveryKind::Command,
            longshore_session::DeliveryKind::Interaction => DeliveryKind::Interaction,
        },
        payload: row.payload.clone(),
        received: row.received,
    }
}
