//! A session's log, folded into what people see of the running turn.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use longshore_session::{
    Activity, AgentActivity, AnswerKind, CheckRecord, Event, FallBack, Memory, MessageTs, ModelHindrance, Phase, PlanEntry, Prompt,
    PromptId, Question, QuestionId, SandboxId, SandboxOrigin, SavedWork, SessionState, SlackUserId, TakenFile, Timestamp, TurnId,
    TurnOutcome,
};
use longshore_slack::{Rest, Spent};

use super::work::shortened;

/// What a list shows of a session.
#[derive(Debug, Clone)]
pub struct Standing {
    pub state: SessionState,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// The running turn's card, once it is posted.
    pub card: Option<MessageTs>,
    /// What all turns' model requests came to.
    pub spent: Spent,
    /// What it was asked last.
    pub asked: Option<Prompt>,
    /// Whether its sandbox is there.
    pub rest: Rest,
}

/// One turn, as told by its events.
#[derive(Debug, Clone, Default)]
pub struct TurnView {
    pub started: Option<Timestamp>,
    pub sandbox: Option<SandboxId>,
    pub origin: SandboxOrigin,
    /// Set where that was not the newest one.
    pub fell_back: Option<FallBack>,
    /// What became of the prompt's files.
    pub files: Vec<TakenFile>,
    pub plan: Vec<PlanEntry>,
    /// What the agent does now.
    pub step: Option<String>,
    /// The agent's words since it last used a tool: at the turn's end, its answer.
    pub answer: String,
    /// The next words begin a new answer.
    answer_closed: bool,
    pub phases: Vec<(Phase, Timestamp)>,
    pub outcome: Option<TurnOutcome>,
    /// What was pushed at its end.
    pub saved: Option<SavedWork>,
    /// The commit that the repository's check runs on.
    pub checking: Option<String>,
    pub check: Option<CheckRecord>,
    /// What the agent's model requests meet, as long as the agent does nothing else.
    pub hindrance: Option<ModelHindrance>,
    /// What the agent's model requests came to.
    pub spent: Spent,
}

/// Every turn of the session, and what it was asked.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub turns: BTreeMap<TurnId, TurnView>,
    pub asked: BTreeMap<TurnId, Prompt>,
    /// What joined a turn, oldest first.
    pub joined: BTreeMap<TurnId, Vec<Prompt>>,
    /// What the agent asked of people.
    pub questions: BTreeMap<QuestionId, QuestionView>,
    /// The session's pull requests, oldest first.
    pub pull_requests: Vec<u64>,
    /// When the state last changed.
    pub since: Option<Timestamp>,
}

/// A question of the agent's.
#[derive(Debug, Clone)]
pub struct QuestionView {
    pub turn: TurnId,
    pub question: Question,
    pub fate: Fate,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Open,
    Answered { by: SlackUserId, answer: AnswerKind, prompt: PromptId },
    Dropped { by: SlackUserId },
}

/// Bytes of the account of a conversation, and of one prompt or answer in it.
const TRANSCRIPT: usize = 60_000;
const ACCOUNT: usize = 6_000;

/// Bytes of an answer that are kept: more than a model says in one go.
const ANSWER: usize = 1_000_000;

