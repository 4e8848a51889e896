//! What was said while Slack could not reach the service.
//!
//! Slack repeats what was not acknowledged for some minutes and gives it up then. After an outage the bot's channels and the threads of its live sessions are
//! read from that time on, and what is not in the inbox goes into it, as if Slack had delivered it: a post that is there already is the same post. Edits,
//! deletions, reactions and clicks of that time are not found again.
//!
//! After a restore from a backup the inbox does not know what the earlier service dealt with since: of that time, what the bot has said something after in
//! its thread is taken for answered.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use longshore_session::{ChannelId, MessageTs, ThreadKey, Timestamp};
use longshore_slack::{Delivery, DeliveryKind, Inbound, Inbox, Reply, SlackError, Stored};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use crate::{app::App, intake::StoreInbox};

/// Clocks differ, and what was on its way was not acknowledged.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// What is older is not worked on any more: somebody else has by then.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// An outage as short as that is Slack's own to make up for: it repeats at once and after a minute.
const SHORT: Duration = Duration::from_secs(10);
/// Channels that are read, and threads of sessions: Slack takes fifty such calls a minute.
const CHANNELS: usize = 200;
const THREADS: u32 = 40;
/// Messages of one channel or thread.
const MESSAGES: usize = 1_000;

/// What may be missing.
#[derive(Debug, Clone)]
pub struct Missed {
    pub since: Timestamp,
}

/// Since the last delivery before this start; None where there was none.
pub async fn before_start(app: &App) -> Option<Missed> {
    match app.store.last_delivery().await {
        Ok(last) => last.map(|since| Missed { since }),
        Err(error) => {
            tracing::error!(%error, "the inbox cannot be read");
            None
        }
    }
}

/// Catches up once the first socket is open, and after each time without one. Runs until shutdown.
pub async fn follow(app: Arc<App>, inbox: Arc<StoreInbox>, mut connected: watch::Receiver<usize>, before_start: Option<Missed>) {
    let shutdown = app.shutdown.clone();
    let following = async {
        let mut missed = before_start;
        let mut lost: Option<Instant> = None;
        loop {
            if connected.wait_for(|open| *open > 0).await.is_err() {
                return;
            }
            if lost.is_none_or(|lost| lost.elapsed() >= SHORT)
                && let Some(missed) = missed.take()
            {
                run(&app, &inbox, &missed).await;
            }
            if connected.wait_for(|open| *open == 0).await.is_err() {
                return;
            }
            lost = Some(Instant::now());
            missed = Some(Missed { since: app.clock.now() });
        }
    };
    shutdown.run_until_cancelled(following).await;
}

/// Reads what was missed into the inbox. What cannot be read now is left: people see no answer and ask again.
pub async fn run(app: &Arc<App>, inbox: &StoreInbox, missed: &Missed) {
    let oldest = oldest(missed.since, app.clock.now());
    let mut threads = BTreeSet::new();
    let mut found = 0;
    match app.slack.own_channels(CHANNELS).await {
        Ok(channels) => {
            for channel in channels {
                match app.slack.history_since(&channel, oldest.as_ref(), MESSAGES).await {
                    Ok(posts) => {
                        let begun = posts.iter().filter(|post| has_replies(post));
                        threads.extend(begun.map(|post| (channel.clone(), post.ts.clone())));
                        // What may be answered already is looked at with its answers.
                        let fresh = posts.into_iter().filter(|post| !(is_forgotten(app, &post.ts) && has_replies(post))).collect();
                        found += take(app, inbox, &channel, fresh).await;
                    }
                    Err(error) => could_not(&channel, &error),
                }
            }
        }
        Err(error) => tracing::warn!(%error, "Slack does not tell which channels there are; only threads are caught up with"),
    }
    match app.store.recent_sessions(THREADS).await {
        Ok(sessions) => threads.extend(sessions.into_iter().map(|session| {
            let ThreadKey { channel, thread, .. } = session.thread;
            (channel, thread)
        })),
        Err(error) => tracing::error!(%error, "the sessions cannot be listed"),
    }
    for (channel, thread) in threads {
        match app.slack.replies_since(&channel, &thread, oldest.as_ref(), MESSAGES).await {
            Ok(page) => found += take(app, inbox, &channel, page.replies).await,
            Err(error) => could_not(&channel, &error),
        }
    }
    if found > 0 {
        tracing::info!(found, since = missed.since.minute(), "took up what was said while Slack could not reach the service");
    }
}

