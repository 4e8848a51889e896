//! What every accepted prompt is owed: one final message. The ledger is no book of its own: it is read from the logs and outboxes, so that it cannot
//! disagree with them.

use std::time::Duration;

use serde::Serialize;

use crate::{ChannelId, Event, MessageTs, PromptId, SessionId, StoredEvent, Timestamp, TurnId};

/// A message that is due may be on its way for as long.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(60);

/// The key of the first message of a turn's final reply; further ones have a number behind it.
pub fn final_key(session: &SessionId, turn: TurnId) -> String {
    format!("{session}:final:{turn}")
}

/// The key of the final message of a prompt that came into no session.
pub fn final_key_of_ask(prompt: &PromptId) -> String {
    format!("{prompt}:final")
}

/// One accepted prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    pub prompt: PromptId,
    /// None where it came into no session, or not yet.
    pub session: Option<SessionId>,
    pub channel: ChannelId,
    pub thread: MessageTs,
    /// When the service received it. None for what was stored before this was kept.
    pub accepted: Option<Timestamp>,
    #[serde(flatten)]
    pub standing: LedgerStanding,
}

/// How far a prompt's final message is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LedgerStanding {
    /// The repository is being worked out.
    Routing,
    /// Somebody was asked to pick the repository.
    Picking,
    /// It waits for the turns before it.
    Queued,
    /// A turn is under way for it.
    Working { turn: TurnId },
    /// The message is stored, and not in Slack yet.
    Due {
        since: Timestamp,
        /// Sends that were begun.
        attempts: u32,
    },
    /// The turn is over, and its message is nowhere. The reconciler writes it again.
    Missing { since: Timestamp },
    /// It is in the thread (or with the asker, where the thread is closed to the bot).
    Sent { at: Timestamp, message: Option<MessageTs>, by: SentBy },
    /// Slack will never take it.
    Refused { reason: String },
    /// Somebody took it back before it began: nothing is owed.
    Withdrawn,
    /// It went to another session, which owes the message.
    Moved { to: SessionId },
}

/// How a message is known to be in Slack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SentBy {
    /// Slack said so.
    Answer,
    /// A send had no answer; the message was found in the thread by its key.
    Reconciled,
}

/// Why a prompt's message is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overdue {
    /// Written and not sent.
    Unsent,
    /// The turn ended without one.
    Missing,
    /// Nobody found a repository, or gave up.
    Unrouted,
}

impl LedgerStanding {
    /// Whether a message is still to come.
    pub fn is_owed(&self) -> bool {
        match self {
            Self::Routing | Self::Picking | Self::Queued | Self::Working { .. } | Self::Due { .. } | Self::Missing { .. } => true,
            Self::Sent { .. } | Self::Refused { .. } | Self::Withdrawn | Self::Moved { .. } => false,
        }
    }

    /// As one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Routing => "routing",
            Self::Picking => "picking",
            Self::Queued => "queued",
            Self::Working { .. } => "working",
            Self::Due { .. } => "due",
            Self::Missing { .. } => "missing",
            Self::Sent { by: SentBy::Answer, .. } => "sent",
            Self::Sent { by: SentBy::Reconciled, .. } => "reconciled",
            Self::Refused { .. } => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Moved { .. } => "moved",
        }
    }
}

impl LedgerEntry {
    /// Whether the message should be there by now. What waits for a person or for a turn is not late, however long it takes.
    pub fn overdue(&self, now: Timestamp) -> Option<Overdue> {
        let is_late = |since: Timestamp| now.since(since) > OVERDUE_AFTER;
        match &self.standing {
            LedgerStanding::Due { since, .. } => is_late(*since).then_some(Overdue::Unsent),
            LedgerStanding::Missing { since } => is_late(*since).then_some(Overdue::Missing),
            // The classifier has three seconds.
            LedgerStanding::Routing => self.accepted.is_some_and(is_late).then_some(Overdue::Unrouted),
            LedgerStanding::Picking
            | LedgerStanding::Queued
            | LedgerStanding::Working { .. }
            | LedgerStanding::Sent { .. }
            | LedgerStanding::Refused { .. }
            | LedgerStanding::Withdrawn
            | LedgerStanding::Moved { .. } => None,
        }
    }
}

/// A message of a final reply, as its outbox row tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FinalRow {
    pub key: String,
    pub attempts: u32,
    pub sent: Option<Timestamp>,
    pub ts: Option<MessageTs>,
    pub failure: Option<String>,
    pub by: SentBy,
}

/// The rows of one final reply, and since when it is due.
pub(crate) fn standing_of(rows: &[&FinalRow], since: Timestamp) -> LedgerStanding {
    let Some(first) = rows.first() else { return LedgerStanding::Missing { since } };
    if let Some(reason) = rows.iter().find_map(|row| row.failure.clone()) {
        return LedgerStanding::Refused { reason };
    }
    if rows.iter().any(|row| row.sent.is_none()) {
        return LedgerStanding::Due { since, attempts: rows.iter().map(|row| row.attempts).max().unwrap_or(0) };
    }
    let by = if rows.iter().any(|row| row.by == SentBy::Reconciled) { SentBy::Reconciled } else { SentBy::Answer };
    LedgerStanding::Sent { at: rows.iter().filter_map(|row| row.sent).max().unwrap_or(since), message: first.ts.clone(), by }
}

