//! Answers to modals.

use std::sync::Arc;

use anyhow::Result;
use longshore_session::InboxRow;
use longshore_slack::{Dialog, ViewSubmission};

use super::{moving, shortcut};
use crate::app::App;

pub async fn submitted(app: &Arc<App>, row: &InboxRow, view: ViewSubmission) -> Result<()> {
    match view.dialog() {
        Some(Dialog::AskAbout(about)) => shortcut::asked(app, row, &view, about).await,
        Some(Dialog::WrongRepository(session)) => moving::submitted(app, &view, session).await,
        None => {
            tracing::info!(callback_id = view.callback_id, "the answer to a window that is none of ours");
            Ok(())
        }
    }
}
