//! What people set for themselves, and the model that a session keeps.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{
    Database, Store, StoreError,
    central::{from_json, json},
};
use crate::{RepoName, SessionId, SlackUserId};

/// What counts for a person where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PersonDefaults {
    /// The agent's model in sessions that the person begins; the configuration's where none is given.
    pub model: Option<String>,
    /// Where routing cannot tell.
    pub repository: Option<RepoName>,
    pub pull_requests: PullRequestStyle,
}

/// How a person's pull requests are opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestStyle {
    #[default]
    Ready,
    Draft,
}

impl Store {
    /// A person's defaults; those of everybody where the person set none.
    pub async fn defaults(&self, user: SlackUserId) -> Result<PersonDefaults, StoreError> {
        self.read(Database::Central, move |db| {
            let found = db.query_row("SELECT body FROM defaults WHERE user = ?1", params![user.as_str()], |row| from_json(row, 0));
            Ok(found.optional()?.unwrap_or_default())
        })
        .await
    }

    pub async fn put_defaults(&self, user: SlackUserId, defaults: PersonDefaults) -> Result<(), StoreError> {
        self.write(Database::Central, move |db| {
            db.execute(
                "INSERT INTO defaults (user, body) VALUES (?1, ?2) ON CONFLICT (user) DO UPDATE SET body = excluded.body",
                params![user.as_str(), json(&defaults)?],
            )
            .map(drop)
        })
        .await
    }

    /// The model that a session has, if it has one yet.
    pub async fn model_of(&self, session: SessionId) -> Result<Option<String>, StoreError> {
        self.read(Database::Central, move |db| {
            db.query_row("SELECT model FROM models WHERE session = ?1", params![session.as_str()], |row| row.get(0)).optional()
        })
        .await
    }

    /// The session's model: the one that it got first, whatever is wished for later.
    pub async fn keep_model(&self, session: SessionId, wished: String) -> Result<String, StoreError> {
        self.write(Database::Central, move |db| {
            db.execute(
                "INSERT INTO models (session, model) VALUES (?1, ?2) ON CONFLICT (session) DO NOTHING",
                params![session.as_str(), wished],
            )?;
            db.query_row("SELECT model FROM models WHERE session = ?1", params![session.as_str()], |row| row.get(0))
        })
        .await
    }
}
