//! Images, built from a real repository over HTTP and pushed to a real registry.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use longshore_sandbox::{
    Bound, Bounds, BuildError, BuildOutcome, BuildStep, BuiltImage, CommitSha, Engine, EngineError, Exec, ExecEnd, GATEWAY_HOST,
    ImageBuild, ImageBuilder, ImageConfig, ImageRef, Process, Progress, Rebuild, RegistryConfig, Sandbox, TagMark, Trial, TrialSandbox,
};
use longshore_session::{RepositoryManifest, SandboxId};

use crate::fixture::{Fixture, GATEWAY_PORT, SECRET, base, docker, with_engine};

pub fn registry() -> String {
    format!("127.0.0.1:{}", std::env::var("LONGSHORE_REGISTRY_PORT").unwrap_or_else(|_| "5055".to_owned()))
}

pub fn mark() -> TagMark {
    TagMark::of(b"these tests")
}

/// What the registry says of a path.
fn ask_registry(path: &str) -> String {
    let output = Command::new("curl").args(["--silent", "--show-error", &format!("http://{}{path}", registry())]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A repository that plain HTTP serves at the gateway's place.
pub struct Origin {
    work: PathBuf,
    bare: PathBuf,
    server: Child,
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(identity).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Origin {
    pub async fn serve(fixture: &Fixture) -> Self {
        let root = fixture.folder.path().join("www");
        let (bare, work) = (root.join("git/acme/shop.git"), fixture.folder.path().join("work"));
        std::fs::create_dir_all(&bare).unwrap();
        std::fs::create_dir_all(&work).unwrap();
        git(&bare, &["init", "--quiet", "--bare"]);
        git(&work, &["init", "--quiet"]);
        let address = fixture.engine.gateway_address();
        let server = Command::new("python3")
            .args(["-m", "http.server", "--bind", &address.to_string(), &GATEWAY_PORT.to_string()])
            .current_dir(&root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut origin = Self { work, bare, server };
        for _ in 0..200 {
            // Somebody else may have the address.
            assert!(origin.server.try_wait().unwrap().is_none(), "the repository's server ended");
            if tokio::net::TcpStream::connect((address, GATEWAY_PORT)).await.is_ok() {
                return origin;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the repository's server does not answer");
    }

    pub fn commit(&self, file: &str, content: &str) -> CommitSha {
        let path = self.work.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        git(&self.work, &["add", "--all"]);
        git(&self.work, &["commit", "--quiet", "-m", "change"]);
        git(&self.work, &["push", "--quiet", self.bare.to_str().unwrap(), "HEAD:main"]);
        git(&self.bare, &["update-server-info"]);
        CommitSha::parse(git(&self.work, &["rev-parse", "HEAD"])).unwrap()
    }
}

pub fn manifest(image: &str) -> RepositoryManifest {
    let text = format!("repository = \"acme/shop\"\ndescription = \"The shop.\"\n[limits]\nmemory_mb = 512\n[image]\n{image}");
    RepositoryManifest::parse(Path::new("shop.toml"), &text).unwrap()
}

pub fn request(fixture: &Fixture, manifest: &RepositoryManifest, commit: &CommitSha, rebuild: Rebuild) -> ImageBuild {
    let git = [
        ("GIT_CONFIG_COUNT", "1".to_owned()),
        ("GIT_CONFIG_KEY_0", format!("url.http://{GATEWAY_HOST}:{GATEWAY_PORT}/git/.insteadOf")),
        ("GIT_CONFIG_VALUE_0", "https://github.com/".to_owned()),
        ("LONGSHORE_TOKEN", SECRET.to_owned()),
    ];
    ImageBuild {
        sandbox: SandboxId::random(),
        manifest: manifest.clone(),
        commit: commit.clone(),
        rebuild,
        environment: git.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        log: fixture.folder.path().join("logs/build.log"),
        bounds: Bounds::default(),
        progress: Progress::default(),
        address: None,
    }
}

/// Nobody here knows an agent: it answers as soon as it runs, or not at all.
pub struct Idle {
    answer: Result<(), String>,
}

pub const ANSWERS: Idle = Idle { answer: Ok(()) };

#[async_trait::async_trait]
impl Trial for Idle {
    fn sandbox(&self) -> TrialSandbox {
        TrialSandbox { id: SandboxId::random(), process: Process::Idle, environment: vec![("TRIED".to_owned(), "1".to_owned())] }
    }

    async fn answers(&self, _: &Sandbox) -> Result<(), String> {
        self.answer.clone()
    }

    fn over(&self, _: &SandboxId) {}
}

fn builder(fixture: &Fixture) -> ImageBuilder {
    ImageBuilder::new(fixture.engine.clone(), ImageConfig { registry: RegistryConfig::at(registry()), base: base() }, mark())
}

pub fn built(outcome: BuildOutcome) -> BuiltImage {
    match outcome {
        BuildOutcome::Built(image) => image,
        BuildOutcome::Unchanged { .. } => panic!("nothing was built"),
    }
}

#[test]
fn an_image_is_built_once_for_the_same_inputs_and_from_the_last_one_for_new_ones() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        let first = origin.commit("README.md", "# Checkout\nCharges cards.\n");
        let recipe = manifest(
            "setup_root = [\"echo tool >/usr/local/bin/tool\", \"chown 33:33 /usr/local/bin/tool\"]\n\
             setup = [\"date +%s%N >dependencies\", \"echo changed >>README.md\"]\nwarm = [\"echo warm >~/cache\"]\ncheck = \"test -e dependencies\"\n",
        );
        let builder = builder(&fixture);
        let (told, address) = tokio::sync::oneshot::channel();
        let mut build = request(&fixture, &recipe, &first, Rebuild::Full);
        build.address = Some(told);
        let image = built(builder.build(build, &ANSWERS).await.unwrap());
        assert!(address.await.unwrap().is_ipv4());
        assert!(
            image.reference.as_str().starts_with(&format!("{}/{}/acme-shop@sha256:", registry(), fixture.namespace)),
            "{}",
            image.reference
        );
        assert!(image.vocabulary.contains(&"checkout".to_owned()), "{:?}", image.vocabulary);
        let steps: Vec<BuildStep> = image.timings.iter().map(|timing| timing.step).collect();
        assert!(steps.contains(&BuildStep::SetupRoot) && steps.contains(&BuildStep::Push));
        assert_eq!(fixture.engine.list(None).await.unwrap(), [], "no container is left");

        // A session's sandbox has the checkout, what was installed, a plain origin, a clean tree, and no secret.
        let mut start = fixture.request(&SandboxId::random());
        start.image = image.reference.clone();
        start.environment.clear();
        let sandbox = fixture.engine.start(start.clone()).await.unwrap();
        let line = "git rev-parse HEAD; git branch --show-current; git status --porcelain; git remote get-url origin; cat ~/cache /usr/local/bin/tool; stat -c %u /usr/local/bin/tool; grep -c . README.md";
        assert_eq!(fixture.text(&sandbox.id, line).await, format!("{first}\nmain\nhttps://github.com/acme/shop.git\nwarm\ntool\n33\n2"),);
        let dependencies = fixture.text(&sandbox.id, "cat dependencies").await;
        let inspected =
            docker(&["image", "inspect", image.reference.as_str()]) + &docker(&["history", "--no-trunc", image.reference.as_str()]);
        assert!(!inspected.contains(SECRET) && !inspected.contains("GIT_CONFIG"), "{inspected}");
        let search = Exec::shell(format!("grep -rlF '{}' /etc /home /opt /usr/local /var /workspace /root 2>/dev/null", SECRET));
        assert_eq!(fixture.engine.exec(&sandbox.id, search).await.unwrap().stdout_text(), "");
        fixture.engine.remove(&sandbox.id).await.unwrap();

        let again = builder.build(request(&fixture, &recipe, &first, Rebuild::From(image.reference.clone())), &ANSWERS).await.unwrap();
        assert!(matches!(again, BuildOutcome::Unchanged { ref reference, .. } if *reference == image.reference), "{again:?}");

        // The engine loses it; the registry gives it back.
        docker(&["image", "rm", "--force", image.reference.as_str(), image.tagged.as_str()]);
        assert!(!fixture.image_exists(image.reference.as_str()));
        let sandbox = fixture.engine.start(start).await.unwrap();
        assert_eq!(fixture.text(&sandbox.id, "cat dependencies").await, dependencies);

        let second = origin.commit("src/refund.rs", "fn refund() {}\n");
        let next =
            built(builder.build(request(&fixture, &recipe, &second, Rebuild::From(image.reference.clone())), &ANSWERS).await.unwrap());
        assert!(!next.timings.iter().any(|timing| timing.step == BuildStep::SetupRoot), "it goes on from the last one");
        assert_eq!(next.layers, image.layers + 1);
        assert_ne!(next.input_hash, image.input_hash);
        assert!(next.vocabulary.contains(&"refund".to_owned()));
        // Another recipe begins anew.
        let other = manifest("setup = [\"true\"]\n");
        let fresh = built(builder.build(request(&fixture, &other, &second, Rebuild::From(next.reference)), &ANSWERS).await.unwrap());
        assert_eq!(fresh.layers, image.layers);
    });
}

/// A service that keeps its data in the image, and notes how it ended.
const STORE: &str = r#"
[[image.services]]
name = "store"
start = "echo $$ >~/store.pid; trap 'echo ended >>~/store; exit' TERM; echo begun >>~/store; while :; do sleep 0.1; done"
ready = "grep -q begun ~/store"
"#;

#[test]
fn services_run_in_the_build_and_in_every_sandbox() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let recipe = format!(
            "setup = [\"test ! -e ~/store\", \"(trap 'echo told >~/daemon; exit' TERM; while :; do sleep 0.1; done) >/dev/null 2>&1 &\"]\n\
             warm = [\"echo warm >>~/store\"]\ncheck = \"kill -0 $(cat ~/store.pid)\"\n{STORE}"
        );
        let builder = builder(&fixture);
        let build = request(&fixture, &manifest(&recipe), &commit, Rebuild::Full);
        let log = build.log.clone();
        let image = built(builder.build(build, &ANSWERS).await.unwrap());
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("still running: bash"), "what setup left running is told: {log}");

        let mut start = fixture.request(&SandboxId::random());
        start.image = image.reference.clone();
        let sandbox = fixture.engine.start(start).await.unwrap();
        let services = "/opt/longshore/services up && /opt/longshore/services status";
        assert_eq!(fixture.text(&sandbox.id, services).await, "store: ready (log: /tmp/longshore-services/store/log)");
        let told = fixture.text(&sandbox.id, "cat ~/store ~/daemon; kill -0 $(cat ~/store.pid) && ps -o ppid= -p $(cat ~/store.pid)").await;
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        assert_eq!(lines, ["begun", "warm", "ended", "begun", "told", "1"], "begun and ended well in the build, begun again here");

        // It goes on in the next build, and is the sandbox's own in each.
        let second = origin.commit("README.md", "# Checkout 2\n");
        let recipe = recipe.replace("test ! -e ~/store", "true");
        let next =
            built(builder.build(request(&fixture, &manifest(&recipe), &second, Rebuild::From(image.reference)), &ANSWERS).await.unwrap());
        assert!(next.timings.iter().any(|timing| timing.step == BuildStep::Services));
    });
}

