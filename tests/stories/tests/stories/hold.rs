//! Holding an agent between two steps, so that a story acts in a moment that is certain.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::Harness;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::thread::Thread;

const LIMIT: Duration = Duration::from_secs(120);

/// A step that lasts until [`Held::let_go`]: the agent's shell reads from a pipe that nobody has written to yet.
pub fn held(script: Script, gate: &str) -> Script {
    let line = format!("mkfifo /tmp/{gate} && cat /tmp/{gate}");
    script.call("bash", json!({ "command": line, "description": "Wait for word" }))
}

/// A step that runs a shell line.
pub fn shell(line: &str) -> (&'static str, Value) {
    ("bash", json!({ "command": line, "description": "Run a line" }))
}

/// An agent that sits at a gate.
pub struct Held {
    pub container: String,
    gate: String,
}

impl Held {
    /// Waits until the turn's agent has come to the gate.
    pub async fn at(thread: &Thread<'_>, turn: u32, gate: &str) -> Result<Self> {
        Self::in_session(thread, &thread.session().await?.id, turn, gate).await
    }

    /// As [`Held::at`], where the thread has several sessions.
    pub async fn in_session(thread: &Thread<'_>, session: &str, turn: u32, gate: &str) -> Result<Self> {
        let held = Self { container: container_of(thread, session, turn).await?, gate: gate.to_owned() };
        held.run(&format!("until [ -p /tmp/{gate} ]; do sleep 0.1; done")).await.with_context(|| thread.text())?;
        Ok(held)
    }

    /// Lets the agent go on.
    pub async fn let_go(self) -> Result<()> {
        self.run(&format!("echo go > /tmp/{}", self.gate)).await.map(drop)
    }

    async fn run(&self, line: &str) -> Result<String> {
        docker(&["exec", &self.container, "sh", "-c", line]).await
    }
}

/// The container that a turn runs in, as soon as it does.
pub async fn container(thread: &Thread<'_>, turn: u32) -> Result<String> {
    container_of(thread, &thread.session().await?.id, turn).await
}

async fn container_of(thread: &Thread<'_>, session: &str, turn: u32) -> Result<String> {
    let find = async {
        loop {
            let turns = thread.harness.turns(session).await?;
            if let Some(sandbox) = turns.into_iter().find(|report| report.turn == turn).and_then(|report| report.sandbox) {
                return anyhow::Ok(format!("{}-{sandbox}", thread.harness.namespace()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, find).await.with_context(|| format!("turn {turn} got no sandbox:\n{}", thread.text()))?
}

/// Runs `docker`; its output, where it succeeded.
pub async fn docker(arguments: &[&str]) -> Result<String> {
    let answered = async {
        loop {
            let mut command = Command::new("docker");
            command.args(arguments).env("DOCKER_API_VERSION", std::env::var("DOCKER_API_VERSION").unwrap_or_else(|_| "1.41".to_owned()));
            match run(command).await {
                // A snapshot is being taken: nothing runs in there until it is.
                Err(error)
                    if arguments.first() == Some(&"exec")
                        && ["paused", "received 409"].iter().any(|sign| error.to_string().contains(sign)) =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => return other,
            }
        }
    };
    let words = || format!("docker {}", arguments.join(" "));
    tokio::time::timeout(LIMIT, answered).await.with_context(words)?.with_context(words)
}

/// Runs a shell line on the host.
pub async fn host_shell(line: &str) -> Result<String> {
    let mut command = Command::new("bash");
    command
        .args(["-o", "pipefail", "-c", line])
        .env("DOCKER_API_VERSION", std::env::var("DOCKER_API_VERSION").unwrap_or_else(|_| "1.41".to_owned()));
    run(command).await.with_context(|| line.to_owned())
}

async fn run(mut command: Command) -> Result<String> {
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.context("it took too long")??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // What the engine could not start in a container is told among the output.
    ensure!(output.status.success(), "{}: {}{said}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// Makes the scripted model play this for whatever prompt holds the marker.
pub fn play(harness: &Harness, script: Script) {
    harness.model().push_script(script);
}
