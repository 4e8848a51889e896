//! Sends what is owed to Slack: each message once, in order within its outbox, found again by its key where a send's outcome is unknown.

mod file;

use std::{sync::Arc, time::Duration};

use longshore_session::{
    ChannelId, MessageTs, OutboxDraft, OutboxLane, OutboxOwner, OutboxRow, SentBy, SlackUserId, StoreError, fault_point, fault_without,
};
use longshore_slack::{Detour, Message, Metadata, PostTo, Posted, Priority, SlackError};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use tracing::Instrument;

pub use self::file::{Content, FileToSend, OwedFile, forget, forget_strays, spool};

use crate::{app::App, backup::Before, conversation::Note, metrics::Source};

/// Nudges that may wait. One that finds no room is not needed: the regular round finds the message.
const NUDGES: usize = 1024;
/// How often all outboxes with work are looked at without a nudge.
const ROUND: Duration = Duration::from_secs(20);
/// The type of the metadata that our messages carry.
pub const METADATA_TYPE: &str = "longshore_message";
/// A message is found again by reading its thread once a send may have got through.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// The wait before a change is tried again: one made twice does no harm.
const CHANGE_DELAY: Duration = Duration::from_secs(5);

/// What an outbox row holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Owed {
    pub channel: ChannelId,
    pub thread: Option<MessageTs>,
    pub message: Message,
    /// Who gets it in private where the thread is closed to the bot; none where nobody needs to.
    #[serde(default)]
    pub asker: Option<SlackUserId>,
}

impl Owed {
    pub fn draft(self, kind: &'static str, key: String) -> Result<OutboxDraft, serde_json::Error> {
        Ok(OutboxDraft { key, kind, body: serde_json::to_value(self)? })
    }
}

/// What a message of ours shall say from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changed {
    pub channel: ChannelId,
    pub message: Message,
    pub weight: Weight,
}

/// Whether anything will come after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The message's last words.
    Last,
    OnTheWay,
}

impl Changed {
    /// `of` is the message's key.
    pub fn draft(self, of: &str) -> Result<OutboxDraft, serde_json::Error> {
        Ok(OutboxDraft::change(of, serde_json::to_value(self)?))
    }
}

/// Tells the sender that a message was put into an outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    nudges: mpsc::Sender<OutboxOwner>,
}

impl Outbox {
    pub fn new() -> (Self, mpsc::Receiver<OutboxOwner>) {
        let (nudges, nudged) = mpsc::channel(NUDGES);
        (Self { nudges }, nudged)
    }

    pub fn nudge(&self, owner: OutboxOwner) {
        // Full means that the sender is behind; its regular round comes to this outbox too.
        let _ = self.nudges.try_send(owner);
    }
}

/// Runs until shutdown. Each lane of an outbox is drained by one task at a time.
pub async fn run(app: Arc<App>, mut nudged: mpsc::Receiver<OutboxOwner>) {
    let mut draining: JoinSet<(OutboxOwner, OutboxLane)> = JoinSet::new();
    let mut busy = std::collections::HashMap::<(OutboxOwner, OutboxLane), Busy>::new();
    let mut round = tokio::time::interval(ROUND);
    loop {
        let lanes = tokio::select! {
            () = app.shutdown.cancelled() => break,
            Some(owner) = nudged.recv() => both_lanes(owner),
            _ = round.tick() => all_with_work(&app).await.into_iter().flat_map(both_lanes).collect(),
            Some(ended) = draining.join_next(), if !draining.is_empty() => {
                match ended {
                    Ok(lane) => match busy.remove(&lane) {
                        Some(Busy { again: Again::Yes, .. }) => vec![lane],
                        _ => Vec::new(),
                    },
                    Err(error) => {
                        tracing::error!(%error, "sending broke off");
                        busy.clear();
                        Vec::new()
                    }
                }
            }
        };
        for lane in lanes {
            match busy.entry(lane) {
                std::collections::hash_map::Entry::Occupied(mut entry) => {
                    let busy = entry.get_mut();
                    busy.again = Again::Yes;
                    // It may wait with a file that is due later than what was put in now.
                    busy.nudge.notify_one();
                }
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let (app, (owner, lane)) = (Arc::clone(&app), entry.key().clone());
                    let nudge = Arc::new(Notify::new());
                    entry.insert(Busy { again: Again::No, nudge: Arc::clone(&nudge) });
                    let span = match &owner {
                        OutboxOwner::Session(session) => tracing::info_span!("outbox", %session),
                        OutboxOwner::Service => tracing::info_span!("outbox"),
                    };
                    let task = async move {
                        drain(&app, &owner, lane, &nudge).await;
                        (owner, lane)
                    };
                    draining.spawn(task.instrument(span));
                }
            }
        }
    }
    // What is being sent now may be half-way; a short time lets it be noted as sent.
    let _ = tokio::time::timeout(Duration::from_secs(3), async { while draining.join_next().await.is_some() {} }).await;
}