#[test]
fn a_service_that_does_not_come_up_keeps_no_sandbox_from_starting_and_fails_a_build() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let builder = builder(&fixture);
        let build = async |service: &str| {
            let recipe = manifest(&format!("[[image.services]]\nname = \"db\"\n{service}\n"));
            builder.build(request(&fixture, &recipe, &commit, Rebuild::Full), &ANSWERS).await
        };
        let error = build("start = \"echo no such folder; exit 3\"\nready = \"false\"").await.unwrap_err();
        let words = error.to_string();
        assert!(matches!(&error, BuildError::Step(failure) if failure.step == BuildStep::Services), "{words}");
        assert!(words.contains("the service db ended before it was ready") && words.contains("no such folder"), "{words}");
        let words = build("start = \"sleep 600\"\nready = \"false\"\nready_s = 1").await.unwrap_err().to_string();
        assert!(words.contains("the service db was not ready after 1 s"), "{words}");
        // In a build it comes up; in a sandbox, which has what the build left, it does not.
        let error = build("start = \"test ! -e ~/was && touch ~/was && exec sleep 600\"\nready = \"test -e ~/was\"").await.unwrap_err();
        assert!(
            matches!(&error, BuildError::Step(failure) if failure.step == BuildStep::Boot)
                && error.to_string().contains("the service db ended"),
            "{error}"
        );
        // Where it fails in a session, the sandbox is there all the same.
        let image = built(
            build("start = \"test -z \\\"${BROKEN-}\\\" && touch /tmp/up && exec sleep 600\"\nready = \"test -e /tmp/up\"").await.unwrap(),
        );
        let mut start = fixture.request(&SandboxId::random());
        start.image = image.reference;
        start.environment = vec![("BROKEN".to_owned(), "1".to_owned())];
        let sandbox = fixture.engine.start(start).await.unwrap();
        let status = "/opt/longshore/services up; /opt/longshore/services status; true";
        assert!(fixture.text(&sandbox.id, status).await.contains("db: failed: ended before it was ready"));
        // The sandbox's own start of it may come after ours, and says it as well.
        let told = async {
            while !std::fs::read_to_string(&sandbox.carrier.errors).unwrap().contains("longshore: the service db ended before it was ready")
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is told in `err`");
    });
}

