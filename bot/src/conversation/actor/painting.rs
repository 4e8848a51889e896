//! The card of the running turn.

use anyhow::Result;
use longshore_session::{Activity, OutboxOwner, TurnId, TurnOutcome, Work};
use tokio::time::Instant;

use super::Actor;
use crate::conversation::{
    card::{self, Last, News, Painter},
    view::phase_word,
};

/// What the card showed last, but for the time.
#[derive(PartialEq)]
pub(super) struct Painted {
    phase: &'static str,
    plan: Vec<longshore_session::PlanEntry>,
    step: Option<String>,
    hindrance: Option<longshore_session::ModelHindrance>,
    checking: Option<String>,
    outcome: Option<TurnOutcome>,
    /// Where the turn waits for a sandbox.
    place: Option<usize>,
}

impl Actor {
    pub(super) fn resume_painting(&mut self) {
        if let Some(turn) = self.state.activity.turn() {
            self.painter = Some(Painter::start(&self.app, &self.record, turn));
        }
    }

    /// Shows the end of the turn that ended last, which nobody may have got to see when the service went away.
    pub(super) fn paint_ended(&self) {
        if self.record.has_work == Work::None {
            return;
        }
        let Some((turn, _)) = self.view.turns.iter().rev().find(|(_, seen)| seen.outcome.is_some()) else { return };
        let picture = card::draw(&self.app, &self.record, &self.state, &self.view, *turn);
        Painter::start(&self.app, &self.record, *turn).show(picture, News::Phase, Last::Yes);
    }

    pub(super) fn repaint(&mut self) {
        let is_due = self.deadlines.repaint.take_if(|due| *due <= Instant::now()).is_some();
        let (Some(painter), Some(turn)) = (&self.painter, self.state.activity.turn()) else { return };
        if painter.turn != turn {
            return;
        }
        let picture = self.picture(turn);
        let news = match &self.painted {
            Some(painted) if *painted == picture && is_due => News::Time,
            Some(painted) if *painted == picture => return,
            Some(painted) if painted.place != picture.place && (painted.place.is_some(), picture.place.is_some()) == (true, true) => {
                News::Time
            }
            Some(painted) if (painted.phase, &painted.checking, painted.place) == (picture.phase, &picture.checking, picture.place) => {
                News::Step
            }
            Some(_) | None => News::Phase,
        };
        painter.show(card::draw(&self.app, &self.record, &self.state, &self.view, turn), news, Last::No);
        self.painted = Some(picture);
        self.deadlines.repaint = Some(Instant::now() + self.app.easel.liveness());
    }

    /// The card that was just put into the outbox shows this.
    pub(super) fn note_posted(&mut self, turn: TurnId) {
        self.painted = Some(self.picture(turn));
        self.deadlines.repaint = Some(Instant::now() + self.app.easel.liveness());
    }

    /// Whether the turn that begins waits for a sandbox together with many others of its channel.
    pub(super) fn is_in_a_crowd(&self) -> bool {
        let room = &self.app.room;
        room.place_of(&self.record.id).is_some() && room.is_crowded(&self.record.thread.channel)
    }

    /// Whether the turn's card stands in the thread, or is on its way there.
    pub(super) async fn is_card_owed(&self, turn: TurnId) -> Result<bool> {
        let owner = OutboxOwner::Session(self.record.id.clone());
        Ok(self.app.store.sending(&owner, card::card_key(&self.record, turn)).await?.is_some())
    }

    fn picture(&self, turn: TurnId) -> Painted {
        let seen = self.view.turn(turn);
        let place = match self.state.activity {
            Activity::Preparing { .. } => self.app.room.place_of(&self.record.id),
            Activity::Idle | Activity::Working { .. } | Activity::Stopping { .. } | Activity::Finishing { .. } => None,
        };
        let phase = phase_word(&self.state);
        let (plan, step, hindrance, checking, outcome) = (seen.plan, seen.step, seen.hindrance, seen.checking, seen.outcome);
        Painted { phase, plan, step, hindrance, checking, outcome, place }
    }

    /// Shows on a turn's card that its question has been answered, or need not be.
    pub(super) fn paint_answered(&self, turn: TurnId) {
        if self.view.turn(turn).outcome.is_some() {
            let picture = card::draw(&self.app, &self.record, &self.state, &self.view, turn);
            Painter::start(&self.app, &self.record, turn).show(picture, News::Phase, Last::Yes);
        }
    }

    pub(super) fn paint_last(&mut self, turn: TurnId) {
        self.deadlines.repaint = None;
        if let Some(painter) = self.painter.take_if(|painter| painter.turn == turn) {
            painter.show(card::draw(&self.app, &self.record, &self.state, &self.view, turn), News::Phase, Last::Yes);
        }
    }
}
