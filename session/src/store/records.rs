//! A data folder, read only: also while a service works on it, and without one.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::{
    Ask, AskState, Database, SessionRecord, StoreError, StoredEvent,
    central::{SELECT_SESSION, from_json, session_row},
    open_reader, schema,
};
use crate::{
    ChannelId, LedgerEntry, LedgerStanding, MessageTs, Prompt, PromptId, SentBy, SessionId, Timestamp,
    ledger::{self, FinalRow, PromptFate, Prompts},
};

/// What a data folder holds, as it stands when it is asked.
#[derive(Debug)]
pub struct Records {
    pub(super) folder: PathBuf,
    central: Connection,
}

/// What is owed by one outbox, and to which prompts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Oldest first.
    pub entries: Vec<LedgerEntry>,
    /// Messages and changes of messages of every kind that are not in Slack yet.
    pub unsent: u64,
    /// Since when the oldest of them waits, or will be tried again.
    pub oldest_due: Option<Timestamp>,
}

/// A message of a session's, as its outbox has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentMessage {
    pub key: String,
    pub kind: String,
    /// When it was put in, or will be tried again.
    pub due: Timestamp,
    /// Sends that were begun.
    pub attempts: u32,
    pub sent: Option<Timestamp>,
    pub ts: Option<MessageTs>,
    /// Why Slack will never take it.
    pub failure: Option<String>,
}

impl Records {
    /// Errors where there is no data of this version: what an older one left is brought up to date by the service's start.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = schema::path(folder, &Database::Central);
        if !path.exists() {
            return Err(StoreError::Folder { path: folder.to_owned(), reason: "there is no longshore.db in it".to_owned() });
        }
        let central = reader(&path)?;
        schema::check_current(&path, &central, &Database::Central)?;
        Ok(Self { folder: folder.to_owned(), central })
    }

    /// Every session, the one touched last first.
    pub fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.in_central(|db| db.prepare(&format!("{SELECT_SESSION} ORDER BY touched DESC, id"))?.query_map([], session_row)?.collect())
    }

    pub fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.in_central(|db| db.query_row(&format!("{SELECT_SESSION} WHERE id = ?1"), params![id.as_str()], session_row).optional())
    }

    /// The whole log of a session. Empty where its own database is not there yet.
    pub fn events(&self, id: &SessionId) -> Result<Vec<StoredEvent>, StoreError> {
        self.in_session(id, |db| events(db, ""))
    }

    /// The messages of a session, oldest first.
    pub fn messages(&self, id: &SessionId) -> Result<Vec<SentMessage>, StoreError> {
        self.in_session(id, |db| {
            db.prepare("SELECT key, kind, due, attempts, sent, ts, failure FROM outbox ORDER BY id")?
                .query_map([], |row| {
                    Ok(SentMessage {
                        key: row.get(0)?,
                        kind: row.get(1)?,
                        due: Timestamp(row.get(2)?),
                        attempts: row.get(3)?,
                        sent: row.get::<_, Option<i64>>(4)?.map(Timestamp),
                        ts: row.get::<_, Option<String>>(5)?.and_then(|ts| MessageTs::parse(ts).ok()),
                        failure: row.get(6)?,
                    })
                })?
                .collect()
        })
    }

    /// The prompts of one session.
    pub fn ledger_of(&self, record: &SessionRecord) -> Result<Ledger, StoreError> {
        let read = |db: &Connection| {
            let mut prompts = Prompts::default();
            for stored in events(db, WITHOUT_WORK)? {
                prompts.take(&stored);
            }
            let (unsent, oldest_due) = unsent(db)?;
            Ok((prompts, final_rows(db)?, unsent, oldest_due))
        };
        let (mut prompts, finals, unsent, oldest_due) = self.in_session(&record.id, read)?;
        if prompts.0.is_empty() {
            // They rest in the index until the session's own database has them.
            prompts.0 =
                self.first_prompts(&record.id)?.into_iter().map(|prompt| (prompt.id, prompt.received, PromptFate::Queued)).collect();
        }
        let entries = prompts.0.into_iter().map(|(prompt, received, fate)| LedgerEntry {
            prompt,
            session: Some(record.id.clone()),
            channel: record.thread.channel.clone(),
            thread: record.thread.thread.clone(),
            accepted: Some(received),
            standing: match fate {
                PromptFate::Queued => LedgerStanding::Queued,
                PromptFate::Working(turn) => LedgerStanding::Working { turn },
                PromptFate::Withdrawn => LedgerStanding::Withdrawn,
                PromptFate::Moved(to) => LedgerStanding::Moved { to },
                PromptFate::Over(turn, since) => {
                    let key = ledger::final_key(&record.id, turn);
                    let is_part = |row: &&FinalRow| row.key.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
                    ledger::standing_of(&finals.iter().filter(is_part).collect::<Vec<_>>(), since)
                }
            },
        });
        Ok(Ledger { entries: entries.collect(), unsent, oldest_due })
    }

    /// The prompts that are in no session: those that are not yet, and those that never were.
    pub fn ledger_outside(&self) -> Result<Ledger, StoreError> {
        self.in_central(|db| {
            let finals = final_rows(db)?;
            let asks: Vec<Ask> =
                db.prepare("SELECT body FROM asks ORDER BY created")?.query_map([], |row| from_json(row, 0))?.collect::<Result<_, _>>()?;
            let mut entries: Vec<LedgerEntry> = db
                .prepare("SELECT key, body, due FROM outbox WHERE kind = 'final' ORDER BY id")?
                .query_map([], |row| ended_ask(row, &finals))?
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            // An ask goes after its message is stored.
            let open = asks.into_iter().filter(|ask| !finals.iter().any(|row| row.key == ledger::final_key_of_ask(&ask.prompt.id)));
            let open: Vec<LedgerEntry> = open
                .map(|ask| LedgerEntry {
                    prompt: ask.prompt.id,
                    session: None,
                    channel: ask.thread.channel,
                    thread: ask.thread.thread,
                    accepted: Some(ask.prompt.received),
                    standing: match ask.state {
                        AskState::Routing => LedgerStanding::Routing,
                        AskState::Picking => LedgerStanding::Picking,
                    },
                })
                .collect();
            entries.extend(open);
            let (unsent, oldest_due) = unsent(db)?;
            Ok(Ledger { entries, unsent, oldest_due })
        })
    }

    fn first_prompts(&self, id: &SessionId) -> Result<Vec<Prompt>, StoreError> {
        self.in_central(|db| {
            let first: Option<Ask> =
                db.query_row("SELECT first_ask FROM sessions WHERE id = ?1", params![id.as_str()], |row| from_json(row, 0)).optional()?;
            let rest: Option<Vec<Prompt>> =
                db.query_row("SELECT rest FROM moves WHERE new = ?1", params![id.as_str()], |row| from_json(row, 0)).optional()?;
            Ok(first.map(|ask| ask.prompt).into_iter().chain(rest.into_iter().flatten()).collect())
        })
    }

    pub(super) fn in_central<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        read(&self.central).map_err(|error| schema::store_error(&schema::path(&self.folder, &Database::Central), &error))
    }

    fn in_session<T: Default>(&self, id: &SessionId, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let path = schema::path(&self.folder, &Database::Session(id.clone()));
        if !path.exists() {
            return Ok(T::default());
        }
        let db = reader(&path)?;
        let has_tables: bool = db
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'outbox'", [], |row| Ok(row.get::<_, i64>(0)? > 0))
            .map_err(|error| schema::store_error(&path, &error))?;
        if !has_tables {
            // It is being made in this moment.
            return Ok(T::default());
        }
        read(&db).map_err(|error| schema::store_error(&path, &error))
    }
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    open_reader(path).map_err(|error| schema::store_error(path, &error))
}