fn both_lanes(owner: OutboxOwner) -> Vec<(OutboxOwner, OutboxLane)> {
    vec![(owner.clone(), OutboxLane::Posts), (owner, OutboxLane::Changes)]
}

/// An outbox that is being drained.
struct Busy {
    again: Again,
    nudge: Arc<Notify>,
}

/// Whether an outbox was nudged while it was being drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

async fn all_with_work(app: &App) -> Vec<OutboxOwner> {
    let mut owners = vec![OutboxOwner::Service];
    match app.store.working_sessions().await {
        Ok(sessions) => owners.extend(sessions.into_iter().map(|record| OutboxOwner::Session(record.id))),
        Err(error) => tracing::error!(%error, "cannot list the sessions that have work"),
    }
    owners
}

async fn drain(app: &App, owner: &OutboxOwner, lane: OutboxLane, nudge: &Notify) {
    loop {
        let drained = match lane {
            OutboxLane::Posts => post_now(app, owner).await,
            OutboxLane::Changes => change_now(app, owner).await,
        };
        match drained {
            Ok(Some(wait)) => {
                tokio::select! {
                    () = app.shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                    () = nudge.notified() => {}
                }
            }
            Ok(None) => return note_empty(app, owner).await,
            Err(error) => {
                tracing::error!(?owner, %error, "cannot read an outbox; trying again later");
                return;
            }
        }
    }
}

/// Tells the session where nothing is owed in either lane.
async fn note_empty(app: &App, owner: &OutboxOwner) {
    let OutboxOwner::Session(session) = owner else { return };
    for lane in [OutboxLane::Posts, OutboxLane::Changes] {
        match app.store.next_due(owner, lane).await {
            Ok(None) => {}
            Ok(Some(_)) => return,
            Err(error) => return tracing::error!(?owner, %error, "cannot read an outbox; trying again later"),
        }
    }
    app.conversations.note(session, Note::OutboxEmpty);
}

async fn until_next(app: &App, owner: &OutboxOwner, lane: OutboxLane) -> Result<Option<Duration>, StoreError> {
    let next = app.store.next_due(owner, lane).await?;
    Ok(next.map(|due| due.since(app.clock.now()).max(Duration::from_millis(20))))
}

/// Sends all that is due. Gives how long to wait for the next, if there is a next.
async fn post_now(app: &App, owner: &OutboxOwner) -> Result<Option<Duration>, StoreError> {
    let mut sent_any = false;
    while let Some(row) = app.store.begin_send(owner, OutboxLane::Posts).await? {
        fault_point!("outbox", row.kind, "claimed");
        match send(app, owner, &row).await {
            Ok((ts, by)) => {
                sent_any = true;
                fault_point!("outbox", row.kind, "sent");
                if by == SentBy::Reconciled {
                    tracing::info!(key = row.key, "a message whose sending had no answer is in its thread");
                }
                app.store.sent(owner, row.key.clone(), ts.clone(), by).await?;
                fault_point!("outbox", row.kind, "stored");
                app.metrics.sent(by);
                forget_file(app, &row).await;
                if let OutboxOwner::Session(session) = owner {
                    app.conversations.note(session, Note::Sent { key: row.key, at: app.clock.now() });
                }
            }
            Err(SlackError::Refused { method, code, hint }) => {
                app.metrics.error(Source::Slack, "refused");
                // Slack will say the same next time; the message is kept with the reason.
                tracing::error!(?owner, key = row.key, method, code, hint, "Slack refuses a message for good");
                app.store.cannot_send(owner, row.key.clone(), code).await?;
                forget_file(app, &row).await;
            }
            Err(error) => {
                app.metrics.slack_error(&error);
                let delay = match &error {
                    SlackError::RateLimited { retry_after, .. } => *retry_after,
                    _ => (FIRST_DELAY * 2u32.saturating_pow(row.attempts.min(6))).min(LONGEST_DELAY),
                };
                tracing::warn!(?owner, key = row.key, %error, delay_ms = delay.as_millis(), "a message waits");
                app.store.send_later(owner, row.key, delay).await?;
            }
        }
    }
    if sent_any {
        // Changes may have waited for it.
        app.outbox.nudge(owner.clone());
    }
    until_next(app, owner, OutboxLane::Posts).await
}

