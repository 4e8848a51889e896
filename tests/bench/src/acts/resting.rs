//! A follow-up in a thread whose sandbox rests: paused, or put to sleep as a snapshot.

use anyhow::{Context, Result, bail, ensure};
use longshore_harness::{Harness, TURN_LIMIT, TurnReport};
use longshore_sandbox::Engine;
use longshore_session::{Event, Phase, SandboxOrigin};
use tokio::time::{Duration, Instant, sleep};

use super::{beside, sessions::tell_parts};
use crate::{
    by_hand::ByHand,
    docker::docker,
    figure::{Figure, Name},
    stage,
};

const RESUME_SAMPLES: usize = 8;
const RESTORE_SAMPLES: usize = 4;
/// Three seconds after a turn.
const PAUSES: &str = "[sandboxes]\npause_minutes = 0.05\n";
/// Six seconds after a turn.
const SLEEPS: &str = "[sandboxes]\npause_minutes = 0.05\nidle_minutes = 0.1\n";
const REST_LIMIT: Duration = Duration::from_secs(120);

/// How long a paused sandbox takes to be of use again.
pub async fn resume() -> Result<Vec<Figure>> {
    let mut options = stage::options();
    options.configuration = PAUSES.to_owned();
    beside(options, paused).await.map(|figure| vec![figure])
}

async fn paused(harness: &Harness, hand: &ByHand) -> Result<Figure> {
    stage::answer_shortly(harness);
    let mut figure =
        Figure::new(Name::Resume, "From the receipt of a reply to a sandbox that runs again, which was paused after the turn before.");
    let mut floor = Vec::new();
    let by_hand = hand.start_idle(&harness.image(stage::REPOSITORY).await?, &stage::manifest()?).await?;
    let thread = Thread::open(harness, &stage::room(0)).await?;
    for turn in 2..=RESUME_SAMPLES + 2 {
        thread.wait_until(harness, "paused").await?;
        hand.engine.pause(&by_hand).await?;
        let begun = Instant::now();
        hand.engine.resume(&by_hand).await?;
        let took = stage::millis(begun.elapsed());
        let (_, report) = thread.reply(harness, turn).await?;
        thread.came_from(harness, turn, |origin| *origin == SandboxOrigin::Kept).await?;
        // The first round fills the machine's caches, for both.
        if turn > 2 {
            floor.push(took);
            let ready = report.took(Phase::SandboxReady).context("the turn had no sandbox")?;
            figure.samples.push(stage::span(0, ready));
            let request = report.took(Phase::FirstModelRequest).context("the turn asked no model")?;
            figure.part("sandbox_ready", stage::span(0, ready));
            figure.part("first_model_request", stage::span(ready, request));
        }
    }
    hand.remove(&by_hand).await?;
    figure.floor = Some(("`Engine::resume` of a paused sandbox by hand.".to_owned(), floor));
    figure.notes.push("The part behind it is what the prompt then takes to the model; it is not in the figure.".to_owned());
    Ok(figure)
}

/// How long a session that is asleep takes to be at work again.
pub async fn restore() -> Result<Vec<Figure>> {
    let mut options = stage::options();
    options.configuration = SLEEPS.to_owned();
    beside(options, asleep).await.map(|figure| vec![figure])
}

async fn asleep(harness: &Harness, hand: &ByHand) -> Result<Figure> {
    stage::answer_shortly(harness);
    let mut figure = Figure::new(
        Name::Restore,
        "From a reply to the first main request with its words at the model; the session was asleep, and its sandbox is started from its snapshot.",
    );
    let mut floor = Vec::new();
    let thread = Thread::open(harness, &stage::room(0)).await?;
    for turn in 2..=RESTORE_SAMPLES + 2 {
        thread.wait_until(harness, "gone").await?;
        let by_hand = restore_by_hand(harness, hand).await?;
        let (took, report) = thread.reply(harness, turn).await?;
        thread.came_from(harness, turn, |origin| matches!(origin, SandboxOrigin::Restored { .. })).await?;
        // The first round fills the machine's caches, for both.
        if turn > 2 {
            floor.push(by_hand);
            figure.samples.push(took);
            tell_parts(&report, &mut figure);
        }
    }
    let what = "a snapshot by hand: create and start a sandbox from it, `initialize`, `session/resume`, `session/prompt`, until the request is at the model.";
    figure.floor = Some((what.to_owned(), floor));
    Ok(figure)
}

