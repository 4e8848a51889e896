//! A hundred mentions in ten seconds, with three sandboxes at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_emulators::slack::WorkspaceSetup;
use longshore_harness::Harness;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    docker::image_with_agent,
    figure::{Figure, Name},
    process, stage,
};

const MENTIONS: usize = 100;
const WITHIN: Duration = Duration::from_secs(10);
const CEILING: usize = 3;
/// One after the other they would take about this long.
const LIMIT: Duration = Duration::from_secs(30 * 60);
const LOOK: Duration = Duration::from_secs(1);
/// The base image with a small script in the agent's place.
const IMAGE: &str = "longshore/light-agent:latest";
const AGENT: &str = include_str!("../../../stories/scripted/opencode");
const MANIFEST: &str = r#"repository = "acme/storefront"
description = "The online shop: shopping cart, checkout, card payments and receipts."
keywords = ["checkout", "order total", "shopping cart"]
image.base = "longshore/light-agent:latest"
limits.memory_mb = 512
limits.pids = 64
"#;

/// How soon all are acknowledged, how much memory the service takes, and until when all are done.
pub async fn measure() -> Result<Vec<Figure>> {
    image_with_agent(IMAGE, AGENT).await?;
    let mut options = stage::options();
    options.workspace = workspace();
    options.manifests.insert(stage::REPOSITORY.to_owned(), MANIFEST.to_owned());
    options.configuration = format!("[sandboxes]\nmax = {CEILING}\n");
    let harness = Harness::start(options).await?;
    let figures = crowd(&harness).await;
    let stopped = harness.stop().await;
    let figures = figures?;
    stopped.map(|()| figures)
}

/// Everybody is in the rooms.
fn workspace() -> WorkspaceSetup {
    let mut setup = stage::workspace();
    for channel in setup.channels.iter_mut().filter(|channel| channel.id.starts_with("C0ROOM")) {
        channel.members = ["U0ANA", "U0BEN", "U0CHIYO", "U0LONGSHORE"].map(str::to_owned).to_vec();
    }
    setup
}

async fn crowd(harness: &Harness) -> Result<Vec<Figure>> {
    let what = format!("{MENTIONS} mentions in {} s, of three people in five channels, with {CEILING} sandboxes at once", WITHIN.as_secs());
    let mut ack = Figure::new(Name::CrowdAck, format!("From sending an event to its acknowledgement: {what}."));
    let mut memory = Figure::new(Name::CrowdRss, format!("Resident memory of the service until the last one is done: {what}."));
    let pid = harness.service.pid().await.context("the service does not run")?;
    let before = harness.slack.deliveries().len();
    let mut tick = interval(WITHIN / u32::try_from(MENTIONS)?);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut threads = Vec::new();
    for number in 0..MENTIONS {
        tick.tick().await;
        let (text, _) = stage::question();
        let room = stage::room(number % 5);
        let user = ["U0ANA", "U0BEN", "U0CHIYO"].get(number % 3).copied().unwrap_or(stage::ASKER);
        let thread = harness.slack.person(user).post(&room, &format!("@longshore {text}"))?;
        threads.push((room, thread));
    }
    let posted = begun.elapsed();
    let finals = |room: &str, thread: &str| {
        let messages = harness.slack.thread(room, thread);
        messages
            .iter()
            .filter(|message| message.pointer("/metadata/event_payload/key").is_some_and(|key| key.to_string().contains(":final:1")))
            .count()
    };
    let mut told_after = None;
    loop {
        memory.samples.push(process::rss_mb(pid)?);
        let notices = (0..5).filter(|room| {
            harness.slack.messages(&stage::room(*room)).iter().any(|message| message.to_string().contains("waiting:C0ROOM"))
        });
        if told_after.is_none() && notices.count() == 5 {
            told_after = Some(begun.elapsed());
        }
        let done = threads.iter().filter(|(room, thread)| finals(room, thread) > 0).count();
        if done == MENTIONS {
            break;
        }
        ensure!(begun.elapsed() < LIMIT, "{done} of {MENTIONS} are done. The log ends with\n{}", harness.service.log_tail(10));
        sleep(LOOK).await;
    }
    let all = begun.elapsed();
    let twice = threads.iter().filter(|(room, thread)| finals(room, thread) != 1).count();
    ensure!(twice == 0, "{twice} have more than one final reply");
    for delivery in harness.slack.deliveries().split_off(before).iter().filter(|delivery| delivery.subject == "app_mention") {
        let first = delivery.attempts.first().context("an event was never sent")?;
        let after = first.acknowledged_after_us.context("an event was not acknowledged at its first attempt")?;
        ensure!(delivery.attempts.len() == 1, "an event was sent {} times", delivery.attempts.len());
        ack.samples.push(stage::millis(Duration::from_micros(after)));
    }
    ack.notes.push(format!("{} mentions in {:.1} s.", ack.samples.len(), posted.as_secs_f64()));
    if let Some(told) = told_after {
        ack.notes.push(format!("All five channels were told who waits {:.1} s after the first mention.", told.as_secs_f64()));
    }
    memory.notes.push(format!("All were done {:.0} s after the first mention.", all.as_secs_f64()));
    Ok(vec![ack, memory])
}
