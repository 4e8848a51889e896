use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{FileFate, Memory, Person, Unread};

fn prompt(n: u32) -> Prompt {
    Prompt {
        id: PromptId::parse(format!("p-{n}")).unwrap(),
        author: Person { slack_user: user(), name: "Ada".into(), email: "ada@example.com".into() },
        text: format!("prompt {n}"),
        context: Vec::new(),
        files: Vec::new(),
        post: MessageTs::parse(format!("17.{n:06}")).unwrap(),
        received: Timestamp(i64::from(n)),
    }
}

fn user() -> SlackUserId {
    SlackUserId::parse("U1").unwrap()
}

fn sandbox() -> SandboxId {
    SandboxId::parse("b-1").unwrap()
}

/// Applies a command as the session's actor does, and gives what it is told to do.
fn act(state: &mut SessionState, command: Command) -> Result<Decision, Rejection> {
    let decision = state.apply(command)?;
    for event in &decision.events {
        state.evolve(event);
    }
    Ok(decision)
}

fn synced(turn: u32) -> Command {
    Command::Synced { turn: TurnId(turn), at: Timestamp(7) }
}

#[test]
fn a_prompt_goes_all_the_way() {
    let mut state = SessionState::default();
    let turn = TurnId(1);
    let begun = act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    assert_eq!(begun.effects, [Effect::Prepare { turn, prompt: prompt(1) }]);
    let ready = act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    let sync = Effect::Sync { turn, prompt: prompt(1), sandbox: sandbox(), checkout: Checkout::BringUp };
    assert_eq!(ready.effects, [sync, Effect::Prompt { turn, prompt: prompt(1), sandbox: sandbox() }]);
    assert_eq!(state.writes(), Writes::Held);
    act(&mut state, synced(1)).unwrap();
    assert_eq!(state.writes(), Writes::Allowed);
    assert_eq!(state.owed(), [Effect::Prompt { turn, prompt: prompt(1), sandbox: sandbox() }], "synced once");
    let done = act(&mut state, Command::AgentEnded { turn }).unwrap();
    assert_eq!(done.effects, [Effect::Finish { turn, prompt: prompt(1), outcome: TurnOutcome::Done }]);
    let ended = act(&mut state, Command::Finished { turn, failure: None }).unwrap();
    assert_eq!(ended.effects, []);
    assert_eq!(state.activity, Activity::Idle);
}

#[test]
fn files_come_before_the_agent_has_the_prompt() {
    let mut state = SessionState::default();
    let files = || {
        let fate = FileFate::Unread { why: Unread::Gone };
        vec![TakenFile { name: "a".into(), fate }]
    };
    assert_eq!(act(&mut state, Command::TookFiles { turn: TurnId(1), files: files() }), Err(Rejection::StaleTurn));
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    let took = act(&mut state, Command::TookFiles { turn: TurnId(1), files: files() }).unwrap();
    assert_eq!(took.events, [Event::FilesTaken { turn: TurnId(1), files: files() }]);
    let stored = serde_json::to_value(&took.events[0]).unwrap();
    assert_eq!(serde_json::from_value::<Event>(stored).unwrap(), took.events[0]);
    act(&mut state, Command::SandboxReady { turn: TurnId(1), sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    assert_eq!(act(&mut state, Command::TookFiles { turn: TurnId(1), files: files() }), Err(Rejection::StaleTurn));
}

#[test]
fn a_moved_session_ends_what_it_has_and_takes_nothing_more() {
    let mut state = SessionState::default();
    let (turn, to, repo) = (TurnId(1), SessionId::parse("s-2").unwrap(), RepoName::parse("acme/maps").unwrap());
    let go = Command::Move { to, repo, by: user() };
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::Accept { prompt: prompt(2) }).unwrap();
    act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    let told = Effect::Retell { prompt: prompt(2), waiting: Waiting::Moved(RepoName::parse("acme/maps").unwrap()) };
    assert_eq!(act(&mut state, go.clone()).unwrap().effects, [Effect::CleanUp, told]);
    assert!(state.queue.is_empty(), "what waited went along");
    assert_eq!(act(&mut state, go), Err(Rejection::Moved));
    for late in [
        Command::AgentEnded { turn },
        Command::Finished { turn, failure: None },
        Command::Stop { by: user() },
        Command::Edit { post: prompt(2).post, text: "other words".into() },
        Command::Accept { prompt: prompt(3) },
    ] {
        assert!(act(&mut state, late.clone()).is_err(), "{late:?}");
    }
    assert_eq!(state.owed(), [Effect::CleanUp], "also after a restart");
    let cleaned = act(&mut state, Command::CleanedUp).unwrap();
    assert_eq!(cleaned.events, [Event::TurnEnded { turn, outcome: TurnOutcome::Stopped { by: user() } }, Event::CleanedUp]);
    assert_eq!((state.activity.clone(), state.owed()), (Activity::Idle, Vec::new()));
    assert_eq!(act(&mut state, Command::CleanedUp), Err(Rejection::StaleTurn));
}

#[test]
fn an_idle_session_can_be_moved() {
    let mut state = SessionState::default();
    let turn = TurnId(1);
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::Stop { by: user() }).unwrap();
    act(&mut state, Command::Finished { turn, failure: None }).unwrap();
    let go = Command::Move { to: SessionId::parse("s-2").unwrap(), repo: RepoName::parse("acme/maps").unwrap(), by: user() };
    assert_eq!(act(&mut state, go).unwrap().effects, [Effect::CleanUp]);
    assert_eq!(act(&mut state, Command::CleanedUp).unwrap().events, [Event::CleanedUp], "its turn has ended before");
}

