//! What goes between the agent and people beside the work itself: questions and files.

use anyhow::{Result, ensure};
use longshore_emulators::slack::{FilePlace, NewFile, NewPost};
use serde_json::{Value, json};

use super::SHOP;
use crate::{
    case::Case,
    checks::{End, Expected, Left, check},
    deeds::Deeds,
    stage::Stage,
    thread::{ASKER, OTHER, ROOM, Task, Thread},
};

pub async fn question(stage: &Stage, case: &Case) -> Result<()> {
    let (first, second) = (Task::new(), Task::new());
    let question = json!({ "question": format!("What of {}?", second.word), "options": ["Keep it", "Drop it"] });
    // Asked once more, it is told that its question is open.
    stage.harness.model().push_script(Deeds::of(&first).look(&first).call("ask_requester", question, "our turn now").script());
    stage.harness.model().push_script(Deeds::of(&second).look(&second).script());
    stage.arm(case)?;
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, settle {}", first.word))?;
        thread.turn(1).await?;
        thread.press(OTHER, "answer:1").await?;
        thread.turn(2).await?;
        stage.survived().await?;
        thread.shows("@ben picked *Drop it*").await?;
        let tasks = [&first, &second];
        let expected = Expected {
            repository: SHOP,
            tasks: &tasks,
            turns: &tasks,
            end: End::Answered,
            commits: &[],
            pull_request: None,
            left: Left::Sandbox,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}

pub async fn files(stage: &Stage, case: &Case) -> Result<()> {
    let task = Task::new();
    let word = &task.word;
    let attach = json!({ "path": format!("/tmp/{word}.txt"), "title": format!("About {word}") });
    let deeds = Deeds::of(&task)
        .shell(&format!("{} && cat /home/agent/files/*/{word}.csv && echo up > /tmp/{word}.txt", task.trace()))
        .call("attach_file", attach, "in the thread");
    stage.harness.model().push_script(deeds.script());
    stage.arm(case)?;
    let story = async {
        let file = NewFile {
            name: format!("{word}.csv"),
            mimetype: Some("text/csv".to_owned()),
            content: format!("content-of-{word}").into_bytes(),
            place: FilePlace::default(),
        };
        let text = format!("@longshore in {SHOP}, look at {word}");
        let ts = stage.harness.slack.person(ASKER).post_with(ROOM, NewPost { text, thread_ts: None, files: vec![file] })?;
        let thread = Thread { stage, ts };
        thread.turn(1).await?;
        stage.survived().await?;
        let named = |message: &Value| {
            let files = message["files"].as_array().into_iter().flatten();
            files.filter(|file| file["name"] == format!("{word}.txt")).count()
        };
        let shown: usize = thread.all().iter().map(named).sum();
        ensure!(shown == 1, "the file stands {shown} times in the thread:\n{}", thread.text());
        let read = stage.harness.model().requests().iter().any(|request| request.body.to_string().contains(&format!("content-of-{word}")));
        ensure!(read, "the agent did not get the prompt's file");
        let spooled = std::fs::read_dir(stage.harness.service.data_folder().join("files")).into_iter().flatten().count();
        ensure!(spooled == 0, "{spooled} files are kept that were sent");
        let expected = Expected {
            repository: SHOP,
            tasks: &[&task],
            turns: &[&task],
            end: End::Answered,
            commits: &[],
            pull_request: None,
            left: Left::Sandbox,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}
