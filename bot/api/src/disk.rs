//! What images take on disks, and removing those that nothing refers to.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Api, Refusal, Reported};

/// Whether what is not needed is removed, or only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collect {
    Remove,
    DryRun,
}

type Collecting = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// What the API does with disks.
#[derive(Clone)]
pub struct Disk {
    latest: Reported,
    collect: Arc<dyn Fn(Collect) -> Collecting + Send + Sync>,
}

impl Disk {
    /// `latest` is what was found last (null before that), `collect` does it again; its error is in words.
    pub fn new<F>(latest: Reported, collect: impl Fn(Collect) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Value, String>> + Send + 'static,
    {
        Self { latest, collect: Arc::new(move |how| Box::pin(collect(how))) }
    }

    pub(crate) fn latest(&self) -> Value {
        (self.latest.0)()
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk(…)")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct How {
    #[serde(default)]
    dry_run: bool,
}

pub(crate) async fn collect(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(How { dry_run }): Query<How>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    api.admit(&headers)?;
    let how = if dry_run { Collect::DryRun } else { Collect::Remove };
    Ok(match (api.disk.collect)(how).await {
        Ok(outcome) => (StatusCode::OK, Json(outcome)),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": why }))),
    })
}
