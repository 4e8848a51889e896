//! The client against the GitHub emulator: real JWTs, real tokens, real git behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test relies on, its helpers too")]

use std::{path::Path, sync::Arc, time::Duration};

use longshore_emulators::github::{Fault, GitHubEmulator, GitHubSetup, Level, NewUser, Permissions, Repositories, Route, WebhookTarget};
use longshore_github::{
    Access, As, ConfigError, Created, Finding, GitHub, GitHubConfig, GitHubError, Permission, PullRequestAction, PullRequestDraft,
    PullRequestState, Readiness, ReviewVerdict, Touched, Verdict, WebhookEvent, verify_and_parse,
};
use longshore_session::{Clock, ManualClock, RepoName, SystemClock};
use secrecy::SecretString;
use tokio::process::Command;

struct Fixture {
    emulator: GitHubEmulator,
    github: GitHub,
    clock: ManualClock,
    ada: String,
    folder: tempfile::TempDir,
}

fn config(emulator: &GitHubEmulator) -> GitHubConfig {
    GitHubConfig {
        api_url: emulator.api_url.parse().unwrap(),
        web_url: emulator.web_url.parse().unwrap(),
        app_id: emulator.app_id(),
        private_key: SecretString::from(emulator.private_key_pem().to_owned()),
        timeout: Duration::from_secs(5),
    }
}

fn shop() -> RepoName {
    RepoName::parse("acme/shop").unwrap()
}

impl Fixture {
    /// `acme/shop` and `acme/other`, with a branch `longshore/s-1` one commit ahead in the first. The App is installed on both.
    async fn start() -> Self {
        Self::start_with(GitHubSetup::default()).await
    }

    async fn start_with(setup: GitHubSetup) -> Self {
        let emulator = GitHubEmulator::start(setup).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let seed = folder.path().join("seed");
        std::fs::create_dir(&seed).unwrap();
        std::fs::write(seed.join("app.txt"), "one\ntwo\n").unwrap();
        let ada = emulator.add_user(NewUser::new("ada", "Ada Lovelace", "ada@example.com"));
        emulator.add_user(NewUser::new("mallory", "Mallory", "mallory@example.com"));
        for name in ["shop", "other"] {
            emulator.create_repository("acme", name, &seed).await.unwrap();
        }
        emulator.grant("acme/shop", "ada", Level::Write).unwrap();
        emulator.install_app("acme", Repositories::All);
        let clock = ManualClock::at(SystemClock.now());
        let github = GitHub::new(config(&emulator), Arc::new(clock.clone())).unwrap();
        let fixture = Self { emulator, github, clock, ada, folder };
        fixture.push("longshore/s-1").await;
        fixture
    }

    async fn push(&self, branch: &str) {
        let checkout = self.folder.path().join("checkout");
        if !checkout.exists() {
            git(self.folder.path(), &["clone", &self.emulator.clone_url("acme/shop", &self.ada), "checkout"]).await.unwrap();
        }
        git(&checkout, &["checkout", "-B", branch, "origin/main"]).await.unwrap();
        std::fs::write(checkout.join("app.txt"), format!("one\n{branch}\n")).unwrap();
        git(&checkout, &["commit", "-am", "Charge once"]).await.unwrap();
        git(&checkout, &["push", "origin", branch]).await.unwrap();
    }

    fn draft(&self) -> PullRequestDraft {
        PullRequestDraft {
            repo: shop(),
            head: "longshore/s-1".to_owned(),
            base: "main".to_owned(),
            title: "Charge once".to_owned(),
            body: "Asked in a thread.".to_owned(),
            readiness: Readiness::Ready,
        }
    }

    fn as_ada(&self) -> As {
        As::User(SecretString::from(self.ada.clone()))
    }

