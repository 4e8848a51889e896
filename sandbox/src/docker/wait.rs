//! Waiting for a sandbox's end, over whatever happens to the engine meanwhile.

use std::time::Duration;

use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt;
use longshore_session::SandboxId;

use super::DockerEngine;
use crate::{EngineError, Exit, SandboxState};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long one question stays open. A connection can die without a word; the next question finds out.
const PATIENCE: Duration = Duration::from_secs(60);

impl DockerEngine {
    pub(super) async fn wait_for_end(&self, id: &SandboxId) -> Exit {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.look_at(id).await {
                Ok(info) => match info.state {
                    SandboxState::Ended(exit) => return exit,
                    SandboxState::Running { .. } | SandboxState::Paused { .. } => pause = FIRST_PAUSE,
                },
                Err(EngineError::NoSuchSandbox { .. }) => {
                    return if self.remember(|memory| memory.ended_by_us.contains(id)) { Exit::Stopped } else { Exit::Gone };
                }
                Err(error) => {
                    tracing::warn!(sandbox = %id, %error, "cannot see how a sandbox does; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            }
            let options = WaitContainerOptions { condition: "not-running".to_owned() };
            let mut ends = Box::pin(self.client().docker.wait_container(&self.container_name(id), Some(options)));
            // A status other than 0 comes as an error here, as does a lost connection. What is true, the next look shows.
            let begun = tokio::time::Instant::now();
            let _ = tokio::time::timeout(PATIENCE, ends.next()).await;
            if begun.elapsed() < FIRST_PAUSE {
                tokio::time::sleep(FIRST_PAUSE).await;
            }
        }
    }
}
