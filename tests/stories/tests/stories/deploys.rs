//! Deploys: the service is told to stop while others keep it waiting, and the next one takes over.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use longshore_emulators::{model::Script, slack::Fault};
use longshore_harness::{Harness, Options, TURN_LIMIT};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    bad_ground::run,
    hold::{Held, held, play, shell},
    thread::Thread,
};

const ROOM: &str = "C0CHECKOUT";

/// The way to the engine, which takes requests and lets nothing through once it hangs.
struct Wire {
    hangs: watch::Sender<bool>,
    /// Hears of every request that hangs.
    stuck: mpsc::UnboundedReceiver<()>,
    carrying: JoinHandle<()>,
}

impl Wire {
    fn laid(socket: &Path) -> Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let (hangs, hanging) = watch::channel(false);
        let (tell, stuck) = mpsc::unbounded_channel();
        let carrying = tokio::spawn(async move {
            while let Ok((mut service, _)) = listener.accept().await {
                let (mut hanging, tell) = (hanging.clone(), tell.clone());
                tokio::spawn(async move {
                    let Ok(mut engine) = UnixStream::connect("/var/run/docker.sock").await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut service, &mut engine) => return,
                        _ = hanging.wait_for(|hangs| *hangs) => {}
                    }
                    let mut bytes = [0; 4096];
                    while service.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                        let _ = tell.send(());
                    }
                });
            }
        });
        Ok(Self { hangs, stuck, carrying })
    }

    fn take_up(self, socket: &Path) -> Result<Self> {
        self.carrying.abort();
        std::fs::remove_file(socket)?;
        Self::laid(socket)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_leaves_in_time_whoever_keeps_it_waiting_and_the_next_one_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let mut wire = Wire::laid(&socket).unwrap();
    let mut options = Options::samples(&["acme/storefront"]);
    options.configuration = format!("[sandboxes]\ndocker_socket = {:?}\n", socket.to_str().unwrap());
    let harness = Harness::start(options).await.unwrap();
    let (tool, line) = shell("printf '\\n- One line\\n' >> CHANGELOG.md && git commit -qam 'Note one line'");
    play(&harness, held(Script::for_prompt("one line, held"), "deploy").call(tool, line).say("The line is there."));
    play(&harness, Script::for_prompt("say hello").say("Hello."));

    let working = Thread::open(&harness, "U0ANA", ROOM, "@longshore one line, held, in acme/storefront").unwrap();
    let agent = Held::at(&working, 1, "deploy").await.unwrap();
    // Another service on the same data would do everything twice.
    let (file, pid) = (harness.service.config_file(), harness.service.pid().await.unwrap());
    let variables: Vec<(&str, &str)> = harness.service.environment().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let second = run(&["serve", "--config", file.to_str().unwrap()], harness.folder(), &variables).await;
    second.refused_with(&[&format!("another longshore (process {pid}) works on"), "stop it first"]);

    // The engine and Slack take what they are asked, and say nothing.
    wire.hangs.send_replace(true);
    for method in ["chat.update", "chat.postMessage"] {
        harness.slack.fail_next(method, Fault::Slow { by: Duration::from_secs(120) }, 50);
    }
    let beginning = Thread::open(&harness, "U0BEN", "C0PLATFORM", "@longshore in acme/storefront, say hello").unwrap();
    tokio::time::timeout(TURN_LIMIT, wire.stuck.recv()).await.expect("nothing waits for the engine").unwrap();
    let told = Instant::now();
    // Fails where the process does not end well.
    harness.service.terminate().await.unwrap();
    assert!(told.elapsed() < Duration::from_secs(10), "leaving took {:?}", told.elapsed());

    agent.let_go().await.unwrap();
    harness.slack.clear_faults();
    let _wire = wire.take_up(&socket).unwrap();
    harness.service.start().await.unwrap();
    working.shows("The line is there.").await.unwrap();
    beginning.shows("Hello.").await.unwrap();
    for thread in [&working, &beginning] {
        thread.done(1).await.unwrap();
        for kind in ["card", "final"] {
            assert_eq!(thread.messages(kind).len(), 1, "one {kind}: {}", thread.text());
        }
        assert_eq!(thread.sessions().await.unwrap().len(), 1);
    }
    harness.finish().await.unwrap();
}
