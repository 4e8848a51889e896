//! The central database: inbox, session index, prompts on their way to a session, images, sandboxes.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{BadImage, Database, EarlierImage, RetiredImage, Store, StoreError};
use crate::{
    ChannelId, MessageTs, Phase, Prompt, PromptId, RepoName, SandboxId, SessionId, SlackUserId, TeamId, ThreadKey, Timestamp, fault_point,
    fault_without,
};

/// How Slack delivered something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    Event,
    Command,
    Interaction,
}

/// Something that Slack delivered, to be stored before it is acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The same for every delivery of the same thing.
    pub key: String,
    pub kind: DeliveryKind,
    /// Deliveries of one lane are handled one after the other.
    pub lane: String,
    pub payload: serde_json::Value,
    pub received: Timestamp,
}

/// What storing a delivery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    New,
    /// It was stored before.
    Duplicate,
}

/// A delivery that was claimed for handling.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxRow {
    pub delivery: Delivery,
    /// How often it was claimed, this time included.
    pub attempts: u32,
}

/// No claim lasts so long: one that ends later was made before the clock was set back.
const FARTHEST: Duration = Duration::from_secs(15 * 60);

/// How much of what Slack delivered is not dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxDepth {
    pub open: u64,
    /// When the oldest of it came.
    pub oldest: Option<Timestamp>,
}

/// One session in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    pub id: SessionId,
    pub repo: RepoName,
    pub thread: ThreadKey,
    /// Who began it.
    pub owner: SlackUserId,
    /// The first prompt, shortened.
    pub title: String,
    /// Why this repository, in words that were shown.
    pub why: String,
    /// One word of where it stands, for lists (`idle`, `queued`, `preparing`, `working`, `finishing`).
    pub phase: String,
    /// Recovery opens the databases of those that have work, and only those.
    pub has_work: Work,
    pub created: Timestamp,
    pub touched: Timestamp,
}

impl SessionRecord {
    /// The phase of one that nobody has opened yet: its own database is empty, and only its.
    pub const NEW: &str = "queued";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Some,
    None,
}

/// Where a prompt stands that is in no session yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    /// The repository is being worked out.
    Routing,
    /// Somebody is asked to pick it.
    Picking,
}

/// A prompt that is in no session yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub prompt: Prompt,
    pub thread: ThreadKey,
    pub state: AskState,
    /// Best first.
    pub candidates: Vec<RepoName>,
    /// What was reached on the way so far.
    pub phases: Vec<(Phase, Timestamp)>,
}

/// Whether a prompt is a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    New,
    /// It was dealt with before, or somebody is at it.
    Known,
}

/// What is known of a repository's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ImageRecord {
    /// Registry reference by digest, of the last build that was good.
    pub reference: Option<String>,
    pub commit: Option<String>,
    /// Hash of commit, recipe and base: the same inputs need no build.
    pub inputs: Option<String>,
    pub built: Option<Timestamp>,
    /// Bytes.
    pub size: Option<u64>,
    /// Milliseconds from the request for a sandbox to an agent that answered, when it was tried.
    #[serde(default)]
    pub start_ms: Option<u64>,
    /// Set while a build runs.
    pub building_since: Option<Timestamp>,
    /// Why the newest build failed, in words; none after a good one.
    pub failure: Option<String>,
    pub failed_at: Option<Timestamp>,
    /// Builds that failed in a row.
    pub failures: u32,
    /// Words of the repository, for routing.
    pub vocabulary: Vec<String>,
    /// Those before it that a session can fall back to, newest first.
    #[serde(default)]
    pub previous: Vec<EarlierImage>,
    /// Those that were taken back, newest last.
    #[serde(default)]
    pub bad: Vec<BadImage>,
    /// Those that nothing starts from any more, until nothing is left of them; newest last.
    #[serde(default)]
    pub retired: Vec<RetiredImage>,
}

/// A sandbox that a session was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxRecord {
    pub id: SandboxId,
    pub session: SessionId,
    pub created: Timestamp,
    /// Whatever the service needs to take it up again, as JSON. Never a token.
    pub body: serde_json::Value,
}