async fn restore_by_hand(harness: &Harness, hand: &ByHand) -> Result<f64> {
    let (image, manifest) = (harness.image(stage::REPOSITORY).await?, stage::manifest()?);
    let mut before = hand.start(&image, &manifest).await?;
    before.prompt(1, &stage::question().0, None).await?;
    before.answered(1).await?;
    let conversation = before.agent.session().context("the agent has no conversation")?.clone();
    let snapshot = hand.engine.snapshot(&before.id, Vec::new()).await?;
    hand.remove(&before.id).await?;

    let (text, mark) = stage::question();
    let from = harness.model().requests().len();
    let begun = stage::now_ms();
    let mut sandbox = hand.start(snapshot.image.as_str(), &manifest).await?;
    let measured = async {
        sandbox.prompt(2, &text, Some(conversation)).await?;
        let reached = stage::model_request(harness, from, &mark).await?;
        sandbox.answered(2).await?;
        anyhow::Ok(stage::span(begun, reached))
    };
    let measured = measured.await;
    hand.remove(&sandbox.id).await?;
    hand.engine.remove_image(&snapshot.image).await?;
    measured
}

/// A thread that is gone on with.
struct Thread {
    room: String,
    root: String,
    session: String,
}

impl Thread {
    async fn open(harness: &Harness, room: &str) -> Result<Self> {
        let root = harness.slack.person(stage::ASKER).post(room, &format!("@longshore {}", stage::question().0))?;
        harness.wait_for_turn(room, &root, 1, TURN_LIMIT).await?;
        let session = harness.session_of(room, &root).await?.id;
        Ok(Self { room: room.to_owned(), root, session })
    }

    /// Asks on; milliseconds from the reply to the model's request, and the turn.
    async fn reply(&self, harness: &Harness, turn: usize) -> Result<(f64, TurnReport)> {
        let (text, mark) = stage::question();
        let from = harness.model().requests().len();
        let asked = stage::now_ms();
        harness.slack.person(stage::ASKER).reply(&self.room, &self.root, &format!("@longshore {text}"))?;
        let reached = stage::model_request(harness, from, &mark).await?;
        let report = harness.wait_for_turn(&self.room, &self.root, u32::try_from(turn)?, TURN_LIMIT).await?;
        Ok((stage::span(asked, reached), report))
    }

    /// Waits until the session's sandbox is `paused`, or `gone`.
    async fn wait_until(&self, harness: &Harness, wanted: &str) -> Result<()> {
        let deadline = Instant::now() + REST_LIMIT;
        loop {
            let sandbox = self.sandbox(harness).await?;
            let listed = docker(&["ps", "--all", "--filter", &format!("name={sandbox}"), "--format", "{{.State}}"]).await?;
            let state = listed.lines().next().unwrap_or("gone");
            if state == wanted {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{sandbox} is {state} and not {wanted} after {} s", REST_LIMIT.as_secs());
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn sandbox(&self, harness: &Harness) -> Result<String> {
        let turns = harness.turns(&self.session).await?;
        turns.into_iter().rev().find_map(|turn| turn.sandbox).context("no turn had a sandbox")
    }

    /// Errors where the turn's sandbox came from elsewhere: then it was something else that was measured.
    async fn came_from(&self, harness: &Harness, turn: usize, wanted: impl Fn(&SandboxOrigin) -> bool) -> Result<()> {
        for event in harness.events(&self.session).await? {
            if let Event::TurnRunning { turn: of, origin, .. } = event
                && usize::try_from(of.0)? == turn
            {
                if wanted(&origin) {
                    return Ok(());
                }
                bail!("the sandbox of turn {turn} came from elsewhere: {origin:?}");
            }
        }
        bail!("turn {turn} had no sandbox")
    }
}
