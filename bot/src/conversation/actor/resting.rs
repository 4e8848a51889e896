//! The session's sandbox between turns: kept as a snapshot, paused, put to sleep.

use std::sync::Arc;

use anyhow::Result;
use longshore_sandbox::EngineError;
use longshore_session::{Activity, Phase, SandboxId, SnapshotRecord, TurnFailure, TurnId, TurnOutcome, fault_point};
use longshore_slack::Rest;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};
use tracing::Instrument;

use super::{Actor, DOZE, Done, Link};
use crate::{
    conversation::prepare::{self, Before},
    snapshots::{self, Moment},
};

/// Whether the sandbox stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Awake,
    Paused,
}

/// Whether others wait for the sandbox to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hurry {
    None,
    GiveWay,
}

/// What is to be known of the session's sandbox beyond that it is there.
pub(super) struct Resting {
    /// What the session would be restored from.
    snapshot: Option<SnapshotRecord>,
    /// The turn whose end no snapshot holds yet.
    due: Option<TurnId>,
    pace: Pace,
    hurry: Hurry,
    /// Held by whatever the sandbox must be left alone for.
    stillness: Arc<Mutex<()>>,
}

impl Default for Resting {
    fn default() -> Self {
        Self { snapshot: None, due: None, pace: Pace::Awake, hurry: Hurry::None, stillness: Arc::default() }
    }
}

impl Actor {
    /// After a restart of the service: what there is to restore from, and what is not kept yet.
    pub(super) async fn recall_snapshot(&mut self) -> Result<()> {
        self.resting.snapshot = self.app.store.newest_snapshot(self.record.id.clone()).await?;
        if let Some(sandbox) = &self.sandbox
            && let Some((turn, seen)) = self.view.turns.iter().rev().find(|(_, seen)| seen.outcome.is_some() && seen.sandbox.is_some())
            && seen.sandbox.as_ref() == Some(sandbox)
        {
            let is_kept = |kept: &SnapshotRecord| kept.facts.sandbox == *sandbox && kept.facts.through >= *turn;
            self.resting.due = (!self.resting.snapshot.as_ref().is_some_and(is_kept)).then_some(*turn);
        }
        Ok(())
    }

    pub(super) fn rest(&self) -> Rest {
        match (&self.sandbox, self.resting.pace, &self.resting.snapshot) {
            (Some(_), Pace::Awake, _) => Rest::Awake,
            (Some(_), Pace::Paused, _) => Rest::Paused,
            (None, _, Some(snapshot)) => Rest::Asleep { taken: snapshot.taken },
            (None, _, None) => Rest::Gone,
        }
    }

    /// The turn's end is told: what it left in the sandbox is to be kept, as soon as that is nobody's hindrance.
    pub(super) fn note_work(&mut self, turn: TurnId) {
        let is_usable = self.sandbox.is_some() && self.sandbox != self.condemned;
        if is_usable && self.view.turn(turn).sandbox == self.sandbox {
            self.resting.due = Some(turn);
        }
    }

    /// From now on the sandbox is idle, until a prompt comes.
    pub(super) fn begin_rest(&mut self) {
        let (now, settings) = (Instant::now(), &self.app.config.sandboxes);
        self.deadlines.pause = Some(now + settings.pause_after());
        self.deadlines.idle = Some(now + settings.sleep_after());
        if let Some(sandbox) = &self.sandbox {
            self.app.room.rest(sandbox);
        }
    }

    /// Others wait for a sandbox. Where this one is needed after all, it stays.
    pub(super) fn give_way(&mut self) {
        if self.state.activity == Activity::Idle && self.sandbox.is_some() && !self.is_leaving() {
            self.resting.hurry = Hurry::GiveWay;
            self.deadlines.idle = Some(Instant::now());
        }
    }

    /// What a turn's preparation has to know; it takes the sandbox over.
    pub(super) fn end_rest(&mut self, turn: TurnId) -> Before {
        // A turn that follows at once waits for the end of the one before to be kept, which is not long.
        self.keep_snapshot();
        self.deadlines.idle = None;
        self.deadlines.pause = None;
        self.resting.pace = Pace::Awake;
        self.resting.hurry = Hurry::None;
        Before {
            sandbox: self.sandbox.clone(),
            stillness: Arc::clone(&self.resting.stillness),
            due: self.due(),
            last: self.view.last_given(turn).map(|(last, _)| last),
            pull_request: self.state.pull_request.as_ref().filter(|_| self.state.pull_request_end.is_none()).map(|pull| pull.number),
        }
    }

