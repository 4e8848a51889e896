//! Images: found, pulled, tagged, pushed, removed.

use std::collections::HashMap;

use bollard::{
    auth::DockerCredentials,
    models::ImageInspect,
    query_parameters::{CreateImageOptions, PushImageOptions, RemoveImageOptions, TagImageOptions},
};

use secrecy::ExposeSecret;

use super::{
    DockerEngine,
    client::{BULK, Fault, QUICK, SLOW},
};
use crate::{EngineError, ImageRef};

/// What an image is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageFacts {
    /// `sha256:…`, the hash of its configuration.
    pub id: String,
    pub labels: HashMap<String, String>,
    pub layers: usize,
    /// The layers themselves, from the lowest to the uppermost.
    pub chain: Vec<String>,
    pub bytes: u64,
    /// `registry/name@sha256:…` for each registry that it was pushed to or pulled from.
    digests: Vec<String>,
}

impl From<ImageInspect> for ImageFacts {
    fn from(image: ImageInspect) -> Self {
        let chain = image.root_fs.and_then(|root| root.layers).unwrap_or_default();
        Self {
            id: image.id.unwrap_or_default(),
            labels: image.config.and_then(|config| config.labels).unwrap_or_default(),
            layers: chain.len(),
            chain,
            bytes: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            digests: image.repo_digests.unwrap_or_default(),
        }
    }
}

impl DockerEngine {
    /// None where the engine does not have it.
    pub(crate) async fn find_image(&self, image: &ImageRef) -> Result<Option<ImageFacts>, EngineError> {
        match self.client().call("looking for an image", QUICK, self.client().docker.inspect_image(image.as_str())).await {
            Ok(found) => Ok(Some(found.into())),
            Err(fault) if fault.is(404) => Ok(None),
            Err(fault) => Err(fault.error),
        }
    }

    /// Images are pulled only where a digest says what must come.
    pub(crate) async fn find_or_pull(&self, image: &ImageRef) -> Result<ImageFacts, EngineError> {
        if let Some(found) = self.find_image(image).await? {
            return Ok(found);
        }
        if !image.is_pinned() {
            let reason = "it is a local image, which no registry has".to_owned();
            return Err(EngineError::ImageMissing { image: image.clone(), reason });
        }
        let options = CreateImageOptions { from_image: Some(image.to_string()), ..Default::default() };
        let pulled = self
            .client()
            .drain("pulling an image", BULK, self.client().docker.create_image(Some(options), None, self.credentials_for(image.as_str())))
            .await;
        if let Err(fault) = pulled {
            return Err(registry_fault(image, fault));
        }
        let reason = "the registry gave it, but the engine does not have it".to_owned();
        self.find_image(image).await?.ok_or_else(|| EngineError::ImageMissing { image: image.clone(), reason })
    }

    /// Pushes an image as `repository:tag` (the repository with its registry) and gives the reference by digest.
    pub(crate) async fn push(&self, image: &ImageRef, repository: &str, tag: &str) -> Result<ImageRef, EngineError> {
        let options = TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.to_owned()) };
        self.client().call("tagging an image", SLOW, self.client().docker.tag_image(image.as_str(), Some(options))).await?;
        let options = PushImageOptions { tag: Some(tag.to_owned()), ..Default::default() };
        let target = parse(format!("{repository}:{tag}"))?;
        let pushed = self
            .client()
            .drain("pushing an image", BULK, self.client().docker.push_image(repository, Some(options), self.credentials_for(repository)))
            .await;
        if let Err(fault) = pushed {
            // A name that no registry knows would keep the image for nobody.
            if let Err(error) = self.forget_image(&target).await {
                tracing::warn!(image = %target, %error, "what could not be pushed could not be removed either");
            }
            return Err(registry_fault(&target, fault));
        }
        let facts = self.find_image(&target).await?.unwrap_or_default();
        let prefix = format!("{repository}@");
        let digest = facts.digests.into_iter().find(|digest| digest.starts_with(&prefix));
        parse(digest.ok_or_else(|| EngineError::Refused {
            during: "pushing an image".to_owned(),
            message: "the registry took it, but named no digest".to_owned(),
        })?)
    }

    fn credentials_for(&self, image: &str) -> Option<DockerCredentials> {
        let registry = self.inner.registry.as_ref()?;
        let credentials = registry.credentials_for(image)?;
        Some(DockerCredentials {
            username: Some(credentials.user.clone()),
            password: Some(credentials.password.expose_secret().to_owned()),
            serveraddress: Some(registry.host().to_owned()),
            ..Default::default()
        })
    }

    pub(crate) async fn forget_image(&self, image: &ImageRef) -> Result<(), EngineError> {
        let call = self.client().docker.remove_image(image.as_str(), None::<RemoveImageOptions>, None);
        match self.client().call("removing an image", SLOW, call).await {
            Err(fault) if !fault.is(404) => Err(fault.error),
            _ => Ok(()),
        }
    }
}

fn parse(text: String) -> Result<ImageRef, EngineError> {
    ImageRef::parse(text).map_err(|error| EngineError::Refused { during: "naming an image".to_owned(), message: error.to_string() })
}

/// What is wrong with a registry shows in the engine's own words only.
const AWAY: [&str; 11] = [
    "connection refused",
    "no such host",
    "dial tcp",
    "i/o timeout",
    "connection reset",
    "server gave HTTP response",
    "EOF",
    "TLS handshake timeout",
    "x509:",
    "unexpected HTTP status: 5",
    "Client.Timeout exceeded",
];
const UNWELCOME: [&str; 5] = ["no basic auth credentials", "unauthorized", "authentication required", "access denied", "denied:"];
const LOST: [&str; 5] = ["manifest unknown", "not found", "name unknown", "blob unknown", "unknown blob"];

/// Away, unwelcome and lost are three things: only what is lost may be built again.
fn registry_fault(image: &ImageRef, fault: Fault) -> EngineError {
    let registry = || image.as_str().split('/').next().unwrap_or_default().to_owned();
    match fault.error {
        EngineError::Refused { during, message } => {
            let tells = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
            if tells(&AWAY) {
                EngineError::RegistryUnreachable { registry: registry(), reason: message }
            } else if tells(&UNWELCOME) {
                EngineError::RegistryRefused { registry: registry(), reason: message }
            } else if tells(&LOST) {
                EngineError::ImageMissing { image: image.clone(), reason: message }
            } else {
                EngineError::Refused { during, message }
            }
        }
        error => error,
    }
}
