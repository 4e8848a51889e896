//! What is done about a disk that is full under the data folder: it is said loudly, and looked after until there is room.
//!
//! What cannot be stored is not acknowledged, and sessions wait with what they have. Once there is room, all goes on by itself; what Slack gave up by then
//! is read from the channels.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use longshore_session::{ChannelId, StorageHealth};
use longshore_slack::{Notice, PostTo};

use crate::{
    app::App,
    catch_up::{self, Missed},
    intake::StoreInbox,
};

/// Between two looks for room.
const LOOK: Duration = Duration::from_secs(3);
/// Channels that are told at the most.
const CHANNELS: usize = 10;

/// Channels with a post for the bot that could not be stored.
#[derive(Debug, Default)]
pub struct Unstored(Mutex<BTreeSet<ChannelId>>);

impl Unstored {
    pub fn note(&self, channel: &ChannelId) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.len() < CHANNELS {
            channels.insert(channel.clone());
        }
    }

    fn take(&self) -> BTreeSet<ChannelId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs until shutdown.
pub async fn watch(app: Arc<App>, inbox: Arc<StoreInbox>) {
    let mut health = app.store.health();
    let watching = async {
        loop {
            let Ok(full) = health.wait_for(|health| *health != StorageHealth::Sound).await.map(|health| health.clone()) else { return };
            let since = app.clock.now();
            if let StorageHealth::Full(path) = full {
                tracing::error!(
                    database = %path.display(),
                    "the disk is full: nothing is taken from Slack that cannot be stored; make room, the service goes on by itself"
                );
            }
            let told = until_there_is_room(&app, &inbox).await;
            tracing::info!(full_for_s = app.clock.now().since(since).as_secs(), channels = told, "there is room on the disk again");
            catch_up::run(&app, &inbox, &Missed { since }).await;
        }
    };
    app.shutdown.run_until_cancelled(watching).await;
}

/// Tells each channel once whose posts are not taken. Gives how many were told.
async fn until_there_is_room(app: &App, inbox: &StoreInbox) -> usize {
    let mut told = BTreeSet::new();
    loop {
        for channel in inbox.unstored.take() {
            if told.len() < CHANNELS && told.insert(channel.clone()) {
                // Not by the outbox, which cannot be written either; a post that fails here is not owed.
                let to = PostTo { channel: channel.clone(), thread: None };
                if let Err(error) = app.slack.post_message(&to, &Notice::DiskFull.render(), None).await {
                    tracing::warn!(%channel, %error, "a channel cannot be told of the full disk");
                }
            }
        }
        tokio::time::sleep(LOOK).await;
        app.store.look_for_room().await;
        if *app.store.health().borrow() == StorageHealth::Sound {
            return told.len();
        }
    }
}
