//! What all tasks of one emulator share: the state behind its lock, the way out to the app, the hints to people's clients.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::changes::Change;
use super::delivery::Dispatcher;
use super::state::State;

/// Hints kept for a slow client; one that lags further is told to read all again.
const MOST_CHANGES: usize = 1024;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) dispatcher: Dispatcher,
    pub(super) changes: broadcast::Sender<Change>,
    /// Counts the changes; whoever waits for a condition looks again when it moves.
    pub(super) version: watch::Sender<u64>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self {
            dispatcher: Dispatcher::new(state.setup.clone()),
            state: Mutex::new(state),
            changes: broadcast::channel(MOST_CHANGES).0,
            version: watch::channel(0).0,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// One step of the workspace: changes it, then sends on what the change caused, in order.
    pub(super) fn act<T>(self: &Arc<Self>, step: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let out = step(&mut state);
        let events = std::mem::take(&mut state.outgoing);
        let changes = std::mem::take(&mut state.changes);
        for event in events {
            Dispatcher::send_event(self, event);
        }
        for mut change in changes {
            self.version.send_modify(|version| {
                *version += 1;
                change.seq = *version;
            });
            // Nobody listening is no failure.
            let _ = self.changes.send(change);
        }
        drop(state);
        self.touched();
        out
    }

    /// Wakes whoever waits for a condition.
    pub(super) fn touched(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}
