//! Sends envelopes, waits for their acknowledgement, sends again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::setup::{Delivery, RequestUrls, WorkspaceSetup};
use super::super::shared::Shared;
use super::record::{Attempt, AttemptOutcome, DeliveryRecord};
use super::signed::{self, Retry};
use super::socket::Frame;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum EnvelopeKind {
    Event,
    Interactive,
    /// An external select asks for its options: interactive too, with an address of its own over HTTP.
    Suggestion,
    Slash,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Envelope {
    pub(in super::super) kind: EnvelopeKind,
    pub(in super::super) payload: Value,
}

/// The app did not acknowledge; the reason in Slack's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Undelivered(pub(in super::super) String);

#[derive(Debug)]
pub(in super::super) struct Dispatcher {
    setup: Arc<WorkspaceSetup>,
    inner: Mutex<Inner>,
    /// How many sockets are open.
    pub(in super::super) connected: watch::Sender<usize>,
    client: reqwest::Client,
}

#[derive(Debug, Default)]
struct Inner {
    records: Vec<DeliveryRecord>,
    /// Each event that was sent, by its id.
    events: HashMap<String, Value>,
    sockets: Vec<(u64, mpsc::Sender<Frame>)>,
    next_socket: u64,
    turn: usize,
    waiting: HashMap<String, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    record: usize,
    attempt: usize,
    since: Instant,
    /// Gone when the attempt was given up.
    answer: Option<oneshot::Sender<Option<Value>>>,
}

impl Envelope {
    fn subject(&self) -> String {
        let name = match self.kind {
            EnvelopeKind::Event => &self.payload["event"]["type"],
            EnvelopeKind::Interactive | EnvelopeKind::Suggestion => &self.payload["type"],
            EnvelopeKind::Slash => &self.payload["command"],
        };
        name.as_str().unwrap_or_default().to_owned()
    }

    fn type_name(&self) -> &'static str {
        match self.kind {
            EnvelopeKind::Event => "events_api",
            EnvelopeKind::Interactive | EnvelopeKind::Suggestion => "interactive",
            EnvelopeKind::Slash => "slash_commands",
        }
    }

    fn accepts_payload(&self) -> bool {
        match self.kind {
            EnvelopeKind::Event => false,
            EnvelopeKind::Interactive => self.payload["type"] == "view_submission",
            EnvelopeKind::Suggestion | EnvelopeKind::Slash => true,
        }
    }
}

impl Dispatcher {
    pub(in super::super) fn new(setup: Arc<WorkspaceSetup>) -> Self {
        // The client speaks to loopback addresses in plain HTTP, but wants a provider all the same; another may be installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(setup.retries.acknowledge_within).no_proxy().build().unwrap_or_default();
        Self { setup, inner: Mutex::default(), connected: watch::channel(0).0, client }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in super::super) fn records(&self) -> Vec<DeliveryRecord> {
        self.inner().records.clone()
    }

    pub(super) fn add_socket(&self, frames: mpsc::Sender<Frame>) -> (u64, usize) {
        let mut inner = self.inner();
        inner.next_socket += 1;
        let id = inner.next_socket;
        inner.sockets.push((id, frames));
        let count = inner.sockets.len();
        drop(inner);
        self.connected.send_replace(count);
        (id, count)
    }

    pub(super) fn remove_socket(&self, id: u64) {
        let mut inner = self.inner();
        inner.sockets.retain(|(other, _)| *other != id);
        let count = inner.sockets.len();
        drop(inner);
        self.connected.send_replace(count);
    }

    /// Takes all sockets out of turn and gives each a last frame.
    pub(in super::super) fn end_sockets(&self, last: &Frame) {
        let sockets = std::mem::take(&mut self.inner().sockets);
        for (_, frames) in sockets {
            // A full queue means a socket that nobody serves any more.
            let _ = frames.try_send(last.clone());
        }
        self.connected.send_replace(0);
    }

    pub(in super::super) fn tell_sockets(&self, frame: &Frame) {
        for (_, frames) in &self.inner().sockets {
            let _ = frames.try_send(frame.clone());
        }
    }

