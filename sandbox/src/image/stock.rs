//! What there is of images, in the engine and in the registry, and taking it away.
//!
//! Only what carries this service's marks is ever shown as its own, and only that is removed: other services and people may use the same engine and
//! the same registry. Which of it is still needed is not known here.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use longshore_session::{RepoName, Timestamp};
use tokio::process::Command;

use super::ImageBuilder;
use crate::{
    EngineError, ImageRef,
    docker::{IMAGE_LABEL_PREFIX, Shelved},
    names::image_repository,
    registry::{Deletion, Registry},
};

/// For a registry's own collection.
const COLLECTION: Duration = Duration::from_secs(1800);
/// Of what a command says, the end is told.
const TOLD: usize = 600;

/// What an image of this service's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stocked {
    /// What sandboxes of a repository start from.
    Image,
    Snapshot,
    /// It has no name, or another's: others are made of it, or it is somebody else's by now. Never removed.
    Part,
}

/// An image in the engine that carries this service's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineImage {
    /// `sha256:…`, the hash of its configuration.
    pub id: String,
    pub kind: Stocked,
    /// As the engine knows it: `name:tag`, `registry/name@sha256:…`.
    pub names: Vec<ImageRef>,
    /// None where an older version built it.
    pub repository: Option<RepoName>,
    pub created: Timestamp,
    /// With all its layers, of which it may share most with others.
    pub bytes: u64,
    /// From the lowest to the uppermost.
    pub layers: Vec<String>,
    pub held_by: HeldBy,
}

/// Whether the engine itself needs an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// A container, whosever and whether it runs or not, was made of it.
    Container,
    Nobody,
}

/// An image in the registry that this installation pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryImage {
    /// `registry/name@sha256:…`.
    pub reference: ImageRef,
    pub repository: RepoName,
    /// None where the registry does not say.
    pub created: Option<Timestamp>,
    /// Digests and sizes of what it is made of, as they are stored.
    pub blobs: Vec<(String, u64)>,
}

/// What became of an image that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    Done,
    /// Something uses it after all. It stays.
    InUse,
    /// The registry deletes nothing, or nothing for us.
    NotAllowed,
}

/// Why the registry's own collection came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    #[error("`images.registry_collect` cannot be run: {0}")]
    Unstarted(std::io::Error),
    #[error("`images.registry_collect` did not end within {} minutes", COLLECTION.as_secs() / 60)]
    Timeout,
    #[error("`images.registry_collect` failed ({status}): {said}")]
    Failed { status: String, said: String },
}

impl ImageBuilder {
    /// Everything in the engine that carries this service's label, and beneath it the base that images start from, by its layers.
    pub async fn engine_images(&self) -> Result<Vec<EngineImage>, EngineError> {
        let mut images = Vec::new();
        for Shelved { id, kind, names, labels, created, bytes, layers, held_by } in self.engine.shelf().await? {
            let repository = labels.get(&format!("{IMAGE_LABEL_PREFIX}repository")).and_then(|repo| RepoName::parse(repo.as_str()).ok());
            images.push(EngineImage { id, kind, names, repository, created, bytes, layers, held_by });
        }
        Ok(images)
    }

    /// Layers and size of what images without a base of their own start from. None where the engine does not have it.
    pub async fn base_layers(&self) -> Result<Option<(Vec<String>, u64)>, EngineError> {
        let facts = self.engine.find_image(&self.config.base).await?;
        Ok(facts.map(|facts| (facts.chain, facts.bytes)))
    }

    /// What images without a base of their own start from.
    pub fn base(&self) -> &ImageRef {
        &self.config.base
    }

    /// Takes all its names from an image; what nothing else is made of goes with the last one.
    pub async fn remove_from_engine(&self, image: &EngineImage) -> Result<Removal, EngineError> {
        // Tags first: with a repository's last one its digests go as well.
        let (digests, tags): (Vec<&ImageRef>, Vec<&ImageRef>) = image.names.iter().partition(|name| name.digest().is_some());
        for name in tags.into_iter().chain(digests) {
            match self.engine.forget_image(name).await {
                Ok(()) => {}
                Err(EngineError::Refused { .. }) => return Ok(Removal::InUse),
                Err(error) => return Err(error),
            }
        }
        Ok(Removal::Done)
    }

