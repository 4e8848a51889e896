//! Sandboxes that wait for a session. A row is the right to one: whoever takes it away has the sandbox, and nobody else.

use std::net::IpAddr;

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Database, SandboxRecord, Store, StoreError,
    central::{from_json, json, parsed, put_sandbox},
};
use crate::{RepoName, SandboxId, SessionId, Timestamp};

/// A sandbox of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRecord {
    pub sandbox: SandboxId,
    pub repo: RepoName,
    /// What it was started from, by digest.
    pub image: String,
    pub created: Timestamp,
    /// None while it is being made.
    pub ready: Option<PoolReady>,
}

/// What whoever claims a sandbox has to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReady {
    pub at: Timestamp,
    /// The models that its agent can work with; the first one is what it does where nothing else is said.
    pub models: Vec<String>,
    /// Its own, which it keeps for as long as it runs.
    pub address: IpAddr,
    /// Bytes of its agent's output that belong to nobody: what came before the session.
    pub output: u64,
}

/// Who wants a sandbox, and which.
#[derive(Debug, Clone)]
pub struct PoolClaim {
    pub session: SessionId,
    pub repo: RepoName,
    pub model: String,
    /// Taken before all others.
    pub held: Vec<SandboxId>,
    /// Taken if there is no other.
    pub spared: Vec<SandboxId>,
    /// Among equals, those that were started from this image come first.
    pub image: Option<String>,
}

const SELECT: &str = "SELECT sandbox, repo, image, created, ready FROM pool";

impl Store {
    /// Notes a sandbox that is about to be made, so that a sweep after a crash finds it.
    pub async fn put_pooled(&self, record: PoolRecord) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| {
            let ready = record.ready.as_ref().map(json).transpose()?;
            db.execute(
                "INSERT INTO pool (sandbox, repo, image, created, ready) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![record.sandbox.as_str(), record.repo.as_str(), record.image, record.created.0, ready],
            )
            .map(drop)
        })
        .await
    }

    /// From now on it can be claimed. False where its row was taken meanwhile.
    pub async fn pooled_is_ready(&self, sandbox: SandboxId, ready: PoolReady) -> Result<bool, StoreError> {
        self.write(Database::Central, move |db| {
            let changed = db.execute("UPDATE pool SET ready = ?2 WHERE sandbox = ?1", params![sandbox.as_str(), json(&ready)?])?;
            Ok(changed > 0)
        })
        .await
    }

    /// Gives a session a sandbox that waits for one: the pool's row goes and the session's comes in one transaction, so that no two sessions
    /// ever have the same. None where none waits.
    pub async fn claim_pooled(&self, claim: PoolClaim) -> Result<Option<PoolRecord>, StoreError> {
        let now = self.clock().now();
        self.write(Database::Central, move |db| {
            let mut query = db.prepare_cached(&format!("{SELECT} WHERE repo = ?1 AND ready IS NOT NULL ORDER BY created, sandbox"))?;
            let waiting = query.query_map(params![claim.repo.as_str()], pool_row)?.collect::<Result<Vec<_>, _>>()?;
            let fits = |record: &PoolRecord| record.ready.as_ref().is_some_and(|ready| ready.models.contains(&claim.model));
            // The newest image first, then whoever waits longest.
            let rank = |record: &PoolRecord| {
                let is_held = claim.held.contains(&record.sandbox);
                (!is_held, !is_held && claim.spared.contains(&record.sandbox), claim.image.as_ref() != Some(&record.image))
            };
            let Some(record) = waiting.into_iter().filter(fits).min_by_key(rank) else { return Ok(None) };
            db.execute("DELETE FROM pool WHERE sandbox = ?1", params![record.sandbox.as_str()])?;
            let row = SandboxRecord {
                id: record.sandbox.clone(),
                session: claim.session,
                created: now,
                body: json!({ "image": record.image, "claimed": true }),
            };
            put_sandbox(db, &row)?;
            Ok(Some(record))
        })
        .await
    }

    /// Takes a sandbox out of the pool, to be removed. False where somebody else had it first.
    pub async fn take_pooled(&self, sandbox: SandboxId) -> Result<bool, StoreError> {
        self.write(Database::Central, move |db| Ok(db.execute("DELETE FROM pool WHERE sandbox = ?1", params![sandbox.as_str()])? > 0)).await
    }

    /// Every sandbox of the pool, oldest first.
    pub async fn pooled(&self) -> Result<Vec<PoolRecord>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached(&format!("{SELECT} ORDER BY created, sandbox"))?.query_map([], pool_row)?.collect()
        })
        .await
    }

    /// How many sessions were begun in each repository since then.
    pub async fn sessions_since(&self, since: Timestamp) -> Result<Vec<(RepoName, u32)>, StoreError> {
        self.read(Database::Central, move |db| {
            db.prepare_cached("SELECT repo, count(*) FROM sessions WHERE created >= ?1 GROUP BY repo ORDER BY count(*) DESC, repo")?
                .query_map(params![since.0], |row| Ok((parsed(row, 0, RepoName::parse)?, row.get(1)?)))?
                .collect()
        })
        .await
    }
}

fn pool_row(row: &Row<'_>) -> rusqlite::Result<PoolRecord> {
    let ready = match row.get_ref(4)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(from_json(row, 4)?),
    };
    Ok(PoolRecord {
        sandbox: parsed(row, 0, SandboxId::parse)?,
        repo: parsed(row, 1, RepoName::parse)?,
        image: row.get(2)?,
        created: Timestamp(row.get(3)?),
        ready,
    })
}

#[cfg(test)]
mod tests;
