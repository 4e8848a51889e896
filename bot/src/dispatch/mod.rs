//! Takes deliveries out of the inbox and hands each to its handler.

mod access;
mod assistant;
mod click;
mod command;
mod home;
mod moving;
mod post;
mod shortcut;
mod talk;
mod view;

pub use post::prompt_id;
pub use talk::Threads;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use longshore_session::{InboxRow, fault_point};
use longshore_slack::Inbound;
use tokio::{sync::Notify, task::JoinSet};
use tracing::Instrument;

use crate::{app::App, intake::as_delivered, metrics::Source};

/// A handler that is not done by then has died: the delivery is taken again.
const LEASE: Duration = Duration::from_secs(300);
/// Deliveries that are handled at once; each lane has one at the most.
const AT_ONCE: usize = 32;
/// A delivery that fails this often is given up, with an error in the log.
const ATTEMPTS: u32 = 8;
const ROUND: Duration = Duration::from_secs(1);
/// The wait before the second attempt, doubled with each further one.
const RETRY: Duration = Duration::from_millis(500);

/// Runs until shutdown; what is being handled then is finished or comes again at the next start.
pub async fn run(app: Arc<App>, arrived: Arc<Notify>) {
    let mut handlers: JoinSet<()> = JoinSet::new();
    // A lease ends too early where the clock jumps: what is being handled is not handled beside that.
    let busy: Arc<Mutex<HashSet<String>>> = Arc::default();
    loop {
        let claimed = if handlers.len() < AT_ONCE { app.store.claim_delivery(LEASE).await } else { Ok(None) };
        match claimed {
            Ok(Some(row)) => {
                if let Some(handling) = Handling::begin(&busy, &row.delivery.key) {
                    let app = Arc::clone(&app);
                    let span = tracing::info_span!("delivery", key = row.delivery.key);
                    let handler = async move {
                        handle(&app, row).await;
                        drop(handling);
                    };
                    handlers.spawn(handler.instrument(span));
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the inbox cannot be read; trying again"),
        }
        tokio::select! {
            () = app.shutdown.cancelled() => break,
            () = arrived.notified(), if handlers.len() < AT_ONCE => {}
            // The end of one frees its lane.
            Some(ended) = handlers.join_next(), if !handlers.is_empty() => if let Err(error) = ended {
                tracing::error!(%error, "a handler broke off; its delivery comes again");
            },
            () = tokio::time::sleep(ROUND) => {}
        }
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), async { while handlers.join_next().await.is_some() {} }).await;
}

/// A delivery that is being handled, however that ends.
struct Handling {
    busy: Arc<Mutex<HashSet<String>>>,
    key: String,
}

impl Handling {
    /// None where it is being handled already.
    fn begin(busy: &Arc<Mutex<HashSet<String>>>, key: &str) -> Option<Self> {
        let is_new = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        is_new.then(|| Self { busy: Arc::clone(busy), key: key.to_owned() })
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

async fn handle(app: &Arc<App>, row: InboxRow) {
    fault_point!("inbox.claimed.after");
    let key = row.delivery.key.clone();
    let settled = match attempt(app, &row).await {
        Ok(()) => {
            fault_point!("inbox.done.before");
            let done = app.store.delivery_done(key).await;
            fault_point!("inbox.done.after");
            done
        }
        Err(error) if row.attempts >= ATTEMPTS => {
            app.metrics.error(Source::Delivery, "given_up");
            tracing::error!(error = format!("{error:#}"), attempts = row.attempts, "a delivery is given up");
            app.store.delivery_done(key).await
        }
        Err(error) => {
            app.metrics.error(Source::Delivery, "again");
            tracing::warn!(error = format!("{error:#}"), attempts = row.attempts, "a delivery failed; it comes again");
            app.store.release_delivery(key, RETRY * 2u32.saturating_pow(row.attempts)).await
        }
    };
    if let Err(error) = settled {
        tracing::error!(%error, "a delivery's end cannot be stored; it comes again after its lease");
    }
}

async fn attempt(app: &Arc<App>, row: &InboxRow) -> Result<()> {
    match Inbound::parse(&as_delivered(&row.delivery), &app.bot) {
        Inbound::Message(post) => post::message(app, row, post).await,
        Inbound::MessageChanged(edit) => post::edited(app, edit).await,
        Inbound::MessageDeleted(gone) => post::deleted(app, gone).await,
        Inbound::Command(call) => command::command(app, call).await,
        Inbound::Action(click) => click::click(app, click).await,
        Inbound::Reacted(reaction) => post::reacted(app, reaction).await,
        Inbound::HomeOpened(opened) => home::opened(app, opened).await,
        Inbound::HomeClicked(click) => home::clicked(app, click).await,
        Inbound::AssistantOpened(opened) => assistant::opened(app, opened).await,
        Inbound::ShortcutUsed(call) => shortcut::used(app, call).await,
        Inbound::ViewSubmitted(view) => view::submitted(app, row, view).await,
        Inbound::Ignored(why) => {
            tracing::debug!(?why, "ignored");
            Ok(())
        }
    }
}
