//! Turns that go on while the service is away.

use std::time::Duration;

use anyhow::Result;

use super::SHOP;
use crate::{
    case::Case,
    checks::{End, Expected, Left, check},
    deeds::Deeds,
    stage::Stage,
    thread::{Held, Task, Thread},
};

async fn ends(stage: &Stage, thread: &Thread<'_>, task: &Task) -> Result<()> {
    thread.turn(1).await?;
    stage.survived().await?;
    let expected = Expected {
        repository: SHOP,
        tasks: &[task],
        turns: &[task],
        end: End::Answered,
        commits: &[task],
        pull_request: Some(task.commit()),
        left: Left::Sandbox,
    };
    check(thread, &expected).await
}

/// Killed in the middle of a turn, and again on the way up.
pub async fn recovery(stage: &Stage, case: &Case) -> Result<()> {
    let task = Task::new();
    stage.harness.model().push_script(Deeds::of(&task).commit(&task).held("go").pull_request(&task).script());
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", task.word))?;
        let held = Held::at(stage, "go").await?;
        stage.arm(case)?;
        stage.kill().await?;
        held.let_go().await?;
        ends(stage, &thread, &task).await
    };
    stage.keep(story).await
}

/// Killed in the middle of a turn, and started a good while later; the agent works on meanwhile.
pub async fn outage(stage: &Stage, outage: Duration) -> Result<()> {
    let task = Task::new();
    let deeds = Deeds::of(&task).commit(&task).held("go").update(&format!("Half of {} is done.", task.word)).pull_request(&task);
    stage.harness.model().push_script(deeds.script());
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", task.word))?;
        let held = Held::at(stage, "go").await?;
        stage.stay_away(outage);
        stage.kill().await?;
        held.let_go().await?;
        ends(stage, &thread, &task).await
    };
    stage.keep(story).await
}
