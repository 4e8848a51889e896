//! Reading before the sandbox is in sync, writing after it; and rules that a manifest has for tool calls.

use anyhow::{Context, Result, ensure};
use longshore_emulators::{
    github::{Fault, Route},
    model::{Script, ScriptStep},
};
use longshore_harness::{Harness, Options};
use longshore_session::{Event, Phase, TurnId};
use serde_json::json;

use crate::{
    hold::{container, docker, play, shell},
    stage::tell_alone,
    thread::{SOON, Thread},
};

const ROOM: &str = "C0CHECKOUT";

/// Laid over the sample's own manifest.
const RULES: &str = r#"
[[tool_rules]]
tool = ["commands"]
command = 'rm\s+-rf'
deny = "Nothing is removed wholesale here: name the files."

[[tool_rules]]
command = '\bfirst-name\b'
replace = "second-name"

[[tool_rules]]
tool = ["edits"]
path = "**/*.md"
note = "The documentation's style guide is in STYLE.md."
"#;

fn one_sample() -> Result<Options> {
    let mut options = Options::samples(&["acme/storefront"]);
    let manifest = Options::manifest_text("acme/storefront")?;
    options.manifests.insert("acme/storefront".to_owned(), format!("{manifest}{RULES}"));
    Ok(options)
}

/// Reads a file and writes another one, side by side.
fn reads_and_writes(marker: &str) -> Script {
    let calls = [
        ("write", json!({ "filePath": format!("/workspace/{marker}.txt"), "content": "written\n" })),
        ("read", json!({ "filePath": "/workspace/README.md" })),
    ];
    let calls = calls.map(|(tool, arguments)| (tool.to_owned(), arguments));
    Script::for_prompt(marker).step(ScriptStep::Call(calls.into())).say("Both are done.")
}

async fn is_synced(thread: &Thread<'_>, turn: u32) -> Result<bool> {
    let synced = |event: &Event| matches!(event, Event::PhaseReached { turn: TurnId(of), phase: Phase::Synced, .. } if *of == turn);
    Ok(thread.events().await?.iter().any(synced))
}

