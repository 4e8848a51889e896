//! A service that starts without an image, and a prompt that waits for it.

use anyhow::{Result, ensure};

use super::SHOP;
use crate::{
    case::Case,
    checks::{End, Expected, Left, check},
    deeds::Deeds,
    stage::{Stage, until},
    thread::{TURN_LIMIT, Task, Thread},
};

/// Every step of a build, none of which takes long.
pub const MANIFEST: &str = r#"repository = "acme/storefront"
description = "The online shop."

[image]
setup_root = ["true"]
setup = ["true"]
warm = ["true"]
check = "true"
"#;

pub async fn build(stage: &Stage, case: &Case) -> Result<()> {
    let task = Task::new();
    stage.harness.model().push_script(Deeds::of(&task).commit(&task).pull_request(&task).script());
    stage.arm(case)?;
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", task.word))?;
        thread.turn(1).await?;
        stage.survived().await?;
        until("a build is promoted, and none runs", TURN_LIMIT, async || {
            let told = stage.harness.service.get(&format!("/v1/images/{SHOP}/builds")).await?;
            let outcomes: Vec<&str> =
                told["builds"].as_array().into_iter().flatten().filter_map(|build| build["outcome"].as_str()).collect();
            ensure!(outcomes.iter().filter(|outcome| **outcome == "promoted").count() <= 2, "{outcomes:?}");
            Ok(outcomes.contains(&"promoted") && !outcomes.contains(&"running"))
        })
        .await?;
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
    // Slack has the mention before there is anybody to take it.
    stage.harness.service.spawn().await?;
    stage.keep(story).await
}
