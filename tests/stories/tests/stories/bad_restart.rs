//! An engine that is started anew in the middle of turns, with containers that live on and without, and one whose disk is full.

use longshore_harness::{Harness, Options, Wait};
use longshore_places::{Containers, OwnEngine};

use crate::bad_talk::{GATE, Talk, asked, shell};

/// The image is most of it.
const DISK_MB: u64 = 1_600;
/// Takes all room but a corner, and then the corner.
const FILL: &str =
    r#"fallocate -l $(($(df --output=avail -B1 . | tail -n 1) - 1000000)) ballast; head -c 8000000 /dev/zero > rest; echo ended with $?"#;

/// Waits on that engine until the agent's command stands at the gate; gives the container.
async fn at_gate(engine: &OwnEngine, talk: &Talk<'_>) -> String {
    let container = talk.container().await;
    let (ok, said) = engine.docker(&["exec", &container, "timeout", "240", "sh", "-c", "until [ -e /tmp/at-gate ]; do sleep 0.1; done"]);
    assert!(ok, "{said}");
    container
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_bear_their_engine_being_started_anew_and_its_disk_being_full() {
    let mut engine = OwnEngine::start_with(Containers::Live, Some(DISK_MB));
    let mut options = Options::samples(&["acme/storefront"]);
    (options.engine, options.wait) = (Some(engine.socket()), Wait::Ready);
    let harness = Harness::start(options).await.unwrap();
    // That engine has no base image, so images are not built anew; the one that there is comes from the registry.
    harness.expect_errors("image");
    let model = harness.model();
    let line = |text: &str| format!("echo '{text} line' >> NOTES.md; {GATE}; rm -f /tmp/at-gate /tmp/go");
    model.push_script(asked("hold on").call("bash", shell(&line("first"))).say("Held on."));
    model.push_script(asked("hold on again").call("bash", shell(&line("second"))).say("Held on again."));
    model.push_script(asked("say hello").say("Hello."));
    model.push_script(asked("read").call("bash", shell("cat NOTES.md; rm -f ballast rest")).decide(|prompt| {
        let found = prompt.exchanges.last().map(|exchange| exchange.result.clone()).unwrap_or_default();
        longshore_emulators::model::ScriptStep::Say(format!("They say: {found}"))
    }));
    model.push_script(asked("fill it").call("bash", shell(FILL)).say("Filled."));

    // Containers live on: the turn goes on, and whoever asks while the engine is away is served when it is back.
    let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, hold on");
    let container = at_gate(&engine, &talk).await;
    let mut other = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, say hello");
    other.ends_well_with(&["Hello."]).await;
    engine.stop();
    other.reply("say hello");
    engine.start_again_with(Containers::Live);
    other.ends_well_with(&["Hello."]).await;
    let (ok, said) = engine.docker(&["exec", &container, "touch", "/tmp/go"]);
    assert!(ok, "{said}");
    talk.ends_well_with(&["Held on.", "1 file changed, 1 line added"]).await;
    assert_eq!(talk.container().await, container, "it is the same sandbox");

    // They end with it: what the turn did is kept, and the session goes on there.
    harness.expect_errors("the agent is lost");
    talk.reply("hold on again");
    at_gate(&engine, &talk).await;
    engine.start_again_with(Containers::End);
    talk.fails_with(&["The sandbox ended before the work was done", "from what was last kept"]).await;
    other.reply("say hello");
    other.ends_well_with(&["Hello."]).await;
    talk.reply("read");
    talk.ends_well_with(&["They say: first line\nsecond line", "Restored from the snapshot of"]).await;

    // No room is left: said, and gone on from when there is.
    harness.expect_errors("cannot commit or push");
    let container = talk.container().await;
    talk.reply("fill it");
    talk.fails_with(&["The disk is full", "must make room", "nothing is lost"]).await;
    let (ok, said) = engine.docker(&["exec", &container, "sh", "-c", "rm -f /workspace/ballast /workspace/rest"]);
    assert!(ok, "{said}");
    talk.reply("read");
    talk.ends_well_with(&["They say: first line\nsecond line"]).await;
    harness.finish().await.unwrap();
}
