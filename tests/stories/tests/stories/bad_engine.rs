//! A Docker engine that dies under the service and comes back, and a second service that wants the same data.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use longshore_harness::{Harness, Options};
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::{AbortHandle, JoinSet},
};

use crate::{
    bad_ground::run,
    bad_talk::{Talk, asked},
    thread::SOON,
};

/// The way to the engine, which a story can cut.
struct Wire {
    socket: PathBuf,
    carrying: AbortHandle,
}

impl Wire {
    fn laid(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let carrying = tokio::spawn(async move {
            // Dropped with the task, and with it every connection.
            let mut connections = JoinSet::new();
            while let Ok((mut service, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut engine) = UnixStream::connect("/var/run/docker.sock").await {
                        let _ = copy_bidirectional(&mut service, &mut engine).await;
                    }
                });
            }
        });
        Self { socket: socket.to_owned(), carrying: carrying.abort_handle() }
    }

    fn cut(self) -> PathBuf {
        self.carrying.abort();
        std::fs::remove_file(&self.socket).unwrap();
        self.socket
    }
}

/// What `/readyz` says as soon as its status is this.
async fn readiness(harness: &Harness, status: u16) -> String {
    let asked = async {
        loop {
            let (found, text) = harness.service.told("/readyz").await.unwrap();
            if found == status {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(SOON, asked).await.expect("it says something else all the time")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_dies_is_said_and_a_reply_goes_on_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let wire = Wire::laid(&socket);
    let mut options = Options::samples(&["acme/storefront"]);
    options.configuration = format!("[sandboxes]\ndocker_socket = {:?}\n", socket.to_str().unwrap());
    let harness = Harness::start(options).await.unwrap();
    harness.model().push_script(asked("say hello").say("Hello."));
    harness.expect_errors("cannot start a sandbox");

    // Two services on one data folder would do everything twice.
    let file = harness.service.config_file();
    let variables: Vec<(&str, &str)> = harness.service.environment().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let second = run(&["serve", "--config", file.to_str().unwrap()], harness.folder(), &variables).await;
    second.refused_with(&["another longshore (process ", "data", "stop it first, or give this one a data folder of its own"]);

    let mut old = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, say hello");
    old.ends_well_with(&["Hello."]).await;
    assert_eq!(harness.service.told("/readyz").await.unwrap(), (200, "ready".to_owned()));
    let socket = wire.cut();
    let told = readiness(&harness, 503).await;
    assert!(told.contains("the sandbox engine cannot be used"), "{told}");
    assert_eq!(harness.service.told("/healthz").await.unwrap().0, 200, "the process itself is well");
    let mut new = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, say hello");
    old.reply("say hello");
    for talk in [&new, &old] {
        talk.fails_with(&["The sandbox engine (Docker) does not answer", "must start it", "nothing is lost"]).await;
    }

    let _wire = Wire::laid(&socket);
    readiness(&harness, 200).await;
    for talk in [&mut new, &mut old] {
        talk.reply("say hello");
        talk.ends_well_with(&["Hello."]).await;
    }
    let told = old.text();
    assert!(!told.contains("The earlier sandbox is gone"), "its sandbox lived on without the engine's word: {told}");
    harness.finish().await.unwrap();
}
