//! The session as a pure state machine: a state and a command give events and effects, or a named rejection.
//! Nothing here waits, sends or stores; whoever applies a command stores the events first and carries the effects out then.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    AgentActivity, CheckRecord, Event, MessageTs, Phase, Prompt, PromptId, PullRequestRef, SandboxId, SavedWork, SlackUserId, TakenFile,
    Timestamp, TurnFailure, TurnId, TurnOutcome,
};

/// What the session is doing now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Activity {
    Idle,
    /// A sandbox is being found, started and synced.
    Preparing {
        turn: TurnId,
        prompt: Prompt,
    },
    /// The agent has the prompt.
    Working {
        turn: TurnId,
        prompt: Prompt,
        sandbox: SandboxId,
    },
    /// Somebody pressed Stop; the agent has been told.
    Stopping {
        turn: TurnId,
        prompt: Prompt,
        sandbox: SandboxId,
        by: SlackUserId,
    },
    /// The agent is done; its work is being committed, pushed and told.
    Finishing {
        turn: TurnId,
        prompt: Prompt,
        outcome: TurnOutcome,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    pub activity: Activity,
    pub queue: VecDeque<Prompt>,
    /// Turns begun so far; the next one has this number plus one.
    pub turns: u32,
    pub pull_request: Option<PullRequestRef>,
    /// Every prompt ever accepted: a second delivery of the same one is refused.
    accepted: Vec<(PromptId, MessageTs)>,
}

/// What somebody or something asks of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Accept {
        prompt: Prompt,
    },
    Edit {
        post: MessageTs,
        text: String,
    },
    Withdraw {
        post: MessageTs,
    },
    Stop {
        by: SlackUserId,
    },
    /// The prompt's files are in the sandbox, as far as they could be read.
    TookFiles {
        turn: TurnId,
        files: Vec<TakenFile>,
    },
    /// The sandbox is ready and synced.
    SandboxReady {
        turn: TurnId,
        sandbox: SandboxId,
    },
    AgentDid {
        turn: TurnId,
        activity: AgentActivity,
    },
    /// The agent ended the turn by itself, or as it was told to.
    AgentEnded {
        turn: TurnId,
    },
    Failed {
        turn: TurnId,
        failure: TurnFailure,
    },
    /// Committed and pushed.
    Saved {
        turn: TurnId,
        work: SavedWork,
    },
    /// The repository's check runs on the pushed commit.
    CheckStarted {
        turn: TurnId,
        commit: String,
    },
    CheckEnded {
        turn: TurnId,
        check: CheckRecord,
    },
    /// Committed and pushed (or, with a failure, not); the final reply is stored with what this gives.
    Finished {
        turn: TurnId,
        failure: Option<TurnFailure>,
    },
    OpenedPullRequest {
        pull_request: PullRequestRef,
    },
    Reached {
        turn: TurnId,
        phase: Phase,
        at: Timestamp,
    },
}

/// What is to be done once the events are stored. Each can be carried out again after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Prepare {
        turn: TurnId,
        prompt: Prompt,
    },
    Prompt {
        turn: TurnId,
        prompt: Prompt,
        sandbox: SandboxId,
    },
    Cancel {
        turn: TurnId,
        sandbox: SandboxId,
    },
    Finish {
        turn: TurnId,
        prompt: Prompt,
        outcome: TurnOutcome,
    },
    /// Say in the thread that the prompt waits, and how many are before it.
    TellQueued {
        prompt: Prompt,
        ahead: usize,
    },
}

/// Why a command changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("this prompt was accepted before")]
    Duplicate,
    #[error("no turn is running")]
    NothingToStop,
    #[error("the turn is being stopped already")]
    AlreadyStopping,
    #[error("no such prompt waits in this session")]
    NoSuchPrompt,
    #[error("the prompt's turn has begun")]
    AlreadyStarted,
    #[error("this is about another turn than the running one")]
    StaleTurn,
}

/// The events to store and the effects to carry out then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
}

impl Default for SessionState {
    fn default() -> Self {
        Self { activity: Activity::Idle, queue: VecDeque::new(), turns: 0, pull_request: None, accepted: Vec::new() }
    }
}

impl Activity {
    pub fn turn(&self) -> Option<TurnId> {
        match self {
            Activity::Idle => None,
            Activity::Preparing { turn, .. }
            | Activity::Working { turn, .. }
            | Activity::Stopping { turn, .. }
            | Activity::Finishing { turn, .. } => Some(*turn),
        }
    }

    pub fn prompt(&self) -> Option<&Prompt> {
        match self {
            Activity::Idle => None,
            Activity::Preparing { prompt, .. }
            | Activity::Working { prompt, .. }
            | Activity::Stopping { prompt, .. }
            | Activity::Finishing { prompt, .. } => Some(prompt),
        }
    }
}

