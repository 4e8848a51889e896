//! Turns that outlive the service.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options};
use longshore_session::{AgentActivity, Event};
use serde_json::json;

use crate::{
    hold::{Held, docker, held, play, shell},
    stage::tell_alone,
    thread::{SOON, Thread},
};

const ROOM: &str = "C0CHECKOUT";
const ANSWER: &str = "The changelog has its line, whatever happened meanwhile.";

fn one_sample() -> Options {
    Options::samples(&["acme/storefront"])
}

/// Edits, commits, opens a pull request and answers, with a gate before all of it.
fn script(marker: &str) -> Script {
    let (tool, line) = shell("printf '\\n- One line\\n' >> CHANGELOG.md && git commit -qam 'Note one line'");
    held(Script::for_prompt(marker), "survive")
        .call(tool, line)
        .call("post_update", json!({ "text": "The line is written." }))
        .call("open_pull_request", json!({ "title": "Note one line", "body": "One line more." }))
        .say(ANSWER)
}

/// Everything happened once, in the log, in the thread and on GitHub.
async fn all_happened_once(thread: &Thread<'_>) -> Result<()> {
    let harness = thread.harness;
    thread.done(1).await?;
    let session = thread.session().await?.id;
    let raw = harness.service.get(&format!("/v1/sessions/{session}/events?after=0")).await?;
    let numbers: Vec<u64> = raw["events"].as_array().context("no events")?.iter().filter_map(|event| event["seq"].as_u64()).collect();
    let wanted: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, wanted, "the log has a gap");

    let events = thread.events().await?;
    let (mut text, mut started, mut ended) = (String::new(), Vec::new(), Vec::new());
    for event in &events {
        let Event::Agent { activity, .. } = event else { continue };
        match activity {
            AgentActivity::Text { delta } => text.push_str(delta),
            AgentActivity::ToolStarted { call, .. } => started.push(call.clone()),
            AgentActivity::ToolEnded { call, .. } => ended.push(call.clone()),
            AgentActivity::MessageBegan | AgentActivity::Thought { .. } | AgentActivity::Plan { .. } => {}
        }
    }
    ensure!(text.contains(ANSWER) && text.matches("whatever happened").count() == 1, "the answer is not there once: {text}");
    let mut once = ended.clone();
    once.sort();
    once.dedup();
    assert_eq!((ended.len(), once.len()), (4, 4), "each of four tools ended once: {ended:?}");
    ensure!(ended.iter().all(|call| started.contains(call)), "{started:?} and {ended:?}");
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::TurnStarted { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::TurnEnded { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::PullRequestOpened { .. })), 1);

    let text = thread.text();
    for kind in ["card", "say", "final"] {
        assert_eq!(thread.messages(kind).len(), 1, "one {kind}: {text}");
    }
    ensure!(text.contains("✅ Done · acme/storefront"), "the card stays behind: {text}");
    let pull = thread.pull().await?;
    let commits = harness.github.pull_request_commits("acme/storefront", pull.number).await?;
    let messages: Vec<&str> = commits.iter().map(|commit| commit.message.trim()).collect();
    assert_eq!(messages, ["Note one line"]);
    Ok(())
}

async fn begin<'a>(harness: &'a Harness) -> Result<(Thread<'a>, Held)> {
    play(harness, script("one line, and survive"));
    let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore one line, and survive, in acme/storefront")?;
    let held = Held::at(&thread, 1, "survive").await?;
    thread.shows("Working · acme/storefront").await?;
    Ok((thread, held))
}

#[test]
fn a_turn_goes_on_while_the_service_is_killed() {
    tell_alone(one_sample(), async |harness| {
        let (thread, held) = begin(harness).await?;
        harness.service.kill().await?;
        // The agent finds nobody at the gateway, and tries until there is somebody.
        held.let_go().await?;
        harness.service.start().await?;
        all_happened_once(&thread).await?;
        // Killed when all is done, there is nothing to do again.
        harness.service.kill().await?;
        harness.service.start().await?;
        thread.reply("U0BEN", "stop")?;
        thread.whispers("U0BEN", "nothing running here").await?;
        all_happened_once(&thread).await
    });
}

#[test]
fn the_service_leaves_when_told_and_the_turn_goes_on() {
    tell_alone(one_sample(), async |harness| {
        let (thread, held) = begin(harness).await?;
        let told = Instant::now();
        harness.service.terminate().await?;
        ensure!(told.elapsed() < Duration::from_secs(10), "leaving took {:?}", told.elapsed());
        harness.service.start().await?;
        held.let_go().await?;
        all_happened_once(&thread).await
    });
}

