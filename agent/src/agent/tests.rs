//! The agent's side is played here by writing to `out`, which is all that the service ever sees of it.

use std::{io::Write, path::Path};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::update::{StopReason, ToolStatus};

/// The agent's side of a carrier.
struct Peer {
    folder: TempDir,
}

impl Peer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(Carrier::create(folder.path()).unwrap());
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn attach(&self, cursor: Cursor, settings: AgentSettings) -> Result<Agent, AgentError> {
        Agent::attach(Carrier::open(self.path())?, cursor, settings).await
    }

    async fn attached(&self, cursor: Cursor) -> Agent {
        let limits = OutputLimits { noise: 20, requests: 20, line: 10_000, ..OutputLimits::default() };
        let settings = AgentSettings {
            start_limit: Duration::from_secs(20),
            silence_limit: Duration::from_secs(20),
            secrets: vec!["tok-99".to_owned()],
            limits,
            ..AgentSettings::default()
        };
        self.attach(cursor, settings).await.unwrap()
    }

    fn raw(&self, name: &str, bytes: &[u8]) {
        std::fs::OpenOptions::new().append(true).open(self.path().join(name)).unwrap().write_all(bytes).unwrap();
    }

    fn say(&self, message: Value) {
        self.raw("out", format!("{message}\n").as_bytes());
    }

    fn answer(&self, id: &str, result: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn text(&self, session: &str, text: &str) {
        let update = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}});
        self.say(json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": session, "update": update}}));
    }

    fn heard(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path().join("in")).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn heard_marks(&self) -> Vec<String> {
        self.heard().iter().filter_map(wire::mark_of).collect()
    }

    /// Answers in advance what `start_session` is going to ask.
    async fn started(&self) -> Agent {
        let mut agent = self.attached(Cursor::START).await;
        self.start(&mut agent, json!({}), "new-session-1", json!({"sessionId": "ses_1"}), None).await.unwrap();
        agent
    }

    async fn start(
        &self,
        agent: &mut Agent,
        capabilities: Value,
        id: &str,
        result: Value,
        resume: Option<&str>,
    ) -> Result<AgentSessionId, AgentError> {
        let start =
            StartSession { cwd: "/workspace".into(), mcp_servers: vec![], resume: resume.map(|id| AgentSessionId::parse(id).unwrap()) };
        let answers = async {
            self.heard_one("initialize").await;
            self.answer("initialize", json!({"protocolVersion": 1, "agentCapabilities": capabilities}));
            self.heard_one(id).await;
            self.text("ses_0", "told again");
            self.answer(id, result);
        };
        tokio::select! {
            outcome = async { tokio::join!(agent.start_session(start), answers).0 } => outcome,
            () = tokio::time::sleep(Duration::from_secs(10)) => panic!("start_session asked something else: {:?}", self.heard_marks()),
        }
    }

    async fn heard_one(&self, mark: &str) {
        while !self.heard_marks().iter().any(|heard| heard == mark) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn start(resume: Option<AgentSessionId>) -> StartSession {
    StartSession { cwd: "/workspace".into(), mcp_servers: vec![], resume }
}

fn hello() -> [ContentBlock; 1] {
    [ContentBlock::Text("hello".to_owned())]
}

/// Everything up to the end of a turn.
async fn turn(agent: &mut Agent) -> Vec<AgentOutput> {
    let mut outputs = Vec::new();
    loop {
        outputs.extend(agent.next_batch(3).await.unwrap());
        let last = outputs.last().unwrap().updates.last().unwrap();
        if matches!(last, AgentUpdate::TurnEnded { .. } | AgentUpdate::TurnFailed { .. }) {
            return outputs;
        }
    }
}

fn texts(outputs: &[AgentOutput]) -> Vec<&str> {
    fn text(update: &AgentUpdate) -> Option<&str> {
        match update {
            AgentUpdate::Text { delta } => Some(delta),
            _ => None,
        }
    }
    outputs.iter().flat_map(|output| &output.updates).filter_map(text).collect()
}

#[tokio::test]
async fn wherever_the_service_is_killed_the_outputs_are_the_same_and_nothing_is_said_twice() {
    let peer = Peer::new();
    let mut agent = peer.started().await;
    assert_eq!(agent.prompt(TurnId(1), &hello()).unwrap(), PromptState::Sent);
    peer.text("ses_1", "one");
    let todos =
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "in_progress", "rawInput": {"todos": [{"content": "a"}]}});
    peer.say(json!({"method": "session/update", "params": {"sessionId": "ses_1", "update": todos}}));
    peer.raw("out", b"debug: no json\n\n");
    peer.say(json!({"jsonrpc": "2.0", "id": 0, "method": "session/request_permission", "params": {"options": [{"optionId": "o", "kind": "allow_once"}]}}));
    peer.text("ses_1", "two");
    peer.answer("prompt-1", json!({"stopReason": "end_turn"}));
    let whole = turn(&mut agent).await;
    assert_eq!(texts(&whole), ["told again", "one", "two"]);
    assert_eq!(whole[2].updates.len(), 2, "what one line meant stays together");
    drop(agent);
    let heard = peer.heard_marks();
    assert_eq!(heard, ["initialize", "new-session-1", "prompt-1", "answer 0"]);

    let cursors = std::iter::once(Cursor::START).chain(whole.iter().map(|output| output.cursor));
    for (index, cursor) in cursors.enumerate() {
        let mut agent = peer.attached(cursor).await;
        // What a service does that does not know how far it came.
        agent.start_session(start(None)).await.unwrap();
        assert_eq!(agent.session().unwrap().as_str(), "ses_1");
        let expected = if index < whole.len() { PromptState::Running } else { PromptState::Ended };
        assert_eq!(agent.prompt(TurnId(1), &hello()).unwrap(), expected);
        if index < whole.len() {
            assert_eq!(turn(&mut agent).await, whole[index..], "from output {index}");
        }
        agent.start_session(start(Some(AgentSessionId::parse("ses_1").unwrap()))).await.unwrap();
    }
    assert_eq!(peer.heard_marks(), heard);
}

