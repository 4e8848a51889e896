//! GitHub that fails on the way, and people who merge, close and delete what a session works on.

use longshore_emulators::{
    github::{Fault, GitHubEmulator, Route},
    model::Script,
};
use longshore_harness::{Harness, Options};
use serde_json::json;
use tokio::process::Command;

use crate::bad_talk::{GATE, Talk, asked, open_gate, shell};

const REPOSITORY: &str = "acme/storefront";

/// In the repository itself, as an administrator on GitHub's side.
async fn git(github: &GitHubEmulator, arguments: &[&str]) {
    let folder = github.bare_path(REPOSITORY).unwrap();
    let output = Command::new("git").args(arguments).current_dir(folder).output().await.unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn delete_branch(github: &GitHubEmulator, branch: &str) {
    git(github, &["update-ref", "-d", &format!("refs/heads/{branch}")]).await;
}

fn revoke_installation_tokens(github: &GitHubEmulator) {
    for token in github.tokens().into_iter().filter(|token| token.starts_with("ghs_")) {
        github.revoke_token(&token);
    }
}

fn opening(script: Script, title: &str) -> Script {
    script.call("open_pull_request", json!({ "title": title, "body": "It was asked for." })).say("I wanted it opened.")
}

/// Presses the button on the final reply of the turn.
async fn press(talk: &Talk<'_>, action: &str) {
    let message = talk.last_final().await;
    let elements = message["blocks"].as_array().unwrap().iter().flat_map(|block| block["elements"].as_array().into_iter().flatten());
    let button = elements.filter_map(|element| element["action_id"].as_str()).find(|id| id.starts_with(action)).unwrap();
    talk.harness.slack.person("U0BEN").press("C0CHECKOUT", message["ts"].as_str().unwrap(), button).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn github_fails_and_changes_under_a_session() {
    let harness = Harness::start(Options::samples(&[REPOSITORY])).await.unwrap();
    let (model, github) = (harness.model(), &harness.github);
    let line = |text: &str| shell(&format!("echo {text} >> NOTES.md"));
    model.push_script(asked("add a note").call("bash", shell(&format!("echo noted > NOTES.md; {GATE}"))).say("The note is there."));
    model.push_script(opening(asked("open it"), "Add a note"));
    model.push_script(asked("another line").call("bash", line("more")).say("Another line is there."));
    model.push_script(opening(asked("open that again"), "Add more notes"));
    model.push_script(asked("say hello").say("Hello."));

    // Failures and a limit: the push gets there, once.
    let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, add a note");
    let container = talk.at_gate().await;
    for fault in [Fault::Status(502), Fault::Status(502), Fault::SecondaryRateLimit(1)] {
        github.fail_next(Route::Git, fault);
    }
    let before = github.requests().len();
    open_gate(&container).await;
    talk.ends_well_with(&["The note is there.", "1 file changed"]).await;
    let session = talk.session().await;
    let branch = format!("longshore/{session}");
    assert!(github.branch_head(REPOSITORY, &branch).await.unwrap().is_some());
    let asked_git = github.requests().split_off(before).into_iter().filter(|request| request.path.contains(".git/"));
    assert_eq!(asked_git.map(|request| request.status).collect::<Vec<_>>(), [502, 502, 403, 200, 200]);

    // The same for opening.
    github.fail_next(Route::CreatePull, Fault::Status(502));
    github.fail_next(Route::CreatePull, Fault::SecondaryRateLimit(1));
    revoke_installation_tokens(github);
    talk.reply("open it");
    talk.ends_well_with(&["I wanted it opened.", "#1 Add a note", "open"]).await;
    assert_eq!(github.pull_requests(REPOSITORY).len(), 1);

    // Merged and its branch deleted: the next change builds on the merge, is not in that pull request, and gets its own.
    github.merge_pull_request(REPOSITORY, 1, "ben").await.unwrap();
    delete_branch(github, &branch).await;
    revoke_installation_tokens(github);
    let before = github.requests().len();
    talk.reply("another line");
    let more = ["#1 Add a note", "merged", "It does not hold what was changed since", "1 file changed, 1 line added, 0 lines removed"];
    talk.ends_well_with(&more).await;
    let unknown = github.requests().split_off(before).into_iter().filter(|request| request.path.contains(".git/") && request.status == 401);
    assert_eq!(unknown.count(), 2, "each token that is not taken is replaced once, for fetching and for pushing");
    let told = model.requests().iter().any(|request| request.body.to_string().contains("(The pull request #1 was merged"));
    assert!(told, "the agent was told");
    press(&talk, "open_pull_request").await;
    talk.shows("Pull request #2 is open").await;
    let commits = github.pull_request_commits(REPOSITORY, 2).await.unwrap();
    assert_eq!(commits.len(), 1, "what was merged is not in the second one: {commits:?}");

    // Closed and its branch deleted: it is pushed again for the third.
    github.close_pull_request(REPOSITORY, 2, "ben");
    delete_branch(github, &branch).await;
    talk.reply("open that again");
    talk.ends_well_with(&["#3 Add more notes", "follows #2"]).await;
    let states: Vec<&str> = github.pull_requests(REPOSITORY).iter().map(|pull| pull.state).collect();
    assert_eq!(states, ["merged", "closed", "open"]);

    // No base branch: a session that goes on needs none, a new one says what is missing, and goes on when it is back.
    harness.expect_errors("cannot sync with the base branch");
    git(github, &["branch", "-m", "main", "trunk"]).await;
    talk.reply("another line");
    talk.ends_well_with(&["Another line is there.", "#3"]).await;
    let mut new = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, say hello");
    new.fails_with(&["could not be brought up to date with the base branch", "main", "See that the base branch in the manifest exists"])
        .await;
    git(github, &["branch", "-m", "trunk", "main"]).await;

    // git is down for longer than is waited for.
    let outage = github.fail_all(Route::Git, Fault::Status(503));
    new.reply("say hello");
    new.fails_with(&["GitHub cannot be worked with at the moment", "the repositories' host failed (503)", "Nothing is lost"]).await;
    drop(outage);
    new.reply("say hello");
    new.ends_well_with(&["Hello."]).await;
    harness.finish().await.unwrap();
}
