//! Keeping a sandbox's file system.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use longshore_harness::Harness;
use longshore_sandbox::{Engine, Exec};
use longshore_session::SandboxId;

use crate::{
    by_hand::ByHand,
    docker::docker,
    figure::{Figure, Name},
    stage,
};

/// What a sandbox changed.
struct Change {
    megabytes: u32,
    /// Bytes of each file.
    file: u32,
    samples: usize,
}

/// `name` is one of the two figures of snapshots.
pub async fn measure(name: Name, harness: &Harness, hand: &ByHand) -> Result<Vec<Figure>> {
    let change = match name {
        Name::SnapshotLarge => Change { megabytes: 500, file: 25_000, samples: 2 },
        _ => Change { megabytes: 10, file: 100_000, samples: 5 },
    };
    let Change { megabytes, file, .. } = change;
    let mut figure = Figure::new(
        name,
        format!("`Engine::snapshot` of a running sandbox after a change of {megabytes} MB in {} files.", megabytes * 1_000_000 / file),
    );
    let image = harness.image(stage::REPOSITORY).await?;
    let sandbox = hand.start_idle(&image, &stage::manifest()?).await?;
    let measured = in_sandbox(&sandbox, &change, hand, &mut figure).await;
    hand.remove(&sandbox).await?;
    measured?;
    Ok(vec![figure])
}

async fn in_sandbox(sandbox: &SandboxId, change: &Change, hand: &ByHand, figure: &mut Figure) -> Result<()> {
    let write = format!(
        "mkdir /workspace/change && cd /workspace/change && head -c {}000000 /dev/urandom | split -a 5 -b {} - part",
        change.megabytes, change.file
    );
    let written = hand.engine.exec(sandbox, Exec::shell(write).timeout(Duration::from_secs(120))).await?;
    if !written.succeeded() {
        bail!("the change could not be made: {}", written.stderr_text());
    }
    let listed = docker(&["ps", "--quiet", "--no-trunc", "--filter", &format!("name={sandbox}")]).await?;
    let container = listed.lines().next().context("the sandbox has no container")?.to_owned();
    let mut floor = Vec::new();
    for _ in 0..change.samples {
        let begun = Instant::now();
        let committed = docker(&["commit", &container]).await?;
        floor.push(stage::millis(begun.elapsed()));
        docker(&["image", "rm", "--force", committed.trim()]).await?;

        let begun = Instant::now();
        let snapshot = hand.engine.snapshot(sandbox, Vec::new()).await?;
        figure.samples.push(stage::millis(begun.elapsed()));
        if snapshot.bytes < u64::from(change.megabytes) * 1_000_000 {
            bail!("the snapshot holds {} bytes, less than was written", snapshot.bytes);
        }
        hand.engine.remove_image(&snapshot.image).await?;
    }
    figure.floor = Some(("`docker commit` of the same container, paused meanwhile.".to_owned(), floor));
    Ok(())
}
