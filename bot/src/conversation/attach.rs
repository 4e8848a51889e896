//! A file of the agent's: out of the sandbox and into the thread.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use longshore_session::{OutboxOwner, SandboxId, Sending, SessionId};
use longshore_slack::file_comment;
use sha2::{Digest, Sha256};
use tokio::{sync::oneshot, time::Instant};

use super::{Letter, deliver, files, work::shortened};
use crate::{
    app::App,
    outbox::{self, FileToSend},
};

/// The agent is answered within the time that its tool calls may take.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// What the agent asks to be shown.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Absolute, or within the checkout.
    pub path: String,
    pub title: Option<String>,
    pub comment: Option<String>,
}

/// What becomes of an attachment that the session took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub key: String,
    pub news: News,
}

/// Whether the session knew the attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    New,
    /// The same content was attached in this turn before.
    Known,
}

/// Puts a file of the sandbox's into the thread, once per turn and content. The inner results are for the agent.
pub async fn attach_file(app: &Arc<App>, session: &SessionId, sandbox: &SandboxId, wanted: Attachment) -> Result<Result<String, String>> {
    let path = if wanted.path.starts_with('/') { wanted.path.clone() } else { format!("/workspace/{}", wanted.path) };
    let bytes = match files::read(app, sandbox, &path, app.config.limits.file_bytes()).await {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(format!("{path} cannot be attached: {}", error.words()))),
    };
    let fingerprint: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // A name of its own: what an earlier call keeps is let go when that one is sent.
    let content = outbox::spool(app, &format!("{session}-{fingerprint}-{:08x}", rand::random::<u32>()), bytes).await?;
    let name = files::plain_name(&path);
    let file = FileToSend {
        title: wanted.title.map_or_else(|| name.clone(), |title| shortened(&title, 100)),
        name,
        comment: wanted.comment.as_deref().and_then(file_comment),
        content: content.clone(),
    };
    let taken = match take(app, session, fingerprint, file).await {
        Ok(Ok(taken)) => taken,
        other => {
            outbox::forget(app, &content).await;
            return other.map(|refused| refused.map(|taken| taken.key));
        }
    };
    if taken.news == News::Known {
        outbox::forget(app, &content).await;
    }
    Ok(arrival(app, session, &taken).await?.map(str::to_owned))
}

async fn take(app: &Arc<App>, session: &SessionId, fingerprint: String, file: FileToSend) -> Result<Result<Taken, String>> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::Attach { fingerprint, file: Box::new(file), answer }).await?;
    Ok(answered.await?)
}

/// Waits until it is really there.
async fn arrival(app: &App, session: &SessionId, taken: &Taken) -> Result<Result<&'static str, String>> {
    let owner = OutboxOwner::Session(session.clone());
    let deadline = Instant::now() + PATIENCE;
    loop {
        match app.store.sending(&owner, taken.key.clone()).await? {
            Some(Sending::Sent) => {
                return Ok(Ok(match taken.news {
                    News::New => "It is in the thread.",
                    News::Known => "It was in the thread already, and was not posted again.",
                }));
            }
            Some(Sending::Refused { reason }) => return Ok(Err(format!("Slack does not take this file: {reason}"))),
            Some(Sending::Owed) | None if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
            Some(Sending::Owed) | None => {
                return Ok(Ok(
                    "Slack is slow. The file is kept and comes into the thread as soon as Slack takes it: do not attach it again.",
                ));
            }
        }
    }
}
