//! What holds whatever an agent writes. Each target takes any bytes and panics where something does not hold; the tests here and `fuzz/` drive
//! them. See `docs/fuzzing.md`.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::Write,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use longshore_session::TurnId;
use serde_json::Value;

use crate::{
    agent::{Agent, AgentOutput, AgentSettings},
    carrier::Carrier,
    output::{Cursor, OutputLimits, OutputReader},
    update::{AgentSessionId, AgentUpdate, interpret},
    wire::{self, Consent, Incoming},
};

/// What a line may cost when it is kept, however long it is: the bounds of `update.rs` together, and JSON's escapes.
const KEPT: usize = 2 << 20;

pub const MESSAGES: &[&[u8]] = &[
    br#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_1","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"one \u00fc \ud83d\ude00"}}}}"#,
    br#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_1","update":{"sessionUpdate":"tool_call","toolCallId":"c1","title":"bash","kind":"execute","status":"failed","rawInput":{"command":["ls","-l"]}}}}"#,
    br#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_1","update":{"sessionUpdate":"tool_call_update","toolCallId":"c1","status":"completed","title":"a.py","content":[{"type":"content","content":{"type":"text","text":"ok"}},{"type":"diff","path":"a.py","oldText":"hi","newText":"ho"}],"rawOutput":{"metadata":{"exit":3}}}}}"#,
    br#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_1","update":{"sessionUpdate":"plan","entries":[{"content":"one","status":"in_progress","priority":"low"},7]}}}"#,
    br#"{"jsonrpc":"2.0","id":"prompt-1","result":{"stopReason":"end_turn","usage":{"inputTokens":100,"outputTokens":10}}}"#,
    br#"{"jsonrpc":"2.0","id":"prompt-1","error":{"code":-32603,"message":"Internal error: budget spent"}}"#,
    br#"{"jsonrpc":"2.0","id":"p","method":"session/request_permission","params":{"sessionId":"ses_1","toolCall":{"toolCallId":"c1","kind":"edit"},"options":[{"optionId":"yes","kind":"allow_once"},{"optionId":"no","kind":"reject_once"}]}}"#,
    br#"{"jsonrpc":"2.0","id":7,"method":"fs/read_text_file","params":{"path":"/etc/passwd"}}"#,
];

/// One line: it means the same each time, costs a bounded amount, is stored and read back unchanged, and what we answer to it is short and
/// answers that request alone.
pub fn message(line: &[u8]) {
    let updates = interpret(line);
    assert_eq!(updates, interpret(line));
    let stored = serde_json::to_string(&updates).unwrap();
    assert!(stored.len() <= KEPT, "{} bytes are kept", stored.len());
    assert_eq!(serde_json::from_str::<Vec<AgentUpdate>>(&stored).unwrap(), updates);
    if let Ok(Incoming::Request { id, method, params }) = wire::parse(line) {
        for consent in [Consent::Once, Consent::No] {
            let answer = wire::answer(id.clone(), &method, &params, consent);
            assert_eq!(wire::mark_of(&answer), Some(wire::answer_mark(&id)));
            let text = answer.to_string();
            assert!(text.len() < 4096 && !text.contains('\n'), "{text}");
            let chosen = answer.pointer("/result/outcome/optionId");
            let options = params.get("options").and_then(Value::as_array);
            if let (Some(chosen), Some(options)) = (chosen, options) {
                let way = if consent == Consent::Once { "allow" } else { "reject" };
                let kinds = options.iter().filter(|option| option.get("optionId") == Some(chosen)).map(|option| &option["kind"]);
                assert!(kinds.into_iter().any(|kind| kind.as_str().is_some_and(|kind| kind.starts_with(way))), "{text}");
            }
        }
    }
}

pub const IDS: &[&[u8]] = &[b"prompt-1", b"insert-3-p-7-a", b"resume-session-ses_1", b"load-session-ses_1", b"new-session-1", b"ses_1"];

/// Only ids that we would give ourselves name something of ours.
pub fn id(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(turn) = wire::prompted_turn(&text) {
        let exact = text == wire::prompt_id(turn) || text.starts_with(&format!("insert-{turn}-"));
        assert!(exact, "{text} named turn {turn}");
    }
    if let Some(session) = wire::restored_session(&text) {
        assert!(text.ends_with(session.as_str()) && text.contains("-session-"));
    }
    if let Ok(id) = AgentSessionId::parse(text.clone()) {
        assert_eq!(id.as_str(), text);
        assert!(text.len() <= 1024 && text.is_ascii());
    }
}

