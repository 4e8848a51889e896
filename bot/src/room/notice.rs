//! What a channel is told where many of its turns wait: one message, changed as they begin.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use longshore_session::{ChannelId, OutboxOwner, StoreError};
use longshore_slack::{Message, WaitingLine, WaitingNotice};

use super::{CROWD, Waits};
use crate::{
    app::App,
    outbox::{Changed, Owed, Weight},
    overview,
};

/// Between two looks, for each channel that is told.
pub const PACE: Duration = Duration::from_secs(4);

/// The channels that were told, with their message's key and what it says.
#[derive(Default)]
pub struct Notices {
    open: BTreeMap<ChannelId, (String, Option<Message>)>,
}

impl Notices {
    /// What the last service left standing.
    pub async fn recall(app: &App) -> Result<Self, StoreError> {
        let open = app.store.waiting_notices().await?.into_iter().map(|(channel, key)| (channel, (key, None)));
        Ok(Self { open: open.collect() })
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Brings every channel's message up to date.
    pub async fn tell(&mut self, app: &App) -> Result<()> {
        let waiting = app.room.waiting();
        let mut by_channel: BTreeMap<ChannelId, Vec<WaitingLine>> = BTreeMap::new();
        for (index, waits) in waiting.iter().enumerate() {
            by_channel.entry(waits.thread.channel.clone()).or_default().push(line(app, index + 1, waits));
        }
        let channels: BTreeSet<ChannelId> = by_channel.keys().chain(self.open.keys()).cloned().collect();
        let mut told = false;
        for channel in channels {
            let lines = by_channel.remove(&channel).unwrap_or_default();
            told |= self.tell_channel(app, channel, lines).await?;
        }
        if told {
            app.outbox.nudge(OutboxOwner::Service);
        }
        Ok(())
    }

    async fn tell_channel(&mut self, app: &App, channel: ChannelId, lines: Vec<WaitingLine>) -> Result<bool> {
        let waiting = lines.len();
        let message = WaitingNotice { most: app.room.most(), lines }.render();
        let Some((key, shown)) = self.open.get_mut(&channel) else {
            if waiting < CROWD {
                return Ok(false);
            }
            let key = format!("waiting:{channel}:{}", app.clock.now().0);
            let owed = Owed { channel: channel.clone(), thread: None, message: message.clone(), asker: None };
            app.store.begin_waiting_notice(channel.clone(), owed.draft("waiting", key.clone())?).await?;
            self.open.insert(channel, (key, Some(message)));
            return Ok(true);
        };
        let weight = if waiting == 0 { Weight::Last } else { Weight::OnTheWay };
        let change = Changed { channel: channel.clone(), message: message.clone(), weight }.draft(key)?;
        if waiting == 0 {
            app.store.end_waiting_notice(channel.clone(), change).await?;
            self.open.remove(&channel);
            return Ok(true);
        }
        if shown.as_ref() == Some(&message) {
            return Ok(false);
        }
        app.store.enqueue(&OutboxOwner::Service, change).await?;
        *shown = Some(message);
        Ok(true)
    }
}

fn line(app: &App, place: usize, waits: &Waits) -> WaitingLine {
    WaitingLine { place, asker: waits.person.clone(), asked: waits.text.clone(), thread_url: overview::thread_url(app, &waits.thread) }
}
