//! Channels that close, threads that vanish, people who leave: whoever asked gets the answer all the same, once.

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options, TURN_LIMIT};
use serde_json::Value;

use crate::{
    hold::{Held, held, play, shell},
    stage::tell_alone,
    thread::{SOON, Thread, key_of},
};

fn one_sample() -> Options {
    Options::samples(&["acme/storefront"])
}

/// Waits at a gate named as the marker, changes something, and says so.
fn script(marker: &str, answer: &str) -> Script {
    let (tool, line) = shell(&format!("echo {marker} >> {marker}.txt"));
    held(Script::for_prompt(marker), marker).call(tool, line).say(answer)
}

async fn held_in<'a>(harness: &'a Harness, channel: &str, marker: &str, answer: &str) -> Result<(Thread<'a>, Held)> {
    play(harness, script(marker, answer));
    let thread = Thread::open(harness, "U0ANA", channel, &format!("@longshore in acme/storefront, write {marker}"))?;
    let held = Held::at(&thread, 1, marker).await?;
    Ok((thread, held))
}

/// What Ana is told in her direct message, as soon as it holds this. It is the thread's final reply, and says why it is here.
async fn told_in_private(harness: &Harness, thread: &Thread<'_>, answer: &str, why: &str) -> Result<()> {
    let find = |slack: &longshore_emulators::slack::SlackHandle| {
        slack.messages("D0ANA").into_iter().find(|message| message["blocks"].to_string().contains(answer))
    };
    let message: Value = harness.slack.wait_until(find, TURN_LIMIT).await.with_context(|| thread.text())?;
    let head = message["blocks"][0]["elements"][0]["text"].as_str().unwrap_or_default();
    ensure!(head.contains(why) && head.contains(&format!("<#{}>", thread.channel)), "{head}");
    let session = thread.session().await?.id;
    assert_eq!(key_of(&message), format!("{session}:final:1"));
    let again = harness.slack.messages("D0ANA").into_iter().filter(|other| key_of(other) == key_of(&message)).count();
    assert_eq!(again, 1, "said once");
    ensure!(!thread.text().contains(answer), "and not in the thread as well: {}", thread.text());
    thread.turn(1).await.map(drop)
}

#[test]
fn what_cannot_be_said_in_its_thread_is_said_to_the_asker_in_private() {
    tell_alone(one_sample(), async |harness| {
        for refusal in ["not_in_channel", "is_archived", "cannot_reply_to_message"] {
            harness.expect_refusals(refusal);
        }
        let (left, left_gate) = held_in(harness, "C0CHECKOUT", "leaving", "Written after I was sent away.").await?;
        harness.slack.person("U0ANA").remove_bot("C0CHECKOUT")?;
        left_gate.let_go().await?;
        told_in_private(harness, &left, "Written after I was sent away.", "I am not in its channel any more").await?;

        let (archived, archived_gate) = held_in(harness, "C0PLATFORM", "archiving", "Written into an archive.").await?;
        harness.slack.archive("C0PLATFORM");
        archived_gate.let_go().await?;
        told_in_private(harness, &archived, "Written into an archive.", "its channel is archived").await?;

        let (deleted, deleted_gate) = held_in(harness, "C0GENERAL", "deleting", "Written for a thread that is gone.").await?;
        harness.slack.person("U0ANA").delete("C0GENERAL", &deleted.ts)?;
        deleted_gate.let_go().await?;
        told_in_private(harness, &deleted, "Written for a thread that is gone.", "its thread was deleted").await?;

        // Asked back, it goes on where it was.
        harness.slack.person("U0ANA").invite_bot("C0CHECKOUT")?;
        play(harness, Script::for_prompt("are you back").say("I am back."));
        left.reply("U0ANA", "@longshore are you back?")?;
        left.done(2).await?;
        left.shows("I am back.").await.map(drop)
    });
}

#[test]
fn work_goes_on_when_its_asker_leaves_the_company() {
    tell_alone(one_sample(), async |harness| {
        let (thread, gate) = held_in(harness, "C0CHECKOUT", "farewell", "Written as a last favour.").await?;
        harness.slack.deactivate("U0ANA");
        gate.let_go().await?;
        thread.done(1).await?;
        let text = thread.shows("Written as a last favour.").await?;
        ensure!(text.contains("Create pull request"), "{text}");

        play(harness, Script::for_prompt("take over").say("Now for you."));
        thread.reply("U0BEN", "I take over")?;
        thread.done(2).await?;
        thread.shows("Now for you.").await?;
        let (message, button) = thread.button("open_pull_request").await?;
        harness.slack.person("U0BEN").press(&thread.channel, &message, &button).await?;
        thread.shows("Pull request #").await?;
        let commits = harness.github.pull_request_commits("acme/storefront", thread.pull().await?.number).await?;
        let authors: Vec<&str> = commits.iter().map(|commit| commit.author.email.as_str()).collect();
        assert_eq!(authors, ["ana@example.com"], "who asked is the author still");
        Ok(())
    });
}

#[test]
fn a_minute_of_429_delays_the_answer_and_nothing_else() {
    tell_alone(one_sample(), async |harness| {
        let (thread, gate) = held_in(harness, "C0CHECKOUT", "storm", "Written in a storm.").await?;
        let before = harness.slack.calls().len();
        harness.slack.limit_everything_for(std::time::Duration::from_secs(60));
        gate.let_go().await?;
        thread.done(1).await?;
        for kind in ["card", "final"] {
            assert_eq!(thread.messages(kind).len(), 1, "one {kind}: {}", thread.text());
        }
        ensure!(thread.text().contains("Written in a storm."), "{}", thread.text());
        let limited: Vec<_> = harness.slack.calls().into_iter().skip(before).filter(|call| call.status == 429).collect();
        ensure!(!limited.is_empty(), "the storm was met");
        // Each method and channel learns once how long to wait; whoever tried again before that would be here many times.
        ensure!(
            limited.len() <= 6,
            "Retry-After was not honoured: {:?}",
            limited.iter().map(|call| (call.at, &call.method)).collect::<Vec<_>>()
        );
        Ok(())
    });
}

#[test]
fn what_is_said_while_the_socket_is_gone_is_heard_when_it_is_back() {
    tell_alone(one_sample(), async |harness| {
        let (thread, gate) = held_in(harness, "C0CHECKOUT", "socket", "Written without a socket.").await?;
        play(harness, Script::for_prompt("heard this").say("I heard it."));
        harness.slack.drop_sockets();
        thread.reply("U0BEN", "and tell me that you heard this")?;
        gate.let_go().await?;
        thread.done(1).await?;
        thread.done(2).await?;
        thread.shows("I heard it.").await?;
        harness.slack.wait_until(|slack| (slack.sockets() > 0).then_some(()), SOON).await?;
        assert_eq!(thread.messages("final").len(), 2, "{}", thread.text());
        Ok(())
    });
}