/// What an agent may cost in these targets: little, so that the limits are met.
const LIMITS: OutputLimits = OutputLimits { line: 600, total: 1 << 20, noise: 6, requests: 4, pieces: 12 };

/// The output cut at any places: the same lines, each once, no longer than the limit, and no more held than one of them and what is being read.
pub fn output(bytes: &[u8]) {
    let (size, bytes) = cut(bytes);
    let file = Scratch::new();
    let mut writer = OpenOptions::new().append(true).create(true).open(file.0.join("out")).unwrap();
    let mut reader = OutputReader::open(std::fs::File::open(file.0.join("out")).unwrap(), Cursor::START, LIMITS).unwrap();
    let (mut lines, mut broken) = (Vec::new(), false);
    for chunk in bytes.chunks(size) {
        writer.write_all(chunk).unwrap();
        while !broken {
            match reader.next_line() {
                Ok(Some(line)) => lines.push(line.bytes),
                Ok(None) => break,
                Err(_) => broken = true,
            }
            assert!(reader.held() <= LIMITS.line + (64 << 10), "{} bytes are held", reader.held());
        }
    }
    let mut whole: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let torn = whole.pop().unwrap_or_default();
    let good = whole.iter().take_while(|line| line.len() <= LIMITS.line).count();
    assert_eq!(lines, whole[..good]);
    assert_eq!(broken, good < whole.len() || torn.len() > LIMITS.line);
}

pub const OUTPUTS: &[&[u8]] = &[CONVERSATION.as_bytes(), WRONG.as_bytes()];

/// A turn as it should be; the first byte says how the output is cut.
const CONVERSATION: &str = concat!(
    "\u{7}",
    "{\"jsonrpc\":\"2.0\",\"id\":\"initialize\",\"result\":{\"protocolVersion\":1,\"agentCapabilities\":{\"loadSession\":true}}}\n",
    "{\"jsonrpc\":\"2.0\",\"id\":\"new-session-1\",\"result\":{\"sessionId\":\"ses_1\"}}\n",
    "{\"method\":\"session/update\",\"params\":{\"sessionId\":\"ses_1\",\"update\":{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"text\":\"one\"}}}}\n",
    "{\"method\":\"session/update\",\"params\":{\"sessionId\":\"ses_1\",\"update\":{\"sessionUpdate\":\"tool_call\",\"toolCallId\":\"c\",\"title\":\"ls\"}}}\n",
    "{\"id\":1,\"method\":\"session/request_permission\",\"params\":{\"options\":[{\"optionId\":\"y\",\"kind\":\"allow_once\"}]}}\n",
    "{\"jsonrpc\":\"2.0\",\"id\":\"prompt-1\",\"result\":{\"stopReason\":\"end_turn\"}}\n",
);

/// Ids of nobody, another conversation, replies that nobody asked for, an end that comes twice.
const WRONG: &str = concat!(
    "\u{40}",
    "{\"id\":\"new-session-1\",\"result\":{\"sessionId\":\"ses_1\"}}\n",
    "{\"id\":\"new-session-1\",\"result\":{\"sessionId\":\"ses_2\"}}\n",
    "{\"method\":\"session/update\",\"params\":{\"sessionId\":\"ses_9\",\"update\":{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"text\":\"alien\"}}}}\n",
    "{\"id\":\"prompt-2\",\"result\":{\"stopReason\":\"end_turn\"}}\n",
    "{\"id\":\"insert-1-p\",\"result\":{\"stopReason\":\"end_turn\"}}\n",
    "{\"id\":\"load-session-x\",\"result\":{}}\n",
    "{\"id\":\"prompt-1\",\"result\":{\"stopReason\":\"end_turn\"}}\n",
    "{\"id\":\"prompt-1\",\"error\":{\"message\":\"again\"}}\n",
    "not JSON\n",
);

