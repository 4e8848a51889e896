//! Where everything is kept: one central database, and one of its own for each session.
//!
//! Writes go through writer threads, each the only writer of its databases: one for the central database, a few for the sessions'
//! (spread by id). A writer takes what waits in its channel as one group and commits it at once, so that many small writes cost one
//! disk flush; who asked is answered after the commit. Reads use read-only connections and never wait for a writer.

mod backup;
mod builds;
mod central;
mod health;
mod images;
mod moves;
mod outbox;
mod people;
mod pool;
mod records;
mod schema;
mod sessions;
mod snapshots;
mod waiting;
mod writer;

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rusqlite::{Connection, OpenFlags};

pub use backup::{CopiedDatabases, KnownTurns, check_database, prepare_restored};
pub use builds::{BuildEnd, BuildRecord, BuildReport, BuildStepTook};
pub use central::{
    Ask, AskState, Asked, Delivered, Delivery, DeliveryKind, ImageRecord, InboxDepth, InboxRow, SandboxRecord, SessionRecord, Work,
};
pub use health::StorageHealth;
pub use images::{BadImage, EarlierImage, RetiredImage};
pub use moves::{Lesson, MovedSession, Pick};
pub use outbox::{OutboxDraft, OutboxLane, OutboxOwner, OutboxRow, Sending};
pub use people::{PersonDefaults, PullRequestStyle};
pub use pool::{PoolClaim, PoolReady, PoolRecord};
pub use records::{Ledger, Records, SentMessage};
pub use sessions::{AgentCursor, Append, StoredEvent};
pub use snapshots::{SnapshotFacts, SnapshotRecord};

use crate::{Clock, SessionId};
use writer::Writer;

/// Writer threads for session databases; the central one has its own.
const SESSION_WRITERS: usize = 2;
/// Read-only connections to the central database that are kept open.
const IDLE_READERS: usize = 4;

/// Why something could not be stored or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("another longshore{} works on {}: stop it first, or give this one a data folder of its own", process(*.by), folder.display())]
    InUse {
        folder: PathBuf,
        /// Its process, where it says so.
        by: Option<u32>,
    },
    #[error("cannot use the data folder {}: {reason}", path.display())]
    Folder { path: PathBuf, reason: String },
    #[error("the disk that holds {} is full: make room, the service goes on by itself", .0.display())]
    DiskFull(PathBuf),
    #[error("the database {} is damaged ({reason})", path.display())]
    Corrupt { path: PathBuf, reason: String },
    #[error("{} was written by a newer longshore (schema {found}, this one knows {known}): upgrade this one", path.display())]
    TooNew { path: PathBuf, found: i64, known: i64 },
    #[error("{} was written by an older longshore (schema {found}, this one has {known}): starting the service brings it up to date", path.display())]
    TooOld { path: PathBuf, found: i64, known: i64 },
    #[error("{}: {reason}", path.display())]
    Database { path: PathBuf, reason: String },
    #[error("the store is shut down")]
    Closed,
}

fn process(id: Option<u32>) -> String {
    id.map(|id| format!(" (process {id})")).unwrap_or_default()
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Database {
    Central,
    Session(SessionId),
}

/// The service's memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    central: Writer,
    sessions: Vec<Writer>,
    readers: Mutex<Vec<Connection>>,
    health: health::Health,
    /// Held for as long as the store lives: one service per data folder.
    _lock: FolderLock,
}

#[derive(Debug)]
struct FolderLock(File);

impl FolderLock {
    /// The lock is the system's and not the file itself: what a killed service leaves lying about keeps nobody out.
    fn take(folder: &Path) -> Result<Self, StoreError> {
        let unusable = |reason: std::io::Error| StoreError::Folder { path: folder.to_owned(), reason: reason.to_string() };
        let path = folder.join("lock");
        // Not truncated before it is ours: it says whose it is.
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let by = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
                return Err(StoreError::InUse { folder: folder.to_owned(), by });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // For whoever is refused. On a full disk the lock still counts, nameless.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing alone would not do where another thread is just starting a program: until that has replaced itself, it holds a copy of the
        // file, and with it the lock. Nobody could be told of a failure here; closing comes next.
        let _ = self.0.unlock();
    }
}

impl Store {
    /// Opens the data folder, making and migrating what is missing.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let unusable = |reason: std::io::Error| StoreError::Folder { path: folder.to_owned(), reason: reason.to_string() };
        std::fs::create_dir_all(folder.join("sessions")).map_err(unusable)?;
        let lock = FolderLock::take(folder)?;
        let health = health::Health::new();
        let central = Writer::start("store-central", folder.to_owned(), health.clone())?;
        let sessions = (0..SESSION_WRITERS)
            .map(|n| Writer::start(&format!("store-{n}"), folder.to_owned(), health.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        // Opened once here, so that a wrong schema or a damaged file is said at start and not at the first mention.
        schema::open(folder, &Database::Central)?;
        let inner = Inner { folder: folder.to_owned(), clock, central, sessions, readers: Mutex::new(Vec::new()), health, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// The file of a session's own database.
    pub fn session_file(&self, session: &SessionId) -> PathBuf {
        schema::path(&self.inner.folder, &Database::Session(session.clone()))
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    fn writer(&self, database: &Database) -> &Writer {
        match database {
            Database::Central => &self.inner.central,
            Database::Session(id) => {
                let sum: usize = id.as_str().bytes().map(usize::from).sum();
                self.inner.sessions.get(sum % SESSION_WRITERS).unwrap_or(&self.inner.central)
            }
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        database: Database,
        operation: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer(&database).write(database, operation).await
    }

    async fn read<T: Send + 'static>(
        &self,
        database: Database,
        operation: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            let path = schema::path(&inner.folder, &database);
            let failed = |error: rusqlite::Error| schema::store_error(&path, &error);
            let idle = match database {
                Database::Central => inner.readers.lock().ok().and_then(|mut readers| readers.pop()),
                Database::Session(_) => None,
            };
            let connection = match idle {
                Some(connection) => connection,
                None => open_reader(&path).map_err(failed)?,
            };
            let value = operation(&connection).map_err(failed)?;
            if database == Database::Central
                && let Ok(mut readers) = inner.readers.lock()
                && readers.len() < IDLE_READERS
            {
                readers.push(connection);
            }
            Ok(value)
        });
        task.await.map_err(|_| StoreError::Closed)?
    }
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