#[test]
fn a_second_prompt_waits_its_turn_and_then_starts() {
    let mut state = SessionState::default();
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    let queued = act(&mut state, Command::Accept { prompt: prompt(2) }).unwrap();
    assert_eq!(queued.effects, [Effect::Tell { prompt: prompt(2), waiting: Waiting::InPlace(1) }]);
    act(&mut state, Command::Failed { turn: TurnId(1), failure: TurnFailure::EngineUnavailable }).unwrap();
    let next = act(&mut state, Command::Finished { turn: TurnId(1), failure: None }).unwrap();
    let told = Effect::Retell { prompt: prompt(2), waiting: Waiting::Started };
    assert_eq!(next.effects, [Effect::Prepare { turn: TurnId(2), prompt: prompt(2) }, told]);
}

#[test]
fn an_edit_replaces_a_waiting_prompt_but_not_a_started_one() {
    let mut state = SessionState::default();
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::Accept { prompt: prompt(2) }).unwrap();
    act(&mut state, Command::Edit { post: prompt(2).post, text: "better".into() }).unwrap();
    assert_eq!(state.queue[0].text, "better");
    let late = act(&mut state, Command::Edit { post: prompt(1).post, text: "late".into() });
    assert_eq!(late, Err(Rejection::AlreadyStarted));
    act(&mut state, Command::Withdraw { which: Which::Post(prompt(2).post), by: None }).unwrap();
    assert!(state.queue.is_empty());
}

#[test]
fn stop_before_the_agent_has_the_prompt_ends_the_turn_at_once() {
    let mut state = SessionState::default();
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    let stopped = act(&mut state, Command::Stop { by: user() }).unwrap();
    assert_eq!(stopped.effects, [Effect::Finish { turn: TurnId(1), prompt: prompt(1), outcome: TurnOutcome::Stopped { by: user() } }]);
    // The sandbox that was on its way finds the turn gone.
    let late = act(&mut state, Command::SandboxReady { turn: TurnId(1), sandbox: sandbox(), origin: SandboxOrigin::Started });
    assert_eq!(late, Err(Rejection::StaleTurn));
}

