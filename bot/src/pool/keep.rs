//! Sees to it that the pool has what it shall have: makes, replaces and removes entries, and notices those that died.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Result;
use longshore_sandbox::{EngineError, SandboxState};
use longshore_session::{PoolRecord, RepoName, RepositoryManifest, SandboxId};

use super::{
    Failures, back_off,
    demand::{self, Expected, Freshness, Standing, Step},
    fill::fill,
    hold::EXPECTED,
    pause, remove,
};
use crate::app::App;

/// Looked after at least this often.
const ROUND: Duration = Duration::from_secs(30);
/// Nothing is made for so long after a claim: the session's first steps want the machine for themselves.
const BREATH: Duration = Duration::from_secs(3);
/// Sessions of this long count as recent demand.
const LATELY: Duration = Duration::from_secs(8 * 3600);

/// Runs until shutdown. What is being made then is made again after the next start.
pub async fn keep(app: Arc<App>) {
    if app.config.pool.bound() == 0 {
        return;
    }
    let mut images = app.images.ended();
    let kept = async {
        loop {
            if let Err(error) = upkeep(&app).await {
                tracing::error!(error = format!("{error:#}"), "the pool cannot be looked after");
            }
            tokio::select! {
                () = app.pool.changed.notified() => {}
                changed = images.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    };
    app.shutdown.run_until_cancelled(kept).await;
}

/// Takes up the entries that outlived the last service, before sandboxes may come in. Gives those that are to stay.
pub async fn readmit(app: &App) -> Result<HashSet<SandboxId>> {
    let mut known = HashSet::new();
    for row in app.store.pooled().await? {
        match (app.manifest(&row.repo), &row.ready) {
            (Some(manifest), Some(ready)) if ready.models == app.config.model.models() && app.config.pool.bound() > 0 => {
                app.room.enter_pool(&row.sandbox);
                app.sandboxes.admit_pool(&row.sandbox, manifest);
                app.sandboxes.bind(&row.sandbox, ready.address);
                known.insert(row.sandbox);
            }
            // Half made, of a repository that is served no longer, or launched for other models than are offered now.
            _ => {
                app.store.take_pooled(row.sandbox).await?;
            }
        }
    }
    Ok(known)
}

async fn upkeep(app: &App) -> Result<()> {
    drop_dead(app).await?;
    loop {
        let entries = standings(app).await?;
        match demand::next(&app.pool.targets(), &entries, |repo| may_make(app, repo)) {
            None => return Ok(()),
            Some(Step::Remove(sandbox)) => {
                tracing::info!(%sandbox, "a sandbox of the pool is not wanted any more");
                remove(app, &sandbox).await?;
            }
            Some(Step::Make(repo)) => {
                breathe(app).await;
                make(app, &repo).await;
            }
        }
    }
}

async fn make(app: &App, repo: &RepoName) {
    let image = app.pool.lock().images.get(repo).cloned();
    let (Some(image), Some(manifest)) = (image, app.manifest(repo)) else { return };
    match fill(app, manifest, &image).await {
        Ok(()) => {
            app.pool.lock().failures.remove(repo);
        }
        Err(error) => {
            tracing::warn!(%repo, error = format!("{error:#}"), "no sandbox can be made for the pool; sessions start as they do without");
            let last = tokio::time::Instant::now();
            let mut state = app.pool.lock();
            let failures = state.failures.entry(repo.clone()).or_insert(Failures { count: 0, last });
            *failures = Failures { count: failures.count + 1, last };
        }
    }
}

fn may_make(app: &App, repo: &RepoName) -> bool {
    let state = app.pool.lock();
    let failed = state.failures.get(repo);
    state.images.contains_key(repo) && failed.is_none_or(|failures| failures.last.elapsed() >= back_off(failures.count))
}

async fn breathe(app: &App) {
    loop {
        let claimed = app.pool.lock().claimed;
        match claimed.map(|at| at + BREATH) {
            Some(until) if until > tokio::time::Instant::now() => tokio::time::sleep_until(until).await,
            _ => return,
        }
    }
}

/// The entries that can be claimed, oldest first, and what is to be striven for from now on.
async fn standings(app: &App) -> Result<Vec<Standing>> {
    let now = app.clock.now();
    let images = app.store.images().await?.into_iter().filter_map(|(repo, record)| Some((repo, record.reference?))).collect();
    let sessions = app.store.sessions_since(now - LATELY).await?;
    let lately = |repo: &RepoName| sessions.iter().find(|(of, _)| of == repo).map_or(0, |(_, count)| *count);
    let mut manifests: Vec<_> = app.manifests.values().collect();
    // What was asked most comes first where there is not enough for all.
    manifests.sort_by_key(|manifest| std::cmp::Reverse(lately(&manifest.repository)));
    let rows = app.store.pooled().await?;
    let mut state = app.pool.lock();
    state.expected.retain(|_, seen| now.since(*seen) < EXPECTED);
    let expected = |repo: &RepoName| if state.expected.contains_key(repo) { Expected::Yes } else { Expected::No };
    let wish = |manifest: &&RepositoryManifest| demand::wish(manifest, lately(&manifest.repository), expected(&manifest.repository));
    let wishes: Vec<_> = manifests.iter().map(wish).collect();
    state.images = images;
    state.targets = demand::share(&wishes, app.config.pool.bound().min(app.room.spare_places()));
    let freshness = |row: &PoolRecord| {
        let is_current = state.images.get(&row.repo) == Some(&row.image);
        let is_young = now.since(row.created) < app.config.pool.max_age();
        if is_current && is_young { Freshness::Fresh } else { Freshness::Stale }
    };
    let ready = rows.iter().filter(|row| row.ready.is_some());
    Ok(ready.map(|row| Standing { sandbox: row.sandbox.clone(), repo: row.repo.clone(), freshness: freshness(row) }).collect())
}

/// Removes entries whose sandbox ended while it waited, or that nobody is making any more; lets those sleep that do not.
async fn drop_dead(app: &App) -> Result<()> {
    for row in app.store.pooled().await? {
        if row.ready.is_none() {
            if !app.pool.lock().making.contains_key(&row.sandbox) {
                remove(app, &row.sandbox).await?;
            }
            continue;
        }
        match app.engine.inspect(&row.sandbox).await {
            Ok(info) => match info.state {
                SandboxState::Paused { .. } => {}
                SandboxState::Running { .. } if app.pool.is_held(&row.sandbox) => {}
                SandboxState::Running { .. } => pause(app, &row.sandbox).await?,
                SandboxState::Ended(exit) => {
                    tracing::warn!(sandbox = %row.sandbox, ?exit, "a sandbox of the pool ended while it waited");
                    remove(app, &row.sandbox).await?;
                }
            },
            Err(EngineError::NoSuchSandbox { .. }) => {
                tracing::warn!(sandbox = %row.sandbox, "a sandbox of the pool is gone");
                remove(app, &row.sandbox).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
