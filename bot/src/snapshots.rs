//! Sessions' sandboxes, kept as images: taken, found again, and removed when nobody needs them any more.
//!
//! An image is made first and recorded then. What a crash left without a record is of no use, and is removed: it may hold half a moment.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use longshore_sandbox::{EngineError, Exec, ImageRef};
use longshore_session::{SandboxId, SessionId, SnapshotFacts, SnapshotRecord, Timestamp, TurnId, fault_point};
use tracing::Instrument;

use crate::app::App;

/// Engines allow about 125 layers, and a sandbox adds one of its own.
const MOST_LAYERS: usize = 100;
/// In the record of a restored sandbox: what the snapshots that it came from take.
pub const INHERITED: &str = "snapshot_bytes";
/// Looking through the whole file system.
const LOOK: Duration = Duration::from_secs(120);
/// Prints a file whose content, name or place changed since the time `SINCE`. The agent's own log is nothing that anybody would miss.
const CHANGED: &str = r#"find / -xdev -path '*/opencode/log' -prune -o -newerct "@$SINCE" -print -quit 2>/dev/null"#;

/// What of a sandbox is to be kept.
#[derive(Debug, Clone)]
pub struct Moment {
    pub sandbox: SandboxId,
    /// The last turn that it has seen, to its end unless it ended itself in the middle.
    pub through: TurnId,
    /// The agent's own id of its conversation there, if it can be gone on with.
    pub conversation: Option<String>,
}

/// Sessions that have an image without a record in this moment, and how many at a time.
#[derive(Debug, Default)]
pub struct Taking(Mutex<HashMap<SessionId, usize>>);

impl Taking {
    fn begin(self: &Arc<Self>, session: &SessionId) -> Taken {
        *self.lock().entry(session.clone()).or_default() += 1;
        Taken { taking: Arc::clone(self), session: session.clone() }
    }

    fn sessions(&self) -> HashSet<SessionId> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Taken {
    taking: Arc<Taking>,
    session: SessionId,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut sessions = self.taking.lock();
        if let Some(count) = sessions.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(&self.session);
            }
        }
    }
}

/// Keeps a sandbox as it is. None where it has nothing that its image has not.
pub async fn take(app: &Arc<App>, session: &SessionId, moment: Moment) -> Result<Option<SnapshotRecord>> {
    if !app.engine.capabilities().snapshot {
        return Ok(None);
    }
    let taking = app.taking.begin(session);
    let rows = app.store.sandboxes().await?;
    let body = rows.into_iter().find(|row| row.id == moment.sandbox).map(|row| row.body).unwrap_or_default();
    let (taken, begun) = (app.clock.now(), tokio::time::Instant::now());
    let labels = vec![("session".to_owned(), session.to_string()), ("taken".to_owned(), taken.0.to_string())];
    fault_point!("snapshot.taken.before");
    let snapshot = app.engine.snapshot(&moment.sandbox, labels).await?;
    fault_point!("snapshot.taken.after");
    if body["image"] == snapshot.image.as_str() {
        return Ok(None);
    }
    let record = SnapshotRecord {
        session: session.clone(),
        image: snapshot.image.to_string(),
        bytes: snapshot.bytes + body[INHERITED].as_u64().unwrap_or(0),
        taken,
        facts: SnapshotFacts {
            sandbox: moment.sandbox,
            through: moment.through,
            conversation: moment.conversation,
            layers: snapshot.layers,
        },
    };
    app.store.put_snapshot(record.clone()).await?;
    fault_point!("snapshot.recorded.after");
    let (facts, took_ms) = (&record.facts, begun.elapsed().as_millis());
    tracing::info!(through = %facts.through, sandbox = %facts.sandbox, bytes = snapshot.bytes, took_ms, "took a snapshot");
    drop(taking);
    let (app, kept) = (Arc::clone(app), record.clone());
    // Nobody waits for this.
    app.tasks.clone().spawn(
        async move {
            if let Err(error) = tidy_session(&app, kept).await {
                tracing::warn!(error = format!("{error:#}"), "snapshots are not tidied up; the next round tries again");
            }
        }
        .in_current_span(),
    );
    Ok(Some(record))
}

