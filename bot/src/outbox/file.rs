//! Files that are owed to a thread: uploaded once, and looked for by Slack's own id of them where it is unknown whether they got there.

use std::{
    collections::HashSet,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use longshore_session::{ChannelId, MessageTs, OutboxDraft, OutboxOwner, OutboxRow, SlackUserId, fault_point, fault_without};
use longshore_slack::{FileUpload, PostTo, SlackError};
use serde::{Deserialize, Serialize};

use crate::app::App;

/// The row's kind, by which the store tells it from messages.
const KIND: &str = "file";
/// In the data folder: what is too large for a row.
const SPOOL: &str = "files";

/// What the outbox row of a file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwedFile {
    pub channel: ChannelId,
    pub thread: MessageTs,
    pub file: FileToSend,
    /// Who gets it in private where the thread is closed to the bot; none where nobody needs to.
    #[serde(default)]
    pub asker: Option<SlackUserId>,
    /// Slack's id of the bytes that were uploaded last; they may be in the thread.
    #[serde(default)]
    pub upload: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileToSend {
    pub name: String,
    pub title: String,
    /// Said above it, in Slack's markup.
    pub comment: Option<String>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kept", rename_all = "snake_case")]
pub enum Content {
    /// In the row.
    Here { text: String },
    /// In a file of this name, from [`spool`].
    Spooled { name: String },
}

impl OwedFile {
    pub fn draft(self, key: String) -> Result<OutboxDraft, serde_json::Error> {
        Ok(OutboxDraft { key, kind: KIND, body: serde_json::to_value(self)? })
    }

    /// None where the row is no file's.
    pub fn of(row: &OutboxRow) -> Option<Result<Self, serde_json::Error>> {
        (row.kind == KIND).then(|| serde_json::from_value(row.body.clone()))
    }
}

/// Keeps bytes until they are sent; on disk when this returns.
pub async fn spool(app: &App, name: &str, bytes: Vec<u8>) -> Result<Content> {
    let path = spooled(app, name);
    tokio::task::spawn_blocking(move || write(&path, &bytes)).await??;
    fault_point!("file.spooled.after");
    Ok(Content::Spooled { name: name.to_owned() })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let failed = || format!("cannot write {}", path.display());
    let mut file = std::fs::File::create(path).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.sync_all().with_context(failed)
}

fn spooled(app: &App, name: &str) -> PathBuf {
    app.config.data.join(SPOOL).join(name)
}

/// Lets go of what was kept; one that is gone already is no error.
pub async fn forget(app: &App, content: &Content) {
    match content {
        Content::Here { .. } => {}
        Content::Spooled { name } => {
            let path = spooled(app, name);
            if let Err(error) = tokio::fs::remove_file(&path).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(file = %path.display(), %error, "a file that was sent cannot be removed");
            }
        }
    }
}

/// Lets go of what the last service kept and can never send: it ended after the file was sent, or before anybody owed it. Before anything is kept anew.
pub async fn forget_strays(app: &App) -> Result<()> {
    let folder = app.config.data.join(SPOOL);
    let Ok(mut entries) = tokio::fs::read_dir(&folder).await else { return Ok(()) };
    let mut owed = HashSet::new();
    // Whoever owes anything has work.
    for session in app.store.working_sessions().await? {
        for row in app.store.owed(&OutboxOwner::Session(session.id), KIND).await? {
            if let Some(Ok(OwedFile { file: FileToSend { content: Content::Spooled { name }, .. }, .. })) = OwedFile::of(&row) {
                owed.insert(name);
            }
        }
    }
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !owed.contains(&name) {
            tracing::info!(file = name, "removing a file that nobody owes any more");
            forget(app, &Content::Spooled { name }).await;
        }
    }
    Ok(())
}

pub async fn send(app: &App, owner: &OutboxOwner, row: &OutboxRow, owed: &OwedFile) -> Result<Option<MessageTs>, SlackError> {
    let place = PostTo { channel: owed.channel.clone(), thread: Some(owed.thread.clone()) };
    match send_to(app, owner, row, owed, &place).await {
        Err(error) => match (error.closed_place(), &owed.asker) {
            (Some(_), Some(asker)) => {
                tracing::warn!(key = row.key, %error, "a thread is closed to the bot; its asker gets the file in private");
                let place = PostTo { channel: app.slack.direct_message(asker).await?, thread: None };
                send_to(app, owner, row, owed, &place).await
            }
            _ => Err(error),
        },
        sent => sent,
    }
}

async fn send_to(app: &App, owner: &OutboxOwner, row: &OutboxRow, owed: &OwedFile, to: &PostTo) -> Result<Option<MessageTs>, SlackError> {
    if row.attempts > 0
        && !fault_without!("outbox-reconciliation")
        && let Some(upload) = &owed.upload
        && let Some(ts) = app.slack.find_file(&to.channel, to.thread.as_ref(), upload).await?
    {
        return Ok(Some(ts));
    }
    let content = match &owed.file.content {
        Content::Here { text } => text.clone().into_bytes(),
        Content::Spooled { name } => tokio::fs::read(spooled(app, name)).await.map_err(|error| {
            tracing::error!(key = row.key, %error, "a file that is owed cannot be read");
            SlackError::Refused { method: "file upload", code: "file_lost".to_owned(), hint: None }
        })?,
    };
    let file = FileUpload {
        name: owed.file.name.clone(),
        title: owed.file.title.clone(),
        content: content.into(),
        comment: owed.file.comment.clone(),
    };
    fault_point!("file.uploaded.before");
    let upload = app.slack.upload_bytes(&file).await?;
    fault_point!("file.uploaded.after");
    // Known before it can be seen, or it could not be looked for.
    let noted = app.store.note_upload(owner, row.key.clone(), upload.clone()).await;
    noted.map_err(|error| SlackError::Transient { method: "file upload", reason: error.to_string() })?;
    fault_point!("file.noted.after");
    app.slack.share_upload(to, &upload, &file).await?;
    // Slack does not say which message shows it.
    Ok(None)
}
