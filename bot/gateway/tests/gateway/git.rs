use std::path::PathBuf;

use longshore_gateway::{Access, CredentialError};

use crate::world::{BRANCH, GitHost, INSTALLATION_TOKEN, World, client, command, git_host, repo, run, sh, world};

/// A sandbox's view: github.com, rewritten to the gateway by configuration that comes through the environment.
struct Sandbox {
    world: World,
    host: GitHost,
    folder: tempfile::TempDir,
}

struct Said {
    ok: bool,
    text: String,
}

impl Sandbox {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut longshore_gateway::GatewayConfig)) -> Self {
        let host = git_host().await;
        let world = world(|config| {
            config.git = host.upstream();
            change(config);
        })
        .await;
        Self { world, host, folder: tempfile::tempdir().unwrap() }
    }

    async fn cloned() -> Self {
        let sandbox = Self::start().await;
        let said = sandbox.git("clone -q https://github.com/acme/shop.git shop").await;
        assert!(said.ok, "{}", said.text);
        sandbox.commit("two").await;
        sandbox
    }

    fn checkout(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    async fn commit(&self, text: &str) {
        sh(&self.checkout(), &format!("echo {text} >file && git commit -qam {text}")).await;
    }

    async fn git(&self, arguments: &str) -> Said {
        let folder = if self.checkout().exists() { self.checkout() } else { self.folder.path().to_owned() };
        let output = run(command("git")
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", format!("url.{}.insteadOf", self.world.url("/git/")))
            .env("GIT_CONFIG_VALUE_0", "https://github.com/")
            .env("GIT_CONFIG_KEY_1", format!("http.{}.extraHeader", self.world.url("/")))
            .env("GIT_CONFIG_VALUE_1", format!("Authorization: Bearer {}", self.world.token.expose())))
        .await;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains(INSTALLATION_TOKEN), "{text}");
        Said { ok: output.status.success(), text }
    }
}

#[tokio::test]
async fn a_sandbox_fetches_its_repository() {
    let sandbox = Sandbox::cloned().await;
    assert!(sandbox.git("fetch --depth 1 origin main").await.ok);
    assert_eq!(sandbox.world.credentials.asked.lock().unwrap()[0], (repo("acme/shop"), Access::Read));
    let log = sandbox.host.log.lock().unwrap();
    assert!(
        log.iter().any(|seen| seen.headers.get("git-protocol").is_some_and(|value| value == "version=2")),
        "the protocol's version is passed on"
    );
    for seen in log.iter() {
        assert!(!format!("{seen:?}").contains(sandbox.world.token.expose()), "the sandbox's token stays behind");
    }
}

#[tokio::test]
async fn the_password_of_basic_credentials_is_the_token_too() {
    let sandbox = Sandbox::start().await;
    let url = sandbox.world.url("/git/acme/shop.git").replace("http://", &format!("http://x:{}@", sandbox.world.token.expose()));
    let said = sandbox.git(&format!("-c http.extraHeader= ls-remote {url}")).await;
    assert!(said.ok && said.text.contains("refs/heads/main"), "{}", said.text);
}

#[tokio::test]
async fn another_repository_is_refused_with_the_reason() {
    let sandbox = Sandbox::start().await;
    let said = sandbox.git("clone https://github.com/acme/secret.git").await;
    assert!(!said.ok);
    assert!(said.text.contains("remote: longshore: this sandbox may not fetch acme/secret; it may fetch acme/shop"), "{}", said.text);
    assert_eq!(sandbox.host.log.lock().unwrap().len(), 0, "nothing was asked upstream");
}

#[tokio::test]
async fn a_sandbox_pushes_its_own_branch() {
    let sandbox = Sandbox::cloned().await;
    let said = sandbox.git(&format!("push origin HEAD:{BRANCH}")).await;
    assert!(said.ok, "{}", said.text);
    assert!(sandbox.host.refs("acme/shop").await.contains(&format!("refs/heads/{BRANCH}")));
    assert!(sandbox.world.credentials.asked.lock().unwrap().contains(&(repo("acme/shop"), Access::Write)));
    // Rewriting its own branch is its own affair.
    sh(&sandbox.checkout(), "git commit -q --amend -m again").await;
    let said = sandbox.git(&format!("push --force origin HEAD:{BRANCH}")).await;
    assert!(said.ok, "{}", said.text);
}