/// Leaves out what makes up most of a log and moves no prompt.
const WITHOUT_WORK: &str = "WHERE body NOT LIKE '{\"event\":\"agent\"%' AND body NOT LIKE '{\"event\":\"model_used\"%'
    AND body NOT LIKE '{\"event\":\"phase_reached\"%' AND body NOT LIKE '{\"event\":\"tool_ruled\"%'";

fn events(db: &Connection, which: &str) -> rusqlite::Result<Vec<StoredEvent>> {
    db.prepare(&format!("SELECT seq, at, body FROM events {which} ORDER BY seq"))?
        .query_map([], |row| {
            Ok(StoredEvent { seq: row.get::<_, i64>(0)?.unsigned_abs(), at: Timestamp(row.get(1)?), event: from_json(row, 2)? })
        })?
        .collect()
}

fn unsent(db: &Connection) -> rusqlite::Result<(u64, Option<Timestamp>)> {
    // A change of a message that Slack refused, or that nobody knows, has nothing to wait for.
    let sql = "SELECT count(*), min(due) FROM outbox AS row WHERE sent IS NULL AND failure IS NULL AND (kind != 'change' OR EXISTS
               (SELECT 1 FROM outbox AS post WHERE row.key = 'change:' || post.key AND post.failure IS NULL))";
    db.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, Option<i64>>(1)?.map(Timestamp))))
}

fn final_rows(db: &Connection) -> rusqlite::Result<Vec<FinalRow>> {
    db.prepare("SELECT key, attempts, sent, ts, failure, body ->> '$.reconciled' FROM outbox WHERE kind = 'final' ORDER BY id")?
        .query_map([], |row| {
            Ok(FinalRow {
                key: row.get(0)?,
                attempts: row.get(1)?,
                sent: row.get::<_, Option<i64>>(2)?.map(Timestamp),
                ts: row.get::<_, Option<String>>(3)?.and_then(|ts| MessageTs::parse(ts).ok()),
                failure: row.get(4)?,
                by: if row.get::<_, Option<i64>>(5)?.is_some() { SentBy::Reconciled } else { SentBy::Answer },
            })
        })?
        .collect()
}

/// A prompt that ended without a session. None for rows whose key is of another make.
fn ended_ask(row: &Row<'_>, finals: &[FinalRow]) -> rusqlite::Result<Option<LedgerEntry>> {
    let (key, body, due): (String, serde_json::Value, i64) = (row.get(0)?, from_json(row, 1)?, row.get(2)?);
    let Some(prompt) = key.strip_suffix(":final").and_then(|prompt| PromptId::parse(prompt).ok()) else { return Ok(None) };
    let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let (Ok(channel), Ok(thread)) = (ChannelId::parse(text("channel")), MessageTs::parse(text("thread"))) else { return Ok(None) };
    let accepted = body.get("received").and_then(serde_json::Value::as_i64).map(Timestamp);
    let ended = body.get("ended").and_then(serde_json::Value::as_i64).map_or(Timestamp(due), Timestamp);
    let rows: Vec<&FinalRow> = finals.iter().filter(|row| row.key == key).collect();
    Ok(Some(LedgerEntry { prompt, session: None, channel, thread, accepted, standing: ledger::standing_of(&rows, ended) }))
}
