//! The real OpenCode on this machine, started as a sandbox starts it, against a scripted model and a small tool server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail the test")]

mod world;

use std::time::Duration;

use longshore_agent::{
    Agent, AgentError, AgentKind, AgentOutput, AgentSessionId, AgentSettings, AgentUpdate, Carrier, ContentBlock, Cursor, InsertState,
    PlanStatus, PromptState, StartSession, StopReason, ToolStatus,
};
use longshore_session::{PromptId, TurnId};
use tokio::time::Instant;
use world::{Process, World, eventually};

/// No step of any test takes longer on a machine that works.
const LIMIT: Duration = Duration::from_secs(90);

async fn attach(carrier: Carrier, cursor: Cursor) -> Agent {
    let settings = AgentSettings { start_limit: LIMIT, silence_limit: LIMIT, ..AgentSettings::default() };
    Agent::attach(carrier, cursor, settings).await.unwrap()
}

/// Takes up the agent of this generation, as the service does at its start.
async fn take_up(world: &World, generation: &str, cursor: Cursor) -> Agent {
    attach(Carrier::open(&world.carrier(generation)).unwrap(), cursor).await
}

/// The first generation, with a new conversation.
async fn begin(world: &World) -> (Process, Agent, AgentSessionId) {
    let process = world.start_agent("first");
    let mut agent = take_up(world, "first", Cursor::START).await;
    let id = agent.start_session(world.session(None)).await.unwrap();
    (process, agent, id)
}

fn say(text: &str) -> [ContentBlock; 1] {
    [ContentBlock::Text(text.to_owned())]
}

async fn next(agent: &mut Agent) -> AgentOutput {
    tokio::time::timeout(LIMIT, agent.next()).await.expect("the agent goes on").unwrap()
}

async fn until(agent: &mut Agent, wanted: impl Fn(&AgentUpdate) -> bool) -> Vec<AgentOutput> {
    let mut outputs = Vec::new();
    loop {
        outputs.push(next(agent).await);
        if outputs.last().unwrap().updates.iter().any(&wanted) {
            return outputs;
        }
    }
}

fn ends(update: &AgentUpdate) -> bool {
    matches!(update, AgentUpdate::TurnEnded { .. } | AgentUpdate::TurnFailed { .. })
}

fn runs_a_command(update: &AgentUpdate) -> bool {
    update.doing().is_some_and(|doing| doing.starts_with("Running until"))
}

fn updates(outputs: &[AgentOutput]) -> Vec<&AgentUpdate> {
    outputs.iter().flat_map(|output| &output.updates).collect()
}