impl View {
    /// Takes an event in; `state` is the state after it.
    pub fn take(&mut self, event: &Event, at: Timestamp, state: &SessionState) {
        match event {
            Event::TurnStarted { turn, .. } => {
                self.turns.entry(*turn).or_default().started = Some(at);
                if let Some(prompt) = state.activity.prompt() {
                    self.asked.insert(*turn, prompt.clone());
                }
                self.since = Some(at);
            }
            Event::TurnRunning { turn, sandbox, origin } => {
                let view = self.turns.entry(*turn).or_default();
                view.sandbox = Some(sandbox.clone());
                view.origin = *origin;
                self.since = Some(at);
            }
            Event::FellBack { turn, from } => self.turns.entry(*turn).or_default().fell_back = Some(from.clone()),
            Event::SandboxGivenUp { turn, .. } => {
                let view = self.turns.entry(*turn).or_default();
                view.sandbox = None;
                view.phases.retain(|(phase, _)| !matches!(phase, Phase::SandboxReady | Phase::Synced));
                self.since = Some(at);
            }
            Event::FilesTaken { turn, files } => self.turns.entry(*turn).or_default().files.clone_from(files),
            // Each prompt that joined has a message of its own, and all of them are the answer.
            Event::Agent { turn, activity: AgentActivity::MessageBegan }
                if self.joined.get(turn).is_some_and(|joined| !joined.is_empty()) => {}
            Event::Agent { turn, activity } => self.turns.entry(*turn).or_default().agent(activity),
            Event::ModelHindered { turn, hindrance } => self.turns.entry(*turn).or_default().hindrance = Some(*hindrance),
            Event::PhaseReached { turn, phase, at } => {
                let phases = &mut self.turns.entry(*turn).or_default().phases;
                if !phases.iter().any(|(known, _)| known == phase) {
                    phases.push((*phase, *at));
                }
            }
            Event::TurnFinishing { turn, .. } | Event::StopRequested { turn, .. } => {
                self.turns.entry(*turn).or_default().step = None;
                self.since = Some(at);
            }
            Event::TurnEnded { turn, outcome } => {
                self.turns.entry(*turn).or_default().outcome = Some(outcome.clone());
                self.since = Some(at);
            }
            Event::Moved { .. } | Event::CleanedUp => self.since = Some(at),
            Event::ModelUsed { turn, used } => {
                let spent = &mut self.turns.entry(*turn).or_default().spent;
                match used.cost_micros {
                    Some(micros) => spent.micros = spent.micros.saturating_add(micros),
                    None => spent.unpriced_tokens = spent.unpriced_tokens.saturating_add(used.input.saturating_add(used.output)),
                }
            }
            Event::WorkSaved { turn, work } => self.turns.entry(*turn).or_default().saved = Some(work.clone()),
            Event::CheckStarted { turn, commit } => self.turns.entry(*turn).or_default().checking = Some(commit.clone()),
            Event::CheckEnded { turn, check } => {
                let seen = self.turns.entry(*turn).or_default();
                seen.checking = None;
                seen.check = Some(check.clone());
            }
            Event::PromptInserted { turn, prompt } => {
                let joined = state.activity.inserted().iter().find(|inserted| inserted.prompt.id == *prompt);
                self.joined.entry(*turn).or_default().extend(joined.map(|inserted| inserted.prompt.clone()));
            }
            Event::QuestionAsked { turn, question } => {
                let asked = QuestionView { turn: *turn, question: question.clone(), fate: Fate::Open };
                self.questions.insert(question.id.clone(), asked);
            }
            Event::QuestionAnswered { question, prompt, by, answer } => {
                if let Some(seen) = self.questions.get_mut(question) {
                    seen.fate = Fate::Answered { by: by.clone(), answer: answer.clone(), prompt: prompt.clone() };
                }
                self.since = Some(at);
            }
            Event::QuestionDropped { question, by } => {
                if let Some(seen) = self.questions.get_mut(question) {
                    seen.fate = Fate::Dropped { by: by.clone() };
                }
                self.since = Some(at);
            }
            Event::PromptReturned { turn, prompt } => {
                self.joined.entry(*turn).or_default().retain(|joined| joined.id != *prompt);
            }
            Event::PromptAccepted { .. }
            | Event::ToolRuled { .. }
            | Event::PromptEdited { .. }
            | Event::PromptWithdrawn { .. }
            | Event::PromptHanded { .. }
            | Event::PullRequestEnded { .. } => {}
            Event::PullRequestOpened { pull_request } => {
                if self.pull_requests.last() != Some(&pull_request.number) {
                    self.pull_requests.push(pull_request.number);
                }
            }
        }
    }

    pub fn turn(&self, turn: TurnId) -> TurnView {
        self.turns.get(&turn).cloned().unwrap_or_default()
    }

    pub fn has_reached(&self, turn: TurnId, phase: Phase) -> bool {
        self.turns.get(&turn).is_some_and(|view| view.phases.iter().any(|(known, _)| *known == phase))
    }

    /// How a turn's questions stand together: open as long as one is.
    pub fn question_of(&self, turn: TurnId) -> Option<&Fate> {
        let mut fates = self.questions.values().filter(|seen| seen.turn == turn).map(|seen| &seen.fate);
        let first = fates.clone().next();
        fates.find(|fate| matches!(fate, Fate::Open)).or(first)
    }

