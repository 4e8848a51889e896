//! What must hold after a death, seen from outside: in Slack, on GitHub, at the model, in the engine, and in what the service's API tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use longshore_emulators::model::CallKind;
use longshore_session::{AgentActivity, Event};
use serde_json::Value;

use crate::{
    docker::docker,
    stage::{Stage, until},
    thread::{ROOM, Task, Thread, key_of},
};

/// For what the service still has to do when the thread has its last message.
const SOON: Duration = Duration::from_secs(90);
/// Hexadecimal digits of a trace ([`Task::trace`]).
const TRACE: usize = 12;

/// What a story has asked for.
pub struct Expected<'a> {
    pub repository: &'a str,
    /// One for each prompt.
    pub tasks: &'a [&'a Task],
    /// Those that a turn ended with, in the order of the turns: all but those that another one joined.
    pub turns: &'a [&'a Task],
    pub end: End,
    /// Those of them that leave a commit.
    pub commits: &'a [&'a Task],
    /// The pull request's title.
    pub pull_request: Option<String>,
    pub left: Left,
}

/// How each of the turns ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the agent's answer.
    Answered,
    Stopped,
}

/// What stays in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The session's own sandbox.
    Sandbox,
    /// That, and what waits in the pool.
    SandboxAndPool,
    Nothing,
}

/// All of it.
pub async fn check(thread: &Thread<'_>, expected: &Expected<'_>) -> Result<()> {
    let stage = thread.stage;
    one_session(thread).await?;
    once_at_the_model(stage, expected.tasks)?;
    let session = thread.session().await?;
    nothing_owed(stage, &session).await?;
    one_final_message(thread, &session, expected)?;
    let events = whole_log(stage, &session).await?;
    each_once(&events, expected)?;
    let sandbox = sandbox_of(&events)?;
    as_the_agent_wrote_it(stage, &events, &sandbox)?;
    one_pull_request(stage, &session, expected).await?;
    kept(stage, &session, expected.left).await?;
    nothing_left(stage, &sandbox, expected.left).await?;
    every_delivery_acknowledged(stage).await?;
    // What the service did after all that was waited for is looked at once more: nothing is said twice, however late.
    one_final_message(thread, &session, expected)?;
    nobody_expected(stage)
}

async fn one_session(thread: &Thread<'_>) -> Result<()> {
    let sessions = thread.stage.harness.sessions_of(ROOM, &thread.ts).await?;
    ensure!(sessions.len() == 1, "the thread has {} sessions:\n{}", sessions.len(), thread.text());
    Ok(())
}

/// Each prompt came to the model as one new message of its conversation, and what it was to run ran once.
pub fn once_at_the_model(stage: &Stage, tasks: &[&Task]) -> Result<()> {
    let requests = stage.harness.model().requests();
    for task in tasks {
        let (mut traces, mut most) = (BTreeSet::new(), 0);
        for request in requests.iter().filter(|request| request.kind == Some(CallKind::Agent)) {
            let messages = request.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
            let asked = messages.iter().filter(|message| message["role"] == "user" && message.to_string().contains(&task.word));
            most = most.max(asked.count());
            traces.extend(traces_in(&request.body["messages"].to_string(), &task.word));
        }
        ensure!(most == 1, "the prompt {} came to the agent {most} times", task.word);
        ensure!(traces.len() == 1, "the prompt {} was worked on {} times", task.word, traces.len());
    }
    Ok(())
}

fn traces_in(text: &str, word: &str) -> Vec<String> {
    let begins = format!("ran-{word}-");
    let found = text.match_indices(&begins).filter_map(|(at, _)| text.get(at + begins.len()..at + begins.len() + TRACE));
    found.filter(|trace| trace.bytes().all(|byte| byte.is_ascii_hexdigit())).map(str::to_owned).collect()
}

/// The index says that the session is at rest and owes nothing to its thread.
pub async fn nothing_owed(stage: &Stage, session: &str) -> Result<()> {
    until("the session owes nothing", SOON, async || {
        let about = stage.harness.service.get(&format!("/v1/sessions/{session}")).await?;
        let is_at_rest = about["phase"].as_str().is_some_and(|phase| ["idle", "waiting", "moved"].contains(&phase));
        Ok(is_at_rest && about["has_work"] == false)
    })
    .await
}

