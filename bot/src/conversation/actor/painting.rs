//! The card of the running turn.

use longshore_session::{TurnId, TurnOutcome, Work};
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
    checking: Option<String>,
    outcome: Option<TurnOutcome>,
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
            Some(painted) if (painted.phase, &painted.checking) == (picture.phase, &picture.checking) => News::Step,
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

    fn picture(&self, turn: TurnId) -> Painted {
        let seen = self.view.turn(turn);
        Painted { phase: phase_word(&self.state), plan: seen.plan, step: seen.step, checking: seen.checking, outcome: seen.outcome }
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
