//! What the service has to know of a restore: its memory ends before the threads do.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use longshore_session::{KnownTurns, OutboxOwner, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

/// In the data folder, from a restore on.
pub(super) const FILE: &str = "restored.json";
/// Messages whose key tells the turn, by its place behind the session and this word.
const OF_TURNS: &[&str] = &["card", "final", "unread", "say", "file"];

/// What is known of the time before a data folder was restored; nothing where it never was.
#[derive(Debug, Clone, Default)]
pub struct Restored(Option<Facts>);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    at: Timestamp,
    /// Of the backup.
    of: Timestamp,
    /// The highest turn of each session that a prompt of the backup has or will have.
    turns: BTreeMap<SessionId, u32>,
}

pub(super) fn facts(at: Timestamp, of: Timestamp, known: &BTreeMap<SessionId, KnownTurns>) -> Facts {
    Facts { at, of, turns: known.iter().map(|(session, turns)| (session.clone(), turns.last)).collect() }
}

/// Whether a message may be in Slack although nobody here began to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// The service of that time may have sent it, under the same key.
    MaybeSent,
    /// Something else may stand in the thread under its key, which is therefore sent as this one.
    Renamed(String),
    Nothing,
}

impl Restored {
    pub fn read(data: &Path) -> Result<Self> {
        let path = data.join(FILE);
        match std::fs::read(&path) {
            Ok(text) => Ok(Self(Some(serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// From the backup to the restore: what happened then is not remembered.
    pub fn forgotten(&self) -> Option<(Timestamp, Timestamp)> {
        self.0.as_ref().map(|facts| (facts.of, facts.at))
    }

    /// What is to be thought of before a message is sent.
    pub fn before(&self, owner: &OutboxOwner, key: &str) -> Before {
        let Some(facts) = &self.0 else { return Before::Nothing };
        match owner {
            // Named by their prompts, which are named by their posts.
            OutboxOwner::Service => Before::MaybeSent,
            OutboxOwner::Session(session) => {
                let Some(last) = facts.turns.get(session) else { return Before::Nothing };
                match turn_of(session, key) {
                    Some(turn) if turn > *last => Before::Renamed(format!("{key}@{}", facts.at.0)),
                    Some(_) | None => Before::MaybeSent,
                }
            }
        }
    }
}

fn turn_of(session: &SessionId, key: &str) -> Option<u32> {
    let mut parts = key.strip_prefix(session.as_str())?.strip_prefix(':')?.split(':');
    let word = parts.next()?;
    if !OF_TURNS.contains(&word) {
        return None;
    }
    parts.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_before_may_have_sent_is_looked_for_and_what_came_later_has_another_key() {
        let session = SessionId::parse("s-1").unwrap();
        let known = BTreeMap::from([(session.clone(), KnownTurns { last: 2 })]);
        let restored = Restored(Some(facts(Timestamp(77), Timestamp(5), &known)));
        let (owner, other) = (OutboxOwner::Session(session), OutboxOwner::Session(SessionId::parse("s-2").unwrap()));
        for key in ["s-1:final:1", "s-1:final:2:2", "s-1:card:2", "s-1:say:2:ab12", "s-1:queued:p-9", "s-1:question:q-1"] {
            assert_eq!(restored.before(&owner, key), Before::MaybeSent, "{key}");
        }
        for key in ["s-1:final:3", "s-1:card:10", "s-1:say:3:ab12"] {
            assert_eq!(restored.before(&owner, key), Before::Renamed(format!("{key}@77")));
        }
        assert_eq!(restored.before(&OutboxOwner::Service, "p-1:final"), Before::MaybeSent);
        assert_eq!(restored.before(&other, "s-2:final:1"), Before::Nothing, "it began after the restore");
        assert_eq!(Restored::default().before(&owner, "s-1:final:1"), Before::Nothing);
    }
}
