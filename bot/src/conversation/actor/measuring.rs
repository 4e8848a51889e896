//! What is counted and measured of a session.

use longshore_session::{Event, Phase, StoredEvent, Timestamp, TurnId};

use super::Actor;

impl Actor {
    /// Once for each event, when it is stored.
    pub(super) fn measure(&self, stored: &[StoredEvent]) {
        for StoredEvent { event, .. } in stored {
            self.app.metrics.happened(event);
            if let Event::PhaseReached { turn, phase, at } = event
                && let Some(since) = self.begun(*turn, *phase)
            {
                self.app.metrics.took(*phase, at.since(since));
            }
        }
    }

    /// When the part of a turn's way began that ends with this phase.
    fn begun(&self, turn: TurnId, phase: Phase) -> Option<Timestamp> {
        let seen = self.view.turn(turn);
        match phase {
            // A prompt that waited in the queue was classified by its thread.
            Phase::Acknowledged | Phase::Classified => self.view.asked.get(&turn).map(|prompt| prompt.received),
            Phase::SandboxReady | Phase::TurnEnded | Phase::PrOpened => seen.started,
            Phase::Synced | Phase::PromptAccepted => seen.at(Phase::SandboxReady),
            Phase::FirstModelRequest => seen.at(Phase::PromptAccepted),
            Phase::FirstToken => seen.at(Phase::FirstModelRequest),
            Phase::FinalReply => seen.at(Phase::TurnEnded),
        }
    }
}