    /// The question that this prompt is the answer to.
    pub fn answered_by(&self, prompt: &PromptId) -> Option<&Question> {
        let is_answer = |seen: &&QuestionView| matches!(&seen.fate, Fate::Answered { prompt: answer, .. } if answer == prompt);
        self.questions.values().find(is_answer).map(|seen| &seen.question)
    }

    pub fn standing(&self, state: &SessionState, card: Option<MessageTs>, rest: Rest) -> Standing {
        let spent = self.turns.values().fold(Spent::default(), |sum, turn| Spent {
            micros: sum.micros.saturating_add(turn.spent.micros),
            unpriced_tokens: sum.unpriced_tokens.saturating_add(turn.spent.unpriced_tokens),
        });
        let asked = self.asked.values().next_back().cloned();
        Standing { state: state.clone(), since: self.since.unwrap_or(Timestamp(0)), card, spent, asked, rest }
    }

    /// Whether the branch is another one after this turn than it was before it. One that holds nothing but the base, as after a merge, is of no interest.
    pub fn has_changed(&self, turn: TurnId) -> bool {
        let Some(saved) = self.turns.get(&turn).and_then(|view| view.saved.as_ref()) else { return false };
        let before = self.turns.range(..turn).rev().find_map(|(_, view)| view.saved.as_ref());
        saved.ahead > 0 && before.is_none_or(|before| before.commit != saved.commit)
    }

    /// The last turn before this one that an agent was given, and its sandbox.
    pub fn last_given(&self, before: TurnId) -> Option<(TurnId, &SandboxId)> {
        self.turns.range(..before).rev().find_map(|(turn, view)| Some((*turn, view.sandbox.as_ref()?)))
    }

    /// Whether the agent of this sandbox took up a conversation that was begun in another one.
    pub fn was_resumed(&self, sandbox: &SandboxId) -> bool {
        let first = self.turns.values().find(|view| view.sandbox.as_ref() == Some(sandbox));
        first.is_some_and(|first| matches!(first.origin, SandboxOrigin::Restored { memory: Memory::Whole, .. }))
    }

    /// From which earlier turn on the conversation is unknown to the agent of this turn's sandbox; None where it knows all.
    pub fn unknown_from(&self, turn: TurnId) -> Option<TurnId> {
        let seen = self.turns.get(&turn)?;
        let (last, sandbox) = self.last_given(turn)?;
        if Some(sandbox) == seen.sandbox.as_ref() {
            return None;
        }
        match seen.origin {
            SandboxOrigin::Restored { through, memory: Memory::Whole, .. } => (last > through).then_some(TurnId(through.0 + 1)),
            SandboxOrigin::Restored { memory: Memory::Lost, .. }
            | SandboxOrigin::Kept
            | SandboxOrigin::Claimed
            | SandboxOrigin::Started
            | SandboxOrigin::Rebuilt { .. } => self.turns.keys().next().copied(),
        }
    }

    /// What a turn was asked, by all who asked.
    pub fn asked_in(&self, turn: TurnId) -> String {
        let prompts = self.asked.get(&turn).into_iter().chain(self.joined.get(&turn).into_iter().flatten());
        prompts.map(|prompt| prompt.text.as_str()).collect::<Vec<_>>().join("\n\n")
    }

    /// The conversation of these turns, for an agent that does not know it.
    ///
    /// It is kept short enough for any model: of long turns the beginning, and of many turns the last.
    pub fn transcript(&self, turns: Range<TurnId>) -> String {
        let mut told = VecDeque::new();
        let mut room = TRANSCRIPT;
        for (turn, _) in self.turns.range(turns).rev() {
            let text = self.account(*turn);
            let Some(left) = room.checked_sub(text.len()) else {
                told.push_front("(What was said before that is left out here.)\n\n".to_owned());
                break;
            };
            room = left;
            told.push_front(text);
        }
        Vec::from(told).concat()
    }

    /// One turn, as an agent is told of it that was not there.
    fn account(&self, turn: TurnId) -> String {
        let (view, asked) = (self.turn(turn), self.asked_in(turn));
        let files: Vec<String> = view.files.iter().map(|file| format!("`{}`", shortened(&file.name, 80))).collect();
        let files = if files.is_empty() { String::new() } else { format!(" (with files, which are gone: {})", files.join(", ")) };
        let mut text = format!("They asked{files}: {}\nYou answered: {}\n", cut(&asked), cut(view.answer.trim()));
        for seen in self.questions.values().filter(|seen| seen.turn == turn) {
            text.push_str(&format!("You asked them: {}\n", seen.question.text.trim()));
        }
        text.push('\n');
        text
    }
}