/// A whole conversation with an agent that writes these bytes while a prompt runs: the turn ends once at most, only its own, only our
/// conversation is heard, all limits hold, and neither the cuts nor a restart of the service in the middle change anything.
pub fn conversation(bytes: &[u8]) {
    let (size, bytes) = cut(bytes);
    let (outputs, ended) = hear(bytes, size, Cursor::START);
    let (again, ended_again) = hear(bytes, bytes.len().max(1), Cursor::START);
    assert_eq!((&outputs, &ended), (&again, &ended_again), "the cuts changed something");

    let updates = || outputs.iter().flat_map(|output| &output.updates);
    let ends: Vec<TurnId> = updates()
        .filter_map(|update| match update {
            AgentUpdate::TurnEnded { turn, .. } | AgentUpdate::TurnFailed { turn, .. } => Some(*turn),
            _ => None,
        })
        .collect();
    assert!(ends.is_empty() || ends == [TurnId(1)], "{ends:?}");
    assert!(outputs.windows(2).all(|pair| pair[0].cursor < pair[1].cursor), "out of order");

    // Only a whole restart of the counts may make more of what is left than there was: where no limit was met, nothing may differ.
    if ended.is_none()
        && let Some(last_stored) = outputs.get(outputs.len() / 2)
    {
        let (rest, _) = hear(bytes, size, last_stored.cursor);
        assert_eq!(rest, outputs[outputs.len() / 2 + 1..], "a restart changed something");
    }
}

/// What comes of the bytes, and what ended it, if anything did.
fn hear(bytes: &[u8], size: usize, from: Cursor) -> (Vec<AgentOutput>, Option<String>) {
    let folder = Scratch::new();
    let mut carrier = Carrier::create(&folder.0).unwrap();
    let session = AgentSessionId::parse("ses_1").unwrap();
    let ours = [wire::initialize(), wire::new_session("/w", &[]), wire::prompt(TurnId(1), &session, &[])];
    for message in &ours {
        carrier.send(message).unwrap();
    }
    let mut writer = OpenOptions::new().append(true).open(folder.0.join("out")).unwrap();
    let settings = AgentSettings { limits: LIMITS, ..AgentSettings::default() };
    let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
    if from > Cursor::START {
        // All was written while the service was away.
        writer.write_all(bytes).unwrap();
    }
    let mut agent = Agent::attach_now(carrier, from, settings).unwrap();
    let mut ended = None;
    let mut outputs = Vec::new();
    for chunk in if from > Cursor::START { vec![&[][..]] } else { chunks } {
        writer.write_all(chunk).unwrap();
        while ended.is_none() {
            match agent.read_line() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => ended = Some(error.to_string()),
            }
            outputs.extend(agent.take_kept());
        }
    }
    let told = std::fs::read_to_string(folder.0.join("in")).unwrap();
    let marks: Vec<String> = told.lines().map(|line| wire::mark_of(&serde_json::from_str::<Value>(line).unwrap()).unwrap()).collect();
    assert!(marks.len() <= ours.len() + LIMITS.requests as usize, "{} answers", marks.len());
    assert_eq!(marks.iter().collect::<BTreeSet<_>>().len(), marks.len(), "something was said twice");
    let mut pieces: Vec<&AgentUpdate> = outputs.iter().flat_map(|output: &AgentOutput| &output.updates).collect();
    pieces.retain(|update| !matches!(update, AgentUpdate::Usage { .. }));
    pieces.dedup_by(|next, last| {
        let words = matches!(next, AgentUpdate::Text { .. } | AgentUpdate::Thought { .. });
        words && std::mem::discriminant(*next) == std::mem::discriminant(*last)
    });
    assert!(pieces.len() <= LIMITS.pieces as usize, "{} pieces", pieces.len());
    (outputs, ended)
}

/// The first byte is the size of the pieces in which the others come.
fn cut(bytes: &[u8]) -> (usize, &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&1, &[]));
    (usize::from(*first).max(1), rest)
}

/// A folder of its own, which goes at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("longshore-fuzz-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use longshore_hostile::throw;

    #[test]
    fn message() {
        throw(super::MESSAGES, super::message);
    }

    #[test]
    fn id() {
        throw(super::IDS, super::id);
    }

    #[test]
    fn output() {
        throw(super::OUTPUTS, super::output);
    }

    #[test]
    fn conversation() {
        throw(super::OUTPUTS, super::conversation);
    }
}
