//! Sandboxes between turns, and those that wait for one.

use anyhow::Result;

use super::SHOP;
use crate::{
    case::Case,
    checks::{End, Expected, Left, check},
    deeds::Deeds,
    docker::docker,
    stage::{Stage, until},
    thread::{ASKER, TURN_LIMIT, Task, Thread},
};

/// Two turns, and what is to be seen of the sandbox between them.
async fn two_turns(stage: &Stage, case: &Case, rests: impl AsyncFn() -> Result<bool>, left: Left) -> Result<()> {
    let (first, second) = (Task::new(), Task::new());
    stage.harness.model().push_script(Deeds::of(&first).commit(&first).pull_request(&first).script());
    stage.harness.model().push_script(Deeds::of(&second).commit(&second).script());
    stage.arm(case)?;
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", first.word))?;
        thread.turn(1).await?;
        until("the sandbox rests", TURN_LIMIT, &rests).await?;
        thread.reply(ASKER, &format!("and note {}", second.word))?;
        thread.turn(2).await?;
        until("the sandbox rests again", TURN_LIMIT, &rests).await?;
        stage.survived().await?;
        let tasks = [&first, &second];
        let expected = Expected {
            repository: SHOP,
            tasks: &tasks,
            turns: &tasks,
            end: End::Answered,
            commits: &tasks,
            pull_request: Some(first.commit()),
            left,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}

pub async fn pause(stage: &Stage, case: &Case) -> Result<()> {
    let is_paused = async || {
        let mut all = !stage.sandboxes().await?.is_empty();
        for name in stage.sandboxes().await? {
            let asked = ["inspect", "--format", "{{.State.Paused}}", &format!("{}-{name}", stage.harness.namespace())];
            all &= docker(&asked).await?.trim() == "true";
        }
        // While a snapshot is taken, it stands still as well.
        Ok(all
            && stage
                .harness
                .service
                .log()
                .lines()
                .rev()
                .take(40)
                .any(|line| line.contains("paused the sandbox") || line.contains("took a snapshot")))
    };
    two_turns(stage, case, is_paused, Left::Sandbox).await
}

pub async fn restore(stage: &Stage, case: &Case) -> Result<()> {
    two_turns(stage, case, async || Ok(stage.sandboxes().await?.is_empty()), Left::Nothing).await
}

pub async fn pool(stage: &Stage, case: &Case) -> Result<()> {
    let task = Task::new();
    stage.harness.model().push_script(Deeds::of(&task).commit(&task).pull_request(&task).script());
    let is_full = async || Ok(stage.pooled().await?.len() == 1);
    let story = async {
        until("the pool is full", TURN_LIMIT, is_full).await?;
        let waiting = stage.pooled().await?;
        stage.arm(case)?;
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", task.word))?;
        thread.turn(1).await?;
        until("the pool is full again, of others", TURN_LIMIT, async || {
            let now = stage.pooled().await?;
            Ok(now.len() == 1 && now != waiting)
        })
        .await?;
        stage.survived().await?;
        until("the pool is full again", TURN_LIMIT, is_full).await?;
        let expected = Expected {
            repository: SHOP,
            tasks: &[&task],
            turns: &[&task],
            end: End::Answered,
            commits: &[&task],
            pull_request: Some(task.commit()),
            left: Left::SandboxAndPool,
        };
        check(&thread, &expected).await
    };
    stage.keep(story).await
}
