//! The log of what the service asked of Slack.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

/// One call of the Web API, a `response_url` or an upload.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Unix ms of its arrival.
    pub at: i64,
    pub method: String,
    /// As sent, without the token.
    pub payload: Value,
    pub ok: bool,
    pub error: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The call took effect and its answer was thrown away on purpose.
    pub answer_lost: bool,
}

#[derive(Debug, Default)]
pub(super) struct CallLog {
    calls: Vec<Call>,
    file: Option<File>,
}

impl CallLog {
    /// Writes each call to `path` as well, as it comes; an existing file is replaced.
    pub(super) fn written_to(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self { calls: Vec::new(), file: Some(File::create(path)?) })
    }

    pub(super) fn push(&mut self, call: Call) {
        if let Some(file) = &mut self.file
            && let Ok(line) = serde_json::to_string(&call)
            && let Err(error) = writeln!(file, "{line}")
        {
            tracing::warn!(%error, "the call log cannot be written");
        }
        self.calls.push(call);
    }

    pub(super) fn all(&self) -> &[Call] {
        &self.calls
    }
}
