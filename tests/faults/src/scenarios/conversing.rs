//! From a mention to a pull request, and a second prompt for the same session.

use anyhow::{Context, Result};

use super::SHOP;
use crate::{
    case::{Case, Place},
    checks::{End, Expected, Left, check},
    deeds::Deeds,
    stage::{Stage, until},
    thread::{Held, OTHER, TURN_LIMIT, Task, Thread, key_of},
};

pub async fn mention(stage: &Stage, case: &Case) -> Result<()> {
    let task = Task::new();
    let deeds = Deeds::of(&task).commit(&task).update(&format!("Half of {} is done.", task.word)).pull_request(&task);
    stage.harness.model().push_script(deeds.script());
    match case.place {
        Place::Point { .. } => stage.arm(case)?,
        Place::Outside { .. } => {}
    }
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", task.word))?;
        match case.place {
            Place::Point { .. } => {}
            Place::Outside { .. } => {
                acknowledged(stage).await?;
                stage.kill().await?;
            }
        }
        thread.turn(1).await?;
        stage.survived().await?;
        let expected = Expected {
            repository: SHOP,
            tasks: &[&task],
            turns: &[&task],
            end: End::Answered,
            commits: &[&task],
            pull_request: Some(task.commit()),
            left: Left::Sandbox,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}

/// Waits until Slack has the acknowledgement of the newest event.
async fn acknowledged(stage: &Stage) -> Result<()> {
    let slack = &stage.harness.slack;
    let look = |_: &_| slack.deliveries().last().is_some_and(|newest| newest.is_acknowledged()).then_some(());
    slack.wait_until(look, TURN_LIMIT).await.context("no acknowledgement came")
}

pub async fn follow_up(stage: &Stage, case: &Case) -> Result<()> {
    let (first, second) = (Task::new(), Task::new());
    stage.harness.model().push_script(Deeds::of(&first).commit(&first).pull_request(&first).held("go").script());
    stage.harness.model().push_script(Deeds::of(&second).commit(&second).script());
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", first.word))?;
        let held = Held::at(stage, "go").await?;
        stage.arm(case)?;
        thread.reply(OTHER, &format!("and note {}", second.word))?;
        let is_queued = |messages: &[serde_json::Value]| messages.iter().any(|message| key_of(message).contains(":queued:"));
        thread.until("the notice of the second prompt", is_queued).await?;
        held.let_go().await?;
        thread.turn(1).await?;
        thread.turn(2).await?;
        stage.survived().await?;
        let tasks = [&first, &second];
        let expected = Expected {
            repository: SHOP,
            tasks: &tasks,
            turns: &tasks,
            end: End::Answered,
            commits: &tasks,
            pull_request: Some(first.commit()),
            left: Left::Sandbox,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}

pub async fn joining(stage: &Stage, case: &Case) -> Result<()> {
    let (first, second) = (Task::new(), Task::new());
    stage.harness.model().push_script(Deeds::of(&first).commit(&first).held("go").script());
    // The agent takes it up at its next step, and goes on with that.
    stage.harness.model().push_script(Deeds::of(&second).look(&second).pull_request(&first).script());
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", first.word))?;
        let held = Held::at(stage, "go").await?;
        stage.arm(case)?;
        thread.reply(OTHER, &format!("now: look at {}", second.word))?;
        until("the agent has the prompt that joins", TURN_LIMIT, async || {
            let inputs =
                stage.carriers().into_iter().map(|name| stage.harness.service.data_folder().join("carriers").join(name).join("in"));
            Ok(inputs.filter_map(|file| std::fs::read_to_string(file).ok()).any(|sent| sent.contains(&second.word)))
        })
        .await?;
        held.let_go().await?;
        thread.turn(1).await?;
        stage.survived().await?;
        let expected = Expected {
            repository: SHOP,
            tasks: &[&first, &second],
            turns: &[&second],
            end: End::Answered,
            commits: &[&first],
            pull_request: Some(first.commit()),
            left: Left::Sandbox,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}

pub async fn stop(stage: &Stage, case: &Case) -> Result<()> {
    let task = Task::new();
    stage.harness.model().push_script(Deeds::of(&task).commit(&task).held("go").script());
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", task.word))?;
        let _held = Held::at(stage, "go").await?;
        stage.arm(case)?;
        thread.reply(OTHER, "stop")?;
        thread.turn(1).await?;
        stage.survived().await?;
        let expected = Expected {
            repository: SHOP,
            tasks: &[&task],
            turns: &[&task],
            end: End::Stopped,
            commits: &[],
            pull_request: None,
            left: Left::Sandbox,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}