/// Waits until the log has the call's words, as begun or as ended.
async fn logged(thread: &Thread<'_>, words: &str, ended: bool) -> Result<()> {
    let find = async {
        loop {
            let event = |event: &Event| {
                let text = format!("{event:?}");
                text.contains(words) && text.contains(if ended { "ToolEnded" } else { "ToolStarted" })
            };
            if thread.events().await?.iter().any(event) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(SOON, find).await.with_context(|| format!("{words} is not in the log: {}", thread.text()))?
}

async fn is_written(container: &str, marker: &str) -> bool {
    docker(&["exec", container, "test", "-e", &format!("/workspace/{marker}.txt")]).await.is_ok()
}

#[test]
fn the_agent_reads_before_the_sync_and_writes_after_it_whatever_happens_to_the_service() {
    tell_alone(one_sample().unwrap(), async |harness: &Harness| {
        held_back_and_killed(harness).await?;
        stopped_while_held(harness).await?;
        failing(harness).await
    });
}

/// The sync stands still, the service is killed in that, and it goes on right.
async fn held_back_and_killed(harness: &Harness) -> Result<()> {
    play(harness, reads_and_writes("patience"));
    let hold = harness.github.hold(Route::Git);
    let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore patience, in acme/storefront")?;
    logged(&thread, "README.md", true).await?;
    logged(&thread, "patience.txt", false).await?;
    let container = container(&thread, 1).await?;
    ensure!(!is_synced(&thread, 1).await? && !is_written(&container, "patience").await, "{}", thread.text());

    harness.service.kill().await?;
    harness.service.start().await?;
    let joined = "now: and mind the patience of others";
    play(harness, Script::for_prompt("patience of others").say("All of it is done."));
    thread.reply("U0BEN", joined)?;
    thread.shows("Handed over").await?;
    ensure!(!is_synced(&thread, 1).await? && !is_written(&container, "patience").await, "{}", thread.text());
    drop(hold);
    thread.done(1).await?;

    let events = thread.events().await?;
    let at = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted);
    let synced = at(&|event| matches!(event, Event::PhaseReached { phase: Phase::Synced, .. })).context("never synced")?;
    let handed = at(&|event| matches!(event, Event::PromptHanded { .. })).context("never handed")?;
    ensure!(synced < handed, "where a prompt joins is looked up in a sandbox that is in sync");
    assert_eq!(events.iter().filter(|event| matches!(event, Event::PhaseReached { phase: Phase::Synced, .. })).count(), 1);
    ensure!(is_written(&container, "patience").await);
    let branch = thread.session().await?.branch;
    ensure!(harness.github.branch_head("acme/storefront", &branch).await?.is_some(), "what was written is pushed: {}", thread.text());
    assert_eq!(thread.messages("final").len(), 1, "{}", thread.text());

    // A restart after the sync does not sync again, which would throw the work away; and the gate is open at once.
    let (tool, line) = shell("mkfifo /tmp/later && cat /tmp/later");
    let script = Script::for_prompt("later").call("write", json!({ "filePath": "/workspace/later.txt", "content": "x" })).call(tool, line);
    play(harness, script.call("write", json!({ "filePath": "/workspace/latest.txt", "content": "x" })).say("Later is done."));
    thread.reply("U0ANA", "later")?;
    docker(&["exec", &container, "sh", "-c", "until [ -p /tmp/later ]; do sleep 0.1; done"]).await?;
    harness.service.kill().await?;
    let hold = harness.github.hold(Route::Git);
    harness.service.start().await?;
    docker(&["exec", &container, "sh", "-c", "echo go >/tmp/later; until [ -e /workspace/latest.txt ]; do sleep 0.1; done"]).await?;
    drop(hold);
    thread.done(2).await?;
    ensure!(is_written(&container, "later").await && is_written(&container, "latest").await);
    Ok(())
}

/// Stopped while the sync stands still: nothing is written, and the next prompt gets a sandbox that is sound.
async fn stopped_while_held(harness: &Harness) -> Result<()> {
    play(harness, reads_and_writes("haste"));
    let hold = harness.github.hold(Route::Git);
    let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore haste, in acme/storefront")?;
    logged(&thread, "haste.txt", false).await?;
    thread.reply("U0BEN", "stop")?;
    let stopped = thread.turn(1).await?;
    assert_eq!(stopped.outcome, "stopped", "{}", thread.text());
    drop(hold);
    play(
        harness,
        Script::for_prompt("again").call("write", json!({ "filePath": "/workspace/again.txt", "content": "x" })).say("Written now."),
    );
    thread.reply("U0ANA", "again")?;
    let done = thread.done(2).await?;
    thread.shows("Written now.").await?;
    ensure!(done.sandbox != stopped.sandbox, "the half-synced one is not used again");
    let branch = thread.session().await?.branch;
    ensure!(harness.github.branch_head("acme/storefront", &branch).await?.is_some(), "{}", thread.text());
    Ok(())
}

/// The sync fails: the thread is told in the words that it always had, and nothing was written.
async fn failing(harness: &Harness) -> Result<()> {
    harness.expect_errors("cannot sync with the base branch");
    play(harness, reads_and_writes("vainly"));
    harness.github.fail_next(Route::Git, Fault::Status(404));
    let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore vainly, in acme/storefront")?;
    let turn = thread.turn(1).await?;
    assert_eq!(turn.outcome, "failed", "{}", thread.text());
    let text = thread.shows("cannot reach the repository any more").await?;
    ensure!(!text.contains("file changed"), "{text}");
    let branch = thread.session().await?.branch;
    ensure!(harness.github.branch_head("acme/storefront", &branch).await?.is_none(), "nothing was pushed");
    let wrote = thread.events().await?.iter().any(|event| {
        let text = format!("{event:?}");
        text.contains("ToolEnded") && text.contains("vainly.txt") && text.contains("Succeeded")
    });
    ensure!(!wrote, "the write was let through");
    Ok(())
}

/// An agent without our hook, which asks for permission by the protocol. It writes `/workspace/asked.txt` if it may.
const ASKING_AGENT: &str = r#"#!/bin/bash
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }
say() { printf '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_1","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"%s"}}}}\n' "$1"; }
ask() { printf '{"jsonrpc":"2.0","id":"%s","method":"session/request_permission","params":{"sessionId":"ses_1","toolCall":{"toolCallId":"c1","kind":"%s"},"options":[{"optionId":"yes","name":"Yes","kind":"allow_once"},{"optionId":"no","name":"No","kind":"reject_once"}]}}\n' "$1" "$2"; }
while IFS= read -r line; do
    [[ $line =~ \"id\":(\"[^\"]*\"|[0-9]+) ]] && id="${BASH_REMATCH[1]}"
    case "$line" in
        *'"method":"initialize"'*) answer "$id" '{"protocolVersion":1,"agentCapabilities":{"loadSession":false,"promptCapabilities":{"image":false}}}' ;;
        *'"method":"session/new"'*) answer "$id" '{"sessionId":"ses_1"}' ;;
        *'"method":"session/prompt"'*) prompt="$id"; ask may-read read; ask may-write edit ;;
        *'"id":"may-read"'*) say 'I may read. ' ;;
        *'"id":"may-write"'*'"yes"'*) echo x >/workspace/asked.txt; say 'I wrote.'; answer "$prompt" '{"stopReason":"end_turn"}' ;;
        *'"id":"may-write"'*) say 'I was refused.'; answer "$prompt" '{"stopReason":"end_turn"}' ;;
        *'"method"'*'"id"'*) answer "$id" '{}' ;;
    esac
