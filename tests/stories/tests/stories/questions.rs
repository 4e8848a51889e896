//! What the agent wants to know of people before it goes on.

use anyhow::{Context, Result, ensure};
use longshore_emulators::{
    model::{Script, ScriptStep},
    slack::{Choice, Person, Target},
};
use longshore_harness::{Harness, Options};
use serde_json::{Value, json};

use crate::{
    hold::{container, docker, play},
    stage::{tell, tell_alone},
    thread::{SOON, Thread, action_id, key_of, redacted, whispers},
};

fn asks(marker: &str, question: &str, options: &[&str]) -> Script {
    Script::for_prompt(marker).call("ask_requester", json!({ "question": question, "options": options })).say("Nothing is changed yet.")
}

/// Waits until a turn has ended with its question open, and the card and the final reply say so.
async fn waits(thread: &Thread<'_>, turn: u32) -> Result<()> {
    let report = thread.harness.wait_for_turn(&thread.channel, &thread.ts, turn, longshore_harness::TURN_LIMIT).await?;
    ensure!(report.outcome == "done", "{report:?}");
    card_says(thread, turn, "Waiting for an answer").await?;
    ensure!(
        thread.messages("final").last().context("no final reply")?.to_string().contains("I go on with the answer to my question"),
        "{}",
        thread.text()
    );
    Ok(())
}

async fn card_says(thread: &Thread<'_>, turn: u32, words: &str) -> Result<()> {
    let key = format!(":card:{turn}");
    let head = |message: &Value| message.pointer("/blocks/0/text/text").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_so = |messages: &[Value]| messages.iter().any(|message| key_of(message).ends_with(&key) && head(message).contains(words));
    thread
        .harness
        .slack
        .wait_for_thread(&thread.channel, &thread.ts, is_so, SOON)
        .await
        .with_context(|| format!("no card says {words}"))?;
    Ok(())
}

/// The prompts of requests that the agent made, those that hold these words.
fn prompted(stage: &Harness, words: &str) -> usize {
    stage.model().requests().iter().filter(|request| request.body["messages"].to_string().contains(words)).count()
}

#[test]
fn a_question_with_options_is_answered_by_a_button_and_the_session_goes_on() {
    tell(async |stage| {
        let room = "C0ROOM37";
        let question = "Shall an expired coupon be refused, or taken with a warning?";
        play(stage, asks("settle what an expired coupon does", question, &["Refuse it", "Take it & warn"]));
        play(stage, Script::for_prompt("ben okafor says: take it & warn").say("It is taken now, with a warning."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore settle what an expired coupon does in acme/storefront")?;
        waits(&thread, 1).await?;
        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-37

        Ana Kovač  (clock)
        @longshore settle what an expired coupon does in acme/storefront

          longshore APP  (clock) (edited)
          🙋 Waiting for an answer · acme/storefront
          *acme/storefront* on `longshore/s-…`
          Why here: the message names it
          Asked by @ana · (time) · (tokens) · session `s-…`
          [Stop] [Open session](http://127.0.0.1:…/sessions/s-…?key=…) [Wrong repository]

          longshore APP  (clock)
          🙋 @ana, *I need an answer to go on:*
          Shall an expired coupon be refused, or taken with a warning?
          [Refuse it] [Take it & warn]
          Press a button, or reply in this thread in your own words. Anybody here may answer, and it can wait.

          longshore APP  (clock)
          🙋 *I go on with the answer to my question above.* It can wait; nothing runs meanwhile.
          Nothing is changed yet.
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);

        stage.slack.person("U0CHIYO").slash(room, "/agent status channel").await?;
        whispers(stage, "U0CHIYO", room, question).await?;
        let (message, button) = thread.button("answer:1").await?;
        stage.slack.person("U0BEN").press(room, &message, &button).await?;
        let second = thread.done(2).await?;
        assert_eq!(second.prompt, "Take it & warn");
        ensure!(prompted(stage, "In answer to your question “Shall an expired coupon") > 0, "the agent was not told of its question");
        thread.shows("@ben picked *Take it & warn*").await?;
        card_says(&thread, 1, "Done").await?;
        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-37

        Ana Kovač  (clock)
        @longshore settle what an expired coupon does in acme/storefront

          longshore APP  (clock) (edited)
          ✅ Done · acme/storefront
          *acme/storefront* on `longshore/s-…`
          Why here: the message names it
          Asked by @ana · (time) · (tokens) · session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…) [Wrong repository]

          longshore APP  (clock) (edited)
          🙋 *I asked:*
          Shall an expired coupon be refused, or taken with a warning?
          ☑️ @ben picked *Take it & warn*.

          longshore APP  (clock)
          🙋 *I go on with the answer to my question above.* It can wait; nothing runs meanwhile.
          Nothing is changed yet.
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…)

          longshore APP  (clock) (edited)
          ✅ Done · acme/storefront
          *acme/storefront* on `longshore/s-…`
          Why here: the message names it
          Asked by @ben · (time) · (tokens) · session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…)

          longshore APP  (clock)
          ✅ *Done*, @ben.
          It is taken now, with a warning.
          sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);
        assert_eq!(thread.sessions().await?.len(), 1, "the answer went to the same session");
        ensure!(action_id(&thread.messages("question")[0], "answer").is_none(), "the buttons are still there");
        Ok(())
    });
}

