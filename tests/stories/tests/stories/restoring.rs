//! Sessions whose sandbox pauses, sleeps or is lost, and goes on from its snapshot.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options, TURN_LIMIT};
use longshore_session::{AgentActivity, Event, SandboxOrigin};

use crate::{
    bad_talk::asked,
    hold::{container, docker, host_shell, play, shell},
    stage::tell_alone,
    thread::Thread,
};

const ROOM: &str = "C0CHECKOUT";
/// A file that git is told to ignore.
const IGNORE: &str = "echo kept.local >> .git/info/exclude && echo ignored-and-kept > kept.local && printf '\\n- Begun\\n' >> CHANGELOG.md";

fn one_sample(configuration: &str) -> Options {
    let mut options = Options::samples(&["acme/storefront"]);
    options.configuration = configuration.to_owned();
    options
}

fn scripts(harness: &Harness) {
    let call = |script: Script, line: &str| {
        let (tool, line) = shell(line);
        script.call(tool, line)
    };
    play(harness, call(asked("begin here"), IGNORE).say("Begun, and once only."));
    play(harness, asked("still there?").say("Still there."));
    play(harness, call(asked("go on"), "cat kept.local; cat LOOSE.md").say("Gone on."));
}

/// Looks until it holds: nobody tells of what the engine does.
async fn until(what: &str, holds: impl AsyncFn() -> bool) -> Result<()> {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(TURN_LIMIT, look).await.with_context(|| format!("it never came to this: {what}"))
}

/// Waits until the service has logged this so many times.
pub async fn logged(harness: &Harness, text: &str, times: usize) -> Result<()> {
    let looked = until(text, async || harness.service.log().matches(text).count() >= times).await;
    looked.with_context(|| harness.service.log_tail(30))
}

async fn is_there(container: &str) -> bool {
    docker(&["inspect", container]).await.is_ok()
}

/// The session's snapshots in the engine.
pub async fn images(harness: &Harness) -> Result<Vec<String>> {
    let namespace = format!("label=dev.longshore.image.namespace={}", harness.namespace());
    let format = [
        "image",
        "ls",
        "--filter",
        "label=dev.longshore.image.kind=snapshot",
        "--filter",
        &namespace,
        "--format",
        "{{.Repository}}:{{.Tag}}",
    ];
    Ok(docker(&format).await?.lines().filter(|name| !name.contains("<none>")).map(str::to_owned).collect())
}

/// Takes every snapshot away behind the service's back.
pub async fn lose_snapshots(harness: &Harness) -> Result<()> {
    until("no snapshot is left", async || {
        for image in images(harness).await.unwrap_or_default() {
            let _ = docker(&["image", "rm", "--force", &image]).await;
        }
        images(harness).await.is_ok_and(|images| images.is_empty())
    })
    .await
}

/// What the agent's model was asked in the turn whose prompt ends so, at last.
fn last_request(harness: &Harness, prompt: &str) -> Result<String> {
    let requests = harness.model().requests();
    let found = requests.iter().rev().map(|request| request.body["messages"].to_string()).find(|messages| messages.contains(prompt));
    found.context("the model was not asked")
}

async fn status(harness: &Harness, wanted: &str) -> Result<()> {
    let ana = harness.slack.person("U0ANA");
    ana.slash(ROOM, "/agent status").await?;
    let look = |_: &_| ana.ephemerals().into_iter().find(|message| message.to_string().contains(wanted));
    harness.slack.wait_until(look, TURN_LIMIT).await.map(drop).with_context(|| format!("{wanted}: {:#?}", ana.ephemerals()))
}

async fn origins(thread: &Thread<'_>) -> Result<Vec<SandboxOrigin>> {
    let events = thread.events().await?.into_iter();
    Ok(events.filter_map(|event| if let Event::TurnRunning { origin, .. } = event { Some(origin) } else { None }).collect())
}

