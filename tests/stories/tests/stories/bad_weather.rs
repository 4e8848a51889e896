//! Slack and GitHub on a bad day: limits, outages, answers that get lost, sockets that drop. Everything is said once and done once.

use std::time::Duration;

use longshore_emulators::{github, github::Route, slack};
use longshore_harness::{Harness, Options};
use serde_json::json;

use crate::{
    bad_ground::docker,
    bad_talk::{GATE, SOON, Talk, asked, open_gate, shell, words},
    restoring::{logged, lose_snapshots},
};

const REPOSITORY: &str = "acme/storefront";

/// For what the emulator logs without telling.
async fn until(holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "it did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_and_github_on_a_bad_day() {
    let harness = Harness::start(Options::samples(&[REPOSITORY])).await.unwrap();
    let (model, slack, github) = (harness.model(), &harness.slack, &harness.github);
    model.push_script(asked("add a note").call("bash", shell(&format!("echo noted >> NOTES.md; {GATE}"))).say("The note is there."));
    model.push_script(
        asked("open it")
            .call("open_pull_request", json!({ "title": "Add a note", "body": "A note was asked for." }))
            .say("I tried to open it."),
    );
    model.push_script(asked("another line").call("bash", shell("echo more >> NOTES.md")).say("Another line is there."));
    model.push_script(asked("still there?").say("Still here."));

    // Slack limits, is down, loses an answer, and drops the sockets: one final reply, and the thread is heard again.
    let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, add a note");
    let container = talk.at_gate().await;
    slack.fail_next("chat.postMessage", slack::Fault::RateLimited { seconds: 1 }, 2);
    slack.fail_next("chat.postMessage", slack::Fault::ServerError { status: 503 }, 1);
    harness.expect_refusals("server_error");
    slack.fail_next("chat.postMessage", slack::Fault::AnswerLost, 1);
    slack.drop_sockets();
    open_gate(&container).await;
    talk.ends_well_with(&["The note is there.", "1 file changed", "Create pull request"]).await;
    let posts = slack.calls().into_iter().filter(|call| call.method == "chat.postMessage" && call.payload.to_string().contains(":final:1"));
    assert_eq!(posts.filter(|call| call.ok).count(), 1, "the answer that got lost was looked for, not posted again");
    slack.wait_until(|slack| (slack.sockets() > 0).then_some(()), SOON).await.unwrap();

    // GitHub fails to open the pull request: the agent is told, and the work waits on its branch with a button.
    harness.expect_errors("cannot open a pull request");
    let outage = github.fail_all(Route::CreatePull, github::Fault::Status(502));
    talk.reply("open it");
    talk.ends_well_with(&["I tried to open it.", "Create pull request"]).await;
    assert!(github.pull_requests(REPOSITORY).is_empty());
    let told_agent = model.requests().iter().any(|request| request.body.to_string().contains("GitHub did not take the pull request"));
    assert!(told_agent, "the agent was told why");

    drop(outage);

    // The button; GitHub opens it, and the answer gets lost.
    github.fail_next(Route::CreatePull, github::Fault::AnswerLost);
    let session = talk.session().await;
    let message = talk.bot_messages(&format!("{session}:final:2")).pop().unwrap();
    let button = message["blocks"].as_array().unwrap().iter().flat_map(|block| block["elements"].as_array().into_iter().flatten());
    let button = button.filter_map(|element| element["action_id"].as_str()).find(|id| id.starts_with("open_pull_request")).unwrap();
    slack.person("U0BEN").press("C0CHECKOUT", message["ts"].as_str().unwrap(), button).await.unwrap();
    talk.shows("Pull request #1 is open").await;
    assert_eq!(github.pull_requests(REPOSITORY).len(), 1);

    // GitHub gives no token for the push: said, kept in the sandbox, and pushed with the next turn.
    harness.expect_errors("cannot commit or push");
    harness.service.terminate().await.unwrap();
    let looks = || github.requests().iter().filter(|request| request.path.ends_with("/git/ref/heads/main")).count();
    let before = looks();
    harness.service.start().await.unwrap();
    // The image round at the start wants a token as well.
    until(|| looks() > before).await;
    let outage = github.fail_all(Route::CreateInstallationToken, github::Fault::Status(500));
    let head = github.branch_head(REPOSITORY, &format!("longshore/{session}")).await.unwrap();
    talk.reply("another line");
    talk.fails_with(&["could not be pushed", "It is kept in the sandbox"]).await;
    drop(outage);
    assert_eq!(github.branch_head(REPOSITORY, &format!("longshore/{session}")).await.unwrap(), head);
    talk.reply("still there?");
    talk.ends_well_with(&["Still here.", "#1"]).await;
    assert_ne!(github.branch_head(REPOSITORY, &format!("longshore/{session}")).await.unwrap(), head, "what was kept is pushed now");
    assert_eq!(github.pull_requests(REPOSITORY).len(), 1);

    // The App loses the repository: a new request in it finds none, the old session says so when it has to fetch, and goes on afterwards.
    harness.expect_errors("cannot sync with the base branch");
    harness.expect_errors("the agent is lost");
    let container = talk.container().await;
    github.install_app("acme", github::Repositories::Selected(vec![]));
    logged(&harness, "took a snapshot through=4", 1).await.unwrap();
    docker(&["rm", "--force", &container]).await;
    lose_snapshots(&harness).await.unwrap();
    talk.reply("another line");
    talk.fails_with(&["cannot reach the repository any more", "the App is installed on it"]).await;
    let stranger = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, add a note");
    let told = stranger.shows("I know no repository").await;
    assert!(told.contains("acme/storefront") && told.contains("/agent repos"), "{told}");
    github.install_app("acme", github::Repositories::All);
    talk.reply("still there?");
    let told = talk.ends_well_with(&["Still here.", "The earlier sandbox is gone"]).await;
    assert!(told.contains("#1"), "{told}");
    let finals = talk.bot_messages(&format!("{session}:final:"));
    assert_eq!(finals.len(), 6, "one for each turn: {:#?}", finals.iter().map(words).collect::<Vec<_>>());
    harness.finish().await.unwrap();
}