fn could_not(channel: &ChannelId, error: &SlackError) {
    tracing::warn!(%channel, %error, "what was said meanwhile cannot be read");
}

fn has_replies(post: &Reply) -> bool {
    post.raw.get("reply_count").and_then(Value::as_u64).unwrap_or(0) > 0
}

/// Whether an earlier service may have dealt with it, after the backup that this data folder was restored from.
fn is_forgotten(app: &App, ts: &MessageTs) -> bool {
    let Some((of, at)) = app.restored.forgotten() else { return false };
    as_ts(of).is_none_or(|of| *ts >= of) && as_ts(at).is_none_or(|at| *ts <= at)
}

/// Puts what is not known yet into the inbox, oldest first; how many those were.
async fn take(app: &App, inbox: &StoreInbox, channel: &ChannelId, mut posts: Vec<Reply>) -> usize {
    posts.sort_by(|one, other| one.ts.cmp(&other.ts));
    let is_own = |post: &Reply| post.user.as_ref() == Some(&app.bot.user) || (post.bot_id.is_some() && post.bot_id == app.bot.bot_id);
    let answered = posts.iter().rev().find(|post| is_own(post)).map(|post| post.ts.clone());
    let mut found = 0;
    for post in posts {
        if answered.as_ref().is_some_and(|answered| post.ts < *answered) && is_forgotten(app, &post.ts) {
            continue;
        }
        let event = as_event(app, channel, &post);
        // What the bot itself said, and the like.
        if !matches!(Inbound::parse(&event, &app.bot), Inbound::Message(_)) {
            continue;
        }
        match inbox.store(event).await {
            Ok(Stored::New) => found += 1,
            Ok(Stored::Duplicate) => {}
            Err(error) => tracing::warn!(%channel, %error, "a post that was missed cannot be stored"),
        }
    }
    found
}

/// As Slack would have delivered it.
fn as_event(app: &App, channel: &ChannelId, post: &Reply) -> Delivery {
    let mut event = post.raw.clone();
    let kind = match channel.as_str().chars().next() {
        Some('D') => "im",
        Some('G') => "group",
        Some(_) | None => "channel",
    };
    if let Some(fields) = event.as_object_mut() {
        fields.insert("type".to_owned(), json!("message"));
        fields.insert("channel".to_owned(), json!(channel));
        fields.insert("channel_type".to_owned(), json!(kind));
    }
    let id = format!("caught-up-{channel}-{}", post.ts);
    let payload = json!({ "type": "event_callback", "team_id": app.team, "event_id": id, "event": event });
    Delivery::new(DeliveryKind::Event, payload, None, app.clock.now())
}

/// None where that is no time of Slack's, which never happens: then all is read that Slack gives.
fn oldest(since: Timestamp, now: Timestamp) -> Option<MessageTs> {
    // A clock that was set back says that the last delivery is still to come.
    as_ts((since.min(now) - MARGIN).max(now - LONGEST))
}

fn as_ts(at: Timestamp) -> Option<MessageTs> {
    let ms = at.0.max(0);
    MessageTs::parse(format!("{}.{:06}", ms / 1_000, (ms % 1_000) * 1_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_begins_a_little_earlier_and_no_day_back() {
        let now = Timestamp(1_795_400_000_123);
        let since = |since, now| oldest(since, now).map(|ts| ts.to_string()).unwrap_or_default();
        assert_eq!(since(now, now), "1795399700.123000");
        assert_eq!(since(Timestamp(0), now), "1795313600.123000");
        // The clock was set back an hour.
        assert_eq!(since(now + Duration::from_secs(3_600), now), "1795399700.123000");
        assert_eq!(since(Timestamp(0), Timestamp(5)), "0.000000");
    }
}
