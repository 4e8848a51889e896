//! `longshore backup` and `longshore restore`: the data folder, kept elsewhere and taken from there.

pub mod restore;
mod restored;

use std::{
    io::Read,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use longshore_session::{Clock, Records, SystemClock, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use restored::{Before, Restored};

/// Written last: a folder without it is no backup.
const TABLE: &str = "backup.json";
/// What is of no use elsewhere: the lock, the files of running sandboxes, and what `longshore init` tries out. The databases are copied by SQLite.
const LEFT_OUT: &[&str] = &["lock", "carriers", "init", "sessions", restored::FILE];

/// What a backup holds.
#[derive(Debug, Serialize, Deserialize)]
struct Table {
    /// Of the service that made it.
    version: String,
    at: Timestamp,
    files: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    bytes: u64,
    sha256: String,
}

/// Copies a data folder, also while a service works on it.
pub fn back_up(data: &Path, to: &Path) -> Result<()> {
    let began = SystemClock.now();
    let records = Records::open(data)?;
    let data = std::path::absolute(data)?;
    ensure!(!std::path::absolute(to)?.starts_with(&data), "{} is in the data folder: name a place outside of it", to.display());
    empty_folder(to, "a backup is never written over anything: name a new folder")?;
    // What the agent attached goes when Slack has it: what a copied outbox may still want is copied before it and after it.
    let mut files = copy_tree(&data, to, Path::new(""))?;
    let databases = records.copy_databases(to)?;
    files.extend(copy_tree(&data, to, Path::new(""))?);
    files.extend(databases.files.iter().map(|(path, _)| path.clone()));
    files.sort();
    files.dedup();
    let entries = files.into_iter().map(|path| entry(to, path)).collect::<Result<Vec<_>>>()?;
    let table = Table { version: env!("CARGO_PKG_VERSION").to_owned(), at: began, files: entries };
    write_whole(&to.join(TABLE), &serde_json::to_vec_pretty(&table)?)?;
    let sessions = databases.files.len() - 1;
    println!("{}", said("backed up", to, &table, sessions, SystemClock.now().since(began).as_secs_f64()));
    for session in databases.damaged {
        eprintln!("longshore: the database of session {session} is damaged, and was copied as it is");
    }
    Ok(())
}

fn said(verb: &str, place: &Path, table: &Table, sessions: usize, seconds: f64) -> String {
    let bytes: u64 = table.files.iter().map(|entry| entry.bytes).sum();
    let noun = if sessions == 1 { "session" } else { "sessions" };
    format!(
        "{verb} {sessions} {noun}, {} files, {:.1} MB to {} in {seconds:.1} s; every database is sound",
        table.files.len(),
        bytes as f64 / 1e6,
        place.display()
    )
}

/// Makes the folder, for its owner alone, where there is none; refuses one that holds anything.
fn empty_folder(folder: &Path, why: &str) -> Result<()> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!("{} is not empty: {why}", folder.display());
            }
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make {}", folder.display())),
        Err(error) => Err(error).with_context(|| format!("cannot use {}", folder.display())),
    }
}

/// Copies every plain file but the databases; those that go meanwhile are not wanted any more. Gives their paths.
fn copy_tree(from: &Path, to: &Path, at: &Path) -> Result<Vec<PathBuf>> {
    let mut copied = Vec::new();
    let folder = from.join(at);
    for listed in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let listed = listed?;
        let name = listed.file_name();
        let is_database = name.to_string_lossy().starts_with("longshore.db") || name.to_string_lossy().ends_with(".probe");
        if at.as_os_str().is_empty() && (is_database || LEFT_OUT.iter().any(|left| name == *left)) {
            continue;
        }
        let path = at.join(&name);
        let kind = listed.file_type()?;
        if kind.is_dir() {
            std::fs::create_dir_all(to.join(&path))?;
            copied.extend(copy_tree(from, to, &path)?);
        } else if kind.is_file() {
            match std::fs::copy(from.join(&path), to.join(&path)) {
                Ok(_) => copied.push(path),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot copy {}", path.display())),
            }
        }
    }
    Ok(copied)
}

fn entry(folder: &Path, path: PathBuf) -> Result<Entry> {
    let (bytes, sha256) = fingerprint(&folder.join(&path))?;
    Ok(Entry { path, bytes, sha256 })
}

fn fingerprint(path: &Path) -> Result<(u64, String)> {
    let failed = || format!("cannot read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(failed)?;
    let (mut digest, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut piece).with_context(failed)?;
        if read == 0 {
            return Ok((bytes, digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        bytes += read as u64;
        digest.update(&piece[..read]);
    }
}

/// The file is there whole or not at all.
fn write_whole(path: &Path, text: &[u8]) -> Result<()> {
    let early = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        std::fs::write(&early, text)?;
        std::fs::File::open(&early)?.sync_all()?;
        std::fs::rename(&early, path)?;
        std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
