//! What is measured together, because it needs the same service.

mod acknowledging;
mod images;
mod many;
mod sessions;
mod snapshots;

use anyhow::Result;
use longshore_harness::Harness;

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
    if selection.has_any(&[Name::ManyRss, Name::ManyCpu]) {
        println!("\nmany sessions");
        let figures = many::measure().await;
        take_all(&[Name::ManyRss, Name::ManyCpu], figures, report);
    }
}

async fn one_service(selection: &Selection, report: &mut Report) -> Result<()> {
    println!("\none service");
    let harness = Harness::start(stage::options()).await?;
    let hand = match ByHand::beside(&harness).await {
        Ok(hand) => hand,
        Err(error) => {
            harness.give_up().await;
            return Err(error);
        }
    };
    // What looks at a service that has done nothing comes first.
    if selection.has(Name::IdleRss) {
        take_all(&[Name::IdleRss], sessions::idle_rss(&harness).await, report);
    }
    if selection.has(Name::Ack) {
        take_all(&[Name::Ack], acknowledging::measure(&harness).await, report);
    }
    if selection.has(Name::Cold) {
        take_all(&[Name::Cold], sessions::cold(&harness, &hand).await, report);
    }
    if selection.has(Name::SlackCalls) {
        take_all(&[Name::SlackCalls], sessions::slack_calls(&harness).await, report);
    }
    let snapshots = [Name::SnapshotSmall, Name::SnapshotLarge];
    for name in snapshots.into_iter().filter(|name| selection.has(*name)) {
        take_all(&[name], snapshots::measure(name, &harness, &hand).await, report);
    }
    let images = [Name::ImageNoop, Name::ImageOneCommit, Name::ImageFull];
    if selection.has_any(&images) {
        take_all(&images, images::measure(selection, &harness, &hand).await, report);
    }
    let closed = hand.close().await;
    harness.stop().await.and(closed)
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
