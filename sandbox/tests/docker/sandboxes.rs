//! Starting, commanding, pausing, keeping and ending sandboxes.

use std::{
    collections::HashSet,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use longshore_sandbox::{
    DockerConfig, DockerEngine, Engine, EngineError, Exec, ExecEnd, ExecUser, Exit, ImageRef, Namespace, Process, RegistryConfig,
    SandboxState, examine,
};
use longshore_session::{SandboxId, SandboxLimits};
use tokio::net::{UnixListener, UnixStream};

use crate::fixture::{Fixture, SECRET, base, config, docker, with_engine};

/// Waits until a file holds this text.
async fn wait_for(path: &Path, text: &str) {
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        while !std::fs::read_to_string(path).unwrap_or_default().contains(text) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let content = || std::fs::read_to_string(path).unwrap_or_default();
    assert!(found.await.is_ok(), "{} never held {text:?} but {:?}", path.display(), content());
}

fn append(path: &Path, line: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap();
}

/// A sandbox whose agent repeats what it is told.
async fn echo(fixture: &Fixture) -> longshore_sandbox::Sandbox {
    let mut request = fixture.request(&SandboxId::random());
    request.process = Process::Agent { argv: vec!["sed".to_owned(), "-u".to_owned(), "s/^/I was told: it's /".to_owned()] };
    fixture.engine.start(request).await.unwrap()
}

#[test]
fn a_command_runs_with_the_sandboxs_variables_as_its_user() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        let id = &sandbox.id;
        assert_eq!(
            fixture.text(id, "id -u; id -g; pwd; echo $HOME; echo $LONGSHORE_TOKEN").await,
            format!("1000\n1000\n/workspace\n/home/agent\n{SECRET}")
        );
        let output = fixture.engine.exec(id, Exec::argv(["sh", "-c", "echo out; echo err >&2; exit 7"])).await.unwrap();
        assert_eq!((output.end, output.exit_code()), (ExecEnd::Exited(7), Some(7)));
        assert_eq!((output.stdout_text().as_ref(), output.stderr_text().as_ref()), ("out\n", "err\n"));

        let output = fixture.engine.exec(id, Exec::argv(["wc", "-c"]).stdin(vec![b'x'; 3_000_000])).await.unwrap();
        assert_eq!(output.stdout_text(), "3000000\n");
        let output = fixture.engine.exec(id, Exec::shell("yes | head -c 2000000").output_limit(1000)).await.unwrap();
        assert_eq!((output.stdout.len(), output.dropped, output.succeeded()), (1000, 1_999_000, true));
        let output =
            fixture.engine.exec(id, Exec::shell("echo $A; id -u").user(ExecUser::Root).folder("/tmp").variable("A", "b c")).await.unwrap();
        assert_eq!(output.stdout_text(), "b c\n0\n");
        assert_eq!(fixture.run(id, "no-such-program").await.end, ExecEnd::Exited(127));
        assert!(matches!(fixture.engine.exec(&SandboxId::random(), Exec::shell("true")).await, Err(EngineError::NoSuchSandbox { .. })));
    });
}

#[test]
fn a_command_is_killed_at_its_limit_with_all_that_came_of_it() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        let line = "echo begun; setsid sleep 4242 & (sleep 4243 &) ; sleep 4244";
        let output = fixture.engine.exec(&sandbox.id, Exec::shell(line).timeout(Duration::from_secs(2))).await.unwrap();
        assert_eq!((output.end, output.stdout_text().as_ref()), (ExecEnd::TimedOut, "begun\n"));
        assert_eq!(fixture.text(&sandbox.id, "pgrep -fc '[s]leep 424' || true").await, "0");

        // A bomb holds every process there may be.
        let bomb = "bomb() { bomb | bomb & }; bomb; sleep 60";
        let output = fixture.engine.exec(&sandbox.id, Exec::shell(bomb).timeout(Duration::from_secs(3))).await.unwrap();
        assert_eq!(output.end, ExecEnd::TimedOut);
        // Either every process of it could be killed, or the sandbox was, perhaps only now; it never goes on.
        match fixture.engine.exec(&sandbox.id, Exec::shell("pgrep -c bash || true")).await {
            Ok(output) => assert_eq!(output.stdout_text().trim(), "1", "only the one that asks"),
            Err(EngineError::NotRunning { .. }) => {
                assert_eq!(fixture.engine.inspect(&sandbox.id).await.unwrap().state, SandboxState::Ended(Exit::Killed { signal: 9 }));
            }
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn a_process_left_in_the_background_does_not_hold_its_command() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        let output =
            fixture.engine.exec(&sandbox.id, Exec::shell("sleep 300 & echo started").timeout(Duration::from_secs(30))).await.unwrap();
        assert_eq!((output.end, output.stdout_text().as_ref()), (ExecEnd::Exited(0), "started\n"));
        assert!(output.took < Duration::from_secs(10), "{:?}", output.took);
    });
}