fn text(outputs: &[AgentOutput]) -> String {
    fn text(update: &AgentUpdate) -> Option<&str> {
        match update {
            AgentUpdate::Text { delta } => Some(delta),
            _ => None,
        }
    }
    updates(outputs).into_iter().filter_map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_with_tools_then_a_cancelled_one_then_a_refused_one() {
    let world = World::new().await;
    let started = Instant::now();
    let process = world.start_agent("first");
    let mut agent = take_up(&world, "first", Cursor::START).await;
    agent.initialize().await.unwrap();
    let initialized = started.elapsed();
    agent.start_session(world.session(None)).await.unwrap();
    let in_session = started.elapsed();

    assert_eq!(agent.prompt(TurnId(1), &say("mend the greeting")).unwrap(), PromptState::Sent);
    let prompted = Instant::now();
    let mut outputs = vec![next(&mut agent).await];
    let first_output = prompted.elapsed();
    outputs.extend(until(&mut agent, ends).await);
    eprintln!(
        "initialize {initialized:?}, first session/new {:?}, prompt to first output {first_output:?}, turn {:?}",
        in_session - initialized,
        prompted.elapsed()
    );

    let all = updates(&outputs);
    let doing: Vec<String> = all.iter().filter_map(|update| update.doing()).collect();
    for step in
        ["Reading greeting.py", "Editing greeting.py", "Editing notes.txt", "Planning", "Running python3 greeting.py", "Posting an update"]
    {
        assert!(doing.iter().any(|doing| doing == step), "{step} is not in {doing:?}");
    }
    let change = all.iter().find_map(|update| match update {
        AgentUpdate::ToolUpdated(progress) if progress.status == ToolStatus::Completed => progress.diff.clone(),
        _ => None,
    });
    let change = change.expect("the edit tells what it changed");
    assert_eq!((change.old.as_deref(), change.new.as_str()), (Some("helo"), "hello"));
    assert!(all.iter().any(|update| matches!(update, AgentUpdate::Plan { entries } if entries[0].status == PlanStatus::Completed)));
    assert!(all.iter().any(|update| matches!(update, AgentUpdate::Usage { context_size: 200_000, .. })));
    assert!(all.iter().any(|update| matches!(update, AgentUpdate::ToolUpdated(progress) if progress.exit_code == Some(0)
        && progress.output.as_deref() == Some("hello\n"))));
    assert_eq!(text(&outputs), "All mended.");
    assert!(matches!(all.last().unwrap(), AgentUpdate::TurnEnded { turn: TurnId(1), stop: StopReason::EndTurn, usage: Some(_) }));
    assert_eq!(std::fs::read_to_string(world.workspace().join("greeting.py")).unwrap(), "print('hello')\n");
    assert_eq!(world.tool_calls(), ["post_update"]);
    let system = world.system_prompt();
    assert!(system.contains("open_pull_request") && system.contains("PROJECT-RULE"), "our instructions and the project's own");
    world.assert_all_authorized();

    // Cancelled in the middle of a command, the session goes on.
    agent.prompt(TurnId(2), &say("wait for it")).unwrap();
    until(&mut agent, runs_a_command).await;
    let asked = Instant::now();
    agent.cancel(TurnId(2)).unwrap();
    let outputs = until(&mut agent, ends).await;
    eprintln!("cancel {:?}", asked.elapsed());
    assert!(matches!(updates(&outputs).last().unwrap(), AgentUpdate::TurnEnded { turn: TurnId(2), stop: StopReason::Cancelled, .. }));

    // The provider's own words come through.
    agent.prompt(TurnId(3), &say("pay")).unwrap();
    let outputs = until(&mut agent, ends).await;
    let failed = updates(&outputs).last().copied().cloned().unwrap();
    assert_eq!(failed, AgentUpdate::TurnFailed { turn: TurnId(3), message: "this session's budget is spent".to_owned() });
    assert!(!world.home().join(".npm").exists(), "nothing was installed at the start");
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_outlives_the_service_without_a_lost_or_a_doubled_update() {
    let world = World::new().await;
    let (process, mut agent, id) = begin(&world).await;
    agent.prompt(TurnId(1), &say("wait for it")).unwrap();
    let mut seen = until(&mut agent, runs_a_command).await;

    // The service dies while it writes a line, and the turn goes on without it.
    drop(agent);
    world.append("first", "in", br#"{"jsonrpc":"2.0","id":"prompt-2","method":"session/pro"#);
    world.append("first", "out", b"a library prints what is no message\n");
    world.let_go();
    world.wait_for_output("first", "\"prompt-1\"").await;

    let cursor = seen.last().unwrap().cursor;
    let mut agent = take_up(&world, "first", cursor).await;
    assert_eq!(agent.start_session(world.session(Some(id.clone()))).await.unwrap(), id);
    assert_eq!(agent.prompt(TurnId(1), &say("wait for it")).unwrap(), PromptState::Running);
    seen.extend(until(&mut agent, ends).await);
    assert_eq!(text(&seen), "Waited.");

    // The torn line was skipped; the prompt that it was to be is sent whole.
    assert_eq!(agent.prompt(TurnId(2), &say("recall")).unwrap(), PromptState::Sent);
    seen.extend(until(&mut agent, ends).await);
    assert_eq!(text(&seen), "Waited.You said: wait for it");
    assert_eq!(world.prompts_seen(), ["wait for it", "recall"]);
    drop(agent);

    let mut again = take_up(&world, "first", Cursor::START).await;
    again.start_session(world.session(Some(id))).await.unwrap();
    let mut whole = until(&mut again, ends).await;
    whole.extend(until(&mut again, ends).await);
    assert_eq!(whole, seen, "read in two parts or in one, the same");
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_goes_on_with_its_conversation_in_the_next_generation() {
    let world = World::new().await;
    let (process, mut agent, id) = begin(&world).await;
    agent.prompt(TurnId(1), &say("recall the blue door")).unwrap();
    until(&mut agent, ends).await;
    agent.prompt(TurnId(2), &say("wait for it")).unwrap();
    until(&mut agent, runs_a_command).await;
    process.end().await;
    agent.note_exit("killed");
    let error = loop {
        match agent.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AgentError::Exited { running: Some(TurnId(2)), .. }), "{error}");

    let started = Instant::now();
    let process = world.start_agent("second");
    let mut agent = take_up(&world, "second", Cursor::START).await;
    let resumed: StartSession = world.session(Some(id.clone()));
    assert_eq!(agent.start_session(resumed).await.unwrap(), id);
    eprintln!("start to resumed {:?}", started.elapsed());
    agent.prompt(TurnId(3), &say("recall")).unwrap();
    let outputs = until(&mut agent, ends).await;
    assert_eq!(text(&outputs), "You said: recall the blue door, wait for it");
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_inserted_joins_the_running_turn_once() {
    let world = World::new().await;
    let (process, mut agent, id) = begin(&world).await;
    agent.prompt(TurnId(1), &say("wait for it")).unwrap();
    let mut seen = until(&mut agent, runs_a_command).await;
    let added = PromptId::parse("p-added").unwrap();
    assert_eq!(agent.insert(TurnId(1), &added, &say("recall")).unwrap(), InsertState::Taken);

    // The service dies and asks again.
    drop(agent);
    let mut agent = take_up(&world, "first", seen.last().unwrap().cursor).await;
    agent.start_session(world.session(Some(id.clone()))).await.unwrap();
    assert_eq!(agent.prompt(TurnId(1), &say("wait for it")).unwrap(), PromptState::Running);
    assert_eq!(agent.insert(TurnId(1), &added, &say("recall")).unwrap(), InsertState::Taken);
    world.let_go();
    seen.extend(until(&mut agent, ends).await);
    assert_eq!(text(&seen), "You said: wait for it", "the turn's next step answers what was inserted");
    assert_eq!(world.prompts_seen(), ["wait for it", "recall"]);
    assert_eq!(agent.running().count(), 0, "both requests were answered when the turn ended");

    // The turn is over: it would begin another one.
    let late = PromptId::parse("p-late").unwrap();
    assert_eq!(agent.insert(TurnId(1), &late, &say("recall")).unwrap(), InsertState::TooLate);

    // Stopped, both end.
    std::fs::remove_file(world.workspace().join("go")).unwrap();
    agent.prompt(TurnId(2), &say("wait for it")).unwrap();
    until(&mut agent, runs_a_command).await;
    let other = PromptId::parse("p-other").unwrap();
    assert_eq!(agent.insert(TurnId(2), &other, &say("recall")).unwrap(), InsertState::Taken);
    agent.cancel(TurnId(2)).unwrap();
    let outputs = until(&mut agent, ends).await;
    assert!(matches!(updates(&outputs).last().unwrap(), AgentUpdate::TurnEnded { turn: TurnId(2), stop: StopReason::Cancelled, .. }));
    agent.prompt(TurnId(3), &say("recall")).unwrap();
    until(&mut agent, ends).await;
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_holds_changes_and_refuses_tool_calls_also_of_subagents() {
    let world = World::new().await;
    let process = world.start_agent("first");
    let mut agent = attach(Carrier::open(&world.carrier("first")).unwrap(), Cursor::START).await;
    agent.start_session(world.session(None)).await.unwrap();
    let file = |name: &str| world.workspace().join(name);
    let reads = |update: &AgentUpdate| update.doing().is_some_and(|doing| doing == "Reading greeting.py");
    let is_read = |update: &AgentUpdate| matches!(update, AgentUpdate::ToolUpdated(progress) if progress.status == ToolStatus::Completed);

    // A write is held while a read beside it comes to its end; a service that is away opens nothing and fails nothing.
    world.close(&["write", "bash"]);
    agent.prompt(TurnId(1), &say("read beside a write")).unwrap();
    let mut outputs = until(&mut agent, reads).await;
    outputs.extend(until(&mut agent, is_read).await);
    world.wait_for_next_question(0, "write").await;
    world.leave_hook(true);
    let asked = world.questions().len();
    eventually(|| world.questions().len() >= asked + 2, "further questions to the hook that is away").await;
    assert!(!file("held.txt").exists());
    world.leave_hook(false);
    world.close(&[]);
    outputs.extend(until(&mut agent, ends).await);
    assert_eq!(std::fs::read_to_string(file("held.txt")).unwrap(), "written\n");
    let failed = |update: &&AgentUpdate| matches!(update, AgentUpdate::ToolUpdated(progress) if progress.status == ToolStatus::Failed);
    assert_eq!(updates(&outputs).into_iter().filter(failed).count(), 0);
    let reads_asked = world.questions().iter().filter(|(tool, _)| tool == "read").count();
    assert_eq!(reads_asked, 1, "{:?}", world.questions());

    // Refused with a reason, changed, and annotated; the turn goes on.
    agent.prompt(TurnId(2), &say("run what is asked")).unwrap();
    let outputs = until(&mut agent, ends).await;
    let results = world.results();
    let told = |text: &str| results.iter().filter(|result| result.contains(text)).count();
    assert_eq!((told("REASON: this is not done here"), told("changed"), told("asked")), (1, 1, 0), "{results:?}");
    assert_eq!(told("NOTE: mind the style guide."), 1, "{results:?}");
    assert_eq!(updates(&outputs).into_iter().filter(failed).count(), 1);
    assert!(matches!(updates(&outputs).last().unwrap(), AgentUpdate::TurnEnded { stop: StopReason::EndTurn, .. }));
    assert!(file("noted.txt").exists());

    // Nothing is asked about what was said to be free, in a conversation of the subagent's own neither; its write is.
    world.close(&["write"]);
    let before = world.questions().len();
    agent.prompt(TurnId(3), &say("delegate")).unwrap();
    world.wait_for_next_question(before, "write").await;
    assert!(!file("part.txt").exists());
    let questions = world.questions();
    let conversation = |wanted: &str| questions[before..].iter().find(|(tool, _)| tool == wanted).unwrap().1.clone();
    assert_ne!(conversation("task"), conversation("write"), "the subagent has a conversation of its own");
    world.close(&[]);
    until(&mut agent, ends).await;
    assert!(file("part.txt").exists());

    // A turn that is stopped while a call is held ends, and what was held is never done.
    std::fs::remove_file(file("held.txt")).unwrap();
    world.close(&["write"]);
    let before = world.questions().len();
    agent.prompt(TurnId(4), &say("read beside a write")).unwrap();
    world.wait_for_next_question(before, "write").await;
    let asked = Instant::now();
    agent.cancel(TurnId(4)).unwrap();
    let outputs = until(&mut agent, ends).await;
    eprintln!("cancel while a call is held {:?}", asked.elapsed());
    assert!(matches!(updates(&outputs).last().unwrap(), AgentUpdate::TurnEnded { stop: StopReason::Cancelled, .. }));
    world.assert_all_authorized();
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primed_agent_is_quick_and_shows_nothing_of_the_priming() {
    let world = World::new().await;
    let process = world.start_agent("first");
    let begun = Instant::now();
    let mut agent = attach(Carrier::open(&world.carrier("first")).unwrap(), Cursor::START).await;
    let cursor = agent.prime(&world.session(None), "Say ok.").await.unwrap();
    let primed = begun.elapsed();
    assert_eq!(world.prompts_seen(), ["Say ok."]);
    // Its title is asked for beside the prompt, and may come later.
    eventually(|| world.titles() > 0, "a title").await;
    let cursor = cursor.max(agent.pass_over());
    drop(agent);

    // Somebody else takes it from here, as after a claim.
    let claimed = Instant::now();
    let mut agent = attach(Carrier::open(&world.carrier("first")).unwrap(), cursor).await;
    let id = agent.start_session(world.session(None)).await.unwrap();
    let in_session = claimed.elapsed();
    assert_eq!(agent.prompt(TurnId(1), &say("recall the blue door")).unwrap(), PromptState::Sent);
    let prompted = Instant::now();
    let mut seen = until(&mut agent, ends).await;
    eprintln!("primed in {primed:?}; start_session {in_session:?}, prompt to model request {:?}", world.asked_at() - prompted);
    assert_eq!(text(&seen), "You said: recall the blue door");
    assert_eq!(world.prompts_seen(), ["recall the blue door"], "the model hears nothing of the other conversation");
    assert_eq!(agent.prompt(TurnId(2), &say("mend the greeting")).unwrap(), PromptState::Sent);
    seen.extend(until(&mut agent, ends).await);
    assert_eq!(world.tool_calls(), ["post_update"], "the tools that the session was given work");
    assert_eq!(world.model_asked(), "big");
    let begun = Instant::now();
    for _ in 0..2 {
        agent.use_model(&AgentKind::OpenCode.model_id("other")).await.unwrap();
    }
    eprintln!("another model after {:?}", begun.elapsed());
    agent.prompt(TurnId(3), &say("recall")).unwrap();
    seen.extend(until(&mut agent, ends).await);
    assert_eq!(world.model_asked(), "other");

    // Read again from where the claim began, it is the same, and the conversation can be taken up as any other.
    drop(agent);
    let mut again = attach(Carrier::open(&world.carrier("first")).unwrap(), cursor).await;
    assert_eq!(again.start_session(world.session(Some(id.clone()))).await.unwrap(), id);
    let mut whole = until(&mut again, ends).await;
    for _ in 2..=3 {
        whole.extend(until(&mut again, ends).await);
    }
    assert_eq!(whole, seen);
    process.end().await;
}