#[test]
fn a_question_without_options_is_answered_by_any_reply() {
    tell(async |stage| {
        let room = "C0ROOM38";
        // The second question is refused while the first is open, and so are too many options.
        let results = |prompt: &longshore_emulators::model::PromptView| {
            let told: Vec<String> = prompt.exchanges.iter().map(|exchange| format!("{exchange:?}")).collect();
            let told = told.join("\n");
            let is_right = told.contains("End your turn now") && told.contains("one is open at a time") && told.contains("10 are enough");
            ScriptStep::Say(if is_right { "All three were told right.".to_owned() } else { told })
        };
        let many: Vec<String> = (0..11).map(|n| format!("choice {n}")).collect();
        play(
            stage,
            Script::for_prompt("name the new dashboard tab")
                .call("ask_requester", json!({ "question": "What shall the tab be called?", "options": many }))
                .call("ask_requester", json!({ "question": "What shall the tab be called?" }))
                .call("ask_requester", json!({ "question": "What shall the tab be called?" }))
                .call("ask_requester", json!({ "question": "And in which colour?" }))
                .decide(results),
        );
        play(stage, Script::for_prompt("chiyo tanaka says: harbour view").say("It is called Harbour view."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore name the new dashboard tab of acme/dashboard")?;
        waits(&thread, 1).await?;
        thread.shows("All three were told right.").await?;
        assert_eq!(thread.messages("question").len(), 1, "{}", thread.text());
        thread.reply("U0BEN", "aside: no idea, have you?")?;
        thread.reply("U0CHIYO", "Harbour view")?;
        thread.done(2).await?;
        thread.shows("It is called Harbour view.").await?;
        let text = thread.shows("@chiyo replied:").await?;
        ensure!(text.contains("> Harbour view") && !text.contains("replied:\n          > aside"), "{text}");
        card_says(&thread, 1, "Done").await
    });
}

#[test]
fn two_people_answer_at_once_and_the_second_is_told_who_was_first() {
    tell(async |stage| {
        let room = "C0ROOM39";
        play(stage, asks("choose how the courier sorts its stops", "By time or by distance?", &["By time", "By distance"]));
        play(stage, Script::for_prompt("in answer to your question “by time or by distance?”").say("Sorted so."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore choose how the courier sorts its stops, in acme/courier")?;
        waits(&thread, 1).await?;
        let (message, _) = thread.button("answer:0").await?;
        let choice = |option: &str| Choice { action_id: format!("answer:{option}"), ..Choice::default() };
        let (ben, chiyo) = (stage.slack.person("U0BEN"), stage.slack.person("U0CHIYO"));
        let (one, two) =
            tokio::join!(ben.act(Target::message(room, &message), choice("0")), chiyo.act(Target::message(room, &message), choice("1")));
        one?;
        two?;
        let is_late = |person: &Person| {
            person.ephemerals().iter().any(|message| message["channel"] == room && message.to_string().contains("answered already"))
        };
        let (first, option) = stage
            .slack
            .wait_until(
                |_| match (is_late(&ben), is_late(&chiyo)) {
                    (false, true) => Some(("ben", "By time")),
                    (true, false) => Some(("chiyo", "By distance")),
                    (false, false) | (true, true) => None,
                },
                SOON,
            )
            .await?;
        assert_eq!(thread.done(2).await?.prompt, option);
        thread.shows(&format!("@{first} picked *{option}*")).await?;
        let session = thread.session().await?.id;
        assert_eq!(stage.turns(&session).await?.len(), 2, "one answer is one prompt");
        Ok(())
    });
}

#[test]
fn who_says_stop_while_an_answer_is_awaited_is_not_asked_any_more() {
    tell(async |stage| {
        let room = "C0ROOM40";
        play(stage, asks("pick a font for the dashboard", "With or without serifs?", &["With", "Without"]));
        play(stage, Script::for_prompt("leave the dashboard font alone").say("I leave it alone."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore pick a font for the dashboard, acme/dashboard")?;
        waits(&thread, 1).await?;
        thread.reply("U0BEN", "stop")?;
        thread.shows("@ben stopped this; no answer is needed any more.").await?;
        card_says(&thread, 1, "Stopped").await?;
        thread.reply("U0ANA", "leave the dashboard font alone")?;
        thread.done(2).await?;
        thread.shows("I leave it alone.").await?;
        assert_eq!(prompted(stage, "In answer to your question “With or without serifs?”"), 0, "it was no answer any more");
        Ok(())
    });
}

#[test]
fn an_answer_after_the_service_was_killed_and_the_sandbox_is_gone_goes_on_where_it_stood() {
    tell_alone(Options::samples(&["acme/storefront"]), async |harness| {
        let room = "C0CHECKOUT";
        play(harness, asks("write down how refunds work", "In English or in Slovene?", &["English", "Slovene"]));
        play(harness, Script::for_prompt("says: slovene").say("Zapisano."));
        let thread = Thread::open(harness, "U0ANA", room, "@longshore write down how refunds work, in acme/storefront")?;
        waits(&thread, 1).await?;
        let container = container(&thread, 1).await?;
        harness.service.kill().await?;
        // What a day of waiting leaves: no sandbox, and a service that began anew.
        docker(&["rm", "--force", &container]).await?;
        harness.service.start().await?;

        let (message, button) = thread.button("answer:1").await?;
        harness.slack.person("U0CHIYO").press(room, &message, &button).await?;
        thread.done(2).await?;
        thread.shows("Zapisano.").await?;
        thread.shows("@chiyo picked *Slovene*").await?;
        card_says(&thread, 1, "Done").await?;
        ensure!(prompted(harness, "You asked them: In English or in Slovene?") > 0, "the new agent does not know the conversation");
        for (kind, count) in [("question", 1), ("card", 2), ("final", 2)] {
            assert_eq!(thread.messages(kind).len(), count, "{kind}: {}", thread.text());
        }
        Ok(())
    });
}