fn one_final_message(thread: &Thread<'_>, session: &str, expected: &Expected<'_>) -> Result<()> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for message in thread.all() {
        if !key_of(&message).is_empty() {
            *seen.entry(key_of(&message).to_owned()).or_default() += 1;
        }
    }
    for (key, count) in &seen {
        ensure!(*count == 1, "{key} stands {count} times in the thread:\n{}", thread.text());
    }
    for kind in ["card", "final"] {
        let (wanted, prefix): (BTreeSet<String>, _) =
            ((1..=expected.turns.len()).map(|turn| format!("{session}:{kind}:{turn}")).collect(), format!("{session}:{kind}:"));
        let there: BTreeSet<String> = seen.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
        ensure!(there == wanted, "the thread has {there:?}, not {wanted:?}:\n{}", thread.text());
    }
    let finals = thread.messages("final");
    for (number, task) in (1..).zip(expected.turns) {
        let words = match expected.end {
            End::Answered => task.answer(),
            End::Stopped => "Stopped".to_owned(),
        };
        let told = finals.iter().find(|message| key_of(message).ends_with(&format!(":final:{number}")));
        ensure!(told.is_some_and(|told| told.to_string().contains(&words)), "turn {number} is not told as it was:\n{}", thread.text());
    }
    Ok(())
}

/// The session's log, whose numbers leave nothing out.
pub async fn whole_log(stage: &Stage, session: &str) -> Result<Vec<Event>> {
    let (mut events, mut last) = (Vec::new(), 0);
    loop {
        let page = stage.harness.service.get(&format!("/v1/sessions/{session}/events?after={last}")).await?;
        let page = page["events"].as_array().cloned().unwrap_or_default();
        if page.is_empty() {
            return Ok(events);
        }
        for entry in page {
            let number = entry["seq"].as_u64().context("an event without a number")?;
            ensure!(number == last + 1, "the log goes from {last} to {number}");
            last = number;
            events.push(serde_json::from_value(entry["event"].clone()).context("an event of another shape")?);
        }
    }
}

fn each_once(events: &[Event], expected: &Expected<'_>) -> Result<()> {
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let (prompts, turns) = (expected.tasks.len(), expected.turns.len());
    for (what, found, wanted) in [
        ("accepted prompts", count(|event| matches!(event, Event::PromptAccepted { .. })), prompts),
        ("begun turns", count(|event| matches!(event, Event::TurnStarted { .. })), turns),
        ("running turns", count(|event| matches!(event, Event::TurnRunning { .. })), turns),
        ("finished turns", count(|event| matches!(event, Event::TurnFinishing { .. })), turns),
        ("ended turns", count(|event| matches!(event, Event::TurnEnded { .. })), turns),
        (
            "opened pull requests",
            count(|event| matches!(event, Event::PullRequestOpened { .. })),
            usize::from(expected.pull_request.is_some()),
        ),
    ] {
        ensure!(found == wanted, "the log has {found} {what}, not {wanted}");
    }
    let mut ids: Vec<&str> = Vec::new();
    for event in events {
        if let Event::PromptAccepted { prompt } = event {
            ids.push(prompt.id.as_str());
        }
    }
    ensure!(ids.iter().collect::<BTreeSet<_>>().len() == ids.len(), "a prompt was accepted twice: {ids:?}");
    let said = text_of(events);
    let wanted = match expected.end {
        End::Answered => 1,
        End::Stopped => 0,
    };
    for task in expected.turns {
        let times = said.matches(&task.answer()).count();
        ensure!(times == wanted, "the log has the answer `{}` {times} times", task.answer());
    }
    Ok(())
}

/// Of the last turn.
fn sandbox_of(events: &[Event]) -> Result<String> {
    let find = |event: &Event| if let Event::TurnRunning { sandbox, .. } = event { Some(sandbox.to_string()) } else { None };
    events.iter().rev().find_map(find).context("no turn has a sandbox")
}

fn text_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    let text = |event: &'a Event| match event {
        Event::Agent { activity: AgentActivity::Text { delta }, .. } => Some(delta.as_str()),
        _ => None,
    };
    events.into_iter().filter_map(text).collect()
}

