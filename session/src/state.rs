//! The session as a pure state machine: a state and a command give events and effects, or a named rejection.
//! Nothing here waits, sends or stores; whoever applies a command stores the events first and carries the effects out then.

mod activity;
mod news;
mod sync;

use std::collections::VecDeque;

pub use activity::{Activity, Inserted, Way};
pub use sync::{Checkout, Writes};

use crate::{
    AgentActivity, AnswerKind, CheckRecord, Event, FallBack, MessageTs, ModelHindrance, ModelUse, Phase, Prompt, PromptId, PullRequestEnd,
    PullRequestRef, Question, QuestionId, RepoName, SandboxId, SandboxOrigin, SavedWork, SessionId, SlackUserId, TakenFile, Timestamp,
    ToolRuling, TurnFailure, TurnId, TurnOutcome,
};

/// What the people in the thread are told of a prompt that did not start at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Place 1 is the next one.
    InPlace(usize),
    /// Its own turn has begun.
    Started,
    /// It was put into the running turn.
    Inserted(TurnId),
    Withdrawn(Option<SlackUserId>),
    /// It went to another repository.
    Moved(RepoName),
}

/// Names a prompt that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    Prompt(PromptId),
    /// By the Slack message that holds it.
    Post(MessageTs),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    pub activity: Activity,
    pub queue: VecDeque<Prompt>,
    /// Turns begun so far; the next one has this number plus one.
    pub turns: u32,
    pub pull_request: Option<PullRequestRef>,
    /// Set where that one is over.
    pub pull_request_end: Option<PullRequestEnd>,
    /// What the agent asked and nobody has answered yet. The next accepted prompt is its answer.
    pub question: Option<Question>,
    /// Every question ever asked: the same one again is no second one.
    asked: Vec<QuestionId>,
    /// Set once the session turned out to be in the wrong repository: it takes nothing any more.
    pub moved: Option<Moved>,
    /// Every prompt ever accepted: a second delivery of the same one is refused.
    accepted: Vec<(PromptId, MessageTs)>,
    /// Those of them that nobody works on any more.
    withdrawn: Vec<PromptId>,
    ground: sync::Ground,
    /// What rules made of the running turn's tool calls: each is told once.
    ruled: Vec<Event>,
}

/// Where a session's prompts went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub to: SessionId,
    pub repo: RepoName,
    pub by: SlackUserId,
    pub clean_up: CleanUp,
}

/// Whether what a moved session left is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanUp {
    Owed,
    Done,
}

