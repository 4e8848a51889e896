//! A container's file system as an image.

use std::collections::HashMap;

use bollard::{
    body_try_stream,
    models::{ChangeType, ContainerConfig, ContainerCreateBody, FilesystemChange, HostConfig, ImageConfig},
    query_parameters::{CommitContainerOptions, CreateContainerOptions, CreateImageOptions, ListImagesOptions},
};
use futures_util::TryStreamExt;
use longshore_session::SandboxId;

use super::{
    DockerEngine,
    client::{BULK, QUICK, SLOW},
    container::{AGENT_USER, ID_LABEL, LABEL_PREFIX, NAMESPACE_LABEL},
};
use crate::{EngineError, ImageRef, Snapshot, SnapshotImage};

/// Before the keys of an image's labels. Not the prefix of sandboxes': containers inherit what their image has.
pub(crate) const IMAGE_LABEL_PREFIX: &str = "dev.longshore.image.";
/// Tells snapshots from other images of ours.
const KIND: (&str, &str) = ("kind", "snapshot");

impl DockerEngine {
    pub(super) async fn take_snapshot(&self, id: &SandboxId, labels: Vec<(String, String)>) -> Result<Snapshot, EngineError> {
        let stillness = self.stillness(id);
        let _still = stillness.lock().await;
        // A commit of nothing still costs, and would add a layer.
        let name = self.container_name(id);
        let call = self.client().docker.container_changes(&name);
        let answer = self.client().call("looking for changes", SLOW, call).await;
        let changes = self.or_missing(id, answer)?.unwrap_or_default();
        let origin = self.image_of(id).await?;
        if !changes.iter().any(is_work) {
            let layers = self.find_image(&origin).await?.map_or(0, |facts| facts.layers);
            return Ok(Snapshot { image: origin, bytes: 0, layers });
        }
        let mut labels = labels;
        labels.push((KIND.0.to_owned(), KIND.1.to_owned()));
        let tag = format!("{id}-{:08x}", rand::random::<u32>());
        let image = self.commit(id, &self.snapshot_repository(), &tag, labels).await?;
        let facts = self.find_image(&image).await?.unwrap_or_default();
        let before = self.find_image(&origin).await?.unwrap_or_default();
        Ok(Snapshot { image, bytes: facts.bytes.saturating_sub(before.bytes), layers: facts.layers })
    }

    /// Commits a container as `repository:tag`. The configuration is that of the image it came from: a container of ours holds no variable of its own.
    pub(crate) async fn commit(
        &self,
        id: &SandboxId,
        repository: &str,
        tag: &str,
        labels: Vec<(String, String)>,
    ) -> Result<ImageRef, EngineError> {
        let mut labels: HashMap<String, String> =
            labels.into_iter().map(|(key, value)| (format!("{IMAGE_LABEL_PREFIX}{key}"), value)).collect();
        labels.insert(format!("{IMAGE_LABEL_PREFIX}namespace"), self.inner.namespace.to_string());
        let options = CommitContainerOptions {
            container: Some(self.container_name(id)),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            pause: true,
            ..Default::default()
        };
        let config = ContainerConfig { user: Some(AGENT_USER.to_owned()), labels: Some(labels), ..Default::default() };
        let call = self.client().docker.commit_container(options, config);
        let answer = self.client().call("keeping a sandbox's files", BULK, call).await;
        self.or_missing(id, answer)?;
        ImageRef::parse(format!("{repository}:{tag}"))
            .map_err(|error| EngineError::Refused { during: "naming an image".to_owned(), message: error.to_string() })
    }
}

impl DockerEngine {
    fn snapshot_repository(&self) -> String {
        format!("{}/snapshot", self.inner.namespace)
    }

    pub(super) async fn find_snapshots(&self, label: Option<(&str, &str)>) -> Result<Vec<SnapshotImage>, EngineError> {
        let namespace = self.inner.namespace.to_string();
        let wanted = [("namespace", namespace.as_str()), KIND].into_iter().chain(label);
        let wanted = wanted.map(|(key, value)| format!("{IMAGE_LABEL_PREFIX}{key}={value}")).collect();
        let filters = HashMap::from([("label".to_owned(), wanted)]);
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let images = self.client().call("listing snapshots", QUICK, self.client().docker.list_images(Some(options))).await?;
        let prefix = format!("{}:", self.snapshot_repository());
        let mut found = Vec::new();
        for image in images {
            let own = |(key, value): (&String, &String)| Some((key.strip_prefix(IMAGE_LABEL_PREFIX)?.to_owned(), value.clone()));
            let mut labels: Vec<(String, String)> = image.labels.iter().filter_map(own).collect();
            labels.sort();
            // One without a name is a part of others.
            let names = image.repo_tags.into_iter().filter(|name| name.starts_with(&prefix));
            let named = names.filter_map(|name| ImageRef::parse(name).ok());
            found.extend(named.map(|image| SnapshotImage { image, labels: labels.clone() }));
        }
        Ok(found)
    }

