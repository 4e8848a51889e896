//! A session's database that is damaged: that session alone is concerned, and it goes on from what else there is.

use std::{
    io::{Seek, SeekFrom, Write},
    path::PathBuf,
};

use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options};

use crate::{
    bad_talk::{GATE, Talk, asked, shell},
    restoring::logged,
};

/// The session's database and the log beside it.
fn files(harness: &Harness, session: &str) -> [PathBuf; 2] {
    let file = harness.service.data_folder().join("sessions").join(format!("{session}.db"));
    let log = PathBuf::from(format!("{}-wal", file.display()));
    [file, log]
}

/// Writes nonsense over all of it but its very beginning, which a reader looks at first.
fn overwrite_pages(harness: &Harness, session: &str) {
    for path in files(harness, session) {
        let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(&path) else { continue };
        let length = file.metadata().unwrap().len();
        let Some(rest) = length.checked_sub(100) else { continue };
        file.seek(SeekFrom::Start(100)).unwrap();
        file.write_all(&vec![0xa5; usize::try_from(rest).unwrap()]).unwrap();
    }
}

fn truncate(harness: &Harness, session: &str) {
    for path in files(harness, session) {
        if path.exists() {
            std::fs::File::create(path).unwrap();
        }
    }
}

fn set_aside(harness: &Harness, session: &str) -> usize {
    let names = std::fs::read_dir(harness.service.data_folder().join("sessions")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names
        .iter()
        .filter(|name| name.starts_with(&format!("{session}.db.damaged-")) && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_session_is_put_together_again_and_no_other_is_concerned() {
    let harness = Harness::start(Options::samples(&["acme/storefront"])).await.unwrap();
    let model = harness.model();
    let call = |script: Script, line: &str| script.call("bash", shell(line));
    model.push_script(call(asked("begin here"), "echo loose > .git/loose").say("Begun, and once only."));
    model.push_script(asked("and here").say("Another thing."));
    model.push_script(call(asked("go on"), "cat .git/loose").say("Gone on."));
    model.push_script(call(asked("stand still"), GATE).say("Never told."));
    model.push_script(asked("still there?").say("Still there."));
    model.push_script(asked("you too?").say("Me too."));
    harness.expect_errors("the session's database is damaged");
    harness.expect_errors("is damaged (");

    let mut sick = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, begin here");
    sick.ends_well_with(&["Begun, and once only."]).await;
    let mut sound = Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, and here");
    sound.ends_well_with(&["Another thing."]).await;
    logged(&harness, "took a snapshot", 2).await.unwrap();
    let session = sick.session().await;

    // Pages in the middle, while the session rests.
    harness.service.terminate().await.unwrap();
    overwrite_pages(&harness, &session);
    harness.service.start().await.unwrap();
    sick.shows("My record of this session was damaged").await;
    sick.reply("go on");
    let told = sick.ends_well_with(&["Gone on."]).await;
    assert!(!told.contains("Replaced"), "{told}");
    let requests = model.requests();
    let knows =
        requests.iter().rev().map(|request| request.body["messages"].to_string()).find(|messages| messages.contains("go on")).unwrap();
    assert!(knows.contains("Begun, and once only.") && knows.contains("loose"), "the agent knows what was, and has its files: {knows}");
    assert_eq!(set_aside(&harness, &session), 1);

    // All of it, in the middle of a turn: nobody knows how far that came, and it is not begun a second time.
    harness.expect_errors("the turn failed");
    sick.reply("stand still");
    sick.at_gate().await;
    harness.service.kill().await.unwrap();
    truncate(&harness, &session);
    harness.service.start().await.unwrap();
    sick.shows("so I cannot say how far I came").await;
    sick.fails_with(&["My record of this session was damaged, so I cannot say how far I came"]).await;
    sick.reply("still there?");
    sick.ends_well_with(&["Still there."]).await;
    assert_eq!(set_aside(&harness, &session), 2);
    for turn in 1..=4 {
        let key = format!("{session}:final:{turn}");
        assert_eq!(sick.bot_messages(&key).len(), 1, "turn {turn} is told once: {}", sick.text());
    }

    // The card that stood still shows the end, too.
    let card = sick.bot_messages(&format!("{session}:card:3"));
    assert!(card.len() == 1 && card[0].to_string().contains("Failed"), "{card:#?}");
    assert!(!harness.service.log().contains("its final reply is nowhere"), "what stands in the thread is known to be there");

    sound.reply("you too?");
    sound.ends_well_with(&["Me too."]).await;
    assert!(!sound.text().contains("damaged"), "{}", sound.text());
    harness.finish().await.unwrap();
}
