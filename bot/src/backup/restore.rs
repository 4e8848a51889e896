//! From a backup to a data folder that a service goes on with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use longshore_session::{Clock, SystemClock, check_database, prepare_restored};

use super::{TABLE, Table, empty_folder, fingerprint, restored, said, write_whole};

/// Makes a data folder of a backup.
pub fn restore(from: &Path, data: &Path) -> Result<()> {
    let began = SystemClock.now();
    let table = read_table(from)?;
    let data = std::path::absolute(data)?;
    let why = "a restore writes over nothing: move what is there elsewhere, or name another folder as `data`";
    empty_folder(&data, why)?;
    // Beside it, and put into its place when all is well: a restore that breaks off leaves an empty folder.
    let mut beside = data.clone().into_os_string();
    beside.push(".restoring");
    let beside = PathBuf::from(beside);
    if beside.exists() {
        std::fs::remove_dir_all(&beside).with_context(|| format!("cannot remove {}, which an earlier restore left", beside.display()))?;
    }
    empty_folder(&beside, why)?;
    for entry in &table.files {
        let (source, target) = (from.join(&entry.path), beside.join(&entry.path));
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        ensure!(
            fingerprint(&target)? == (entry.bytes, entry.sha256.clone()),
            "{} is not what was backed up: the backup is damaged",
            source.display()
        );
    }
    let mut damaged = Vec::new();
    let mut sessions = 0;
    for entry in table.files.iter().filter(|entry| entry.path.extension().is_some_and(|extension| extension == "db")) {
        let is_session = entry.path.starts_with("sessions");
        sessions += usize::from(is_session);
        match check_database(&beside.join(&entry.path)) {
            // It was so when it was backed up.
            Err(error) if is_session => damaged.push(error),
            checked => checked?,
        }
    }
    let known = prepare_restored(&beside)?;
    std::fs::create_dir_all(beside.join("sessions"))?;
    write_whole(&beside.join(restored::FILE), &serde_json::to_vec_pretty(&restored::facts(SystemClock.now(), table.at, &known))?)?;
    std::fs::remove_dir(&data)?;
    std::fs::rename(&beside, &data).with_context(|| format!("cannot put {} into its place", data.display()))?;
    println!("{}", said("restored", &data, &table, sessions, SystemClock.now().since(began).as_secs_f64()));
    println!(
        "It stands as of {}. What was asked or answered later is not in it: docs/operations.md says what to do about that.",
        table.at.second()
    );
    for error in damaged {
        eprintln!("longshore: {error}");
    }
    Ok(())
}

fn read_table(from: &Path) -> Result<Table> {
    let path = from.join(TABLE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{} is no whole backup: it has no {TABLE}, which is written last", from.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let table: Table = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
    for entry in &table.files {
        let is_inside = entry.path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        ensure!(is_inside, "{}: `{}` leads out of the folder", path.display(), entry.path.display());
    }
    Ok(table)
}