/// Whether anything in the sandbox is another since then. Where that cannot be found out, it may be.
pub async fn has_changed(app: &App, sandbox: &SandboxId, since: Timestamp) -> bool {
    let seconds = format!("{}.{:03}", since.0 / 1000, since.0 % 1000);
    let exec = Exec::shell(CHANGED).folder("/").variable("SINCE", seconds).timeout(LOOK).output_limit(4 << 10);
    match app.engine.exec(sandbox, exec).await {
        Ok(output) => !output.stdout.is_empty() || output.exit_code().is_none(),
        Err(error) => {
            tracing::warn!(%sandbox, %error, "cannot look for changes");
            true
        }
    }
}

/// After a new snapshot: a long chain is put together, and what it replaces goes.
async fn tidy_session(app: &App, newest: SnapshotRecord) -> Result<()> {
    let session = newest.session.clone();
    if newest.facts.layers >= MOST_LAYERS {
        let _taking = app.taking.begin(&session);
        let flat = app.engine.flatten(&ImageRef::parse(newest.image.as_str())?).await?;
        tracing::info!(%session, layers = newest.facts.layers, "put a chain of snapshots together");
        let facts = SnapshotFacts { layers: flat.layers, ..newest.facts };
        let old = newest.image;
        let new = SnapshotRecord { session: session.clone(), image: flat.image.to_string(), bytes: flat.bytes, taken: newest.taken, facts };
        app.store.replace_snapshot(old, new).await?;
    }
    clean_up(app, Some(&session)).await.map(drop)
}

/// Removes images that no record has, and snapshots that newer ones replaced: of one session, or of all. Gives what stays, oldest first.
async fn clean_up(app: &App, session: Option<&SessionId>) -> Result<Vec<SnapshotRecord>> {
    // In this order: an image that is not recorded yet belongs to a session that is seen taking it.
    let images = app.engine.snapshots(session.map(|session| ("session", session.as_str()))).await?;
    let taking = app.taking.sessions();
    let mut rows = app.store.snapshots().await?;
    rows.retain(|row| session.is_none_or(|session| row.session == *session));
    let recorded: HashSet<&str> = rows.iter().map(|row| row.image.as_str()).collect();
    for found in images.iter().filter(|found| !recorded.contains(found.image.as_str())) {
        let of = found.labels.iter().find(|(key, _)| key == "session").map(|(_, session)| session.as_str());
        if !taking.iter().any(|session| Some(session.as_str()) == of) {
            tracing::info!(image = %found.image, "removing a snapshot that was never recorded");
            remove_image(app, found.image.as_str()).await?;
        }
    }
    let newest: HashMap<SessionId, String> = rows.iter().map(|row| (row.session.clone(), row.image.clone())).collect();
    let (kept, replaced): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| newest.get(&row.session) == Some(&row.image));
    for row in replaced {
        remove(app, &row).await?;
    }
    Ok(kept)
}

/// Removes what is not needed, is too old, or is too much.
pub async fn tidy(app: &App) -> Result<()> {
    let rows = clean_up(app, None).await?;
    let holding = app.store.sandboxes().await?.into_iter().map(|row| row.session);
    let working = app.store.working_sessions().await?.into_iter().map(|record| record.id);
    let live: HashSet<SessionId> = holding.chain(working).collect();
    let settings = &app.config.snapshots;
    let limits = Limits { now: app.clock.now(), keep: settings.keep(), bytes: settings.max_bytes() };
    for row in beyond(rows, &live, &limits) {
        tracing::info!(session = %row.session, bytes = row.bytes, "removing a snapshot that is too old or too much");
        remove(app, &row).await?;
    }
    Ok(())
}

/// The session is over: it needs none.
pub async fn forget(app: &App, session: &SessionId) -> Result<()> {
    for row in app.store.snapshots().await?.iter().filter(|row| row.session == *session) {
        remove(app, row).await?;
    }
    Ok(())
}

