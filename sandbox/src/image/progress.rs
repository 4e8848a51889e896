//! How far a build is.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::BuildStep;

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTiming {
    pub step: BuildStep,
    pub took: Duration,
}

/// How far a build is, for whoever wants to know, also when it failed.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Steps>>);

#[derive(Debug, Default)]
struct Steps {
    done: Vec<StepTiming>,
    entered: Option<(BuildStep, Instant)>,
}

impl Progress {
    /// The steps that have ended, in their order.
    pub fn steps(&self) -> Vec<StepTiming> {
        self.lock().done.clone()
    }

    /// The step that the build is at.
    pub fn at(&self) -> Option<BuildStep> {
        self.lock().entered.map(|(step, _)| step)
    }

    /// Enters a step: the one before ends here.
    pub(super) fn enter(&self, step: BuildStep) {
        self.leave();
        self.lock().entered = Some((step, Instant::now()));
    }

    /// Ends the step, and notes how long it took.
    pub(super) fn leave(&self) {
        let mut steps = self.lock();
        if let Some((step, begun)) = steps.entered.take() {
            steps.done.push(StepTiming { step, took: begun.elapsed() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