#[test]
fn running_out_of_memory_has_a_name() {
    with_engine(async |fixture| {
        let glutton = "$x = 'a' x 800000000; sleep 60";
        let sandbox = fixture.start().await;
        let output = fixture.engine.exec(&sandbox.id, Exec::argv(["perl", "-e", glutton])).await.unwrap();
        assert_eq!(output.end, ExecEnd::OutOfMemory, "{}", output.stderr_text());
        // What went wrong once does not stick to the next.
        assert_eq!(fixture.run(&sandbox.id, "exit 3").await.end, ExecEnd::Exited(3));

        let mut request = fixture.request(&SandboxId::random());
        request.process = Process::Agent { argv: ["perl", "-e", glutton].map(str::to_owned).to_vec() };
        let id = fixture.engine.start(request).await.map(|sandbox| sandbox.id);
        match id {
            Ok(id) => assert_eq!(fixture.engine.wait(&id).await, Exit::OutOfMemory),
            // It may be dead before the start is through.
            Err(error) => assert!(error.to_string().contains("out of memory"), "{error}"),
        }
    });
}

#[test]
fn an_agent_is_told_and_answers_through_the_carrier() {
    with_engine(async |fixture| {
        let sandbox = echo(&fixture).await;
        append(&sandbox.carrier.input, "one\n");
        wait_for(&sandbox.carrier.output, "I was told: it's one\n").await;
        // What is said to a paused agent waits for it.
        fixture.engine.pause(&sandbox.id).await.unwrap();
        fixture.engine.pause(&sandbox.id).await.unwrap();
        assert!(matches!(fixture.engine.inspect(&sandbox.id).await.unwrap().state, SandboxState::Paused { .. }));
        append(&sandbox.carrier.input, "two\n");
        fixture.engine.resume(&sandbox.id).await.unwrap();
        fixture.engine.resume(&sandbox.id).await.unwrap();
        wait_for(&sandbox.carrier.output, "I was told: it's two\n").await;
        // A command resumes what is paused.
        fixture.engine.pause(&sandbox.id).await.unwrap();
        assert_eq!(fixture.text(&sandbox.id, "echo here").await, "here");

        // The agent's end is the sandbox's, with its name.
        let waiting = tokio::spawn({
            let (engine, id) = (fixture.engine.clone(), sandbox.id.clone());
            async move { engine.wait(&id).await }
        });
        fixture.run(&sandbox.id, "pkill -9 -x sed").await;
        assert_eq!(waiting.await.unwrap(), Exit::Killed { signal: 9 });
        assert!(matches!(fixture.engine.exec(&sandbox.id, Exec::shell("true")).await, Err(EngineError::NotRunning { .. })));
        assert_eq!(std::fs::read_to_string(&sandbox.carrier.output).unwrap().lines().count(), 2);
    });
}

