//! One thread that owns databases for writing, and its group commit.

use std::{num::NonZeroUsize, path::PathBuf};

use lru::LruCache;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{Database, StoreError, schema};

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

#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    folder: PathBuf,
}

impl Writer {
    pub(super) fn start(name: &str, folder: PathBuf) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread_folder = folder.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&thread_folder, waiting))
            .map_err(|error| StoreError::Folder { path: folder.clone(), reason: error.to_string() })?;
        Ok(Self { jobs, folder })
    }

    /// Runs `operation` in a transaction and answers once that is committed. An operation that fails leaves nothing behind.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        database: Database,
        operation: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel::<Result<T, StoreError>>();
        let (refuse, refused) = oneshot::channel();
        let path = schema::path(&self.folder, &database);
        let run = Box::new(move |connection: &Connection| match operation(connection) {
            Ok(value) => Ran::Keep(Box::new(move |failure| {
                let _ = answer.send(failure.map_or(Ok(value), Err));
            })),
            Err(error) => {
                let error = schema::store_error(&path, &error);
                Ran::Undo(Box::new(move |_| {
                    let _ = answer.send(Err(error));
                }))
            }
        });
        self.jobs.send(Job { database, run, refuse }).await.map_err(|_| StoreError::Closed)?;
        tokio::select! {
            biased;
            Ok(error) = refused => Err(error),
            result = answered => result.unwrap_or(Err(StoreError::Closed)),
        }
    }
}

fn work(folder: &std::path::Path, mut waiting: mpsc::Receiver<Job>) {
    let mut open: LruCache<Database, Connection> = LruCache::new(OPEN);
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(job) = waiting.try_recv()
        {
            group.push(job);
        }
        // Jobs of one database keep their order; different databases know nothing of each other.
        while let Some(database) = group.first().map(|job| job.database.clone()) {
            let (mine, others) = group.into_iter().partition(|job| job.database == database);
            group = others;
            if !commit(folder, &mut open, &database, mine) {
                open.pop(&database);
            }
        }
    }
}

/// False when the connection should not be used again.
fn commit(folder: &std::path::Path, open: &mut LruCache<Database, Connection>, database: &Database, jobs: Vec<Job>) -> bool {
    let connection = match open.try_get_or_insert_mut(database.clone(), || schema::open(folder, database)) {
        Ok(connection) => connection,
        Err(error) => {
            for job in jobs {
                let _ = job.refuse.send(error.clone());
            }
            return false;
        }
    };
    let path = schema::path(folder, database);
    let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = schema::store_error(&path, &error);
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
    let failure = match failure {
        Some(error) => Some(error),
        None => transaction.commit().err(),
    };
    let failure = failure.map(|error| schema::store_error(&path, &error));
    let sound = failure.is_none();
    for answer in answers {
        answer(failure.clone());
    }
    sound
}