#[test]
fn an_image_that_sessions_could_not_work_in_is_not_pushed() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let builder = builder(&fixture);
        let silent = Idle { answer: Err("its agent does not answer".to_owned()) };
        let error = builder.build(request(&fixture, &manifest(""), &commit, Rebuild::Full), &silent).await.unwrap_err();
        assert!(matches!(&error, BuildError::Boot { reason } if reason == "its agent does not answer"), "{error}");

        // What a build has and a sandbox has not: files in /tmp, a process left behind.
        let recipe = manifest("setup = [\"touch /tmp/here\"]\ncheck = \"ls /tmp/here\"\n");
        let error = builder.build(request(&fixture, &recipe, &commit, Rebuild::Full), &ANSWERS).await.unwrap_err();
        let BuildError::Step(failure) = &error else { panic!("{error}") };
        assert!(
            failure.step == BuildStep::Boot && failure.log_tail.contains("/tmp/here") && failure.suggestion.contains("files in /tmp"),
            "{error}"
        );

        let mut build = request(&fixture, &manifest("setup = [\"head -c 9000000 /dev/urandom >blob\"]\n"), &commit, Rebuild::Full);
        build.bounds.bytes = Some(Bound { before: 2_000_000, most: 4_000_000 });
        let words = builder.build(build, &ANSWERS).await.unwrap_err().to_string();
        assert!(words.contains("the one before 2 MB, and 4 MB is the most") && words.contains("images rebuild"), "{words}");

        let mut build = request(&fixture, &manifest(""), &commit, Rebuild::Full);
        build.bounds.start = Some(Bound { before: Duration::ZERO, most: Duration::from_nanos(1) });
        let log = build.log.clone();
        let error = builder.build(build, &ANSWERS).await.unwrap_err();
        assert!(matches!(error, BuildError::TooSlow { .. }) && error.to_string().contains("images.max_start_ratio"), "{error}");
        let starts = std::fs::read_to_string(log).unwrap().matches("its agent answers after").count();
        assert_eq!(starts, 3, "one slow start is no verdict");

        assert_eq!(fixture.engine.list(None).await.unwrap(), [], "no container is left");
        let filter = format!("label=dev.longshore.image.namespace={}", fixture.namespace);
        assert_eq!(docker(&["image", "ls", "-q", "--filter", &filter]), "", "no image is left");
        let tags = ask_registry(&format!("/v2/{}/acme-shop/tags/list", fixture.namespace));
        assert!(tags.contains("NAME_UNKNOWN"), "nothing was pushed: {tags}");
    });
}

