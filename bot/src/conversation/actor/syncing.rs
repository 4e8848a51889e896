//! The sandbox is brought up beside the agent, which only reads until then.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use longshore_agent::Permissions;
use longshore_sandbox::SandboxState;
use longshore_session::{Checkout, Command, Prompt, PullRequestEnd, SandboxId, SandboxOrigin, TurnFailure, TurnId, Writes};
use tracing::Instrument;

use super::{Actor, Done, Link, turn::Tried};
use crate::conversation::prepare::{self, Base};

/// From a prompt to the model request of an agent that is up.
const HEAD_START: Duration = Duration::from_millis(100);

impl Actor {
    pub(super) fn sync(&mut self, turn: TurnId, prompt: &Prompt, sandbox: SandboxId, checkout: Checkout) {
        let base = match self.state.pull_request_end {
            Some(PullRequestEnd::Merged) => Base::TakenIn,
            Some(PullRequestEnd::Closed) | None => Base::Left,
        };
        let (app, record, author) = (Arc::clone(&self.app), self.record.clone(), prompt.author.clone());
        // Nothing can be written before the model has answered: an agent that is up already gets to it undisturbed.
        let head_start = match self.view.turn(turn).origin {
            SandboxOrigin::Claimed | SandboxOrigin::Kept => HEAD_START,
            SandboxOrigin::Started | SandboxOrigin::Restored { .. } | SandboxOrigin::Rebuilt { .. } => Duration::ZERO,
        };
        let task = async move {
            tokio::time::sleep(head_start).await;
            Done::Synced { turn, result: prepare::sync(&app, &record, &author, &sandbox, (checkout, base)).await }
        };
        self.syncing = Some(self.tasks.spawn(task.in_current_span()));
    }

    pub(super) async fn synced(&mut self, turn: TurnId, result: Result<(), TurnFailure>) -> Result<()> {
        self.syncing = None;
        match result {
            Ok(()) => self.apply(Command::Synced { turn, at: self.app.clock.now() }).await,
            Err(failure) => {
                // A sandbox that ended under the sync before its agent came up may have a bad image.
                if let Some(why) = self.ended_while_starting().await
                    && self.try_another(&why).await? == Tried::Another
                {
                    return Ok(());
                }
                // Nothing was written in it, and nobody knows what it is worth.
                self.cancel_agent(turn);
                self.condemned.clone_from(&self.sandbox);
                self.apply(Command::SyncFailed { turn, failure }).await
            }
        }
    }

    /// How the sandbox ended, where its agent had yet to come up.
    async fn ended_while_starting(&self) -> Option<String> {
        let sandbox = self.sandbox.as_ref().filter(|_| self.is_starting())?;
        match self.app.engine.inspect(sandbox).await.ok()?.state {
            SandboxState::Ended(exit) => Some(exit.words()),
            SandboxState::Running { .. } | SandboxState::Paused { .. } => None,
        }
    }

    /// Ends a sync that nobody waits for any more. Gives whether there is something to save in the sandbox.
    pub(super) fn leave_sync(&mut self, turn: TurnId) -> bool {
        if let Some(task) = self.syncing.take() {
            task.abort();
        }
        let Some(sandbox) = &self.sandbox else { return false };
        if self.state.has_checkout_in(sandbox) {
            return true;
        }
        // Half brought up, perhaps, and still at it.
        tracing::info!(%turn, %sandbox, "the turn ended before its sandbox was in sync");
        self.condemned = Some(sandbox.clone());
        false
    }

    /// Sets the gate of the session's sandbox to what is stored, and answers an agent that asks by the protocol and not by our hook.
    pub(super) fn tell_gate(&mut self) {
        let writes = self.state.writes();
        if let Link::Ready { agent, sandbox } = &mut self.link
            && let Err(error) = agent.permit(permissions(&writes))
        {
            // What is not answered stays held: the next thing that is stored tells it again.
            tracing::warn!(%sandbox, %error, "the agent cannot be told what it may do");
        }
        if let Some(sandbox) = &self.sandbox {
            self.app.gates.set(sandbox, writes);
        }
    }
}

/// What an agent without our hook is answered.
pub(super) fn permissions(writes: &Writes) -> Permissions {
    match writes {
        Writes::Allowed => Permissions::Granted,
        Writes::Held => Permissions::Held,
        Writes::Refused(_) => Permissions::Refused,
    }
}
