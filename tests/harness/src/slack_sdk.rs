//! Slack's own Python SDK as the judge of what was sent.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use longshore_emulators::slack::Call;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::paths::{repository_root, target_folder};

/// For thousands of calls on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the SDK's models say of calls.
#[derive(Debug)]
pub struct SdkVerdict {
    pub looked: Looked,
    /// With the call that each is about.
    pub problems: Vec<String>,
}

/// How many were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Looked {
    pub calls: usize,
    pub messages: usize,
    pub views: usize,
    pub blocks: usize,
}

#[derive(Deserialize)]
struct Problem {
    call: usize,
    method: String,
    problem: String,
}

/// Holds each message and view among `calls` against the models of `slack_sdk` (installed by `make setup`).
pub async fn check_by_slack_sdk(calls: &[Call]) -> Result<SdkVerdict> {
    check(&calls.iter().map(|call| json!({ "method": call.method, "payload": call.payload })).collect::<Vec<_>>()).await
}

/// `{method, payload}` each.
async fn check(calls: &[Value]) -> Result<SdkVerdict> {
    let python = python();
    let mut judge = tokio::process::Command::new(&python);
    judge.arg(repository_root().join("tests/harness/check_calls.py"));
    judge.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut judge = judge.spawn().with_context(|| format!("cannot run {}: run `make setup`", python.display()))?;
    let mut stdin = judge.stdin.take().context("the judge has no ear")?;
    let lines: String = calls.iter().map(|call| format!("{call}\n")).collect();
    // At the same time as its answers are read: either pipe may be full.
    let say = tokio::spawn(async move { stdin.write_all(lines.as_bytes()).await });
    let output = tokio::time::timeout(PATIENCE, judge.wait_with_output()).await.context("slack_sdk hangs")??;
    // A script that broke says why; that it no longer listened does not matter then.
    let said = say.await?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<&str> = stdout.lines().collect();
    let looked: Option<Looked> = lines.pop().and_then(|last| serde_json::from_str(last).ok());
    let looked = looked.with_context(|| format!("check_calls.py ended early: {stderr}"))?;
    said.context("check_calls.py did not read all")?;
    let problems = lines.into_iter().map(|line| {
        let problem: Problem = serde_json::from_str(line).with_context(|| format!("cannot read {line}"))?;
        let payload = calls.get(problem.call).map(|call| call["payload"].to_string()).unwrap_or_default();
        Ok(format!("slack_sdk refuses {}: {}: {payload}", problem.method, problem.problem))
    });
    Ok(SdkVerdict { looked, problems: problems.collect::<Result<_>>()? })
}

