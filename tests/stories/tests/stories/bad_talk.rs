//! A thread with the bot, as the stories of bad input go through it.

use std::time::Duration;

use longshore_emulators::model::Script;
use longshore_harness::{Harness, TURN_LIMIT};
use serde_json::{Value, json};

use crate::bad_ground::docker;

/// For what a person sees within seconds on a machine with nothing else to do.
pub const SOON: Duration = Duration::from_secs(60);

/// Ana's thread, and which turn of its session is due.
pub struct Talk<'a> {
    pub harness: &'a Harness,
    channel: String,
    pub thread: String,
    turn: u32,
}

impl<'a> Talk<'a> {
    pub fn begin(harness: &'a Harness, channel: &str, text: &str) -> Self {
        let thread = harness.slack.person("U0ANA").post(channel, &format!("@longshore {text}")).unwrap();
        Self { harness, channel: channel.to_owned(), thread, turn: 1 }
    }

    pub fn reply(&mut self, text: &str) {
        self.harness.slack.person("U0ANA").reply(&self.channel, &self.thread, text).unwrap();
        self.turn += 1;
    }

    /// The session's id, as soon as there is a session.
    pub async fn session(&self) -> String {
        self.harness.session_of(&self.channel, &self.thread).await.unwrap().id
    }

    /// The due turn's container, once the agent works in it.
    pub async fn container(&self) -> String {
        let session = self.session().await;
        let deadline = tokio::time::Instant::now() + TURN_LIMIT;
        loop {
            let turns = self.harness.turns(&session).await.unwrap();
            if let Some(sandbox) = turns.into_iter().find(|report| report.turn == self.turn).and_then(|report| report.sandbox) {
                return format!("{}-{sandbox}", self.harness.namespace());
            }
            assert!(tokio::time::Instant::now() < deadline, "turn {} got no sandbox: {}", self.turn, self.text());
            // The API tells nobody of changes.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits in the sandbox until the agent's command stands at the gate (see [`GATE`]); gives the container.
    pub async fn at_gate(&self) -> String {
        let container = self.container().await;
        docker(&["exec", &container, "sh", "-c", "until [ -e /tmp/at-gate ]; do sleep 0.1; done"]).await;
        container
    }

    /// The final reply of the due turn, which must be there once.
    pub async fn end(&self) -> String {
        let ended = self.harness.wait_for_turn(&self.channel, &self.thread, self.turn, TURN_LIMIT).await.unwrap();
        let key = format!("{}:final:{}", self.session().await, ended.turn);
        let finals: Vec<String> = self.bot_messages(&key).iter().map(words).collect();
        assert_eq!(finals.len(), 1, "turn {} is told once: {}", self.turn, self.text());
        finals.into_iter().next().unwrap()
    }

    /// The due turn came to a good end, and its final reply says this.
    pub async fn ends_well_with(&self, texts: &[&str]) -> String {
        let told = self.end().await;
        assert!(told.contains("✅ *Done*"), "turn {}: {told}\n{}", self.turn, self.harness.service.log_tail(15));
        says(&told, texts);
        told
    }

    /// The due turn failed, and its final reply says this, what to do, and a reference.
    pub async fn fails_with(&self, texts: &[&str]) -> String {
        let told = self.end().await;
        let session = self.session().await;
        assert!(told.contains("❌ *This did not work*"), "turn {}: {told}\n{}", self.turn, self.harness.service.log_tail(15));
        says(&told, texts);
        let log = self.harness.service.log();
        let noted = log.lines().any(|line| {
            line.contains("the turn failed")
                && line.contains(&session)
                && line.contains("what_to_do=")
                && !line.contains("failure=\"unknown\"")
        });
        assert!(noted, "the operator's log does not name the session: {}", self.harness.service.log_tail(15));
        says(&told, &["*What to do:*", &format!("Reference: `{session} turn {}`", self.turn)]);
        told
    }

    /// The message that is the final reply of the due turn.
    pub async fn last_final(&self) -> Value {
        let key = format!("{}:final:{}", self.session().await, self.turn);
        self.bot_messages(&key).pop().unwrap()
    }

    /// Whatever the bot wrote in the thread whose key begins so.
    pub fn bot_messages(&self, key: &str) -> Vec<Value> {
        let key_of = |message: &Value| message["metadata"]["event_payload"]["key"].as_str().unwrap_or_default().to_owned();
        self.harness.slack.thread(&self.channel, &self.thread).into_iter().filter(|message| key_of(message).starts_with(key)).collect()
    }

    /// The thread as a person sees it.
    pub fn text(&self) -> String {
        self.harness.slack.render_thread_text(&self.channel, &self.thread)
    }

    /// Waits for a text in the thread.
    pub async fn shows(&self, text: &str) -> String {
        self.harness.wait_for_text(&self.channel, &self.thread, text, TURN_LIMIT).await.unwrap()
    }
}

#[track_caller]
pub fn says(told: &str, texts: &[&str]) {
    for text in texts {
        assert!(told.contains(text), "`{text}` is missing in: {told}");
    }
}

/// All that is written in a message's blocks.
pub fn words(message: &Value) -> String {
    fn gather(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value {
                        Value::String(text) if key == "text" => found.push(text.clone()),
                        other => gather(other, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    gather(&message["blocks"], &mut found);
    if found.is_empty() { message["text"].as_str().unwrap_or_default().to_owned() } else { found.join("\n") }
}

/// A shell line that stands still until [`open_gate`], so that a story can do its harm in the middle of a turn.
pub const GATE: &str = "touch /tmp/at-gate; until [ -e /tmp/go ]; do sleep 0.1; done";

pub async fn open_gate(container: &str) {
    docker(&["exec", container, "touch", "/tmp/go"]).await;
}

/// For the agent's requests whose newest prompt ends with this text. (Prompts that failed stay in the conversation before it.)
pub fn asked(text: &str) -> Script {
    let text = text.to_owned();
    Script::when(move |conversation| !conversation.tools.is_empty() && conversation.last_prompt().trim_end().ends_with(&text))
}

/// The argument of a shell command, as the agent's tool takes it.
pub fn shell(line: &str) -> Value {
    json!({ "command": line, "description": "A step of the story" })
}

/// What `/agent repos` answers Ana.
pub async fn agent_repos(harness: &Harness, wanted: &str) -> String {
    let ana = harness.slack.person("U0ANA");
    ana.slash("C0GENERAL", "/agent repos").await.unwrap();
    let look = |_: &longshore_emulators::slack::SlackHandle| ana.ephemerals().iter().map(words).find(|text| text.contains(wanted));
    match harness.slack.wait_until(look, SOON).await {
        Ok(text) => text,
        Err(error) => panic!("`{wanted}` is not in /agent repos ({error}): {:#?}", ana.ephemerals().iter().map(words).collect::<Vec<_>>()),
    }
}
