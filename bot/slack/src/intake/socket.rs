//! Socket Mode: slack-morphism keeps the sockets, this listener reads the raw envelopes.
//!
//! slack-morphism's own listener parses every envelope with strict models and drops what it does not know. Its client manager takes any
//! listener, so ours is given the text as it came, stores it, and only then returns the acknowledgement for the manager to send.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use longshore_session::Clock;
use serde_json::{Value, json};
use slack_morphism::{
    SlackApiToken, SlackApiTokenValue, SlackClient as VendorClient, SlackClientSocketModeConfig, SlackSocketModeClientListener,
    SlackSocketModeWssClientId,
    clients_manager::{SlackSocketModeClientsManager, SlackSocketModeClientsManagerFactory},
    listener::SlackClientEventsListenerEnvironment,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Accepted, Delivery, DeliveryKind, Inbox, store_in_time};
use crate::{
    client::{Connector, SlackError, SlackSetupError, connector, open_connection},
    config::{AppToken, SlackConfig},
};

/// Seconds between tries while no address or socket is given out.
const RETRY_CONNECT_S: u64 = 5;
/// A socket that has not said hello for this long is given up and opened anew: the vendor's connect has no timeout of its own.
const HELLO_WITHIN: Duration = Duration::from_secs(60);
const WATCH_EVERY: Duration = Duration::from_secs(15);
/// A socket that lived at least this long is renewed at once; shorter ones wait longer each time.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);
const BACK_OFF_FIRST: Duration = Duration::from_millis(250);
const BACK_OFF_MOST: Duration = Duration::from_secs(30);

type Manager = dyn SlackSocketModeClientsManager + Send + Sync;

/// The open sockets. Ends when the token that it was started with is cancelled.
#[derive(Debug)]
pub struct SocketMode {
    connected: watch::Receiver<usize>,
    keeper: JoinHandle<()>,
}

impl SocketMode {
    /// Opens the sockets and keeps them open until `shutdown`.
    ///
    /// Errors at once where there is no app token or Slack refuses it; where Slack cannot be reached, it goes on trying.
    pub async fn start(
        config: SlackConfig,
        inbox: Arc<dyn Inbox>,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Result<Self, SlackSetupError> {
        let app_token = config.app_token.clone().ok_or(SlackSetupError::NoAppToken)?;
        let api = connector(&config.api_url)?;
        let client = Arc::new(VendorClient::new(api.clone()));
        if let Err(error @ SlackError::Refused { .. }) = open_connection(&client, &app_token, config.request_timeout).await {
            return Err(SlackSetupError::AppTokenRefused(error));
        }

        let (connected, watcher) = watch::channel(0);
        let listener = Arc::new(RawListener {
            inbox,
            clock,
            manager: OnceLock::new(),
            sockets: Mutex::new(HashMap::new()),
            connected,
            shutdown: shutdown.clone(),
        });
        let manager = api.new_clients_manager(Arc::new(SlackClientEventsListenerEnvironment::new(client.clone())));
        // A weak reference, since the manager's sockets hold the listener.
        let _ = listener.manager.set(Arc::downgrade(&manager));
        let sockets = config.sockets.max(1);
        let options = SlackClientSocketModeConfig::new()
            .with_max_connections_count(sockets)
            .with_initial_backoff_in_seconds(1)
            .with_reconnect_timeout_in_seconds(RETRY_CONNECT_S);
        for index in 0..sockets {
            listener.opening(SlackSocketModeWssClientId::new(index, index, 0));
        }
        let token = vendor_token(&app_token);
        manager.register_new_token(&options, token, listener.clone()).await.map_err(|_| SlackSetupError::Sockets)?;
        manager.start().await;
        let keeper = tokio::spawn(keep(manager, listener, client, app_token, config.request_timeout, shutdown));
        Ok(Self { connected: watcher, keeper })
    }

    /// How many sockets Slack has greeted, as it changes.
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.connected.clone()
    }

    /// Waits until the sockets are closed. Cancel the shutdown token first.
    pub async fn closed(self) {
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the Socket Mode keeper failed");
        }
    }
}

fn vendor_token(token: &AppToken) -> SlackApiToken {
    SlackApiToken::new(SlackApiTokenValue(token.expose().to_owned()))
}

/// Watches for sockets that never came up and closes all at the end.
async fn keep(
    manager: Arc<Manager>,
    listener: Arc<RawListener>,
    client: Arc<VendorClient<Connector>>,
    app_token: AppToken,
    timeout: Duration,
    shutdown: CancellationToken,
) {
    let mut tick = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = tick.tick() => {}
        }
        for id in listener.overdue() {
            // The vendor's client says why only in a log line that holds the socket's address, which is a credential: ask again ourselves.
            match open_connection(&client, &app_token, timeout).await {
                Ok(()) => tracing::warn!(socket = id.initial_index, "a Slack socket did not come up in time; opening it anew"),
                Err(error) => tracing::error!(socket = id.initial_index, %error, "no connection to Slack; trying on"),
            }
            listener.opening(id.new_reconnected_id());
            manager.restart_client(&id).await;
        }
    }
    manager.shutdown().await;
    tracing::info!("closed the Slack sockets");
}

/// One socket of ours, through all its reconnections.
struct Socket {
    id: SlackSocketModeWssClientId,
    since: Instant,
    greeted: bool,
    short_lives: u32,
}