#[tokio::test]
async fn a_push_longer_than_git_s_buffer_is_streamed() {
    let sandbox = Sandbox::cloned().await;
    sh(&sandbox.checkout(), "head -c 3000000 /dev/urandom >big && git add big && git commit -qm big").await;
    let said = sandbox.git(&format!("push origin HEAD:{BRANCH}")).await;
    assert!(said.ok, "{}", said.text);
    assert!(sandbox.host.refs("acme/shop").await.contains(BRANCH));
}

#[tokio::test]
async fn whatever_is_not_the_own_branch_is_refused_with_the_reason() {
    let sandbox = Sandbox::cloned().await;
    assert!(sandbox.git(&format!("push origin HEAD:{BRANCH}")).await.ok);
    sandbox.commit("three").await;
    let before = sandbox.host.refs("acme/shop").await;
    let pushes = || sandbox.host.log.lock().unwrap().iter().filter(|seen| seen.uri.path().ends_with("/git-receive-pack")).count();
    let sent = pushes();
    let cases = [
        ("HEAD:main".to_owned(), format!("HEAD -> main (longshore: this session pushes to {BRANCH} only)")),
        ("HEAD:refs/tags/v2".to_owned(), "(longshore: tags are not pushed from a sandbox)".to_owned()),
        (format!(":{BRANCH}"), "(longshore: refs are not deleted from a sandbox)".to_owned()),
        ("HEAD:refs/pull/1/head".to_owned(), "(longshore: this session pushes to".to_owned()),
        (format!("HEAD:{BRANCH}-2"), "(longshore: this session pushes to".to_owned()),
        // One refused ref refuses the push, also where it is not the first.
        (format!("HEAD:{BRANCH} HEAD:main"), "(longshore: not pushed, since another ref was refused)".to_owned()),
    ];
    for (refs, reason) in cases {
        let said = sandbox.git(&format!("push --force origin {refs}")).await;
        assert!(!said.ok, "{refs}");
        assert!(said.text.contains("[remote rejected]") && said.text.contains(&reason), "{refs}: {}", said.text);
        assert!(said.text.contains(&format!("remote: longshore:   git push origin HEAD:{BRANCH}")), "{refs}: {}", said.text);
    }
    assert_eq!(pushes(), sent, "nothing was sent upstream");
    assert_eq!(sandbox.host.refs("acme/shop").await, before);
}

#[tokio::test]
async fn another_repository_is_not_pushed_to_and_without_a_rule_none_is() {
    let sandbox = Sandbox::cloned().await;
    sandbox.world.change(|pass| pass.fetch.push(repo("acme/secret")));
    let said = sandbox.git(&format!("push https://github.com/acme/secret.git HEAD:{BRANCH}")).await;
    assert!(!said.ok);
    let reason = format!("remote: longshore: this sandbox may not push to acme/secret; it may push the branch {BRANCH} of acme/shop");
    assert!(said.text.contains(&reason), "{}", said.text);

    sandbox.world.change(|pass| pass.push = None);
    let said = sandbox.git(&format!("push origin HEAD:{BRANCH}")).await;
    assert!(!said.ok && said.text.contains("it may push nothing"), "{}", said.text);
}

#[tokio::test]
async fn a_push_that_is_too_large_is_refused_with_the_reason() {
    let sandbox = Sandbox::with(|config| config.limits.push = 2 * 1024 * 1024).await;
    assert!(sandbox.git("clone -q https://github.com/acme/shop.git shop").await.ok);
    sh(&sandbox.checkout(), "head -c 3000000 /dev/urandom >big && git add big && git commit -qm big").await;
    let said = sandbox.git(&format!("push origin HEAD:{BRANCH}")).await;
    assert!(!said.ok && said.text.contains("longshore: the push is larger than 2 MiB"), "{}", said.text);
    assert!(!sandbox.host.refs("acme/shop").await.contains(BRANCH));
}