impl Store {
    /// Stores a delivery under its key, and claims its post where it is one. Answers after the commit.
    pub async fn put_delivery(&self, delivery: Delivery, post: Option<String>) -> Result<Delivered, StoreError> {
        let (delivery, post) = if fault_without!("inbox-deduplication") {
            (Delivery { key: format!("{} {}", delivery.key, SessionId::random()), ..delivery }, None)
        } else {
            (delivery, post)
        };
        fault_point!("inbox.stored.before");
        let stored = self.write(Database::Central, move |db| {
            let added = db.execute(
                "INSERT INTO inbox (key, kind, lane, payload, received) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (key) DO NOTHING",
                params![delivery.key, json(&delivery.kind)?, delivery.lane, delivery.payload.to_string(), delivery.received.0],
            )?;
            if added == 0 {
                return Ok(Delivered::Duplicate);
            }
            let Some(post) = post else { return Ok(Delivered::New) };
            let claimed = db.execute(
                "INSERT INTO posts (post, inbox_key) VALUES (?1, ?2) ON CONFLICT (post) DO NOTHING",
                params![post, delivery.key],
            )?;
            if claimed == 0 {
                // The row stays, so that further deliveries under this key are known too.
                db.execute("UPDATE inbox SET done = ?2 WHERE key = ?1", params![delivery.key, delivery.received.0])?;
                return Ok(Delivered::Duplicate);
            }
            Ok(Delivered::New)
        });
        let stored = stored.await?;
        fault_point!("inbox.stored.after");
        Ok(stored)
    }

    /// Claims the oldest open delivery whose lane is free. The claim ends with `lease`: a delivery whose handler died comes again.
    pub async fn claim_delivery(&self, lease: Duration) -> Result<Option<InboxRow>, StoreError> {
        let now = self.clock().now();
        self.write(Database::Central, move |db| {
            let found = db
                .query_row(
                    "SELECT key, kind, lane, payload, received, attempts FROM inbox AS row
                     WHERE done IS NULL AND (leased_until <= ?1 OR leased_until > ?2) AND NOT EXISTS
                       (SELECT 1 FROM inbox AS before WHERE before.lane = row.lane AND before.done IS NULL AND before.id < row.id)
                     ORDER BY id LIMIT 1",
                    params![now.0, (now + FARTHEST).0],
                    |row| {
                        Ok(InboxRow {
                            delivery: Delivery {
                                key: row.get(0)?,
                                kind: from_json(row, 1)?,
                                lane: row.get(2)?,
                                payload: from_json(row, 3)?,
                                received: Timestamp(row.get(4)?),
                            },
                            attempts: row.get::<_, u32>(5)? + 1,
                        })
                    },
                )
                .optional()?;
            if let Some(row) = &found {
                db.execute(
                    "UPDATE inbox SET leased_until = ?2, attempts = attempts + 1 WHERE key = ?1",
                    params![row.delivery.key, (now + lease).0],
                )?;
            }
            Ok(found)
        })
        .await
    }

