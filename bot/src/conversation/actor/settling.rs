//! Final messages that a turn owed: noted when they were sent, and written again where they are nowhere.

use anyhow::Result;
use longshore_session::{Inserted, OutboxOwner, Phase, Sending, TurnId, Way, final_key};
use longshore_slack::PullRequestStanding;

use super::Actor;
use crate::conversation::reply::{self, Ended};

impl Actor {
    /// Notes the final replies that were sent and could not be noted any more (the outbox is told first), and owes those again that were lost.
    pub(super) async fn settle_final_replies(&mut self) -> Result<()> {
        let ended = self.view.turns.iter().filter(|(_, seen)| seen.outcome.is_some()).map(|(turn, _)| *turn);
        let untold: Vec<TurnId> = ended.filter(|turn| !self.view.has_reached(*turn, Phase::FinalReply)).collect();
        let owner = OutboxOwner::Session(self.record.id.clone());
        for turn in untold {
            let key = final_key(&self.record.id, turn);
            match self.app.store.sending(&owner, key.clone()).await? {
                Some(Sending::Sent) => {
                    if let Some(at) = self.app.store.sent_at(&owner, key).await? {
                        self.reach(turn, Phase::FinalReply, at).await?;
                    }
                }
                Some(Sending::Owed | Sending::Refused { .. }) => {}
                // What went elsewhere is answered there.
                None if self.state.moved.is_some() => {}
                None => self.owe_final_reply_again(turn).await?,
            }
        }
        Ok(())
    }

    /// A turn's end and its final reply are one transaction, so this is damage, whatever did it. The log holds all that the reply says.
    async fn owe_final_reply_again(&mut self, turn: TurnId) -> Result<()> {
        let (Some(prompt), Some(outcome)) = (self.view.asked.get(&turn).cloned(), self.view.turn(turn).outcome) else { return Ok(()) };
        tracing::warn!(%turn, "a turn ended and its final reply is nowhere; it is written again");
        let joined = self.view.joined.get(&turn).into_iter().flatten();
        let inserted: Vec<Inserted> = joined.map(|prompt| Inserted { prompt: prompt.clone(), way: Way::WithTheFirst }).collect();
        let ended = Ended {
            turn,
            prompt: &prompt,
            inserted: &inserted,
            outcome: &outcome,
            standing: PullRequestStanding::Unknown,
            check_command: self.app.manifest(&self.record.repo).and_then(|manifest| manifest.check_command()),
            continuation: reply::continuation(&self.view, turn),
            session_url: self.app.session_url(&self.record.id),
        };
        let drafts = reply::final_reply(&self.record, &self.state, &self.view, &ended)?;
        let owner = OutboxOwner::Session(self.record.id.clone());
        self.outbox_empty = false;
        self.mark().await?;
        self.app.store.owe_again(&owner, drafts).await?;
        self.app.outbox.nudge(owner);
        Ok(())
    }
}
