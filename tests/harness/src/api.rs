//! The service's API, as far as stories read it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use longshore_session::{Event, ImageRecord, Phase, Timestamp, TurnOutcome};
use serde::Deserialize;
use serde_json::Value;

use crate::Service;

/// A session in `/v1/sessions`.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionSummary {
    pub id: String,
    pub repository: String,
    pub thread: ThreadOf,
    pub why: String,
    pub phase: String,
    pub branch: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ThreadOf {
    pub channel: String,
    pub thread: String,
}

/// What a session's events tell of one turn.
#[derive(Debug, Clone, Default)]
pub struct TurnReport {
    pub turn: u32,
    /// What was asked.
    pub prompt: String,
    pub received: Option<Timestamp>,
    /// `done`, `stopped` or `failed`; empty while it runs.
    pub outcome: String,
    pub sandbox: Option<String>,
    pub phases: BTreeMap<Phase, Timestamp>,
}

impl TurnReport {
    /// Milliseconds from the prompt's receipt to a phase.
    pub fn took(&self, phase: Phase) -> Option<i64> {
        Some(self.phases.get(&phase)?.0 - self.received?.0)
    }
}

pub(crate) async fn sessions(service: &Service) -> Result<Vec<SessionSummary>> {
    let answer = service.get("/v1/sessions").await?;
    serde_json::from_value(answer["sessions"].clone()).context("GET /v1/sessions has another shape")
}

pub(crate) async fn images(service: &Service) -> Result<BTreeMap<String, ImageRecord>> {
    #[derive(Deserialize)]
    struct Listed {
        repository: String,
        image: ImageRecord,
    }
    let answer = service.get("/v1/images").await?;
    let listed: Vec<Listed> = serde_json::from_value(answer["images"].clone()).context("GET /v1/images has another shape")?;
    Ok(listed.into_iter().map(|one| (one.repository, one.image)).collect())
}

/// All events of a session with their numbers, oldest first.
pub(crate) async fn events(service: &Service, session: &str) -> Result<Vec<Event>> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let answer = service.get(&format!("/v1/sessions/{session}/events?after={after}")).await?;
        let page = answer["events"].as_array().cloned().unwrap_or_default();
        let Some(last) = page.last().and_then(|event| event["seq"].as_u64()) else { return Ok(events) };
        after = last;
        for entry in page {
            events.push(serde_json::from_value(entry.get("event").cloned().unwrap_or(Value::Null)).context("an event has another shape")?);
        }
    }
}

pub(crate) fn turns(events: &[Event]) -> Vec<TurnReport> {
    let mut prompts = BTreeMap::new();
    let mut turns: BTreeMap<u32, TurnReport> = BTreeMap::new();
    let mut early = Vec::new();
    for event in events {
        match event {
            Event::PromptAccepted { prompt } => {
                prompts.insert(prompt.id.clone(), prompt);
            }
            Event::PromptEdited { .. }
            | Event::PromptWithdrawn { .. }
            | Event::PromptInserted { .. }
            | Event::PromptHanded { .. }
            | Event::PromptReturned { .. }
            | Event::FilesTaken { .. }
            | Event::SandboxGivenUp { .. }
            | Event::FellBack { .. }
            | Event::Agent { .. }
            | Event::ToolRuled { .. }
            | Event::StopRequested { .. }
            | Event::TurnFinishing { .. }
            | Event::PullRequestOpened { .. }
            | Event::PullRequestEnded { .. }
            | Event::WorkSaved { .. }
            | Event::CheckStarted { .. }
            | Event::CheckEnded { .. }
            | Event::QuestionAsked { .. }
            | Event::QuestionAnswered { .. }
            | Event::QuestionDropped { .. }
            | Event::Moved { .. }
            | Event::ModelUsed { .. }
            | Event::ModelHindered { .. }
            | Event::CleanedUp => {}
            Event::TurnStarted { turn, prompt } => {
                let prompt = prompts.get(prompt);
                let report = turns.entry(turn.0).or_default();
                report.turn = turn.0;
                report.prompt = prompt.map(|prompt| prompt.text.clone()).unwrap_or_default();
                report.received = prompt.map(|prompt| prompt.received);
            }
            Event::TurnRunning { turn, sandbox, .. } => turns.entry(turn.0).or_default().sandbox = Some(sandbox.to_string()),
            Event::TurnEnded { turn, outcome } => {
                turns.entry(turn.0).or_default().outcome = match outcome {
                    TurnOutcome::Done => "done",
                    TurnOutcome::Stopped { .. } => "stopped",
                    TurnOutcome::Failed { .. } => "failed",
                }
                .to_owned();
            }
            Event::PhaseReached { turn, phase, at } => early.push((turn.0, *phase, *at)),
        }
    }
    // A phase may be told before its turn begins, and again after a restart: the first time counts.
    for (turn, phase, at) in early {
        if let Some(report) = turns.get_mut(&turn) {
            report.phases.entry(phase).or_insert(at);
        }
    }
    turns.into_values().collect()
}