#[test]
fn a_session_pauses_sleeps_and_goes_on_as_it_was() {
    tell_alone(one_sample("[sandboxes]\npause_minutes = 0.02\nidle_minutes = 600\n"), async |harness| {
        scripts(harness);
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore in acme/storefront, begin here")?;
        let first = thread.done(1).await?;
        let name = container(&thread, 1).await?;
        logged(harness, "paused the sandbox", 1).await?;
        status(harness, "paused").await?;
        let id = name.strip_prefix(&format!("{}-", harness.namespace())).context("a strange name")?.to_owned();
        let variables = std::fs::read_to_string(harness.service.data_folder().join("carriers").join(id).join("env"))?;
        let token = variables.split("LONGSHORE_TOKEN=").nth(1).context("no token")?;
        let token: String =
            token.chars().skip_while(|c| *c == '\'').take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
        ensure!(token.starts_with("lsx_") && token.len() > 40, "{}", token.len());

        // The next prompt wakes it.
        thread.reply("U0ANA", "still there?")?;
        assert_eq!(thread.done(2).await?.sandbox, first.sandbox);
        logged(harness, "paused the sandbox", 2).await?;

        // Something that runs in the background goes on writing after the turn; then the sandbox sleeps.
        harness.service.terminate().await?;
        docker(&["unpause", &name]).await?;
        docker(&["exec", "-u", "1000:1000", "-w", "/workspace", &name, "sh", "-c", "echo written-later > LOOSE.md"]).await?;
        let file = harness.service.config_file();
        let text = std::fs::read_to_string(&file)?.replace("idle_minutes = 600", "idle_minutes = 0.02");
        std::fs::write(&file, text)?;
        harness.service.start().await?;
        logged(harness, "the sandbox was idle for long enough", 1).await?;
        until("the sandbox is gone", async || !is_there(&name).await).await?;
        status(harness, "asleep (snapshot of ").await?;

        // Nothing in what is kept is of use to anybody.
        let kept = images(harness).await?;
        assert_eq!(kept.len(), 1, "one session, one snapshot: {kept:?}");
        let basic = STANDARD.encode(format!("sandbox:{token}"));
        let scan = format!(
            "docker save {} | {{ LC_ALL=C grep -aoFe '{token}' -e '{basic}' -e ignored-and-kept || [ $? = 1 ]; }} | sort -u",
            kept[0]
        );
        assert_eq!(host_shell(&scan).await?.trim(), "ignored-and-kept", "the file is found, and no form of the token");

        thread.reply("U0ANA", "go on")?;
        let third = thread.done(3).await?;
        ensure!(third.sandbox != first.sandbox, "it is another sandbox");
        thread.shows("Restored from the snapshot of ").await?;
        let asked = last_request(harness, "go on")?;
        for once in ["begin here", "Begun, and once only.", "Still there."] {
            assert_eq!(asked.matches(once).count(), 1, "`{once}` in {asked}");
        }
        for there in ["ignored-and-kept", "written-later"] {
            ensure!(asked.contains(there), "`{there}` is not there any more: {asked}");
        }
        ensure!(!asked.contains("do not remember"), "a restored agent is told nothing: {asked}");

        let mut said = String::new();
        for event in thread.events().await? {
            if let Event::Agent { activity: AgentActivity::Text { delta }, .. } = event {
                said.push_str(&delta);
            }
        }
        for once in ["Begun, and once only.", "Still there.", "Gone on."] {
            assert_eq!(said.matches(once).count(), 1, "`{once}` in the log: {said}");
        }
        let kinds: Vec<bool> = origins(&thread).await?.iter().map(|origin| matches!(origin, SandboxOrigin::Restored { .. })).collect();
        assert_eq!(kinds, [false, false, true]);
        Ok(())
    });
}

#[test]
fn a_lost_sandbox_is_restored_and_a_lost_snapshot_is_said() {
    tell_alone(one_sample(""), async |harness| {
        scripts(harness);
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore in acme/storefront, begin here")?;
        thread.done(1).await?;
        logged(harness, "took a snapshot through=1", 1).await?;
        // The engine loses the sandbox, as when it is started anew: noticed before the next turn or in it.
        harness.expect_errors("the agent is lost");
        docker(&["kill", &container(&thread, 1).await?]).await?;
        thread.reply("U0ANA", "go on")?;
        thread.done(2).await?;
        thread.shows("Restored from the snapshot of ").await?;
        let asked = last_request(harness, "go on")?;
        ensure!(asked.contains("ignored-and-kept") && asked.matches("begin here").count() == 1, "{asked}");
        logged(harness, "took a snapshot through=2", 1).await?;

        // And now all of it.
        docker(&["rm", "--force", &container(&thread, 2).await?]).await?;
        lose_snapshots(harness).await?;
        thread.reply("U0ANA", "still there?")?;
        thread.done(3).await?;
        thread.shows("could not be used, so this was a new sandbox").await?;
        let asked = last_request(harness, "still there?")?;
        ensure!(asked.contains("the sandbox was replaced") && asked.contains("begin here") && asked.contains("Gone on."), "{asked}");
        ensure!(matches!(origins(&thread).await?[..], [_, SandboxOrigin::Restored { .. }, SandboxOrigin::Rebuilt { .. }]));
        Ok(())
    });
}

#[test]
fn a_snapshot_that_was_never_recorded_is_taken_again() {
    tell_alone(one_sample(""), async |harness| {
        scripts(harness);
        // Enough to be killed in the middle of it.
        let (tool, line) = shell(&format!("{IGNORE} && echo large >> .git/info/exclude && head -c 150000000 /dev/urandom > large"));
        play(harness, asked("begin large").call(tool, line).say("Begun, and once only."));
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore in acme/storefront, begin large")?;
        let name = container(&thread, 1).await?;
        let paused = async || docker(&["inspect", "--format", "{{.State.Paused}}", &name]).await.is_ok_and(|text| text.trim() == "true");
        // Nothing else pauses it so early.
        until("the snapshot is being taken", paused).await?;
        harness.service.kill().await?;
        until("the engine is done with it", async || !paused().await).await?;
        assert_eq!(images(harness).await?.len(), 1, "an image that nobody knows of");

        harness.service.start().await?;
        thread.done(1).await?;
        logged(harness, "removing a snapshot that was never recorded", 1).await?;
        logged(harness, "took a snapshot through=1", 1).await?;
        assert_eq!(images(harness).await?.len(), 1);
        docker(&["kill", &name]).await?;
        thread.reply("U0ANA", "go on")?;
        thread.done(2).await?;
        thread.shows("Restored from the snapshot of ").await?;
        ensure!(last_request(harness, "go on")?.contains("ignored-and-kept"));
        Ok(())
    });
}
