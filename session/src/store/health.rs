//! Whether what happens can be stored.

use std::path::PathBuf;

use tokio::sync::watch;

use super::{Store, StoreError, schema};

/// Where the data folder stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StorageHealth {
    #[default]
    Sound,
    /// Nothing can be written: the database that showed it.
    Full(PathBuf),
}

/// Shared by the writers; changes with what becomes of each write.
#[derive(Debug, Clone)]
pub(super) struct Health(watch::Sender<StorageHealth>);

impl Health {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(StorageHealth::Sound))
    }

    pub(super) fn failed(&self, error: &StoreError) {
        if let StoreError::DiskFull(path) = error {
            self.0.send_if_modified(|health| {
                let was_sound = *health == StorageHealth::Sound;
                if was_sound {
                    *health = StorageHealth::Full(path.clone());
                }
                was_sound
            });
        }
    }

    pub(super) fn wrote(&self) {
        self.0.send_if_modified(|health| std::mem::take(health) != StorageHealth::Sound);
    }
}

impl Store {
    /// Whether what happens can be stored, as it changes.
    pub fn health(&self) -> watch::Receiver<StorageHealth> {
        self.inner.health.0.subscribe()
    }

    /// Tries whether there is room again where there was none; [`Store::health`] tells.
    pub async fn look_for_room(&self) {
        let (path, health) = (schema::path(&self.inner.folder, &super::Database::Central), self.inner.health.clone());
        let look = tokio::task::spawn_blocking(move || {
            if !schema::is_full(&path) {
                health.wrote();
            }
        });
        // It cannot be cancelled, and does not panic.
        let _ = look.await;
    }
}