#[test]
fn a_build_that_hangs_or_writes_without_end_is_ended_with_all_that_it_started() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let builder = builder(&fixture);

        // A process in a session of its own, deaf to what is asked of it.
        let hangs = "timeout_s = 8\nsetup = [\"setsid bash -c \\\"trap '' TERM; sleep 60007\\\" & wait\"]\n";
        let build = request(&fixture, &manifest(hangs), &commit, Rebuild::Full);
        let progress = build.progress.clone();
        let error = builder.build(build, &ANSWERS).await.unwrap_err();
        assert!(
            matches!(&error, BuildError::Step(failure) if failure.step == BuildStep::Setup && failure.end == ExecEnd::TimedOut),
            "{error}"
        );
        assert_eq!(progress.steps().last().map(|timing| timing.step), Some(BuildStep::Setup), "how far it came is known");
        let processes = Command::new("pgrep").args(["-f", "sleep 60007"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&processes.stdout), "", "nothing of it runs on");

        let fills = "setup = [\"echo begin; head -c 60000000 /dev/zero >large; sleep 600\"]\n";
        let mut build = request(&fixture, &manifest(fills), &commit, Rebuild::Full);
        build.bounds.written = Some(30_000_000);
        let log = build.log.clone();
        let error = builder.build(build, &ANSWERS).await.unwrap_err();
        assert!(matches!(error, BuildError::WroteTooMuch { step: BuildStep::Setup, written: 60_000_000.., .. }), "{error}");
        assert!(error.to_string().contains("30 MB is the most") && error.to_string().contains("images.build_disk_mb"), "{error}");
        assert!(std::fs::read_to_string(log).unwrap().contains("== ended: it has written"));
        assert_eq!(fixture.engine.list(None).await.unwrap(), [], "no container is left");
    });
}

