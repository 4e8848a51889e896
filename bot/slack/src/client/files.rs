//! Files up and down.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;
use serde_json::json;

use super::{
    SlackClient,
    error::{Repeatable, SlackError},
    required,
    write::PostTo,
};
use crate::inbound::FileRef;

/// A file to share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUpload {
    pub name: String,
    pub title: String,
    pub content: Bytes,
    /// Said above the file.
    pub comment: Option<String>,
}

impl SlackClient {
    /// Uploads and shares a file. Gives its id. Needs `files:write`.
    pub async fn upload_file(&self, to: &PostTo, file: &FileUpload) -> Result<String, SlackError> {
        let upload = self.upload_bytes(file).await?;
        self.share_upload(to, &upload, file).await?;
        Ok(upload)
    }

    /// The first half of an upload: gives Slack the bytes, which nobody sees yet. Gives the file's id, by which [`SlackClient::find_file`]
    /// tells whether the second half happened. Needs `files:write`.
    pub async fn upload_bytes(&self, file: &FileUpload) -> Result<String, SlackError> {
        const ASK: &str = "files.getUploadURLExternal";
        const SEND: &str = "the file's upload address";
        let answer = self.read(ASK, &[("filename", file.name.clone()), ("length", file.content.len().to_string())]).await?;
        let (address, id) = (required(ASK, &answer, "/upload_url")?, required(ASK, &answer, "/file_id")?.to_owned());
        // The address is the permission; the token has no business there.
        let request = Request::post(address)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(file.content.clone()))
            .map_err(|_| SlackError::Transient { method: SEND, reason: "it cannot be used".to_owned() })?;
        let sent = self.inner.plain.send(SEND, Repeatable::Yes, request, 64 * 1024).await?;
        if sent.status.is_success() {
            return Ok(id);
        }
        Err(SlackError::Transient { method: SEND, reason: format!("HTTP status {}", sent.status.as_u16()) })
    }

    /// The second half: shows the file where it belongs. On [`SlackError::UnknownOutcome`] it may stand there.
    pub async fn share_upload(&self, to: &PostTo, upload: &str, file: &FileUpload) -> Result<(), SlackError> {
        let mut body = json!({ "files": [{ "id": upload, "title": file.title }], "channel_id": to.channel });
        if let Some(thread) = &to.thread {
            body["thread_ts"] = json!(thread);
        }
        if let Some(comment) = &file.comment {
            body["initial_comment"] = json!(comment);
        }
        self.write("files.completeUploadExternal", &body, Repeatable::No, Some(to.channel.as_str())).await.map(drop)
    }

    /// What Slack says of a file now. Needs `files:read`.
    pub async fn file_info(&self, id: &str) -> Result<FileRef, SlackError> {
        const METHOD: &str = "files.info";
        let answer = self.read(METHOD, &[("file", id.to_owned())]).await?;
        let file = answer.get("file").and_then(FileRef::read);
        file.ok_or_else(|| SlackError::Transient { method: METHOD, reason: "the answer has no file".to_owned() })
    }

    /// Reads a file that came with a post, up to `limit` bytes. Needs `files:read`.
    pub async fn download_file(&self, file: &FileRef, limit: usize) -> Result<Bytes, SlackError> {
        const METHOD: &str = "file download";
        let refused = |code: &str, hint: &str| SlackError::Refused { method: METHOD, code: code.to_owned(), hint: Some(hint.to_owned()) };
        let address = file.url.as_deref().ok_or_else(|| refused("no_url", "Slack gives no address for this file"))?;
        // Files kept elsewhere (a shared drive) name a foreign host, which must not see the token.
        if !self.inner.is_slack_address(address) {
            return Err(refused("external_file", "the file is not kept in Slack"));
        }
        if file.size.is_some_and(|size| size > limit as u64) {
            return Err(refused("too_large", &format!("more than {limit} bytes")));
        }
        let request = Request::get(address)
            .header(AUTHORIZATION, format!("Bearer {}", self.inner.bot_token.expose()))
            .body(Full::default())
            .map_err(|_| refused("invalid_url", "the file's address cannot be used"))?;
        let answer = self.inner.plain.send(METHOD, Repeatable::Yes, request, limit).await?;
        let is_page = answer.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        match answer.status {
            // Without the scope, Slack answers with its sign-in page rather than with an error.
            StatusCode::OK if is_page && file.mimetype != "text/html" => {
                Err(refused("missing_scope", "add `files:read` under \"OAuth & Permissions › Bot Token Scopes\" and install the app again"))
            }
            StatusCode::OK => Ok(answer.body),
            StatusCode::TOO_MANY_REQUESTS => Err(SlackError::RateLimited { method: METHOD, retry_after: retry_after(&answer.headers) }),
            status if status.is_server_error() => {
                Err(SlackError::Transient { method: METHOD, reason: format!("HTTP status {}", status.as_u16()) })
            }
            status => Err(refused(&format!("http_{}", status.as_u16()), "the file is gone, or the bot may not read it")),
        }
    }
}

pub(super) fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}
