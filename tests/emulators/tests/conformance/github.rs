//! The GitHub emulator against what others agree on: `git` itself and GitHub's official JavaScript clients.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test relies on, its helpers too")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use longshore_emulators::github::{
    Consent, DeliveryOutcome, Fault, GitHubEmulator, GitHubSetup, Level, NewUser, Repositories, Route, WebhookTarget,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// A GitHub with `acme/shop`, whose branch `longshore/s-1` is one commit of Ada's ahead of `main`.
struct Fixture {
    github: GitHubEmulator,
    ada: String,
    grace: String,
    mallory: String,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn start(setup: GitHubSetup) -> Self {
        let github = GitHubEmulator::start(setup).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let seed = folder.path().join("seed");
        std::fs::create_dir(&seed).unwrap();
        std::fs::write(seed.join("app.txt"), "one\ntwo\n").unwrap();
        let ada = github.add_user(NewUser::new("ada", "Ada Lovelace", "ada@example.com"));
        let grace = github.add_user(NewUser::new("grace", "Grace Hopper", "grace@example.com"));
        let mallory = github.add_user(NewUser::new("mallory", "Mallory", "mallory@example.com"));
        for name in ["shop", "other"] {
            github.create_repository("acme", name, &seed).await.unwrap();
        }
        github.grant("acme/shop", "ada", Level::Write).unwrap();
        github.grant("acme/shop", "grace", Level::Write).unwrap();
        github.install_app("acme", Repositories::All);
        Self { github, ada, grace, mallory, folder }
    }