done
"#;

#[test]
fn an_agent_without_the_hook_waits_for_the_sync_by_the_protocols_permissions() {
    let manifest = format!(
        "repository = \"acme/storefront\"\ndescription = \"The online shop.\"\n[image]\nsetup_root = ['''\ncat >/usr/local/bin/opencode <<'END'\n{ASKING_AGENT}END\n''']\n"
    );
    let mut options = Options::samples(&["acme/storefront"]);
    options.manifests.insert("acme/storefront".to_owned(), manifest);
    tell_alone(options, async |harness: &Harness| {
        let hold = harness.github.hold(Route::Git);
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore ask first, in acme/storefront")?;
        let said = async {
            while !format!("{:?}", thread.events().await?).contains("I may read.") {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(SOON, said).await.with_context(|| thread.text())??;
        let container = container(&thread, 1).await?;
        ensure!(!is_synced(&thread, 1).await? && !is_written(&container, "asked").await, "{}", thread.text());

        // What was asked of one service is answered by the next one.
        harness.service.kill().await?;
        harness.service.start().await?;
        drop(hold);
        thread.done(1).await?;
        thread.shows("I wrote.").await?;
        ensure!(is_written(&container, "asked").await);
        let branch = thread.session().await?.branch;
        ensure!(harness.github.branch_head("acme/storefront", &branch).await?.is_some(), "{}", thread.text());
        Ok(())
    });
}

#[test]
fn a_manifests_rules_refuse_change_and_annotate_tool_calls_and_the_log_says_so() {
    tell_alone(one_sample().unwrap(), async |harness: &Harness| {
        let (tool, remove) = shell("rm -rf storefront && echo removed");
        let (_, rename) = shell("echo first-name > name.txt && cat name.txt");
        let told = |prompt: &longshore_emulators::model::PromptView| {
            let results: Vec<String> = prompt.exchanges.iter().map(|exchange| exchange.result.clone()).collect();
            ScriptStep::Say(format!("The tools said: {}", results.join(" | ")))
        };
        let script = Script::for_prompt("by the rules").call(tool, remove).call(tool, rename);
        play(harness, script.call("write", json!({ "filePath": "/workspace/docs/a.md", "content": "# A\n" })).decide(told));
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore by the rules, in acme/storefront")?;
        thread.done(1).await?;
        let text = thread.text();
        for wanted in ["Nothing is removed wholesale here", "second-name", "The documentation's style guide is in STYLE.md."] {
            ensure!(text.contains(wanted), "{wanted} is missing: {text}");
        }
        let container = container(&thread, 1).await?;
        assert_eq!(docker(&["exec", &container, "cat", "/workspace/name.txt"]).await?.trim(), "second-name");
        docker(&["exec", &container, "test", "-d", "/workspace/storefront"]).await?;
        let ruled: Vec<String> = thread
            .events()
            .await?
            .iter()
            .filter(|event| matches!(event, Event::ToolRuled { .. }))
            .map(|event| format!("{event:?}"))
            .collect();
        assert_eq!(ruled.len(), 3, "{ruled:?}");
        ensure!(
            ruled[0].contains("Nothing is removed wholesale") && ruled[1].contains("first-name") && ruled[1].contains("second-name"),
            "{ruled:?}"
        );
        Ok(())
    });
}
