//! Slack cannot reach the service for so long that it gives up repeating: what was said meanwhile is found, and worked on once.

use std::time::Duration;

use anyhow::{Result, ensure};
use longshore_emulators::slack::{Fault, RetryTimes};
use longshore_harness::Options;
use tokio::time::Instant;

use crate::{
    bad_talk::asked,
    stage::tell_alone,
    thread::{SOON, Thread},
};

const ROOM: &str = "C0CHECKOUT";
/// The service waits fifteen seconds for an answer.
const LATE: Duration = Duration::from_secs(20);
/// What a service without a socket leaves to Slack's own repeating, and a little more.
const OUTAGE: Duration = Duration::from_secs(12);

#[test]
fn what_was_said_during_an_outage_is_found_again() {
    let mut options = Options::samples(&["acme/storefront"]);
    // Slack gives up at once, as it does after minutes.
    options.workspace.retries = RetryTimes { acknowledge_within: Duration::from_secs(3), pauses: Vec::new() };
    tell_alone(options, async |harness| {
        let (slack, model) = (&harness.slack, harness.model());
        for (prompt, answer) in [
            ("begin here", "Begun."),
            ("said while it was away", "Heard afterwards."),
            ("a new one meanwhile", "Found afterwards."),
            ("said without a socket", "Heard on the new socket."),
            ("without a socket too", "Found on the new socket."),
        ] {
            model.push_script(asked(prompt).say(answer));
        }
        // Slack takes the card, and says so only when the service has given the answer up.
        slack.fail_next("chat.postMessage", Fault::Slow { by: LATE }, 1);
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore in acme/storefront, begin here")?;
        thread.done(1).await?;
        ensure!(thread.messages("card").len() == 1, "the card was looked for, not posted again: {}", thread.text());
        let cards =
            slack.calls().into_iter().filter(|call| call.method == "chat.postMessage" && call.payload.to_string().contains(":card:1"));
        ensure!(cards.count() == 1, "it was posted by one call");

        // The service is away.
        harness.service.terminate().await?;
        thread.reply("U0ANA", "said while it was away")?;
        let other = Thread::open(harness, "U0BEN", "C0PLATFORM", "@longshore in acme/storefront, a new one meanwhile")?;
        harness.service.start().await?;
        thread.done(2).await?;
        other.done(1).await?;

        // The service is there, and the line is not.
        harness.expect_errors("no connection to Slack");
        harness.expect_errors("Slack");
        slack.fail_next("apps.connections.open", Fault::ServerError { status: 503 }, 1_000);
        harness.expect_refusals("server_error");
        slack.drop_sockets();
        slack.wait_until(|slack| (slack.sockets() == 0).then_some(()), SOON).await?;
        let lost = Instant::now();
        thread.reply("U0ANA", "said without a socket")?;
        let third = Thread::open(harness, "U0BEN", ROOM, "@longshore in acme/storefront, without a socket too")?;
        // The outage itself, which is what this is about.
        tokio::time::sleep_until(lost + OUTAGE).await;
        ensure!(slack.sockets() == 0, "the line came back by itself");
        slack.clear_faults();
        thread.done(3).await?;
        third.done(1).await?;
        once(&thread, 3).await?;
        once(&other, 1).await?;
        once(&third, 1).await
    });
}

async fn once(thread: &Thread<'_>, turns: usize) -> Result<()> {
    ensure!(thread.sessions().await?.len() == 1, "{}", thread.text());
    ensure!(thread.messages("final").len() == turns, "{}", thread.text());
    Ok(())
}