#[test]
fn stop_while_working_cancels_and_a_second_press_changes_nothing() {
    let mut state = SessionState::default();
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::SandboxReady { turn: TurnId(1), sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    let stop = act(&mut state, Command::Stop { by: user() }).unwrap();
    assert_eq!(stop.effects, [Effect::Cancel { turn: TurnId(1), sandbox: sandbox() }]);
    assert_eq!(act(&mut state, Command::Stop { by: user() }), Err(Rejection::AlreadyStopping));
    act(&mut state, Command::AgentEnded { turn: TurnId(1) }).unwrap();
    assert!(matches!(&state.activity, Activity::Finishing { outcome: TurnOutcome::Stopped { .. }, .. }));
}

/// A session whose first prompt is being worked on.
fn working() -> SessionState {
    let mut state = SessionState::default();
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::SandboxReady { turn: TurnId(1), sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    act(&mut state, synced(1)).unwrap();
    state
}

fn question(n: u32) -> Question {
    Question { id: QuestionId::parse(format!("q-{n}")).unwrap(), text: format!("Which one, {n}?"), options: vec!["A".into(), "B".into()] }
}

/// A session whose first turn asked and ended.
fn waiting() -> SessionState {
    let (mut state, turn) = (SessionState::default(), TurnId(1));
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    act(&mut state, synced(1)).unwrap();
    act(&mut state, Command::Ask { turn, question: question(1) }).unwrap();
    act(&mut state, Command::AgentEnded { turn }).unwrap();
    act(&mut state, Command::Finished { turn, failure: None }).unwrap();
    state
}

#[test]
fn a_prompt_for_now_joins_the_running_turn_and_goes_to_the_agent_once_the_sandbox_was_looked_at() {
    let (mut state, turn) = (working(), TurnId(1));
    let joined = act(&mut state, Command::AcceptNow { prompt: prompt(2) }).unwrap();
    let look = Effect::PrepareInsert { turn, prompt: prompt(2), sandbox: sandbox() };
    assert_eq!(joined.effects, [look.clone(), Effect::Tell { prompt: prompt(2), waiting: Waiting::Inserted(turn) }]);
    assert_eq!(state.owed()[1], look, "looked at again after a crash");
    let hand = Command::Hand { turn, prompt: prompt(2).id, head: Some("abc".into()), files: Vec::new() };
    let handed = act(&mut state, hand.clone()).unwrap();
    assert_eq!(handed.effects, [Effect::Insert { turn, prompt: prompt(2), sandbox: sandbox() }]);
    assert_eq!(act(&mut state, hand), Err(Rejection::NoSuchPrompt), "once");
    assert_eq!(state.owed()[1..], handed.effects, "handed again after a crash, which the agent knows to tell");
    act(&mut state, Command::AgentEnded { turn }).unwrap();
    assert_eq!(state.activity.inserted().len(), 1, "the turn's end is told to both");
    act(&mut state, Command::Finished { turn, failure: None }).unwrap();
    assert_eq!(state.activity, Activity::Idle);
}

#[test]
fn a_prompt_for_now_goes_with_the_first_one_where_the_agent_has_none_yet() {
    let mut state = SessionState::default();
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    let joined = act(&mut state, Command::AcceptNow { prompt: prompt(2) }).unwrap();
    assert_eq!(joined.effects, [Effect::Tell { prompt: prompt(2), waiting: Waiting::Inserted(TurnId(1)) }]);
    assert_eq!(state.activity.inserted(), [Inserted { prompt: prompt(2), way: Way::WithTheFirst }]);
    let ready = act(&mut state, Command::SandboxReady { turn: TurnId(1), sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    assert_eq!(ready.effects.len(), 2, "the sync, and one message to the agent");
    act(&mut state, synced(1)).unwrap();
    assert_eq!(state.owed().len(), 1, "one message to the agent");
}

#[test]
fn a_prompt_for_now_is_an_ordinary_one_where_nothing_runs_and_waits_where_the_turn_is_ending() {
    let mut state = SessionState::default();
    let begun = act(&mut state, Command::AcceptNow { prompt: prompt(1) }).unwrap();
    assert_eq!(begun.effects, [Effect::Prepare { turn: TurnId(1), prompt: prompt(1) }]);
    act(&mut state, Command::Stop { by: user() }).unwrap();
    let queued = act(&mut state, Command::AcceptNow { prompt: prompt(2) }).unwrap();
    assert_eq!(queued.effects, [Effect::Tell { prompt: prompt(2), waiting: Waiting::InPlace(1) }]);
    assert_eq!(act(&mut state, Command::Insert { prompt: prompt(2).id }), Err(Rejection::TurnIsEnding));
}

#[test]
fn what_the_agent_could_not_take_is_the_next_turn() {
    let turn = TurnId(1);
    // The turn ends before the sandbox was looked at.
    let mut state = working();
    for n in [2, 3] {
        act(&mut state, Command::AcceptNow { prompt: prompt(n) }).unwrap();
    }
    let ended = act(&mut state, Command::AgentEnded { turn }).unwrap();
    let retell = |n: u32, place: usize| Effect::Retell { prompt: prompt(n), waiting: Waiting::InPlace(place) };
    assert_eq!(ended.effects[1..], [retell(2, 1), retell(3, 2)]);
    // The agent says that it was too late.
    let mut state = working();
    act(&mut state, Command::AcceptNow { prompt: prompt(2) }).unwrap();
    act(&mut state, Command::Hand { turn, prompt: prompt(2).id, head: None, files: Vec::new() }).unwrap();
    let returned = act(&mut state, Command::Return { turn, prompt: prompt(2).id }).unwrap();
    assert_eq!(returned.effects, [retell(2, 1)]);
    act(&mut state, Command::AgentEnded { turn }).unwrap();
    let next = act(&mut state, Command::Finished { turn, failure: None }).unwrap();
    assert_eq!(next.effects[0], Effect::Prepare { turn: TurnId(2), prompt: prompt(2) });
}

#[test]
fn the_thread_is_told_when_a_place_moves_up_and_of_nothing_else() {
    let mut state = working();
    for n in 2..=4 {
        act(&mut state, Command::Accept { prompt: prompt(n) }).unwrap();
    }
    let retell = |n: u32, waiting: Waiting| Effect::Retell { prompt: prompt(n), waiting };
    let withdrawn = act(&mut state, Command::Withdraw { which: Which::Prompt(prompt(3).id), by: Some(user()) }).unwrap();
    assert_eq!(withdrawn.effects, [retell(3, Waiting::Withdrawn(Some(user()))), retell(4, Waiting::InPlace(2))]);
    let sent = act(&mut state, Command::Insert { prompt: prompt(2).id }).unwrap();
    assert_eq!(sent.effects[1..], [retell(2, Waiting::Inserted(TurnId(1))), retell(4, Waiting::InPlace(1))]);
    assert_eq!(act(&mut state, Command::Withdraw { which: Which::Prompt(prompt(2).id), by: None }), Err(Rejection::AlreadyStarted));
    let activity = AgentActivity::Text { delta: "x".into() };
    assert_eq!(act(&mut state, Command::AgentDid { turn: TurnId(1), activity }).unwrap().effects, []);
}

#[test]
fn what_was_withdrawn_does_not_count_as_told() {
    let mut state = working();
    act(&mut state, Command::Accept { prompt: prompt(2) }).unwrap();
    assert_eq!(state.told_until(), Some(&prompt(2).post));
    act(&mut state, Command::Withdraw { which: Which::Prompt(prompt(2).id), by: None }).unwrap();
    assert_eq!(state.told_until(), Some(&prompt(1).post));
    assert!(state.knows(&prompt(2).post) && !state.knows(&prompt(3).post));
}

#[test]
fn the_next_prompt_is_the_answer_and_there_is_one() {
    let mut state = waiting();
    assert_eq!((&state.activity, &state.question), (&Activity::Idle, &Some(question(1))));
    let picked = |n| Command::Answer { question: question(1).id, option: 1, prompt: prompt(n) };
    let mut replied = state.clone();
    let answer = act(&mut state, picked(2)).unwrap();
    let answered = |answer| Event::QuestionAnswered { question: question(1).id, prompt: prompt(2).id, by: user(), answer };
    assert_eq!(answer.events[0], answered(AnswerKind::Picked { option: 1 }));
    assert_eq!(answer.effects, [Effect::Prepare { turn: TurnId(2), prompt: prompt(2) }]);
    assert_eq!((act(&mut state, picked(3)), &state.question), (Err(Rejection::NoSuchQuestion), &None));
    let reply = act(&mut replied, Command::Accept { prompt: prompt(2) }).unwrap();
    assert_eq!(reply.events[0], answered(AnswerKind::Replied));
}

#[test]
fn one_question_is_open_at_a_time_and_the_same_one_is_asked_once() {
    let (mut state, turn) = (SessionState::default(), TurnId(1));
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    assert_eq!(act(&mut state, Command::Ask { turn, question: question(1) }), Err(Rejection::StaleTurn), "the agent is not at work yet");
    act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    act(&mut state, Command::Ask { turn, question: question(1) }).unwrap();
    assert_eq!(act(&mut state, Command::Ask { turn, question: question(1) }), Ok(Decision::default()));
    assert_eq!(act(&mut state, Command::Ask { turn, question: question(2) }), Err(Rejection::QuestionOpen));
    // The answer comes before the turn is over: it waits as any prompt does.
    let early = act(&mut state, Command::Accept { prompt: prompt(2) }).unwrap();
    assert_eq!(early.effects, [Effect::Tell { prompt: prompt(2), waiting: Waiting::InPlace(1) }]);
    assert_eq!(act(&mut state, Command::Ask { turn, question: question(1) }), Ok(Decision::default()), "it was answered");
    act(&mut state, Command::Ask { turn, question: question(2) }).unwrap();
}

#[test]
fn who_stops_a_session_is_not_asked_any_more() {
    let mut state = waiting();
    let dropped = [Event::QuestionDropped { question: question(1).id, by: user() }];
    assert_eq!(act(&mut state, Command::Stop { by: user() }).unwrap().events, dropped);
    assert_eq!(act(&mut state, Command::Stop { by: user() }), Err(Rejection::NothingToStop));

    let (mut state, turn) = (SessionState::default(), TurnId(1));
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    act(&mut state, Command::Ask { turn, question: question(1) }).unwrap();
    act(&mut state, Command::Stop { by: user() }).unwrap();
    assert_eq!(act(&mut state, Command::AgentEnded { turn }).unwrap().events[0], dropped[0]);
}

fn any_command() -> impl Strategy<Value = Command> {
    let turn = (1..6u32).prop_map(TurnId);
    prop_oneof![
        4 => (0..8u32).prop_map(|n| Command::Accept { prompt: prompt(n) }),
        1 => (0..8u32).prop_map(|n| Command::Edit { post: prompt(n).post, text: "edited".into() }),
        2 => (0..8u32).prop_map(|n| Command::AcceptNow { prompt: prompt(n) }),
        2 => (0..8u32).prop_map(|n| Command::Insert { prompt: prompt(n).id }),
        2 => (turn.clone(), 0..8u32).prop_map(|(turn, n)| Command::Hand { turn, prompt: prompt(n).id, head: None, files: Vec::new() }),
        1 => (turn.clone(), 0..8u32).prop_map(|(turn, n)| Command::Return { turn, prompt: prompt(n).id }),
        1 => (0..8u32).prop_map(|n| Command::Withdraw { which: Which::Post(prompt(n).post), by: None }),
        2 => Just(Command::Stop { by: user() }),
        1 => turn.clone().prop_map(|turn| Command::TookFiles { turn, files: Vec::new() }),
        4 => turn.clone().prop_map(|turn| Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }),
        4 => turn.clone().prop_map(|turn| Command::Synced { turn, at: Timestamp(7) }),
        1 => turn.clone().prop_map(|turn| Command::Reached { turn, phase: Phase::Synced, at: Timestamp(7) }),
        1 => turn.clone().prop_map(|turn| Command::SyncFailed { turn, failure: TurnFailure::RepositoryGone }),
        1 => turn.clone().prop_map(|turn| Command::AgentDid { turn, activity: AgentActivity::Text { delta: "x".into() } }),
        4 => turn.clone().prop_map(|turn| Command::AgentEnded { turn }),
        1 => turn.clone().prop_map(|turn| Command::Failed { turn, failure: TurnFailure::Internal }),
        1 => turn.clone().prop_map(|turn| Command::Saved { turn, work: SavedWork::default() }),
        1 => turn.clone().prop_map(|turn| Command::CheckStarted { turn, commit: "abc".into() }),
        2 => (turn.clone(), 0..3u32).prop_map(|(turn, n)| Command::Ask { turn, question: question(n) }),
        2 => (0..3u32, 0..8u32).prop_map(|(n, of)| Command::Answer { question: question(n).id, option: 0, prompt: prompt(of) }),
        4 => turn.prop_map(|turn| Command::Finished { turn, failure: None }),
        1 => Just(Command::Move { to: SessionId::parse("s-2").unwrap(), repo: RepoName::parse("acme/maps").unwrap(), by: user() }),
        1 => Just(Command::CleanedUp),
    ]
}

#[test]
fn a_turn_whose_agent_ends_first_waits_for_its_sync() {
    let (mut state, turn) = (SessionState::default(), TurnId(1));
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    assert_eq!(act(&mut state, Command::AgentEnded { turn }).unwrap().effects, []);
    assert_eq!(act(&mut state, Command::Saved { turn, work: SavedWork::default() }), Err(Rejection::StaleTurn));
    let sync = Effect::Sync { turn, prompt: prompt(1), sandbox: sandbox(), checkout: Checkout::BringUp };
    assert_eq!(state.owed(), [sync], "also after a restart");
    let mut failing = state.clone();
    let finish = |outcome| [Effect::Finish { turn, prompt: prompt(1), outcome }];
    assert_eq!(act(&mut state, synced(1)).unwrap().effects, finish(TurnOutcome::Done));
    assert_eq!(state.owed(), finish(TurnOutcome::Done));
    let failed = act(&mut failing, Command::SyncFailed { turn, failure: TurnFailure::RepositoryGone }).unwrap();
    assert_eq!(failed.effects, finish(TurnOutcome::Failed { failure: TurnFailure::RepositoryGone }));
    assert_eq!(failing.writes(), Writes::Refused(Some(TurnFailure::RepositoryGone)));
}

#[test]
fn a_prompt_that_joins_before_the_sync_is_looked_at_after_it() {
    let (mut state, turn) = (SessionState::default(), TurnId(1));
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    let joined = act(&mut state, Command::AcceptNow { prompt: prompt(2) }).unwrap();
    assert_eq!(joined.effects, [Effect::Tell { prompt: prompt(2), waiting: Waiting::Inserted(turn) }]);
    assert_eq!(state.owed().len(), 2, "the sync and the turn's own prompt");
    let hand = Command::Hand { turn, prompt: prompt(2).id, head: None, files: Vec::new() };
    assert_eq!(act(&mut state, hand), Err(Rejection::StaleTurn));
    let look = Effect::PrepareInsert { turn, prompt: prompt(2), sandbox: sandbox() };
    assert_eq!(act(&mut state, synced(1)).unwrap().effects, [look]);
}

#[test]
fn a_checkout_that_holds_work_is_never_brought_up_again() {
    let mut state = working();
    let next = |state: &mut SessionState, turn: u32, place: &str, origin: SandboxOrigin| {
        let (before, turn, sandbox) = (TurnId(turn - 1), TurnId(turn), SandboxId::parse(place).unwrap());
        act(state, Command::AgentEnded { turn: before }).unwrap();
        act(state, Command::Finished { turn: before, failure: None }).unwrap();
        act(state, Command::Accept { prompt: prompt(turn.0) }).unwrap();
        let ready = act(state, Command::SandboxReady { turn, sandbox, origin }).unwrap();
        let Effect::Sync { checkout, .. } = ready.effects[0] else { panic!("{ready:?}") };
        act(state, synced(turn.0)).unwrap();
        checkout
    };
    assert_eq!(next(&mut state, 2, "b-1", SandboxOrigin::Kept), Checkout::Keep);
    assert_eq!(
        next(&mut state, 3, "b-2", SandboxOrigin::Restored { taken: Timestamp(1), through: TurnId(2), memory: Memory::Whole }),
        Checkout::Keep
    );
    assert_eq!(next(&mut state, 4, "b-3", SandboxOrigin::Claimed), Checkout::BringUp);
    // A log of an earlier version: the sync came before the turn ran.
    let mut state = SessionState::default();
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    state.evolve(&Event::PhaseReached { turn: TurnId(1), phase: Phase::Synced, at: Timestamp(1) });
    state.evolve(&Event::TurnRunning { turn: TurnId(1), sandbox: sandbox(), origin: SandboxOrigin::Started });
    assert_eq!(state.writes(), Writes::Allowed);
    assert_eq!(next(&mut state, 2, "b-1", SandboxOrigin::Kept), Checkout::Keep);
}

proptest! {
    /// In any order of commands and restarts, nothing may be written before the log says that the running turn's sandbox is in sync, and from then
    /// on nothing asks for a sync of that turn again.
    #[test]
    fn writes_wait_for_the_log(commands in prop::collection::vec(any_command(), 0..80)) {
        let mut state = SessionState::default();
        let mut log: Vec<Event> = Vec::new();
        let is_synced = |log: &[Event], turn: TurnId| {
            log.iter().any(|event| matches!(event, Event::PhaseReached { turn: of, phase: Phase::Synced, .. } if *of == turn))
        };
        for command in commands {
            let Ok(decision) = state.apply(command) else { continue };
            // What is decided and not stored yet opens nothing.
            let before = state.writes();
            prop_assert_eq!(SessionState::replay(&log).writes(), before);
            decision.events.iter().for_each(|event| state.evolve(event));
            log.extend(decision.events);
            let restarted = SessionState::replay(&log);
            if state.writes() == Writes::Allowed {
                let Activity::Working { turn, .. } = &state.activity else { return Err(TestCaseError::fail("nobody works")) };
                prop_assert!(is_synced(&log, *turn));
            }
            for effect in decision.effects.iter().chain(&restarted.owed()) {
                match effect {
                    Effect::Sync { turn, .. } => prop_assert!(!is_synced(&log, *turn)),
                    Effect::PrepareInsert { turn, .. } | Effect::Insert { turn, .. } => prop_assert!(is_synced(&log, *turn)),
                    Effect::Finish { turn, outcome: TurnOutcome::Done, .. } => prop_assert!(is_synced(&log, *turn)),
                    _ => {}
                }
            }
        }
    }

    /// Whatever comes in whatever order: the log alone gives the state, each accepted prompt is started at most once and ended at most
    /// once, a session with work to do is never idle, and each prompt is in one place: it waits, is worked on, was served by a turn,
    /// went to another repository, or was withdrawn.
    #[test]
    fn any_history_is_sound(commands in prop::collection::vec(any_command(), 0..80)) {
        let mut state = SessionState::default();
        let mut log = Vec::new();
        let (mut started, mut prepared, mut finished) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut served: Vec<PromptId> = Vec::new();
        let mut moved: Vec<PromptId> = Vec::new();
        let mut closed = HashMap::new();
        for command in commands {
            let Ok(decision) = state.apply(command) else { continue };
            for event in &decision.events {
                if let Event::TurnEnded { .. } = event {
                    served.extend(state.activity.prompt().map(|prompt| prompt.id.clone()));
                    served.extend(state.activity.inserted().iter().map(|inserted| inserted.prompt.id.clone()));
                }
                if let Event::Moved { .. } = event {
                    moved.extend(state.queue.iter().map(|prompt| prompt.id.clone()));
                }
                state.evolve(event);
                match event {
                    Event::TurnStarted { prompt, .. } => *started.entry(prompt.clone()).or_insert(0) += 1,
                    Event::TurnEnded { turn, .. } => *finished.entry(*turn).or_insert(0) += 1,
                    Event::QuestionAnswered { question, .. } | Event::QuestionDropped { question, .. } => {
                        *closed.entry(question.clone()).or_insert(0) += 1;
                    }
                    _ => {}
                }
            }
            for effect in decision.effects {
                if let Effect::Prepare { turn, .. } = effect {
                    *prepared.entry(turn).or_insert(0) += 1;
                }
            }
            log.extend(decision.events);
            prop_assert!(state.activity != Activity::Idle || state.queue.is_empty());
            let inserted = state.activity.inserted().iter().map(|inserted| &inserted.prompt);
            let held = state.queue.iter().chain(state.activity.prompt()).chain(inserted).map(|prompt| &prompt.id);
            let mut places: Vec<&PromptId> = held.chain(&served).chain(&moved).chain(&state.withdrawn).collect();
            places.sort();
            let mut accepted: Vec<&PromptId> = state.accepted.iter().map(|(id, _)| id).collect();
            accepted.sort();
            prop_assert_eq!(places, accepted);
        }
        prop_assert_eq!(SessionState::replay(&log), state);
        prop_assert!(started.values().chain(finished.values()).chain(prepared.values()).chain(closed.values()).all(|count| *count == 1));
        prop_assert!(finished.len() <= started.len());
    }

    /// However a session was interrupted, carrying out what it owes ends the running turn.
    #[test]
    fn what_is_owed_brings_a_turn_to_its_end(commands in prop::collection::vec(any_command(), 0..40)) {
        let mut state = SessionState::default();
        for command in commands {
            let _ = act(&mut state, command);
        }
        let mut steps = 0;
        while let Some(effect) = state.owed().into_iter().next() {
            let command = match effect {
                Effect::Prepare { turn, .. } => Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started },
                Effect::Sync { turn, .. } => Command::Synced { turn, at: Timestamp(7) },
                Effect::Prompt { turn, .. } | Effect::Cancel { turn, .. } => Command::AgentEnded { turn },
                Effect::Finish { turn, .. } => Command::Finished { turn, failure: None },
                Effect::CleanUp => Command::CleanedUp,
                Effect::PrepareInsert { .. } | Effect::Insert { .. } => unreachable!("the turn's own prompt comes first"),
                Effect::Tell { .. } | Effect::Retell { .. } => unreachable!("a notice is never owed"),
            };
            act(&mut state, command).unwrap();
            steps += 1;
            prop_assert!(steps < 100);
        }
        prop_assert_eq!(&state.activity, &Activity::Idle);
        prop_assert!(state.queue.is_empty());
    }
}

#[test]
fn a_sandbox_that_came_to_nothing_is_followed_by_another_in_the_same_turn() {
    let mut state = SessionState::default();
    let turn = TurnId(1);
    let give_up = || Command::GiveUpSandbox { turn, sandbox: sandbox() };
    act(&mut state, Command::Accept { prompt: prompt(1) }).unwrap();
    assert_eq!(act(&mut state, give_up()), Err(Rejection::StaleTurn));
    act(&mut state, Command::SandboxReady { turn, sandbox: sandbox(), origin: SandboxOrigin::Started }).unwrap();
    act(&mut state, synced(1)).unwrap();
    let given_up = act(&mut state, give_up()).unwrap();
    assert_eq!(given_up.effects, [Effect::Prepare { turn, prompt: prompt(1) }]);
    assert_eq!(act(&mut state, give_up()), Err(Rejection::StaleTurn), "once");
    assert_eq!(state.owed(), given_up.effects, "a restart goes on from there");
    assert_eq!(state.writes(), Writes::Held);
    // The other one is brought up anew: what the first had came to nothing with it.
    let other = SandboxId::parse("b-2").unwrap();
    let ready = act(&mut state, Command::SandboxReady { turn, sandbox: other.clone(), origin: SandboxOrigin::Started }).unwrap();
    let sync = Effect::Sync { turn, prompt: prompt(1), sandbox: other.clone(), checkout: Checkout::BringUp };
    assert_eq!(ready.effects, [sync, Effect::Prompt { turn, prompt: prompt(1), sandbox: other }]);
    let from = FallBack::RegistryAway;
    assert_eq!(act(&mut state, Command::FellBack { turn, from: from.clone() }).unwrap().events, [Event::FellBack { turn, from }]);
}