    /// What this installation pushed to the registry for these repositories, and is there. What others tagged is left out, whatever it is.
    pub async fn registry_images(&self, repositories: impl IntoIterator<Item = RepoName>) -> Result<Vec<RegistryImage>, EngineError> {
        let registry = Registry::new(self.config.registry.clone())?;
        let mut images = Vec::new();
        for repository in repositories {
            self.registry_images_of(&registry, repository, &mut images).await?;
        }
        Ok(images)
    }

    async fn registry_images_of(
        &self,
        registry: &Registry,
        repository: RepoName,
        images: &mut Vec<RegistryImage>,
    ) -> Result<(), EngineError> {
        let path = self.registry_path(&repository);
        let (own, foreign): (Vec<String>, Vec<String>) = registry.tags(&path).await?.into_iter().partition(|tag| self.mark.is_on(tag));
        let mut found = BTreeMap::new();
        for tag in own {
            if let Some(manifest) = registry.manifest(&path, &tag).await? {
                found.insert(manifest.digest.clone(), manifest);
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        for tag in foreign {
            // A deletion would take this tag too.
            if let Some(manifest) = registry.manifest(&path, &tag).await? {
                found.remove(&manifest.digest);
            }
        }
        for manifest in found.into_values() {
            let configuration = registry.configuration(&path, &manifest.config).await?.unwrap_or_default();
            if configuration.label(&format!("{IMAGE_LABEL_PREFIX}namespace")) != Some(self.engine.namespace().as_str()) {
                continue;
            }
            let Ok(reference) = ImageRef::parse(format!("{path}@{}", manifest.digest)) else { continue };
            let created = Timestamp::parse_rfc3339(&configuration.created);
            images.push(RegistryImage { reference, repository: repository.clone(), created, blobs: manifest.blobs });
        }
        Ok(())
    }

    /// Deletes an image's manifest, and with it its tags. Its blobs stay until [`Self::collect_blobs`].
    pub async fn remove_from_registry(&self, image: &RegistryImage) -> Result<Removal, EngineError> {
        let registry = Registry::new(self.config.registry.clone())?;
        let path = self.registry_path(&image.repository);
        let Some(digest) = image.reference.digest() else { return Ok(Removal::Done) };
        Ok(match registry.delete(&path, digest).await? {
            Deletion::Deleted | Deletion::Missing => Removal::Done,
            Deletion::Disabled => Removal::NotAllowed,
        })
    }

    /// Runs the registry's own collection of blobs that no manifest names. Waits for pushes of this builder, and lets none begin meanwhile: a
    /// collection would take away what they have uploaded.
    pub async fn collect_blobs(&self, command: &[String]) -> Result<(), CollectionError> {
        let Some((program, arguments)) = command.split_first() else { return Ok(()) };
        let _nobody_pushes = self.pushing.write().await;
        let mut run = Command::new(program);
        run.args(arguments).stdin(Stdio::null()).kill_on_drop(true).env("OTEL_TRACES_EXPORTER", "none");
        let output = match tokio::time::timeout(COLLECTION, run.output()).await {
            Ok(output) => output.map_err(CollectionError::Unstarted)?,
            Err(_) => return Err(CollectionError::Timeout),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let begin = said.char_indices().rev().nth(TOLD).map_or(0, |(index, _)| index);
        Err(CollectionError::Failed { status: output.status.to_string(), said: said[begin..].trim().to_owned() })
    }

    /// A repository's place in the registry, with the registry's address.
    pub(super) fn registry_path(&self, repository: &RepoName) -> String {
        format!("{}/{}", self.config.registry.address, image_repository(self.engine.namespace(), repository))
    }
}