    fn asked(&self, method: &str, end: &str) -> usize {
        self.emulator.requests().iter().filter(|line| line.method == method && line.path.ends_with(end)).count()
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

#[tokio::test]
async fn a_token_reaches_its_repository_and_nothing_else() {
    let fixture = Fixture::start().await;
    let token = fixture.github.installation_token(&shop(), Access::Read).await.unwrap();
    let scratch = fixture.folder.path();
    let remote = |name: &str| fixture.emulator.clone_url(name, token.expose());
    git(scratch, &["clone", &remote("acme/shop"), "read"]).await.unwrap();
    assert!(git(scratch, &["ls-remote", &remote("acme/other")]).await.unwrap_err().contains("not found"));
    let push = ["push", "origin", "HEAD:refs/heads/new"];
    assert!(git(&scratch.join("read"), &push).await.unwrap_err().contains("not granted"));

    let writer = fixture.github.installation_token(&shop(), Access::Write).await.unwrap();
    git(scratch, &["clone", &fixture.emulator.clone_url("acme/shop", writer.expose()), "write"]).await.unwrap();
    git(&scratch.join("write"), &push).await.unwrap();
    let pulls = client().get(format!("{}/repos/acme/shop/pulls", fixture.emulator.api_url));
    assert_eq!(pulls.bearer_auth(writer.expose()).send().await.unwrap().status(), 403, "git's token cannot touch pull requests");
    assert!(!format!("{writer:?}").contains(writer.expose()), "a token is never printed");
}

#[tokio::test]
async fn a_token_is_kept_until_five_minutes_before_its_end() {
    let fixture = Fixture::start().await;
    let token = async || fixture.github.installation_token(&shop(), Access::Read).await.unwrap().expose().to_owned();
    let repo = shop();
    let (first, second, third) = tokio::join!(token(), token(), fixture.github.installation_token(&repo, Access::Read));
    assert!(first == second && third.unwrap().expose() == first);
    assert_eq!(fixture.asked("POST", "/access_tokens"), 1, "callers at the same time make one request");
    fixture.clock.advance(Duration::from_secs(54 * 60));
    assert_eq!(token().await, first);
    fixture.clock.advance(Duration::from_secs(2 * 60));
    assert_ne!(token().await, first);
}

#[tokio::test]
async fn a_revoked_token_is_replaced() {
    let fixture = Fixture::start().await;
    let token = fixture.github.installation_token(&shop(), Access::Read).await.unwrap();
    fixture.emulator.revoke_token(token.expose());
    assert_eq!(fixture.github.repository(&shop()).await.unwrap().default_branch, "main");
}

#[tokio::test]
async fn a_repository_out_of_reach_is_not_found() {
    let fixture = Fixture::start().await;
    let gone = RepoName::parse("acme/gone").unwrap();
    let error = fixture.github.repository(&gone).await.unwrap_err();
    assert_eq!(error.to_string(), "acme/gone (with the App installed on it) is not on GitHub, or may not be seen with this access");
    fixture.emulator.install_app("acme", Repositories::Selected(vec!["other".to_owned()]));
    assert!(matches!(fixture.github.installation_token(&shop(), Access::Read).await, Err(GitHubError::NotFound { .. })));
}

#[tokio::test]
async fn branches_and_people() {
    let fixture = Fixture::start().await;
    let head = fixture.github.branch_head(&shop(), "longshore/s-1").await.unwrap().unwrap();
    assert_eq!(Some(head.to_string()), fixture.emulator.branch_head("acme/shop", "longshore/s-1").await.unwrap());
    assert_eq!(fixture.github.branch_head(&shop(), "longshore/s-2").await.unwrap(), None);
    assert!(fixture.github.branch_head(&RepoName::parse("acme/gone").unwrap(), "main").await.is_err());
    for (login, expected) in [("ada", Permission::Write), ("mallory", Permission::None), ("nobody", Permission::None)] {
        assert_eq!(fixture.github.permission(&shop(), login).await.unwrap(), expected, "{login}");
    }
}

#[tokio::test]
async fn a_pull_request_is_opened_once_in_the_asker_s_name() {
    let fixture = Fixture::start().await;
    let first = fixture.github.ensure_pull_request(&fixture.draft(), &fixture.as_ada()).await.unwrap();
    assert_eq!((first.number, first.created, first.state), (1, Created::New, PullRequestState::Open));
    assert_eq!(first.url, format!("{}/acme/shop/pull/1", fixture.emulator.web_url));
    let other_words = PullRequestDraft { title: "Other words".to_owned(), ..fixture.draft() };
    let second = fixture.github.ensure_pull_request(&other_words, &As::App).await.unwrap();
    assert_eq!((second.number, second.created), (1, Created::Existing));
    let all = fixture.emulator.pull_requests("acme/shop");
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].author.as_str(), all[0].title.as_str()), ("ada", "Charge once"));

    fixture.github.update_pull_request_body(&shop(), 1, "More was done.", &fixture.as_ada()).await.unwrap();
    assert_eq!(fixture.emulator.pull_requests("acme/shop")[0].body, "More was done.");
    let stat = fixture.github.pull_request_diff_stat(&shop(), 1).await.unwrap();
    assert_eq!((stat.files, stat.additions, stat.deletions, stat.commits), (1, 1, 1, 1));
    fixture.emulator.merge_pull_request("acme/shop", 1, "ada").await.unwrap();
    assert_eq!(fixture.github.pull_request(&shop(), 1).await.unwrap().state, PullRequestState::Merged);
}