#[test]
fn an_end_that_we_wanted_is_no_accident() {
    with_engine(async |fixture| {
        let sandbox = echo(&fixture).await;
        fixture.engine.pause(&sandbox.id).await.unwrap();
        fixture.engine.stop(&sandbox.id, Duration::from_secs(3)).await.unwrap();
        fixture.engine.stop(&sandbox.id, Duration::from_secs(3)).await.unwrap();
        assert_eq!(fixture.engine.wait(&sandbox.id).await, Exit::Stopped);
        fixture.engine.remove(&sandbox.id).await.unwrap();
        fixture.engine.remove(&sandbox.id).await.unwrap();
        assert_eq!(fixture.engine.wait(&sandbox.id).await, Exit::Stopped);
        assert!(!sandbox.carrier.folder.exists());

        let mut request = fixture.request(&SandboxId::random());
        request.process = Process::Agent { argv: ["sh", "-c", "read line; exit 4"].map(str::to_owned).to_vec() };
        let failing = fixture.engine.start(request).await.unwrap();
        append(&failing.carrier.input, "go\n");
        assert_eq!(fixture.engine.wait(&failing.id).await, Exit::Failed { code: 4 });

        let lost = fixture.start().await;
        docker(&["rm", "--force", &fixture.container(&lost.id)]);
        assert_eq!(fixture.engine.wait(&lost.id).await, Exit::Gone);
    });
}

#[test]
fn an_id_is_used_again_only_after_its_sandbox_has_ended() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        append(&sandbox.carrier.input, "old\n");
        let again = fixture.engine.start(fixture.request(&sandbox.id)).await;
        assert!(matches!(again, Err(EngineError::AlreadyRunning { .. })), "{again:?}");
        assert_eq!(fixture.text(&sandbox.id, "cat /run/longshore/in").await, "old", "the running one was left alone");
        docker(&["kill", &fixture.container(&sandbox.id)]);
        fixture.engine.start(fixture.request(&sandbox.id)).await.unwrap();
        assert_eq!(fixture.text(&sandbox.id, "cat /run/longshore/in").await, "");
    });
}

#[test]
fn a_snapshot_keeps_the_files_and_nothing_of_the_carrier() {
    with_engine(async |fixture| {
        let mut request = fixture.request(&SandboxId::random());
        request.labels = vec![("session".to_owned(), "s-1".to_owned())];
        let sandbox = fixture.engine.start(request).await.unwrap();
        let unchanged = fixture.engine.snapshot(&sandbox.id, Vec::new()).await.unwrap();
        assert_eq!((unchanged.image, unchanged.bytes), (base(), 0), "nothing changed, nothing kept");

        append(&sandbox.carrier.input, SECRET);
        fixture.text(&sandbox.id, "echo work >/workspace/note; echo talk >~/.history; head -c 5000000 /dev/urandom >/workspace/blob").await;
        fixture.engine.pause(&sandbox.id).await.unwrap();
        let snapshot = fixture.engine.snapshot(&sandbox.id, vec![("session".to_owned(), "s-1".to_owned())]).await.unwrap();
        assert!(snapshot.bytes > 4_000_000 && snapshot.bytes < 50_000_000, "{snapshot:?}");
        assert!(matches!(fixture.engine.inspect(&sandbox.id).await.unwrap().state, SandboxState::Paused { .. }), "it stays paused");
        fixture.engine.remove(&sandbox.id).await.unwrap();

        let mut request = fixture.request(&SandboxId::random());
        request.image = snapshot.image.clone();
        request.environment.clear();
        let restored = fixture.engine.start(request).await.unwrap();
        assert_eq!(
            fixture.text(&restored.id, "cat note ~/.history; stat -c %U note; ls /run/longshore; cat /run/longshore/*").await,
            "work\ntalk\nagent\nenv\nerr\nin\nout"
        );
        assert_eq!(fixture.engine.list(Some(("session", "s-1"))).await.unwrap(), [], "labels of the old sandbox are not the new one's");
        let history = docker(&["history", "--no-trunc", snapshot.image.as_str()]) + &docker(&["image", "inspect", snapshot.image.as_str()]);
        assert!(!history.contains(SECRET) && history.contains("dev.longshore.image.session"), "{history}");
        let archive = fixture.folder.path().join("image.tar");
        docker(&["save", "-o", archive.to_str().unwrap(), snapshot.image.as_str()]);
        let saved = std::fs::read(&archive).unwrap();
        assert!(
            saved.len() > 1_000_000 && !saved.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()),
            "the secret is in the snapshot"
        );

        fixture.engine.remove(&restored.id).await.unwrap();
        fixture.engine.remove_image(&snapshot.image).await.unwrap();
        fixture.engine.remove_image(&snapshot.image).await.unwrap();
        assert!(!fixture.image_exists(snapshot.image.as_str()));
    });
}

