//! What is measured together, because it needs the same service.

mod acknowledging;
mod crowd;
mod images;
mod many;
mod pool;
mod resting;
mod sessions;
mod snapshots;

use anyhow::Result;
use longshore_harness::{Harness, Options};

use crate::{
    by_hand::ByHand,
    figure::{Figure, Name, Selection},
    report::Report,
    stage,
};

/// Measured beside one service, one after the other.
const ALONE: [Name; 9] = [
    Name::IdleRss,
    Name::Ack,
    Name::Cold,
    Name::SlackCalls,
    Name::SnapshotSmall,
    Name::SnapshotLarge,
    Name::ImageNoop,
    Name::ImageOneCommit,
    Name::ImageFull,
];

/// Measures everything that is selected. What fails is in the report, and the rest goes on.
pub async fn play(selection: &Selection, report: &mut Report) {
    if selection.has_any(&ALONE)
        && let Err(error) = one_service(selection, report).await
    {
        report.failed("one service", &error);
    }
    let pool = [Name::Warm, Name::PoolRefill];
    if selection.has_any(&pool) {
        println!("\na service with a warm pool");
        take_all(&pool, only(selection, pool::measure().await), report);
    }
    if selection.has(Name::Resume) {
        println!("\na service that pauses what is quiet");
        take_all(&[Name::Resume], resting::resume().await, report);
    }
    if selection.has(Name::Restore) {
        println!("\na service that puts to sleep what is quiet");
        take_all(&[Name::Restore], resting::restore().await, report);
    }
    let crowd = [Name::CrowdAck, Name::CrowdRss];
    if selection.has_any(&crowd) {
        println!("\na crowd");
        take_all(&crowd, only(selection, crowd::measure().await), report);
    }
    if selection.has_any(&[Name::ManyRss, Name::ManyCpu]) {
        println!("\nmany sessions");
        let figures = many::measure().await;
        take_all(&[Name::ManyRss, Name::ManyCpu], figures, report);
    }
}

async fn one_service(selection: &Selection, report: &mut Report) -> Result<()> {
    println!("\none service");
    beside(stage::options(), async |harness, hand| {
        all_alone(selection, report, harness, hand).await;
        Ok(())
    })
    .await
}

async fn all_alone(selection: &Selection, report: &mut Report, harness: &Harness, hand: &ByHand) {
    // What looks at a service that has done nothing comes first.
    if selection.has(Name::IdleRss) {
        take_all(&[Name::IdleRss], sessions::idle_rss(harness).await, report);
    }
    if selection.has(Name::Ack) {
        take_all(&[Name::Ack], acknowledging::measure(harness).await, report);
    }
    if selection.has(Name::Cold) {
        take_all(&[Name::Cold], sessions::cold(harness, hand).await, report);
    }
    if selection.has(Name::SlackCalls) {
        take_all(&[Name::SlackCalls], sessions::slack_calls(harness).await, report);
    }
    let snapshots = [Name::SnapshotSmall, Name::SnapshotLarge];
    for name in snapshots.into_iter().filter(|name| selection.has(*name)) {
        take_all(&[name], snapshots::measure(name, harness, hand).await, report);
    }
    let images = [Name::ImageNoop, Name::ImageOneCommit, Name::ImageFull];
    if selection.has_any(&images) {
        take_all(&images, images::measure(selection, harness, hand).await, report);
    }
}

/// Those of the figures that are selected.
fn only(selection: &Selection, figures: Result<Vec<Figure>>) -> Result<Vec<Figure>> {
    figures.map(|figures| figures.into_iter().filter(|figure| selection.has(figure.name)).collect())
}

/// A harness with an engine beside it, closed whatever comes of `act`.
async fn beside<T>(options: Options, act: impl AsyncFnOnce(&Harness, &ByHand) -> Result<T>) -> Result<T> {
    let harness = Harness::start(options).await?;
    let hand = match ByHand::beside(&harness).await {
        Ok(hand) => hand,
        Err(error) => {
            harness.give_up().await;
            return Err(error);
        }
    };
    let acted = act(&harness, &hand).await;
    let closed = hand.close().await;
    let stopped = harness.stop().await;
    let acted = acted?;
    closed.and(stopped)?;
    Ok(acted)
}

/// Takes up figures, or the reason why there are none.
fn take_all(names: &[Name], figures: Result<Vec<Figure>>, report: &mut Report) {
    let fail = |error: &anyhow::Error, report: &mut Report| {
        for name in names {
            println!("✗ {name}: {error:#}");
            report.failed(name.as_str(), error);
        }
    };
    match figures {
        Ok(figures) => {
            for figure in figures {
                println!("✓ {}: {:?}", figure.name, figure.samples.iter().take(8).collect::<Vec<_>>());
                if let Err(error) = report.add(figure) {
                    fail(&error, report);
                }
            }
        }
        Err(error) => fail(&error, report),
    }
}
