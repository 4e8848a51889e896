//! Starting an emulator, and what can be read from and done to a running one.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;

use super::calls::{Call, CallLog};
use super::changes::{Change, ChangeKind};
use super::conversation::Draft;
use super::delivery::{self, DeliveryRecord, Disconnect, Dispatcher, Envelope};
use super::faults::Fault;
use super::limits::Limits;
use super::message::{Author, Metadata};
use super::people::{self, PeopleError, Person};
use super::render::thread_text;
use super::setup::{ChannelKind, ChannelLife, Delivery, UserKind, WorkspaceSetup};
use super::shared::Shared;
use super::state::State;
use super::web;
use super::wire::{Wire, WireListener};

/// An app in the workspace that is not the one under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherApp {
    /// Of its bot user (`U…`).
    pub user: String,
    /// `B…`
    pub bot: String,
}

/// Starts emulators.
#[derive(Debug)]
pub struct SlackEmulator;

/// An emulator about to start.
#[derive(Debug)]
pub struct SlackEmulatorBuilder {
    setup: WorkspaceSetup,
    listen: SocketAddr,
    calls_log: Option<PathBuf>,
    page: Option<Router>,
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot write the call log {path}: {source}")]
    CallLog { path: PathBuf, source: std::io::Error },
}

/// A running emulator; cheap to clone. It runs until [`SlackHandle::shutdown`] or the end of the process.
#[derive(Clone, Debug)]
pub struct SlackHandle {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl SlackEmulator {
    /// Starts on a free port of the loopback address.
    pub async fn start(setup: WorkspaceSetup) -> Result<SlackHandle, StartError> {
        Self::builder(setup).start().await
    }

    #[must_use]
    pub fn builder(setup: WorkspaceSetup) -> SlackEmulatorBuilder {
        SlackEmulatorBuilder { setup, listen: SocketAddr::from(([127, 0, 0, 1], 0)), calls_log: None, page: None }
    }
}

impl SlackEmulatorBuilder {
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Writes each API call to this file as one line of JSON.
    #[must_use]
    pub fn calls_log(mut self, path: impl AsRef<Path>) -> Self {
        self.calls_log = Some(path.as_ref().to_owned());
        self
    }

    /// Serves a router of the caller's for everything that is not the emulator's own, `/` above all.
    #[must_use]
    pub fn page(mut self, page: Router) -> Self {
        self.page = Some(page);
        self
    }

    pub async fn start(self) -> Result<SlackHandle, StartError> {
        let failed = |source| StartError::Listen { address: self.listen, source };
        let listener = TcpListener::bind(self.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let calls = match self.calls_log {
            Some(path) => CallLog::written_to(&path).map_err(|source| StartError::CallLog { path, source })?,
            None => CallLog::default(),
        };
        let state = State::new(Arc::new(self.setup), format!("http://{address}"), calls);
        let shared = Arc::new(Shared::new(state));
        let page = self.page.unwrap_or_else(|| Router::new().route("/", get(placeholder)));
        let app = web::router()
            .merge(people::router())
            .route("/link/", get(delivery::link))
            .with_state(shared.clone())
            .fallback_service(page)
            .into_make_service_with_connect_info::<Wire>();
        let stop = shared.stop.clone();
        let server = axum::serve(WireListener(listener), app).with_graceful_shutdown(stop.cancelled_owned()).into_future();
        shared.tasks.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the emulator's server ended");
            }
        });
        Ok(SlackHandle { shared, address })
    }
}

async fn placeholder() -> &'static str {
    "The Slack emulator is running. Its routes for people are under /client."
}