    fn checkout(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    async fn clone(&self, token: &str) -> Result<String, String> {
        let checkout = self.checkout();
        if checkout.exists() {
            std::fs::remove_dir_all(&checkout).unwrap();
        }
        git(self.folder.path(), &["clone", &self.github.clone_url("acme/shop", token), "checkout"]).await
    }

    /// Commits `text` on a branch and pushes it. The commit.
    async fn push(&self, branch: &str, text: &str) -> String {
        let checkout = self.checkout();
        if !checkout.exists() {
            self.clone(&self.ada).await.unwrap();
        }
        git(&checkout, &["checkout", "-B", branch]).await.unwrap();
        std::fs::write(checkout.join("app.txt"), text).unwrap();
        git(&checkout, &["commit", "-am", "Charge once"]).await.unwrap();
        git(&checkout, &["push", "origin", branch]).await.unwrap();
        git(&checkout, &["rev-parse", "HEAD"]).await.unwrap()
    }

    async fn octokit(&self, step: &str, more: Value) {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/node/node_modules");
        assert!(modules.join("octokit").exists(), "the Octokit clients are not installed: run make setup");
        let mut task = json!({
            "step": step, "modules": modules.canonicalize().unwrap(), "owner": "acme", "repo": "shop",
            "api_url": self.github.api_url, "web_url": self.github.web_url, "app_id": self.github.app_id(),
            "private_key": self.github.private_key_pem(), "client_id": self.github.client_id(), "client_secret": self.github.client_secret(),
            "user_token": self.ada, "reviewer_token": self.grace, "outsider_token": self.mallory,
        });
        for (name, value) in more.as_object().unwrap() {
            task[name] = value.clone();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/octokit_client.mjs");
        let run = Command::new("node").arg(script).env("OCTOKIT_TASK", task.to_string()).env("NO_PROXY", "127.0.0.1").output();
        let output = tokio::time::timeout(Duration::from_secs(60), run).await.expect("the client ends").expect("node runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stdout.trim() == "ok", "{step}: {stdout}{stderr}");
    }
}

async fn git(folder: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("NO_PROXY", "127.0.0.1")
        .envs([("GIT_AUTHOR_NAME", "Ada Lovelace"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Ada Lovelace"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn client() -> reqwest::Client {
    // Another test may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Somebody who takes webhooks: bodies and their headers, as they came.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Receiver {
    async fn listen(&self) -> String {
        async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) {
            receiver.0.lock().unwrap().push((headers, body));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn taken(&self) -> Vec<(HeaderMap, Bytes)> {
        self.0.lock().unwrap().clone()
    }

    /// `event` or `event.action` of each.
    fn events(&self) -> Vec<String> {
        let name = |(headers, body): &(HeaderMap, Bytes)| {
            let event = headers["x-github-event"].to_str().unwrap().to_owned();
            let payload: Value = serde_json::from_slice(body).unwrap();
            payload["action"].as_str().map_or(event.clone(), |action| format!("{event}.{action}"))
        };
        self.taken().iter().map(name).collect()
    }
}

#[tokio::test]
async fn octokit_authenticates_as_an_app() {
    let fixture = Fixture::start(GitHubSetup::default()).await;
    let head_sha = fixture.push("longshore/s-1", "one\n2\n").await;
    let stranger = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let wrong_key = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_pem(&stranger, rsa::pkcs1::LineEnding::LF).unwrap().to_string();
    fixture.octokit("app", json!({"head_sha": head_sha, "wrong_key": wrong_key})).await;
}

#[tokio::test]
async fn octokit_leads_a_pull_request_from_its_opening_to_its_merge() {
    let fixture = Fixture::start(GitHubSetup::default()).await;
    let head_sha = fixture.push("longshore/s-1", "one\n2\n").await;
    fixture.octokit("pulls", json!({"head_sha": head_sha})).await;
    let main = git(&fixture.checkout(), &["ls-remote", "origin", "main"]).await.unwrap();
    git(&fixture.checkout(), &["fetch", "origin"]).await.unwrap();
    let parents = git(&fixture.checkout(), &["rev-list", "--parents", "-1", "origin/main"]).await.unwrap();
    assert!(main.starts_with(&parents[..40]) && parents.contains(&head_sha), "a merge commit of the branch: {parents}");
}

#[tokio::test]
async fn octokit_reads_a_repository_and_moves_its_refs() {
    let fixture = Fixture::start(GitHubSetup::default()).await;
    let head_sha = fixture.push("longshore/s-1", "one\n2\n").await;
    fixture.octokit("repository", json!({"head_sha": head_sha})).await;
}

#[tokio::test]
async fn octokit_signs_a_person_in() {
    let setup = GitHubSetup { consent: Consent::ApprovedBy("ada".to_owned()), ..GitHubSetup::default() };
    let fixture = Fixture::start(setup).await;
    fixture.octokit("oauth", json!({"redirect": "http://127.0.0.1:9/callback"})).await;
}

#[tokio::test]
async fn webhooks_are_signed_as_octokit_expects_and_can_be_sent_again() {
    let receiver = Receiver::default();
    let secret = "shared secret";
    let webhook = Some(WebhookTarget { url: receiver.listen().await, secret: secret.to_owned() });
    let fixture = Fixture::start(GitHubSetup { webhook, ..GitHubSetup::default() }).await;
    fixture.push("longshore/s-1", "one\n2\n").await;
    let client = client();
    let pulls = format!("{}/repos/acme/shop/pulls", fixture.github.api_url);
    let draft = json!({"title": "Charge once", "head": "longshore/s-1", "base": "main"});
    let opened = client.post(&pulls).bearer_auth(&fixture.ada).body(draft.to_string()).send().await.unwrap();
    assert_eq!(opened.status(), 201);
    let head = fixture.push("longshore/s-1", "one\n3\n").await;
    assert_eq!(fixture.github.pull_requests("acme/shop")[0].head_sha, head, "the push has moved it before git was answered");
    fixture.github.merge_pull_request("acme/shop", 1, "grace").await.unwrap();
    fixture.github.deliveries_settled().await;
    let expected = ["push", "pull_request.opened", "push", "pull_request.synchronize", "pull_request.closed", "push"];
    assert_eq!(receiver.events(), expected);
    let closed: Value = serde_json::from_slice(&receiver.taken()[4].1).unwrap();
    assert_eq!((&closed["pull_request"]["merged"], &closed["sender"]["login"]), (&json!(true), &json!("grace")));

    let deliveries = fixture.github.deliveries();
    assert!(deliveries.iter().all(|delivery| delivery.outcome == DeliveryOutcome::Answered(200)));
    fixture.github.redeliver(deliveries[1].id).unwrap();
    fixture.github.deliveries_settled().await;
    let taken = receiver.taken();
    assert_eq!(taken[6].0["x-github-delivery"], taken[1].0["x-github-delivery"]);
    assert_eq!(taken[6].1, taken[1].1);
    let shapes: Vec<Value> = taken
        .iter()
        .map(|(headers, body)| json!({"body": std::str::from_utf8(body).unwrap(), "signature": headers["x-hub-signature-256"].to_str().unwrap()}))
        .collect();
    fixture.octokit("webhooks", json!({"deliveries": shapes, "webhook_secret": secret})).await;
}

#[tokio::test]
async fn git_is_served_to_good_tokens_only() {
    let fixture = Fixture::start(GitHubSetup::default()).await;
    let (github, folder) = (&fixture.github, fixture.folder.path());
    fixture.clone(&fixture.ada).await.unwrap();
    assert_eq!(std::fs::read_to_string(fixture.checkout().join("app.txt")).unwrap(), "one\ntwo\n");
    let refusal = fixture.clone("ghs_nobody").await.unwrap_err();
    assert!(refusal.contains("Authentication failed"), "{refusal}");
    let refusal = fixture.clone(&fixture.mallory).await.unwrap_err();
    assert!(refusal.contains("not found"), "{refusal}");
    let plain = git(folder, &["ls-remote", &github.plain_clone_url("acme/shop")]).await.unwrap_err();
    assert!(plain.contains("could not read Username"), "{plain}");

    github.grant("acme/shop", "mallory", Level::Read).unwrap();
    fixture.clone(&fixture.mallory).await.unwrap();
    git(&fixture.checkout(), &["commit", "--allow-empty", "-m", "No"]).await.unwrap();
    let refusal = git(&fixture.checkout(), &["push", "origin", "HEAD:refs/heads/no"]).await.unwrap_err();
    assert!(refusal.contains("403") && refusal.contains("not granted"), "{refusal}");
    assert_eq!(github.branch_head("acme/shop", "no").await.unwrap(), None);
}

#[tokio::test]
async fn tokens_end_when_the_clock_says_so() {
    let fixture = Fixture::start(GitHubSetup::default()).await;
    let token = fixture.github.user_token_through_app("ada").unwrap();
    fixture.clone(&token).await.unwrap();
    fixture.github.advance(Duration::from_secs(8 * 3600));
    assert!(fixture.clone(&token).await.is_err());
}

/// A pack larger than one buffer, in both directions, and compressed request bodies (git's own for many commits).
#[tokio::test]
async fn large_pushes_and_fetches_stream() {
    let fixture = Fixture::start(GitHubSetup::default()).await;
    fixture.clone(&fixture.ada).await.unwrap();
    let checkout = fixture.checkout();
    let mut state = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(3_000_000)
    .collect();
    std::fs::write(checkout.join("noise.bin"), &noise).unwrap();
    git(&checkout, &["add", "."]).await.unwrap();
    git(&checkout, &["commit", "-m", "Noise"]).await.unwrap();
    for index in 0..40 {
        git(&checkout, &["commit", "--allow-empty", "-m", &format!("{index}")]).await.unwrap();
    }
    git(&checkout, &["push", "origin", "HEAD:refs/heads/large"]).await.unwrap();
    let second = fixture.folder.path().join("second");
    git(fixture.folder.path(), &["clone", "-b", "large", &fixture.github.clone_url("acme/shop", &fixture.grace), "second"]).await.unwrap();
    assert_eq!(std::fs::read(second.join("noise.bin")).unwrap(), noise);
    git(&checkout, &["commit", "--allow-empty", "-m", "more"]).await.unwrap();
    git(&checkout, &["push", "origin", "HEAD:refs/heads/large"]).await.unwrap();
    git(&second, &["fetch", "origin"]).await.unwrap();
}

#[tokio::test]
async fn faults_come_once_and_a_lost_answer_was_still_acted_upon() {
    let fixture = Fixture::start(GitHubSetup::default()).await;
    fixture.push("longshore/s-1", "one\n2\n").await;
    let client = client();
    let repo = format!("{}/repos/acme/shop", fixture.github.api_url);
    let get = || client.get(&repo).bearer_auth(&fixture.ada).send();
    fixture.github.fail_next(Route::Repository, Fault::Status(502));
    fixture.github.fail_next(Route::Repository, Fault::SecondaryRateLimit(7));
    assert_eq!(get().await.unwrap().status(), 502);
    let limited = get().await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (403, "7"));
    assert_eq!(get().await.unwrap().status(), 200);

    fixture.github.fail_next(Route::CreatePull, Fault::AnswerLost);
    let draft = json!({"title": "Charge once", "head": "longshore/s-1", "base": "main"});
    let lost = client.post(format!("{repo}/pulls")).bearer_auth(&fixture.ada).body(draft.to_string()).send().await;
    assert!(lost.is_err(), "no answer: {lost:?}");
    assert_eq!(fixture.github.pull_requests("acme/shop").len(), 1);
    let log = fixture.github.requests();
    assert!(log.iter().any(|line| line.method == "POST" && line.path.ends_with("/pulls") && line.status == 0 && line.auth == "user"));
    assert!(!format!("{log:?}").contains(&fixture.ada), "no token in the log");
}

#[tokio::test]
async fn the_page_of_a_pull_request_shows_it_and_its_button_merges() {
    let fixture = Fixture::start(GitHubSetup { web_user: Some("grace".to_owned()), ..GitHubSetup::default() }).await;
    fixture.push("longshore/s-1", "one\n<b>2</b>\n").await;
    let client = client();
    let draft = json!({"title": "Charge <once>", "head": "longshore/s-1", "base": "main", "body": "**Why**: because"});
    let pulls = format!("{}/repos/acme/shop/pulls", fixture.github.api_url);
    client.post(&pulls).bearer_auth(&fixture.ada).body(draft.to_string()).send().await.unwrap().error_for_status().unwrap();
    let url = fixture.github.pull_requests("acme/shop")[0].url.clone();
    let text = client.get(&url).send().await.unwrap().text().await.unwrap();
    for part in ["Charge &lt;once&gt;", "<strong>Why</strong>", "ada@example.com", "+&lt;b&gt;2&lt;/b&gt;", "Merge pull request"] {
        assert!(text.contains(part), "{part} is on the page");
    }
    let merge = |site: &'static str| client.post(format!("{url}/merge")).header("sec-fetch-site", site).send();
    merge("cross-site").await.unwrap();
    assert_eq!(fixture.github.pull_requests("acme/shop")[0].state, "open", "another site cannot press the button");
    merge("same-origin").await.unwrap();
    assert_eq!(fixture.github.pull_requests("acme/shop")[0].state, "merged");
    let text = client.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("by <b>grace</b>"), "{text}");
}
