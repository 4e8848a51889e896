//! Slack's events, as fast as a busy workspace sends them.

use std::{io::Write, time::Duration};

use anyhow::{Context, Result, bail};
use longshore_harness::Harness;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    figure::{Figure, Name},
    stage,
};

const PER_SECOND: u32 = 100;
const SECONDS: u32 = 20;
const FLOOR_SECONDS: u32 = 5;
/// For the last acknowledgements.
const LAST_ONES: Duration = Duration::from_secs(15);

/// People talk in all rooms at once; each of their posts is an event, on disk before it is acknowledged.
pub async fn measure(harness: &Harness) -> Result<Vec<Figure>> {
    let mut figure = Figure::new(
        Name::Ack,
        format!(
            "From sending an event to its acknowledgement over Socket Mode, {PER_SECOND} events a second for {SECONDS} s; each is on disk by then."
        ),
    );
    let floor = floor(harness).await?;
    let what = format!(
        "ask the same service for its health, then append a line of an event's size to a file in its data folder and flush that to disk, {PER_SECOND} a second for {FLOOR_SECONDS} s."
    );
    figure.floor = Some((what, floor));

    let before = harness.slack.deliveries().len();
    let person = harness.slack.person(stage::ASKER);
    let mut tick = interval(Duration::from_secs(1) / PER_SECOND);
    // A tick that came late is made up for: the number of events counts.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let posts = PER_SECOND * SECONDS;
    for number in 0..posts {
        tick.tick().await;
        person.post(&stage::room(number as usize), &format!("just talking, number {number}"))?;
    }
    let sent_for = begun.elapsed();
    let deadline = Instant::now() + LAST_ONES;
    let deliveries = loop {
        let deliveries = harness.slack.deliveries().split_off(before);
        if deliveries.len() >= posts as usize && deliveries.iter().all(longshore_emulators::slack::DeliveryRecord::is_acknowledged) {
            break deliveries;
        }
        if Instant::now() > deadline {
            let open = deliveries.iter().filter(|delivery| !delivery.is_acknowledged()).count();
            bail!("{open} of {} events are not acknowledged", deliveries.len());
        }
        sleep(Duration::from_millis(100)).await;
    };
    for delivery in &deliveries {
        let first = delivery.attempts.first().context("an event was never sent")?;
        let after = first.acknowledged_after_us.context("an event was not acknowledged at its first attempt")?;
        figure.samples.push(stage::millis(Duration::from_micros(after)));
    }
    figure.notes.push(format!("{} events in {:.1} s.", deliveries.len(), sent_for.as_secs_f64()));
    Ok(vec![figure])
}

/// What any way to the service and onto this disk costs at the least.
async fn floor(harness: &Harness) -> Result<Vec<f64>> {
    let path = harness.service.data_folder().join("floor.tmp");
    let mut file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let configuration = stage::configuration(harness)?;
    let listen = configuration["http"].get("listen").and_then(toml::Value::as_str).context("the service listens nowhere")?;
    let health = format!("http://{listen}/healthz");
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut samples = Vec::new();
    let mut tick = interval(Duration::from_secs(1) / PER_SECOND);
    for _ in 0..PER_SECOND * FLOOR_SECONDS {
        tick.tick().await;
        let begun = Instant::now();
        client.get(&health).send().await?.error_for_status()?.bytes().await?;
        tokio::task::block_in_place(|| {
            file.write_all(&[b'x'; 800])?;
            file.sync_data()
        })?;
        samples.push(stage::millis(begun.elapsed()));
    }
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(samples)
}