#[test]
fn a_builds_container_comes_after_those_of_sessions() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let recipe =
            manifest("setup = [\"cat /proc/self/oom_score_adj; until [ -e go ]; do sleep 0.1; done\"]\n[image.limits]\nmemory_mb = 700\n");
        let build = request(&fixture, &recipe, &commit, Rebuild::Full);
        let (id, log, progress) = (build.sandbox.clone(), build.log.clone(), build.progress.clone());
        let builder = builder(&fixture);
        let (outcome, limits) = tokio::join!(builder.build(build, &ANSWERS), async {
            let begun = async {
                while progress.at() != Some(BuildStep::Setup) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(120), begun).await.expect("the build comes to its setup");
            let format = "{{.HostConfig.CpuShares}} {{.HostConfig.Memory}}";
            let limits = docker(&["inspect", "--format", format, &fixture.container(&id)]);
            fixture.run(&id, "touch go").await;
            limits
        });
        built(outcome.unwrap());
        assert_eq!(limits.trim(), format!("256 {}", 700 * 1024 * 1024));
        assert!(std::fs::read_to_string(log).unwrap().contains("\n500\n"), "where memory runs out, it goes first");
    });
}

#[test]
fn a_build_follows_its_branch_wherever_it_was_pushed_and_however_large_it_grew() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        origin.commit("README.md", "# Checkout\n");
        let second = origin.commit("later.txt", "later\n");
        let builder = builder(&fixture);
        let recipe = manifest("check = \"git diff --quiet\"\n");
        let image = built(builder.build(request(&fixture, &recipe, &second, Rebuild::Full), &ANSWERS).await.unwrap());

        // The last commit is taken back, and another put in its place.
        git(&origin.work, &["reset", "--quiet", "--hard", "HEAD~1"]);
        git(&origin.work, &["push", "--quiet", "--force", origin.bare.to_str().unwrap(), "HEAD:main"]);
        let pushed = origin.commit("instead.txt", "instead\n");
        let next = built(builder.build(request(&fixture, &recipe, &pushed, Rebuild::From(image.reference)), &ANSWERS).await.unwrap());
        assert!(!next.timings.iter().any(|timing| timing.step == BuildStep::SetupRoot), "it goes on from the image before");

        for folder in 0..20 {
            let folder = origin.work.join(format!("many/{folder}"));
            std::fs::create_dir_all(&folder).unwrap();
            for file in 0..1_000 {
                std::fs::write(folder.join(format!("{file}.txt")), format!("{file}\n")).unwrap();
            }
        }
        let many = origin.commit("many/last.txt", "last\n");
        let grown = built(builder.build(request(&fixture, &recipe, &many, Rebuild::From(next.reference)), &ANSWERS).await.unwrap());
        let mut start = fixture.request(&SandboxId::random());
        start.image = grown.reference;
        let sandbox = fixture.engine.start(start).await.unwrap();
        let line = "git rev-parse HEAD; git status --porcelain; git ls-files | wc -l; ls";
        assert_eq!(fixture.text(&sandbox.id, line).await, format!("{many}\n20003\nREADME.md\ninstead.txt\nmany"));
    });
}

