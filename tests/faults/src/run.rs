//! Plays cases, and says what came of each.

use std::{
    collections::VecDeque,
    fmt,
    ops::AddAssign,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail};
use longshore_harness::target_folder;
use tokio::time::Instant;

use crate::{case::Case, scenarios::Ground, stage::Stage};

/// What came of all cases.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Tally {
    fn tell(&mut self, what: &str, took: Instant, result: &Result<()>) {
        let seconds = took.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok {seconds:.1}s {what}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {seconds:.1}s {what}: {error:#}");
            }
        }
    }
}

/// Plays them in so many lanes. Each lane keeps its service from case to case as long as they want the same kind, and takes a new one after a failure.
pub async fn all(cases: Vec<Case>, lanes: usize) -> Tally {
    let waiting = Mutex::new(VecDeque::from(cases));
    let mut tally = Tally::default();
    let (one, other) = tokio::join!(Box::pin(lane(&waiting, From::Front)), async {
        if lanes > 1 { Box::pin(lane(&waiting, From::Back)).await } else { Tally::default() }
    });
    tally += one;
    tally += other;
    tally
}

/// From which end a lane takes its cases, so that two of them seldom want the same ground.
#[derive(Debug, Clone, Copy)]
enum From {
    Front,
    Back,
}

async fn lane(waiting: &Mutex<VecDeque<Case>>, from: From) -> Tally {
    let mut tally = Tally::default();
    let mut standing: Option<(Ground, Stage)> = None;
    loop {
        let next = {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match from {
                From::Front => waiting.pop_front(),
                From::Back => waiting.pop_back(),
            }
        };
        let wanted = next.map(|case| case.scenario.ground());
        // What stands there is of no use for the next one.
        if let Some((ground, stage)) = standing.take_if(|(ground, _)| wanted != Some(*ground) || *ground == Ground::Bare) {
            close(ground, stage, &mut tally).await;
        }
        let Some(case) = next else { return tally };
        let begun = Instant::now();
        let stage = match standing.take() {
            Some((_, stage)) => Ok(stage),
            None => case.scenario.ground().stage("").await,
        };
        let played = match stage {
            Ok(stage) => match play(&stage, &case).await {
                Ok(()) => {
                    standing = Some((case.scenario.ground(), stage));
                    Ok(())
                }
                Err(error) => {
                    let error = with_log(&stage, &case, error);
                    stage.give_up().await;
                    Err(error)
                }
            },
            Err(error) => Err(error.context("the service with everything round it did not start")),
        };
        tally.tell(&case.to_string(), begun, &played);
    }
}

async fn close(ground: Ground, stage: Stage, tally: &mut Tally) {
    let begun = Instant::now();
    if let Err(error) = stage.finish().await {
        tally.tell(&format!("the end of the {ground:?} service"), begun, &Err(error));
    }
}

async fn play(stage: &Stage, case: &Case) -> Result<()> {
    stage.begin()?;
    case.scenario.play(stage, case).await?;
    stage.clear().await
}

/// The service's log stays, for whoever looks into a failure.
fn with_log(stage: &Stage, case: &Case, error: anyhow::Error) -> anyhow::Error {
    let file = target_folder().join("faults").join(format!("{}.log", case.order().replace(':', "-")));
    match std::fs::write(&file, stage.harness.service.log()) {
        Ok(()) => anyhow::anyhow!("{error:#}\n  the service's log: {}", file.display()),
        Err(_) => error,
    }
}

/// Plays cases whose protection is switched off: they pass where they fail for the expected reason.
pub async fn self_tests(cases: Vec<(&'static str, Case, &'static str)>) -> Tally {
    let mut tally = Tally::default();
    for (without, case, reason) in cases {
        let begun = Instant::now();
        let what = if without.is_empty() { format!("self-test: {case}") } else { format!("self-test: {case} without {without}") };
        tally.tell(&what, begun, &Box::pin(fails(without, &case, reason)).await);
    }
    tally
}

async fn fails(without: &str, case: &Case, reason: &str) -> Result<()> {
    let stage = case.scenario.ground().stage(without).await?;
    let played = play(&stage, case).await;
    stage.give_up().await;
    match played {
        Ok(()) => bail!("nothing is found to be wrong"),
        Err(error) if format!("{error:#}").contains(reason) => Ok(()),
        Err(error) => Err(error.context(format!("it fails, but not because `{reason}`"))),
    }
}
