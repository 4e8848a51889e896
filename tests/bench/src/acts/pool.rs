//! A mention that finds a sandbox waiting, and the pool that fills up again behind it.

use anyhow::{Context, Result, bail, ensure};
use longshore_harness::Harness;
use longshore_sandbox::Engine;
use longshore_session::{Event, SandboxOrigin};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::{beside, sessions};
use crate::{
    by_hand::ByHand,
    figure::{Figure, Name},
    stage,
};

const SAMPLES: usize = 8;
const FILL_LIMIT: Duration = Duration::from_secs(180);
/// One entry waits; while another is made in its place, the one is claimed.
const CONFIGURATION: &str = "[pool]\nmax = 1\nmemory_mb = 2000\n";

/// Both figures of the pool.
pub async fn measure() -> Result<Vec<Figure>> {
    let mut options = stage::options();
    options.pool.insert(stage::REPOSITORY.to_owned(), 1);
    options.configuration = CONFIGURATION.to_owned();
    beside(options, with_pool).await
}

async fn with_pool(harness: &Harness, hand: &ByHand) -> Result<Vec<Figure>> {
    stage::answer_shortly(harness);
    let mut warm = Figure::new(
        Name::Warm,
        "From a mention in Slack to the first main request with its words at the model; the sandbox waited in the warm pool, and words work out the repository.",
    );
    let mut refill = Figure::new(Name::PoolRefill, "From a mention that claims the pool's one entry until another one waits in its place.");
    let (mut warm_floor, mut refill_floor) = (Vec::new(), Vec::new());
    for round in 0..=SAMPLES {
        let entry = waiting(harness, None).await?;
        let (made, took) = by_hand(harness, hand).await?;
        let asked_at = stage::now_ms();
        let asked = sessions::mention(harness, &stage::room(round)).await?;
        was_claimed(harness, &stage::room(round)).await?;
        let next = waiting(harness, Some(&entry.sandbox)).await?;
        // The first round fills the machine's caches, for both.
        if round > 0 {
            warm.samples.push(asked.took);
            asked.tell_parts(&mut warm);
            warm_floor.push(took);
            refill.samples.push(stage::span(asked_at, next.ready));
            refill.part("waiting for the session", stage::span(asked_at, next.created));
            refill.part("making", stage::span(next.created, next.ready));
            refill_floor.push(made);
        }
    }
    let what =
        "the same kind of entry by hand (its conversation is open already): unpause, `session/prompt`, until the request is at the model.";
    warm.floor = Some((what.to_owned(), warm_floor));
    let what = "making such an entry by hand: create, start, prime, pause.";
    refill.floor = Some((what.to_owned(), refill_floor));
    Ok(vec![warm, refill])
}

/// Milliseconds of making an entry by hand, and of its first prompt's way to the model.
async fn by_hand(harness: &Harness, hand: &ByHand) -> Result<(f64, f64)> {
    let image = harness.image(stage::REPOSITORY).await?;
    let manifest = stage::manifest()?;
    let begun = stage::now_ms();
    let mut sandbox = hand.pooled(&image, &manifest).await?;
    let made = stage::span(begun, stage::now_ms());
    let measured = async {
        let begun = stage::now_ms();
        hand.engine.resume(&sandbox.id).await?;
        anyhow::Ok(stage::span(begun, sandbox.ask(harness).await?))
    };
    let measured = measured.await;
    hand.remove(&sandbox.id).await?;
    Ok((made, measured?))
}

/// An entry that can be claimed.
struct Entry {
    sandbox: String,
    created: i64,
    ready: i64,
}

/// Waits for an entry, other than the one that is named.
async fn waiting(harness: &Harness, other_than: Option<&str>) -> Result<Entry> {
    let deadline = Instant::now() + FILL_LIMIT;
    loop {
        let pool = harness.service.get("/v1/pool").await?;
        let entries = pool["entries"].as_array().context("GET /v1/pool has another shape")?;
        if let Some(entry) = entries.iter().filter_map(entry).find(|entry| Some(entry.sandbox.as_str()) != other_than) {
            return Ok(entry);
        }
        ensure!(Instant::now() < deadline, "no sandbox waits after {} s: {pool}", FILL_LIMIT.as_secs());
        sleep(Duration::from_millis(100)).await;
    }
}

fn entry(row: &Value) -> Option<Entry> {
    Some(Entry { sandbox: row["sandbox"].as_str()?.to_owned(), created: row["created"].as_i64()?, ready: row["ready"]["since"].as_i64()? })
}

/// Errors where the newest session of the room had to start a sandbox: then it was no warm one that was measured.
async fn was_claimed(harness: &Harness, room: &str) -> Result<()> {
    let session = harness.sessions().await?.into_iter().find(|session| session.thread.channel == room).context("there is no session")?;
    for event in harness.events(&session.id).await? {
        if let Event::TurnRunning { origin, .. } = event {
            match origin {
                SandboxOrigin::Claimed => return Ok(()),
                other => bail!("the sandbox came from elsewhere: {other:?}"),
            }
        }
    }
    bail!("the turn had no sandbox")
}
