//! Which channels were told that turns of theirs wait for a sandbox.

use rusqlite::params;

use super::{Database, OutboxDraft, Store, StoreError, central::parsed, outbox::enqueue};
use crate::ChannelId;

impl Store {
    /// The channels with a message that is to be kept true, with its key in the service's outbox.
    pub async fn waiting_notices(&self) -> Result<Vec<(ChannelId, String)>, StoreError> {
        self.read(Database::Central, |db| {
            db.prepare_cached("SELECT channel, key FROM waiting_notices ORDER BY channel")?
                .query_map([], |row| Ok((parsed(row, 0, ChannelId::parse)?, row.get(1)?)))?
                .collect()
        })
        .await
    }

    /// Posts such a message.
    pub async fn begin_waiting_notice(&self, channel: ChannelId, draft: OutboxDraft) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(Database::Central, move |db| {
            db.execute(
                "INSERT INTO waiting_notices (channel, key) VALUES (?1, ?2) ON CONFLICT (channel) DO UPDATE SET key = excluded.key",
                params![channel.as_str(), draft.key],
            )?;
            enqueue(db, &draft, now)
        })
        .await
    }

    /// Changes it for the last time.
    pub async fn end_waiting_notice(&self, channel: ChannelId, change: OutboxDraft) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(Database::Central, move |db| {
            db.execute("DELETE FROM waiting_notices WHERE channel = ?1", params![channel.as_str()])?;
            enqueue(db, &change, now)
        })
        .await
    }
}
