//! An agent that crashes, is killed, eats all memory, falls silent or takes too long: said with its own words each, and taken up again.

use longshore_emulators::model::ScriptStep;
use longshore_harness::{Harness, Options};

use crate::{
    bad_ground::docker,
    bad_talk::{GATE, Talk, asked, shell},
};

const RESTORED: &str = "Restored from the snapshot of";

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_lost_is_said_and_replaced() {
    let harness = Harness::start(Options::samples(&["acme/storefront"])).await.unwrap();
    let model = harness.model();
    model.push_script(asked("begin").call("bash", shell("echo 'first line' > NOTES.md")).say("Begun."));
    let interrupted = format!("echo 'second line' >> NOTES.md; {GATE}");
    model.push_script(asked("go on").call("bash", shell(&interrupted)).say("Gone on."));
    model.push_script(asked("what do the notes say?").call("bash", shell("cat NOTES.md")).decide(|prompt| {
        ScriptStep::Say(format!("They say: {}", prompt.exchanges.last().map(|exchange| exchange.result.clone()).unwrap_or_default()))
    }));
    harness.expect_errors("the agent is lost");

    let crash = async {
        let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, begin");
        talk.ends_well_with(&["Begun."]).await;
        talk.reply("go on");
        let container = talk.at_gate().await;
        docker(&["exec", &container, "pkill", "-KILL", "-x", "opencode"]).await;
        talk.fails_with(&["The sandbox ended before the work was done", "from what was last kept"]).await;
        talk
    };
    let kill = async {
        let mut talk = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, begin");
        talk.ends_well_with(&["Begun."]).await;
        talk.reply("go on");
        let container = talk.at_gate().await;
        docker(&["kill", &container]).await;
        talk.fails_with(&["The sandbox ended before the work was done", "killed", "from what was last kept"]).await;
        talk
    };
    let (mut crashed, mut killed) = tokio::join!(crash, kill);
    for talk in [&mut crashed, &mut killed] {
        talk.reply("what do the notes say?");
        talk.ends_well_with(&["They say: first line\nsecond line", RESTORED]).await;
    }
    let remembers = |body: &str| {
        let once = |text: &str| body.matches(text).count() == 1;
        once("in acme/storefront, begin") && once("Begun.") && once("second line' >> NOTES.md") && once("was broken off in the middle")
    };
    let remembered = model.requests().iter().filter(|request| remembers(&request.body["messages"].to_string())).count();
    assert!(remembered >= 2, "the agent remembers both turns, and was told what became of the second");
    harness.finish().await.unwrap();
}
