//! Image builds: what came of each, its log, and asking for one.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use longshore_session::RepoName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::{Api, Refusal};

/// Of a log, the end is served: what went wrong stands there.
const MOST_LOG: u64 = 1024 * 1024;

/// What came of asking for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Begun,
    /// One runs already.
    Running,
    /// No manifest names the repository.
    Unknown,
}

/// What the API does with builds.
#[derive(Clone)]
pub struct Builds {
    logs: PathBuf,
    begin: Arc<dyn Fn(&RepoName) -> Asked + Send + Sync>,
}

impl Builds {
    /// `logs` is the folder that holds them.
    pub fn new(logs: PathBuf, begin: impl Fn(&RepoName) -> Asked + Send + Sync + 'static) -> Self {
        Self { logs, begin: Arc::new(begin) }
    }
}

impl std::fmt::Debug for Builds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builds").field("logs", &self.logs).finish_non_exhaustive()
    }
}

fn repository(owner: &str, name: &str) -> Result<RepoName, Refusal> {
    RepoName::parse(format!("{owner}/{name}")).map_err(|_| Refusal::NotFound)
}

pub(crate) async fn history(
    State(api): State<Api>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    api.admit(&headers)?;
    let builds = api.store.builds(repository(&owner, &name)?).await?;
    Ok(Json(json!({ "builds": builds })))
}

pub(crate) async fn log(
    State(api): State<Api>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refusal> {
    api.admit(&headers)?;
    let builds = api.store.builds(repository(&owner, &name)?).await?;
    // The file's name is the record's own, never the caller's.
    let record = builds.into_iter().find(|record| record.id == id).ok_or(Refusal::NotFound)?;
    let text = read_end(&api.builds.logs.join(record.report.log)).await.map_err(|_| Refusal::NotFound)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}

async fn read_end(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    file.seek(std::io::SeekFrom::Start(length.saturating_sub(MOST_LOG))).await?;
    let mut text = Vec::new();
    file.take(MOST_LOG).read_to_end(&mut text).await?;
    Ok(text)
}

pub(crate) async fn rebuild(
    State(api): State<Api>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    api.admit(&headers)?;
    match (api.builds.begin)(&repository(&owner, &name)?) {
        Asked::Begun => Ok((StatusCode::ACCEPTED, Json(json!({ "rebuild": "begun" })))),
        Asked::Running => Ok((StatusCode::CONFLICT, Json(json!({ "error": "a build of it runs already" })))),
        Asked::Unknown => Err(Refusal::NotFound),
    }
}
