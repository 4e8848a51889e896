//! What the service counts and measures, in Prometheus' words. Labels are words of ours alone: no name of a repository, a person or a thread, and no id.

mod logged;
mod scrape;

use std::time::Duration;

use longshore_session::{Event, ModelUse, Phase, TurnOutcome};
use longshore_slack::SlackError;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

pub use logged::LogCounter;
pub use scrape::scrape;

/// Seconds, from a warm sandbox's first moments to an hour's turn.
const BUCKETS: [f64; 16] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPhase {
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfError {
    source: &'static str,
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTokens {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSending {
    by: &'static str,
}

/// What grows while the service runs.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    phases: Family<OfPhase, Histogram>,
    turns: Family<OfOutcome, Counter>,
    errors: Family<OfError, Counter>,
    prompts: Counter,
    model_requests: Counter,
    model_tokens: Family<OfTokens, Counter>,
    sent: Family<OfSending, Counter>,
}

/// Where something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The handling of what Slack delivered.
    Delivery,
    /// A call to Slack by the outbox.
    Slack,
    /// A turn.
    Turn,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("longshore");
        let phases: Family<OfPhase, Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let metrics = Self {
            phases: phases.clone(),
            turns: Family::default(),
            errors: Family::default(),
            prompts: Counter::default(),
            model_requests: Counter::default(),
            model_tokens: Family::default(),
            sent: Family::default(),
            registry: Registry::default(),
        };
        registry.register("phase_seconds", "How long the parts of a turn's way took", phases);
        registry.register("turns", "Turns that ended", metrics.turns.clone());
        registry.register("errors", "What went wrong, by where and how", metrics.errors.clone());
        registry.register("prompts", "Prompts that sessions accepted", metrics.prompts.clone());
        registry.register("model_requests", "Requests of agents to models that were answered", metrics.model_requests.clone());
        registry.register("model_tokens", "Tokens of those, as the provider counted them", metrics.model_tokens.clone());
        registry.register("messages_sent", "Messages that reached Slack, by how that is known", metrics.sent.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Something went wrong.
    pub fn error(&self, source: Source, kind: &str) {
        let source = match source {
            Source::Delivery => "delivery",
            Source::Slack => "slack",
            Source::Turn => "turn",
        };
        self.errors.get_or_create(&OfError { source, kind: kind.to_owned() }).inc();
    }

    pub fn slack_error(&self, error: &SlackError) {
        self.error(
            Source::Slack,
            match error {
                SlackError::RateLimited { .. } => "rate_limited",
                SlackError::Transient { .. } => "unreached",
                SlackError::UnknownOutcome { .. } => "unanswered",
                SlackError::Refused { .. } => "refused",
            },
        );
    }

    pub fn sent(&self, by: longshore_session::SentBy) {
        let by = match by {
            longshore_session::SentBy::Answer => "answer",
            longshore_session::SentBy::Reconciled => "reconciled",
        };
        self.sent.get_or_create(&OfSending { by }).inc();
    }

    /// A phase of a turn was reached.
    pub fn took(&self, phase: Phase, time: Duration) {
        let phase = word(&phase);
        self.phases.get_or_create(&OfPhase { phase }).observe(time.as_secs_f64());
    }

    /// Something happened in a session, and is stored.
    pub fn happened(&self, event: &Event) {
        if let Event::PromptAccepted { .. } = event {
            self.prompts.inc();
        }
        if let Event::TurnEnded { outcome, .. } = event {
            let outcome = match outcome {
                TurnOutcome::Done => "done",
                TurnOutcome::Stopped { .. } => "stopped",
                TurnOutcome::Failed { failure } => {
                    let value = serde_json::to_value(failure).unwrap_or_default();
                    self.error(Source::Turn, value["kind"].as_str().unwrap_or("unknown"));
                    "failed"
                }
            };
            self.turns.get_or_create(&OfOutcome { outcome }).inc();
        }
        if let Event::ModelUsed { used: ModelUse { input, output, cached, .. }, .. } = event {
            self.model_requests.inc();
            for (direction, tokens) in [("in", input), ("out", output), ("cached", cached)] {
                self.model_tokens.get_or_create(&OfTokens { direction }).inc_by(*tokens);
            }
        }
    }
}

/// A tag of ours, as it is stored.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use longshore_session::{TurnFailure, TurnId};

    use super::*;

    #[test]
    fn turns_phases_and_errors_are_told() {
        let metrics = Metrics::default();
        let failed = TurnOutcome::Failed { failure: TurnFailure::EngineUnavailable };
        for outcome in [TurnOutcome::Done, TurnOutcome::Done, failed] {
            metrics.happened(&Event::TurnEnded { turn: TurnId(1), outcome });
        }
        metrics.took(Phase::FirstToken, Duration::from_millis(300));
        metrics.slack_error(&SlackError::Transient { method: "chat.postMessage", reason: "a secret reason".into() });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry).unwrap();
        for line in [
            "longshore_turns_total{outcome=\"done\"} 2",
            "longshore_turns_total{outcome=\"failed\"} 1",
            "longshore_errors_total{source=\"turn\",kind=\"engine_unavailable\"} 1",
            "longshore_errors_total{source=\"slack\",kind=\"unreached\"} 1",
            "longshore_phase_seconds_bucket{le=\"0.25\",phase=\"first_token\"} 0",
            "longshore_phase_seconds_bucket{le=\"0.5\",phase=\"first_token\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "`{line}` is not in\n{text}");
        }
        assert!(!text.contains("secret"), "{text}");
    }
}
