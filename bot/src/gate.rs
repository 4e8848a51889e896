//! The gate in front of the agent's tools: reads go through at once, everything else waits until the log says that the sandbox is in sync. What the
//! repository's manifest says of a call comes before that.
//!
//! The session's actor sets it after it has stored what it says; whoever knows of no such word keeps the gate shut. It relies on the agent's hook to
//! ask, so it is cooperation and not protection.

mod rules;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use longshore_gateway::{Freely, Pass, ToolCall, ToolGate, Verdict};
use longshore_session::{SandboxId, SessionId, ToolRuling, Writes};
use serde_json::Value;
use tokio::sync::watch;

pub use self::rules::Rules;
use self::rules::Ruling;
use crate::{
    app::App,
    conversation::{Note, shortened},
};

/// How long the agent need not ask about tools that only read. A service with other rules is obeyed after that.
const FREELY: Duration = Duration::from_secs(60);

/// The agent's own tools that change nothing, neither in the sandbox nor for people. `task` starts a subagent, whose calls come here as well.
const READS: &[&str] = &[
    "read",
    "grep",
    "glob",
    "list",
    "todoread",
    "todowrite",
    "webfetch",
    "websearch",
    "codesearch",
    "skill",
    "task",
    "invalid",
    "longshore_post_update",
    "longshore_ask_requester",
    "longshore_read_thread",
];

/// Those that change files.
const EDITS: &[&str] = &["edit", "write", "multiedit", "patch", "apply_patch"];
/// Those that run what they are given.
const COMMANDS: &[&str] = &["bash"];
/// Characters of a command that the log keeps.
const SHOWN: usize = 500;

/// How the gates of all sandboxes stand.
#[derive(Debug, Default)]
pub struct Gates(Mutex<HashMap<SandboxId, watch::Sender<Writes>>>);

impl Gates {
    /// Only after what it follows from is stored.
    pub fn set(&self, sandbox: &SandboxId, writes: Writes) {
        let mut gates = self.lock();
        let gate = gates.entry(sandbox.clone()).or_insert_with(|| watch::Sender::new(Writes::Held));
        gate.send_if_modified(|now| {
            let is_news = *now != writes;
            *now = writes;
            is_news
        });
    }

    /// The sandbox is gone.
    pub fn forget(&self, sandbox: &SandboxId) {
        self.lock().remove(sandbox);
    }

    fn watch(&self, sandbox: &SandboxId) -> watch::Receiver<Writes> {
        self.lock().entry(sandbox.clone()).or_insert_with(|| watch::Sender::new(Writes::Held)).subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, watch::Sender<Writes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the agents' hooks.
pub struct AgentGate(pub Arc<App>);

impl ToolGate for AgentGate {
    fn before<'a>(&'a self, pass: &'a Pass, call: ToolCall) -> BoxFuture<'a, Verdict> {
        async move {
            let session = self.0.sandboxes.session_of(&pass.sandbox);
            let rules = self.rules(pass);
            let ruling = rules.map(|rules| rules.judge(&call)).unwrap_or_default();
            if let Some(reason) = ruling.denied {
                self.note(pass, session.as_ref(), &call, ToolRuling::Denied { reason: reason.clone() });
                return Verdict::Deny { reason: format!("longshore: a rule of this repository refuses this: {reason}") };
            }
            let is_read = READS.contains(&call.tool.as_str());
            if !is_read && let Some(verdict) = self.wait(pass, session.as_ref()).await {
                return verdict;
            }
            if let Some(Value::String(to)) = ruling.changed.get("command") {
                let from = call.arguments.get("command").and_then(Value::as_str).unwrap_or_default();
                let shown = |command: &str| self.0.sandboxes.without_token(&pass.sandbox, &shortened(command, SHOWN));
                self.note(pass, session.as_ref(), &call, ToolRuling::Changed { from: shown(from), to: shown(to) });
            }
            let freely = is_read.then(|| Freely { tools: freely(rules), during: FREELY });
            Verdict::Allow { changed: ruling.changed, report: !ruling.notes.is_empty(), freely }
        }
        .boxed()
    }

    fn after<'a>(&'a self, pass: &'a Pass, call: ToolCall) -> BoxFuture<'a, Option<String>> {
        async move {
            let Ruling { notes, .. } = self.rules(pass)?.judge(&call);
            let text = notes.join("\n");
            if text.is_empty() {
                return None;
            }
            let session = self.0.sandboxes.session_of(&pass.sandbox);
            self.note(pass, session.as_ref(), &call, ToolRuling::Noted { text: text.clone() });
            Some(text)
        }
        .boxed()
    }
}

/// The tools that need not be asked about: they only read, and no rule could have a word in them.
fn freely(rules: Option<&Rules>) -> Vec<String> {
    let is_free = |tool: &&&str| rules.is_none_or(|rules| !rules.concern(tool));
    READS.iter().filter(is_free).map(|tool| (*tool).to_owned()).collect()
}

impl AgentGate {
    /// Of the repository that the sandbox works on.
    fn rules(&self, pass: &Pass) -> Option<&Rules> {
        self.0.rules.get(&pass.push.as_ref()?.repo)
    }

    /// None as soon as the call may be made.
    async fn wait(&self, pass: &Pass, session: Option<&SessionId>) -> Option<Verdict> {
        // A sandbox that waits for a session has nothing to write.
        if session.is_none() {
            return Some(Verdict::Wait);
        }
        let mut gate = self.0.gates.watch(&pass.sandbox);
        let opened = tokio::select! {
            opened = gate.wait_for(|writes| *writes != Writes::Held) => opened.map(|writes| writes.clone()),
            () = self.0.shutdown.cancelled() => return Some(Verdict::Wait),
        };
        let reason = match opened {
            Ok(Writes::Allowed) => return None,
            Ok(Writes::Held) => return Some(Verdict::Wait),
            Ok(Writes::Refused(Some(failure))) => format!("longshore: this turn is over. {}", longshore_slack::failure_words(&failure).0),
            Ok(Writes::Refused(None)) => "longshore: this turn is over, nothing more is changed in it".to_owned(),
            Err(_) => "longshore: this sandbox is being removed".to_owned(),
        };
        Some(Verdict::Deny { reason })
    }

    /// For the session's log. Lost where the actor is not awake: then there is no turn that this could belong to.
    fn note(&self, pass: &Pass, session: Option<&SessionId>, call: &ToolCall, ruling: ToolRuling) {
        tracing::info!(sandbox = %pass.sandbox, tool = %call.tool, "a rule had a word in a tool call");
        if let Some(session) = session {
            let (id, tool) = (format!("{} {}", call.conversation, call.call), call.tool.clone());
            self.0.conversations.note(session, Note::Ruled { call: id, tool, ruling });
        }
    }
}
