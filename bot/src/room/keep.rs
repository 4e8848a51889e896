//! Makes room where somebody waits.

use std::{sync::Arc, time::Duration};

use super::notice::{Notices, PACE};
use crate::{
    app::App,
    conversation,
    pool::{self, GaveWay},
};

/// How often it is looked at without a change.
const ROUND: Duration = Duration::from_secs(20);

/// Runs until shutdown: puts idle sessions to sleep for those who wait, and removes what could not be removed before.
pub async fn keep(app: Arc<App>) {
    let mut changes = app.room.changes();
    let mut round = tokio::time::interval(ROUND);
    loop {
        while let Some(session) = app.room.next_to_go() {
            if let Err(error) = conversation::give_way(&app, &session).await {
                tracing::warn!(%session, %error, "an idle session cannot be asked for its place");
            }
        }
        if !app.room.waiting().is_empty() {
            app.pool.nudge();
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            _ = round.tick() => {
                for sandbox in app.room.stuck() {
                    conversation::discard(&app, &sandbox).await;
                }
            }
        }
    }
}

/// Runs until shutdown: tells channels who waits in them.
pub async fn tell(app: Arc<App>) {
    let mut changes = app.room.changes();
    let mut notices = match Notices::recall(&app).await {
        Ok(notices) => notices,
        Err(error) => return tracing::error!(%error, "what channels were told of the queue cannot be read"),
    };
    if notices.open() > 0 {
        // Those who waited ask again first.
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(PACE) => {}
        }
    }
    loop {
        changes.borrow_and_update();
        if let Err(error) = notices.tell(&app).await {
            tracing::error!(error = format!("{error:#}"), "channels cannot be told who waits");
        }
        let pace = PACE * u32::try_from(notices.open()).unwrap_or(u32::MAX).max(1);
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(pace) => {}
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Whoever has a place and is about to start a sandbox in it has the pool's entries give way, as far as they take more than what is left.
pub async fn make_way(app: &App) {
    let mut changes = app.room.changes();
    while app.room.is_too_full() {
        changes.borrow_and_update();
        match pool::give_way(app).await {
            Ok(GaveWay::Now) => {}
            Ok(GaveWay::Soon) => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            // What is left over is the session's own sandbox of before, which is just going.
            Ok(GaveWay::Nothing) => return,
            Err(error) => return tracing::warn!(%error, "the pool cannot give way"),
        }
    }
}