impl TurnView {
    fn agent(&mut self, activity: &AgentActivity) {
        self.hindrance = None;
        match activity {
            AgentActivity::Text { delta } => {
                if self.answer_closed {
                    self.answer.clear();
                    self.answer_closed = false;
                }
                let room = ANSWER.saturating_sub(self.answer.len()).min(delta.len());
                let fits = (0..=room).rev().find(|at| delta.is_char_boundary(*at)).unwrap_or(0);
                self.answer.push_str(&delta[..fits]);
            }
            AgentActivity::MessageBegan => self.answer_closed = true,
            AgentActivity::Thought { .. } => {
                if self.step.is_none() {
                    self.step = Some("Thinking".to_owned());
                }
            }
            AgentActivity::ToolStarted { words, .. } => {
                self.answer_closed = true;
                self.step = Some(words.clone());
            }
            AgentActivity::ToolEnded { .. } => self.answer_closed = true,
            AgentActivity::Plan { entries } => self.plan.clone_from(entries),
        }
    }

    /// The agent neither said nor did anything.
    pub fn is_mute(&self) -> bool {
        self.answer.trim().is_empty() && !self.answer_closed && self.plan.is_empty()
    }

    pub fn at(&self, phase: Phase) -> Option<Timestamp> {
        self.phases.iter().find(|(known, _)| *known == phase).map(|(_, at)| *at)
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= ACCOUNT {
        return Cow::Borrowed(text);
    }
    let end = (0..=ACCOUNT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}… (the rest is left out)", &text[..end]))
}

/// One word for the session index.
pub fn phase_word(state: &SessionState) -> &'static str {
    match &state.activity {
        Activity::Idle if state.question.is_some() => "waiting",
        Activity::Idle => "idle",
        Activity::Preparing { .. } => "preparing",
        Activity::Working { .. } => "working",
        Activity::Stopping { .. } => "stopping",
        Activity::Finishing { .. } => "finishing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(turns: &[(&str, SandboxOrigin)]) -> View {
        let (mut view, state) = (View::default(), SessionState::default());
        for (index, (sandbox, origin)) in turns.iter().enumerate() {
            let turn = TurnId(u32::try_from(index).unwrap() + 1);
            let sandbox = SandboxId::parse(*sandbox).unwrap();
            view.take(&Event::TurnRunning { turn, sandbox, origin: *origin }, Timestamp(5), &state);
        }
        view
    }

    fn restored(through: u32, memory: Memory) -> SandboxOrigin {
        SandboxOrigin::Restored { taken: Timestamp(5), through: TurnId(through), memory }
    }

    #[test]
    fn an_agent_is_told_what_it_does_not_know() {
        let (started, kept) = (("b-1", SandboxOrigin::Started), ("b-1", SandboxOrigin::Kept));
        let unknown = |turns: &[(&str, SandboxOrigin)]| view(turns).unknown_from(TurnId(u32::try_from(turns.len()).unwrap()));
        assert_eq!(unknown(&[started]), None, "there is nothing to know");
        assert_eq!(unknown(&[started, kept]), None);
        assert_eq!(unknown(&[started, kept, ("b-2", SandboxOrigin::Started)]), Some(TurnId(1)));
        assert_eq!(unknown(&[started, kept, ("b-2", SandboxOrigin::Claimed)]), Some(TurnId(1)));
        assert_eq!(unknown(&[started, kept, ("b-2", SandboxOrigin::Rebuilt { taken: Timestamp(1) })]), Some(TurnId(1)));
        assert_eq!(unknown(&[started, kept, ("b-2", restored(2, Memory::Whole))]), None, "it is in the snapshot");
        assert_eq!(unknown(&[started, kept, ("b-2", restored(1, Memory::Whole))]), Some(TurnId(2)), "the second turn is not");
        assert_eq!(unknown(&[started, kept, ("b-2", restored(2, Memory::Lost))]), Some(TurnId(1)));
        assert_eq!(unknown(&[started, ("b-2", restored(1, Memory::Lost)), ("b-2", SandboxOrigin::Kept)]), None, "it was told before");
    }
}
