//! The harness itself: what it starts works, survives what stories do to it, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::process::Command;

use longshore_harness::{Harness, Options, TURN_LIMIT};

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).env("DOCKER_API_VERSION", "1.41").output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_goes_on_with_its_turn_and_nothing_is_left_behind() {
    let harness = Harness::start(Options::samples(&["acme/storefront"])).await.unwrap();
    let (namespace, folder) = (harness.namespace().to_owned(), harness.folder().to_owned());
    let containers = || docker(&["ps", "-aq", "--filter", &format!("name={namespace}-")]);
    let ana = harness.slack.person("U0ANA");
    let thread = ana.post("C0CHECKOUT", "@longshore coupons are refused on their last valid day").unwrap();
    harness.model().wait_for_requests(TURN_LIMIT, |requests| requests.len() >= 4).await.unwrap();
    assert!(!containers().is_empty());

    harness.service.kill().await.unwrap();
    harness.service.start().await.unwrap();
    let turn = harness.wait_for_turn("C0CHECKOUT", &thread, 1, TURN_LIMIT).await.unwrap();
    assert_eq!(turn.outcome, "done", "{}", harness.slack.render_thread_text("C0CHECKOUT", &thread));
    let pulls = harness.github.pull_requests("acme/storefront");
    assert_eq!(pulls.len(), 1);
    let text = harness.slack.render_thread_text("C0CHECKOUT", &thread);
    assert_eq!(text.matches("*Done*").count(), 1, "{text}");

    harness.finish().await.unwrap();
    assert_eq!(containers(), "");
    assert!(!docker(&["network", "ls", "--format", "{{.Name}}"]).lines().any(|name| name == namespace));
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_start_says_why_and_leaves_nothing() {
    let mut options = Options::samples(&["acme/courier"]);
    options
        .manifests
        .insert("acme/courier".to_owned(), "repository = \"acme/courier\"\ndescription = \"Routes.\"\nkeyword = [\"stop\"]\n".to_owned());
    let Err(error) = Harness::start(options).await else { panic!("it started with a manifest that has an unknown key") };
    let words = format!("{error:#}");
    assert!(words.contains("acme-courier.toml") && words.contains("keyword"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_words_is_found_in_the_end() {
    let harness = Harness::start(Options::samples(&["acme/storefront"])).await.unwrap();
    let silent = serde_json::json!({ "channel": "C0CHECKOUT", "blocks": [{ "type": "divider" }] });
    let request = reqwest::Client::new().post(format!("{}/chat.postMessage", harness.slack.api_url()));
    let answer: serde_json::Value =
        request.bearer_auth(harness.slack.bot_token()).json(&silent).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["ok"], true, "Slack takes it: {answer}");
    let found = format!("{:#}", harness.finish().await.unwrap_err());
    assert!(found.contains("slack_sdk refuses chat.postMessage: no words"), "{found}");
}
