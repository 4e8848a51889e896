//! One session's database: its log, how far its agent was read, its outbox.

use std::path::PathBuf;

use rusqlite::{OptionalExtension, params};

use super::{
    Database, OutboxDraft, Store, StoreError,
    central::{from_json, json, parsed},
    outbox::enqueue,
};
use crate::{Event, SandboxId, SessionId, Timestamp, fault_point_in_log};

/// How far the agent's output was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCursor {
    pub sandbox: SandboxId,
    /// Bytes of that sandbox's output file.
    pub offset: u64,
    /// The agent's own id of the conversation.
    pub agent_session: Option<String>,
}

/// What goes into a session's database in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Append {
    pub events: Vec<Event>,
    pub cursor: Option<AgentCursor>,
    pub outbox: Vec<OutboxDraft>,
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// From 1, without gaps.
    pub seq: u64,
    pub at: Timestamp,
    pub event: Event,
}

impl Store {
    /// Appends to a session's log. Returns the events with their places, after the commit.
    pub async fn append(&self, session: &SessionId, append: Append) -> Result<Vec<StoredEvent>, StoreError> {
        let now = self.clock().now();
        fault_point_in_log!(&append.events, "before");
        let stored = self.write(Database::Session(session.clone()), move |db| {
            let mut stored = Vec::with_capacity(append.events.len());
            for event in append.events {
                db.prepare_cached("INSERT INTO events (at, body) VALUES (?1, ?2)")?.execute(params![now.0, json(&event)?])?;
                stored.push(StoredEvent { seq: db.last_insert_rowid().unsigned_abs(), at: now, event });
            }
            if let Some(cursor) = append.cursor {
                db.execute(
                    "INSERT INTO agent (one, sandbox, offset, agent_session) VALUES (1, ?1, ?2, ?3)
                     ON CONFLICT (one) DO UPDATE SET sandbox = excluded.sandbox, offset = excluded.offset,
                       agent_session = excluded.agent_session",
                    params![cursor.sandbox.as_str(), i64::try_from(cursor.offset).unwrap_or(i64::MAX), cursor.agent_session],
                )?;
            }
            for draft in &append.outbox {
                enqueue(db, draft, now)?;
            }
            Ok(stored)
        });
        let stored = stored.await?;
        fault_point_in_log!(stored.iter().map(|stored| &stored.event), "after");
        Ok(stored)
    }

    /// Puts a damaged session database aside, under a name that says so. Gives the file; the session's log is empty from then on.
    pub async fn set_session_aside(&self, session: &SessionId) -> Result<PathBuf, StoreError> {
        let database = Database::Session(session.clone());
        let suffix = format!("damaged-{}", self.clock().now().0);
        self.writer(&database).set_aside(database, suffix).await
    }

    /// The log after `after`, at most `most` entries.
    pub async fn events(&self, session: &SessionId, after: u64, most: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.write(Database::Session(session.clone()), move |db| {
            db.prepare_cached("SELECT seq, at, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?
                .query_map(params![i64::try_from(after).unwrap_or(i64::MAX), most], |row| {
                    Ok(StoredEvent { seq: row.get::<_, i64>(0)?.unsigned_abs(), at: Timestamp(row.get(1)?), event: from_json(row, 2)? })
                })?
                .collect()
        })
        .await
    }

    pub async fn agent_cursor(&self, session: &SessionId) -> Result<Option<AgentCursor>, StoreError> {
        self.write(Database::Session(session.clone()), |db| {
            db.query_row("SELECT sandbox, offset, agent_session FROM agent", [], |row| {
                Ok(AgentCursor {
                    sandbox: parsed(row, 0, SandboxId::parse)?,
                    offset: row.get::<_, i64>(1)?.unsigned_abs(),
                    agent_session: row.get(2)?,
                })
            })
            .optional()
        })
        .await
    }
}
