//! What the thread is told of prompts that wait, worked out from what a command changes in the queue.

use super::{Effect, SessionState, Waiting};
use crate::{Event, Prompt};

impl SessionState {
    /// What the thread is to be told of prompts that do not start at once, when these events are taken in.
    pub(super) fn news(&self, events: &[Event]) -> Vec<Effect> {
        let mut after = self.clone();
        let mut told: Vec<(Prompt, Waiting)> = Vec::new();
        let mut edited = Vec::new();
        for event in events {
            if let Event::Moved { repo, .. } = event {
                told.extend(after.queue.iter().map(|prompt| (prompt.clone(), Waiting::Moved(repo.clone()))));
            }
            let gone = match event {
                Event::TurnStarted { prompt, .. } => Some((prompt, Waiting::Started)),
                Event::PromptInserted { turn, prompt } => Some((prompt, Waiting::Inserted(*turn))),
                Event::PromptWithdrawn { prompt, by } => Some((prompt, Waiting::Withdrawn(by.clone()))),
                Event::PromptEdited { prompt, .. } => {
                    edited.push(prompt.clone());
                    None
                }
                Event::PromptAccepted { .. }
                | Event::PromptHanded { .. }
                | Event::PromptReturned { .. }
                | Event::FilesTaken { .. }
                | Event::SandboxGivenUp { .. }
                | Event::FellBack { .. }
                | Event::WorkSaved { .. }
                | Event::CheckStarted { .. }
                | Event::CheckEnded { .. }
                | Event::ModelUsed { .. }
                | Event::ModelHindered { .. }
                | Event::TurnRunning { .. }
                | Event::Agent { .. }
                | Event::ToolRuled { .. }
                | Event::StopRequested { .. }
                | Event::TurnFinishing { .. }
                | Event::TurnEnded { .. }
                | Event::Moved { .. }
                | Event::CleanedUp
                | Event::PullRequestOpened { .. }
                | Event::PullRequestEnded { .. }
                | Event::PhaseReached { .. }
                | Event::QuestionAsked { .. }
                | Event::QuestionAnswered { .. }
                | Event::QuestionDropped { .. } => None,
            };
            if let Some((id, waiting)) = gone
                && let Some(prompt) = after.queue.iter().find(|queued| queued.id == *id)
            {
                told.push((prompt.clone(), waiting));
            }
            after.evolve(event);
        }
        for (index, prompt) in after.queue.iter().enumerate() {
            let before = self.queue.iter().position(|queued| queued.id == prompt.id);
            if before != Some(index) || edited.contains(&prompt.id) {
                told.push((prompt.clone(), Waiting::InPlace(index + 1)));
            }
        }
        let tell = |(prompt, waiting): (Prompt, Waiting)| {
            if self.knows(&prompt.post) {
                return Some(Effect::Retell { prompt, waiting });
            }
            // What starts at once has its card.
            (waiting != Waiting::Started).then_some(Effect::Tell { prompt, waiting })
        };
        told.into_iter().filter_map(tell).collect()
    }
}
