//! Sessions that turned out to be in the wrong repository, and what people's picks taught.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Ask, AskState, Database, SessionRecord, Store, StoreError,
    central::{SELECT_SESSION, from_json, insert_session, json, parsed, session_row},
    open_reader, schema,
};
use crate::{Prompt, RepoName, SessionId, SlackUserId, Timestamp, fault_point};

/// Where a session's prompts went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedSession {
    pub to: SessionRecord,
    pub by: SlackUserId,
}

/// Whether a choice teaches anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    Learn,
    /// The words of the prompt name a repository themselves.
    Nothing,
}

/// What somebody picked or corrected, as routing learns from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    pub text: String,
    pub repo: RepoName,
    /// None for what was picked before this was kept.
    pub by: Option<SlackUserId>,
    pub at: Timestamp,
}

impl Store {
    /// Moves prompts out of a session into a new one: the new session and what routing learns come in one transaction, and once, so that two
    /// people at once, or one handler twice, make one session. Gives where the prompts went, whoever was first.
    pub async fn begin_move(
        &self,
        old: SessionId,
        by: SlackUserId,
        (first, rest): (Prompt, Vec<Prompt>),
        record: SessionRecord,
        lesson: Lesson,
    ) -> Result<MovedSession, StoreError> {
        let now = self.clock().now();
        fault_point!("move.begun.before");
        let moved = self.write(Database::Central, move |db| {
            if let Some(moved) = moved_to(db, &old)? {
                return Ok(moved);
            }
            let thread = record.thread.clone();
            let ask = Ask { prompt: first, thread, state: AskState::Routing, candidates: Vec::new(), phases: Vec::new() };
            insert_session(db, &record, &json(&ask)?)?;
            db.execute(
                "INSERT INTO moves (old, new, by, rest, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![old.as_str(), record.id.as_str(), by.as_str(), json(&rest)?, now.0],
            )?;
            match lesson {
                Lesson::Learn => put_pick(db, &ask.prompt, &record.repo, &by, now)?,
                Lesson::Nothing => {}
            }
            Ok(MovedSession { to: record, by })
        });
        let moved = moved.await?;
        fault_point!("move.begun.after");
        Ok(moved)
    }

    /// Where a session's prompts went, if they were moved.
    pub async fn moved_to(&self, old: SessionId) -> Result<Option<MovedSession>, StoreError> {
        self.read(Database::Central, move |db| moved_to(db, &old)).await
    }

    /// The prompts that came along behind the first one, for when the session's own database does not have them yet.
    pub async fn moved_here(&self, new: SessionId) -> Result<Vec<Prompt>, StoreError> {
        self.read(Database::Central, move |db| {
            let rest = db.query_row("SELECT rest FROM moves WHERE new = ?1", params![new.as_str()], |row| from_json(row, 0)).optional()?;
            Ok(rest.unwrap_or_default())
        })
        .await
    }

    /// Remembers which repository somebody chose for a prompt; the latest choice counts.
    pub async fn put_pick(&self, prompt: &Prompt, repo: RepoName, by: SlackUserId) -> Result<(), StoreError> {
        let now = self.clock().now();
        let prompt = prompt.clone();
        self.write(Database::Central, move |db| put_pick(db, &prompt, &repo, &by, now)).await
    }

    /// The newest picks, oldest of them first.
    pub async fn picks(&self, most: u32) -> Result<Vec<Pick>, StoreError> {
        self.read(Database::Central, move |db| picks(db, most)).await
    }

    /// The newest picks of a data folder, oldest of them first, also while a service works on it.
    pub fn picks_in(folder: &Path, most: u32) -> Result<Vec<Pick>, StoreError> {
        let path = schema::path(folder, &Database::Central);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let failed = |error: rusqlite::Error| schema::store_error(&path, &error);
        let db = open_reader(&path).map_err(failed)?;
        let has = |column: &str| {
            let sql = "SELECT count(*) FROM pragma_table_info('picks') WHERE name = ?1";
            db.query_row(sql, params![column], |row| row.get::<_, i64>(0)).map(|count| count > 0).map_err(failed)
        };
        // Written by an older service that knew no picks, or not who made them; the next start brings it up to date.
        if !has("text")? {
            return Ok(Vec::new());
        }
        if !has("who")? {
            return read_picks(&db, "''", most).map_err(failed);
        }
        picks(&db, most).map_err(failed)
    }
}

fn moved_to(db: &Connection, old: &SessionId) -> rusqlite::Result<Option<MovedSession>> {
    let sql = format!("{SELECT_SESSION} WHERE id = (SELECT new FROM moves WHERE old = ?1)");
    let Some(to) = db.query_row(&sql, params![old.as_str()], session_row).optional()? else { return Ok(None) };
    let by = db.query_row("SELECT by FROM moves WHERE old = ?1", params![old.as_str()], |row| parsed(row, 0, SlackUserId::parse))?;
    Ok(Some(MovedSession { to, by }))
}

fn put_pick(db: &Connection, prompt: &Prompt, repo: &RepoName, by: &SlackUserId, now: Timestamp) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO picks (prompt, text, repo, at, who) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (prompt) DO UPDATE SET repo = excluded.repo, at = excluded.at, who = excluded.who",
        params![prompt.id.as_str(), prompt.text, repo.as_str(), now.0, by.as_str()],
    )
    .map(drop)
}

fn picks(db: &Connection, most: u32) -> rusqlite::Result<Vec<Pick>> {
    read_picks(db, "who", most)
}

fn read_picks(db: &Connection, who: &'static str, most: u32) -> rusqlite::Result<Vec<Pick>> {
    db.prepare(&format!("SELECT text, repo, {who} AS who, at FROM (SELECT * FROM picks ORDER BY id DESC LIMIT ?1) ORDER BY id"))?
        .query_map(params![most], |row| {
            let by: String = row.get(2)?;
            Ok(Pick {
                text: row.get(0)?,
                repo: parsed(row, 1, RepoName::parse)?,
                by: SlackUserId::parse(by).ok(),
                at: Timestamp(row.get(3)?),
            })
        })?
        .collect()
}
