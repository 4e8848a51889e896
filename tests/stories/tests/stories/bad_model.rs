//! A model that refuses, limits, breaks off: said in the thread where it ends the turn, borne where it passes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use longshore_emulators::model::{CallKind, Conversation, Fault, Script, ScriptStep};
use longshore_harness::{Harness, Options};

use crate::bad_talk::{Talk, asked, shell};

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_is_said_and_the_session_goes_on() {
    let harness = Harness::start(Options::samples(&["acme/storefront"])).await.unwrap();
    let model = harness.model();
    for number in ["one", "two", "three", "four", "five", "six", "seven"] {
        model.push_script(asked(&format!("say {number}")).say(&format!("This is number {number}.")));
    }
    let fail = |fault| model.fail_next_of(CallKind::Agent, fault);

    // A key that does not count.
    fail(Fault::Status(401));
    let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, say one");
    talk.fails_with(&["The model's provider refused", "the model's key and limits"]).await;

    // Nothing left to spend.
    fail(Fault::Status(402));
    talk.reply("say two");
    talk.fails_with(&["The model's provider refused"]).await;

    // A request that it does not take.
    fail(Fault::Status(400));
    talk.reply("say three");
    talk.fails_with(&["The model's provider refused", "Put the request in other words"]).await;

    // The model itself declines.
    fail(Fault::Refusal("I cannot help with that.".to_owned()));
    talk.reply("say four");
    talk.fails_with(&["without a word", "Put the request in other words"]).await;

    // Limits and outages that pass are waited for.
    fail(Fault::RateLimited { retry_after: Duration::from_secs(1) });
    fail(Fault::Status(503));
    talk.reply("say five");
    talk.ends_well_with(&["This is number five."]).await;

    // An answer that breaks off in the middle is asked for again.
    fail(Fault::DropAfter(1));
    talk.reply("say six");
    let told = talk.ends_well_with(&["This is number six."]).await;
    assert_eq!(told.matches("This is").count(), 1, "the broken piece is not shown beside the whole: {told}");

    talk.reply("say seven");
    talk.ends_well_with(&["This is number seven."]).await;
    harness.finish().await.unwrap();
}

/// Fails until the story lets it answer.
async fn fails_for_a_while(harness: &Harness, channel: &str, (word, fault): (&str, Fault), shown: &str) {
    let (mended, answer) = (Arc::new(AtomicBool::new(false)), format!("At last: {word}."));
    let (is_mended, said) = (Arc::clone(&mended), answer.clone());
    harness.model().push_script(
        asked(&format!("say {word}")).decide(move |_| {
            if is_mended.load(Ordering::SeqCst) { ScriptStep::Say(said.clone()) } else { ScriptStep::Fail(fault.clone()) }
        }),
    );
    let talk = Talk::begin(harness, channel, &format!("in acme/storefront, say {word}"));
    let told = talk.shows(shown).await;
    assert!(told.contains("The agent asks again by itself"), "{told}");
    mended.store(true, Ordering::SeqCst);
    let told = talk.ends_well_with(&[&answer]).await;
    assert_eq!(told.matches("At last").count(), 1, "{told}");
}

/// The agent shortens its conversation by itself; where it cannot, the session goes on with an account of it.
async fn a_conversation_overflows(harness: &Harness) {
    let (model, is_fitting) = (harness.model(), AtomicBool::new(false));
    model.push_script(asked("grow").decide(move |_| {
        let fits = is_fitting.swap(true, Ordering::SeqCst);
        if fits { ScriptStep::Say("It fits now.".to_owned()) } else { ScriptStep::Fail(Fault::ContextLengthExceeded) }
    }));
    let overflows = Fault::ContextLengthExceeded;
    model.push_script(asked("grow for good").call("bash", shell("echo grown > grown.local")).fail(overflows.clone()));
    let shortening =
        |conversation: &Conversation| conversation.tools.is_empty() && format!("{:?}", conversation.messages).contains("grow for good");
    model.push_script(Script::when(shortening).fail(overflows));
    model.push_script(asked("what has grown?").call("bash", shell("cat grown.local")).decide(|prompt| {
        ScriptStep::Say(format!("This: {}", prompt.exchanges.last().map(|exchange| exchange.result.clone()).unwrap_or_default()))
    }));

    let mut talk = Talk::begin(harness, "C0PLATFORM", "in acme/storefront, still there?");
    talk.ends_well_with(&["Still here."]).await;
    talk.reply("grow");
    let told = talk.ends_well_with(&["It fits now."]).await;
    assert!(!told.contains("scripted demo model"), "the agent's summary for itself is no answer: {told}");
    talk.reply("grow for good");
    talk.fails_with(&["The conversation has become longer than the model takes", "the agent begins a new conversation"]).await;
    talk.reply("what has grown?");
    talk.ends_well_with(&["This: grown", "Restored from the snapshot of", "but not the agent's memory"]).await;
    let told = model.requests().into_iter().any(|request| {
        let body = request.body["messages"].to_string();
        body.contains("Now they ask: what has grown?") && body.contains("You answered: It fits now.")
    });
    assert!(told, "the new conversation begins with an account of the old one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_away_is_said_while_it_lasts_and_at_the_end() {
    let mut options = Options::samples(&["acme/storefront"]);
    options.configuration = "[limits]\nsilence_seconds = 60\nmodel_stall_seconds = 8\n".to_owned();
    let harness = Harness::start(options).await.unwrap();
    let model = harness.model();
    model.push_script(
        asked("wait for ever")
            .call("bash", shell("echo 'first line' > NOTES.md"))
            .fail(Fault::RateLimited { retry_after: Duration::from_secs(3600) }),
    );
    model.push_script(asked("still there?").say("Still here."));
    let second = Duration::from_secs(1);
    let limited = fails_for_a_while(
        &harness,
        "C0CHECKOUT",
        ("limited", Fault::RateLimited { retry_after: second }),
        "its provider is over its limit (429)",
    );
    let failing = fails_for_a_while(&harness, "C0PLATFORM", ("failing", Fault::Status(503)), "its provider fails (503)");
    let stalled = fails_for_a_while(&harness, "C0GENERAL", ("stalled", Fault::StallAfter(1)), "its answers break off");
    let away = async {
        let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, wait for ever");
        talk.fails_with(&["The model gave no answer for 1 min", "its provider is over its limit (429)", "What was done is kept"]).await;
        talk.reply("still there?");
        talk.ends_well_with(&["Still here.", "Restored from the snapshot of"]).await;
    };
    let overflowing = a_conversation_overflows(&harness);
    harness.expect_errors("the agent is lost");
    tokio::join!(limited, failing, stalled, away, overflowing);
    harness.finish().await.unwrap();
}