fn python() -> PathBuf {
    std::env::var_os("LONGSHORE_PYTHON").map_or_else(|| target_folder().join("tools/python/bin/python"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_slack::{
        Message,
        examples::{Shape, examples},
    };

    fn message(message: &Message) -> Value {
        json!({ "method": "chat.postMessage", "payload": { "channel": "C1", "text": message.text, "blocks": message.blocks } })
    }

    #[tokio::test]
    async fn every_message_that_the_bot_can_send_is_one_to_slacks_sdk() {
        let mut calls = Vec::new();
        for example in examples() {
            match example.shape {
                Shape::Thread(messages) => calls.extend(messages.iter().map(message)),
                Shape::ForOne(one) => calls.push(message(&one)),
                Shape::Home(view) => calls.push(json!({ "method": "views.publish", "payload": { "user_id": "U1", "view": view } })),
                Shape::Modal(view) => calls.push(json!({ "method": "views.open", "payload": { "trigger_id": "1", "view": view } })),
            }
        }
        let verdict = check(&calls).await.unwrap();
        assert_eq!(verdict.problems, Vec::<String>::new());
        assert_eq!((verdict.looked.calls, verdict.looked.messages + verdict.looked.views), (calls.len(), calls.len()));
        assert!(verdict.looked.blocks >= calls.len());
    }

    /// Each as a call, and a word of what is said against it.
    #[tokio::test]
    async fn what_is_wrong_is_found() {
        let text = |length| json!({ "type": "mrkdwn", "text": "x".repeat(length) });
        let plain = |length| json!({ "type": "plain_text", "text": "x".repeat(length) });
        let button = |id: &str| json!({ "type": "button", "action_id": id, "text": plain(4), "value": "1" });
        let section = json!({ "type": "section", "block_id": "same", "text": text(5) });
        let select = |options: Value| json!({ "type": "static_select", "action_id": "a", "placeholder": plain(4), "options": options });
        let option = json!({ "text": plain(4), "value": "x".repeat(151) });
        let actions = |elements: Value| json!({ "type": "actions", "elements": elements });
        let styled = json!({ "type": "button", "action_id": "a", "text": plain(4), "style": "loud" });
        let unsure = json!({ "type": "button", "action_id": "a", "text": plain(4), "confirm": {
            "title": plain(101), "text": plain(4), "confirm": plain(4), "deny": plain(4),
        } });
        let blocks = [
            (json!([{ "type": "section", "text": text(3_001) }]), "3000 characters"),
            (json!([{ "type": "section" }]), "text or fields"),
            (json!([{ "type": "header", "text": plain(151) }]), "150 characters"),
            (json!([{ "type": "markdown", "text": "x".repeat(12_001) }]), "12000 characters"),
            (
                json!([{ "type": "markdown", "text": "x".repeat(7_000) }, { "type": "markdown", "text": "x".repeat(7_000) }]),
                "14000 characters",
            ),
            (json!([{ "type": "context", "elements": vec![text(4); 11] }]), "10 elements"),
            (json!([actions(json!((0..26).map(|n| button(&n.to_string())).collect::<Vec<_>>()))]), "25 elements"),
            (json!([actions(json!([button("a"), button("a")]))]), "action_id a is there twice"),
            (json!([actions(json!([{ "type": "button", "action_id": "a", "text": plain(76) }]))]), "75 characters"),
            (json!([actions(json!([styled]))]), "style"),
            (json!([actions(json!([unsure]))]), "100 characters"),
            (json!([actions(json!([select(json!([option]))]))]), "value"),
            (json!([actions(json!([{ "type": "knob", "action_id": "a" }]))]), "Unknown element"),
            (json!([{ "type": "marquee" }]), "no kind of block"),
            (json!([{ "type": "section", "text": text(4), "colour": "red" }]), "colour"),
            (json!(vec![json!({ "type": "divider" }); 51]), "51 blocks"),
            (json!([section, section]), "block_id same is there twice"),
        ];
        let mut wrong: Vec<(Value, &str)> = blocks
            .into_iter()
            .map(|(blocks, word)| (json!({ "method": "chat.update", "payload": { "text": "hello", "blocks": blocks } }), word))
            .collect();
        let view = |view: Value| json!({ "method": "views.open", "payload": { "view": view } });
        let divider = json!([{ "type": "divider" }]);
        wrong.extend([
            (json!({ "method": "chat.postMessage", "payload": { "blocks": divider } }), "no words"),
            (json!({ "method": "chat.postEphemeral", "payload": { "text": "x".repeat(4_001) } }), "4001 characters"),
            (json!({ "method": "chat.unfurl", "payload": { "blocks": divider } }), "not among those"),
            (view(json!({ "type": "modal", "blocks": divider })), "without a title"),
            (view(json!({ "type": "modal", "title": plain(25), "blocks": divider })), "24 characters"),
            (view(json!({ "type": "modal", "title": plain(4), "blocks": [] })), "between 1 and 100"),
            (view(json!({ "type": "home", "submit": plain(4), "blocks": divider })), "submit"),
            (view(json!({ "type": "modal", "title": plain(4), "blocks": [{ "type": "header", "text": plain(151) }] })), "150 characters"),
        ]);
        for (call, word) in wrong {
            let verdict = check(std::slice::from_ref(&call)).await.unwrap();
            assert!(
                verdict.problems.iter().any(|problem| problem.contains(word)),
                "`{word}` is not said of {call}: {:?}",
                verdict.problems
            );
        }
    }
}