/// Makes all changes that are due. Gives how long to wait for the next, if there is a next.
async fn change_now(app: &App, owner: &OutboxOwner) -> Result<Option<Duration>, StoreError> {
    while let Some(row) = app.store.begin_send(owner, OutboxLane::Changes).await? {
        fault_point!("outbox.change.claimed");
        match change(app, &row).await {
            Ok(()) => {
                fault_point!("outbox.change.sent");
                app.store.changed(owner, row).await?;
                fault_point!("outbox.change.stored");
            }
            Err(SlackError::Refused { code, hint, .. }) => {
                tracing::warn!(?owner, key = row.key, code, hint, "Slack refuses a change for good");
                app.store.cannot_send(owner, row.key, code).await?;
            }
            Err(error) => {
                app.metrics.slack_error(&error);
                let delay = match &error {
                    SlackError::RateLimited { retry_after, .. } => *retry_after,
                    _ => CHANGE_DELAY,
                };
                tracing::debug!(?owner, key = row.key, %error, delay_ms = delay.as_millis(), "a change waits");
                app.store.send_later(owner, row.key, delay).await?;
            }
        }
    }
    until_next(app, owner, OutboxLane::Changes).await
}

async fn change(app: &App, row: &OutboxRow) -> Result<(), SlackError> {
    let unreadable = || SlackError::Refused { method: "chat.update", code: "unreadable".to_owned(), hint: None };
    let changed: Changed = serde_json::from_value(row.body.clone()).map_err(|_| unreadable())?;
    let at = Posted { channel: changed.channel, ts: row.ts.clone().ok_or_else(unreadable)? };
    let priority = match changed.weight {
        Weight::Last => Priority::Final,
        Weight::OnTheWay => Priority::Progress,
    };
    app.slack.update_message(&at, &changed.message, priority).await
}

/// What was kept for a row that is done with.
async fn forget_file(app: &App, row: &OutboxRow) {
    if let Some(Ok(owed)) = OwedFile::of(row) {
        forget(app, &owed.file.content).await;
    }
}

async fn send(app: &App, owner: &OutboxOwner, row: &OutboxRow) -> Result<(Option<MessageTs>, SentBy), SlackError> {
    let unreadable = |error: serde_json::Error| {
        tracing::error!(key = row.key, %error, "a stored message cannot be read");
        SlackError::Refused { method: "chat.postMessage", code: "unreadable".to_owned(), hint: None }
    };
    if let Some(owed) = OwedFile::of(row) {
        return Ok((file::send(app, owner, row, &owed.map_err(unreadable)?).await?, SentBy::Answer));
    }
    let owed: Owed = serde_json::from_value(row.body.clone()).map_err(unreadable)?;
    match send_to_thread(app, owner, row, &owed).await {
        Err(error) => match (error.closed_place(), &owed.asker) {
            (Some(why), Some(asker)) => {
                tracing::warn!(key = row.key, %error, "a thread is closed to the bot; its asker is told in private");
                send_in_private(app, (owner, row), &owed, asker, why).await
            }
            _ => Err(error),
        },
        sent => sent,
    }
}

/// What makes sure that a message is posted once.
struct Once {
    /// Goes along as metadata.
    key: String,
    look: Look,
}

/// Whether a message may be in Slack already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    No,
}

/// A send that was begun before may have got through: it is looked for before it is posted again.
fn once(app: &App, owner: &OutboxOwner, row: &OutboxRow) -> Once {
    let begun = if row.attempts > 0 { Look::First } else { Look::No };
    match app.restored.before(owner, &row.key) {
        Before::Nothing => Once { key: row.key.clone(), look: begun },
        Before::MaybeSent => Once { key: row.key.clone(), look: Look::First },
        Before::Renamed(key) => Once { key, look: begun },
    }
}

async fn send_to_thread(app: &App, owner: &OutboxOwner, row: &OutboxRow, owed: &Owed) -> Result<(Option<MessageTs>, SentBy), SlackError> {
    let Once { key, look } = once(app, owner, row);
    if look == Look::First
        && !fault_without!("outbox-reconciliation")
        && let Some(thread) = &owed.thread
        && let Some(ts) = app.slack.find_by_metadata(&owed.channel, thread, &key).await?
    {
        return Ok((Some(ts), SentBy::Reconciled));
    }
    let to = PostTo { channel: owed.channel.clone(), thread: owed.thread.clone() };
    let posted = app.slack.post_message(&to, &owed.message, Some(&Metadata::keyed(METADATA_TYPE, &key))).await?;
    Ok((Some(posted.ts), SentBy::Answer))
}

async fn send_in_private(
    app: &App,
    (owner, row): (&OutboxOwner, &OutboxRow),
    owed: &Owed,
    asker: &SlackUserId,
    why: &str,
) -> Result<(Option<MessageTs>, SentBy), SlackError> {
    let channel = app.slack.direct_message(asker).await?;
    let Once { key, look } = once(app, owner, row);
    if look == Look::First
        && let Some(ts) = app.slack.find_in_channel(&channel, &key).await?
    {
        return Ok((Some(ts), SentBy::Reconciled));
    }
    let detour = Detour { message: owed.message.clone(), why: why.to_owned(), channel: owed.channel.to_string() };
    let to = PostTo { channel, thread: None };
    let posted = app.slack.post_message(&to, &detour.render(), Some(&Metadata::keyed(METADATA_TYPE, &key))).await?;
    Ok((Some(posted.ts), SentBy::Answer))
}
