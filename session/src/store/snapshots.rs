//! What sessions can be restored from.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    Database, Store, StoreError,
    central::{from_json, json, parsed},
};
use crate::{SandboxId, SessionId, Timestamp, TurnId};

/// A sandbox's file system, kept as an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    pub session: SessionId,
    /// As the engine names it.
    pub image: String,
    /// What it takes beyond the repository's image.
    pub bytes: u64,
    pub taken: Timestamp,
    pub facts: SnapshotFacts,
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// Where it was taken.
    pub sandbox: SandboxId,
    /// The last turn whose work and conversation it holds.
    pub through: TurnId,
    /// The agent's own id of the conversation. None where the agent of that sandbox is not to be trusted with it any more.
    pub conversation: Option<String>,
    /// Engines allow about 125.
    pub layers: usize,
}

const SELECT: &str = "SELECT session, image, bytes, taken, body FROM snapshots";

impl Store {
    pub async fn put_snapshot(&self, record: SnapshotRecord) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| {
            db.execute(
                "INSERT INTO snapshots (session, image, bytes, taken, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (image) DO UPDATE SET bytes = excluded.bytes, taken = excluded.taken, body = excluded.body",
                params![
                    record.session.as_str(),
                    record.image,
                    i64::try_from(record.bytes).unwrap_or(i64::MAX),
                    record.taken.0,
                    json(&record.facts)?
                ],
            )
            .map(drop)
        })
        .await
    }

    /// Another image with the same content takes a snapshot's place.
    pub async fn replace_snapshot(&self, old: String, new: SnapshotRecord) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| {
            db.execute(
                "UPDATE snapshots SET image = ?2, bytes = ?3, body = ?4 WHERE image = ?1",
                params![old, new.image, i64::try_from(new.bytes).unwrap_or(i64::MAX), json(&new.facts)?],
            )
            .map(drop)
        })
        .await
    }

    pub async fn forget_snapshot(&self, image: String) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| db.execute("DELETE FROM snapshots WHERE image = ?1", params![image]).map(drop)).await
    }

    /// What a session is restored from.
    pub async fn newest_snapshot(&self, session: SessionId) -> Result<Option<SnapshotRecord>, StoreError> {
        self.read(Database::Central, move |db| {
            let sql = format!("{SELECT} WHERE session = ?1 ORDER BY taken DESC, id DESC LIMIT 1");
            db.query_row(&sql, params![session.as_str()], snapshot_row).optional()
        })
        .await
    }

    /// Every snapshot, oldest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotRecord>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached(&format!("{SELECT} ORDER BY taken, id"))?.query_map([], snapshot_row)?.collect()
        })
        .await
    }
}

fn snapshot_row(row: &Row<'_>) -> rusqlite::Result<SnapshotRecord> {
    Ok(SnapshotRecord {
        session: parsed(row, 0, SessionId::parse)?,
        image: row.get(1)?,
        bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        taken: Timestamp(row.get(3)?),
        facts: from_json(row, 4)?,
    })
}
