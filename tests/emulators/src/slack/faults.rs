//! Failures on demand.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What the next call of a method suffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After`; the call has no effect.
    RateLimited { seconds: u64 },
    /// A 5xx without a JSON body; the call has no effect.
    ServerError { status: u16 },
    /// HTTP 200 with `ok: false` and this error; the call has no effect.
    Error { error: String },
    /// The call **takes effect**, then the connection is dropped before the answer.
    AnswerLost,
    /// The answer comes late; the call takes effect at once.
    Slow { by: Duration },
}

/// What a storm of 429 falls on.
const STORMED: [&str; 4] = ["chat.postMessage", "chat.update", "chat.postEphemeral", "conversations.replies"];

#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: HashMap<String, VecDeque<Fault>>,
    /// Until then (unix ms) every call that writes is answered with 429.
    storm_until: Option<i64>,
}

impl Faults {
    pub(super) fn add(&mut self, method: &str, fault: &Fault, times: usize) {
        self.waiting.entry(method.to_owned()).or_default().extend(std::iter::repeat_n(fault.clone(), times));
    }

    pub(super) fn storm(&mut self, until_ms: i64) {
        self.storm_until = Some(until_ms);
    }

    pub(super) fn next(&mut self, method: &str, now_ms: i64) -> Option<Fault> {
        if let Some(until) = self.storm_until.filter(|until| *until > now_ms && STORMED.contains(&method)) {
            let seconds = u64::try_from((until - now_ms + 999) / 1000).unwrap_or(1);
            return Some(Fault::RateLimited { seconds });
        }
        self.waiting.get_mut(method)?.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.storm_until = None;
    }
}