/// What the sandbox's agent wrote into its output file is in the log, all of it, in the same order, once.
fn as_the_agent_wrote_it(stage: &Stage, events: &[Event], sandbox: &str) -> Result<()> {
    let file = stage.harness.service.data_folder().join("carriers").join(sandbox).join("out");
    let Ok(written) = std::fs::read_to_string(&file) else { return Ok(()) };
    let lines: Vec<Value> = written.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let updates: Vec<&Value> = lines.iter().filter(|line| line["method"] == "session/update").map(|line| &line["params"]).collect();
    // One that waited in the pool had another conversation before.
    let conversation = updates.last().map(|update| &update["sessionId"]);
    let (mut text, mut ended) = (String::new(), Vec::new());
    for update in updates.iter().filter(|update| Some(&update["sessionId"]) == conversation).map(|update| &update["update"]) {
        match update["sessionUpdate"].as_str() {
            Some("agent_message_chunk") => text.push_str(update["content"]["text"].as_str().unwrap_or_default()),
            Some("tool_call_update") if matches!(update["status"].as_str(), Some("completed" | "failed")) => {
                ended.push(update["toolCallId"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }
    let from = events.iter().position(|event| matches!(event, Event::TurnRunning { sandbox: of, .. } if of.as_str() == sandbox));
    let events = &events[from.unwrap_or_default()..];
    ensure!(text_of(events) == text, "the agent wrote {text:?}, and the log has {:?}", text_of(events));
    let end = |event: &Event| match event {
        Event::Agent { activity: AgentActivity::ToolEnded { call, .. }, .. } => Some(call.clone()),
        _ => None,
    };
    let logged: Vec<String> = events.iter().filter_map(end).collect();
    ensure!(logged == ended, "the agent ended the tool calls {ended:?}, and the log has {logged:?}");
    Ok(())
}

async fn one_pull_request(stage: &Stage, session: &str, expected: &Expected<'_>) -> Result<()> {
    let (github, branch) = (&stage.harness.github, format!("longshore/{session}"));
    let mut pulls = github.pull_requests(expected.repository);
    pulls.retain(|pull| pull.head == branch);
    let Some(title) = &expected.pull_request else {
        ensure!(pulls.is_empty(), "nobody asked for the pull requests {pulls:?}");
        return Ok(());
    };
    let [pull] = pulls.as_slice() else { bail!("the session has {} pull requests: {pulls:?}", pulls.len()) };
    ensure!(pull.title == *title && pull.author == "ana", "{pull:?}");
    let commits = github.pull_request_commits(expected.repository, pull.number).await?;
    let messages: Vec<&str> = commits.iter().map(|commit| commit.message.trim().lines().next().unwrap_or_default()).collect();
    let wanted: Vec<String> = expected.commits.iter().map(|task| task.commit()).collect();
    ensure!(messages == wanted, "the pull request has the commits {messages:?}, not {wanted:?}");
    Ok(())
}

/// What a turn left is kept, and nothing of earlier turns is: but for what a sandbox that sleeps now was restored from, which could not go as long as that ran.
async fn kept(stage: &Stage, session: &str, left: Left) -> Result<()> {
    let most = match left {
        Left::Sandbox | Left::SandboxAndPool => 1,
        Left::Nothing => 2,
    };
    until("the session has its snapshot and no others", SOON, async || {
        let (kind, of) = ("label=dev.longshore.image.kind=snapshot", format!("label=dev.longshore.image.session={session}"));
        let listed = docker(&["image", "ls", "--filter", kind, "--filter", &of, "--format", "{{.Repository}}:{{.Tag}}"]).await?;
        let count = listed.lines().filter(|name| !name.contains("<none>") && name.starts_with(stage.harness.namespace())).count();
        Ok((1..=most).contains(&count))
    })
    .await
}

/// Sandboxes and carriers are the session's own, or none.
async fn nothing_left(stage: &Stage, sandbox: &str, left: Left) -> Result<()> {
    let mut wanted: Vec<String> = match left {
        Left::Sandbox => vec![sandbox.to_owned()],
        Left::SandboxAndPool => stage.pooled().await?.into_iter().chain([sandbox.to_owned()]).collect(),
        Left::Nothing => Vec::new(),
    };
    wanted.sort();
    let what = format!("the engine has {wanted:?} and nothing else");
    let found = until(&what, SOON, async || Ok(stage.sandboxes().await? == wanted && stage.carriers() == wanted)).await;
    let words = format!("the engine has {:?}, the data folder {:?}", stage.sandboxes().await?, stage.carriers());
    found.context(words)
}

async fn every_delivery_acknowledged(stage: &Stage) -> Result<()> {
    until("Slack has every acknowledgement", SOON, async || {
        // A click that nobody took is the person's to repeat.
        let mut events = stage.harness.slack.deliveries().into_iter().filter(|delivery| delivery.kind == "events_api");
        Ok(events.all(|delivery| delivery.is_acknowledged()))
    })
    .await
}

/// Errors in the log, calls that Slack refused, secrets in the log, points that nobody listed.
pub fn nobody_expected(stage: &Stage) -> Result<()> {
    let found = stage.harness.findings();
    ensure!(found.is_empty(), "what nobody expected:\n- {}", found.join("\n- "));
    let unlisted = stage.unlisted();
    ensure!(unlisted.is_empty(), "points that are not listed:\n{unlisted}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_told_from_the_line_that_leaves_it() {
        let text = "echo ran-mark1-$(od -An) ran-mark1-0123456789ab ran-mark2-0123456789ab ran-mark1-0123456789ac ran-mark1-01";
        assert_eq!(traces_in(text, "mark1"), ["0123456789ab", "0123456789ac"]);
    }
}
