//! A model that refuses, limits, breaks off: said in the thread where it ends the turn, borne where it passes.

use std::time::Duration;

use longshore_emulators::model::{CallKind, Fault};
use longshore_harness::{Harness, Options};

use crate::bad_talk::{Talk, asked};

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