#[tokio::test]
async fn a_zipped_push_is_judged_like_any_other() {
    use std::io::Write as _;
    let sandbox = Sandbox::start().await;
    let zeros = "0".repeat(40);
    let line = format!("{zeros} {} refs/heads/main\0 report-status", "1".repeat(40));
    let plain = format!("{:04x}{line}0000", line.len() + 4);
    let zip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let push = |body: Vec<u8>, encoding: &'static str| {
        let request = sandbox.world.post("/git/acme/shop.git/git-receive-pack").header("content-encoding", encoding);
        async move {
            let answer = request.body(body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let (status, text) = push(zip(&plain), "gzip").await;
    assert_eq!(status, 200);
    assert!(text.contains("unpack ok\n") && text.contains("ng refs/heads/main longshore: this session pushes to"), "{text}");
    assert_eq!(push(plain.clone().into_bytes(), "gzip").await.0, 400);
    assert_eq!(push(plain.clone().into_bytes(), "br").await.0, 415);
    assert_eq!(push(plain.into_bytes()[..20].to_vec(), "identity").await.0, 400);
    assert_eq!(push(b"001dpush-cert\0push-cert=nonce0000".to_vec(), "identity").await.0, 403);
    // The probe before a long push.
    assert_eq!(push(b"0000".to_vec(), "identity").await, (200, String::new()));
    assert_eq!(sandbox.host.log.lock().unwrap().len(), 0, "nothing was sent upstream");
}

#[tokio::test]
async fn who_shows_no_valid_token_is_asked_for_one() {
    let sandbox = Sandbox::start().await;
    let url = sandbox.world.url("/git/acme/shop.git/info/refs?service=git-upload-pack");
    let answer = client().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    assert_eq!(client().get(&url).bearer_auth("lsx_wrong").send().await.unwrap().status(), 401);
    assert_eq!(client().get(&url).bearer_auth(sandbox.world.token.expose()).send().await.unwrap().status(), 200);
    sandbox.world.passes.bind(&sandbox.world.sandbox, "127.0.0.2".parse().unwrap());
    let said = sandbox.git("ls-remote https://github.com/acme/shop.git").await;
    assert!(!said.ok, "the token is of no use from another address");
    sandbox.world.passes.bind(&sandbox.world.sandbox, "127.0.0.1".parse().unwrap());
    assert!(sandbox.git("ls-remote https://github.com/acme/shop.git").await.ok);
    sandbox.world.passes.revoke(&sandbox.world.sandbox);
    assert!(!sandbox.git("ls-remote https://github.com/acme/shop.git").await.ok, "a revoked token opens nothing");
}

#[tokio::test]
async fn what_goes_wrong_behind_the_gateway_is_said_in_words() {
    let sandbox = Sandbox::start().await;
    let listing = "ls-remote https://github.com/acme/shop.git";
    *sandbox.world.credentials.failure.lock().unwrap() =
        Some(CredentialError::Denied("the GitHub App is not installed on acme/shop".to_owned()));
    assert!(sandbox.git(listing).await.text.contains("remote: longshore: the GitHub App is not installed on acme/shop"));
    *sandbox.world.credentials.failure.lock().unwrap() = None;
    sandbox.world.change(|pass| pass.fetch.push(repo("acme/gone")));
    let said = sandbox.git("ls-remote https://github.com/acme/gone.git").await;
    assert!(said.text.contains("remote: longshore: acme/gone is not there"), "{}", said.text);

    let nowhere = world(|_| ()).await;
    let answer = client()
        .get(nowhere.url("/git/acme/shop.git/info/refs?service=git-upload-pack"))
        .bearer_auth(nowhere.token.expose())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
    assert!(answer.text().await.unwrap().contains("cannot be reached"));
}

#[tokio::test]
async fn only_the_smart_protocol_is_served() {
    let sandbox = Sandbox::start().await;
    for path in [
        "/git/acme/shop.git/info/refs",
        "/git/acme/shop.git/HEAD",
        "/git/acme/shop.git/info/lfs/locks",
        "/git/acme/shop.git/../secret.git/HEAD",
    ] {
        let answer = client().get(sandbox.world.url(path)).bearer_auth(sandbox.world.token.expose()).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
    }
    let encoded = sandbox.world.url("/git/acme/..%2Facme%2Fsecret.git/info/refs?service=git-upload-pack");
    assert_eq!(client().get(encoded).bearer_auth(sandbox.world.token.expose()).send().await.unwrap().status(), 404);
    assert_eq!(sandbox.host.log.lock().unwrap().len(), 0);
}
