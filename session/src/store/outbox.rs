//! Messages that are owed to Slack, in the central database and in each session's. A message is stored in the transaction that makes it
//! due, and is sent by whoever drains the outbox; its key goes along as message metadata, so that a send of unknown outcome can be found again.
//! What a message shall say instead of its first words is owed the same way: one change for each message at the most, the newest.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Database, Store, StoreError, central::from_json};
use crate::{MessageTs, SentBy, SessionId, Timestamp};

/// A message to be sent, once.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxDraft {
    /// Unique in its database; a second draft with the same key changes nothing.
    pub key: String,
    /// What it is, for lists (`final`, `card`, `notice`, `picker`, `file`).
    pub kind: &'static str,
    /// What to send; the sender's format.
    pub body: serde_json::Value,
}

/// Where something owed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sending {
    Owed,
    Sent,
    /// Slack will never take it.
    Refused {
        reason: String,
    },
}

/// Nothing is put off for so long: what is due later was stored before the clock was set back, and is due now.
const FARTHEST: Duration = Duration::from_secs(15 * 60);

/// The kind of drafts that change a message.
const CHANGE: &str = "change";

impl OutboxDraft {
    /// A change of the message that has or will have this key. It takes the place of an earlier change that was not made yet.
    pub fn change(of: &str, body: serde_json::Value) -> Self {
        Self { key: format!("{CHANGE}:{of}"), kind: CHANGE, body }
    }
}

/// Posts go out in order; changes wait neither for them nor they for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutboxLane {
    Posts,
    Changes,
}

/// Whose outbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OutboxOwner {
    Service,
    Session(SessionId),
}

#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    pub key: String,
    pub kind: String,
    pub body: serde_json::Value,
    /// Sends that were begun before: above zero, the message may be in the thread already.
    pub attempts: u32,
    pub due: Timestamp,
    /// Where it is in Slack, once it is sent; for a change, where the message is.
    pub ts: Option<MessageTs>,
}

impl OutboxOwner {
    fn database(&self) -> Database {
        match self {
            OutboxOwner::Service => Database::Central,
            OutboxOwner::Session(id) => Database::Session(id.clone()),
        }
    }
}

