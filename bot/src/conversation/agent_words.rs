//! Between the agent's updates and the session's events, and what the agent is told.

use longshore_agent::{AgentError, AgentUpdate, PlanStatus, StopReason, ToolStatus};
use longshore_session::{
    AgentActivity, Command, Event, Inserted, ModelHindrance, PlanEntry, Prompt, PullRequestEnd, SessionState, ToolResult, TurnFailure,
    TurnId, TurnOutcome, Way,
};
use sha2::{Digest, Sha256};

use super::work::shortened;

/// What an update means for the running turn.
pub fn commands(turn: TurnId, update: &AgentUpdate) -> Vec<Command> {
    let did = |activity| vec![Command::AgentDid { turn, activity }];
    match update {
        AgentUpdate::Text { delta } => did(AgentActivity::Text { delta: delta.clone() }),
        AgentUpdate::MessageBegan => did(AgentActivity::MessageBegan),
        AgentUpdate::Thought { delta } => did(AgentActivity::Thought { delta: delta.clone() }),
        AgentUpdate::ToolStarted(call) => {
            let words = update.doing().unwrap_or_else(|| call.title.clone());
            did(AgentActivity::ToolStarted { call: call.call.to_string(), words })
        }
        AgentUpdate::ToolUpdated(progress) => {
            let call = progress.call.to_string();
            let words = update.doing().or_else(|| progress.title.clone()).unwrap_or_default();
            match progress.status {
                ToolStatus::Completed => did(AgentActivity::ToolEnded { call, words, result: ToolResult::Succeeded }),
                ToolStatus::Failed => did(AgentActivity::ToolEnded { call, words, result: ToolResult::Failed }),
                // The input often comes only now, and with it better words.
                ToolStatus::Pending | ToolStatus::Running if !words.is_empty() => did(AgentActivity::ToolStarted { call, words }),
                ToolStatus::Pending | ToolStatus::Running => Vec::new(),
            }
        }
        AgentUpdate::Plan { entries } => {
            let entries = entries.iter().filter_map(|entry| {
                let status = match entry.status {
                    PlanStatus::Pending => longshore_session::PlanStatus::Pending,
                    PlanStatus::InProgress => longshore_session::PlanStatus::InProgress,
                    PlanStatus::Completed => longshore_session::PlanStatus::Completed,
                    PlanStatus::Cancelled => return None,
                };
                Some(PlanEntry { text: entry.text.clone(), status })
            });
            did(AgentActivity::Plan { entries: entries.collect() })
        }
        AgentUpdate::Usage { .. } => Vec::new(),
        AgentUpdate::TurnEnded { turn, stop, .. } => match stop {
            StopReason::Refusal => vec![Command::Failed {
                turn: *turn,
                failure: TurnFailure::ModelRefused { detail: "the model declined to answer".to_owned() },
            }],
            StopReason::EndTurn | StopReason::MaxTokens | StopReason::MaxTurnRequests | StopReason::Cancelled | StopReason::Other(_) => {
                vec![Command::AgentEnded { turn: *turn }]
            }
        },
        AgentUpdate::TurnFailed { turn, message } => {
            let detail = shortened(message, 400);
            let is_too_long = tells_of_length(message);
            let failure = if is_too_long { TurnFailure::ConversationTooLong { detail } } else { TurnFailure::ModelRefused { detail } };
            vec![Command::Failed { turn: *turn, failure }]
        }
    }
}

