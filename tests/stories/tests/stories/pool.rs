//! Sandboxes that wait for the next session.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options};
use longshore_session::{Event, Phase, SandboxOrigin};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    bad_talk::{self, GATE, Talk, open_gate},
    hold::{docker, host_shell, play, shell},
    restoring::logged,
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

/// A thread whose turn is done, and where its sandbox came from.
async fn answered(harness: &Harness, user: &str, words: &str) -> Result<(String, SandboxOrigin)> {
    play(harness, Script::for_prompt(words).say("It is done."));
    let thread = Thread::open(harness, user, ROOM, &format!("@longshore {words}, in {SHOP}"))?;
    thread.done(1).await?;
    origin(&thread, 1).await
}

/// Waits until the engine says so of the sandbox.
async fn becomes(harness: &Harness, sandbox: &str, wanted: &str) -> Result<()> {
    let deadline = Instant::now() + FILLED;
    loop {
        let now = status(harness, sandbox).await?;
        if now == wanted {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{sandbox} stays {now}; the log ends with\n{}", harness.service.log_tail(30));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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

#[test]
fn two_at_once_get_two_and_what_died_is_passed_over() {
    tell_alone(pooled(2), async |harness| {
        let entries = wait_for(harness, |entries| entries.len() == 2).await?;
        let (ana, ben) = tokio::try_join!(answered(harness, "U0ANA", "the first of two"), answered(harness, "U0BEN", "the second of two"))?;
        assert_eq!((ana.1, ben.1), (SandboxOrigin::Claimed, SandboxOrigin::Claimed));
        let mut claimed = [ana.0, ben.0];
        claimed.sort();
        let mut waited = entries.clone();
        waited.sort();
        assert_eq!(claimed[..], waited[..], "each has its own");

        // Killed while they wait, and asked for before anybody may have noticed.
        let doomed = wait_for(harness, |now| now.len() == 2).await?;
        for sandbox in &doomed {
            docker(&["rm", "--force", &format!("{}-{sandbox}", harness.namespace())]).await?;
        }
        let (sandbox, _) = answered(harness, "U0ANA", "after the fall").await?;
        ensure!(!doomed.contains(&sandbox), "{sandbox} was killed");
        wait_for(harness, |now| now.len() == 2 && doomed.iter().all(|gone| !now.contains(gone))).await?;
        Ok(())
    });
}

#[test]
fn what_waits_outlives_the_service_and_is_replaced_when_an_image_is_promoted() {
    tell_alone(pooled(1), async |harness| {
        let old = wait_for(harness, |entries| entries.len() == 1).await?;
        harness.service.kill().await?;
        harness.service.start().await?;
        assert_eq!(waiting(harness).await?, old, "the same one waits still");
        assert_eq!(status(harness, &old[0]).await?, "paused");

        // The next start builds what is new, and that is claimed from meanwhile.
        harness.service.terminate().await?;
        let bare = harness.github.bare_path(SHOP)?;
        let commit = "git -c user.name=Ben -c user.email=ben@example.com commit-tree -p main -m 'Say nothing new' main^{tree}";
        host_shell(&format!("cd {} && git update-ref refs/heads/main $({commit})", bare.display())).await?;
        harness.service.start().await?;
        let (sandbox, from) = answered(harness, "U0ANA", "while it is rebuilt").await?;
        assert_eq!((sandbox, from), (old[0].clone(), SandboxOrigin::Claimed));

        let image = || async { Ok::<_, anyhow::Error>(harness.service.get("/v1/images").await?["images"][0]["image"].clone()) };
        let deadline = Instant::now() + 2 * FILLED;
        let head = harness.github.branch_head(SHOP, "main").await?.context("no branch")?;
        while image().await?["commit"] != head.as_str() {
            ensure!(Instant::now() < deadline, "nothing new was promoted: {}", harness.service.log_tail(30));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let promoted = image().await?["reference"].clone();
        let deadline = Instant::now() + FILLED;
        loop {
            let pool = harness.service.get("/v1/pool").await?;
            let entries = pool["entries"].as_array().context("no entries")?.clone();
            let ready: Vec<_> = entries.iter().filter(|entry| !entry["ready"].is_null()).collect();
            if entries.len() == 1 && ready.len() == 1 && ready[0]["image"] == promoted {
                break;
            }
            ensure!(Instant::now() < deadline, "the old one stays: {pool:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (_, from) = answered(harness, "U0BEN", "on the new image").await?;
        assert_eq!(from, SandboxOrigin::Claimed);
        Ok(())
    });
}

#[test]
fn who_types_finds_a_sandbox_awake_and_what_is_not_used_goes_back_to_sleep() {
    let mut options = Options::samples(&[SHOP]);
    // No size: nobody asked yet, so nothing waits.
    options.configuration = "[pool]\nmax = 2\nmemory_mb = 4000\n".to_owned();
    tell_alone(options, async |harness| {
        let typing = json!({ "user": "U0ANA", "repository": SHOP });
        assert_eq!(waiting(harness).await?, [""; 0]);
        // Somebody who types makes one worth having.
        harness.service.post("/v1/warmups", &typing).await?;
        let entries = wait_for(harness, |entries| entries.len() == 1).await?;
        assert_eq!(status(harness, &entries[0]).await?, "paused");

        harness.service.post("/v1/warmups", &typing).await?;
        becomes(harness, &entries[0], "running").await?;
        let pool = harness.service.get("/v1/pool").await?;
        assert_eq!(pool["held"], json!({ "U0ANA": entries }));
        // Nobody asks.
        becomes(harness, &entries[0], "paused").await?;
        assert_eq!(waiting(harness).await?, entries);

        // It is as good as before, for anybody.
        let (sandbox, from) = answered(harness, "U0BEN", "after the hold").await?;
        assert_eq!((sandbox, from), (entries[0].clone(), SandboxOrigin::Claimed));
        let unknown = harness.service.post("/v1/warmups", &json!({ "user": "U0ANA", "repository": "acme/nothing" })).await;
        ensure!(unknown.is_err_and(|error| error.to_string().contains("no repository acme/nothing")), "it is not said");
        Ok(())
    });
}

#[test]
fn the_pool_gives_way_to_a_session_that_needs_the_place() {
    let mut options = pooled(1);
    options.configuration = "[pool]\nmax = 1\n[sandboxes]\nmax = 2\nidle_minutes = 0.02\n".to_owned();
    tell_alone(options, async |harness| {
        let (tool, gate) = shell(GATE);
        play(harness, bad_talk::asked("begin here").say("Begun."));
        play(harness, bad_talk::asked("stand still").call(tool, gate).say("Stood still."));
        play(harness, bad_talk::asked("go on").say("Gone on."));
        wait_for(harness, |now| now.len() == 1).await?;
        let first = Thread::open(harness, "U0ANA", ROOM, "@longshore in acme/storefront, begin here")?;
        first.done(1).await?;
        logged(harness, "was idle for long enough", 1).await?;
        wait_for(harness, |now| now.len() == 1).await?;
        // It has the pool's one, and the pool a new one: the two that there may be.
        let second = Talk::begin(harness, "C0PLATFORM", "in acme/storefront, stand still");
        let container = second.at_gate().await;
        let entry = wait_for(harness, |now| now.len() == 1).await?;
        // A session that comes back from its snapshot can use none of the pool's.
        first.reply("U0ANA", "go on")?;
        let report = first.done(2).await?;
        ensure!(report.sandbox.is_some_and(|sandbox| !entry.contains(&sandbox)), "it took the pool's");
        ensure!(matches!(origin(&first, 2).await?.1, SandboxOrigin::Restored { .. }), "{:?}", origin(&first, 2).await?);
        let log = harness.service.log();
        ensure!(log.contains("a sandbox of the pool gives way to a session"), "{}", harness.service.log_tail(30));
        open_gate(&container).await;
        second.ends_well_with(&["Stood still."]).await;
        Ok(())
    });
}
