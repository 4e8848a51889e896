//! Signed webhook deliveries, in order, one at a time.

use std::time::Duration;

use axum::body::Body;
use hmac::{Hmac, Mac};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    server::Shared,
    state::{Account, World},
};

/// What was sent, or tried to be sent, to the App's webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: u64,
    /// `X-GitHub-Delivery`; the same for a redelivery.
    pub guid: String,
    pub event: String,
    pub payload: Value,
    pub outcome: DeliveryOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Waiting,
    /// The receiver's status.
    Answered(u16),
    /// Nobody answered within ten seconds.
    Unreachable,
}

/// Plain HTTP: receivers are on this machine.
pub(super) type WebhookClient = Client<HttpConnector, Body>;

pub(super) fn client() -> WebhookClient {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A GUID of the usual form, from 16 random bytes.
fn guid() -> String {
    let bytes: [u8; 16] = rand::random();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `sha256=<hex>` over the body.
pub(super) fn signature(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

impl Shared {
    /// Records an event about a repository and hands it to the sender, if the App is installed there and has a webhook.
    pub(super) fn fire(&self, world: &mut World, key: &str, event: &str, sender: &Account, mut payload: Value) {
        let Some(repository) = world.repository(key) else { return };
        let Some(installation) = world.installation_of(repository) else { return };
        payload["repository"] = self.repository_json(repository);
        payload["sender"] = self.account_json(world, sender);
        payload["installation"] = json!({"id": installation.id, "node_id": format!("I_{}", installation.id)});
        if world.webhook.is_none() {
            return;
        }
        let delivery = Delivery { id: world.new_id(), guid: guid(), event: event.to_owned(), payload, outcome: DeliveryOutcome::Waiting };
        let id = delivery.id;
        world.deliveries.push(delivery);
        self.queue_delivery(id);
    }

    /// Sends a recorded delivery again, under its old GUID. False where there is none with that id.
    pub(super) fn redeliver(&self, world: &mut World, id: u64) -> bool {
        let Some(old) = world.deliveries.iter().find(|delivery| delivery.id == id).cloned() else { return false };
        let new = Delivery { id: world.new_id(), outcome: DeliveryOutcome::Waiting, ..old };
        let id = new.id;
        world.deliveries.push(new);
        self.queue_delivery(id);
        true
    }

    fn queue_delivery(&self, id: u64) {
        // Unbounded on purpose, as the list of deliveries itself: a test's few events, and senders hold the world's lock.
        let _ = self.deliveries.send(id);
    }

    /// Sends one delivery and records how it went.
    pub(super) async fn deliver(&self, client: &WebhookClient, id: u64) {
        let (target, delivery) = {
            let world = self.world();
            let delivery = world.deliveries.iter().find(|delivery| delivery.id == id).cloned();
            match (world.webhook.clone(), delivery) {
                (Some(target), Some(delivery)) => (target, delivery),
                _ => return,
            }
        };
        let body = delivery.payload.to_string();
        let request = http::Request::post(&target.url)
            .header("Content-Type", "application/json")
            .header("User-Agent", "GitHub-Hookshot/emulator")
            .header("X-GitHub-Event", &delivery.event)
            .header("X-GitHub-Delivery", &delivery.guid)
            .header("X-GitHub-Hook-ID", "1")
            .header("X-GitHub-Hook-Installation-Target-Type", "integration")
            .header("X-GitHub-Hook-Installation-Target-ID", self.setup.app.id.to_string())
            .header("X-Hub-Signature-256", signature(&target.secret, body.as_bytes()))
            .body(Body::from(body));
        let sent = match request {
            Ok(request) => tokio::time::timeout(Duration::from_secs(10), client.request(request)).await,
            Err(error) => {
                tracing::error!(%error, "the webhook's address is no address");
                return self.delivered(id, DeliveryOutcome::Unreachable);
            }
        };
        let outcome = match sent {
            Ok(Ok(answer)) => DeliveryOutcome::Answered(answer.status().as_u16()),
            Ok(Err(error)) => {
                tracing::warn!(%error, delivery = %delivery.guid, "webhook receiver did not answer");
                DeliveryOutcome::Unreachable
            }
            Err(_) => DeliveryOutcome::Unreachable,
        };
        self.delivered(id, outcome);
    }

    fn delivered(&self, id: u64, outcome: DeliveryOutcome) {
        if let Some(delivery) = self.world().deliveries.iter_mut().find(|delivery| delivery.id == id) {
            delivery.outcome = outcome;
        }
        self.delivered.notify_waiters();
    }
}