/// The prompts of one session, oldest first, with what its log says of each. Those that are over still have to be looked up in the outbox.
#[derive(Debug, Default)]
pub(crate) struct Prompts(pub Vec<(PromptId, Timestamp, PromptFate)>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PromptFate {
    Queued,
    Working(TurnId),
    Over(TurnId, Timestamp),
    Withdrawn,
    Moved(SessionId),
}

impl Prompts {
    pub(crate) fn take(&mut self, stored: &StoredEvent) {
        match &stored.event {
            Event::PromptAccepted { prompt } => self.0.push((prompt.id.clone(), prompt.received, PromptFate::Queued)),
            Event::PromptWithdrawn { prompt, .. } => self.set(prompt, PromptFate::Withdrawn),
            Event::PromptReturned { prompt, .. } => self.set(prompt, PromptFate::Queued),
            Event::PromptInserted { turn, prompt } | Event::TurnStarted { turn, prompt } => self.set(prompt, PromptFate::Working(*turn)),
            Event::TurnEnded { turn, .. } => {
                for (.., fate) in self.0.iter_mut().filter(|(.., fate)| *fate == PromptFate::Working(*turn)) {
                    *fate = PromptFate::Over(*turn, stored.at);
                }
            }
            Event::Moved { to, .. } => {
                for (.., fate) in &mut self.0 {
                    if matches!(fate, PromptFate::Queued | PromptFate::Working(_)) {
                        *fate = PromptFate::Moved(to.clone());
                    }
                }
            }
            Event::PromptEdited { .. }
            | Event::PromptHanded { .. }
            | Event::FilesTaken { .. }
            | Event::TurnRunning { .. }
            | Event::SandboxGivenUp { .. }
            | Event::FellBack { .. }
            | Event::Agent { .. }
            | Event::ToolRuled { .. }
            | Event::StopRequested { .. }
            | Event::TurnFinishing { .. }
            | Event::WorkSaved { .. }
            | Event::CheckStarted { .. }
            | Event::CheckEnded { .. }
            | Event::PullRequestOpened { .. }
            | Event::PullRequestEnded { .. }
            | Event::ModelHindered { .. }
            | Event::QuestionAsked { .. }
            | Event::QuestionAnswered { .. }
            | Event::QuestionDropped { .. }
            | Event::ModelUsed { .. }
            | Event::CleanedUp
            | Event::PhaseReached { .. } => {}
        }
    }

    fn set(&mut self, prompt: &PromptId, fate: PromptFate) {
        if let Some(known) = self.0.iter_mut().find(|(id, ..)| id == prompt) {
            known.2 = fate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(standing: LedgerStanding) -> LedgerEntry {
        LedgerEntry {
            prompt: PromptId::parse("p-1").unwrap(),
            session: None,
            channel: ChannelId::parse("C1").unwrap(),
            thread: MessageTs::parse("1.1").unwrap(),
            accepted: Some(Timestamp(0)),
            standing,
        }
    }

    #[test]
    fn what_waits_for_people_or_for_a_turn_is_never_late() {
        let (late, early) = (Timestamp(60_001), Timestamp(60_000));
        for (standing, why) in [
            (LedgerStanding::Due { since: Timestamp(0), attempts: 3 }, Overdue::Unsent),
            (LedgerStanding::Missing { since: Timestamp(0) }, Overdue::Missing),
            (LedgerStanding::Routing, Overdue::Unrouted),
        ] {
            assert!(standing.is_owed());
            assert_eq!((entry(standing.clone()).overdue(late), entry(standing).overdue(early)), (Some(why), None));
        }
        for standing in [LedgerStanding::Picking, LedgerStanding::Queued, LedgerStanding::Working { turn: TurnId(1) }] {
            assert!(standing.is_owed());
            assert_eq!(entry(standing).overdue(Timestamp(i64::MAX)), None);
        }
        for standing in [LedgerStanding::Withdrawn, LedgerStanding::Refused { reason: "channel_not_found".into() }] {
            assert!(!standing.is_owed());
            assert_eq!(entry(standing).overdue(Timestamp(i64::MAX)), None);
        }
    }

    #[test]
    fn a_reply_is_sent_when_all_of_its_messages_are() {
        let row = |sent: Option<i64>, by: SentBy, failure: Option<&str>| FinalRow {
            key: "k".into(),
            attempts: 2,
            sent: sent.map(Timestamp),
            ts: MessageTs::parse("3.3").ok(),
            failure: failure.map(str::to_owned),
            by,
        };
        let (one, two) = (row(Some(5), SentBy::Answer, None), row(None, SentBy::Answer, None));
        assert_eq!(standing_of(&[&one, &two], Timestamp(1)), LedgerStanding::Due { since: Timestamp(1), attempts: 2 });
        let found = row(Some(7), SentBy::Reconciled, None);
        let wanted = LedgerStanding::Sent { at: Timestamp(7), message: MessageTs::parse("3.3").ok(), by: SentBy::Reconciled };
        assert_eq!(standing_of(&[&one, &found], Timestamp(1)), wanted);
        assert_eq!(wanted.word(), "reconciled");
        let refused = row(None, SentBy::Answer, Some("channel_not_found"));
        assert_eq!(standing_of(&[&one, &refused], Timestamp(1)).word(), "refused");
        assert_eq!(standing_of(&[], Timestamp(1)), LedgerStanding::Missing { since: Timestamp(1) });
    }
}