    /// The delivery is dealt with.
    pub async fn delivery_done(&self, key: String) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(Database::Central, move |db| db.execute("UPDATE inbox SET done = ?2 WHERE key = ?1", params![key, now.0]).map(drop))
            .await
    }

    /// Gives all claims back: the service that made them is gone.
    pub async fn release_deliveries(&self) -> Result<(), StoreError> {
        self.write(Database::Central, |db| db.execute("UPDATE inbox SET leased_until = 0 WHERE done IS NULL", []).map(drop)).await
    }

    /// Gives one claim back, to be taken again after `delay`.
    pub async fn release_delivery(&self, key: String, delay: Duration) -> Result<(), StoreError> {
        let at = self.clock().now() + delay;
        self.write(Database::Central, move |db| {
            db.execute("UPDATE inbox SET leased_until = ?2 WHERE key = ?1", params![key, at.0]).map(drop)
        })
        .await
    }

    /// When the last delivery came in, if ever one did.
    pub async fn last_delivery(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(Database::Central, |db| {
            db.query_row("SELECT max(received) FROM inbox", [], |row| row.get::<_, Option<i64>>(0)).map(|at| at.map(Timestamp))
        })
        .await
    }

    /// Deliveries that wait or are being handled.
    pub async fn open_deliveries(&self) -> Result<u64, StoreError> {
        self.read(Database::Central, |db| {
            db.query_row("SELECT count(*) FROM inbox WHERE done IS NULL", [], |row| row.get::<_, i64>(0)).map(|n| n.unsigned_abs())
        })
        .await
    }

    /// The same, and since when the oldest waits.
    pub async fn inbox_depth(&self) -> Result<InboxDepth, StoreError> {
        self.read(Database::Central, |db| {
            db.query_row("SELECT count(*), min(received) FROM inbox WHERE done IS NULL", [], |row| {
                Ok(InboxDepth { open: row.get::<_, i64>(0)?.unsigned_abs(), oldest: row.get::<_, Option<i64>>(1)?.map(Timestamp) })
            })
        })
        .await
    }

    /// How many sessions stand where, by the index's words.
    pub async fn session_phases(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached("SELECT phase, count(*) FROM sessions GROUP BY phase")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
                .collect()
        })
        .await
    }

    /// Writes something that changes nothing, to see whether anything can be written.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(Database::Central, |db| {
            let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            db.pragma_update(None, "user_version", version)
        })
        .await
    }

    /// Stores a prompt that is in no session yet, unless it is or was here before: a handler that runs again after a crash finds it on its way, in the session that it
    /// became, or ended by the message with the key `end`.
    pub async fn begin_ask(&self, ask: Ask, end: String) -> Result<Asked, StoreError> {
        let now = self.clock().now();
        let is_blind = fault_without!("inbox-deduplication");
        fault_point!("ask.stored.before");
        let begun = self.write(Database::Central, move |db| {
            if !is_blind && was_asked(db, &ask, &end)? {
                return Ok(Asked::Known);
            }
            db.execute(
                "INSERT INTO asks (prompt, team, channel, thread, post, state, body, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (prompt) DO NOTHING",
                params![
                    ask.prompt.id.as_str(),
                    ask.thread.team.as_str(),
                    ask.thread.channel.as_str(),
                    ask.thread.thread.as_str(),
                    ask.prompt.post.as_str(),
                    json(&ask.state)?,
                    json(&ask)?,
                    now.0
                ],
            )?;
            Ok(Asked::New)
        });
        let asked = begun.await?;
        fault_point!("ask.stored.after");
        Ok(asked)
    }

    /// Changes what is stored of a prompt; one that has become a session, or has ended, stays away.
    pub async fn change_ask(&self, ask: Ask) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| {
            db.execute(
                "UPDATE asks SET state = ?2, body = ?3 WHERE prompt = ?1",
                params![ask.prompt.id.as_str(), json(&ask.state)?, json(&ask)?],
            )
            .map(drop)
        })
        .await
    }

    pub async fn ask(&self, prompt: PromptId) -> Result<Option<Ask>, StoreError> {
        self.read(Database::Central, move |db| {
            db.query_row("SELECT body FROM asks WHERE prompt = ?1", params![prompt.as_str()], |row| from_json(row, 0)).optional()
        })
        .await
    }

    /// The prompts of a thread that are in no session yet, oldest first.
    pub async fn asks_of(&self, thread: ThreadKey) -> Result<Vec<Ask>, StoreError> {
        self.read(Database::Central, move |db| {
            let mut query = db.prepare_cached("SELECT body FROM asks WHERE team = ?1 AND channel = ?2 AND thread = ?3 ORDER BY created")?;
            query
                .query_map(params![thread.team.as_str(), thread.channel.as_str(), thread.thread.as_str()], |row| from_json(row, 0))?
                .collect()
        })
        .await
    }

    /// Every prompt that is in no session yet.
    pub async fn asks(&self) -> Result<Vec<Ask>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached("SELECT body FROM asks ORDER BY created")?.query_map([], |row| from_json(row, 0))?.collect()
        })
        .await
    }

    /// Ends a prompt's time outside of a session. False when somebody else was first.
    pub async fn take_ask(&self, prompt: PromptId) -> Result<Option<Ask>, StoreError> {
        self.write(Database::Central, move |db| {
            db.query_row("DELETE FROM asks WHERE prompt = ?1 RETURNING body", params![prompt.as_str()], |row| from_json(row, 0)).optional()
        })
        .await
    }

    /// Moves a prompt into a new session: the ask goes and the session comes in one transaction, so that two choices make one session.
    /// None when the ask is gone already.
    pub async fn begin_session(&self, prompt: PromptId, record: SessionRecord) -> Result<Option<Ask>, StoreError> {
        fault_point!("session.begun.before");
        let begun = self.write(Database::Central, move |db| {
            let ask: Option<Ask> = db
                .query_row("DELETE FROM asks WHERE prompt = ?1 RETURNING body", params![prompt.as_str()], |row| from_json(row, 0))
                .optional()?;
            if let Some(ask) = &ask {
                // The prompt rests in the index until the session's own database has it: two databases are no transaction.
                insert_session(db, &record, &json(ask)?)?;
            }
            Ok(ask)
        });
        let ask = begun.await?;
        fault_point!("session.begun.after");
        Ok(ask)
    }

    /// The prompt that a session began with, for when its own database does not have it yet.
    pub async fn first_ask(&self, session: SessionId) -> Result<Option<Ask>, StoreError> {
        self.read(Database::Central, move |db| {
            db.query_row("SELECT first_ask FROM sessions WHERE id = ?1", params![session.as_str()], |row| from_json(row, 0)).optional()
        })
        .await
    }

    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.read(Database::Central, move |db| {
            db.query_row(&format!("{SELECT_SESSION} WHERE id = ?1"), params![id.as_str()], session_row).optional()
        })
        .await
    }

    /// The sessions of a thread that prompts can go to, the one that was asked last first: what was moved elsewhere is none of them.
    pub async fn sessions_of(&self, thread: ThreadKey) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(Database::Central, move |db| {
            let sql = format!(
                "{SELECT_SESSION} WHERE team = ?1 AND channel = ?2 AND thread = ?3 AND NOT EXISTS (SELECT 1 FROM moves WHERE old = id)
                 ORDER BY prompted DESC, created DESC, id"
            );
            db.prepare_cached(&sql)?
                .query_map(params![thread.team.as_str(), thread.channel.as_str(), thread.thread.as_str()], session_row)?
                .collect()
        })
        .await
    }

    /// Somebody asks a session for something: it is its thread's first from now on.
    pub async fn prompted(&self, id: SessionId) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(Database::Central, move |db| {
            db.execute("UPDATE sessions SET prompted = ?2 WHERE id = ?1", params![id.as_str(), now.0]).map(drop)
        })
        .await
    }

    /// The sessions that have work, oldest first.
    pub async fn working_sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached(&format!("{SELECT_SESSION} WHERE has_work = 1 ORDER BY created, id"))?.query_map([], session_row)?.collect()
        })
        .await
    }

    /// The sessions whose agent asked something that nobody has answered, the one that waits longest first.
    pub async fn waiting_sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached(&format!("{SELECT_SESSION} WHERE phase = 'waiting' ORDER BY touched, id"))?
                .query_map([], session_row)?
                .collect()
        })
        .await
    }

    /// The sessions touched last, newest first.
    pub async fn recent_sessions(&self, most: u32) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(Database::Central, move |db| {
            db.prepare_cached(&format!("{SELECT_SESSION} ORDER BY touched DESC, id LIMIT ?1"))?
                .query_map(params![most], session_row)?
                .collect()
        })
        .await
    }

    /// The sessions that this person began, the one touched last first.
    pub async fn sessions_begun_by(&self, owner: SlackUserId, most: u32) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(Database::Central, move |db| {
            db.prepare_cached(&format!("{SELECT_SESSION} WHERE owner = ?1 ORDER BY touched DESC, id LIMIT ?2"))?
                .query_map(params![owner.as_str(), most], session_row)?
                .collect()
        })
        .await
    }

    /// The sessions of a channel's threads, the one touched last first.
    pub async fn sessions_in(&self, channel: ChannelId, most: u32) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(Database::Central, move |db| {
            db.prepare_cached(&format!("{SELECT_SESSION} WHERE channel = ?1 ORDER BY touched DESC, id LIMIT ?2"))?
                .query_map(params![channel.as_str(), most], session_row)?
                .collect()
        })
        .await
    }

    /// Says where a session stands. Called before its own database gets work, and after it has none left.
    pub async fn mark_session(&self, id: SessionId, phase: &'static str, work: Work) -> Result<(), StoreError> {
        let now = self.clock().now();
        fault_point!("session.marked.before");
        let marked = self.write(Database::Central, move |db| {
            db.execute(
                "UPDATE sessions SET phase = ?2, has_work = ?3, touched = ?4 WHERE id = ?1",
                params![id.as_str(), phase, work == Work::Some, now.0],
            )
            .map(drop)
        });
        marked.await?;
        fault_point!("session.marked.after");
        Ok(())
    }

    pub async fn image(&self, repo: RepoName) -> Result<ImageRecord, StoreError> {
        self.read(Database::Central, move |db| {
            let found =
                db.query_row("SELECT body FROM images WHERE repo = ?1", params![repo.as_str()], |row| from_json(row, 0)).optional()?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    pub async fn images(&self) -> Result<Vec<(RepoName, ImageRecord)>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached("SELECT repo, body FROM images ORDER BY repo")?
                .query_map([], |row| Ok((parsed(row, 0, RepoName::parse)?, from_json(row, 1)?)))?
                .collect()
        })
        .await
    }

    pub async fn put_image(&self, repo: RepoName, record: ImageRecord) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| {
            db.execute(
                "INSERT INTO images (repo, body) VALUES (?1, ?2) ON CONFLICT (repo) DO UPDATE SET body = excluded.body",
                params![repo.as_str(), json(&record)?],
            )
            .map(drop)
        })
        .await
    }

    pub async fn put_sandbox(&self, record: SandboxRecord) -> Result<(), StoreError> {
        fault_point!("sandbox.noted.before");
        self.write(Database::Central, move |db| put_sandbox(db, &record)).await?;
        fault_point!("sandbox.noted.after");
        Ok(())
    }

    pub async fn forget_sandbox(&self, id: SandboxId) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| db.execute("DELETE FROM sandboxes WHERE id = ?1", params![id.as_str()]).map(drop)).await
    }

    /// Every sandbox that a session has, oldest first.
    pub async fn sandboxes(&self) -> Result<Vec<SandboxRecord>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached("SELECT id, session, body, created FROM sandboxes ORDER BY created, id")?
                .query_map([], |row| {
                    Ok(SandboxRecord {
                        id: parsed(row, 0, SandboxId::parse)?,
                        session: parsed(row, 1, SessionId::parse)?,
                        body: from_json(row, 2)?,
                        created: Timestamp(row.get(3)?),
                    })
                })?
                .collect()
        })
        .await
    }
}