impl SessionState {
    /// The state that a log adds up to.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.evolve(event);
        }
        state
    }

    /// Decides what a command leads to. The state itself changes only through [`SessionState::evolve`].
    pub fn apply(&self, command: Command) -> Result<Decision, Rejection> {
        match command {
            Command::Accept { prompt } => self.accept(prompt),
            Command::Edit { post, text } => {
                let prompt = self.waiting(&post)?.id.clone();
                Ok(Decision { events: vec![Event::PromptEdited { prompt, text }], effects: Vec::new() })
            }
            Command::Withdraw { post } => {
                let prompt = self.waiting(&post)?.id.clone();
                Ok(Decision { events: vec![Event::PromptWithdrawn { prompt }], effects: Vec::new() })
            }
            Command::Stop { by } => self.stop(by),
            Command::TookFiles { turn, files } => match &self.activity {
                Activity::Preparing { turn: running, .. } if *running == turn => {
                    Ok(Decision { events: vec![Event::FilesTaken { turn, files }], effects: Vec::new() })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::SandboxReady { turn, sandbox } => match &self.activity {
                Activity::Preparing { turn: running, prompt } if *running == turn => Ok(Decision {
                    effects: vec![Effect::Prompt { turn, prompt: prompt.clone(), sandbox: sandbox.clone() }],
                    events: vec![Event::TurnRunning { turn, sandbox }],
                }),
                _ => Err(Rejection::StaleTurn),
            },
            Command::AgentDid { turn, activity } => match &self.activity {
                Activity::Working { turn: running, .. } | Activity::Stopping { turn: running, .. } if *running == turn => {
                    Ok(Decision { events: vec![Event::Agent { turn, activity }], effects: Vec::new() })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::AgentEnded { turn } => match &self.activity {
                Activity::Working { turn: running, .. } if *running == turn => self.finishing(TurnOutcome::Done),
                Activity::Stopping { turn: running, by, .. } if *running == turn => self.finishing(TurnOutcome::Stopped { by: by.clone() }),
                _ => Err(Rejection::StaleTurn),
            },
            Command::Failed { turn, failure } => match &self.activity {
                // What fails while it is being stopped was stopped: that is what the person asked for.
                Activity::Stopping { turn: running, by, .. } if *running == turn => self.finishing(TurnOutcome::Stopped { by: by.clone() }),
                Activity::Preparing { turn: running, .. } | Activity::Working { turn: running, .. } if *running == turn => {
                    self.finishing(TurnOutcome::Failed { failure })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::Saved { turn, work } => self.while_finishing(turn, Event::WorkSaved { turn, work }),
            Command::CheckStarted { turn, commit } => self.while_finishing(turn, Event::CheckStarted { turn, commit }),
            Command::CheckEnded { turn, check } => self.while_finishing(turn, Event::CheckEnded { turn, check }),
            Command::Finished { turn, failure } => match &self.activity {
                Activity::Finishing { turn: running, outcome, .. } if *running == turn => {
                    // A turn that did not end well for another reason keeps that reason.
                    let outcome = match (outcome, failure) {
                        (TurnOutcome::Done, Some(failure)) => TurnOutcome::Failed { failure },
                        (outcome, _) => outcome.clone(),
                    };
                    let ended = Event::TurnEnded { turn, outcome };
                    Ok(self.then_next(ended))
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::OpenedPullRequest { pull_request } => {
                if self.pull_request.as_ref() == Some(&pull_request) {
                    return Ok(Decision::default());
                }
                Ok(Decision { events: vec![Event::PullRequestOpened { pull_request }], effects: Vec::new() })
            }
            Command::Reached { turn, phase, at } => {
                if turn.0 == 0 || turn.0 > self.turns {
                    return Err(Rejection::StaleTurn);
                }
                Ok(Decision { events: vec![Event::PhaseReached { turn, phase, at }], effects: Vec::new() })
            }
        }
    }

    /// The effects that a session owes when it is taken up again: whatever ran when the service went away.
    pub fn owed(&self) -> Vec<Effect> {
        match &self.activity {
            Activity::Idle => Vec::new(),
            Activity::Preparing { turn, prompt } => vec![Effect::Prepare { turn: *turn, prompt: prompt.clone() }],
            Activity::Working { turn, prompt, sandbox } => {
                vec![Effect::Prompt { turn: *turn, prompt: prompt.clone(), sandbox: sandbox.clone() }]
            }
            Activity::Stopping { turn, prompt, sandbox, .. } => vec![
                Effect::Prompt { turn: *turn, prompt: prompt.clone(), sandbox: sandbox.clone() },
                Effect::Cancel { turn: *turn, sandbox: sandbox.clone() },
            ],
            Activity::Finishing { turn, prompt, outcome } => {
                vec![Effect::Finish { turn: *turn, prompt: prompt.clone(), outcome: outcome.clone() }]
            }
        }
    }

    /// Takes one stored event in.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::PromptAccepted { prompt } => {
                self.accepted.push((prompt.id.clone(), prompt.post.clone()));
                self.queue.push_back(prompt.clone());
            }
            Event::PromptEdited { prompt, text } => {
                if let Some(queued) = self.queue.iter_mut().find(|queued| queued.id == *prompt) {
                    queued.text.clone_from(text);
                }
            }
            Event::PromptWithdrawn { prompt } => self.queue.retain(|queued| queued.id != *prompt),
            Event::TurnStarted { turn, prompt } => {
                self.turns = turn.0;
                if let Some(index) = self.queue.iter().position(|queued| queued.id == *prompt)
                    && let Some(prompt) = self.queue.remove(index)
                {
                    self.activity = Activity::Preparing { turn: *turn, prompt };
                }
            }
            Event::TurnRunning { turn, sandbox } => {
                if let Some(prompt) = self.activity.prompt().cloned() {
                    self.activity = Activity::Working { turn: *turn, prompt, sandbox: sandbox.clone() };
                }
            }
            Event::StopRequested { turn, by } => {
                if let Activity::Working { prompt, sandbox, .. } = &self.activity {
                    self.activity = Activity::Stopping { turn: *turn, prompt: prompt.clone(), sandbox: sandbox.clone(), by: by.clone() };
                }
            }
            Event::TurnFinishing { turn, outcome } => {
                if let Some(prompt) = self.activity.prompt().cloned() {
                    self.activity = Activity::Finishing { turn: *turn, prompt, outcome: outcome.clone() };
                }
            }
            Event::TurnEnded { .. } => self.activity = Activity::Idle,
            Event::PullRequestOpened { pull_request } => self.pull_request = Some(pull_request.clone()),
            Event::Agent { .. }
            | Event::FilesTaken { .. }
            | Event::PhaseReached { .. }
            | Event::WorkSaved { .. }
            | Event::CheckStarted { .. }
            | Event::CheckEnded { .. } => {}
        }
    }

    fn accept(&self, prompt: Prompt) -> Result<Decision, Rejection> {
        if self.accepted.iter().any(|(id, post)| *id == prompt.id || *post == prompt.post) {
            return Err(Rejection::Duplicate);
        }
        let accepted = Event::PromptAccepted { prompt: prompt.clone() };
        if self.activity == Activity::Idle && self.queue.is_empty() {
            return Ok(self.then_next(accepted));
        }
        let ahead = self.queue.len() + 1;
        Ok(Decision { events: vec![accepted], effects: vec![Effect::TellQueued { prompt, ahead }] })
    }

    fn stop(&self, by: SlackUserId) -> Result<Decision, Rejection> {
        match &self.activity {
            Activity::Idle => Err(Rejection::NothingToStop),
            Activity::Stopping { .. } | Activity::Finishing { .. } => Err(Rejection::AlreadyStopping),
            // No agent has seen the prompt yet: the turn ends here, and what is being prepared finds its turn gone.
            Activity::Preparing { .. } => self.finishing(TurnOutcome::Stopped { by }),
            Activity::Working { turn, sandbox, .. } => Ok(Decision {
                events: vec![Event::StopRequested { turn: *turn, by }],
                effects: vec![Effect::Cancel { turn: *turn, sandbox: sandbox.clone() }],
            }),
        }
    }

    fn while_finishing(&self, turn: TurnId, event: Event) -> Result<Decision, Rejection> {
        match &self.activity {
            Activity::Finishing { turn: running, .. } if *running == turn => Ok(Decision { events: vec![event], effects: Vec::new() }),
            _ => Err(Rejection::StaleTurn),
        }
    }

    fn finishing(&self, outcome: TurnOutcome) -> Result<Decision, Rejection> {
        let (Some(turn), Some(prompt)) = (self.activity.turn(), self.activity.prompt()) else {
            return Err(Rejection::StaleTurn);
        };
        Ok(Decision {
            events: vec![Event::TurnFinishing { turn, outcome: outcome.clone() }],
            effects: vec![Effect::Finish { turn, prompt: prompt.clone(), outcome }],
        })
    }

    /// `event`, and the start of the next queued prompt's turn if that leaves the session idle.
    fn then_next(&self, event: Event) -> Decision {
        let mut after = self.clone();
        after.evolve(&event);
        let mut decision = Decision { events: vec![event], effects: Vec::new() };
        if let Some(prompt) = after.queue.front() {
            let turn = TurnId(self.turns + 1);
            decision.events.push(Event::TurnStarted { turn, prompt: prompt.id.clone() });
            decision.effects.push(Effect::Prepare { turn, prompt: prompt.clone() });
        }
        decision
    }

    fn waiting(&self, post: &MessageTs) -> Result<&Prompt, Rejection> {
        if let Some(prompt) = self.queue.iter().find(|prompt| prompt.post == *post) {
            return Ok(prompt);
        }
        if self.accepted.iter().any(|(_, accepted)| accepted == post) {
            return Err(Rejection::AlreadyStarted);
        }
        Err(Rejection::NoSuchPrompt)
    }
}

#[cfg(test)]
mod tests;