#[tokio::test]
async fn without_a_linked_account_the_app_opens_a_draft() {
    let fixture = Fixture::start().await;
    let draft = PullRequestDraft { readiness: Readiness::Draft, ..fixture.draft() };
    let opened = fixture.github.ensure_pull_request(&draft, &As::App).await.unwrap();
    assert_eq!(opened.readiness, Readiness::Draft);
    assert_eq!(fixture.emulator.pull_requests("acme/shop")[0].author, "longshore[bot]");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_pull_request() {
    let fixture = Fixture::start().await;
    fixture.emulator.fail_next(Route::CreatePull, Fault::AnswerLost);
    let opened = fixture.github.ensure_pull_request(&fixture.draft(), &fixture.as_ada()).await.unwrap();
    assert_eq!((opened.number, opened.created), (1, Created::New));
    assert_eq!(fixture.emulator.pull_requests("acme/shop").len(), 1);
    assert_eq!(fixture.asked("POST", "/pulls"), 1, "a write is never repeated");
}

#[tokio::test]
async fn a_pull_request_that_github_did_not_open_is_tried_again_and_then_reported() {
    let fixture = Fixture::start().await;
    fixture.emulator.fail_next(Route::CreatePull, Fault::Status(502));
    fixture.emulator.fail_next(Route::CreatePull, Fault::SecondaryRateLimit(1));
    let opened = fixture.github.ensure_pull_request(&fixture.draft(), &fixture.as_ada()).await.unwrap();
    assert_eq!((opened.number, fixture.asked("POST", "/pulls")), (1, 3));

    let other = PullRequestDraft { head: "other".to_owned(), ..fixture.draft() };
    let limit = Duration::from_secs(40);
    fixture.emulator.fail_next(Route::CreatePull, Fault::SecondaryRateLimit(limit.as_secs()));
    let error = fixture.github.ensure_pull_request(&other, &fixture.as_ada()).await.unwrap_err();
    assert_eq!(error, GitHubError::RateLimited { retry_after: limit });
    assert_eq!(fixture.asked("POST", "/pulls"), 4, "a long limit is not run against");

    let outage = fixture.emulator.fail_all(Route::CreatePull, Fault::Status(502));
    let error = fixture.github.ensure_pull_request(&other, &fixture.as_ada()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unavailable { .. }), "{error}");
    drop(outage);
    assert_eq!(fixture.emulator.pull_requests("acme/shop").len(), 1);
}

/// Many ask at once: all look first, one creates, the rest hear that it exists.
#[tokio::test]
async fn a_race_ends_with_one_pull_request() {
    let fixture = Fixture::start().await;
    let (draft, by) = (fixture.draft(), fixture.as_ada());
    let ensure = || fixture.github.ensure_pull_request(&draft, &by);
    let (a, b, c, d) = tokio::join!(ensure(), ensure(), ensure(), ensure());
    let all = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap()];
    assert!(all.iter().all(|pull| pull.number == 1));
    assert_eq!(all.iter().filter(|pull| pull.created == Created::New).count(), 1);
    assert_eq!(fixture.emulator.pull_requests("acme/shop").len(), 1);
}