    /// Through the file system of a container that is never started: exported and imported it is one layer, and a commit of that gets the
    /// settings back.
    pub(super) async fn put_together(&self, image: &ImageRef) -> Result<Snapshot, EngineError> {
        let (full, bare) = (SandboxId::random(), SandboxId::random());
        let plain = format!("{}:{full}-bare", self.snapshot_repository());
        self.remember(|memory| memory.building.extend([full.clone(), bare.clone()]));
        let flat = self.put_together_by(image, (&full, &bare), &plain).await;
        for id in [&full, &bare] {
            if let Err(error) = self.take_away(id).await {
                tracing::warn!(sandbox = %id, %error, "what a snapshot was put together in could not be removed; the next sweep will");
            }
        }
        if let Ok(plain) = ImageRef::parse(plain)
            && let Err(error) = self.forget_image(&plain).await
        {
            tracing::warn!(%plain, %error, "what a snapshot was put together from could not be removed");
        }
        flat
    }

    async fn put_together_by(
        &self,
        image: &ImageRef,
        (full, bare): (&SandboxId, &SandboxId),
        plain: &str,
    ) -> Result<Snapshot, EngineError> {
        let call = self.client().docker.inspect_image(image.as_str());
        let settings = self.client().call("looking at a snapshot", QUICK, call).await?.config.unwrap_or_default();
        self.create_still(full, image.as_str(), &ImageConfig::default()).await?;
        let files = self.client().docker.export_container(&self.container_name(full)).map_err(std::io::Error::other);
        let (repo, tag) = plain.split_once(':').unwrap_or((plain, "latest"));
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            ..Default::default()
        };
        let import = self.client().docker.create_image(Some(options), Some(body_try_stream(files)), None);
        self.client().drain("putting a snapshot together", BULK, import).await?;
        self.create_still(bare, plain, &settings).await?;
        let labels = settings.labels.unwrap_or_default().into_iter();
        let labels = labels.filter_map(|(key, value)| Some((key.strip_prefix(IMAGE_LABEL_PREFIX)?.to_owned(), value))).collect();
        let tag = format!("{full}-{:08x}", rand::random::<u32>());
        let image = self.commit(bare, &self.snapshot_repository(), &tag, labels).await?;
        let facts = self.find_image(&image).await?.unwrap_or_default();
        Ok(Snapshot { image, bytes: facts.bytes, layers: facts.layers })
    }

    /// A container with these settings that never runs.
    async fn create_still(&self, id: &SandboxId, image: &str, settings: &ImageConfig) -> Result<(), EngineError> {
        // Labels of the sandbox that the snapshot was taken of would make this one look like that.
        let mut labels = settings.labels.clone().unwrap_or_default();
        labels.retain(|key, _| !key.starts_with(LABEL_PREFIX));
        labels.insert(NAMESPACE_LABEL.to_owned(), self.inner.namespace.to_string());
        labels.insert(ID_LABEL.to_owned(), id.to_string());
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            user: settings.user.clone(),
            env: settings.env.clone(),
            cmd: Some(settings.cmd.clone().unwrap_or_else(|| vec!["/bin/true".to_owned()])),
            entrypoint: settings.entrypoint.clone(),
            working_dir: settings.working_dir.clone(),
            labels: Some(labels),
            host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..Default::default() }),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(self.container_name(id)), ..Default::default() };
        let call = self.client().docker.create_container(Some(options), body);
        self.client().call("putting a snapshot together", SLOW, call).await?;
        Ok(())
    }
}

/// The engine itself leaves the mount point of the init program, and with it two folders changed.
fn is_work(change: &FilesystemChange) -> bool {
    match change.kind {
        ChangeType::_0 => !matches!(change.path.as_str(), "/usr" | "/usr/sbin" | "/sbin"),
        ChangeType::_1 => !matches!(change.path.as_str(), "/usr/sbin/docker-init" | "/sbin/docker-init"),
        ChangeType::_2 => true,
    }
}
