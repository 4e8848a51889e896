//! Whether the running turn's sandbox is in sync, before which nothing may be written in it.
//!
//! The agent gets its prompt as soon as there is a sandbox, and reads while the checkout is brought up. What opens the gate is [`Phase::Synced`] in
//! the log and nothing else: where it is missing after a restart, nothing was written and syncing again is safe; where it is there, syncing again would
//! throw work away.

use super::{Activity, Decision, Effect, Inserted, Rejection, SessionState, Way};
use crate::{Event, Phase, SandboxId, SandboxOrigin, Timestamp, TurnFailure, TurnId, TurnOutcome};

/// What is to be done with a sandbox's checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkout {
    /// Put on the session's branch, whatever lies there.
    BringUp,
    /// It holds the session's work, and stays as it is.
    Keep,
}

/// Whether the session's agent may change anything now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writes {
    Allowed,
    /// The sandbox is not in sync yet.
    Held,
    /// No turn is running that could want to, or it is ending.
    Refused(Option<TurnFailure>),
}

/// What the log says of where the session's work lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ground {
    /// The sandbox of the newest turn that had one.
    place: Option<(TurnId, SandboxId)>,
    /// The sandbox whose checkout is the session's own.
    checkout: Option<SandboxId>,
    /// The newest turn whose sandbox is in sync.
    synced: Option<TurnId>,
}

impl Ground {
    pub(super) fn evolve(&mut self, event: &Event) {
        match event {
            Event::TurnRunning { turn, sandbox, origin } => {
                self.place = Some((*turn, sandbox.clone()));
                let carried = match origin {
                    // A snapshot holds the checkout as a turn before left it.
                    SandboxOrigin::Restored { .. } => self.checkout.is_some(),
                    SandboxOrigin::Kept | SandboxOrigin::Claimed | SandboxOrigin::Started | SandboxOrigin::Rebuilt { .. } => false,
                };
                // Logs of earlier versions have the sync before the turn runs.
                if carried || self.synced == Some(*turn) {
                    self.checkout = Some(sandbox.clone());
                }
            }
            Event::PhaseReached { turn, phase: Phase::Synced, .. } => {
                self.synced = Some(*turn);
                if let Some((placed, sandbox)) = &self.place
                    && placed == turn
                {
                    self.checkout = Some(sandbox.clone());
                }
            }
            // What was brought up went with it; another turn's checkout may still lie elsewhere.
            Event::SandboxGivenUp { turn, sandbox } => {
                self.place = None;
                self.synced.take_if(|synced| synced == turn);
                self.checkout.take_if(|checkout| checkout == sandbox);
            }
            _ => {}
        }
    }
}

impl SessionState {
    /// Whether the log says that this turn's sandbox is in sync.
    pub fn is_synced(&self, turn: TurnId) -> bool {
        self.ground.synced == Some(turn)
    }

    /// Whether this sandbox's checkout is the session's, so that it can be worked on or saved.
    pub fn has_checkout_in(&self, sandbox: &SandboxId) -> bool {
        self.ground.checkout.as_ref() == Some(sandbox)
    }

    /// What the gate in front of the agent's tools is to do.
    pub fn writes(&self) -> Writes {
        match &self.activity {
            Activity::Working { turn, .. } if self.is_synced(*turn) => Writes::Allowed,
            Activity::Preparing { .. } | Activity::Working { .. } => Writes::Held,
            Activity::Finishing { outcome: TurnOutcome::Failed { failure }, .. } => Writes::Refused(Some(failure.clone())),
            Activity::Idle | Activity::Stopping { .. } | Activity::Finishing { .. } => Writes::Refused(None),
        }
    }

    /// The sync that the running turn still needs.
    pub(super) fn sync_owed(&self) -> Option<Effect> {
        let (turn, prompt) = (self.activity.turn()?, self.activity.prompt()?.clone());
        let (placed, sandbox) = self.ground.place.clone()?;
        if placed != turn || self.is_synced(turn) {
            return None;
        }
        let checkout = if self.has_checkout_in(&sandbox) { Checkout::Keep } else { Checkout::BringUp };
        Some(Effect::Sync { turn, prompt, sandbox, checkout })
    }

    /// Whether the turn's agent is done, and what it says is told once its sandbox turned out to be sound.
    pub(super) fn waits_for_sync(&self) -> bool {
        matches!(self.activity, Activity::Finishing { outcome: TurnOutcome::Done, .. }) && self.sync_owed().is_some()
    }

    /// What of the inserted prompts can go to the agent: where the sandbox stands is known once it is in sync.
    pub(super) fn ready<'a>(&self, inserted: &'a [Inserted]) -> impl Iterator<Item = &'a Inserted> + use<'a> {
        let synced = self.activity.turn().is_some_and(|turn| self.is_synced(turn));
        inserted.iter().filter(move |inserted| synced || inserted.way != Way::Next)
    }

    pub(super) fn sync_done(&self, turn: TurnId, at: Timestamp) -> Result<Decision, Rejection> {
        if self.is_synced(turn) {
            return Err(Rejection::StaleTurn);
        }
        let effects = match &self.activity {
            Activity::Working { turn: running, inserted, sandbox, .. } if *running == turn => {
                let waiting = inserted.iter().filter(|inserted| inserted.way == Way::Next);
                let look = |inserted: &Inserted| Effect::PrepareInsert { turn, prompt: inserted.prompt.clone(), sandbox: sandbox.clone() };
                waiting.map(look).collect()
            }
            Activity::Stopping { turn: running, .. } if *running == turn => Vec::new(),
            Activity::Finishing { turn: running, prompt, outcome: TurnOutcome::Done, .. } if *running == turn => {
                vec![Effect::Finish { turn, prompt: prompt.clone(), outcome: TurnOutcome::Done }]
            }
            _ => return Err(Rejection::StaleTurn),
        };
        Ok(Decision { events: vec![Event::PhaseReached { turn, phase: Phase::Synced, at }], effects })
    }

    pub(super) fn sync_failed(&self, turn: TurnId, failure: TurnFailure) -> Result<Decision, Rejection> {
        if self.activity.turn() != Some(turn) || self.is_synced(turn) {
            return Err(Rejection::StaleTurn);
        }
        match &self.activity {
            Activity::Stopping { by, .. } => self.finishing(TurnOutcome::Stopped { by: by.clone() }),
            Activity::Working { .. } | Activity::Finishing { outcome: TurnOutcome::Done, .. } => {
                self.finishing(TurnOutcome::Failed { failure })
            }
            Activity::Idle | Activity::Preparing { .. } | Activity::Finishing { .. } => Err(Rejection::StaleTurn),
        }
    }
}
