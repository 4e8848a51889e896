//! Messages that are owed to Slack, in the central database and in each session's. A message is stored in the transaction that makes it
//! due, and is sent by whoever drains the outbox; its key goes along as message metadata, so that a send of unknown outcome can be found again.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Database, Store, StoreError, central::from_json};
use crate::{MessageTs, SessionId, Timestamp};

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

/// The kind of a row that is a file. One that waits for its next attempt keeps nothing behind it waiting.
const FILE: &str = "file";

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
    /// Where it is in Slack, once it is sent.
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
    /// for its next attempt, those behind it wait too, unless it is a file.
    pub async fn begin_send(&self, owner: &OutboxOwner) -> Result<Option<OutboxRow>, StoreError> {
        let now = self.clock().now();
        self.write(owner.database(), move |db| {
            let row = db
                .query_row(
                    "SELECT key, kind, body, attempts, due, ts FROM outbox
                     WHERE sent IS NULL AND failure IS NULL AND (kind != ?1 OR due <= ?2) ORDER BY id LIMIT 1",
                    params![FILE, now.0],
                    outbox_row,
                )
                .optional()?;
            let Some(row) = row.filter(|row| row.due <= now) else { return Ok(None) };
            db.execute("UPDATE outbox SET attempts = attempts + 1 WHERE key = ?1", params![row.key])?;
            Ok(Some(row))
        })
        .await
    }

    /// When the next message of this outbox is due; none when nothing waits.
    pub async fn next_due(&self, owner: &OutboxOwner) -> Result<Option<Timestamp>, StoreError> {
        self.write(owner.database(), move |db| {
            // The first message counts, and every file before it or behind it.
            db.query_row(
                "SELECT min(due) FROM outbox WHERE sent IS NULL AND failure IS NULL AND (kind = ?1
                 OR id = (SELECT min(id) FROM outbox WHERE sent IS NULL AND failure IS NULL AND kind != ?1))",
                params![FILE],
                |row| row.get::<_, Option<i64>>(0),
            )
            .map(|due| due.map(Timestamp))
        })
        .await
    }

    pub async fn sent(&self, owner: &OutboxOwner, key: String, ts: Option<MessageTs>) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(owner.database(), move |db| {
            let ts = ts.as_ref().map(MessageTs::as_str);
            db.execute("UPDATE outbox SET sent = ?2, ts = ?3 WHERE key = ?1", params![key, now.0, ts]).map(drop)
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

pub(super) fn enqueue(db: &Connection, draft: &OutboxDraft, now: Timestamp) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO outbox (key, kind, body, due) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING",
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