    /// For work on the sandbox between turns.
    pub(super) fn stillness(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.resting.stillness)
    }

    fn due(&self) -> Option<Moment> {
        self.moment(self.resting.due?)
    }

    fn moment(&self, through: TurnId) -> Option<Moment> {
        let sandbox = self.sandbox.clone()?;
        let cursor = self.cursor.as_ref().filter(|cursor| cursor.sandbox == sandbox);
        Some(Moment { conversation: cursor.and_then(|cursor| cursor.agent_session.clone()), sandbox, through })
    }

    fn hold(&self) -> Option<OwnedMutexGuard<()>> {
        self.stillness().try_lock_owned().ok()
    }

    /// Takes the snapshot that is due. Where something else is done with the sandbox, the next look does it.
    pub(super) fn keep_snapshot(&mut self) {
        let Some(moment) = self.due() else { return };
        let Some(held) = self.hold() else { return };
        self.resting.due = None;
        let (app, session) = (Arc::clone(&self.app), self.record.id.clone());
        let task = async move {
            let result = snapshots::take(&app, &session, moment.clone()).await;
            drop(held);
            Done::Kept { moment, result }
        };
        self.tasks.spawn(task.in_current_span());
    }

    pub(super) fn kept(&mut self, moment: Moment, result: Result<Option<SnapshotRecord>>) {
        match result {
            Ok(snapshot) => self.resting.snapshot = snapshot.or(self.resting.snapshot.take()),
            // Before the sandbox goes it is tried again.
            Err(error) => {
                tracing::warn!(sandbox = %moment.sandbox, error = format!("{error:#}"), "no snapshot could be taken");
                if self.sandbox.as_ref() == Some(&moment.sandbox) {
                    self.resting.due = self.resting.due.max(Some(moment.through));
                }
            }
        }
        if self.resting.hurry == Hurry::GiveWay && self.state.activity == Activity::Idle && self.sandbox.is_some() {
            self.deadlines.idle = Some(Instant::now());
        }
    }

    /// A sandbox that ended, or is ended here: its files are there still, as far as they are not kept.
    pub(super) fn keep_ended(&mut self, sandbox: SandboxId, moment: Option<Moment>) {
        self.resting.due = None;
        let (app, session, stillness) = (Arc::clone(&self.app), self.record.id.clone(), self.stillness());
        // Now, if that can be: a prompt that comes next shall find what is kept here.
        let held = self.hold();
        let task = async move {
            let held = match held {
                Some(held) => held,
                None => stillness.lock_owned().await,
            };
            let result = match moment.clone() {
                Some(moment) => snapshots::take(&app, &session, moment).await,
                None => Ok(None),
            };
            prepare::discard(&app, &sandbox).await;
            drop(held);
            let moment = moment.unwrap_or(Moment { sandbox, through: TurnId(0), conversation: None });
            Done::Kept { moment, result }
        };
        self.tasks.spawn(task.in_current_span());
    }

    /// What is not kept of a sandbox that ended. Its files are there still, and with them what a turn did in it so far, and the agent's own account of that.
    pub(super) fn due_of_ended(&self) -> Option<Moment> {
        match &self.state.activity {
            Activity::Idle => self.due(),
            // Whoever prepares the turn sees to it.
            Activity::Preparing { .. } => None,
            Activity::Working { turn, .. } | Activity::Stopping { turn, .. } | Activity::Finishing { turn, .. } => self.broken_off(*turn),
        }
    }

    /// What is left of a turn in a sandbox that is not to be worked in any more.
    fn broken_off(&self, turn: TurnId) -> Option<Moment> {
        // Half brought up it is worth nothing.
        self.sandbox.as_ref().filter(|sandbox| self.state.has_checkout_in(sandbox))?;
        // An agent that asked its model has taken the prompt into its conversation.
        let knows_it = self.view.has_reached(turn, Phase::FirstModelRequest);
        let through = if knows_it { Some(turn) } else { self.view.last_given(turn).map(|(last, _)| last) };
        let moment = self.moment(through?)?;
        // It would be too long for the next prompt as well.
        let is_too_long =
            matches!(self.view.turn(turn).outcome, Some(TurnOutcome::Failed { failure: TurnFailure::ConversationTooLong { .. } }));
        Some(Moment { conversation: moment.conversation.filter(|_| !is_too_long), ..moment })
    }

    /// Removes the sandbox if it is not to be used again. What the session's work in it came to is kept.
    pub(super) fn drop_condemned(&mut self) {
        if self.condemned.is_some() && self.condemned == self.sandbox {
            self.link = Link::None;
            let last = self.view.last_given(TurnId(u32::MAX)).map(|(last, _)| last);
            let moment = last.and_then(|last| self.broken_off(last));
            if let Some(sandbox) = self.sandbox.take() {
                // Whatever its agent is still at comes to nothing.
                self.app.sandboxes.release(&sandbox);
                self.keep_ended(sandbox, moment);
            }
        }
        self.condemned = None;
    }

    pub(super) fn rest_further(&mut self) {
        if self.state.activity != Activity::Idle || self.is_leaving() {
            return;
        }
        if self.sandbox.is_none() {
            self.deadlines.pause = None;
            return;
        }
        let now = Instant::now();
        let is_due = |deadline: &mut Option<Instant>| deadline.take_if(|due| *due <= now).is_some();
        let (pause, sleep) = (is_due(&mut self.deadlines.pause), is_due(&mut self.deadlines.idle));
        if sleep {
            match self.hold() {
                Some(held) => self.put_to_sleep(held),
                None => self.deadlines.idle = Some(now + DOZE),
            }
        } else if pause && self.app.engine.capabilities().pause {
            self.keep_snapshot();
            match self.hold() {
                Some(held) => self.pause(held),
                None => self.deadlines.pause = Some(now + DOZE),
            }
        }
    }

    fn pause(&mut self, held: OwnedMutexGuard<()>) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        let app = Arc::clone(&self.app);
        let task = async move {
            fault_point!("sandbox.paused.before");
            let result = app.engine.pause(&sandbox).await;
            fault_point!("sandbox.paused.after");
            drop(held);
            Done::Paused { sandbox, result }
        };
        self.tasks.spawn(task.in_current_span());
    }

    pub(super) fn paused(&mut self, sandbox: &SandboxId, result: Result<(), EngineError>) {
        match result {
            // Whoever wants it now wakes it.
            Ok(()) if self.state.activity == Activity::Idle && self.sandbox.as_ref() == Some(sandbox) => {
                tracing::info!(%sandbox, "paused the sandbox");
                self.resting.pace = Pace::Paused;
                self.tell_homes();
            }
            Ok(()) => {}
            Err(error) => tracing::warn!(%sandbox, %error, "the sandbox cannot be paused"),
        }
    }

    /// Whatever worked in the sandbox woke it.
    pub(super) fn note_awake(&mut self) {
        if self.state.activity == Activity::Idle && self.sandbox.is_some() {
            self.resting.pace = Pace::Awake;
            self.deadlines.pause = Some(Instant::now() + self.app.config.sandboxes.pause_after());
            if self.resting.due.is_none() {
                self.resting.due = self.view.last_given(TurnId(u32::MAX)).map(|(turn, _)| turn);
            }
            self.keep_snapshot();
        }
    }

    /// Keeps the sandbox, if anything in it is not kept yet; then it can go.
    fn put_to_sleep(&mut self, held: OwnedMutexGuard<()>) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        let last = self.view.last_given(TurnId(u32::MAX)).map(|(turn, _)| turn);
        let moment = last.and_then(|turn| self.moment(turn));
        let since = self.resting.snapshot.as_ref().filter(|kept| kept.facts.sandbox == sandbox && self.resting.due.is_none());
        let since = since.map(|kept| kept.taken);
        let (app, session) = (Arc::clone(&self.app), self.record.id.clone());
        let task = async move {
            let result = match (moment, since) {
                (None, _) => Ok(None),
                // What agents left running in the background may have gone on writing.
                (Some(_), Some(since)) if !snapshots::has_changed(&app, &sandbox, since).await => Ok(None),
                (Some(moment), _) => snapshots::take(&app, &session, moment).await,
            };
            drop(held);
            Done::Asleep { sandbox, result }
        };
        self.tasks.spawn(task.in_current_span());
    }

    pub(super) async fn asleep(&mut self, sandbox: SandboxId, result: Result<Option<SnapshotRecord>>) {
        let is_gone = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(EngineError::NoSuchSandbox { .. }));
        match result {
            Ok(snapshot) => self.resting.snapshot = snapshot.or(self.resting.snapshot.take()),
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                // It may be all that there is of somebody's work.
                tracing::warn!(%sandbox, error = format!("{error:#}"), "no snapshot could be taken, so the sandbox stays");
                self.deadlines.idle = Some(Instant::now() + self.app.config.sandboxes.sleep_after());
                self.resting.hurry = Hurry::None;
                self.app.room.spare(&sandbox);
                return;
            }
        }
        // A prompt that came meanwhile goes on in it.
        if self.state.activity != Activity::Idle || self.sandbox.as_ref() != Some(&sandbox) {
            return;
        }
        match self.resting.hurry {
            Hurry::None => tracing::info!(%sandbox, "the sandbox was idle for long enough"),
            Hurry::GiveWay => tracing::info!(%sandbox, "the idle sandbox gives way to others"),
        }
        self.resting.hurry = Hurry::None;
        self.sandbox = None;
        self.resting.due = None;
        self.resting.pace = Pace::Awake;
        self.link = Link::None;
        prepare::discard(&self.app, &sandbox).await;
        self.deadlines.pause = None;
        self.deadlines.idle = Some(Instant::now() + DOZE);
        self.tell_homes();
    }
}
