//! One mention after the other, by a service that has time for each.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use longshore_harness::{Harness, TURN_LIMIT, TurnReport};
use longshore_session::{Phase, Timestamp};
use tokio::time::sleep;

use crate::{
    by_hand::ByHand,
    figure::{Figure, Name},
    process, stage,
};

/// Each of the service's and each by hand, in turn, so that what else the machine does is shared between them.
const COLD_SAMPLES: usize = 5;
const TURNS: usize = 3;
/// After which a service that was started has nothing left to do.
const SETTLED: Duration = Duration::from_secs(5);
const IDLE_SAMPLES: usize = 10;
/// Behind the final reply come only the last changes of the card.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// The memory of a service that nobody asks for anything.
pub async fn idle_rss(harness: &Harness) -> Result<Vec<Figure>> {
    let mut figure = Figure::new(Name::IdleRss, "Resident memory of the service, started and without any session.");
    let pid = harness.service.pid().await.context("the service does not run")?;
    sleep(SETTLED).await;
    for _ in 0..IDLE_SAMPLES {
        figure.samples.push(process::rss_mb(pid)?);
        sleep(Duration::from_millis(500)).await;
    }
    Ok(vec![figure])
}

/// From a mention to the model, through a sandbox that is started for it.
pub async fn cold(harness: &Harness, hand: &ByHand) -> Result<Vec<Figure>> {
    stage::answer_shortly(harness);
    let mut figure = Figure::new(
        Name::Cold,
        "From a mention in Slack to the first main request with its words at the model; the sandbox is started from the repository's image.",
    );
    let mut floor = Vec::new();
    for round in 0..=COLD_SAMPLES {
        let by_hand = cold_by_hand(harness, hand).await?;
        let asked = mention(harness, &stage::room(round)).await?;
        // The first round fills the machine's caches, for both.
        if round > 0 {
            floor.push(by_hand);
            figure.samples.push(asked.took);
            asked.tell_parts(&mut figure);
        }
    }
    let what = "the same image by hand: create and start a sandbox, `initialize`, `session/new`, `session/prompt`, until the request is at the model.";
    figure.floor = Some((what.to_owned(), floor));
    Ok(vec![figure])
}

/// A mention that was answered.
pub struct Asked {
    /// Milliseconds from the post to the model's first request.
    pub took: f64,
    pub turn: TurnReport,
}

/// Posts, and waits for the model's request and for the turn's end.
pub async fn mention(harness: &Harness, room: &str) -> Result<Asked> {
    let (text, mark) = stage::question();
    let from = harness.model().requests().len();
    let asked = stage::now_ms();
    let thread = harness.slack.person(stage::ASKER).post(room, &format!("@longshore {text}"))?;
    let reached = stage::model_request(harness, from, &mark).await.with_context(|| harness.slack.render_thread_text(room, &thread))?;
    let turn = harness.wait_for_turn(room, &thread, 1, TURN_LIMIT).await?;
    Ok(Asked { took: stage::span(asked, reached), turn })
}

impl Asked {
    pub fn tell_parts(&self, figure: &mut Figure) {
        tell_parts(&self.turn, figure);
    }
}

/// What lies between the phases on the way to the model, each named by what it ended with.
pub fn tell_parts(turn: &TurnReport, figure: &mut Figure) {
    let (Some(received), Some(last)) = (turn.received, turn.phases.get(&Phase::FirstModelRequest)) else { return };
    // A sync that goes on behind the prompt is not what anything waits for.
    let prompted = turn.phases.get(&Phase::PromptAccepted);
    let waits_for = |phase: &Phase, at: &Timestamp| *phase != Phase::Synced || prompted.is_none_or(|prompted| at < prompted);
    let mut phases: Vec<_> = turn.phases.iter().filter(|(phase, at)| *at <= last && waits_for(phase, at)).collect();
    phases.sort_by_key(|(phase, at)| (**at, **phase));
    let mut before = received.0;
    for (phase, at) in phases {
        let name = serde_json::to_value(phase).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        figure.part(&name, stage::span(before, at.0));
        before = at.0;
    }
}

async fn cold_by_hand(harness: &Harness, hand: &ByHand) -> Result<f64> {
    let image = harness.image(stage::REPOSITORY).await?;
    let manifest = stage::manifest()?;
    let begun = stage::now_ms();
    let mut sandbox = hand.start(&image, &manifest).await?;
    let reached = sandbox.ask(harness).await;
    hand.remove(&sandbox.id).await?;
    Ok(stage::span(begun, reached?))
}

/// How often Slack is called for one whole turn, from the mention to the last change of the card.
pub async fn slack_calls(harness: &Harness) -> Result<Vec<Figure>> {
    let what = "Calls of Slack's API for a turn that reads, edits, tests and opens a pull request, everything that belongs to it counted.";
    let mut figure = Figure::new(Name::SlackCalls, what);
    let defects = harness.catalogue.defects.iter().filter(|defect| defect.repository == stage::REPOSITORY).take(TURNS);
    let mut methods: BTreeMap<String, usize> = BTreeMap::new();
    for (number, defect) in defects.enumerate() {
        let room = stage::room(20 + number);
        let before = harness.slack.calls().len();
        let wording = defect.wordings.first().context("the defect has no wording")?;
        let thread = harness.slack.person(stage::ASKER).post(&room, &format!("@longshore {wording}"))?;
        let turn = harness.wait_for_turn(&room, &thread, 1, TURN_LIMIT).await?;
        sleep(LAST_CALLS).await;
        let calls = harness.slack.calls().split_off(before);
        figure.samples.push(f64::from(u32::try_from(calls.len())?));
        for call in calls {
            *methods.entry(call.method).or_default() += 1;
        }
        let ended = turn.took(Phase::FinalReply).context("the turn has no final reply")?;
        figure.notes.push(format!("{}: {} in {:.1} s.", defect.id, turn.outcome, stage::millis_to_seconds(ended)));
    }
    let told: Vec<String> = methods.iter().map(|(method, count)| format!("{method} {count}")).collect();
    figure.notes.push(format!("All turns together: {}.", told.join(", ")));
    Ok(vec![figure])
}
