//! A thread as people see it.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    docker::docker,
    stage::{Stage, until},
};

/// One turn with a scripted model, a death and a start in the middle of it, on a machine that has other work as well.
pub const TURN_LIMIT: Duration = Duration::from_secs(240);
/// Everybody may write here.
pub const ROOM: &str = "C0CHECKOUT";
pub const ASKER: &str = "U0ANA";
pub const OTHER: &str = "U0BEN";

/// Something to be done, that no other prompt is like.
#[derive(Debug, Clone)]
pub struct Task {
    /// A word in the prompt and in everything that is made of it.
    pub word: String,
}

impl Task {
    pub fn new() -> Self {
        Self { word: format!("mark{:08x}", rand::random::<u32>()) }
    }

    pub fn answer(&self) -> String {
        format!("Done with {}.", self.word)
    }

    /// A shell line that tells each time that it runs from every other.
    pub fn trace(&self) -> String {
        format!("echo \"ran-{}-$(od -An -N6 -tx1 /dev/urandom | tr -d ' ')\"", self.word)
    }

    pub fn commit(&self) -> String {
        format!("Note {}", self.word)
    }
}

/// A turn of the thread's whose agent sits at a gate ([`crate::deeds::Deeds::held`]).
pub struct Held {
    container: String,
    gate: &'static str,
}

impl Held {
    /// Waits until the agent of the service's only sandbox has come to the gate.
    pub async fn at(stage: &Stage, gate: &'static str) -> Result<Self> {
        until("a sandbox", TURN_LIMIT, async || Ok(stage.sandboxes().await?.len() == 1)).await?;
        let name = stage.sandboxes().await?.pop().context("the sandbox is gone")?;
        let held = Self { container: format!("{}-{name}", stage.harness.namespace()), gate };
        until("the agent is at the gate", TURN_LIMIT, async || Ok(held.run(&format!("[ -e /tmp/at-{gate} ]")).await.is_ok())).await?;
        Ok(held)
    }

    /// Lets the agent go on.
    pub async fn let_go(&self) -> Result<()> {
        until("the gate is open", TURN_LIMIT, async || Ok(self.run(&format!("touch /tmp/{}", self.gate)).await.is_ok())).await
    }

    async fn run(&self, line: &str) -> Result<String> {
        docker(&["exec", &self.container, "sh", "-c", line]).await
    }
}

pub struct Thread<'a> {
    pub stage: &'a Stage,
    pub ts: String,
}

impl<'a> Thread<'a> {
    /// Posts a message that a thread can grow under.
    pub fn open(stage: &'a Stage, text: &str) -> Result<Self> {
        let ts = stage.harness.slack.person(ASKER).post(ROOM, text)?;
        Ok(Self { stage, ts })
    }

    pub fn reply(&self, user: &str, text: &str) -> Result<String> {
        Ok(self.stage.harness.slack.person(user).reply(ROOM, &self.ts, text)?)
    }

    pub fn all(&self) -> Vec<Value> {
        self.stage.harness.slack.thread(ROOM, &self.ts)
    }

    /// The bot's messages of a kind: `card`, `final`, `queued`, `say`.
    pub fn messages(&self, kind: &str) -> Vec<Value> {
        let mut messages = self.all();
        messages.retain(|message| key_of(message).split(':').nth(1) == Some(kind));
        messages
    }

    /// The thread as a person sees it.
    pub fn text(&self) -> String {
        self.stage.harness.slack.render_thread_text(ROOM, &self.ts)
    }

    /// The thread, as soon as it holds a condition.
    pub async fn until(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let waited = self.stage.harness.slack.wait_for_thread(ROOM, &self.ts, holds, TURN_LIMIT).await;
        waited.with_context(|| format!("{what} never came; the thread stands at\n{}", self.text()))
    }

    pub async fn shows(&self, text: &str) -> Result<()> {
        let look = |_: &[Value]| self.text().contains(text);
        self.until(&format!("`{text}`"), look).await.map(drop)
    }

    /// Waits for a turn's final reply, and for the last picture of its card.
    pub async fn turn(&self, turn: u32) -> Result<()> {
        let (card, reply) = (format!(":card:{turn}"), format!(":final:{turn}"));
        let is_over = |message: &Value| {
            let head = message.pointer("/blocks/0/text/text").and_then(Value::as_str).unwrap_or_default();
            key_of(message).ends_with(&card) && ["Done", "Stopped", "Failed", "Waiting", "Moved"].iter().any(|word| head.contains(word))
        };
        let is_told = |message: &Value| key_of(message).ends_with(&reply);
        let holds = |messages: &[Value]| messages.iter().any(is_told) && messages.iter().any(is_over);
        self.until(&format!("the end of turn {turn}"), holds).await.map(drop)
    }

    /// The session that the bot's messages speak of.
    pub async fn session(&self) -> Result<String> {
        let find = |messages: &[Value]| {
            messages.iter().find_map(|message| Some(key_of(message).split(':').next()?.to_owned()).filter(|id| id.starts_with("s-")))
        };
        let messages = self.until("a session", |messages| find(messages).is_some()).await?;
        find(&messages).context("the session's messages are gone")
    }

    /// Presses a button, and once more where nobody took the click; not where it is gone, since then somebody did.
    pub async fn press(&self, user: &str, action: &str) -> Result<()> {
        loop {
            let (message, button) = self.button(action).await?;
            match self.stage.harness.slack.person(user).press(ROOM, &message, &button).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(%error, "pressing again"),
            }
            self.stage.harness.service.wait_until_ready().await?;
        }
    }

    /// Waits for a button, and gives the message that it is on and its whole action id.
    pub async fn button(&self, action: &str) -> Result<(String, String)> {
        let find = |messages: &[Value]| {
            messages.iter().rev().find_map(|message| Some((message["ts"].as_str()?.to_owned(), action_id(message, action)?)))
        };
        let messages = self.until(&format!("the button `{action}`"), |messages| find(messages).is_some()).await?;
        find(&messages).context("the button is gone again")
    }
}

/// The key by which the service finds its own message again.
pub fn key_of(message: &Value) -> &str {
    message.pointer("/metadata/event_payload/key").and_then(Value::as_str).unwrap_or_default()
}

/// The action id that begins so, of a button or select on the message.
fn action_id(message: &Value, begins: &str) -> Option<String> {
    let blocks = message["blocks"].as_array()?;
    let elements = blocks.iter().flat_map(|block| block["elements"].as_array().into_iter().flatten().chain(block.get("accessory")));
    let mut ids = elements.filter_map(|element| element["action_id"].as_str());
    ids.find(|id| id.starts_with(begins)).map(str::to_owned)
}
