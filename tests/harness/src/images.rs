//! Records of images that earlier runs built, so that a run need not begin with minutes of building.
//!
//! The service decides by itself whether an image is still what it would build; all that is kept here is what its database said of it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use longshore_session::{ImageRecord, RepoName, Store, SystemClock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{docker, paths::target_folder};

/// One sample's image, in this checkout and on this machine.
#[derive(Debug, Clone)]
pub struct Entry {
    pub repository: String,
    file: PathBuf,
}

/// What is kept of a built image.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    repository: String,
    record: ImageRecord,
}

fn folder() -> PathBuf {
    target_folder().join("harness/images")
}

/// What of a manifest an image can depend on, where the rules of tools stand at its end.
pub fn image_part(manifest: &str) -> &str {
    manifest.split("[[tool_rules]]").next().unwrap_or_default().trim_end()
}

impl Entry {
    /// `manifest` and the files of `sample` are what the image is made of, with the base image and the registry that holds it.
    pub fn new(repository: &str, manifest: &str, sample: &Path, base_id: &str, registry: &str) -> Result<Self> {
        let mut hash = Sha256::new();
        for part in [repository, manifest, base_id, registry] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        for file in files(sample)? {
            hash.update(file.strip_prefix(sample).unwrap_or(&file).to_string_lossy().as_bytes());
            hash.update([0]);
            hash.update(std::fs::read(&file)?);
        }
        let digest: String = hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let name = repository.replace('/', "-");
        Ok(Self { repository: repository.to_owned(), file: folder().join(format!("{name}-{digest}.json")) })
    }

    /// The record, as long as its image can still be had.
    pub async fn read(&self) -> Result<Option<ImageRecord>> {
        let Ok(text) = std::fs::read_to_string(&self.file) else { return Ok(None) };
        let Ok(kept) = serde_json::from_str::<Kept>(&text) else { return Ok(None) };
        match &kept.record.reference {
            Some(reference) if docker::is_there(reference).await? => Ok(Some(kept.record)),
            _ => Ok(None),
        }
    }

    /// Keeps a record for later runs.
    pub fn keep(&self, record: &ImageRecord) -> Result<()> {
        std::fs::create_dir_all(folder())?;
        let kept = Kept { repository: self.repository.clone(), record: record.clone() };
        // Whoever reads meanwhile sees the old record or the new one.
        let scratch = self.file.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&scratch, serde_json::to_string_pretty(&kept)?)?;
        std::fs::rename(&scratch, &self.file).context("cannot keep an image's record")
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // What running a sample by hand leaves is no part of it.
            if matches!(&*name, "__pycache__" | "node_modules" | ".git") {
                continue;
            }
            if path.is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// References of all images that are kept: nobody may remove those.
pub fn kept_references() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder()) else { return Vec::new() };
    let records = entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    records.filter_map(|text| serde_json::from_str::<Kept>(&text).ok()?.record.reference).collect()
}

/// Writes records into the data folder of a service that does not run.
pub async fn put(data: &Path, records: &[(String, ImageRecord)]) -> Result<()> {
    let store = Store::open(data, Arc::new(SystemClock))?;
    for (repository, record) in records {
        store.put_image(RepoName::parse(repository.as_str())?, record.clone()).await?;
    }
    Ok(())
}

/// Held while images are built that others will want as well.
pub struct BuildTurn(#[expect(dead_code, reason = "the lock goes with the file")] File);

/// Waits until no other process builds the samples' images.
pub async fn build_turn() -> Result<BuildTurn> {
    std::fs::create_dir_all(folder())?;
    let file = File::create(folder().join("lock"))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?;
    Ok(BuildTurn(locked.context("cannot lock the folder of image records")?))
}
