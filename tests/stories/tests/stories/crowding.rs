//! More mentions than sandboxes may run: all are acknowledged, all wait in a fair order that everybody sees, and all are worked on in the end.

use std::{
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use longshore_emulators::slack::{Channel, ChannelKind, ChannelLife, WorkspaceSetup};
use longshore_harness::{Harness, Options};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    bad_ground::docker,
    stage::tell_alone,
    thread::{SOON, Thread, whispers},
};

const CEILING: usize = 2;
/// For all of them, one after the other, on a machine that is busy with other things.
const ALL: Duration = Duration::from_secs(15 * 60);
/// The base image with a small script in the agent's place.
const IMAGE: &str = "longshore/light-agent:latest";
const DOCKERFILE: &str = "FROM longshore/base:latest\nCOPY opencode /usr/local/bin/opencode\n";
const MANIFEST: &str = r#"repository = "acme/storefront"
description = "The online shop: shopping cart, checkout, card payments and receipts."
image.base = "longshore/light-agent:latest"
limits.memory_mb = 512
limits.pids = 64
"#;

fn workspace() -> WorkspaceSetup {
    let mut setup = WorkspaceSetup::demo();
    for number in 1..=3 {
        setup.channels.push(Channel {
            id: format!("C0CROWD{number}"),
            name: format!("crowd-{number}"),
            kind: ChannelKind::Public,
            life: ChannelLife::Open,
            members: ["U0ANA", "U0BEN", "U0CHIYO", "U0LONGSHORE"].map(str::to_owned).to_vec(),
            topic: String::new(),
            purpose: String::new(),
        });
    }
    setup
}

async fn make_image() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("Dockerfile"), DOCKERFILE)?;
    let agent = folder.path().join("opencode");
    std::fs::write(&agent, include_str!("../../scripted/opencode"))?;
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755))?;
    docker(&["build", "--quiet", "--tag", IMAGE, &folder.path().to_string_lossy()]).await;
    Ok(())
}

/// Looks all the time how many sandboxes sessions have; the most that were seen.
fn count_sandboxes(harness: &Harness) -> (Arc<AtomicUsize>, JoinHandle<()>) {
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, filter) = (Arc::clone(&most), format!("label=dev.longshore.sandbox.namespace={}", harness.namespace()));
    let watcher = tokio::spawn(async move {
        loop {
            let listed = docker(&[
                "ps",
                "--all",
                "--filter",
                &filter,
                "--filter",
                "label=dev.longshore.sandbox.label.session",
                "--format",
                "{{.ID}}",
            ])
            .await;
            seen.fetch_max(listed.lines().count(), Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    });
    (most, watcher)
}

#[test]
fn a_crowd_waits_in_a_fair_order_and_everybody_is_served() {
    let mut options = Options::samples(&["acme/storefront"]);
    options.workspace = workspace();
    options.manifests.insert("acme/storefront".to_owned(), MANIFEST.to_owned());
    options.configuration = format!("[sandboxes]\nmax = {CEILING}\n");
    tokio::runtime::Runtime::new().unwrap().block_on(make_image()).unwrap();
    tell_alone(options, async |harness| {
        let (most, watcher) = count_sandboxes(harness);
        let ask = |user: &str, channel: &str, number: usize| {
            Thread::open(harness, user, channel, &format!("@longshore look at thing {number} in acme/storefront"))
        };
        // One person floods a channel, another uses a second one, and a third comes last with one wish.
        let flood: Vec<Thread<'_>> = (1..=8).map(|number| ask("U0ANA", "C0CROWD1", number)).collect::<Result<_>>()?;
        let some: Vec<Thread<'_>> = (9..=10).map(|number| ask("U0BEN", "C0CROWD2", number)).collect::<Result<_>>()?;
        let last = ask("U0CHIYO", "C0CROWD3", 11)?;
        let all_acknowledged = |slack: &longshore_emulators::slack::SlackHandle| {
            let deliveries = slack.deliveries();
            let mentions = deliveries.iter().filter(|delivery| delivery.subject == "app_mention");
            (mentions.clone().count() == 11 && mentions.clone().all(|delivery| delivery.is_acknowledged())).then_some(())
        };
        harness.slack.wait_until(all_acknowledged, SOON).await.context("not all were acknowledged")?;

        // One message says in the channel who waits at which place; the rest is in the lists.
        let notice = |harness: &Harness| {
            let messages = harness.slack.messages("C0CROWD1");
            messages
                .into_iter()
                .find(|message| message.pointer("/metadata/event_payload/key").is_some_and(|key| key.to_string().contains("waiting:")))
        };
        harness.slack.wait_until(|_| notice(harness), SOON).await.context("the channel is not told")?;
        harness.slack.person("U0BEN").slash("C0CROWD2", "/agent status all").await?;
        whispers(harness, "U0BEN", "C0CROWD2", "waiting for a sandbox, place").await?;

        // Those who wait, and those who run, are known again after a crash.
        harness.service.kill().await?;
        harness.service.start().await?;
        let deadline = Instant::now() + ALL;
        for thread in flood.iter().chain(&some).chain([&last]) {
            let left = deadline.saturating_duration_since(Instant::now());
            let turn = harness.wait_for_turn(&thread.channel, &thread.ts, 1, left).await?;
            ensure!(turn.outcome == "done", "{}", thread.text());
        }
        watcher.abort();
        let ended = |harness: &Harness| notice(harness).filter(|message| message.to_string().contains("Nobody waits")).map(drop);
        harness.slack.wait_until(|_| ended(harness), SOON).await.context("the channel's message stays behind")?;
        let notices = harness.slack.messages("C0CROWD1");
        let notices = notices.iter().filter(|message| message.to_string().contains("waiting:C0CROWD1")).count();
        ensure!(notices == 1, "the channel was told by {notices} messages");

        let most = most.load(Ordering::SeqCst);
        ensure!((1..=CEILING).contains(&most), "{most} sandboxes at once");
        for thread in flood.iter().chain(&some).chain([&last]) {
            ensure!(thread.messages("final").len() == 1 && thread.messages("card").len() == 1, "{}", thread.text());
        }
        // Whoever has nothing at work goes before whoever floods.
        let started = async |thread: &Thread<'_>| -> Result<i64> {
            let turn = harness.turns(&thread.session().await?.id).await?.into_iter().next().context("no turn")?;
            Ok(turn.phases.get(&longshore_session::Phase::SandboxReady).context("no sandbox")?.0)
        };
        let of_last = started(&last).await?;
        let mut after = 0;
        for thread in &flood {
            after += usize::from(started(thread).await? > of_last);
        }
        ensure!(after >= 3, "the last one waited for all but {after} of the flood");
        let mentions = harness.slack.deliveries().into_iter().filter(|delivery| delivery.subject == "app_mention");
        let repeated: Vec<_> = mentions.filter(|delivery| delivery.attempts.len() > 1).collect();
        ensure!(repeated.is_empty(), "Slack had to repeat {repeated:#?}");
        Ok(())
    });
}
