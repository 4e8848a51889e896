//! Direct messages and the assistant: they work as channels do, and early signs are noted.

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::Harness;
use serde_json::Value;

use crate::{
    hold::play,
    stage::tell,
    thread::{SOON, Thread},
};

const EMIL: &str = "U0EMIL";
const ROOM: &str = "D0EMIL";

/// The newest warm-up signal of this kind for the person, as soon as there is one.
async fn signal(stage: &Harness, user: &str, sign: &str) -> Result<Value> {
    let find = async {
        loop {
            let answer = stage.service.get("/v1/warmups").await?;
            let signals = answer["warmups"].as_array().context("no list of signals")?;
            if let Some(found) = signals.iter().find(|signal| signal["user"] == user && signal["sign"] == sign) {
                return anyhow::Ok(found.clone());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SOON, find).await.with_context(|| format!("no signal {sign} of {user}"))?
}

#[test]
fn a_direct_message_needs_no_mention_and_its_thread_goes_on() {
    tell(async |stage| {
        play(stage, Script::for_prompt("parcels in private").say("Two parcels were lost."));
        play(stage, Script::for_prompt("and in private again").say("None since."));
        play(stage, Script::for_prompt("a second matter in private").say("That is another one."));
        let thread = Thread::open(stage, EMIL, ROOM, "acme/courier: parcels in private")?;
        thread.done(1).await?;
        thread.reply(EMIL, "and in private again")?;
        thread.done(2).await?;
        thread.shows("None since.").await?;
        assert_eq!(thread.sessions().await?.len(), 1);

        let other = Thread::open(stage, EMIL, ROOM, "in acme/storefront: a second matter in private")?;
        other.done(1).await?;
        ensure!(other.session().await?.id != thread.session().await?.id, "each thread is a session of its own");
        assert_eq!(other.session().await?.repository, "acme/storefront");
        Ok(())
    });
}

#[test]
fn a_thread_with_the_assistant_offers_prompts_and_works_as_any_other() {
    tell(async |stage| {
        play(stage, Script::for_prompt("ask the assistant of dana").say("The assistant heard you."));
        let (channel, ts) = stage.slack.person("U0DANA").open_assistant()?;
        let opened = signal(stage, "U0DANA", "assistant_opened").await?;
        assert_eq!(opened["channel"], Value::Null, "she looks at no channel: {opened}");
        let prompts = |slack: &longshore_emulators::slack::SlackHandle| {
            let asked = |call: &longshore_emulators::slack::Call| {
                call.method == "assistant.threads.setSuggestedPrompts" && call.payload["thread_ts"] == ts.as_str()
            };
            slack.calls().into_iter().find(|call| asked(call) && call.ok)
        };
        let prompts = stage.slack.wait_until(prompts, SOON).await.context("no prompts were suggested")?;
        ensure!(prompts.payload.to_string().contains("What can you do?"), "{:?}", prompts.payload);

        let thread = Thread { harness: stage, channel, ts };
        thread.reply("U0DANA", "acme/courier: ask the assistant of dana")?;
        thread.done(1).await?;
        thread.shows("The assistant heard you.").await?;
        Ok(())
    });
}

#[test]
fn early_signs_name_the_likely_repositories() {
    tell(async |stage| {
        play(stage, Script::for_prompt("warm up for ben").say("Warm."));
        let thread = Thread::open(stage, "U0BEN", "C0ROOM64", "@longshore acme/dashboard: warm up for ben")?;
        thread.done(1).await?;
        let arrived = signal(stage, "U0BEN", "prompt_arrived").await?;
        ensure!(!arrived.to_string().contains("warm up for ben"), "a signal holds nothing of what people write: {arrived}");

        stage.slack.person("U0BEN").open_messages_tab()?;
        let opened = signal(stage, "U0BEN", "messages_opened").await?;
        let likely: Vec<&str> = opened["likely"].as_array().into_iter().flatten().filter_map(|one| one["repository"].as_str()).collect();
        ensure!(likely.contains(&"acme/dashboard"), "what ben asked last is likely: {opened}");
        Ok(())
    });
}
