//! Every image that carries our label.

use std::collections::{HashMap, HashSet};

use bollard::query_parameters::{ListContainersOptions, ListImagesOptions};
use longshore_session::Timestamp;

use super::{
    DockerEngine,
    client::{QUICK, SLOW},
    snapshot::IMAGE_LABEL_PREFIX,
};
use crate::{
    EngineError, ImageRef,
    image::{HeldBy, Stocked},
    names::is_own_name,
};

/// One image.
#[derive(Debug)]
pub(crate) struct Shelved {
    pub id: String,
    pub kind: Stocked,
    pub names: Vec<ImageRef>,
    pub labels: HashMap<String, String>,
    pub created: Timestamp,
    pub bytes: u64,
    pub layers: Vec<String>,
    pub held_by: HeldBy,
}

impl DockerEngine {
    /// Also those without a name, which are parts of others.
    pub(crate) async fn shelf(&self) -> Result<Vec<Shelved>, EngineError> {
        let label = format!("{IMAGE_LABEL_PREFIX}namespace={}", self.inner.namespace);
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListImagesOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = self.client().call("listing images", SLOW, self.client().docker.list_images(Some(options))).await?;
        let containers = self.images_of_containers().await?;
        let mut shelf = Vec::new();
        for image in listed {
            let call = self.client().docker.inspect_image(&image.id);
            let layers = match self.client().call("looking at an image", QUICK, call).await {
                Ok(found) => found.root_fs.and_then(|root| root.layers).unwrap_or_default(),
                // It went meanwhile.
                Err(fault) if fault.is(404) => continue,
                Err(fault) => return Err(fault.error),
            };
            let names = image.repo_tags.into_iter().chain(image.repo_digests).filter(|name| !name.contains("<none>"));
            let names: Vec<String> = names.collect();
            let is_own = !names.is_empty() && names.iter().all(|name| is_own_name(&self.inner.namespace, name));
            let kind = match image.labels.get(&format!("{IMAGE_LABEL_PREFIX}kind")).map(String::as_str) {
                Some("image") if is_own => Stocked::Image,
                Some("snapshot") if !names.is_empty() => Stocked::Snapshot,
                _ => Stocked::Part,
            };
            let held_by = if containers.contains(&image.id) { HeldBy::Container } else { HeldBy::Nobody };
            shelf.push(Shelved {
                id: image.id,
                kind,
                names: names.into_iter().filter_map(|name| ImageRef::parse(name).ok()).collect(),
                labels: image.labels,
                created: Timestamp(image.created.saturating_mul(1000)),
                bytes: u64::try_from(image.size).unwrap_or(0),
                layers,
                held_by,
            });
        }
        Ok(shelf)
    }

    /// Of all containers of the engine, whosever, and whether they run or not.
    async fn images_of_containers(&self) -> Result<HashSet<String>, EngineError> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let containers = self.client().call("listing containers", SLOW, self.client().docker.list_containers(Some(options))).await?;
        Ok(containers.into_iter().filter_map(|container| container.image_id).collect())
    }
}