/// Whether an agent's last word on a turn is that its conversation is longer than the model takes: OpenCode's own words, and those of providers.
fn tells_of_length(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["too large to compact", "context limit", "context length", "context_length_exceeded", "context window", "prompt is too long"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// A turn that ended by itself, neither cancelled nor cut off.
pub fn is_plain_end(update: &AgentUpdate) -> bool {
    matches!(update, AgentUpdate::TurnEnded { stop: StopReason::EndTurn | StopReason::Other(_), .. })
}

/// What is said of a turn that ended without a word and without a deed.
pub const MUTE: &str = "the model ended the turn without a word, which is how some decline a request";

/// Neighbouring pieces of one text become one event: a model's tokens are not worth a row each.
pub fn join_deltas(events: &mut Vec<Event>) {
    let mut joined: Vec<Event> = Vec::with_capacity(events.len());
    for event in events.drain(..) {
        if let (Some(Event::Agent { turn, activity: last }), Event::Agent { turn: next_turn, activity: next }) = (joined.last_mut(), &event)
            && turn == next_turn
            && let (AgentActivity::Text { delta }, AgentActivity::Text { delta: next })
            | (AgentActivity::Thought { delta }, AgentActivity::Thought { delta: next }) = (last, next)
        {
            delta.push_str(next);
            continue;
        }
        joined.push(event);
    }
    *events = joined;
}

/// `hindrance` is what the agent's last model requests met, where it has done nothing since.
pub fn failure(error: &AgentError, hindrance: Option<ModelHindrance>) -> TurnFailure {
    match (error, hindrance) {
        (AgentError::Silent { limit, .. }, Some(hindrance)) => TurnFailure::ModelAway { hindrance, seconds: limit.as_secs() },
        (AgentError::Silent { limit, .. }, None) => TurnFailure::AgentSilent { seconds: limit.as_secs() },
        _ => TurnFailure::AgentCrashed { detail: shortened(&error.to_string(), 400) },
    }
}

/// What the agent is given: what people said before, and the prompt.
pub fn with_context(prompt: &Prompt) -> String {
    if prompt.context.is_empty() {
        return prompt.text.clone();
    }
    let said: String = prompt.context.iter().map(|said| format!("{}: {}\n", said.name, said.text.trim())).collect();
    format!("Before this, people said in the Slack thread:\n\n{said}\n{} now asks: {}", prompt.author.name, prompt.text)
}

/// The turn's own prompt, and what joined it before the agent had it.
pub fn asked(prompt: &Prompt, inserted: &[Inserted]) -> String {
    let with = inserted.iter().filter(|inserted| inserted.way == Way::WithTheFirst).map(|inserted| &inserted.prompt);
    with.fold(with_context(prompt), |text, with| format!("{text}\n\n{} adds: {}", with.author.name, with_context(with)))
}

/// A prompt for an agent that is at work, and the words on its files.
pub fn inserted(prompt: &Prompt, files: &str) -> String {
    let (name, asked) = (&prompt.author.name, with_context(prompt));
    format!("While you work, {name} says to you: {asked}{files}\n\nTake this up in the work that you are doing.")
}

/// The words of a prompt that answers a question of the agent's.
pub fn as_answer(question: &str, prompt: &Prompt) -> Prompt {
    let text = format!("In answer to your question “{}”, {} says: {}", question.trim(), prompt.author.name, prompt.text);
    Prompt { text, ..prompt.clone() }
}

/// What an agent has to know of a pull request that is over, before its prompt.
pub fn pull_request_over(state: &SessionState) -> String {
    let (Some(pull), Some(how)) = (&state.pull_request, state.pull_request_end) else { return String::new() };
    let how = match how {
        PullRequestEnd::Merged => "was merged, and the branch has taken in its base branch since",
        PullRequestEnd::Closed => "was closed without being merged",
    };
    format!(
        "(The pull request #{} {how}. What you change from now on is not in it: where it is to be reviewed, open another one.)\n\n",
        pull.number
    )
}

/// What an agent that remembers has to know of a turn that it could not end, before the next prompt.
pub fn broken_off(outcome: Option<&TurnOutcome>) -> &'static str {
    match outcome {
        Some(TurnOutcome::Failed {
            failure:
                TurnFailure::SandboxKilled { .. }
                | TurnFailure::SandboxOutOfMemory { .. }
                | TurnFailure::AgentCrashed { .. }
                | TurnFailure::AgentSilent { .. }
                | TurnFailure::ModelAway { .. }
                | TurnFailure::TurnTimeout { .. },
        }) => {
            "(Your work on the prompt before was broken off in the middle. What you had written to files is there; what was running is not. Look where it \
             stands before you go on.)\n\n"
        }
        Some(TurnOutcome::Failed { .. } | TurnOutcome::Done | TurnOutcome::Stopped { .. }) | None => "",
    }
}

/// A prompt for an agent that was not there for the conversation.
pub fn with_transcript(transcript: &str, prompt: &str) -> String {
    format!(
        "This goes on with earlier work that you do not remember, because the sandbox was replaced. The branch holds what was done. \
         The conversation so far:\n\n{transcript}Now they ask: {prompt}"
    )
}

/// A prompt for an agent that remembers all but the last.
pub fn with_what_came_since(transcript: &str, prompt: &str) -> String {
    format!(
        "Your sandbox was lost, and you are in an earlier state of it: what came after that you do not remember, and only what was pushed of it is \
         there. It was:\n\n{transcript}Now they ask: {prompt}"
    )
}

/// The message of a commit of what the agent left uncommitted.
pub fn commit_message(asked: &str, outcome: &TurnOutcome) -> String {
    let subject = shortened(asked, 72);
    match outcome {
        TurnOutcome::Done => subject,
        TurnOutcome::Stopped { .. } => format!("WIP: {subject}\n\nThe turn was stopped before it was done."),
        TurnOutcome::Failed { .. } => format!("WIP: {subject}\n\nThe turn failed before it was done."),
    }
}

/// Short and stable, for keys.
pub fn fingerprint(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_one_text_are_one_event() {
        let text = |delta: &str| Event::Agent { turn: TurnId(1), activity: AgentActivity::Text { delta: delta.into() } };
        let plan = Event::Agent { turn: TurnId(1), activity: AgentActivity::Plan { entries: vec![] } };
        let thought = |delta: &str| Event::Agent { turn: TurnId(1), activity: AgentActivity::Thought { delta: delta.into() } };
        let mut events = vec![text("a"), text("b"), plan.clone(), thought("c"), thought("d"), text("e")];
        join_deltas(&mut events);
        assert_eq!(events, [text("ab"), plan, thought("cd"), text("e")]);
    }
}
