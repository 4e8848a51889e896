//! Sandboxes that wait for the next session.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options};
use longshore_session::{Event, Phase, SandboxOrigin};
use tokio::time::Instant;

use crate::{
    hold::{docker, play},
    stage::tell_alone,
    thread::Thread,
};

const SHOP: &str = "acme/storefront";
const ROOM: &str = "C0CHECKOUT";
/// A sandbox is made from its image, and its agent primed, on a machine that has other work as well.
const FILLED: Duration = Duration::from_secs(180);

/// A service with one repository and a pool of so many.
fn pooled(size: u32) -> Options {
    let mut options = Options::samples(&[SHOP]);
    options.pool.insert(SHOP.to_owned(), size);
    options.configuration = "[pool]\nmax = 3\nmemory_mb = 4000\n".to_owned();
    options
}

/// The sandboxes that wait, oldest first.
async fn waiting(harness: &Harness) -> Result<Vec<String>> {
    let pool = harness.service.get("/v1/pool").await?;
    let entries = pool["entries"].as_array().context("no entries")?;
    let ready = entries.iter().filter(|entry| !entry["ready"].is_null());
    Ok(ready.filter_map(|entry| entry["sandbox"].as_str().map(str::to_owned)).collect())
}

/// The sandboxes that wait, as soon as they are what is wanted.
async fn wait_for(harness: &Harness, wanted: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
    let deadline = Instant::now() + FILLED;
    loop {
        let now = waiting(harness).await?;
        if wanted(&now) {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "the pool stays at {now:?}; the log ends with\n{}", harness.service.log_tail(30));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Where the turn's sandbox came from, and which it is.
async fn origin(thread: &Thread<'_>, wanted: u32) -> Result<(String, SandboxOrigin)> {
    let found = thread.events().await?.into_iter().find_map(|event| match event {
        Event::TurnRunning { turn, sandbox, origin } if turn.0 == wanted => Some((sandbox.to_string(), origin)),
        _ => None,
    });
    found.context("no sandbox is in the log")
}

/// How often a model was asked for anything that holds these words.
fn asked(harness: &Harness, words: &str) -> usize {
    harness.model().requests().iter().filter(|request| request.body["messages"].to_string().contains(words)).count()
}

async fn status(harness: &Harness, sandbox: &str) -> Result<String> {
    let name = format!("{}-{sandbox}", harness.namespace());
    Ok(docker(&["inspect", "--format", "{{.State.Status}}", &name]).await?.trim().to_owned())
}

#[test]
fn a_mention_claims_what_waits_and_the_pool_fills_again() {
    tell_alone(pooled(1), async |harness| {
        let entries = wait_for(harness, |entries| entries.len() == 1).await?;
        assert_eq!(status(harness, &entries[0]).await?, "paused", "what waits takes no time of the machine's");
        assert_eq!(harness.model().requests().len(), 0, "nobody was asked anything yet");

        play(harness, Script::for_prompt("the warm one").say("It was warm."));
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore the warm one, in acme/storefront")?;
        let report = thread.done(1).await?;
        thread.shows("It was warm.").await?;
        assert_eq!(origin(&thread, 1).await?, (entries[0].clone(), SandboxOrigin::Claimed));
        if let (Some(from), Some(to)) = (report.phases.get(&Phase::Acknowledged), report.phases.get(&Phase::FirstModelRequest)) {
            eprintln!("acknowledged to first model request: {} ms", to.since(*from).as_millis());
        }

        // Nothing of the priming is anywhere.
        let events = serde_json::to_string(&thread.events().await?)?;
        ensure!(!events.contains("Say ok"), "the log tells of the priming: {events}");
        ensure!(!thread.text().contains("Say ok"), "{}", thread.text());
        assert_eq!(asked(harness, "Say ok"), 0);
        ensure!(asked(harness, "the warm one") > 0, "the prompt reached no model");

        // The next turn is in the same conversation.
        play(harness, Script::for_prompt("once more").say("Once more it is."));
        thread.reply("U0ANA", "once more")?;
        thread.done(2).await?;
        assert_eq!(origin(&thread, 2).await?, (entries[0].clone(), SandboxOrigin::Kept));

        let refilled = wait_for(harness, |now| now.len() == 1 && now != entries).await?;
        assert_eq!(status(harness, &refilled[0]).await?, "paused");
        Ok(())
    });
}
