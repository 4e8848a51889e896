//! The warm pool: sandboxes whose agent is up and was asked something already, paused, with the base branch checked out. A session that begins
//! claims one, and what is left to it is the prompt.
//!
//! A row of the store's table `pool` is the right to an entry (`longshore_session::PoolRecord`); nobody touches one whose row somebody else
//! took. What is in memory here only makes better choices: it may be lost at any time.

mod demand;
mod fill;
mod hold;
mod keep;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use longshore_session::{
    PoolClaim, PoolReady, PoolRecord, RepoName, SandboxId, SessionRecord, SlackUserId, StoreError, Timestamp, fault_point,
};
use tokio::{
    sync::{Notify, RwLock, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::hold::Hold;
pub use self::{
    hold::{Head, hear},
    keep::{keep, readmit},
};
use crate::app::App;

/// How long it is known who claimed: longer than a signal can take.
const CLAIMS_KEPT: Duration = Duration::from_secs(600);

/// A sandbox that a session has from the pool.
#[derive(Debug)]
pub struct Claimed {
    pub sandbox: SandboxId,
    /// Bytes of its agent's output that are not the session's.
    pub output: u64,
}

/// What is known of the pool beside its rows.
#[derive(Default)]
pub struct Pool {
    state: Mutex<State>,
    /// Something changed that the upkeep should see to.
    changed: Notify,
    /// Whoever pauses an entry writes, whoever claims one reads: what a session has must not be paused any more.
    pausing: RwLock<()>,
}

#[derive(Default)]
struct State {
    /// Being made by this process. Others that are not ready are left from a crash.
    making: HashMap<SandboxId, Making>,
    /// The image that new entries are started from.
    images: BTreeMap<RepoName, String>,
    /// How many entries each repository shall have.
    targets: BTreeMap<RepoName, usize>,
    claimed: Option<Instant>,
    holds: HashMap<SlackUserId, Hold>,
    /// When somebody's session last came for a sandbox: a signal from before that came too late.
    claims: HashMap<SlackUserId, Timestamp>,
    /// Repositories that somebody may be about to ask for, and when that showed.
    expected: HashMap<RepoName, Timestamp>,
    failures: HashMap<RepoName, Failures>,
}

struct Making {
    /// Model requests that were answered.
    answered: watch::Sender<u32>,
    /// Somebody needs the place.
    broken_off: CancellationToken,
}

/// Attempts to make an entry that failed in a row.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Pool {
    /// The gateway answered a model request of an agent that is being primed.
    pub fn primed(&self, sandbox: &SandboxId) {
        if let Some(making) = self.lock().making.get(sandbox) {
            making.answered.send_modify(|count| *count += 1);
        }
    }

    /// There may be something to do.
    pub fn nudge(&self) {
        self.changed.notify_one();
    }

    /// How many entries each repository shall have, for whoever wants to know.
    pub fn targets(&self) -> BTreeMap<RepoName, usize> {
        self.lock().targets.clone()
    }

    /// What is kept awake, and for whom.
    pub fn held(&self) -> BTreeMap<SlackUserId, Vec<SandboxId>> {
        self.lock().holds.iter().map(|(user, hold)| (user.clone(), hold.entries.clone())).collect()
    }

    fn is_held(&self, sandbox: &SandboxId) -> bool {
        self.lock().holds.values().any(|hold| hold.entries.contains(sandbox))
    }

    /// What a claim for this person takes first, what it takes last, and the newest image. From then on nothing is held for that person.
    fn preferences(&self, repo: &RepoName, user: &SlackUserId, now: Timestamp) -> (Vec<SandboxId>, Vec<SandboxId>, Option<String>) {
        let mut state = self.lock();
        let spared = hold::held_by_others(&state.holds, user);
        let held = state.holds.remove(user).map(|hold| hold.entries).unwrap_or_default();
        state.claims.retain(|_, claimed| now.since(*claimed) < CLAIMS_KEPT);
        state.claims.insert(user.clone(), now);
        (held, spared, state.images.get(repo).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock leaves a half-made state behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A warm sandbox for the session, running, with its token bound. None where none waits. One that died while it waited is passed over.
pub async fn claim(app: &App, record: &SessionRecord, model: &str) -> Result<Option<Claimed>, StoreError> {
    let Some(manifest) = app.manifest(&record.repo) else { return Ok(None) };
    if app.config.pool.bound() == 0 {
        return Ok(None);
    }
    let (held, spared, image) = app.pool.preferences(&record.repo, &record.owner, app.clock.now());
    let (session, repo) = (record.id.clone(), record.repo.clone());
    let claim = PoolClaim { session, repo, model: model.to_owned(), held, spared, image };
    loop {
        let claim = claim.clone();
        let begun = Instant::now();
        let _not_paused = app.pool.pausing.read().await;
        fault_point!("pool.claimed.before");
        let Some(PoolRecord { sandbox, created, ready: Some(ready), .. }) = app.store.claim_pooled(claim).await? else { return Ok(None) };
        fault_point!("pool.claimed.after");
        app.pool.lock().claimed = Some(begun);
        app.pool.nudge();
        let PoolReady { address, output, .. } = ready;
        app.room.enter(&sandbox, &record.id);
        app.sandboxes.admit_session(&sandbox, &record.id, manifest);
        app.sandboxes.bind(&sandbox, address);
        match app.engine.resume(&sandbox).await {
            Ok(()) => {
                fault_point!("pool.woken.after");
                let waited = app.clock.now().since(created);
                tracing::info!(%sandbox, took_ms = begun.elapsed().as_millis(), waited_s = waited.as_secs(), "claimed a sandbox");
                return Ok(Some(Claimed { sandbox, output }));
            }
            Err(error) => {
                tracing::warn!(%sandbox, %error, "a sandbox of the pool is not to be used; the next one is taken");
                crate::conversation::discard(app, &sandbox).await;
            }
        }
    }
}

/// Takes an entry away for good, unless somebody else has it meanwhile.
async fn remove(app: &App, sandbox: &SandboxId) -> Result<(), StoreError> {
    if app.store.take_pooled(sandbox.clone()).await? {
        app.sandboxes.release(sandbox);
        match app.engine.remove(sandbox).await {
            Ok(()) => app.room.leave(sandbox),
            Err(error) => {
                tracing::warn!(%sandbox, %error, "cannot remove a sandbox of the pool; it is tried again");
                app.room.stick(sandbox);
            }
        }
    }
    Ok(())
}

/// How an entry gave way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaveWay {
    Now,
    /// It is being made, and goes as soon as that can be broken off.
    Soon,
    Nothing,
}

/// Takes one entry away for a session that has a place and needs the memory: the oldest, of those that nobody is about to claim if there is one.
pub async fn give_way(app: &App) -> Result<GaveWay, StoreError> {
    let rows = app.store.pooled().await?;
    let mut ready: Vec<&PoolRecord> = rows.iter().filter(|row| row.ready.is_some()).collect();
    ready.sort_by_key(|row| (app.pool.is_held(&row.sandbox), row.created));
    if let Some(row) = ready.first() {
        tracing::info!(sandbox = %row.sandbox, "a sandbox of the pool gives way to a session");
        remove(app, &row.sandbox).await?;
        return Ok(GaveWay::Now);
    }
    Ok(match app.pool.lock().making.values().next() {
        Some(making) => {
            making.broken_off.cancel();
            GaveWay::Soon
        }
        None => GaveWay::Nothing,
    })
}

/// Lets an entry sleep, unless a session has it meanwhile.
async fn pause(app: &App, sandbox: &SandboxId) -> anyhow::Result<()> {
    let _nobody_claims = app.pool.pausing.write().await;
    if !app.pool.is_held(sandbox) && app.store.pooled().await?.iter().any(|row| row.sandbox == *sandbox) {
        app.engine.pause(sandbox).await?;
    }
    Ok(())
}

/// The wait after the given number of failures.
fn back_off(failures: u32) -> Duration {
    Duration::from_secs(60) * 2u32.saturating_pow(failures.saturating_sub(1).min(5))
}