struct RawListener {
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    manager: OnceLock<Weak<Manager>>,
    /// By the socket's index, which a reconnection keeps.
    sockets: Mutex<HashMap<u32, Socket>>,
    connected: watch::Sender<usize>,
    shutdown: CancellationToken,
}

impl RawListener {
    fn with_sockets<T>(&self, change: impl FnOnce(&mut HashMap<u32, Socket>) -> T) -> T {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut sockets);
        let greeted = sockets.values().filter(|socket| socket.greeted).count();
        self.connected.send_if_modified(|count| std::mem::replace(count, greeted) != greeted);
        result
    }

    fn opening(&self, id: SlackSocketModeWssClientId) {
        self.with_sockets(|sockets| {
            let short_lives = sockets.get(&id.initial_index).map_or(0, |socket| socket.short_lives);
            sockets.insert(id.initial_index, Socket { id, since: Instant::now(), greeted: false, short_lives });
        });
    }

    fn greeted(&self, id: &SlackSocketModeWssClientId) {
        self.with_sockets(|sockets| {
            if let Some(socket) = sockets.get_mut(&id.initial_index).filter(|socket| socket.id == *id) {
                socket.greeted = true;
                socket.since = Instant::now();
            }
        });
        tracing::info!(socket = id.initial_index, "connected to Slack");
    }

    fn overdue(&self) -> Vec<SlackSocketModeWssClientId> {
        self.with_sockets(|sockets| {
            sockets
                .values()
                .filter(|socket| !socket.greeted && socket.since.elapsed() > HELLO_WITHIN)
                .map(|socket| socket.id.clone())
                .collect()
        })
    }

    /// Opens the socket anew, later each time that it did not live long.
    async fn renew(&self, id: &SlackSocketModeWssClientId) {
        let wait = self.with_sockets(|sockets| {
            let socket = sockets.get_mut(&id.initial_index).filter(|socket| socket.id == *id)?;
            let healthy = socket.greeted && socket.since.elapsed() >= HEALTHY_AFTER;
            socket.short_lives = if healthy { 0 } else { socket.short_lives + 1 };
            socket.greeted = false;
            socket.id = id.new_reconnected_id();
            socket.since = Instant::now();
            Some(back_off(socket.short_lives))
        });
        // Both halves of a socket report its end: the second report is about an id that is gone.
        let Some(wait) = wait else { return };
        tracing::info!(socket = id.initial_index, wait_ms = wait.as_millis(), "renewing a Slack socket");
        tokio::select! {
            () = self.shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        if let Some(manager) = self.manager.get().and_then(Weak::upgrade) {
            manager.restart_client(id).await;
        }
    }

    /// The acknowledgement of an envelope whose delivery is on disk.
    async fn take(&self, envelope: Value) -> Option<String> {
        let envelope_id = envelope.get("envelope_id").and_then(Value::as_str)?.to_owned();
        let kind = match envelope.get("type").and_then(Value::as_str) {
            Some("events_api") => DeliveryKind::Event,
            Some("slash_commands") => DeliveryKind::Command,
            Some("interactive") => DeliveryKind::Interaction,
            other => {
                // Nothing that we could ever do with it: acknowledged, so that Slack does not repeat it.
                tracing::warn!(kind = other, "an envelope of an unknown kind");
                return Some(acknowledgement(&envelope_id));
            }
        };
        let payload = envelope.get("payload").cloned().unwrap_or_default();
        let delivery = Delivery::new(kind, payload, Some(&envelope_id), self.clock.now());
        match store_in_time(self.inbox.as_ref(), delivery).await {
            Accepted::Yes => Some(acknowledgement(&envelope_id)),
            Accepted::No => None,
        }
    }
}

fn acknowledgement(envelope_id: &str) -> String {
    json!({ "envelope_id": envelope_id }).to_string()
}

/// Nothing after a long life, then doubled from a quarter of a second to half a minute.
fn back_off(short_lives: u32) -> Duration {
    match short_lives {
        0 => Duration::ZERO,
        lives => BACK_OFF_FIRST.saturating_mul(1 << (lives - 1).min(7)).min(BACK_OFF_MOST),
    }
}

#[async_trait]
impl SlackSocketModeClientListener for RawListener {
    async fn on_message(&self, client_id: &SlackSocketModeWssClientId, message_body: String) -> Option<String> {
        let Ok(message) = serde_json::from_str::<Value>(&message_body) else {
            tracing::warn!(socket = client_id.initial_index, bytes = message_body.len(), "Slack sent something that is not JSON");
            return None;
        };
        match message.get("type").and_then(Value::as_str) {
            Some("hello") => {
                self.greeted(client_id);
                None
            }
            Some("disconnect") => {
                let reason = message.get("reason").and_then(Value::as_str).unwrap_or("unknown");
                tracing::info!(socket = client_id.initial_index, reason, "Slack asks for a new socket");
                self.renew(client_id).await;
                None
            }
            _ => self.take(message).await,
        }
    }

    async fn on_error(&self, _error: Box<dyn std::error::Error + Send + Sync>) {
        // Not shown: the vendor's text may hold what was received.
        tracing::warn!("a Slack socket failed");
    }

    async fn on_disconnect(&self, client_id: &SlackSocketModeWssClientId) {
        if !self.shutdown.is_cancelled() {
            self.renew(client_id).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_wait_longer_each_time() {
        let waits: Vec<u128> = (0..10).map(|lives| back_off(lives).as_millis()).collect();
        assert_eq!(waits, [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    }
}