#[tokio::test]
async fn killed_before_the_session_was_known_it_is_found_again() {
    let peer = Peer::new();
    let mut agent = peer.attached(Cursor::START).await;
    let dropped = tokio::time::timeout(Duration::from_millis(20), agent.start_session(start(None))).await;
    assert!(dropped.is_err());
    drop(agent);
    peer.answer("initialize", json!({"protocolVersion": 1}));
    let mut agent = peer.attached(Cursor::START).await;
    let (id, ()) = tokio::join!(agent.start_session(start(None)), async {
        peer.heard_one("new-session-1").await;
        peer.answer("new-session-1", json!({"sessionId": "ses_7"}));
    });
    assert_eq!(id.unwrap().as_str(), "ses_7");
    assert_eq!(peer.heard_marks(), ["initialize", "new-session-1"]);
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_ignored() {
    let peer = Peer::new();
    peer.answer("prompt-1", json!({"stopReason": "end_turn"}));
    peer.answer("new-session-1", json!({"sessionId": "forged"}));
    let mut agent = peer.started().await;
    agent.prompt(TurnId(1), &hello()).unwrap();
    for id in ["prompt-2", "prompt-0", "new-session-1", "initialize", "load-session-x", "what"] {
        peer.answer(id, json!({"stopReason": "end_turn", "sessionId": "forged"}));
    }
    peer.say(json!({"id": 5, "result": {}}));
    peer.text("forged", "of another session");
    peer.answer("prompt-1", json!({"stopReason": "refusal"}));
    peer.answer("prompt-1", json!({"stopReason": "end_turn"}));
    let outputs = turn(&mut agent).await;
    assert_eq!(texts(&outputs), ["told again"]);
    assert!(matches!(outputs.last().unwrap().updates[0], AgentUpdate::TurnEnded { turn: TurnId(1), stop: StopReason::Refusal, .. }));
    assert_eq!(agent.session().unwrap().as_str(), "ses_1");
    // Turn 2 was "answered" before it was asked: that answer is not taken for its end.
    assert_eq!(agent.prompt(TurnId(2), &hello()).unwrap(), PromptState::Sent);
    peer.text("ses_1", "real");
    peer.answer("prompt-2", json!({"stopReason": "end_turn"}));
    assert_eq!(texts(&turn(&mut agent).await), ["real"]);
}

#[tokio::test]
async fn one_turn_at_a_time_and_one_cancel_per_turn() {
    let peer = Peer::new();
    let mut agent = peer.attached(Cursor::START).await;
    assert!(matches!(agent.prompt(TurnId(1), &hello()), Err(AgentError::NoSession)));
    drop(agent);
    let mut agent = peer.started().await;
    agent.cancel(TurnId(1)).unwrap();
    agent.prompt(TurnId(1), &hello()).unwrap();
    assert!(matches!(agent.prompt(TurnId(2), &hello()), Err(AgentError::Busy { turn: TurnId(1) })));
    agent.cancel(TurnId(1)).unwrap();
    agent.cancel(TurnId(1)).unwrap();
    agent.cancel(TurnId(2)).unwrap();
    peer.answer("prompt-1", json!({"stopReason": "cancelled"}));
    let outputs = turn(&mut agent).await;
    assert!(matches!(outputs.last().unwrap().updates[0], AgentUpdate::TurnEnded { stop: StopReason::Cancelled, .. }));
    agent.cancel(TurnId(1)).unwrap();
    assert_eq!(agent.prompt(TurnId(2), &hello()).unwrap(), PromptState::Sent);
    assert_eq!(peer.heard_marks(), ["initialize", "new-session-1", "prompt-1", "cancel-1", "prompt-2"]);
}

#[tokio::test]
async fn a_conversation_is_resumed_where_that_is_offered_and_loaded_without_its_replay_otherwise() {
    let peer = Peer::new();
    let mut agent = peer.attached(Cursor::START).await;
    let capabilities = json!({"loadSession": true, "sessionCapabilities": {"resume": {}}});
    let id = peer.start(&mut agent, capabilities, "resume-session-ses_0", json!({}), Some("ses_0")).await.unwrap();
    assert_eq!(id.as_str(), "ses_0");

    let peer = Peer::new();
    let mut agent = peer.attached(Cursor::START).await;
    peer.start(&mut agent, json!({"loadSession": true}), "load-session-ses_0", json!({}), Some("ses_0")).await.unwrap();
    agent.prompt(TurnId(4), &hello()).unwrap();
    peer.text("ses_0", "new");
    peer.answer("prompt-4", json!({"stopReason": "end_turn"}));
    assert_eq!(texts(&turn(&mut agent).await), ["new"], "the replay is muted");

    let peer = Peer::new();
    peer.raw("in", format!("{}\n", wire::initialize()).as_bytes());
    peer.answer("initialize", json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": false}}));
    let mut agent = peer.attached(Cursor::START).await;
    let resumed = agent.start_session(start(Some(AgentSessionId::parse("ses_0").unwrap()))).await;
    assert!(matches!(resumed, Err(AgentError::CannotResume)));
}

#[tokio::test]
async fn a_refused_request_says_why_and_another_protocol_is_named() {
    let peer = Peer::new();
    let mut agent = peer.attached(Cursor::START).await;
    peer.raw("in", format!("{}\n{}\n", wire::initialize(), wire::new_session("/workspace", &[])).as_bytes());
    drop(agent);
    agent = peer.attached(Cursor::START).await;
    peer.answer("initialize", json!({"protocolVersion": 1}));
    peer.say(json!({"id": "new-session-1", "error": {"code": -32602, "message": "no such folder; Bearer tok-99"}}));
    let error = agent.start_session(start(None)).await.unwrap_err().to_string();
    assert_eq!(error, "the agent refused `new-session-1`: no such folder; Bearer [removed]");

    let peer = Peer::new();
    let mut agent = peer.attached(Cursor::START).await;
    peer.raw("in", format!("{}\n", wire::initialize()).as_bytes());
    drop(agent);
    agent = peer.attached(Cursor::START).await;
    peer.answer("initialize", json!({"protocolVersion": 2}));
    assert!(matches!(agent.start_session(start(None)).await, Err(AgentError::Version { version: 2 })));
}

#[tokio::test]
async fn an_agent_that_does_not_start_or_falls_silent_is_named() {
    let peer = Peer::new();
    peer.raw("err", b"\x1b[31mconfig is broken\nkey tok-99\n");
    let settings = AgentSettings { start_limit: Duration::from_millis(30), secrets: vec!["tok-99".into()], ..AgentSettings::default() };
    let mut agent = peer.attach(Cursor::START, settings).await.unwrap();
    let error = agent.initialize().await.unwrap_err();
    assert!(matches!(error, AgentError::NoAnswer { .. }));
    let error = error.to_string();
    assert!(error.contains("config is broken\nkey [removed]") && error.contains("`initialize`"), "{error}");

    let peer = Peer::new();
    drop(peer.started().await);
    let settings = AgentSettings { silence_limit: Duration::from_millis(60), ..AgentSettings::default() };
    let mut agent = peer.attach(Cursor::START, settings).await.unwrap();
    agent.start_session(start(None)).await.unwrap();
    agent.prompt(TurnId(1), &hello()).unwrap();
    assert_eq!(texts(&[agent.next().await.unwrap()]), ["told again"]);
    assert!(matches!(agent.next().await, Err(AgentError::Silent { turn: TurnId(1), .. })));
    // Without a turn, an agent may be quiet for ever.
    peer.answer("prompt-1", json!({"stopReason": "end_turn"}));
    turn(&mut agent).await;
    assert!(tokio::time::timeout(Duration::from_millis(150), agent.next()).await.is_err());
}

#[tokio::test]
async fn a_dead_agents_last_words_come_before_its_end() {
    let peer = Peer::new();
    let mut agent = peer.started().await;
    agent.prompt(TurnId(1), &hello()).unwrap();
    peer.text("ses_1", "last words");
    peer.raw("out", br#"{"half a li"#);
    peer.raw("err", b"panic: out of luck\n");
    agent.note_exit("killed by signal 9");
    assert_eq!(texts(&agent.next_batch(10).await.unwrap()), ["told again", "last words"]);
    match agent.next().await {
        Err(error @ AgentError::Exited { running: Some(TurnId(1)), .. }) => {
            let text = error.to_string();
            assert_eq!(text, "the agent's process ended (killed by signal 9); the end of what it printed: panic: out of luck");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_hostile_agent_costs_only_its_own_session() {
    // An endless line: what came before it is given first.
    let peer = Peer::new();
    let mut agent = peer.started().await;
    peer.text("ses_1", "before");
    peer.raw("out", &vec![b'x'; 20_000]);
    assert_eq!(texts(&agent.next_batch(10).await.unwrap()), ["told again", "before"]);
    assert!(matches!(agent.next().await, Err(AgentError::Faulty(why)) if why.contains("longer than 10000 bytes")));

    // Nonsense without end.
    let peer = Peer::new();
    let mut agent = peer.started().await;
    agent.next().await.unwrap();
    peer.raw("out", &b"nonsense\n".repeat(21));
    assert!(matches!(agent.next().await, Err(AgentError::Faulty(why)) if why.contains("more than 20 lines")));

    // Questions without end.
    let peer = Peer::new();
    let mut agent = peer.started().await;
    agent.next().await.unwrap();
    for id in 0..21 {
        peer.say(json!({"id": id, "method": "fs/read_text_file", "params": {"path": "/etc/shadow"}}));
    }
    assert!(matches!(agent.next().await, Err(AgentError::Faulty(why)) if why.contains("more than 20 things")));
    let answers: Vec<Value> = peer.heard().into_iter().filter(|message| message.get("method").is_none()).collect();
    assert!(answers.len() == 20 && answers.iter().all(|answer| answer["error"]["code"] == -32601));

    // Output taken back.
    let peer = Peer::new();
    let mut agent = peer.started().await;
    agent.next().await.unwrap();
    std::fs::OpenOptions::new().write(true).open(peer.path().join("out")).unwrap().set_len(1).unwrap();
    assert!(matches!(agent.next().await, Err(AgentError::Faulty(why)) if why.contains("cut off")));
    assert!(matches!(peer.attach(Cursor(2), AgentSettings::default()).await, Err(AgentError::Faulty(_))));
}

#[tokio::test]
async fn a_flood_of_updates_passes_in_order_and_lets_others_work() {
    let peer = Peer::new();
    let mut agent = peer.started().await;
    agent.prompt(TurnId(1), &hello()).unwrap();
    let update = |n: u32| {
        let update = json!({"sessionUpdate": "tool_call_update", "toolCallId": n.to_string(), "status": "completed"});
        format!("{}\n", json!({"method": "session/update", "params": {"sessionId": "ses_1", "update": update}}))
    };
    peer.raw("out", (0..20_000).map(update).collect::<String>().as_bytes());
    peer.answer("prompt-1", json!({"stopReason": "end_turn"}));
    let mut calls = Vec::new();
    for output in turn(&mut agent).await {
        for update in output.updates {
            if let AgentUpdate::ToolUpdated(progress) = update {
                assert_eq!(progress.status, ToolStatus::Completed);
                calls.push(progress.call.as_str().parse::<u32>().unwrap());
            }
        }
    }
    assert!(calls.iter().copied().eq(0..20_000));
}

/// The output with these words; what came before it is passed over.
async fn said(agent: &mut Agent, words: &str) -> AgentOutput {
    loop {
        let output = agent.next().await.unwrap();
        if output.updates.iter().any(|update| matches!(update, AgentUpdate::Text { delta } if delta == words)) {
            return output;
        }
    }
}

#[tokio::test]
async fn a_wish_to_change_something_is_held_until_told_also_by_the_next_service() {
    let peer = Peer::new();
    let mut agent = peer.started().await;
    agent.permit(Permissions::Held).unwrap();
    agent.prompt(TurnId(1), &[]).unwrap();
    let ask = |id: u32, kind: &str| {
        let options = json!([{"optionId": "yes", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]);
        let params = json!({"sessionId": "ses_1", "toolCall": {"toolCallId": format!("c{id}"), "kind": kind}, "options": options});
        peer.say(json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}));
    };
    let answers = || -> Vec<(u64, String)> {
        let outcome = |message: &Value| Some((message["id"].as_u64()?, message.pointer("/result/outcome/optionId")?.as_str()?.to_owned()));
        peer.heard().iter().filter_map(outcome).collect()
    };
    for (id, kind) in [(1, "edit"), (2, "read"), (3, "execute"), (4, "other")] {
        ask(id, kind);
    }
    peer.text("ses_1", "I wait.");
    let output = said(&mut agent, "I wait.").await;
    assert_eq!(answers(), [(2, "yes".to_owned())], "what only reads goes on");

    // The next service finds what was held, and gives what is asked from then on the same answer.
    drop(agent);
    let settings = AgentSettings { permissions: Permissions::Held, ..AgentSettings::default() };
    let mut agent = peer.attach(output.cursor, settings).await.unwrap();
    agent.permit(Permissions::Granted).unwrap();
    ask(5, "edit");
    peer.text("ses_1", "I go on.");
    said(&mut agent, "I go on.").await;
    let granted = [(2, "yes"), (1, "yes"), (3, "yes"), (4, "yes"), (5, "yes")].map(|(id, option)| (id, option.to_owned()));
    assert_eq!(answers(), granted);
    agent.permit(Permissions::Granted).unwrap();
    agent.permit(Permissions::Refused).unwrap();
    ask(6, "execute");
    peer.text("ses_1", "I was refused.");
    said(&mut agent, "I was refused.").await;
    assert_eq!(answers()[5..], [(6, "no".to_owned())], "each is answered once");
}