#[test]
fn a_turn_that_is_being_stopped_is_stopped_although_the_service_is_killed() {
    tell_alone(one_sample(), async |harness| {
        let (thread, held) = begin(harness).await?;
        // A paused sandbox cannot hear that it is to stop: the kill comes between asking and hearing.
        docker(&["pause", &held.container]).await?;
        thread.reply("U0BEN", "stop")?;
        thread.shows("Stopping").await?;
        harness.service.kill().await?;
        harness.service.start().await?;
        let turn = thread.turn(1).await?;
        assert_eq!(turn.outcome, "stopped", "{}", thread.text());

        play(harness, Script::for_prompt("are you there").say("I am here."));
        thread.reply("U0ANA", "are you there?")?;
        let next = thread.done(2).await?;
        thread.shows("I am here.").await?;
        assert_eq!(next.sandbox, turn.sandbox, "the agent was free for it");
        assert_eq!(thread.messages("final").len(), 2, "{}", thread.text());
        Ok(())
    });
}

#[test]
fn a_mention_that_was_acknowledged_is_worked_on_although_the_service_is_killed() {
    tell_alone(one_sample(), async |harness| {
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore splitting a bill between three people loses a cent")?;
        let taken = |slack: &longshore_emulators::slack::SlackHandle| {
            slack.deliveries().iter().any(|delivery| delivery.subject == "app_mention" && delivery.is_acknowledged()).then_some(())
        };
        harness.slack.wait_until(taken, SOON).await?;
        harness.service.kill().await?;
        harness.service.start().await?;
        thread.done(1).await?;
        assert_eq!(thread.sessions().await?.len(), 1);
        for kind in ["card", "final"] {
            assert_eq!(thread.messages(kind).len(), 1, "one {kind}: {}", thread.text());
        }
        thread.pull().await.map(drop)
    });
}

#[test]
fn a_turn_ends_once_however_often_the_service_is_killed() {
    tell_alone(one_sample(), async |harness| {
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore coupons are refused on their last valid day")?;
        let session = thread.session().await?.id;
        let numbers = async || -> Result<(u64, bool)> {
            let raw = harness.service.get(&format!("/v1/sessions/{session}")).await?;
            let ended = harness.turns(&session).await?.iter().any(|turn| !turn.outcome.is_empty());
            Ok((raw["last_event"].as_u64().context("no number")?, ended))
        };
        let (mut seen, mut kills) = (0, 0);
        loop {
            let (last, ended) = numbers().await?;
            if ended && last == seen {
                break;
            }
            // Killed each time that something was written, so in the middle of whatever followed; and once more when all is done. Not much more often,
            // or the agent's patience with a missing model is what takes the time.
            if last > seen && (kills < 4 || ended) {
                harness.service.kill().await?;
                kills += 1;
                harness.service.start().await?;
                seen = last;
            }
        }
        ensure!(kills > 3, "killed only {kills} times");
        thread.done(1).await?;
        let pull = thread.pull().await?;
        assert_eq!(harness.github.pull_request_commits("acme/storefront", pull.number).await?.len(), 1);
        for kind in ["card", "say", "final"] {
            assert_eq!(thread.messages(kind).len(), 1, "one {kind}: {}", thread.text());
        }
        let raw = harness.service.get(&format!("/v1/sessions/{session}/events?after=0")).await?;
        let numbers: Vec<u64> = raw["events"].as_array().context("no events")?.iter().filter_map(|event| event["seq"].as_u64()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        let answer = format!("{}", thread.messages("final")[0]);
        ensure!(answer.matches("The comparison left out the last day").count() >= 1, "{answer}");
        Ok(())
    });
}

#[test]
fn a_prompt_that_joined_is_given_to_the_agent_once_although_the_service_is_killed() {
    tell_alone(one_sample(), async |harness| {
        let (thread, held) = begin(harness).await?;
        let (tool, line) = shell("printf '\\n- One line\\n' >> CHANGELOG.md");
        play(harness, Script::for_prompt("mind the other column").call(tool, line).say("Both columns are minded."));
        thread.reply("U0BEN", "now: mind the other column")?;
        thread.shows("Handed over.").await?;
        harness.service.kill().await?;
        harness.service.start().await?;
        let find = "until grep -rqs 'mind the other column' /home/agent/.local/share/opencode; do sleep 0.1; done";
        docker(&["exec", &held.container, "sh", "-c", find]).await?;
        harness.service.kill().await?;
        harness.service.start().await?;
        held.let_go().await?;
        thread.done(1).await?;
        thread.shows("Both columns are minded.").await?;

        let requests = harness.model().requests();
        let count = |body: &str| body.matches("says to you: mind the other column").count();
        let most = requests.iter().map(|request| count(&request.body["messages"].to_string())).max();
        assert_eq!(most, Some(1), "the agent was told once");
        let handed = thread.events().await?.iter().filter(|event| matches!(event, Event::PromptHanded { .. })).count();
        assert_eq!((handed, harness.turns(&thread.session().await?.id).await?.len()), (1, 1));
        assert_eq!(thread.messages("final").len(), 1, "{}", thread.text());
        assert_eq!(thread.messages("queued").len(), 1, "{}", thread.text());
        Ok(())
    });
}
