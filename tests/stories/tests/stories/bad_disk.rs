//! A full disk under the service's data: what cannot be stored is not acknowledged, and everything goes on when there is room.

use std::{io::Write, path::PathBuf, process::Command, time::Duration};

use longshore_emulators::slack::{RetryTimes, WorkspaceSetup};
use longshore_harness::{Harness, Options};
use tokio::time::Instant;

use crate::bad_talk::{SOON, Talk, asked};

/// The data folder on a file system of its own that is quickly full. Taken away when the story ends, however it ends.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Puts what is in the folder onto a small disk in its place.
    fn under(folder: PathBuf) -> Self {
        let aside = folder.with_extension("aside");
        std::fs::rename(&folder, &aside).unwrap();
        std::fs::create_dir(&folder).unwrap();
        sh(&format!("mount -t tmpfs -o size=48m longshore-story {0} && cp -a {1}/. {0}/", folder.display(), aside.display()));
        std::fs::remove_dir_all(aside).unwrap();
        Self { folder }
    }

    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.ballast()).unwrap();
        // Large pieces first; the small ones take the last corner.
        for piece in [1 << 20, 4096] {
            while ballast.write_all(&vec![b'x'; piece]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file there keeps it until then.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

fn sh(line: &str) {
    let done = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_not_acknowledged_and_comes_again() {
    let mut options = Options::samples(&["acme/storefront"]);
    options.workspace = WorkspaceSetup::demo();
    options.workspace.retries = RetryTimes { acknowledge_within: Duration::from_secs(3), pauses: vec![Duration::from_secs(1); 30] };
    let harness = Harness::start(options).await.unwrap();
    harness.model().push_script(asked("say hello").say("Hello."));
    harness.expect_errors("disk");
    harness.service.terminate().await.unwrap();
    let disk = SmallDisk::under(harness.service.data_folder());
    harness.service.start().await.unwrap();
    let mut talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, say hello");
    talk.ends_well_with(&["Hello."]).await;

    disk.fill();
    let before = harness.slack.deliveries().len();
    talk.reply("say hello");
    let deadline = Instant::now() + SOON;
    let tried = loop {
        let new = harness.slack.deliveries().split_off(before);
        if let Some(tried) = new.into_iter().find(|delivery| delivery.attempts.len() > 1) {
            break tried;
        }
        assert!(Instant::now() < deadline, "nothing was delivered a second time: {}", harness.service.log_tail(20));
        // The emulator tells of messages, not of deliveries.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(!tried.is_acknowledged(), "nothing is acknowledged that is not stored: {tried:#?}");
    let log = harness.service.log();
    assert!(log.contains("is full: make room, the service goes on by itself"), "the operator is told: {}", harness.service.log_tail(20));

    // Whoever is not heard is told so where they are.
    let told = |slack: &longshore_emulators::slack::SlackHandle| {
        slack
            .messages("C0CHECKOUT")
            .iter()
            .any(|message| message.to_string().contains("The disk that I keep everything on is full"))
            .then_some(())
    };
    let _other = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, say hello");
    harness.slack.wait_until(told, SOON).await.unwrap();

    disk.make_room();
    talk.ends_well_with(&["Hello."]).await;
    let deadline = Instant::now() + SOON;
    while !harness.service.log().contains("there is room on the disk again") {
        assert!(Instant::now() < deadline, "the operator is told: {}", harness.service.log_tail(20));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    harness.service.terminate().await.unwrap();
    drop(disk);
    harness.finish().await.unwrap();
}