    pub(super) fn acknowledged(&self, envelope_id: &str, payload: Option<Value>) {
        let mut inner = self.inner();
        let Some(waiting) = inner.waiting.remove(envelope_id) else { return };
        let after = u64::try_from(waiting.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let in_time = waiting.answer.is_some_and(|answer| answer.send(payload).is_ok());
        let attempt = &mut inner.records[waiting.record].attempts[waiting.attempt];
        attempt.acknowledged_after_us = Some(after);
        attempt.outcome = if in_time { AttemptOutcome::Acknowledged } else { AttemptOutcome::AcknowledgedLate };
    }

    /// Sends an event and looks after its retries. The first attempt over a socket leaves at once, so that events keep their order.
    pub(in super::super) fn send_event(shared: &Arc<Shared>, payload: Value) {
        let envelope = Envelope { kind: EnvelopeKind::Event, payload };
        let this = &shared.dispatcher;
        let record = this.new_record(&envelope);
        let first = this.send_over_socket(record, &envelope, None);
        let worker = shared.clone();
        shared.tasks.spawn(async move {
            let carry = worker.dispatcher.carry(record, &envelope, first);
            tokio::select! {
                () = worker.stop.cancelled() => {}
                result = carry => if let Err(Undelivered(reason)) = result {
                    tracing::warn!(subject = envelope.subject(), reason, "the app never acknowledged an event");
                },
            }
            worker.touched();
        });
    }

    /// Sends an interaction or a command: once, as Slack does.
    pub(in super::super) async fn send_once(&self, kind: EnvelopeKind, payload: Value) -> Result<Option<Value>, Undelivered> {
        let envelope = Envelope { kind, payload };
        let record = self.new_record(&envelope);
        let first = self.send_over_socket(record, &envelope, None);
        self.attempt(record, &envelope, None, first).await.map_err(|failure| Undelivered(failure.reason))
    }

    pub(in super::super) fn sent_event(&self, event_id: &str) -> Option<Envelope> {
        let payload = self.inner().events.get(event_id).cloned()?;
        Some(Envelope { kind: EnvelopeKind::Event, payload })
    }

    /// Posts the challenge that proves a request URL to be the app's.
    pub(in super::super) async fn verify(&self, urls: &RequestUrls, challenge: &str) -> Result<(), Undelivered> {
        let token = &self.setup.app.verification_token;
        let payload = json!({ "token": token, "challenge": challenge, "type": "url_verification" });
        let envelope = Envelope { kind: EnvelopeKind::Event, payload };
        let signing = (self.setup.clock.now_secs(), None);
        match signed::post(&self.client, &self.setup.app, urls, &envelope, signing).await {
            Ok(Some(answer)) if answer["challenge"] == challenge => Ok(()),
            Ok(_) => Err(Undelivered("the challenge was not answered".to_owned())),
            Err(failure) => Err(Undelivered(failure.reason.to_owned())),
        }
    }

    fn new_record(&self, envelope: &Envelope) -> usize {
        let event_id = envelope.payload["event_id"].as_str().map(str::to_owned);
        let record = DeliveryRecord { kind: envelope.type_name(), subject: envelope.subject(), event_id, attempts: Vec::new() };
        let mut inner = self.inner();
        if let Some(id) = &record.event_id {
            inner.events.insert(id.clone(), envelope.payload.clone());
        }
        inner.records.push(record);
        inner.records.len() - 1
    }

    async fn carry(&self, record: usize, envelope: &Envelope, first: Option<oneshot::Receiver<Option<Value>>>) -> Result<(), Undelivered> {
        let mut failure = match self.attempt(record, envelope, None, first).await {
            Ok(_) => return Ok(()),
            Err(failure) => failure,
        };
        for (index, pause) in self.setup.retries.pauses.iter().enumerate() {
            if failure.final_ {
                break;
            }
            tokio::time::sleep(*pause).await;
            if self.inner().records[record].is_acknowledged() {
                return Ok(());
            }
            let retry = Retry { number: index + 1, reason: &failure.reason };
            let sent = self.send_over_socket(record, envelope, Some(&retry));
            failure = match self.attempt(record, envelope, Some(retry), sent).await {
                Ok(_) => return Ok(()),
                Err(failure) => failure,
            };
        }
        Err(Undelivered(failure.reason))
    }

    /// Waits for what was sent, or sends it first: over HTTP, or once a socket is there.
    async fn attempt(
        &self,
        record: usize,
        envelope: &Envelope,
        retry: Option<Retry<'_>>,
        sent: Option<oneshot::Receiver<Option<Value>>>,
    ) -> Result<Option<Value>, Failure> {
        match &self.setup.app.delivery {
            Delivery::Http(urls) => {
                let attempt = self.new_attempt(record, &new_envelope_id());
                let since = Instant::now();
                let signing = (self.setup.clock.now_secs(), retry);
                let result = signed::post(&self.client, &self.setup.app, urls, envelope, signing).await;
                let mut inner = self.inner();
                let attempt = &mut inner.records[record].attempts[attempt];
                match result {
                    Ok(answer) => {
                        attempt.acknowledged_after_us = u64::try_from(since.elapsed().as_micros()).ok();
                        attempt.outcome = AttemptOutcome::Acknowledged;
                        Ok(answer)
                    }
                    Err(failure) => {
                        attempt.outcome = AttemptOutcome::Failed(failure.reason.to_owned());
                        Err(Failure { reason: failure.reason.to_owned(), final_: failure.asks_no_retry })
                    }
                }
            }
            Delivery::SocketMode => {
                let wait = async {
                    let answer = match sent {
                        Some(answer) => answer,
                        None => self.send_when_connected(record, envelope, retry.as_ref()).await,
                    };
                    // A dropped sender only ever means that the emulator ends.
                    answer.await.ok()
                };
                if let Ok(Some(answer)) = tokio::time::timeout(self.setup.retries.acknowledge_within, wait).await {
                    return Ok(answer);
                }
                self.give_up(record);
                Err(Failure { reason: "timeout".to_owned(), final_: false })
            }
        }
    }

    fn new_attempt(&self, record: usize, envelope_id: &str) -> usize {
        let sent_at = self.setup.clock.now_ms();
        let attempt =
            Attempt { envelope_id: envelope_id.to_owned(), sent_at, acknowledged_after_us: None, outcome: AttemptOutcome::Waiting };
        let mut inner = self.inner();
        let attempts = &mut inner.records[record].attempts;
        attempts.push(attempt);
        attempts.len() - 1
    }

    fn give_up(&self, record: usize) {
        let mut inner = self.inner();
        for waiting in inner.waiting.values_mut().filter(|waiting| waiting.record == record) {
            waiting.answer = None;
        }
        if let Some(attempt) = inner.records[record].attempts.last_mut()
            && attempt.outcome == AttemptOutcome::Waiting
        {
            attempt.outcome = AttemptOutcome::Failed("timeout".to_owned());
        }
    }

    async fn send_when_connected(&self, record: usize, envelope: &Envelope, retry: Option<&Retry<'_>>) -> oneshot::Receiver<Option<Value>> {
        let mut connected = self.connected.subscribe();
        loop {
            connected.mark_unchanged();
            if let Some(answer) = self.send_over_socket(record, envelope, retry) {
                return answer;
            }
            if connected.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Hands the envelope to the next socket in turn; `None` where there is none, or the app takes HTTP.
    fn send_over_socket(&self, record: usize, envelope: &Envelope, retry: Option<&Retry<'_>>) -> Option<oneshot::Receiver<Option<Value>>> {
        if !matches!(self.setup.app.delivery, Delivery::SocketMode) {
            return None;
        }
        let envelope_id = new_envelope_id();
        let mut frame = json!({
            "envelope_id": envelope_id,
            "payload": envelope.payload,
            "type": envelope.type_name(),
            "accepts_response_payload": envelope.accepts_payload(),
        });
        if envelope.kind == EnvelopeKind::Event {
            frame["retry_attempt"] = json!(retry.map_or(0, |retry| retry.number));
            frame["retry_reason"] = json!(retry.map_or("", |retry| retry.reason));
        }
        let frame = Frame::Text(frame.to_string());
        let (answer, receiver) = oneshot::channel();
        // One lock over it all: the acknowledgement may come before this returns.
        let mut inner = self.inner();
        for _ in 0..inner.sockets.len() {
            let at = inner.turn % inner.sockets.len();
            inner.turn += 1;
            if inner.sockets[at].1.try_send(frame.clone()).is_ok() {
                let sent_at = self.setup.clock.now_ms();
                let attempts = &mut inner.records[record].attempts;
                attempts.push(Attempt {
                    envelope_id: envelope_id.clone(),
                    sent_at,
                    acknowledged_after_us: None,
                    outcome: AttemptOutcome::Waiting,
                });
                let attempt = attempts.len() - 1;
                inner.waiting.insert(envelope_id, Waiting { record, attempt, since: Instant::now(), answer: Some(answer) });
                return Some(receiver);
            }
        }
        None
    }
}

struct Failure {
    reason: String,
    /// No further attempt is wanted.
    final_: bool,
}

fn new_envelope_id() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
