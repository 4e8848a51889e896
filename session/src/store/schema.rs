//! Opening a database: pragmas, numbered forward-only migrations, and errors in words.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use super::{Database, StoreError};

/// Each entry is applied once, in order; `user_version` is the number applied. Never edit one that was released: add one.
const CENTRAL: &[&str] = &[
    include_str!("../../migrations/central_1.sql"),
    include_str!("../../migrations/central_2.sql"),
    include_str!("../../migrations/central_3.sql"),
    include_str!("../../migrations/central_4.sql"),
    include_str!("../../migrations/central_5.sql"),
    include_str!("../../migrations/central_6.sql"),
];
const SESSION: &[&str] = &[include_str!("../../migrations/session_1.sql")];

pub(super) fn path(folder: &Path, database: &Database) -> PathBuf {
    match database {
        Database::Central => folder.join("longshore.db"),
        Database::Session(id) => folder.join("sessions").join(format!("{id}.db")),
    }
}

/// A connection for writing, with its schema up to date.
pub(super) fn open(folder: &Path, database: &Database) -> Result<Connection, StoreError> {
    let path = path(folder, database);
    let migrations = match database {
        Database::Central => CENTRAL,
        Database::Session(_) => SESSION,
    };
    let failed = |error: rusqlite::Error| store_error(&path, &error);
    let mut connection = Connection::open(&path).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    // FULL: an acknowledged event must survive the machine losing power, not only the process dying.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").map_err(failed)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if found > known {
        return Err(StoreError::TooNew { path, found, known });
    }
    for (index, migration) in migrations.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        let transaction = connection.transaction().map_err(failed)?;
        transaction.execute_batch(migration).map_err(failed)?;
        transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX)).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(connection)
}

/// Whether a database has this version's schema.
pub(super) fn check_current(path: &Path, connection: &Connection, database: &Database) -> Result<(), StoreError> {
    let known = match database {
        Database::Central => CENTRAL.len(),
        Database::Session(_) => SESSION.len(),
    };
    let known = i64::try_from(known).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| store_error(path, &error))?;
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::TooNew { path: path.to_owned(), found, known }),
        std::cmp::Ordering::Less => Err(StoreError::TooOld { path: path.to_owned(), found, known }),
    }
}

/// Whether nothing can be written beside the database.
pub(super) fn is_full(path: &Path) -> bool {
    let probe = path.with_extension("probe");
    let written = std::fs::write(&probe, [0; 64 << 10]);
    let _ = std::fs::remove_file(&probe);
    written.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
}

/// Whether a text in the database is none that anybody ever wrote there. (What a newer version wrote is sound, and only unknown here.)
fn is_garbage(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::FromSqlConversionFailure(_, _, reason) = error else {
        return matches!(error, rusqlite::Error::Utf8Error(..));
    };
    reason.downcast_ref::<serde_json::Error>().is_some_and(|error| error.is_syntax() || error.is_eof())
        || reason.downcast_ref::<std::str::Utf8Error>().is_some()
}

pub(super) fn store_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull(path),
        // What SQLite cannot map or extend is an I/O error to it, whatever the reason.
        Some(ErrorCode::SystemIoFailure) if is_full(&path) => StoreError::DiskFull(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { path, reason },
        None if is_garbage(error) => StoreError::Corrupt { path, reason },
        _ => StoreError::Database { path, reason },
    }
}

#[cfg(test)]
mod tests;
