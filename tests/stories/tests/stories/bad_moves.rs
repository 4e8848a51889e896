//! Moving a prompt, and choosing a repository, while something else goes wrong.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use longshore_emulators::{
    model::Script,
    slack::{Choice, Fault, Target},
};
use longshore_harness::{Harness, Options};
use longshore_session::{AskState, Clock, Event, Store, SystemClock};
use serde_json::json;

use crate::{
    bad_ground::run,
    hold::{Held, docker, play},
    rerouting::{ask_where, choose, ended, held_in_storefront, session_in},
    stage::tell_alone,
    thread::{Thread, action_id},
};

const ROOM: &str = "C0CHECKOUT";

fn two_samples() -> Options {
    Options::samples(&["acme/storefront", "acme/courier"])
}

#[test]
fn a_move_is_made_once_although_the_service_is_killed_in_the_middle_of_it() {
    tell_alone(two_samples(), async |harness| {
        play(harness, held_in_storefront(Script::for_prompt("refund for the zanzibar"), "zanzibar").say("The refund is planned."));
        play(harness, Script::for_prompt("and a receipt").say("The receipt is planned."));
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore refund for the zanzibar at checkout")?;
        let held = Held::at(&thread, 1, "zanzibar").await?;
        let old = session_in(&thread, "acme/storefront").await?;
        thread.reply("U0BEN", "and a receipt")?;
        thread.shows("🕒").await?;
        // The kill may come before it is noted that the window was opened: then it is tried again, in vain.
        harness.expect_refusals("exchanged_trigger_id");
        let modal = ask_where(&thread, "U0ANA").await?;
        choose(harness, "U0ANA", &modal, "acme/courier").await?;
        // Slack has its acknowledgement, so the answer is on disk: whatever of it was done, all of it is done in the end. Killed again each time that
        // one of the two sessions got on.
        let mut seen = Vec::new();
        for _ in 0..4 {
            harness.service.kill().await?;
            harness.service.start().await?;
            let progress = async {
                loop {
                    let mut now = Vec::new();
                    for session in thread.sessions().await? {
                        now.push((session.id.clone(), harness.events(&session.id).await?.len()));
                    }
                    now.sort();
                    if now != seen {
                        return anyhow::Ok(now);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            // Nothing new within that is the end of it, too.
            match tokio::time::timeout(Duration::from_secs(20), progress).await {
                Ok(now) => seen = now?,
                Err(_) => break,
            }
        }
        let new = session_in(&thread, "acme/courier").await?;
        assert_eq!(ended(&thread, &new, 1).await?.prompt, "refund for the zanzibar at checkout");
        assert_eq!(ended(&thread, &new, 2).await?.prompt, "and a receipt");
        assert_eq!(ended(&thread, &old, 1).await?.outcome, "stopped");
        thread.shows("The receipt is planned.").await?;
        assert_eq!(thread.sessions().await?.len(), 2, "{}", thread.text());
        let count = async |session: &str, wanted: fn(&Event) -> bool| -> Result<usize> {
            Ok(harness.events(session).await?.iter().filter(|event| wanted(event)).count())
        };
        assert_eq!(count(&old.id, |event| matches!(event, Event::Moved { .. })).await?, 1);
        assert_eq!(count(&old.id, |event| matches!(event, Event::CleanedUp)).await?, 1);
        assert_eq!(count(&new.id, |event| matches!(event, Event::TurnStarted { .. })).await?, 2);
        assert_eq!(thread.messages("final").len(), 3, "one for each prompt, and where they went: {}", thread.text());
        ensure!(docker(&["inspect", &held.container]).await.is_err(), "the old sandbox is still there");

        // What was corrected is an example from now on.
        let again = Thread::open(harness, "U0BEN", ROOM, "@longshore another refund for the zanzibar")?;
        again.shows("refund for the zanzibar").await?;
        let look = |_: &_| {
            let requests = harness.model().requests();
            let told = requests.iter().any(|request| {
                let body = request.body.to_string();
                body.contains("another refund") && body.contains("corrections") && body.contains("refund for the zanzibar at checkout")
            });
            told.then_some(())
        };
        harness.slack.wait_until(look, crate::thread::SOON).await.context("the model was not told what people picked")?;
        again.reply("U0BEN", "stop")?;
        learned(harness).await
    });
}

/// `longshore classify --learned` beside the service that works on the same folder.
async fn learned(harness: &Harness) -> Result<()> {
    let config = harness.service.config_file();
    let config = config.to_str().context("a path that is no text")?;
    let shown = run(&["classify", "--learned", "--config", config], Path::new("/"), &[]).await;
    ensure!(shown.success, "{shown:?}");
    for text in ["Learnt from 1 pick", "acme/courier: 1 pick", "zanzibar", "“refund for the zanzibar at checkout”"] {
        ensure!(shown.said.contains(text), "`{text}` in {}", shown.said);
    }
    Ok(())
}

#[test]
fn a_click_too_late_for_a_window_is_asked_in_the_thread() {
    tell_alone(two_samples(), async |harness| {
        play(harness, held_in_storefront(Script::for_prompt("count the narwhals"), "narwhal").say("The narwhals are counted."));
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore count the narwhals, in acme/storefront")?;
        let _held = Held::at(&thread, 1, "narwhal").await?;
        harness.slack.fail_next("views.open", Fault::Error { error: "expired_trigger_id".to_owned() }, 1);
        harness.expect_refusals("expired_trigger_id");
        let (card, button) = thread.button("wrong_repository").await?;
        harness.slack.person("U0BEN").press(ROOM, &card, &button).await?;
        let (question, select) = thread.button("move_to").await?;
        thread.shows("Where does it belong?").await?;
        let choice = Choice { action_id: select.clone(), block_id: None, value: Some(json!("acme/courier")) };
        harness.slack.person("U0BEN").act(Target::message(ROOM, &question), choice).await?;
        thread.shows("picked by @ben").await?;
        let new = session_in(&thread, "acme/courier").await?;
        assert_eq!(ended(&thread, &new, 1).await?.outcome, "done");
        thread.shows("The narwhals are counted.").await?;
        // The name stands in the prompt: there is nothing to learn from it.
        let config = harness.service.config_file();
        let shown = run(&["classify", "--learned", "--config", config.to_str().context("no text")?], Path::new("/"), &[]).await;
        ensure!(shown.said.contains("Nothing is learnt yet"), "{shown:?}");
        Ok(())
    });
}

#[test]
fn a_picker_works_a_day_later_and_is_over_after_a_week() {
    tell_alone(two_samples(), async |harness| {
        play(harness, Script::for_prompt("the axolotl").say("The axolotl is fine."));
        let (day, week) = (
            Thread::open(harness, "U0ANA", ROOM, "@longshore something about the axolotl")?,
            Thread::open(harness, "U0ANA", ROOM, "@longshore something about the pangolin")?,
        );
        for thread in [&day, &week] {
            thread.button("pick_repository").await?;
        }
        harness.service.terminate().await?;
        let store = Store::open(&harness.service.data_folder(), Arc::new(SystemClock))?;
        for mut ask in store.asks().await? {
            ensure!(ask.state == AskState::Picking, "{ask:?}");
            let days = if ask.prompt.text.contains("pangolin") { 7 } else { 1 };
            ask.prompt.received.0 = SystemClock.now().0 - days * 24 * 3_600_000;
            store.change_ask(ask).await?;
        }
        drop(store);
        harness.service.start().await?;

        week.shows("Nobody picked a repository").await?;
        week.shows("This question is closed").await?;
        assert_eq!(week.sessions().await?.len(), 0);
        let (picker, _) = day.button("pick_repository").await?;
        let action = day.messages("picker").first().and_then(|picker| action_id(picker, "pick_repository")).context("no picker")?;
        let choice = Choice { action_id: action, block_id: None, value: Some(json!("acme/courier")) };
        harness.slack.person("U0BEN").act(Target::message(ROOM, &picker), choice).await?;
        day.shows("picked by @ben").await?;
        day.done(1).await?;
        day.shows("The axolotl is fine.").await.map(drop)
    });
}
