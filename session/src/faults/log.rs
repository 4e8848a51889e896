//! Which points a commit to a session's log has.

use crate::{Event, Phase};

/// None for what comes with others, is for receipts only, or nobody can have happen at will.
pub fn kind(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::PromptAccepted { .. } => "prompt_accepted",
        Event::PromptInserted { .. } => "prompt_inserted",
        Event::PromptHanded { .. } => "prompt_handed",
        Event::TurnStarted { .. } => "turn_started",
        Event::FilesTaken { .. } => "files_taken",
        Event::TurnRunning { .. } => "turn_running",
        Event::Agent { .. } => "agent",
        Event::TurnFinishing { .. } => "turn_finishing",
        Event::WorkSaved { .. } => "work_saved",
        Event::CheckStarted { .. } => "check_started",
        Event::TurnEnded { .. } => "turn_ended",
        Event::PullRequestOpened { .. } => "pull_request_opened",
        Event::QuestionAsked { .. } => "question_asked",
        Event::QuestionAnswered { .. } => "question_answered",
        Event::Moved { .. } => "moved",
        Event::CleanedUp => "cleaned_up",
        Event::StopRequested { .. } => "stop_requested",
        Event::ModelUsed { .. } => "model_used",
        Event::PhaseReached { phase, .. } => match phase {
            Phase::Synced => "synced",
            Phase::PromptAccepted => "prompted",
            Phase::FinalReply => "final_reply",
            Phase::Acknowledged
            | Phase::Classified
            | Phase::SandboxReady
            | Phase::FirstModelRequest
            | Phase::FirstToken
            | Phase::TurnEnded
            | Phase::PrOpened => return None,
        },
        Event::PromptEdited { .. }
        | Event::PromptWithdrawn { .. }
        | Event::PromptReturned { .. }
        | Event::CheckEnded { .. }
        | Event::SandboxGivenUp { .. }
        | Event::FellBack { .. }
        | Event::ToolRuled { .. }
        | Event::QuestionDropped { .. }
        | Event::PullRequestEnded { .. }
        | Event::ModelHindered { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, TurnId, is_fault_point};

    #[test]
    fn a_kind_has_its_points() {
        let reached = |phase| Event::PhaseReached { turn: TurnId(1), phase, at: Timestamp(1) };
        let kinds = [Event::CleanedUp, reached(Phase::Synced), reached(Phase::PromptAccepted), reached(Phase::FinalReply)];
        for kind in kinds.iter().filter_map(kind) {
            assert!(["before", "after"].iter().all(|moment| is_fault_point(&format!("log.{kind}.{moment}"))), "{kind}");
        }
        assert_eq!(kind(&reached(Phase::FirstToken)), None);
    }
}
