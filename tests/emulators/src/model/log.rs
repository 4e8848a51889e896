//! What the emulator was sent.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use super::conversation::{CallKind, Vendor};

/// One request with what was answered.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedRequest {
    /// When it came in: milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    pub vendor: Vendor,
    pub model: String,
    /// Not given where the request was refused before it was read.
    pub kind: Option<CallKind>,
    /// How many messages it held, the system's aside.
    pub messages: usize,
    /// Names of the tools that were offered.
    pub tools: Vec<String>,
    pub stream: bool,
    pub answer: Answer,
    /// The body as it was sent. Not in the file: it holds the whole conversation.
    #[serde(skip)]
    pub body: Value,
}

/// What was answered, or at least begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Text,
    /// Names of the tools called.
    Calls(Vec<String>),
    Structured,
    Refusal,
    /// An error with this status.
    Error(u16),
}

/// All requests so far, and a file of them where one is wanted.
#[derive(Debug)]
pub(super) struct RequestLog {
    requests: watch::Sender<Vec<RecordedRequest>>,
    file: Mutex<Option<File>>,
}

impl RequestLog {
    /// `path` gets one JSON line per request, after what it already holds.
    pub(super) fn new(path: Option<&Path>) -> std::io::Result<Self> {
        let file = match path {
            Some(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                Some(File::options().create(true).append(true).open(path)?)
            }
            None => None,
        };
        Ok(Self { requests: watch::Sender::new(Vec::new()), file: Mutex::new(file) })
    }

    pub(super) fn record(&self, request: RecordedRequest) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut()
            && let Ok(line) = serde_json::to_string(&request)
            && let Err(error) = writeln!(file, "{line}")
        {
            tracing::warn!(%error, "the request log cannot be written");
        }
        self.requests.send_modify(|requests| requests.push(request));
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.borrow().clone()
    }

    /// The requests, as soon as they hold a condition; `None` when they do not within `limit`.
    pub(super) async fn wait_for(&self, limit: Duration, holds: impl Fn(&[RecordedRequest]) -> bool) -> Option<Vec<RecordedRequest>> {
        let mut requests = self.requests.subscribe();
        let waited = tokio::time::timeout(limit, requests.wait_for(|requests| holds(requests))).await;
        waited.ok()?.ok().map(|requests| requests.clone())
    }
}

#[expect(clippy::disallowed_methods, reason = "the emulator's one place that reads the machine's clock; it knows nothing of the service's")]
pub(super) fn now_ms() -> i64 {
    let span = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
