//! Snapshots that are damaged, and branches that went another way since: the session goes on with what there is, and says so.

use longshore_emulators::github::{Fault, Route};
use longshore_harness::{Harness, Options};
use tokio::process::Command;

use crate::{
    bad_ground::docker,
    bad_talk::{GATE, Talk, asked, shell},
    restoring::{images, logged},
};

const REPOSITORY: &str = "acme/storefront";
const DATABASE: &str = "/home/agent/.local/share/opencode/opencode.db";

/// Puts what a command makes of the session's snapshot in its place.
async fn damage(harness: &Harness, session: &str, line: &str) {
    let label = format!("label=dev.longshore.image.session={session}");
    let found = docker(&["image", "ls", "--filter", &label, "--format", "{{.Repository}}:{{.Tag}}"]).await;
    let image = found.lines().find(|name| images_hold(name)).unwrap_or_else(|| panic!("no snapshot of {session}: {found}")).to_owned();
    assert!(images(harness).await.unwrap().contains(&image), "{image}");
    let name = format!("damage-{session}");
    docker(&["run", "--name", &name, "--user", "1000:1000", "--network", "none", "--entrypoint", "/bin/sh", &image, "-c", line]).await;
    docker(&["commit", &name, &image]).await;
    docker(&["rm", &name]).await;
}

fn images_hold(name: &str) -> bool {
    !name.contains("<none>")
}

async fn kept_and_lost<'a>(harness: &'a Harness, channel: &str, line: &str) -> Talk<'a> {
    let mut talk = Talk::begin(harness, channel, "in acme/storefront, begin");
    talk.ends_well_with(&["Begun."]).await;
    let session = talk.session().await;
    logged(harness, &format!("{session}}}: longshore::snapshots: took a snapshot through=1"), 1).await.unwrap();
    damage(harness, &session, line).await;
    docker(&["rm", "--force", &talk.container().await]).await;
    talk.reply("what do the notes say?");
    talk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_costs_the_memory_and_not_the_work() {
    let harness = Harness::start(Options::samples(&[REPOSITORY])).await.unwrap();
    let (model, github) = (harness.model(), &harness.github);
    model.push_script(
        asked("begin")
            .call("bash", shell("echo 'first line' > NOTES.md; echo loose > loose.local; echo loose.local >> .git/info/exclude"))
            .say("Begun."),
    );
    model.push_script(asked("stand still").call("bash", shell(GATE)).say("Moved on."));
    model.push_script(asked("what do the notes say?").call("bash", shell("cat NOTES.md loose.local")).decide(|prompt| {
        let found = prompt.exchanges.last().map(|exchange| exchange.result.clone()).unwrap_or_default();
        longshore_emulators::model::ScriptStep::Say(format!("They say: {found}"))
    }));

    // The agent comes up and does not know its conversation: the files are as they were, and it is told what was said.
    let forgetful = async {
        let talk = kept_and_lost(&harness, "C0CHECKOUT", &format!("rm -f {DATABASE}*")).await;
        talk.ends_well_with(&["They say: first line\nloose", "Restored from the snapshot of", "but not the agent's memory"]).await;
    };
    // The agent cannot read what it kept.
    let garbled = async {
        let talk = kept_and_lost(&harness, "C0PLATFORM", &format!("rm -f {DATABASE}-*; head -c 400000 /dev/urandom > {DATABASE}")).await;
        talk.ends_well_with(&["They say: first line\nloose", "Restored from the snapshot of", "but not the agent's memory"]).await;
    };
    // What was pushed after the snapshot is not to be had, and then it is something else.
    let overtaken = async {
        let mut talk = Talk::begin(&harness, "C0GENERAL", "in acme/storefront, begin");
        talk.ends_well_with(&["Begun."]).await;
        talk.reply("stand still");
        docker(&["rm", "--force", &talk.at_gate().await]).await;
        talk.fails_with(&["The sandbox ended before the work was done", "from what was last kept"]).await;
        talk
    };
    harness.expect_errors("the agent is lost");
    harness.expect_errors("cannot catch up with the session's branch");
    let ((), (), mut talk) = tokio::join!(forgetful, garbled, overtaken);
    let outage = github.fail_all(Route::Git, Fault::Status(503));
    talk.reply("what do the notes say?");
    talk.fails_with(&["GitHub cannot be worked with at the moment", "Nothing is lost"]).await;
    drop(outage);
    let branch = format!("longshore/{}", talk.session().await);
    let by_hand =
        "git update-ref refs/heads/$1 $(git -c user.name=Ben -c user.email=ben@example.com commit-tree -p main -m 'By hand' main^{tree})";
    let folder = github.bare_path(REPOSITORY).unwrap();
    let output = Command::new("sh").args(["-ec", by_hand, "sh", &branch]).current_dir(folder).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    talk.reply("what do the notes say?");
    talk.ends_well_with(&["They say: cat: NOTES.md: No such file", "could not be used, so this was a new sandbox"]).await;
    let told = model.requests().into_iter().filter(|request| {
        let body = request.body["messages"].to_string();
        body.contains("This goes on with earlier work that you do not remember") && body.contains("You answered: Begun.")
    });
    assert!(told.count() >= 3, "each of the three agents was told what was said");
    harness.finish().await.unwrap();
}
