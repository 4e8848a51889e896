//! What became of each envelope.

use serde::Serialize;

/// One event or interaction on its way to the app.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRecord {
    /// `events_api`, `interactive`, `slash_commands`
    pub kind: &'static str,
    /// The event's or the interaction's own type (`app_mention`, `block_actions`, `/agent`).
    pub subject: String,
    pub event_id: Option<String>,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub envelope_id: String,
    /// Unix ms by the emulator's clock.
    pub sent_at: i64,
    /// Microseconds until the acknowledgement, by the machine's monotonic clock.
    pub acknowledged_after_us: Option<u64>,
    pub outcome: AttemptOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    Waiting,
    Acknowledged,
    /// Acknowledged when Slack had given this attempt up.
    AcknowledgedLate,
    /// Slack's `retry_reason`.
    Failed(String),
}

impl DeliveryRecord {
    /// Whether any attempt was acknowledged, in time or late.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.attempts.iter().any(|attempt| matches!(attempt.outcome, AttemptOutcome::Acknowledged | AttemptOutcome::AcknowledgedLate))
    }
}
