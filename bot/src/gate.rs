//! The gate in front of the agent's tools: reads go through at once, everything else waits until the log says that the sandbox is in sync.
//!
//! The session's actor sets it after it has stored what it says; whoever knows of no such word keeps the gate shut. It relies on the agent's hook to
//! ask, so it is cooperation and not protection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use longshore_gateway::{Freely, Pass, ToolCall, ToolGate, Verdict};
use longshore_session::{SandboxId, Writes};
use serde_json::Map;
use tokio::sync::watch;

use crate::app::App;

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
            if READS.contains(&call.tool.as_str()) {
                let tools = READS.iter().map(|tool| (*tool).to_owned()).collect();
                return Verdict::Allow { changed: Map::new(), report: false, freely: Some(Freely { tools, during: FREELY }) };
            }
            // A sandbox that waits for a session has nothing to write.
            if self.0.sandboxes.session_of(&pass.sandbox).is_none() {
                return Verdict::Wait;
            }
            let mut gate = self.0.gates.watch(&pass.sandbox);
            let opened = async {
                match gate.wait_for(|writes| *writes != Writes::Held).await {
                    Ok(writes) => Some(writes.clone()),
                    Err(_) => None,
                }
            };
            let opened = tokio::select! {
                opened = opened => opened,
                () = self.0.shutdown.cancelled() => return Verdict::Wait,
            };
            match opened {
                Some(Writes::Allowed) => Verdict::allow(),
                Some(Writes::Refused(Some(failure))) => {
                    Verdict::Deny { reason: format!("longshore: this turn is over. {}", longshore_slack::failure_words(&failure).0) }
                }
                Some(Writes::Refused(None)) => {
                    Verdict::Deny { reason: "longshore: this turn is over, nothing more is changed in it".to_owned() }
                }
                Some(Writes::Held) => Verdict::Wait,
                None => Verdict::Deny { reason: "longshore: this sandbox is being removed".to_owned() },
            }
        }
        .boxed()
    }

    fn after<'a>(&'a self, _: &'a Pass, _: ToolCall) -> BoxFuture<'a, Option<String>> {
        async { None }.boxed()
    }
}