#[test]
fn a_sweep_takes_what_nobody_knows() {
    with_engine(async |fixture| {
        let (kept, ended, stray) = (fixture.start().await, fixture.start().await, fixture.start().await);
        docker(&["kill", &fixture.container(&ended.id)]);
        let orphan = fixture.engine.carrier(&SandboxId::parse("b-orphan").unwrap());
        std::fs::create_dir(&orphan.folder).unwrap();
        let removed = fixture.engine.sweep(&HashSet::from([kept.id.clone()])).await.unwrap();
        assert_eq!(removed.sandboxes.iter().collect::<HashSet<_>>(), HashSet::from([&ended.id, &stray.id]));
        assert_eq!(removed.carriers, [SandboxId::parse("b-orphan").unwrap()]);
        let left: Vec<SandboxId> = fixture.engine.list(None).await.unwrap().into_iter().map(|info| info.id).collect();
        assert_eq!(left, [kept.id]);
        assert!(!orphan.folder.exists() && !stray.carrier.folder.exists() && kept.carrier.folder.exists());
    });
}

#[test]
fn files_go_in_and_out() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o640);
        header.set_uid(1000);
        header.set_gid(1000);
        archive.append_data(&mut header, "sub/hello.txt", &b"hello"[..]).unwrap();
        fixture.engine.copy_in(&sandbox.id, "/workspace", Bytes::from(archive.into_inner().unwrap())).await.unwrap();
        assert_eq!(fixture.text(&sandbox.id, "cat sub/hello.txt; stat -c ' %U %a' sub/hello.txt").await, "hello agent 640");

        let bytes = fixture.engine.copy_out(&sandbox.id, "/workspace/sub/hello.txt", 100_000).await.unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!((entry.path().unwrap().to_str(), entry.size()), (Some("hello.txt"), 5));
        let large = fixture.engine.copy_out(&sandbox.id, "/usr/local/bin/opencode", 100_000).await;
        assert!(matches!(large, Err(EngineError::TooLarge { .. })), "{large:?}");
        let missing = fixture.engine.copy_out(&sandbox.id, "/nowhere", 100).await.unwrap_err().to_string();
        assert!(missing.contains("/nowhere"), "{missing}");
        let nobody = fixture.engine.copy_out(&SandboxId::random(), "/etc", 100).await;
        assert!(matches!(nobody, Err(EngineError::NoSuchSandbox { .. })), "{nobody:?}");
    });
}

#[test]
fn a_missing_image_is_named_and_leaves_nothing() {
    with_engine(async |fixture| {
        let mut request = fixture.request(&SandboxId::random());
        request.image = ImageRef::parse("longshore/nowhere:latest").unwrap();
        let id = request.id.clone();
        let error = fixture.engine.start(request).await.unwrap_err();
        assert!(matches!(error, EngineError::ImageMissing { .. }), "{error}");
        assert!(error.to_string().contains("longshore/nowhere:latest") && error.to_string().contains("make setup"), "{error}");
        assert!(!fixture.engine.carrier(&id).folder.exists());
        assert_eq!(fixture.engine.list(None).await.unwrap(), []);

        let mut request = fixture.request(&SandboxId::random());
        request.environment = vec![("NO-NAME".to_owned(), String::new())];
        assert!(matches!(fixture.engine.start(request).await, Err(EngineError::BadVariable { .. })));
    });
}

