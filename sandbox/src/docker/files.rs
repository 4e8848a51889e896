//! Files into a sandbox and out of it.

use bollard::{
    body_full,
    query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use longshore_session::SandboxId;

use super::{DockerEngine, client::SLOW};
use crate::EngineError;

impl DockerEngine {
    pub(super) async fn upload(&self, id: &SandboxId, folder: &str, archive: Bytes) -> Result<(), EngineError> {
        let during = format!("copying into {folder}");
        let options = UploadToContainerOptions { path: folder.to_owned(), ..Default::default() };
        let name = self.container_name(id);
        let call = self.client().docker.upload_to_container(&name, Some(options), body_full(archive));
        let answer = self.client().call(&during, SLOW, call).await;
        self.explain(id, answer).await
    }

    pub(super) async fn download(&self, id: &SandboxId, path: &str, limit: u64) -> Result<Bytes, EngineError> {
        let during = format!("copying {path} out");
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let parts = self.client().docker.download_from_container(&self.container_name(id), Some(options));
        let answer = self
            .client()
            .call(&during, SLOW, async {
                let mut parts = std::pin::pin!(parts);
                let mut whole = BytesMut::new();
                while let Some(part) = parts.next().await {
                    whole.extend_from_slice(&part?);
                    if whole.len() as u64 > limit {
                        return Ok(None);
                    }
                }
                Ok(Some(whole.freeze()))
            })
            .await;
        let whole = self.explain(id, answer).await?;
        whole.ok_or_else(|| EngineError::TooLarge { id: id.clone(), path: path.to_owned(), limit })
    }

    /// 404 is said of a missing file and of a missing sandbox.
    async fn explain<T>(&self, id: &SandboxId, answer: Result<T, super::client::Fault>) -> Result<T, EngineError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(fault) if fault.is(404) => {
                self.inspect_container(id).await?;
                Err(fault.error)
            }
            Err(fault) => Err(fault.error),
        }
    }
}