/// A snapshot whose image the engine does not have.
pub async fn forget_lost(app: &App, snapshot: &SnapshotRecord) {
    if let Err(error) = app.store.forget_snapshot(snapshot.image.clone()).await {
        tracing::warn!(%error, "cannot forget a snapshot");
    }
}

/// How long and how much is kept.
struct Limits {
    now: Timestamp,
    keep: Duration,
    bytes: u64,
}

/// Those of `rows` (oldest first, one for each session) that are to go: what is older than the limit, and the oldest of what is too much. What
/// a session has that is awake or has work due stays, however old and large it is.
fn beyond(rows: Vec<SnapshotRecord>, live: &HashSet<SessionId>, limits: &Limits) -> Vec<SnapshotRecord> {
    let mut bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    let mut gone = Vec::new();
    for row in rows.into_iter().filter(|row| !live.contains(&row.session)) {
        if limits.now.since(row.taken) > limits.keep || bytes > limits.bytes {
            bytes -= row.bytes;
            gone.push(row);
        }
    }
    gone
}

/// The image first: a record without one is found out, an image without a record takes room. One that a sandbox still runs from stays for now.
async fn remove(app: &App, row: &SnapshotRecord) -> Result<()> {
    fault_point!("snapshot.removed.before");
    if remove_image(app, &row.image).await? == Removal::Done {
        fault_point!("snapshot.removed.after");
        app.store.forget_snapshot(row.image.clone()).await.context("forgetting a snapshot")?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Removal {
    Done,
    InUse,
}

async fn remove_image(app: &App, image: &str) -> Result<Removal> {
    match app.engine.remove_image(&ImageRef::parse(image)?).await {
        Ok(()) => Ok(Removal::Done),
        Err(EngineError::Refused { .. }) => Ok(Removal::InUse),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(session: &str, taken: i64, bytes: u64) -> SnapshotRecord {
        SnapshotRecord {
            session: SessionId::parse(session).unwrap(),
            image: format!("t/snapshot:{session}"),
            bytes,
            taken: Timestamp(taken),
            facts: SnapshotFacts { sandbox: SandboxId::parse("b-1").unwrap(), through: TurnId(1), conversation: None, layers: 3 },
        }
    }

    fn gone(rows: Vec<SnapshotRecord>, live: &[&str], keep: i64, bytes: u64) -> Vec<String> {
        let live = live.iter().map(|session| SessionId::parse(*session).unwrap()).collect();
        let limits = Limits { now: Timestamp(1_000), keep: Duration::from_millis(keep.unsigned_abs()), bytes };
        beyond(rows, &live, &limits).into_iter().map(|row| row.session.to_string()).collect()
    }

    #[test]
    fn the_old_and_the_oldest_go_and_the_live_stay() {
        let rows = || vec![row("s-1", 100, 5), row("s-2", 500, 5), row("s-3", 900, 5)];
        assert_eq!(gone(rows(), &[], 600, 100), ["s-1"], "older than the limit");
        assert_eq!(gone(rows(), &["s-1"], 600, 100), Vec::<String>::new(), "a live session's stays whatever its age");
        assert_eq!(gone(rows(), &[], 5_000, 9), ["s-1", "s-2"], "the oldest until the rest fits");
        assert_eq!(gone(rows(), &["s-1"], 5_000, 9), ["s-2", "s-3"], "what must stay counts too");
        assert_eq!(gone(rows(), &[], 5_000, 15), Vec::<String>::new());
    }

    #[test]
    fn a_session_is_taking_until_the_last_of_its_takers_is_done() {
        let (taking, session) = (Arc::new(Taking::default()), SessionId::parse("s-1").unwrap());
        let (first, second) = (taking.begin(&session), taking.begin(&session));
        drop(first);
        assert!(taking.sessions().contains(&session));
        drop(second);
        assert!(taking.sessions().is_empty());
    }
}