impl Store {
    pub async fn enqueue(&self, owner: &OutboxOwner, draft: OutboxDraft) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(owner.database(), move |db| enqueue(db, &draft, now)).await
    }

    /// Takes the oldest message that is due and notes that a send begins. Messages of one outbox go out in order: while the first waits
    /// for its next attempt, those behind it wait too, unless it is a file. A change waits for its message to be posted, and for nothing else.
    pub async fn begin_send(&self, owner: &OutboxOwner, lane: OutboxLane) -> Result<Option<OutboxRow>, StoreError> {
        let now = self.clock().now();
        self.write(owner.database(), move |db| {
            let row = db.query_row(lane.next(), params![now.0, (now + FARTHEST).0], outbox_row).optional()?;
            let Some(row) = row.filter(|row| row.due <= now || row.due > now + FARTHEST) else { return Ok(None) };
            db.execute("UPDATE outbox SET attempts = attempts + 1 WHERE key = ?1", params![row.key])?;
            Ok(Some(row))
        })
        .await
    }

    /// What of this kind is still to be sent, oldest first.
    pub async fn owed(&self, owner: &OutboxOwner, kind: &'static str) -> Result<Vec<OutboxRow>, StoreError> {
        self.write(owner.database(), move |db| {
            let sql =
                "SELECT key, kind, body, attempts, due, ts FROM outbox WHERE kind = ?1 AND sent IS NULL AND failure IS NULL ORDER BY id";
            db.prepare_cached(sql)?.query_map(params![kind], outbox_row)?.collect()
        })
        .await
    }

    /// When the next of this lane is due; none when nothing waits.
    pub async fn next_due(&self, owner: &OutboxOwner, lane: OutboxLane) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock().now();
        self.write(owner.database(), move |db| {
            let due = db.query_row(lane.due(), [], |row| row.get::<_, Option<i64>>(0))?;
            Ok(due.map(Timestamp).map(|due| if due > now + FARTHEST { now } else { due }))
        })
        .await
    }

    /// The change was made. One that took its place meanwhile is still owed.
    pub async fn changed(&self, owner: &OutboxOwner, change: OutboxRow) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(owner.database(), move |db| {
            let taken = change.attempts + 1;
            db.execute("UPDATE outbox SET sent = ?3 WHERE key = ?1 AND attempts = ?2", params![change.key, taken, now.0]).map(drop)
        })
        .await
    }

    pub async fn sent(&self, owner: &OutboxOwner, key: String, ts: Option<MessageTs>, by: SentBy) -> Result<(), StoreError> {
        let now = self.clock().now();
        let sql = match by {
            SentBy::Answer => "UPDATE outbox SET sent = ?2, ts = ?3 WHERE key = ?1",
            // Kept with the message, for the ledger.
            SentBy::Reconciled => "UPDATE outbox SET sent = ?2, ts = ?3, body = json_set(body, '$.reconciled', 1) WHERE key = ?1",
        };
        self.write(owner.database(), move |db| {
            let ts = ts.as_ref().map(MessageTs::as_str);
            db.execute(sql, params![key, now.0, ts]).map(drop)
        })
        .await
    }

    /// Messages of ours that were found in a session's thread, by key: they are owed no more.
    pub async fn note_found(&self, session: &SessionId, found: Vec<(String, MessageTs)>) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(Database::Session(session.clone()), move |db| {
            for (key, ts) in found {
                db.execute(
                    "INSERT INTO outbox (key, kind, body, attempts, due, sent, ts) VALUES (?1, 'found', '{\"reconciled\":1}', 1, ?2, ?2, ?3)
                     ON CONFLICT (key) DO NOTHING",
                    params![key, now.0, ts.as_str()],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Puts messages in anew that were lost, and that may be in Slack all the same: each is looked for there before it is sent.
    pub async fn owe_again(&self, owner: &OutboxOwner, drafts: Vec<OutboxDraft>) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(owner.database(), move |db| {
            for draft in &drafts {
                enqueue(db, draft, now)?;
                db.execute("UPDATE outbox SET attempts = max(attempts, 1) WHERE key = ?1", params![draft.key])?;
            }
            Ok(())
        })
        .await
    }

    pub async fn send_later(&self, owner: &OutboxOwner, key: String, delay: Duration) -> Result<(), StoreError> {
        let due = self.clock().now() + delay;
        self.write(owner.database(), move |db| db.execute("UPDATE outbox SET due = ?2 WHERE key = ?1", params![key, due.0]).map(drop)).await
    }

    /// Slack will never take it (the channel is gone, say). Kept, with the reason, and not tried again.
    pub async fn cannot_send(&self, owner: &OutboxOwner, key: String, reason: String) -> Result<(), StoreError> {
        self.write(owner.database(), move |db| db.execute("UPDATE outbox SET failure = ?2 WHERE key = ?1", params![key, reason]).map(drop))
            .await
    }

    /// Keeps with a file under which id Slack got its bytes, so that it can be found again.
    pub async fn note_upload(&self, owner: &OutboxOwner, key: String, upload: String) -> Result<(), StoreError> {
        self.write(owner.database(), move |db| {
            db.execute("UPDATE outbox SET body = json_set(body, '$.upload', ?2) WHERE key = ?1", params![key, upload]).map(drop)
        })
        .await
    }

    /// Where a message stands; none where none of this key was ever owed.
    pub async fn sending(&self, owner: &OutboxOwner, key: String) -> Result<Option<Sending>, StoreError> {
        self.write(owner.database(), move |db| {
            let standing = |row: &Row<'_>| {
                let (sent, failure): (Option<i64>, Option<String>) = (row.get(0)?, row.get(1)?);
                Ok(match (sent, failure) {
                    (Some(_), _) => Sending::Sent,
                    (None, Some(reason)) => Sending::Refused { reason },
                    (None, None) => Sending::Owed,
                })
            };
            db.query_row("SELECT sent, failure FROM outbox WHERE key = ?1", params![key], standing).optional()
        })
        .await
    }

    /// Where a message is in Slack, if it was sent.
    pub async fn message_of(&self, owner: &OutboxOwner, key: String) -> Result<Option<MessageTs>, StoreError> {
        self.write(owner.database(), move |db| {
            let row = db.query_row("SELECT key, kind, body, attempts, due, ts FROM outbox WHERE key = ?1", params![key], outbox_row);
            Ok(row.optional()?.and_then(|row| row.ts))
        })
        .await
    }

    /// When a message was sent, if it was.
    pub async fn sent_at(&self, owner: &OutboxOwner, key: String) -> Result<Option<Timestamp>, StoreError> {
        self.write(owner.database(), move |db| {
            let sent = db.query_row("SELECT sent FROM outbox WHERE key = ?1", params![key], |row| row.get::<_, Option<i64>>(0));
            Ok(sent.optional()?.flatten().map(Timestamp))
        })
        .await
    }
}

impl OutboxLane {
    /// What is to be sent next. `?1` is now; what is due after `?2` was put off before the clock was set back.
    fn next(self) -> &'static str {
        match self {
            // A file that waits for its next attempt keeps nothing behind it waiting.
            OutboxLane::Posts => {
                "SELECT key, kind, body, attempts, due, ts FROM outbox
                 WHERE sent IS NULL AND failure IS NULL AND kind != 'change' AND (kind != 'file' OR due <= ?1 OR due > ?2) ORDER BY id LIMIT 1"
            }
            OutboxLane::Changes => {
                "SELECT change.key, change.kind, change.body, change.attempts, change.due, post.ts
                 FROM outbox AS change JOIN outbox AS post ON change.key = 'change:' || post.key
                 WHERE change.kind = 'change' AND change.sent IS NULL AND change.failure IS NULL AND post.ts IS NOT NULL
                   AND (change.due <= ?1 OR change.due > ?2)
                 ORDER BY change.due, change.id LIMIT 1"
            }
        }
    }

    /// When that is.
    fn due(self) -> &'static str {
        match self {
            // The first message counts, and every file before it or behind it.
            OutboxLane::Posts => {
                "SELECT min(due) FROM outbox WHERE sent IS NULL AND failure IS NULL AND (kind = 'file'
                 OR id = (SELECT min(id) FROM outbox WHERE sent IS NULL AND failure IS NULL AND kind NOT IN ('file', 'change')))"
            }
            OutboxLane::Changes => {
                "SELECT min(change.due) FROM outbox AS change JOIN outbox AS post ON change.key = 'change:' || post.key
                 WHERE change.kind = 'change' AND change.sent IS NULL AND change.failure IS NULL AND post.ts IS NOT NULL"
            }
        }
    }
}

pub(super) fn enqueue(db: &Connection, draft: &OutboxDraft, now: Timestamp) -> rusqlite::Result<()> {
    // An attempt more: whoever makes the older change now must not take this one for made.
    let conflict = if draft.kind == CHANGE {
        "DO UPDATE SET body = excluded.body, due = excluded.due, attempts = attempts + 1, sent = NULL, failure = NULL"
    } else {
        "DO NOTHING"
    };
    db.execute(
        &format!("INSERT INTO outbox (key, kind, body, due) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) {conflict}"),
        params![draft.key, draft.kind, draft.body.to_string(), now.0],
    )
    .map(drop)
}

fn outbox_row(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let ts: Option<String> = row.get(5)?;
    Ok(OutboxRow {
        key: row.get(0)?,
        kind: row.get(1)?,
        body: from_json(row, 2)?,
        attempts: row.get(3)?,
        due: Timestamp(row.get(4)?),
        ts: ts.and_then(|ts| MessageTs::parse(ts).ok()),
    })
}
