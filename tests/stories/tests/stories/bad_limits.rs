//! Limits that a turn runs into: time, silence, memory.

use longshore_emulators::model::{Fault, ScriptStep};
use longshore_harness::{Harness, Options};

use crate::{
    bad_ground::docker,
    bad_talk::{GATE, Talk, asked, shell},
};

/// Fills what it can get. The pieces are touched, or the kernel would give them for nothing.
const EAT: &str = "python3 -c 'hoard = []\nwhile True: hoard.append(bytearray(b\"x\" * (32 << 20)))'; echo ended with $?";

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_meets_a_limit_is_ended_and_its_work_kept() {
    let mut options = Options::samples(&["acme/storefront"]);
    options.configuration = "[limits]\nsilence_seconds = 20\nturn_seconds = 40\n".to_owned();
    let harness = Harness::start(options).await.unwrap();
    let model = harness.model();
    model.push_script(asked("hush").fail(Fault::StallAfter(0)));
    let endless = asked("never stop").call("bash", shell("echo 'first line' > NOTES.md"));
    model.push_script((0..200).fold(endless, |script, _| script.call("bash", shell("sleep 1"))));
    model.push_script(asked("still there?").say("Still here."));
    model.push_script(asked("eat").call("bash", shell(EAT)).decide(|prompt| {
        ScriptStep::Say(format!("The command {}", prompt.exchanges.last().map(|exchange| exchange.result.clone()).unwrap_or_default()))
    }));
    model.push_script(asked("stand still").call("bash", shell(GATE)).say("Moved on."));
    // Whoever offers itself first is taken first.
    let starve = format!("for pid in $(pgrep -x opencode); do echo 1000 >/proc/$pid/oom_score_adj; done; {EAT}");
    model.push_script(asked("starve").call("bash", shell(&starve)).say("Starved and lived."));
    harness.expect_errors("the agent is lost");

    let silent = async {
        let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, still there?");
        talk.ends_well_with(&["Still here."]).await;
        talk.reply("hush");
        talk.fails_with(&["The agent said nothing for 20 s", "Reply here to go on"]).await;
        talk.reply("still there?");
        talk.ends_well_with(&["Still here."]).await;
    };
    let endless = async {
        let mut talk = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, never stop");
        talk.fails_with(&["The turn reached its limit of 40 s", "What was done is saved", "1 file changed"]).await;
        let branch = format!("longshore/{}", talk.session().await);
        assert!(harness.github.branch_head("acme/storefront", &branch).await.unwrap().is_some(), "the work was pushed");
        talk.reply("still there?");
        talk.ends_well_with(&["Still here."]).await;
    };
    let hungry = async {
        // The command that ate the memory is what the kernel ends; the agent sees that, and the turn goes on.
        let mut talk = Talk::begin(&harness, "C0GENERAL", "in acme/storefront, eat");
        talk.ends_well_with(&["ended with 137"]).await;
        // Nor is what happens to the sandbox afterwards blamed on its memory.
        talk.reply("stand still");
        docker(&["kill", &talk.at_gate().await]).await;
        let told = talk.fails_with(&["The sandbox ended before the work was done"]).await;
        assert!(!told.contains("memory"), "{told}");
    };
    let starved = async {
        // Here the kernel takes the agent itself.
        let mut talk = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, starve");
        talk.fails_with(&["The sandbox used up its 2048 MiB of memory", "`limits.memory_mb`", "in a new sandbox"]).await;
        talk.reply("still there?");
        talk.ends_well_with(&["Still here.", "Restored from the snapshot of"]).await;
    };
    tokio::join!(silent, endless, hungry, starved);
    harness.finish().await.unwrap();
}