#[test]
fn a_build_that_fails_says_where_and_why() {
    with_engine(async |fixture| {
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let builder = builder(&fixture);
        let build =
            async |recipe: &str| builder.build(request(&fixture, &manifest(recipe), &commit, Rebuild::Full), &ANSWERS).await.unwrap_err();

        let error = build("setup = [\"echo fine\", \"echo $LONGSHORE_TOKEN; no-such-tool --all\"]\n").await;
        let BuildError::Step(failure) = &error else { panic!("{error}") };
        assert_eq!((failure.step, failure.end), (BuildStep::Setup, ExecEnd::Exited(127)));
        assert!(failure.command.starts_with("echo $LONGSHORE_TOKEN; no-such-tool"), "{}", failure.command);
        assert!(failure.log_tail.contains("[secret]") && failure.log_tail.contains("command not found"), "{}", failure.log_tail);
        let words = error.to_string();
        assert!(words.contains("step `setup`") && words.contains("setup_root") && !words.contains(SECRET), "{words}");
        let log = std::fs::read_to_string(&failure.log).unwrap();
        assert!(log.contains("== setup: echo fine\nfine\n"), "{log}");

        let error = build("check = \"false\"\n").await;
        assert!(matches!(&error, BuildError::Step(failure) if failure.step == BuildStep::Check), "{error}");
        let error = build("timeout_s = 6\nwarm = [\"sleep 600\"]\n").await;
        assert!(matches!(&error, BuildError::Step(failure) if failure.end == ExecEnd::TimedOut), "{error}");
        assert!(error.to_string().contains("image.timeout_s"), "{error}");
        let error = build("setup = [\"perl -e '$x = q(a) x 800000000'\"]\n").await;
        assert!(matches!(&error, BuildError::Step(failure) if failure.end == ExecEnd::OutOfMemory), "{error}");
        let error = build("setup = [\"echo cp: error writing: No space left on device >&2; exit 1\"]\n").await;
        assert!(matches!(error, BuildError::DiskFull { step: BuildStep::Setup }), "{error}");
        let error = build("setup = [\"echo $LONGSHORE_TOKEN >~/.npmrc\"]\n").await;
        assert!(matches!(&error, BuildError::SecretLeft { files } if files == &["/home/agent/.npmrc"]), "{error}");
        let error = build("base = \"longshore/nowhere:latest\"\n").await;
        assert!(matches!(error, BuildError::BaseMissing { .. }) && error.to_string().contains("make setup"), "{error}");

        let gone = CommitSha::parse("0123456789012345678901234567890123456789").unwrap();
        let error = builder.build(request(&fixture, &manifest(""), &gone, Rebuild::Full), &ANSWERS).await.unwrap_err();
        assert!(matches!(&error, BuildError::Step(failure) if failure.step == BuildStep::Checkout), "{error}");
        let mut elsewhere = manifest("");
        elsewhere.repository = longshore_session::RepoName::parse("acme/nothing").unwrap();
        let error = builder.build(request(&fixture, &elsewhere, &commit, Rebuild::Full), &ANSWERS).await.unwrap_err();
        assert!(error.to_string().contains("GitHub App"), "{error}");

        let config = ImageConfig { registry: RegistryConfig::at("127.0.0.1:1"), base: base() };
        let nowhere = ImageBuilder::new(fixture.engine.clone(), config, mark());
        let error = nowhere.build(request(&fixture, &manifest(""), &commit, Rebuild::Full), &ANSWERS).await.unwrap_err();
        assert!(matches!(&error, BuildError::Engine(EngineError::RegistryUnreachable { .. })), "{error}");

        let lost = ImageRef::parse(format!("{}/{}/acme-shop@sha256:{}", registry(), fixture.namespace, "0".repeat(64))).unwrap();
        let outcome = builder.build(request(&fixture, &manifest(""), &commit, Rebuild::From(lost.clone())), &ANSWERS).await.unwrap();
        assert!(matches!(outcome, BuildOutcome::Built(_)), "a lost image is built in full");
        let mut start = fixture.request(&SandboxId::random());
        start.image = lost;
        let error = fixture.engine.start(start).await.unwrap_err();
        assert!(matches!(error, EngineError::ImageMissing { .. }), "{error}");
        assert_eq!(fixture.engine.list(None).await.unwrap(), [], "no container is left");
    });
}
