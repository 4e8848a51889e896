//! A container's file system as an image.

use std::collections::HashMap;

use bollard::{
    models::{ChangeType, ContainerConfig, FilesystemChange},
    query_parameters::CommitContainerOptions,
};
use longshore_session::SandboxId;

use super::{
    DockerEngine,
    client::{BULK, SLOW},
    container::AGENT_USER,
};
use crate::{EngineError, ImageRef, Snapshot};

/// Before the keys of an image's labels. Not the prefix of sandboxes': containers inherit what their image has.
pub(crate) const IMAGE_LABEL_PREFIX: &str = "dev.longshore.image.";

impl DockerEngine {
    pub(super) async fn take_snapshot(&self, id: &SandboxId, labels: Vec<(String, String)>) -> Result<Snapshot, EngineError> {
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
        labels.push(("kind".to_owned(), "snapshot".to_owned()));
        let tag = format!("{id}-{:08x}", rand::random::<u32>());
        let image = self.commit(id, &format!("{}/snapshot", self.inner.namespace), &tag, labels).await?;
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

/// The engine itself leaves the mount point of the init program, and with it two folders changed.
fn is_work(change: &FilesystemChange) -> bool {
    match change.kind {
        ChangeType::_0 => !matches!(change.path.as_str(), "/usr" | "/usr/sbin" | "/sbin"),
        ChangeType::_1 => !matches!(change.path.as_str(), "/usr/sbin/docker-init" | "/sbin/docker-init"),
        ChangeType::_2 => true,
    }
}