impl SlackHandle {
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://127.0.0.1:PORT/api`, without a slash at the end.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api", self.base_url())
    }

    #[must_use]
    pub fn setup(&self) -> Arc<WorkspaceSetup> {
        self.shared.read(|state| state.setup.clone())
    }

    #[must_use]
    pub fn bot_token(&self) -> String {
        self.setup().app.bot_token.clone()
    }

    #[must_use]
    pub fn app_token(&self) -> String {
        self.setup().app.app_token.clone()
    }

    #[must_use]
    pub fn signing_secret(&self) -> String {
        self.setup().app.signing_secret.clone()
    }

    #[must_use]
    pub fn bot_user_id(&self) -> String {
        self.setup().app.bot_user_id.clone()
    }

    #[must_use]
    pub fn app_id(&self) -> String {
        self.setup().app.id.clone()
    }

    #[must_use]
    pub fn team_id(&self) -> String {
        self.setup().team.id.clone()
    }

    /// The human with this id; what an unknown one tries is refused.
    #[must_use]
    pub fn person(&self, user: &str) -> Person {
        Person::new(self.shared.clone(), user)
    }

    /// Replies in a thread as another app's bot; returns the message's ts.
    pub fn reply_as_other_app(&self, app: &OtherApp, channel: &str, thread_ts: &str, text: &str) -> String {
        let author = Author::OtherApp { user: app.user.clone(), bot: app.bot.clone() };
        let draft = Draft { thread_ts: Some(thread_ts.to_owned()), ..Draft::by(author, text) };
        self.shared.act(|state| state.post(channel, draft))
    }

    /// All messages of a channel, replies among them, oldest first.
    #[must_use]
    pub fn messages(&self, channel: &str) -> Vec<Value> {
        self.shared.read(|state| {
            let messages = state.room(channel).into_iter().flat_map(|room| room.messages.values());
            messages.map(|message| Value::Object(message.to_json(state, channel, Metadata::Included))).collect()
        })
    }

    /// A thread's root and replies, oldest first.
    #[must_use]
    pub fn thread(&self, channel: &str, ts: &str) -> Vec<Value> {
        self.shared.read(|state| {
            let messages = state.room(channel).into_iter().flat_map(|room| room.thread(ts));
            messages.map(|message| Value::Object(message.to_json(state, channel, Metadata::Included))).collect()
        })
    }

    /// Waits until the thread is as wanted; returns it.
    pub async fn wait_for_thread(
        &self,
        channel: &str,
        ts: &str,
        wanted: impl Fn(&[Value]) -> bool,
        timeout: Duration,
    ) -> Result<Vec<Value>, PeopleError> {
        let look = |slack: &Self| Some(slack.thread(channel, ts)).filter(|thread| wanted(thread));
        let found = self.wait_until(look, timeout).await;
        found.map_err(|_| PeopleError::TimedOut(format!("the thread stands at\n{}", self.render_thread_text(channel, ts))))
    }

    /// Looks each time something changes, until `look` finds what it wants.
    pub async fn wait_until<T>(&self, look: impl Fn(&Self) -> Option<T>, timeout: Duration) -> Result<T, PeopleError> {
        let mut version = self.shared.version.subscribe();
        let wait = async {
            loop {
                version.mark_unchanged();
                if let Some(found) = look(self) {
                    return Some(found);
                }
                version.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(timeout, wait).await {
            Ok(Some(found)) => Ok(found),
            _ => Err(PeopleError::TimedOut(format!("{} s passed", timeout.as_secs_f32()))),
        }
    }

    /// A thread as plain text, as a person sees it.
    #[must_use]
    pub fn render_thread_text(&self, channel: &str, ts: &str) -> String {
        self.shared.read(|state| thread_text(state, channel, ts))
    }

    /// Every API call so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.read(|state| state.calls.all().to_vec())
    }

    /// Every envelope so far, with its attempts and acknowledgement times.
    #[must_use]
    pub fn deliveries(&self) -> Vec<DeliveryRecord> {
        self.shared.dispatcher.records()
    }

    /// Hints for a client, as `/client/events` sends them; those of single people among them.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }

    /// The next `times` calls of the method fail so; several faults of a method come in the order they were added.
    pub fn fail_next(&self, method: &str, fault: Fault, times: usize) {
        self.shared.act(|state| state.faults.add(method, &fault, times));
    }

    /// For so long every call that posts, updates or reads a thread is answered with 429 and the rest of that time as `Retry-After`.
    pub fn limit_everything_for(&self, time: Duration) {
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.shared.act(|state| {
            let until = state.now_ms().saturating_add(time);
            state.faults.storm(until);
        });
    }

    /// Archives a channel: nobody can write there, all can read.
    pub fn archive(&self, channel: &str) {
        self.shared.act(|state| {
            if let Some(room) = state.room_mut(channel) {
                room.channel.life = ChannelLife::Archived;
                state.changed(ChangeKind::Channel).at(channel, "", None);
            }
        });
    }

    /// Deactivates somebody's account: they are in no channel any more, and their direct message is closed.
    pub fn deactivate(&self, user: &str) {
        self.shared.act(|state| {
            if let Some(found) = Arc::make_mut(&mut state.setup).users.iter_mut().find(|found| found.id == user) {
                found.kind = UserKind::Deactivated;
            }
            for room in &mut state.channels {
                match &room.channel.kind {
                    ChannelKind::Im { user: with } if with == user => room.channel.life = ChannelLife::Archived,
                    ChannelKind::Im { .. } => {}
                    ChannelKind::Public | ChannelKind::Private => room.channel.members.retain(|member| member != user),
                }
            }
        });
    }

    pub fn clear_faults(&self) {
        self.shared.act(|state| state.faults.clear());
    }

    /// Sets the limits anew, with nothing used up.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.act(|state| state.budget.set(limits));
    }

    /// How many Socket Mode connections are open.
    #[must_use]
    pub fn sockets(&self) -> usize {
        *self.shared.dispatcher.connected.borrow()
    }

    /// Tells all sockets to go, as Slack does now and then.
    pub fn disconnect_sockets(&self, reason: Disconnect) {
        let frame = reason.frame();
        match reason {
            Disconnect::Warning => self.shared.dispatcher.tell_sockets(&frame),
            Disconnect::RefreshRequested | Disconnect::LinkDisabled => self.shared.dispatcher.end_sockets(&frame),
        }
    }

    /// Breaks all sockets without a word.
    pub fn drop_sockets(&self) {
        self.shared.dispatcher.end_sockets(&delivery::DROP);
    }

    /// Sends any event in the real envelope; returns its `event_id`.
    pub fn send_raw_event(&self, event: Value) -> String {
        self.shared.act(|state| {
            let payload = state.event_callback(event);
            let id = payload["event_id"].as_str().unwrap_or_default().to_owned();
            state.outgoing.push(payload);
            id
        })
    }

    /// Sends an event once more under its old id, whatever became of it: Slack promises at least once.
    pub fn redeliver(&self, event_id: &str) -> Result<(), PeopleError> {
        let sent: Option<Envelope> = self.shared.dispatcher.sent_event(event_id);
        let envelope = sent.ok_or_else(|| PeopleError::NoSuchMessage(event_id.to_owned()))?;
        Dispatcher::send_event(&self.shared, envelope.payload);
        Ok(())
    }

    /// Does what saving a request URL does: posts a challenge and compares the answer.
    pub async fn verify_request_url(&self) -> Result<(), PeopleError> {
        let setup = self.setup();
        let Delivery::Http(urls) = &setup.app.delivery else { return Ok(()) };
        let challenge = format!("{:032x}", rand::random::<u128>());
        let verified = self.shared.dispatcher.verify(urls, &challenge).await;
        verified.map_err(|undelivered| PeopleError::AppDidNotAnswer(undelivered.0))
    }

    /// The signature a request with this body would carry: to forge and to check.
    #[must_use]
    pub fn sign(&self, timestamp: i64, body: &str) -> String {
        delivery::sign(&self.setup().app.signing_secret, timestamp, body)
    }

    /// Ends the sockets, the retries and the server.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
