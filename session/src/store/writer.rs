//! One thread that owns databases for writing, and its group commit.

use std::{num::NonZeroUsize, path::PathBuf};

use lru::LruCache;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{Database, StoreError, health::Health, schema};

/// Writes that may wait. A caller beyond that waits for room: nothing is dropped.
const QUEUE: usize = 1024;
/// Writes in one commit at the most, so that the first of a burst is not kept waiting for the last.
const GROUP: usize = 128;
/// Open databases per writer thread (185 KiB and three file descriptors each).
const OPEN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// Tells the caller how its write ended; the argument is the commit's failure, if it failed.
type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

enum Ran {
    Keep(Answer),
    Undo(Answer),
}

struct Job {
    database: Database,
    run: Box<dyn FnOnce(&Connection) -> Ran + Send>,
    /// Used when the database could not even be opened.
    refuse: oneshot::Sender<StoreError>,
}

/// What a writer thread is asked.
enum Order {
    Write(Job),
    /// Put the database's files aside. Nobody has it open then.
    SetAside {
        database: Database,
        suffix: String,
        answer: oneshot::Sender<Result<PathBuf, StoreError>>,
    },
}

#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Order>,
    folder: PathBuf,
    health: Health,
}

impl Writer {
    pub(super) fn start(name: &str, folder: PathBuf, health: Health) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (thread_folder, own) = (folder.clone(), health.clone());
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&thread_folder, waiting, &health))
            .map_err(|error| StoreError::Folder { path: folder.clone(), reason: error.to_string() })?;
        Ok(Self { jobs, folder, health: own })
    }

    /// Runs `operation` in a transaction and answers once that is committed. An operation that fails leaves nothing behind.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        database: Database,
        operation: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel::<Result<T, StoreError>>();
        let (refuse, refused) = oneshot::channel();
        let (path, health) = (schema::path(&self.folder, &database), self.health.clone());
        let run = Box::new(move |connection: &Connection| match operation(connection) {
            Ok(value) => Ran::Keep(Box::new(move |failure| {
                let _ = answer.send(failure.map_or(Ok(value), Err));
            })),
            Err(error) => {
                let error = schema::store_error(&path, &error);
                health.failed(&error);
                Ran::Undo(Box::new(move |_| {
                    let _ = answer.send(Err(error));
                }))
            }
        });
        self.jobs.send(Order::Write(Job { database, run, refuse })).await.map_err(|_| StoreError::Closed)?;
        tokio::select! {
            biased;
            Ok(error) = refused => Err(error),
            result = answered => result.unwrap_or(Err(StoreError::Closed)),
        }
    }
}

impl Writer {
    /// Renames the database's files, so that the next write begins a new one. Gives where the old one is.
    pub(super) async fn set_aside(&self, database: Database, suffix: String) -> Result<PathBuf, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Order::SetAside { database, suffix, answer }).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn work(folder: &std::path::Path, mut waiting: mpsc::Receiver<Order>, health: &Health) {
    let mut open: LruCache<Database, Connection> = LruCache::new(OPEN);
    while let Some(first) = waiting.blocking_recv() {
        let mut group = Vec::new();
        let mut next = Some(first);
        // What came before is written first.
        let mut aside = None;
        while let Some(order) = next.take() {
            match order {
                Order::Write(job) => group.push(job),
                Order::SetAside { database, suffix, answer } => {
                    aside = Some((database, suffix, answer));
                    break;
                }
            }
            if group.len() < GROUP {
                next = waiting.try_recv().ok();
            }
        }
        // Jobs of one database keep their order; different databases know nothing of each other.
        while let Some(database) = group.first().map(|job| job.database.clone()) {
            let (mine, others) = group.into_iter().partition(|job| job.database == database);
            group = others;
            if !commit((folder, health), &mut open, &database, mine) {
                open.pop(&database);
            }
        }
        if let Some((database, suffix, answer)) = aside {
            open.pop(&database);
            let _ = answer.send(rename(folder, &database, &suffix));
        }
    }
}

fn rename(folder: &std::path::Path, database: &Database, suffix: &str) -> Result<PathBuf, StoreError> {
    let path = schema::path(folder, database);
    let with = |path: &std::path::Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    let aside = with(&path, &format!(".{suffix}"));
    // The database itself last: as long as it is there, this can be done again.
    for end in ["-wal", "-shm", ""] {
        match std::fs::rename(with(&path, end), with(&aside, end)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::Folder { path: folder.to_owned(), reason: error.to_string() }),
        }
    }
    Ok(aside)
}

/// False when the connection should not be used again.
fn commit(
    (folder, health): (&std::path::Path, &Health),
    open: &mut LruCache<Database, Connection>,
    database: &Database,
    jobs: Vec<Job>,
) -> bool {
    let connection = match open.try_get_or_insert_mut(database.clone(), || schema::open(folder, database)) {
        Ok(connection) => connection,
        Err(error) => {
            health.failed(&error);
            for job in jobs {
                let _ = job.refuse.send(error.clone());
            }
            return false;
        }
    };
    let before = connection.total_changes();
    let path = schema::path(folder, database);
    let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = schema::store_error(&path, &error);
            health.failed(&error);
            for job in jobs {
                let _ = job.refuse.send(error.clone());
            }
            return false;
        }
    };
    let mut answers: Vec<Answer> = Vec::with_capacity(jobs.len());
    let mut failure: Option<rusqlite::Error> = None;
    for job in jobs {
        match transaction.savepoint() {
            Ok(savepoint) => match (job.run)(&savepoint) {
                Ran::Keep(answer) => {
                    failure = savepoint.commit().err().or(failure);
                    answers.push(answer);
                }
                // Dropping a savepoint rolls back to where it began.
                Ran::Undo(answer) => answers.push(answer),
            },
            Err(error) => {
                let _ = job.refuse.send(schema::store_error(&path, &error));
                failure = Some(error);
            }
        }
    }
    // What only reads says nothing of the disk.
    let has_written = transaction.total_changes() > before;
    let failure = match failure {
        Some(error) => Some(error),
        None => transaction.commit().err(),
    };
    let failure = failure.map(|error| schema::store_error(&path, &error));
    let sound = failure.is_none();
    match &failure {
        Some(error) => health.failed(error),
        None if has_written => health.wrote(),
        None => {}
    }
    for answer in answers {
        answer(failure.clone());
    }
    sound
}
