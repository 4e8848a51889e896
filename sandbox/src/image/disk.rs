//! What a build writes, watched: an engine without quotas would let it fill the disk that everybody works on.

use std::time::Duration;

use longshore_session::SandboxId;
use tokio::time::Instant;

use super::{BuildStep, Progress};
use crate::DockerEngine;

const FIRST_LOOK: Duration = Duration::from_secs(2);
/// The engine walks all files for an answer: that must not become the build's main work.
const SHARE: u32 = 20;

/// Resolves with the bytes written, once they are more than `most`. What runs after the last command is no longer looked at.
pub(super) async fn outgrown(engine: &DockerEngine, build: &SandboxId, progress: &Progress, most: u64) -> u64 {
    let mut pause = FIRST_LOOK;
    loop {
        tokio::time::sleep(pause).await;
        if progress.at() > Some(BuildStep::Vocabulary) {
            std::future::pending::<()>().await;
        }
        let begun = Instant::now();
        match engine.written(build).await {
            Ok(written) if written > most => return written,
            Ok(_) => {}
            // It is not there yet, or not any more; an engine that does not answer is the build's to report.
            Err(error) => tracing::debug!(sandbox = %build, %error, "what a build has written is not known"),
        }
        pause = FIRST_LOOK.max(begun.elapsed() * SHARE);
    }
}
