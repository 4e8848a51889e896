//! Image builds, and what came of each.

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::{
    Database, Store, StoreError,
    central::{from_json, json, parsed},
};
use crate::{RepoName, Timestamp};

/// One build, begun or ended. Rounds that found nothing to do are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildRecord {
    pub id: u64,
    #[serde(rename = "repository")]
    pub repo: RepoName,
    pub began: Timestamp,
    /// None while it runs.
    pub ended: Option<Timestamp>,
    #[serde(flatten)]
    pub report: BuildReport,
}

/// What is known of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildReport {
    pub outcome: BuildEnd,
    /// Why it failed, in words.
    pub reason: Option<String>,
    pub commit: Option<String>,
    /// `registry/name@sha256:…`, where it was promoted.
    pub reference: Option<String>,
    /// Bytes of the image.
    pub bytes: Option<u64>,
    pub layers: Option<u64>,
    /// Milliseconds from the request for a sandbox to an agent that answered.
    pub start_ms: Option<u64>,
    /// In order.
    pub steps: Vec<BuildStepTook>,
    /// The log's file, in the folder for them.
    pub log: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStepTook {
    pub step: String,
    pub ms: u64,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildEnd {
    #[default]
    Running,
    /// Sessions start from what it made.
    Promoted,
    Failed,
    /// The service ended before it did.
    Interrupted,
}

const SELECT: &str = "SELECT id, repo, began, ended, body FROM builds";

impl Store {
    /// A build begins. `log` makes its log's name from the build's number.
    pub async fn begin_build(&self, repo: RepoName, log: impl FnOnce(u64) -> String + Send + 'static) -> Result<BuildRecord, StoreError> {
        let began = self.clock().now();
        self.write(Database::Central, move |db| {
            db.execute("INSERT INTO builds (repo, began, body) VALUES (?1, ?2, '{}')", params![repo.as_str(), began.0])?;
            let id = db.last_insert_rowid();
            let report = BuildReport { log: log(id.unsigned_abs()), ..BuildReport::default() };
            db.execute("UPDATE builds SET body = ?2 WHERE id = ?1", params![id, json(&report)?])?;
            Ok(BuildRecord { id: id.unsigned_abs(), repo, began, ended: None, report })
        })
        .await
    }

    /// It ended. Of the repository's builds the `keep` newest stay; the logs of the others are given back, for their files to be removed.
    pub async fn end_build(&self, record: BuildRecord, keep: u32) -> Result<Vec<String>, StoreError> {
        let ended = record.ended.unwrap_or_else(|| self.clock().now());
        self.write(Database::Central, move |db| {
            let id = i64::try_from(record.id).unwrap_or(i64::MAX);
            db.execute("UPDATE builds SET ended = ?2, body = ?3 WHERE id = ?1", params![id, ended.0, json(&record.report)?])?;
            let mut old = db.prepare_cached(
                "DELETE FROM builds WHERE repo = ?1 AND id NOT IN (SELECT id FROM builds WHERE repo = ?1 ORDER BY id DESC LIMIT ?2)
                 RETURNING id, repo, began, ended, body",
            )?;
            let old = old.query_map(params![record.repo.as_str(), keep], build_row)?.collect::<Result<Vec<_>, _>>()?;
            Ok(old.into_iter().map(|record| record.report.log).collect())
        })
        .await
    }

    /// There was nothing to build.
    pub async fn forget_build(&self, id: u64) -> Result<(), StoreError> {
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        self.write(Database::Central, move |db| db.execute("DELETE FROM builds WHERE id = ?1", params![id]).map(drop)).await
    }

    /// Builds that run were another service's, which is gone.
    pub async fn interrupt_builds(&self) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(Database::Central, move |db| {
            let mut open = db.prepare_cached(&format!("{SELECT} WHERE ended IS NULL"))?;
            for mut record in open.query_map([], build_row)?.collect::<Result<Vec<_>, _>>()? {
                record.report.outcome = BuildEnd::Interrupted;
                let id = i64::try_from(record.id).unwrap_or(i64::MAX);
                db.execute("UPDATE builds SET ended = ?2, body = ?3 WHERE id = ?1", params![id, now.0, json(&record.report)?])?;
            }
            Ok(())
        })
        .await
    }

    /// A repository's builds, newest first.
    pub async fn builds(&self, repo: RepoName) -> Result<Vec<BuildRecord>, StoreError> {
        self.read(Database::Central, move |db| {
            db.prepare_cached(&format!("{SELECT} WHERE repo = ?1 ORDER BY id DESC"))?
                .query_map(params![repo.as_str()], build_row)?
                .collect()
        })
        .await
    }
}

fn build_row(row: &Row<'_>) -> rusqlite::Result<BuildRecord> {
    Ok(BuildRecord {
        id: row.get::<_, i64>(0)?.unsigned_abs(),
        repo: parsed(row, 1, RepoName::parse)?,
        began: Timestamp(row.get(2)?),
        ended: row.get::<_, Option<i64>>(3)?.map(Timestamp),
        report: from_json(row, 4)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ManualClock;

    #[tokio::test]
    async fn builds_are_kept_newest_first_and_no_more_than_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(7)))).unwrap();
        let shop = RepoName::parse("acme/shop").unwrap();
        let other = store.begin_build(RepoName::parse("acme/other").unwrap(), |id| format!("other-{id}")).await.unwrap();
        let mut removed = Vec::new();
        for commit in ["a", "b", "c"] {
            let mut record = store.begin_build(shop.clone(), |id| format!("{id}.log")).await.unwrap();
            assert_eq!(store.builds(shop.clone()).await.unwrap()[0], record);
            record.report.outcome = BuildEnd::Promoted;
            record.report.commit = Some(commit.to_owned());
            record.report.steps.push(BuildStepTook { step: "setup".to_owned(), ms: 3 });
            removed.extend(store.end_build(record, 2).await.unwrap());
        }
        assert_eq!(removed, ["2.log"]);
        let kept = store.builds(shop.clone()).await.unwrap();
        let commits: Vec<_> = kept.iter().filter_map(|record| record.report.commit.as_deref()).collect();
        assert_eq!((commits, kept[0].ended), (vec!["c", "b"], Some(Timestamp(7))));

        let unneeded = store.begin_build(shop.clone(), |id| format!("{id}.log")).await.unwrap();
        store.forget_build(unneeded.id).await.unwrap();
        assert_eq!(store.builds(shop).await.unwrap(), kept);
        store.interrupt_builds().await.unwrap();
        let other = store.builds(other.repo).await.unwrap().remove(0);
        assert_eq!((other.report.outcome, other.ended), (BuildEnd::Interrupted, Some(Timestamp(7))));
    }
}