#[tokio::test]
async fn a_dead_engine_is_said_with_what_to_do() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let namespace = Namespace::parse("nobody").unwrap();
    let missing = folder.path().join("missing.sock");
    // A socket that somebody left, at which nobody listens.
    let dead = folder.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    for socket in [missing, dead] {
        let config = DockerConfig { socket: Some(socket.clone()), ..config(&namespace, folder.path().join("carriers")) };
        let error = DockerEngine::connect(config.clone()).await.unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
        let words = error.to_string();
        assert!(words.contains("make setup") && words.contains(socket.to_str().unwrap()), "{words}");
        let images = longshore_sandbox::ImageConfig { registry: RegistryConfig::at("127.0.0.1:1"), base: base() };
        let findings = examine(&config, &images).await;
        let bad: Vec<&str> = findings.iter().filter(|f| f.verdict == longshore_sandbox::Verdict::Bad).map(|f| f.subject).collect();
        assert_eq!(bad, ["docker engine", "image registry"]);
    }
}

#[test]
fn a_working_engine_has_nothing_amiss() {
    with_engine(async |fixture| {
        let registry = crate::images::registry();
        let images = longshore_sandbox::ImageConfig { registry: RegistryConfig::at(registry), base: base() };
        let config = config(&fixture.namespace, fixture.folder.path().join("carriers"));
        for finding in examine(&config, &images).await {
            assert_ne!(finding.verdict, longshore_sandbox::Verdict::Bad, "{finding:?}");
        }
        let images = longshore_sandbox::ImageConfig { base: ImageRef::parse("longshore/nowhere:1").unwrap(), ..images };
        let findings = examine(&config, &images).await;
        let base = findings.iter().find(|finding| finding.subject == "base image").unwrap();
        assert!(base.words.contains("make setup") && base.verdict == longshore_sandbox::Verdict::Bad, "{base:?}");
    });
}

/// A socket in front of the engine's, which can be cut.
struct Wire {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    fn open(path: PathBuf) -> Self {
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut there = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                });
            }
        });
        Self { path, task }
    }

    async fn cut(self) -> PathBuf {
        self.task.abort();
        let _ = self.task.await;
        let _ = std::fs::remove_file(&self.path);
        self.path
    }
}

#[test]
fn waiting_bears_the_engines_absence() {
    with_engine(async |fixture| {
        let sandbox = echo(&fixture).await;
        let wire = Wire::open(fixture.folder.path().join("docker.sock"));
        let config = DockerConfig { socket: Some(wire.path.clone()), ..config(&fixture.namespace, fixture.folder.path().join("carriers")) };
        let distant = DockerEngine::connect(config).await.unwrap();
        let mut waiting = Box::pin(distant.wait(&sandbox.id));
        assert!(tokio::time::timeout(Duration::from_millis(500), &mut waiting).await.is_err(), "it runs");
        let path = wire.cut().await;
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "a lost engine is no death");
        docker(&["kill", "--signal", "9", &fixture.container(&sandbox.id)]);
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "nobody could know");
        let wire = Wire::open(path);
        let exit = tokio::time::timeout(Duration::from_secs(20), &mut waiting).await.unwrap();
        assert_eq!(exit, Exit::Killed { signal: 9 });
        drop(waiting);
        wire.cut().await;
    });
}

#[test]
fn limits_reach_the_container() {
    with_engine(async |fixture| {
        let mut request = fixture.request(&SandboxId::random());
        request.limits = SandboxLimits { memory_mb: 600, cpus: 0.5, pids: 64 };
        let sandbox = fixture.engine.start(request).await.unwrap();
        let output = fixture.run(&sandbox.id, "for i in $(seq 200); do sleep 30 & done; wait -n").await;
        assert!(!output.succeeded() && output.stderr_text().contains("Resource temporarily unavailable"), "{:?}", output);
        assert_eq!(fixture.text(&sandbox.id, "ulimit -n; ulimit -c").await, "16384\n0");
        let format = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
        let limits = docker(&["inspect", "--format", format, &fixture.container(&sandbox.id)]);
        assert_eq!(limits.trim(), format!("{0} {0} 500000000 64", 600 * 1024 * 1024));
    });
}