pub(super) fn put_sandbox(db: &Connection, record: &SandboxRecord) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO sandboxes (id, session, body, created) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        params![record.id.as_str(), record.session.as_str(), record.body.to_string(), record.created.0],
    )
    .map(drop)
}

/// Whether a prompt is on its way, is in a session that it began, or has had its final message.
fn was_asked(db: &Connection, ask: &Ask, end: &str) -> rusqlite::Result<bool> {
    let thread = &ask.thread;
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM asks WHERE prompt = ?1)
             OR EXISTS (SELECT 1 FROM sessions WHERE team = ?2 AND channel = ?3 AND thread = ?4 AND json_extract(first_ask, '$.prompt.id') = ?1)
             OR EXISTS (SELECT 1 FROM outbox WHERE key = ?5)",
        params![ask.prompt.id.as_str(), thread.team.as_str(), thread.channel.as_str(), thread.thread.as_str(), end],
        |row| row.get(0),
    )
}

pub(super) const SELECT_SESSION: &str =
    "SELECT id, repo, team, channel, thread, owner, title, why, phase, has_work, created, touched FROM sessions";

pub(super) fn insert_session(db: &Connection, record: &SessionRecord, first_ask: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO sessions (id, repo, team, channel, thread, owner, title, why, phase, has_work, created, touched, first_ask, prompted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?11)",
        params![
            record.id.as_str(),
            record.repo.as_str(),
            record.thread.team.as_str(),
            record.thread.channel.as_str(),
            record.thread.thread.as_str(),
            record.owner.as_str(),
            record.title,
            record.why,
            record.phase,
            record.has_work == Work::Some,
            record.created.0,
            record.touched.0,
            first_ask
        ],
    )
    .map(drop)
}

pub(super) fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        id: parsed(row, 0, SessionId::parse)?,
        repo: parsed(row, 1, RepoName::parse)?,
        thread: ThreadKey {
            team: parsed(row, 2, TeamId::parse)?,
            channel: parsed(row, 3, ChannelId::parse)?,
            thread: parsed(row, 4, MessageTs::parse)?,
        },
        owner: parsed(row, 5, SlackUserId::parse)?,
        title: row.get(6)?,
        why: row.get(7)?,
        phase: row.get(8)?,
        has_work: if row.get(9)? { Work::Some } else { Work::None },
        created: Timestamp(row.get(10)?),
        touched: Timestamp(row.get(11)?),
    })
}

pub(super) fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn parsed<T, E: std::error::Error + Send + Sync + 'static>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