/// What somebody or something asks of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Accept {
        prompt: Prompt,
    },
    /// As `Accept`, but into the running turn where there is one that can take it.
    AcceptNow {
        prompt: Prompt,
    },
    /// A waiting prompt shall not wait.
    Insert {
        prompt: PromptId,
    },
    /// The sandbox's commit was looked up and the inserted prompt's files are there: the agent gets it next.
    Hand {
        turn: TurnId,
        prompt: PromptId,
        head: Option<String>,
        files: Vec<TakenFile>,
    },
    /// The agent could not take the inserted prompt any more.
    Return {
        turn: TurnId,
        prompt: PromptId,
    },
    Edit {
        post: MessageTs,
        text: String,
    },
    Withdraw {
        which: Which,
        by: Option<SlackUserId>,
    },
    Stop {
        by: SlackUserId,
    },
    /// The prompt's files are in the sandbox, as far as they could be read.
    TookFiles {
        turn: TurnId,
        files: Vec<TakenFile>,
    },
    /// The sandbox is there. Its checkout is brought up while the agent begins.
    SandboxReady {
        turn: TurnId,
        sandbox: SandboxId,
        origin: SandboxOrigin,
    },
    /// The sandbox stands on the session's branch, and commits in the author's name.
    Synced {
        turn: TurnId,
        at: Timestamp,
    },
    /// It does not, and nothing was written.
    SyncFailed {
        turn: TurnId,
        failure: TurnFailure,
    },
    /// The sandbox was of no use, before its agent had the prompt: another one is prepared.
    GiveUpSandbox {
        turn: TurnId,
        sandbox: SandboxId,
    },
    /// The turn's sandbox was not started from the newest image.
    FellBack {
        turn: TurnId,
        from: FallBack,
    },
    AgentDid {
        turn: TurnId,
        activity: AgentActivity,
    },
    /// The agent ended the turn by itself, or as it was told to.
    AgentEnded {
        turn: TurnId,
    },
    /// A rule of the manifest had a word in a tool call. The agent's hook may ask twice about one call.
    Ruled {
        turn: TurnId,
        call: String,
        tool: String,
        ruling: ToolRuling,
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
    /// GitHub says that the pull request was merged or closed.
    EndedPullRequest {
        number: u64,
        how: PullRequestEnd,
    },
    /// The agent wants to know something of people.
    Ask {
        turn: TurnId,
        question: Question,
    },
    /// Somebody pressed the button of an option; the prompt says so in words.
    Answer {
        question: QuestionId,
        option: usize,
        prompt: Prompt,
    },
    /// The prompts that run and wait belong to this session of another repository.
    Move {
        to: SessionId,
        repo: RepoName,
        by: SlackUserId,
    },
    CleanedUp,
    Reached {
        turn: TurnId,
        phase: Phase,
        at: Timestamp,
    },
    /// A model request of the agent's came to nothing, and the agent is about to send it again.
    Hindered {
        turn: TurnId,
        hindrance: ModelHindrance,
    },
    /// The agent asked a model; it may be told after the turn's end.
    Used {
        turn: TurnId,
        used: ModelUse,
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
    /// Bring the sandbox up beside the agent, which may only read meanwhile; answer with [`Command::Synced`] or [`Command::SyncFailed`].
    Sync {
        turn: TurnId,
        prompt: Prompt,
        sandbox: SandboxId,
        checkout: Checkout,
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
    /// End whatever runs, and take away sandbox, branch and pull request: the work belongs elsewhere.
    CleanUp,
    /// Find out where the sandbox stands, and answer with [`Command::Hand`].
    PrepareInsert {
        turn: TurnId,
        prompt: Prompt,
        sandbox: SandboxId,
    },
    /// Give the running turn's agent this prompt too.
    Insert {
        turn: TurnId,
        prompt: Prompt,
        sandbox: SandboxId,
    },
    /// Say in the thread what becomes of a prompt that did not start at once.
    Tell {
        prompt: Prompt,
        waiting: Waiting,
    },
    /// Say it anew, in the place of what was said last.
    Retell {
        prompt: Prompt,
        waiting: Waiting,
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
    #[error("the running turn is ending and takes nothing any more")]
    TurnIsEnding,
    #[error("this is about another turn than the running one")]
    StaleTurn,
    #[error("another question waits for its answer")]
    QuestionOpen,
    #[error("the question does not wait for an answer")]
    NoSuchQuestion,
    #[error("the session's prompts went to another repository")]
    Moved,
}

/// The events to store and the effects to carry out then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
}

impl Default for SessionState {
    fn default() -> Self {
        Self {
            activity: Activity::Idle,
            queue: VecDeque::new(),
            turns: 0,
            pull_request: None,
            pull_request_end: None,
            question: None,
            asked: Vec::new(),
            moved: None,
            accepted: Vec::new(),
            withdrawn: Vec::new(),
            ground: sync::Ground::default(),
            ruled: Vec::new(),
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
        let mut decision = self.decide(command)?;
        let told = self.news(&decision.events);
        decision.effects.extend(told);
        Ok(decision)
    }

    fn decide(&self, command: Command) -> Result<Decision, Rejection> {
        match command {
            Command::Accept { prompt } => self.accept(prompt, AnswerKind::Replied),
            Command::AcceptNow { prompt } => {
                let accepted = self.accept(prompt.clone(), AnswerKind::Replied)?;
                let Ok(insertion) = self.insert(&prompt) else { return Ok(accepted) };
                let events = accepted.events.into_iter().chain(insertion.events).collect();
                Ok(Decision { events, effects: insertion.effects })
            }
            Command::Insert { prompt } => {
                let prompt = self.waiting(&Which::Prompt(prompt))?.clone();
                self.insert(&prompt)
            }
            Command::Hand { turn, prompt, head, files } => match &self.activity {
                Activity::Working { turn: running, inserted, sandbox, .. } if *running == turn && self.is_synced(turn) => {
                    let next = inserted.iter().find(|inserted| inserted.prompt.id == prompt && inserted.way == Way::Next);
                    let prompt = next.ok_or(Rejection::NoSuchPrompt)?.prompt.clone();
                    Ok(Decision {
                        events: vec![Event::PromptHanded { turn, prompt: prompt.id.clone(), head, files }],
                        effects: vec![Effect::Insert { turn, prompt, sandbox: sandbox.clone() }],
                    })
                }
                _ => Err(Rejection::StaleTurn),
            },
            // It has gone along.
            Command::Return { .. } if self.moved.is_some() => Err(Rejection::Moved),
            Command::Return { turn, prompt } => {
                let is_it = |inserted: &Inserted| inserted.prompt.id == prompt && inserted.way != Way::WithTheFirst;
                if self.activity.turn() != Some(turn) || !self.activity.inserted().iter().any(is_it) {
                    return Err(Rejection::StaleTurn);
                }
                Ok(Decision { events: vec![Event::PromptReturned { turn, prompt }], effects: Vec::new() })
            }
            Command::Edit { post, text } => {
                let prompt = self.waiting(&Which::Post(post))?.id.clone();
                Ok(Decision { events: vec![Event::PromptEdited { prompt, text }], effects: Vec::new() })
            }
            Command::Withdraw { which, by } => {
                let prompt = self.waiting(&which)?.id.clone();
                Ok(Decision { events: vec![Event::PromptWithdrawn { prompt, by }], effects: Vec::new() })
            }
            Command::Stop { by } => self.stop(by),
            Command::TookFiles { turn, files } => match &self.activity {
                Activity::Preparing { turn: running, .. } if *running == turn => {
                    Ok(Decision { events: vec![Event::FilesTaken { turn, files }], effects: Vec::new() })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::SandboxReady { turn, sandbox, origin } => match &self.activity {
                Activity::Preparing { turn: running, prompt, inserted } if *running == turn => {
                    let events = vec![Event::TurnRunning { turn, sandbox: sandbox.clone(), origin }];
                    let mut after = self.clone();
                    events.iter().for_each(|event| after.evolve(event));
                    let effects = after.sync_owed().into_iter().chain(given(turn, prompt, after.ready(inserted), &sandbox)).collect();
                    Ok(Decision { effects, events })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::Synced { turn, at } => self.sync_done(turn, at),
            Command::SyncFailed { turn, failure } => self.sync_failed(turn, failure),
            Command::GiveUpSandbox { turn, sandbox } => match &self.activity {
                Activity::Working { turn: running, prompt, sandbox: current, .. } if *running == turn && *current == sandbox => {
                    Ok(Decision {
                        effects: vec![Effect::Prepare { turn, prompt: prompt.clone() }],
                        events: vec![Event::SandboxGivenUp { turn, sandbox }],
                    })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::FellBack { turn, from } => match self.activity.turn() {
                Some(running) if running == turn => Ok(Decision { events: vec![Event::FellBack { turn, from }], effects: Vec::new() }),
                _ => Err(Rejection::StaleTurn),
            },
            Command::AgentDid { turn, activity } => match &self.activity {
                Activity::Working { turn: running, .. } | Activity::Stopping { turn: running, .. } if *running == turn => {
                    Ok(Decision { events: vec![Event::Agent { turn, activity }], effects: Vec::new() })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::Ruled { turn, call, tool, ruling } => match &self.activity {
                Activity::Working { turn: running, .. } | Activity::Stopping { turn: running, .. } if *running == turn => {
                    let event = Event::ToolRuled { turn, call, tool, ruling };
                    let events = if self.ruled.contains(&event) { Vec::new() } else { vec![event] };
                    Ok(Decision { events, effects: Vec::new() })
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
            // What was being saved when the session was moved is of no interest any more.
            Command::Saved { .. } | Command::CheckStarted { .. } | Command::CheckEnded { .. } | Command::Finished { .. }
                if self.moved.is_some() =>
            {
                Err(Rejection::Moved)
            }
            Command::Saved { turn, work } => self.while_finishing(turn, Event::WorkSaved { turn, work }),
            Command::CheckStarted { turn, commit } => self.while_finishing(turn, Event::CheckStarted { turn, commit }),
            Command::CheckEnded { turn, check } => self.while_finishing(turn, Event::CheckEnded { turn, check }),
            Command::Finished { turn, failure } => match &self.activity {
                Activity::Finishing { turn: running, outcome, .. } if *running == turn && !self.waits_for_sync() => {
                    // A turn that did not end well for another reason keeps that reason.
                    let outcome = match (outcome, failure) {
                        (TurnOutcome::Done, Some(failure)) => TurnOutcome::Failed { failure },
                        // A full disk explains whatever else failed: an agent that cannot write has strange words for it.
                        (TurnOutcome::Failed { .. }, Some(failure @ TurnFailure::DiskFull)) => TurnOutcome::Failed { failure },
                        (outcome, _) => outcome.clone(),
                    };
                    let ended = Event::TurnEnded { turn, outcome };
                    Ok(self.then_next(ended))
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::OpenedPullRequest { pull_request } => {
                if self.pull_request.as_ref() == Some(&pull_request) && self.pull_request_end.is_none() {
                    return Ok(Decision::default());
                }
                Ok(Decision { events: vec![Event::PullRequestOpened { pull_request }], effects: Vec::new() })
            }
            Command::EndedPullRequest { number, how } => {
                let is_news = self.pull_request.as_ref().is_some_and(|known| known.number == number) && self.pull_request_end != Some(how);
                let events = if is_news { vec![Event::PullRequestEnded { number, how }] } else { Vec::new() };
                Ok(Decision { events, effects: Vec::new() })
            }
            Command::Ask { turn, question } => self.ask(turn, question),
            Command::Answer { question, option, prompt } => match &self.question {
                Some(open) if open.id == question => self.accept(prompt, AnswerKind::Picked { option }),
                Some(_) | None => Err(Rejection::NoSuchQuestion),
            },
            Command::Hindered { turn, hindrance } => match &self.activity {
                Activity::Working { turn: running, .. } if *running == turn => {
                    Ok(Decision { events: vec![Event::ModelHindered { turn, hindrance }], effects: Vec::new() })
                }
                _ => Err(Rejection::StaleTurn),
            },
            Command::Used { turn, used } => {
                if turn.0 == 0 || turn.0 > self.turns {
                    return Err(Rejection::StaleTurn);
                }
                Ok(Decision { events: vec![Event::ModelUsed { turn, used }], effects: Vec::new() })
            }
            Command::Move { to, repo, by } => match &self.moved {
                Some(_) => Err(Rejection::Moved),
                None => {
                    let events = self.dropped(&by).into_iter().chain([Event::Moved { to, repo, by }]).collect();
                    Ok(Decision { events, effects: vec![Effect::CleanUp] })
                }
            },
            Command::CleanedUp => {
                let Some(Moved { by, clean_up: CleanUp::Owed, .. }) = &self.moved else { return Err(Rejection::StaleTurn) };
                let ended = self.activity.turn().map(|turn| Event::TurnEnded { turn, outcome: TurnOutcome::Stopped { by: by.clone() } });
                Ok(Decision { events: ended.into_iter().chain([Event::CleanedUp]).collect(), effects: Vec::new() })
            }
            Command::Reached { turn, phase: Phase::Synced, at } => self.sync_done(turn, at),
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
        match &self.moved {
            Some(Moved { clean_up: CleanUp::Owed, .. }) => return vec![Effect::CleanUp],
            Some(Moved { clean_up: CleanUp::Done, .. }) | None => {}
        }
        match &self.activity {
            Activity::Idle => Vec::new(),
            Activity::Preparing { turn, prompt, .. } => vec![Effect::Prepare { turn: *turn, prompt: prompt.clone() }],
            Activity::Working { turn, prompt, inserted, sandbox } => {
                self.sync_owed().into_iter().chain(given(*turn, prompt, self.ready(inserted), sandbox)).collect()
            }
            Activity::Stopping { turn, prompt, sandbox, .. } => vec![
                Effect::Prompt { turn: *turn, prompt: prompt.clone(), sandbox: sandbox.clone() },
                Effect::Cancel { turn: *turn, sandbox: sandbox.clone() },
            ],
            Activity::Finishing { .. } if self.waits_for_sync() => self.sync_owed().into_iter().collect(),
            Activity::Finishing { turn, prompt, outcome, .. } => {
                vec![Effect::Finish { turn: *turn, prompt: prompt.clone(), outcome: outcome.clone() }]
            }
        }
    }

    /// Takes one stored event in.
    pub fn evolve(&mut self, event: &Event) {
        self.ground.evolve(event);
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
            Event::PromptWithdrawn { prompt, .. } => {
                self.queue.retain(|queued| queued.id != *prompt);
                self.withdrawn.push(prompt.clone());
            }
            Event::PromptInserted { prompt, .. } => {
                let is_early = matches!(self.activity, Activity::Preparing { .. });
                if let Some(prompt) = self.dequeue(prompt)
                    && let Some(inserted) = self.activity.inserted_mut()
                {
                    let way = if is_early && prompt.files.is_empty() { Way::WithTheFirst } else { Way::Next };
                    inserted.push(Inserted { prompt, way });
                }
            }
            Event::PromptHanded { prompt, head, files, .. } => {
                let inserted = self.activity.inserted_mut().into_iter().flatten();
                for one in inserted.filter(|one| one.prompt.id == *prompt) {
                    one.way = Way::Handed { head: head.clone(), files: files.clone() };
                }
            }
            Event::PromptReturned { prompt, .. } => {
                if let Some(inserted) = self.activity.inserted_mut()
                    && let Some(index) = inserted.iter().position(|one| one.prompt.id == *prompt)
                {
                    let one = inserted.remove(index);
                    self.queue.push_front(one.prompt);
                }
            }
            Event::TurnStarted { turn, prompt } => {
                self.turns = turn.0;
                self.ruled.clear();
                if let Some(prompt) = self.dequeue(prompt) {
                    self.activity = Activity::Preparing { turn: *turn, prompt, inserted: Vec::new() };
                }
            }
            Event::TurnRunning { turn, sandbox, .. } => {
                if let Some(prompt) = self.activity.prompt().cloned() {
                    let (inserted, sandbox) = (self.activity.inserted().to_vec(), sandbox.clone());
                    self.activity = Activity::Working { turn: *turn, prompt, inserted, sandbox };
                }
            }
            Event::SandboxGivenUp { turn, .. } => {
                if let Activity::Working { prompt, inserted, .. } = &self.activity {
                    let mut inserted = inserted.clone();
                    // The agent that they were for never had them, and their files went with its sandbox.
                    for one in inserted.iter_mut().filter(|one| matches!(one.way, Way::Handed { .. })) {
                        one.way = Way::Next;
                    }
                    self.activity = Activity::Preparing { turn: *turn, prompt: prompt.clone(), inserted };
                }
            }
            Event::StopRequested { turn, by } => {
                if let Activity::Working { prompt, inserted, sandbox, .. } = &self.activity {
                    let (prompt, inserted, sandbox) = (prompt.clone(), inserted.clone(), sandbox.clone());
                    self.activity = Activity::Stopping { turn: *turn, prompt, inserted, sandbox, by: by.clone() };
                }
            }
            Event::TurnFinishing { turn, outcome } => {
                if let Some(prompt) = self.activity.prompt().cloned() {
                    let inserted = self.activity.inserted().to_vec();
                    self.activity = Activity::Finishing { turn: *turn, prompt, inserted, outcome: outcome.clone() };
                }
            }
            Event::TurnEnded { .. } => self.activity = Activity::Idle,
            Event::PullRequestOpened { pull_request } => {
                self.pull_request = Some(pull_request.clone());
                self.pull_request_end = None;
            }
            Event::PullRequestEnded { how, .. } => self.pull_request_end = Some(*how),
            Event::QuestionAsked { question, .. } => {
                self.asked.push(question.id.clone());
                self.question = Some(question.clone());
            }
            Event::QuestionAnswered { question, .. } | Event::QuestionDropped { question, .. } => {
                self.question.take_if(|open| open.id == *question);
            }
            Event::Moved { to, repo, by } => {
                self.queue.clear();
                if let (Some(turn), Some(prompt)) = (self.activity.turn(), self.activity.prompt().cloned()) {
                    let inserted = self.activity.inserted().to_vec();
                    self.activity = Activity::Finishing { turn, prompt, inserted, outcome: TurnOutcome::Stopped { by: by.clone() } };
                }
                self.moved = Some(Moved { to: to.clone(), repo: repo.clone(), by: by.clone(), clean_up: CleanUp::Owed });
            }
            Event::CleanedUp => {
                if let Some(moved) = &mut self.moved {
                    moved.clean_up = CleanUp::Done;
                }
            }
            Event::Agent { .. }
            | Event::FilesTaken { .. }
            | Event::FellBack { .. }
            | Event::PhaseReached { .. }
            | Event::WorkSaved { .. }
            | Event::CheckStarted { .. }
            | Event::CheckEnded { .. }
            | Event::ModelHindered { .. }
            | Event::ModelUsed { .. } => {}
            Event::ToolRuled { .. } => self.ruled.push(event.clone()),
        }
    }

    /// A prompt that comes while a question is open answers it.
    fn accept(&self, prompt: Prompt, answer: AnswerKind) -> Result<Decision, Rejection> {
        if self.accepted.iter().any(|(id, post)| *id == prompt.id || *post == prompt.post) {
            return Err(Rejection::Duplicate);
        }
        if self.moved.is_some() {
            return Err(Rejection::Moved);
        }
        let answered = self.question.as_ref().map(|question| Event::QuestionAnswered {
            question: question.id.clone(),
            prompt: prompt.id.clone(),
            by: prompt.author.slack_user.clone(),
            answer,
        });
        let accepted = Event::PromptAccepted { prompt: prompt.clone() };
        let mut decision = if self.activity == Activity::Idle && self.queue.is_empty() {
            self.then_next(accepted)
        } else {
            Decision { events: vec![accepted], effects: Vec::new() }
        };
        decision.events.splice(0..0, answered);
        Ok(decision)
    }

    fn ask(&self, turn: TurnId, question: Question) -> Result<Decision, Rejection> {
        match &self.activity {
            Activity::Working { turn: running, .. } if *running == turn => {}
            _ => return Err(Rejection::StaleTurn),
        }
        if self.asked.contains(&question.id) {
            return Ok(Decision::default());
        }
        if self.question.is_some() {
            return Err(Rejection::QuestionOpen);
        }
        Ok(Decision { events: vec![Event::QuestionAsked { turn, question }], effects: Vec::new() })
    }

    /// Who stops a session does not want to be asked any more.
    fn dropped(&self, by: &SlackUserId) -> Option<Event> {
        self.question.as_ref().map(|question| Event::QuestionDropped { question: question.id.clone(), by: by.clone() })
    }

    /// `prompt` waits, or is about to.
    fn insert(&self, prompt: &Prompt) -> Result<Decision, Rejection> {
        let inserted = |turn: TurnId| vec![Event::PromptInserted { turn, prompt: prompt.id.clone() }];
        match &self.activity {
            // It goes with the turn's own prompt.
            Activity::Preparing { turn, .. } => Ok(Decision { events: inserted(*turn), effects: Vec::new() }),
            // Where the sandbox stands is known once it is in sync.
            Activity::Working { turn, .. } if !self.is_synced(*turn) => Ok(Decision { events: inserted(*turn), effects: Vec::new() }),
            Activity::Working { turn, sandbox, .. } => Ok(Decision {
                events: inserted(*turn),
                effects: vec![Effect::PrepareInsert { turn: *turn, prompt: prompt.clone(), sandbox: sandbox.clone() }],
            }),
            Activity::Idle | Activity::Stopping { .. } | Activity::Finishing { .. } => Err(Rejection::TurnIsEnding),
        }
    }

    /// Whether this post is one of the session's prompts, whatever became of it.
    pub fn knows(&self, post: &MessageTs) -> bool {
        self.accepted.iter().any(|(_, accepted)| accepted == post)
    }

    /// The newest post up to which the agent is told what was said, once it has what waits.
    pub fn told_until(&self) -> Option<&MessageTs> {
        let told = self.accepted.iter().filter(|(id, _)| !self.withdrawn.contains(id));
        told.map(|(_, post)| post).max()
    }

    fn dequeue(&mut self, prompt: &PromptId) -> Option<Prompt> {
        let index = self.queue.iter().position(|queued| queued.id == *prompt)?;
        self.queue.remove(index)
    }

    fn stop(&self, by: SlackUserId) -> Result<Decision, Rejection> {
        match &self.activity {
            Activity::Idle => match self.dropped(&by) {
                Some(dropped) => Ok(Decision { events: vec![dropped], effects: Vec::new() }),
                None => Err(Rejection::NothingToStop),
            },
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
            Activity::Finishing { turn: running, .. } if *running == turn && !self.waits_for_sync() => {
                Ok(Decision { events: vec![event], effects: Vec::new() })
            }
            _ => Err(Rejection::StaleTurn),
        }
    }

    fn finishing(&self, outcome: TurnOutcome) -> Result<Decision, Rejection> {
        let (Some(turn), Some(prompt)) = (self.activity.turn(), self.activity.prompt()) else {
            return Err(Rejection::StaleTurn);
        };
        let dropped = match &outcome {
            TurnOutcome::Stopped { by } => self.dropped(by),
            TurnOutcome::Done | TurnOutcome::Failed { .. } => None,
        };
        // Whatever the agent was not given is not answered by this turn. Newest first, so that the oldest comes to the front.
        let next = self.activity.inserted().iter().rev().filter(|inserted| inserted.way == Way::Next);
        let returned = next.map(|inserted| Event::PromptReturned { turn, prompt: inserted.prompt.id.clone() });
        // What an agent that only read has to say is told when its sandbox turned out to be sound.
        let waits = outcome == TurnOutcome::Done && !self.is_synced(turn);
        let finish = Effect::Finish { turn, prompt: prompt.clone(), outcome: outcome.clone() };
        Ok(Decision {
            events: dropped.into_iter().chain(returned).chain([Event::TurnFinishing { turn, outcome }]).collect(),
            effects: if waits { Vec::new() } else { vec![finish] },
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

    fn waiting(&self, which: &Which) -> Result<&Prompt, Rejection> {
        if self.moved.is_some() {
            return Err(Rejection::NoSuchPrompt);
        }
        let is_it = |id: &PromptId, post: &MessageTs| match which {
            Which::Prompt(prompt) => id == prompt,
            Which::Post(asked) => post == asked,
        };
        if let Some(prompt) = self.queue.iter().find(|prompt| is_it(&prompt.id, &prompt.post)) {
            return Ok(prompt);
        }
        if self.accepted.iter().any(|(id, post)| is_it(id, post)) {
            return Err(Rejection::AlreadyStarted);
        }
        Err(Rejection::NoSuchPrompt)
    }
}

/// What the agent is given, in this order.
fn given<'a>(turn: TurnId, prompt: &Prompt, inserted: impl Iterator<Item = &'a Inserted>, sandbox: &SandboxId) -> Vec<Effect> {
    let after = inserted.filter_map(|inserted| {
        let (prompt, sandbox) = (inserted.prompt.clone(), sandbox.clone());
        match inserted.way {
            Way::WithTheFirst => None,
            Way::Next => Some(Effect::PrepareInsert { turn, prompt, sandbox }),
            Way::Handed { .. } => Some(Effect::Insert { turn, prompt, sandbox }),
        }
    });
    [Effect::Prompt { turn, prompt: prompt.clone(), sandbox: sandbox.clone() }].into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests;
