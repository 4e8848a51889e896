//! Copies of the databases while a service writes to them, and what makes a copy fit to go on from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, backup::StepResult, params};

use super::{Database, Records, StoreError, open_reader, schema};
use crate::{Event, LedgerStanding, SessionId};

/// How often everything is copied anew because a session was moved meanwhile.
const TRIES: u32 = 5;
/// How often a database that is busy is asked again, and the wait in between.
const STEPS: u32 = 600;
const STEP_WAIT: Duration = Duration::from_millis(50);

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopiedDatabases {
    /// Relative to the folder, with their bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// Sessions whose databases are damaged. Their files were copied as they are.
    pub damaged: Vec<SessionId>,
}

/// Where a session stood when it was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownTurns {
    /// The highest turn number that a prompt of the copy has or will have.
    pub last: u32,
}

impl Records {
    /// Copies the central database and those of all its sessions into `to`, each as it is at one moment.
    ///
    /// The central one comes first: a session's log may then know more than the index and the inbox do, and every handler may run twice. The other
    /// way round a prompt that came in between would be done in the inbox and nowhere else. Only a move writes first to the index what the log
    /// then relies on: where one came in between, all is copied anew.
    pub fn copy_databases(&self, to: &Path) -> Result<CopiedDatabases, StoreError> {
        for _ in 0..TRIES {
            let moves = self.moves()?;
            let mut copied = CopiedDatabases::default();
            let central = schema::path(to, &Database::Central);
            copied.files.push((relative(to, &central), copy(&schema::path(&self.folder, &Database::Central), &central)?));
            std::fs::create_dir_all(to.join("sessions")).map_err(|error| unusable(to, &error))?;
            for record in Records::open(to)?.sessions()? {
                let database = Database::Session(record.id.clone());
                let (from, target) = (schema::path(&self.folder, &database), schema::path(to, &database));
                if !from.exists() {
                    // Begun in this moment: its prompt rests in the index.
                    continue;
                }
                let bytes = match copy(&from, &target) {
                    Err(StoreError::Corrupt { .. }) => {
                        copied.damaged.push(record.id);
                        // Left out, it would begin anew with its first prompt.
                        std::fs::copy(&from, &target).map_err(|error| unusable(&target, &error))?
                    }
                    copied => copied?,
                };
                copied.files.push((relative(to, &target), bytes));
            }
            if self.moves()? == moves {
                return Ok(copied);
            }
        }
        Err(StoreError::Database { path: self.folder.clone(), reason: "sessions were moved all the time; try again".to_owned() })
    }

    fn moves(&self) -> Result<i64, StoreError> {
        self.in_central(|db| db.query_row("SELECT count(*) FROM moves", [], |row| row.get(0)))
    }
}

/// Looks whether a database is sound.
pub fn check_database(path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| schema::store_error(path, &error);
    let said: String = open_reader(path).map_err(failed)?.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if said == "ok" { Ok(()) } else { Err(StoreError::Corrupt { path: path.to_owned(), reason: said }) }
}

/// Makes a folder of copied databases fit to go on from: what only the machine of that time had is forgotten, and the index says of each session
/// whether it owes something. Gives how far each session was, for those whose databases can be read.
pub fn prepare_restored(folder: &Path) -> Result<BTreeMap<SessionId, KnownTurns>, StoreError> {
    let path = schema::path(folder, &Database::Central);
    let failed = |error: rusqlite::Error| schema::store_error(&path, &error);
    let central = schema::open(folder, &Database::Central)?;
    // Sandboxes have their carriers in the folder that was lost.
    central.execute_batch("DELETE FROM sandboxes; DELETE FROM pool;").map_err(failed)?;
    let records = Records::open(folder)?;
    let mut known = BTreeMap::new();
    for record in records.sessions()? {
        let (Ok(ledger), Ok(events)) = (records.ledger_of(&record), records.events(&record.id)) else { continue };
        let owes = ledger.unsent > 0 || ledger.entries.iter().any(|entry| entry.standing.is_owed());
        central
            .execute("UPDATE sessions SET has_work = max(has_work, ?2) WHERE id = ?1", params![record.id.as_str(), owes])
            .map_err(failed)?;
        let begun = events.iter().filter(|stored| matches!(stored.event, Event::TurnStarted { .. })).count();
        let queued = ledger.entries.iter().filter(|entry| entry.standing == LedgerStanding::Queued).count();
        known.insert(record.id, KnownTurns { last: u32::try_from(begun + queued).unwrap_or(u32::MAX) });
    }
    drop(records);
    // One file is easier to look at than three; the service's start makes it what it wants.
    central.pragma_update(None, "journal_mode", "DELETE").map_err(failed)?;
    Ok(known)
}

fn copy(from: &Path, to: &Path) -> Result<u64, StoreError> {
    let failed = |error: rusqlite::Error| schema::store_error(from, &error);
    let _ = std::fs::remove_file(to);
    let source = open_reader(from).map_err(failed)?;
    let mut target = Connection::open(to).map_err(|error| schema::store_error(to, &error))?;
    {
        let backup = rusqlite::backup::Backup::new(&source, &mut target).map_err(failed)?;
        let mut steps = 0;
        // All pages in one step: that is one moment of the source, and its writer is not kept waiting.
        loop {
            match backup.step(-1).map_err(failed)? {
                StepResult::Done => break,
                StepResult::More => {}
                _ if steps >= STEPS => {
                    return Err(StoreError::Database { path: from.to_owned(), reason: "it is busy all the time".to_owned() });
                }
                _ => {
                    steps += 1;
                    std::thread::sleep(STEP_WAIT);
                }
            }
        }
    }
    target.pragma_update(None, "journal_mode", "DELETE").map_err(|error| schema::store_error(to, &error))?;
    target.close().map_err(|(_, error)| schema::store_error(to, &error))?;
    check_database(to).map_err(|error| match error {
        StoreError::Corrupt { reason, .. } => StoreError::Corrupt { path: from.to_owned(), reason },
        other => other,
    })?;
    let file = std::fs::File::open(to).map_err(|error| unusable(to, &error))?;
    file.sync_all().map_err(|error| unusable(to, &error))?;
    Ok(file.metadata().map_err(|error| unusable(to, &error))?.len())
}

fn relative(folder: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

fn unusable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Folder { path: path.to_owned(), reason: error.to_string() }
}