#[tokio::test]
async fn what_was_pushed_by_mistake_is_taken_back_once() {
    let fixture = Fixture::start().await;
    let (github, branch) = (&fixture.github, "longshore/s-1");
    assert_eq!(github.open_pull_request_of(&shop(), branch, "main").await.unwrap(), None);
    let pull = github.ensure_pull_request(&fixture.draft(), &As::App).await.unwrap();
    let found = github.open_pull_request_of(&shop(), branch, "main").await.unwrap().unwrap();
    assert_eq!(found.number, pull.number);
    github.close_pull_request(&shop(), pull.number, "This belongs elsewhere.").await.unwrap();
    assert_eq!(github.pull_request(&shop(), pull.number).await.unwrap().state, PullRequestState::Closed);
    assert_eq!(github.touched(&shop(), pull.number).await.unwrap(), Touched::ByNobody, "its own comment is nobody's");
    assert_eq!(github.open_pull_request_of(&shop(), branch, "main").await.unwrap(), None);

    let base = github.branch_head(&shop(), "main").await.unwrap().unwrap();
    let moved_on = github.delete_branch(&shop(), branch, &base).await.unwrap_err();
    assert!(moved_on.to_string().contains("moved on"), "{moved_on}");
    for _ in 0..2 {
        github.delete_branch(&shop(), branch, &pull.head).await.unwrap();
        assert_eq!(github.branch_head(&shop(), branch).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_comment_or_a_review_of_a_person_is_seen() {
    let fixture = Fixture::start().await;
    let pull = fixture.github.ensure_pull_request(&fixture.draft(), &As::App).await.unwrap();
    assert_eq!(fixture.github.touched(&shop(), pull.number).await.unwrap(), Touched::ByNobody);
    let said = client().post(format!("{}/repos/acme/shop/issues/{}/comments", fixture.emulator.api_url, pull.number));
    said.bearer_auth(&fixture.ada).body(r#"{"body":"I need this."}"#).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(fixture.github.touched(&shop(), pull.number).await.unwrap(), Touched::ByPeople);

    fixture.push("longshore/s-2").await;
    let second = PullRequestDraft { head: "longshore/s-2".to_owned(), ..fixture.draft() };
    let second = fixture.github.ensure_pull_request(&second, &As::App).await.unwrap();
    let review = client().post(format!("{}/repos/acme/shop/pulls/{}/reviews", fixture.emulator.api_url, second.number));
    review.bearer_auth(&fixture.ada).body(r#"{"event":"COMMENT","body":"Hm."}"#).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(fixture.github.touched(&shop(), second.number).await.unwrap(), Touched::ByPeople);
}

#[tokio::test]
async fn what_github_declines_says_why() {
    let fixture = Fixture::start().await;
    let nothing_done = PullRequestDraft { head: "main".to_owned(), ..fixture.draft() };
    let error = fixture.github.ensure_pull_request(&nothing_done, &fixture.as_ada()).await.unwrap_err();
    assert_eq!(error.to_string(), "GitHub declined (422): Validation Failed: No commits between main and main");
    let stranger = As::User(SecretString::from("ghu_expired".to_owned()));
    let error = fixture.github.ensure_pull_request(&fixture.draft(), &stranger).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unauthenticated { .. }), "{error}");
}

#[tokio::test]
async fn reads_are_repeated_and_limits_are_reported() {
    let fixture = Fixture::start().await;
    fixture.emulator.fail_next(Route::Repository, Fault::Status(503));
    fixture.emulator.fail_next(Route::Repository, Fault::AnswerLost);
    assert_eq!(fixture.github.repository(&shop()).await.unwrap().default_branch, "main");
    assert_eq!(fixture.asked("GET", "/repos/acme/shop"), 3);
    fixture.emulator.fail_next(Route::Repository, Fault::SecondaryRateLimit(30));
    let error = fixture.github.repository(&shop()).await.unwrap_err();
    assert_eq!(error, GitHubError::RateLimited { retry_after: Duration::from_secs(30) });
    assert_eq!(fixture.asked("GET", "/repos/acme/shop"), 4, "a limit is not run against");
}

#[tokio::test]
async fn a_silent_github_costs_no_more_than_the_time_limit() {
    let fixture = Fixture::start().await;
    let config = GitHubConfig { timeout: Duration::from_millis(100), ..config(&fixture.emulator) };
    let impatient = GitHub::new(config, Arc::new(SystemClock)).unwrap();
    let _outage = fixture.emulator.fail_all(Route::CreateInstallationToken, Fault::Slow(Duration::from_secs(60)));
    let error = impatient.installation_token(&shop(), Access::Read).await.unwrap_err();
    assert_eq!(error, GitHubError::Unavailable { reason: "no answer within 0.1 s".to_owned() });
}

#[tokio::test]
async fn a_wrong_configuration_is_named() {
    let fixture = Fixture::start().await;
    let new = |config: GitHubConfig| GitHub::new(config, Arc::new(SystemClock)).unwrap_err();
    let good = config(&fixture.emulator);
    assert_eq!(new(GitHubConfig { app_id: 0, ..good.clone() }), ConfigError::AppId);
    let not_a_key = new(GitHubConfig { private_key: SecretString::from("hello"), ..good.clone() }).to_string();
    assert!(not_a_key.contains("private key cannot be read") && not_a_key.contains(".pem"), "{not_a_key}");
    let broken = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let broken = new(GitHubConfig { private_key: SecretString::from(broken), ..good.clone() });
    assert!(matches!(broken, ConfigError::PrivateKey(_)), "{broken}");
    let url = new(GitHubConfig { api_url: "ftp://x/".parse().unwrap(), ..good });
    assert_eq!(url.to_string(), "github.api_url: `ftp://x/` is no http(s) address");
}

fn wrong(findings: &[Finding]) -> Vec<String> {
    let text = |finding: &Finding| match &finding.verdict {
        Verdict::Good => None,
        Verdict::Wrong { remedy } => Some(format!("{} -> {remedy}", finding.what)),
    };
    findings.iter().filter_map(text).collect()
}

#[tokio::test]
async fn the_check_is_content_with_a_good_set_up() {
    let fixture = Fixture::start().await;
    let findings = fixture.github.check(&[shop()]).await;
    assert_eq!(wrong(&findings), Vec::<String>::new());
    assert!(findings.iter().any(|finding| finding.what == "installed for acme, on 2 repositories"), "{findings:?}");
}

#[tokio::test]
async fn the_check_says_what_is_missing_and_where_to_mend_it() {
    let fixture = Fixture::start().await;
    let permissions = Permissions::from([("metadata".to_owned(), Level::Read), ("contents".to_owned(), Level::Read)]);
    fixture.emulator.install_app_with("acme", Repositories::Selected(vec!["other".to_owned()]), permissions);
    let found = wrong(&fixture.github.check(&[shop()]).await);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("contents: write") && found[0].contains("pull_requests: write") && found[0].contains("accept"), "{found:?}");
    assert!(found[1].contains("acme/shop has a manifest, but the App is not installed on it"), "{found:?}");

    let config = GitHubConfig { app_id: 99, ..config(&fixture.emulator) };
    let stranger = GitHub::new(config, Arc::new(SystemClock)).unwrap();
    let found = wrong(&stranger.check(&[]).await);
    assert!(found.len() == 1 && found[0].contains("github.app_id (99)"), "{found:?}");
    let nobody = GitHubConfig { api_url: "http://127.0.0.1:1".parse().unwrap(), ..self::config(&fixture.emulator) };
    let found = wrong(&GitHub::new(nobody, Arc::new(SystemClock)).unwrap().check(&[]).await);
    assert!(found.len() == 1 && found[0].contains("cannot be reached"), "{found:?}");
}

#[tokio::test]
async fn webhooks_are_verified_and_read() {
    use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
    let (sender, mut taken) = tokio::sync::mpsc::channel::<(HeaderMap, Bytes)>(32);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let take = |State(sender): State<tokio::sync::mpsc::Sender<(HeaderMap, Bytes)>>, headers: HeaderMap, body: Bytes| async move {
        sender.send((headers, body)).await.unwrap();
    };
    let router = Router::new().route("/hook", post(take)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let secret = SecretString::from("s3cret");
    let webhook = Some(WebhookTarget { url, secret: "s3cret".to_owned() });
    let fixture = Fixture::start_with(GitHubSetup { webhook, ..GitHubSetup::default() }).await;

    fixture.github.ensure_pull_request(&fixture.draft(), &As::App).await.unwrap();
    let review = client().post(format!("{}/repos/acme/shop/pulls/1/reviews", fixture.emulator.api_url));
    review.bearer_auth(&fixture.ada).body(r#"{"event":"REQUEST_CHANGES","body":"Hm."}"#).send().await.unwrap().error_for_status().unwrap();
    fixture.emulator.merge_pull_request("acme/shop", 1, "ada").await.unwrap();
    fixture.emulator.deliveries_settled().await;

    let mut actions = Vec::new();
    while let Ok((headers, body)) = taken.try_recv() {
        let forged = SecretString::from("other");
        assert!(verify_and_parse(&headers, &body, &forged).is_err());
        if let WebhookEvent::PullRequest(event) = verify_and_parse(&headers, &body, &secret).unwrap().event {
            assert_eq!((event.repo, event.number, event.head_branch.as_str()), (shop(), 1, "longshore/s-1"));
            actions.push((event.sender, event.action));
        }
    }
    assert_eq!(actions.len(), 3, "{actions:?}");
    assert_eq!(actions[0], ("longshore[bot]".to_owned(), PullRequestAction::Opened));
    assert!(matches!(actions[1].1, PullRequestAction::Reviewed { verdict: ReviewVerdict::ChangesRequested, .. }), "{actions:?}");
    assert_eq!(actions[2], ("ada".to_owned(), PullRequestAction::Merged));
}
